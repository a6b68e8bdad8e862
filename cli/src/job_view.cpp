#include "job_view.hpp"

#include "time_text.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

// Wider ones would leave no room for the command.
constexpr std::size_t widest_job_name = 24;
constexpr std::size_t widest_group = 16;

/// "a, b", of those that are not empty.
std::string join_filled(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty())
      text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

std::string colour_of_job(const std::string& state) {
  if (state == "running" || state == "succeeded")
    return "32";
  if (state == "failed")
    return "31";
  if (state == "cancelled" || state == "skipped")
    return "2";
  return state == "queued" ? "36" : "33";
}

std::string describe_counts(const JobCounts& counts) {
  const auto part = [](std::uint64_t count, std::string_view what) {
    return count == 0 ? std::string{} : fmt::format("{} {}", count, what);
  };
  return join_filled(
      {part(counts.running, "running"), part(counts.waiting, "waiting"),
       part(counts.retrying, "waiting for the next attempt"),
       part(counts.success, "succeeded"), part(counts.failed, "failed"),
       part(counts.timed_out, "timed out"), part(counts.cancelled, "cancelled"),
       part(counts.lost, "lost"), part(counts.skipped, "skipped")});
}

std::string describe_needs(const std::vector<JobNeed>& needs) {
  std::vector<std::string> parts;
  for (const JobNeed& need : needs)
    parts.push_back(fmt::format("{} ({})", need.job, printable(need.when)));
  return join_filled(parts);
}

/// "attempt 2: failed, exit status 1, after 3s" and why, as far as that is
/// known: of one that was lost, or cancelled before it ran, there is no more
/// than that.
std::string describe_attempt(const TaskAttempt& attempt) {
  std::string head =
      fmt::format("attempt {}: {}", attempt.number, printable(attempt.outcome));
  if (attempt.wall ||
      (attempt.outcome != "lost" && attempt.outcome != "cancelled"))
    head += fmt::format(", exit status {}", attempt.exit_status);
  if (attempt.wall)
    head += fmt::format(", after {}", rounded(*attempt.wall));
  return attempt.cause.empty() || attempt.outcome == "success"
             ? head
             : fmt::format("{}: {}", head, printable(attempt.cause));
}

/// Lines "  name   text", without those that have none.
class Details {
 public:
  void add(std::string_view name, std::string_view text) {
    if (!text.empty())
      text_ += fmt::format("  {:<12}{}\n", name, text);
  }
  void add(std::string_view name, const std::optional<WallTime>& time,
           WallTime now) {
    if (time)
      add(name, moment(*time, now));
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string describe_reason(const WaitReason& reason, WallTime now) {
  const std::string what =
      printable(reason.what.empty() ? reason.kind : reason.what);
  return reason.until
             ? fmt::format("{} (until {})", what, moment(*reason.until, now))
             : what;
}

void flatten(const Json& json, const std::string& prefix,
             std::vector<std::pair<std::string, std::string>>& lines) {
  for (const auto& [name, value] : json.items()) {
    const std::string path =
        prefix.empty() ? printable(name) : prefix + "." + printable(name);
    if (value.is_object() || value.is_array())
      flatten(value, path, lines);
    else
      lines.emplace_back(path, value.is_string()
                                   ? printable(value.get<std::string>())
                                   : value.dump());
  }
}

void add_lines(std::vector<std::string>& lines, std::string_view text) {
  for (std::string& line : lines_of(text, 0))
    lines.push_back(std::move(line));
}

std::string headline(const QueueSnapshot& snapshot, WallTime now) {
  std::uint64_t running = 0;
  std::uint64_t waiting = 0;
  std::uint64_t retrying = 0;
  for (const QueueGroup& group : snapshot.groups) {
    running += group.running;
    waiting += group.waiting;
    retrying += group.retrying;
  }
  const NodeState& node = snapshot.node;
  return fmt::format(
      "troupe node {}, pid {}{}{}: {} running, {} waiting, {} to be retried",
      printable(node.version), node.pid,
      node.started ? fmt::format(", up {}", short_age(now - *node.started))
                   : "",
      node.is_held ? ", paused" : "", running, waiting, retrying);
}

/// In one word.
std::string shown_state(const QueueJob& job) {
  if (job.is_cancelled && !job.has_ended())
    return "cancelling";
  return job.paused > 0 && job.state == "running" ? "paused"
                                                  : printable(job.state);
}

/// "n3, not heard of for 42s".
std::string node_of(const QueueTask& task) {
  const std::string name = printable(task.node);
  return name.empty() || !task.silent
             ? name
             : fmt::format(
                   "{}, not heard of for {}", name,
                   format_duration(
                       std::chrono::floor<std::chrono::seconds>(*task.silent)));
}

}  // namespace

std::string describe_resources(const Json& resources) {
  std::vector<std::string> parts;
  for (const auto& [name, amount] : resources.items())
    parts.push_back(
        name == "mem" && amount.is_number_unsigned()
            ? fmt::format("mem {}", format_size(amount.get<std::uint64_t>()))
            : fmt::format("{} {}", printable(name), amount.dump()));
  return join_filled(parts);
}

std::string describe_progress(const QueueJob& job) {
  const std::uint64_t bad = job.counts.unsuccessful();
  const std::string ended = fmt::format("{}/{}", job.counts.ended(), job.tasks);
  // Of one task the state tells it.
  return bad == 0 || job.tasks == 1 ? ended
                                    : fmt::format("{}, {} failed", ended, bad);
}

std::string render_jobs(const std::vector<QueueJob>& jobs, WallTime now,
                        const TableStyle& style) {
  std::vector<TableRow> rows{
      {"ID", "NAME", "STATE", "TASKS", "GROUP", "AGE", "COMMAND"}};
  for (const QueueJob& job : jobs)
    rows.push_back({fmt::format("{}", job.number),
                    ellipsize(printable(job.name), widest_job_name),
                    shown_state(job), describe_progress(job),
                    ellipsize(printable(job.group), widest_group),
                    job.submitted ? short_age(now - *job.submitted) : "",
                    printable(job.text)});
  return render_rows(rows, style, 2, colour_of_job);
}

std::string render_groups(const std::vector<QueueGroup>& groups,
                          const TableStyle& style) {
  std::vector<TableRow> rows{{"GROUP", "STATE", "SLOTS", "RUNNING", "WAITING",
                              "RETRYING", "JOBS", "WEIGHT", "RATE"}};
  for (const QueueGroup& group : groups) {
    const bool is_broken = !group.breaker.empty() && group.breaker != "closed";
    rows.push_back(
        {printable(group.name),
         group.is_held ? "paused"
         : is_broken   ? fmt::format("breaker {}", printable(group.breaker))
                       : "active",
         fmt::format("{}", group.slots), fmt::format("{}", group.running),
         fmt::format("{}", group.waiting), fmt::format("{}", group.retrying),
         fmt::format("{}", group.jobs), fmt::format("{}", group.weight),
         group.starts_per_minute == 0
             ? ""
             : fmt::format("{}/min", group.starts_per_minute)});
  }
  return render_rows(rows, style);
}

std::string describe_submitted(const Json& answer, std::uint64_t tasks) {
  const std::string durability = answer.value("durability", "");
  const std::string disk =
      durability == "synced"
          ? ", synced to disk"
          : (durability.empty() ? "" : ", " + printable(durability));
  return fmt::format("job {}: {} ({}{})", answer.value("job", std::uint64_t{0}),
                     answer.value("is_new", true)
                         ? printable(answer.value("state", "queued"))
                         : "was submitted before",
                     counted(tasks, "task"), disk);
}

std::string describe_job(const QueueJob& job, const WhyAnswer& why,
                         const std::vector<TaskAttempt>& failures,
                         WallTime now) {
  std::vector<std::string> tags;
  for (const std::string& tag : job.tags)
    tags.push_back(printable(tag));
  const bool is_usual = job.priority.empty() || job.priority == "normal";
  Details details;
  details.add("command", printable(job.text));
  details.add("folder", printable(job.folder));
  details.add("tasks",
              fmt::format("{}: {}", job.tasks, describe_counts(job.counts)));
  details.add("group", printable(job.group));
  details.add("priority", is_usual ? "" : printable(job.priority));
  details.add("delivery", job.delivery == "at_most_once" ? "at most once" : "");
  details.add("tags", join_filled(tags));
  details.add("after", describe_needs(job.needs));
  details.add("resources", describe_resources(job.resources));
  details.add("runs on",
              printable(fmt::format("{}", fmt::join(job.runs_on, ", "))));
  details.add("spread", job.spread ? "over nodes" : "");
  details.add("submitted", job.submitted, now);
  if (!job.has_ended())
    details.add("not before", job.not_before, now);
  details.add("ended", job.ended, now);
  std::string out = fmt::format(
      "job {}: {}{}\n{}", job.number,
      job.name.empty() ? "" : fmt::format("{}, ", printable(job.name)),
      shown_state(job), details.text());
  if (!job.has_ended() && !why.reasons.empty())
    out += describe_why(job.number, why, now);
  if (!failures.empty())
    out += "last failures:\n";
  for (const TaskAttempt& failure : failures)
    out += fmt::format("  {}.{}  {}\n", job.number, failure.task,
                       describe_attempt(failure));
  return out;
}

std::string describe_task(std::uint64_t job, const QueueTask& task,
                          WallTime now) {
  Details details;
  details.add("argument", printable(task.argument));
  details.add("node", node_of(task));
  details.add("pid", task.pid == 0 ? "" : fmt::format("{}", task.pid));
  details.add("due", task.due, now);
  const bool runs =
      task.pid != 0 || task.state == "started" || task.state == "claimed";
  if (runs)
    details.add("attempt", fmt::format("{}", task.attempt));
  const std::string state = task.state == "ended"
                                ? (task.result ? task.result->outcome : "ended")
                            : task.is_cancelled ? "cancelling"
                                                : task.state;
  std::string out = fmt::format("task {}.{}: {}\n{}", job, task.number,
                                printable(state), details.text());
  for (const TaskAttempt& attempt : task.attempts) {
    out += fmt::format("{}\n", describe_attempt(attempt));
    Details more;
    more.add("ended", attempt.at, now);
    more.add("node", printable(attempt.node));
    if (attempt.wall)
      more.add("cpu", rounded(attempt.cpu));
    more.add("memory", attempt.max_rss_bytes == 0
                           ? ""
                           : format_size(attempt.max_rss_bytes));
    if (attempt.wall)
      more.add("output", format_size(attempt.output_bytes));
    if (attempt.unrecorded_bytes != 0)
      more.add("not kept", format_size(attempt.unrecorded_bytes));
    for (const std::string& note : attempt.notes)
      more.add("note", printable(note));
    out += more.text();
  }
  return out;
}

std::string describe_why(std::uint64_t job, const WhyAnswer& why,
                         WallTime now) {
  // That it has ended is what its state says already.
  std::size_t first = 0;
  if (!why.reasons.empty() && why.reasons.front().kind == "ended")
    first = 1;
  if (first == why.reasons.size())
    return fmt::format("job {} is {}\n", job, printable(why.state));
  std::string out = fmt::format("job {} is {}: {}\n", job, printable(why.state),
                                describe_reason(why.reasons[first], now));
  for (std::size_t i = first + 1; i < why.reasons.size(); ++i)
    out += fmt::format("  also: {}\n", describe_reason(why.reasons[i], now));
  return out;
}

std::string describe_stats(const Json& stats) {
  std::vector<std::pair<std::string, std::string>> lines;
  flatten(stats, "", lines);
  std::size_t width = 0;
  for (const auto& [name, value] : lines)
    width = std::max(width, display_width(name));
  std::string out;
  for (const auto& [name, value] : lines)
    out += fmt::format("{:<{}}  {}\n", name, width, value);
  return out;
}

std::vector<std::string> render_top(const QueueSnapshot& snapshot, WallTime now,
                                    const TableStyle& style, std::size_t rows) {
  std::vector<QueueJob> jobs = snapshot.jobs;
  std::stable_partition(jobs.begin(), jobs.end(), [](const QueueJob& job) {
    return job.counts.running != 0;
  });
  std::vector<std::string> lines;
  const std::string head = headline(snapshot, now);
  lines.push_back(style.columns == 0 ? head : ellipsize(head, style.columns));
  lines.emplace_back();
  add_lines(lines, render_groups(snapshot.groups, style));
  lines.emplace_back();
  add_lines(lines, render_jobs(jobs, now, style));
  if (rows != 0 && lines.size() > rows) {
    const std::size_t missing = lines.size() - rows + 1;
    lines.resize(rows - 1);
    lines.push_back(fmt::format("and {} more", missing));
  }
  return lines;
}

}  // namespace troupe::cli
