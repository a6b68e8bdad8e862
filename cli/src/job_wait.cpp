#include "job_wait.hpp"

#include "subcommand.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::cli {

JobWait::JobWait(std::vector<std::uint64_t> jobs, bool any)
    : wanted_{std::move(jobs)}, any_{any} {}

void JobWait::see(const QueueJob& job) {
  if (std::find(wanted_.begin(), wanted_.end(), job.number) != wanted_.end())
    seen_.insert_or_assign(job.number, job);
}

bool JobWait::is_over() const {
  const auto ended = static_cast<std::size_t>(std::count_if(
      seen_.begin(), seen_.end(),
      [](const auto& entry) { return entry.second.has_ended(); }));
  return any_ ? ended != 0 : ended == wanted_.size();
}

bool JobWait::is_success() const {
  return std::all_of(seen_.begin(), seen_.end(), [](const auto& entry) {
    return !entry.second.has_ended() || entry.second.state == "succeeded";
  });
}

std::vector<QueueJob> JobWait::jobs() const {
  std::vector<QueueJob> jobs;
  for (const std::uint64_t number : wanted_) {
    const auto found = seen_.find(number);
    if (found != seen_.end())
      jobs.push_back(found->second);
  }
  return jobs;
}

std::string JobWait::left() const {
  std::string text;
  for (const std::uint64_t number : wanted_) {
    const auto found = seen_.find(number);
    if (found == seen_.end() || !found->second.has_ended())
      text += fmt::format("{}{}", text.empty() ? "" : ",", number);
  }
  return text;
}

Result<void> watch_jobs(NodeCalls& calls, JobWait& wait) {
  Duration absent{0};
  Error last;
  for (int tries = 0; !wait.is_over(); ++tries) {
    if (absent >= longest_absence)
      return tl::unexpected{std::move(last)};
    std::optional<Error> wrong;
    const auto watched = calls.client().events(
        node_target({"events"}, {{"jobs", wait.left()}}),
        [&](const std::string& name, const api::Json& data) {
          absent = Duration{0};
          tries = 0;
          if (name != "job")
            return true;
          const auto job = job_from_json(data);
          if (!job) {
            wrong = job.error();
            return false;
          }
          wait.see(*job);
          return !wait.is_over();
        });
    if (wrong)
      return tl::unexpected{std::move(*wrong)};
    if (wait.is_over())
      break;
    if (!watched && !may_come_back(watched.error(), calls.client()))
      return watched;
    // A node that ends closes its streams, too.
    last = watched ? Error{Errc::unavailable, "the node is gone"}
                   : watched.error();
    const Duration pause = pause_after(tries);
    absent += pause;
    calls.pause(pause);
  }
  return {};
}

Result<int> exit_status_of(NodeCalls& calls, const JobWait& wait) {
  const std::vector<QueueJob> jobs = wait.jobs();
  const int plain = wait.is_success() ? exit_ok : exit_failed;
  if (jobs.size() != 1 || jobs[0].tasks != 1)
    return plain;
  const auto answer = calls.get(
      node_target({"jobs", fmt::format("{}", jobs[0].number), "tasks", "0"}));
  if (!answer)
    return tl::unexpected{answer.error()};
  const auto task = task_from_json(*answer);
  if (!task)
    return tl::unexpected{task.error()};
  // One that was never started has no status of its own.
  return task->result && task->result->exit_status != 0
             ? task->result->exit_status
             : plain;
}

}  // namespace troupe::cli
