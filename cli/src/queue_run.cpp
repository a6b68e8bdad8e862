#include "queue_run.hpp"

#include "answer_json.hpp"
#include "job_view.hpp"
#include "outcome_json.hpp"
#include "time_text.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/workflow/history.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t widest_run_name = 32;
constexpr std::size_t widest_reason = 120;
constexpr std::size_t longest_label = 60;
/// What the log of its services is called beside those of jobs.
constexpr std::string_view services_log = "services";

// -- Reading -----------------------------------------------------------------

RunStep run_step_in(const Json& json) {
  RunStep step;
  step.step = value_of<std::uint64_t>(json, "step");
  step.id = value_of<std::string>(json, "id");
  step.name = value_of<std::string>(json, "name");
  step.command = value_of<std::string>(json, "command");
  step.round = value_of<std::uint64_t>(json, "round");
  step.state = value_of<std::string>(json, "state");
  step.reason = value_of<std::string>(json, "reason");
  if (const auto job = value_of<std::uint64_t>(json, "job"); job != 0)
    step.job = job;
  step.attempts = value_of<std::uint64_t>(json, "attempts");
  step.exit_status = value_of<int>(json, "exit_status");
  step.took = milliseconds_of(json, "wall_ms");
  step.started = time_of(json, "started");
  step.ended = time_of(json, "ended");
  step.has_ended = step.ended.has_value();
  return step;
}

RunJob run_job_in(const Json& json) {
  RunJob job;
  job.job = value_of<std::string>(json, "job");
  job.label = value_of<std::string>(json, "label");
  job.needs = value_of<std::vector<std::string>>(json, "needs");
  job.state = value_of<std::string>(json, "state");
  job.reason = value_of<std::string>(json, "reason");
  job.ready = time_of(json, "ready");
  job.started = time_of(json, "started");
  job.ended = time_of(json, "ended");
  const auto approval = value_of<Json>(json, "approval");
  const auto answer =
      approval.is_object() ? value_of<Json>(approval, "answer") : Json();
  if (answer.is_object() && value_of<bool>(answer, "approved"))
    job.approval = "approved by " + value_of<std::string>(answer, "who");
  for (const Json& step : value_of<Json>(json, "steps", Json::array()))
    job.steps.push_back(run_step_in(step));
  return job;
}

QueueRun run_in(const Json& json) {
  QueueRun run;
  run.number = json.at("run").get<std::uint64_t>();
  run.name = value_of<std::string>(json, "name");
  run.state = value_of<std::string>(json, "state");
  run.jobs = value_of<std::uint64_t>(json, "jobs");
  run.ended_jobs = value_of<std::uint64_t>(json, "ended_jobs");
  run.failed_jobs = value_of<std::uint64_t>(json, "failed_jobs");
  run.awaiting_jobs = value_of<std::uint64_t>(json, "awaiting_jobs");
  run.awaits = value_of<std::string>(json, "awaits");
  run.file = value_of<std::string>(json, "file");
  run.group = value_of<std::string>(json, "group");
  run.max_parallel = value_of<std::uint64_t>(json, "max_parallel");
  run.inputs = value_of<std::map<std::string, std::string>>(json, "inputs");
  run.submitted = time_of(json, "submitted");
  run.ended = time_of(json, "ended");
  for (const Json& job : value_of<Json>(json, "instances", Json::array()))
    run.instances.push_back(run_job_in(job));
  const auto services = value_of<Json>(json, "services");
  if (services.is_object()) {
    if (const auto job = value_of<std::uint64_t>(services, "job"); job != 0)
      run.services_job = job;
    for (const Json& one : value_of<Json>(services, "states", Json::array()))
      run.services.push_back({value_of<std::string>(one, "service"),
                              value_of<std::string>(one, "state"),
                              value_of<std::string>(one, "reason")});
  }
  for (const Json& note : value_of<Json>(json, "notes", Json::array()))
    run.notes.push_back(value_of<std::string>(note, "what"));
  return run;
}

// -- History -----------------------------------------------------------------

/// The one of `all` that is spelled so, else `other`.
template <class Enum, std::size_t N>
Enum named(const std::string& name, const std::array<Enum, N>& all,
           Enum other) {
  for (const Enum one : all) {
    if (to_string(one) == name)
      return one;
  }
  return other;
}

workflow::PastStep past_step_of(const RunStep& step) {
  using workflow::StepOutcome;
  workflow::PastStep past;
  past.step = step.id.empty() ? fmt::format("step-{}", step.step + 1) : step.id;
  past.outcome = named(step.state,
                       std::array{StepOutcome::success, StepOutcome::failure,
                                  StepOutcome::cancelled},
                       StepOutcome::skipped);
  past.command = step.command;
  past.attempts = static_cast<std::uint32_t>(step.attempts);
  if (step.started && step.ended)
    past.took = *step.ended - *step.started;
  past.last_attempt = step.took;
  workflow::note_waiting(past);
  return past;
}

workflow::RunResult result_of(const std::string& state) {
  if (state == "succeeded")
    return workflow::RunResult::success;
  return state == "failed" ? workflow::RunResult::failure
                           : workflow::RunResult::cancelled;
}

// -- Words -------------------------------------------------------------------

std::string colour_of_run(const std::string& state) {
  if (state == "running" || state == "succeeded")
    return "32";
  return state == "failed" ? "31" : "2";
}

std::string progress_of(const QueueRun& run) {
  std::string text = fmt::format("{}/{}", run.ended_jobs, run.jobs);
  if (run.failed_jobs != 0)
    text += fmt::format(", {} failed", run.failed_jobs);
  if (run.awaiting_jobs != 0)
    text += fmt::format(", {} {} approval", run.awaiting_jobs,
                        run.awaiting_jobs == 1 ? "awaits" : "await");
  return text;
}

/// The last time that each step of a job was started, in order.
std::vector<const RunStep*> last_steps(const RunJob& job) {
  std::map<std::uint64_t, const RunStep*> last;
  for (const RunStep& step : job.steps)
    last[step.step] = &step;
  std::vector<const RunStep*> steps;
  steps.reserve(last.size());
  for (const auto& [number, step] : last)
    steps.push_back(step);
  return steps;
}

std::string name_of(const RunStep& step) {
  if (!step.id.empty() && step.id != "run")
    return step.id;
  return step.name.empty() ? fmt::format("step {}", step.step + 1) : step.name;
}

/// "job 17, 2 attempts, exit status 3: exited with 3".
std::string remarks_on(const RunStep& step) {
  std::string text;
  const auto add = [&](const std::string& part) {
    text += (text.empty() ? "" : ", ") + part;
  };
  if (step.job)
    add(fmt::format("job {}", *step.job));
  if (step.attempts > 1)
    add(fmt::format("{} attempts", step.attempts));
  if (step.exit_status != 0)
    add(fmt::format("exit status {}", step.exit_status));
  if (!step.reason.empty())
    text += (text.empty() ? "" : ": ") + step.reason;
  return text;
}

/// Lines of three columns and remarks.
class Tree {
 public:
  void add(std::size_t depth, std::string_view name, std::string_view state,
           const std::string& took, const std::string& remarks) {
    rows_.push_back({std::string(2 + 2 * depth, ' ') +
                         ellipsize(printable(name), widest_run_name),
                     printable(state), took,
                     ellipsize(printable(remarks), widest_reason)});
  }
  [[nodiscard]] std::string text() const {
    std::size_t name_width = 0;
    std::size_t state_width = 0;
    std::size_t took_width = 0;
    for (const auto& row : rows_) {
      name_width = std::max(name_width, row[0].size());
      state_width = std::max(state_width, row[1].size());
      took_width = std::max(took_width, row[2].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line =
          fmt::format("{:<{}}  {:<{}}  {:>{}}  {}", row[0], name_width, row[1],
                      state_width, row[2], took_width, row[3]);
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + '\n';
    }
    return text;
  }

 private:
  std::vector<std::array<std::string, 4>> rows_;
};

std::string took(const RunJob& job, WallTime now) {
  if (!job.started)
    return {};
  return rounded(
      std::max<Duration>(Duration{0}, job.ended.value_or(now) - *job.started));
}

void add_job(Tree& tree, const RunJob& job, WallTime now) {
  const auto steps = last_steps(job);
  const bool is_one = steps.size() == 1 && steps[0]->id == "run";
  std::string remarks = job.has_ended() || job.state == "running"
                            ? job.reason
                            : describe_waiting(job);
  if (is_one) {
    const RunStep& step = *steps[0];
    const std::string more = remarks_on(step);
    if (job.state == "succeeded" || job.state == "running" ||
        !step.reason.empty())
      remarks = more;
    else if (!more.empty())
      remarks += (remarks.empty() ? "" : "; ") + more;
  }
  if (!job.approval.empty())
    remarks += (remarks.empty() ? "" : "; ") + job.approval;
  const std::string state = is_one && !job.has_ended() && job.state == "running"
                                ? steps[0]->state
                                : job.state;
  tree.add(0, job.label, state, took(job, now), remarks);
  if (is_one)
    return;
  for (const RunStep* const step : steps)
    tree.add(1, name_of(*step), step->state,
             step->has_ended && step->job ? rounded(step->took) : "",
             remarks_on(*step));
}

// -- Graphs ------------------------------------------------------------------

/// What is shown of a job in a graph.
struct GraphNode {
  std::string text;
  std::string state;  ///< Empty if there is no run.
};

/// The state that matters most of those that the instances have.
std::string state_of(const std::vector<std::string>& states) {
  for (const std::string_view state :
       {"failed", "timed_out", "awaiting", "running", "ready", "pending",
        "cancelled", "succeeded", "skipped"}) {
    if (std::find(states.begin(), states.end(), state) != states.end())
      return std::string{state};
  }
  return states.empty() ? "" : states.front();
}

GraphNode graph_node(const workflow::Job& job, const std::string& path,
                     const std::optional<QueueRun>& run,
                     const workflow::EstimateFunction& estimate) {
  GraphNode node{ellipsize(printable(path), longest_label), {}};
  if (job.matrix.size() > 1)
    node.text += fmt::format(" x{}", job.matrix.size());
  if (const Duration time = workflow::variant_time(job, estimate);
      time > Duration{0})
    node.text += fmt::format("\nabout {}", rough_duration(time));
  if (!run)
    return node;
  std::vector<std::string> states;
  std::size_t ended = 0;
  for (const RunJob& instance : run->instances) {
    if (instance.job != path)
      continue;
    states.push_back(instance.state);
    if (instance.has_ended())
      ++ended;
  }
  node.state = state_of(states);
  if (!node.state.empty())
    node.text += states.size() > 1 ? fmt::format("\n{} ({}/{})", node.state,
                                                 ended, states.size())
                                   : "\n" + node.state;
  return node;
}

std::string replaced(std::string text, std::string_view from,
                     std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string_view fill_of(std::string_view state) {
  if (state == "succeeded")
    return "palegreen";
  if (state == "failed" || state == "timed_out")
    return "lightcoral";
  if (state == "running")
    return "lightskyblue";
  return "lightgrey";
}

/// Which needs, from job to job, are on the critical path.
std::set<std::pair<std::size_t, std::size_t>> critical_needs(
    const workflow::Workflow& workflow,
    const workflow::EstimateFunction& estimate) {
  std::set<std::pair<std::size_t, std::size_t>> needs;
  const auto path = workflow::critical_path(
      workflow, estimate, std::numeric_limits<std::size_t>::max());
  for (std::size_t i = 1; i < path.jobs.size(); ++i)
    needs.emplace(path.jobs[i - 1], path.jobs[i]);
  return needs;
}

std::string_view word_of(workflow::When when) {
  switch (when) {
    case workflow::When::succeeded:
      return "";
    case workflow::When::finished:
      return "finished";
    case workflow::When::failed:
      return "failed";
    case workflow::When::started:
      return "started";
  }
  return "";
}

/// The jobs of a file as they are drawn: `drawn` of "report", whose id is j2,
/// has the id j2_0 for its first job.
struct GraphPart {
  const workflow::Workflow& file;
  std::vector<bool> drawn;  ///< Which of its jobs.
  std::string id = "j";     ///< In front of the number of a job.
  std::string path{};       ///< In front of its name.
  workflow::EstimateFunction estimate{};
};

/// `job` of a file and what it needs, or all jobs but the hooks.
std::vector<bool> drawn_of(const workflow::Workflow& file,
                           std::string_view job) {
  std::vector<bool> drawn = workflow::needed_by(file, job);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    if (file.jobs[i].hook)
      drawn[i] = false;
  }
  return drawn;
}

GraphPart part_of(const workflow::Call& call, const std::string& id,
                  const std::string& path) {
  return {*call.workflow, drawn_of(*call.workflow, call.job), id + "_",
          path + "/"};
}

/// Jobs that no other of the part comes before.
bool is_first(const workflow::Job& job) { return job.needs.empty(); }

std::string quoted_for_dot(const std::string& text) {
  return "\"" +
         replaced(replaced(replaced(text, "\\", "\\\\"), "\"", "\\\""), "\n",
                  "\\n") +
         "\"";
}

void draw_dot(const GraphPart& part, const std::optional<QueueRun>& run,
              const std::string& indent, std::string& text) {
  const auto& jobs = part.file.jobs;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!part.drawn[i])
      continue;
    const std::string path = part.path + jobs[i].id;
    const std::string id = fmt::format("{}{}", part.id, i);
    const GraphNode node = graph_node(jobs[i], path, run, part.estimate);
    text +=
        fmt::format("{}{} [label={}", indent, id, quoted_for_dot(node.text));
    if (!node.state.empty())
      text += fmt::format(", style=\"rounded,filled\", fillcolor={}",
                          fill_of(node.state));
    text += "];\n";
    if (!jobs[i].call)
      continue;
    const GraphPart inner = part_of(*jobs[i].call, id, path);
    text += fmt::format("{0}subgraph cluster_{1} {{\n{0}  label={2};\n", indent,
                        id, quoted_for_dot(printable(path)));
    draw_dot(inner, run, indent + "  ", text);
    text += indent + "}\n";
    for (std::size_t n = 0; n < inner.file.jobs.size(); ++n) {
      if (inner.drawn[n] && is_first(inner.file.jobs[n]))
        text += fmt::format("{}{} -> {}{} [style=dotted];\n", indent, id,
                            inner.id, n);
    }
  }
  const auto critical = critical_needs(part.file, part.estimate);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!part.drawn[i])
      continue;
    for (const workflow::Need& need : jobs[i].needs) {
      const std::string_view when = word_of(need.when);
      std::string style = when.empty() ? "" : fmt::format("label={}", when);
      if (critical.contains({need.job, i}))
        style += style.empty() ? "style=bold" : ", style=bold";
      text +=
          fmt::format("{0}{1}{2} -> {1}{3}{4};\n", indent, part.id, need.job, i,
                      style.empty() ? "" : fmt::format(" [{}]", style));
    }
  }
}

GraphPart whole(const workflow::Workflow& workflow,
                const workflow::EstimateFunction& estimate) {
  GraphPart part{workflow, drawn_of(workflow, "")};
  part.estimate = estimate;
  return part;
}

std::string dot(const workflow::Workflow& workflow,
                const std::optional<QueueRun>& run,
                const workflow::EstimateFunction& estimate) {
  std::string text = fmt::format(
      "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n",
      quoted_for_dot(printable(workflow.name)));
  draw_dot(whole(workflow, estimate), run, "  ", text);
  return text + "}\n";
}

std::string quoted_for_mermaid(const std::string& text) {
  // Between quotes it reads entities, and nothing else stands for a quote.
  return "\"" +
         replaced(
             replaced(replaced(replaced(text, "#", "#35;"), "\"", "#quot;"),
                      "<", "#lt;"),
             "\n", "<br/>") +
         "\"";
}

void draw_mermaid(const GraphPart& part, const std::optional<QueueRun>& run,
                  const std::string& indent, std::string& text,
                  std::set<std::string>& states) {
  const auto& jobs = part.file.jobs;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!part.drawn[i])
      continue;
    const std::string path = part.path + jobs[i].id;
    const std::string id = fmt::format("{}{}", part.id, i);
    const GraphNode node = graph_node(jobs[i], path, run, part.estimate);
    text +=
        fmt::format("{}{}[{}]{}\n", indent, id, quoted_for_mermaid(node.text),
                    node.state.empty() ? "" : ":::" + node.state);
    if (!node.state.empty())
      states.insert(node.state);
    if (!jobs[i].call)
      continue;
    const GraphPart inner = part_of(*jobs[i].call, id, path);
    text += fmt::format("{}subgraph {}_jobs [{}]\n", indent, id,
                        quoted_for_mermaid(printable(path)));
    draw_mermaid(inner, run, indent + "  ", text, states);
    text += indent + "end\n";
    for (std::size_t n = 0; n < inner.file.jobs.size(); ++n) {
      if (inner.drawn[n] && is_first(inner.file.jobs[n]))
        text += fmt::format("{}{} -.-> {}{}\n", indent, id, inner.id, n);
    }
  }
  const auto critical = critical_needs(part.file, part.estimate);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!part.drawn[i])
      continue;
    for (const workflow::Need& need : jobs[i].needs) {
      const std::string_view when = word_of(need.when);
      text +=
          fmt::format("{0}{1}{2} {5}{4} {1}{3}\n", indent, part.id, need.job, i,
                      when.empty() ? "" : fmt::format("|{}|", when),
                      critical.contains({need.job, i}) ? "==>" : "-->");
    }
  }
}

std::string mermaid(const workflow::Workflow& workflow,
                    const std::optional<QueueRun>& run,
                    const workflow::EstimateFunction& estimate) {
  std::string text = "flowchart LR\n";
  std::set<std::string> states;
  draw_mermaid(whole(workflow, estimate), run, "  ", text, states);
  for (const std::string& state : states)
    text += fmt::format("  classDef {} fill:{}\n", state, fill_of(state));
  return text;
}

/// In the order of the jobs, and what comes before all first: variants that
/// were computed, and jobs that were called, come last otherwise.
std::vector<const RunJob*> by_job(const std::vector<RunJob>& instances) {
  std::map<std::string_view, std::size_t> places{
      {workflow::job_name(workflow::Hook::on_start), 0}};
  std::vector<const RunJob*> sorted;
  for (const RunJob& instance : instances) {
    places.try_emplace(instance.job, places.size());
    sorted.push_back(&instance);
  }
  // Of "report/load" first that of "report".
  std::map<std::string_view, std::vector<std::size_t>> keys;
  for (const auto& [job, place] : places) {
    std::vector<std::size_t>& key = keys[job];
    for (std::size_t slash = job.find('/'); slash != std::string_view::npos;
         slash = job.find('/', slash + 1)) {
      if (const auto caller = places.find(job.substr(0, slash));
          caller != places.end())
        key.push_back(caller->second);
    }
    key.push_back(place);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const RunJob* a, const RunJob* b) {
                     return keys.at(a->job) < keys.at(b->job);
                   });
  return sorted;
}

}  // namespace

std::optional<std::uint64_t> run_number(std::string_view text) {
  if (text.size() < 2 || text.front() != 'r' || text[1] < '0' || text[1] > '9')
    return std::nullopt;
  const auto number = parse_count(std::string{text.substr(1)});
  return number ? std::optional{*number} : std::nullopt;
}

std::string run_text(std::uint64_t run) { return fmt::format("r{}", run); }

Result<std::uint64_t> parse_run(std::string_view text) {
  if (const auto number = run_number(text))
    return *number;
  return failure(
      Errc::invalid_argument,
      fmt::format("expected a run such as r7, got \"{}\"", printable(text)));
}

Result<std::vector<std::uint64_t>> parse_runs(
    const std::vector<std::string>& texts) {
  std::vector<std::uint64_t> runs;
  for (const std::string& text : texts) {
    const auto run = parse_run(text);
    if (!run)
      return tl::unexpected{run.error()};
    runs.push_back(*run);
  }
  return runs;
}

workflow::PastRun past_run_of(const QueueRun& run) {
  using workflow::JobState;
  workflow::PastRun past;
  past.id = run_text(run.number);
  past.result = result_of(run.state);
  past.start = run.submitted.value_or(WallTime{});
  past.end = run.ended.value_or(past.start);
  past.max_parallel = static_cast<std::size_t>(run.max_parallel);
  for (const RunJob& instance : run.instances) {
    workflow::PastJob job;
    job.job = instance.job;
    job.label = instance.label;
    job.state = named(
        instance.state,
        std::array{JobState::succeeded, JobState::failed, JobState::timed_out,
                   JobState::cancelled, JobState::skipped},
        JobState::pending);
    job.ready = instance.ready;
    job.start = instance.started;
    job.end = instance.ended;
    for (const RunStep& step : instance.steps) {
      past.was_retried = past.was_retried || step.round > 0;
      job.steps.push_back(past_step_of(step));
    }
    past.jobs.push_back(std::move(job));
  }
  return past;
}

bool RunJob::has_ended() const {
  return state != "pending" && state != "ready" && state != "running" &&
         state != "awaiting";
}

Result<QueueRun> run_from_json(const Json& json) {
  return checked(json, run_in);
}

Result<std::vector<QueueRun>> runs_from_json(const Json& json) {
  return checked(json, [](const Json& answer) {
    std::vector<QueueRun> runs;
    for (const Json& run : answer.at("runs"))
      runs.push_back(run_in(run));
    return runs;
  });
}

std::string render_runs(const std::vector<QueueRun>& runs, WallTime now,
                        const TableStyle& style) {
  std::vector<TableRow> rows{{"ID", "NAME", "STATE", "JOBS", "AGE"}};
  for (const QueueRun& run : runs)
    rows.push_back({run_text(run.number),
                    ellipsize(printable(run.name), widest_run_name),
                    printable(run.state), progress_of(run),
                    run.submitted ? short_age(now - *run.submitted) : ""});
  constexpr std::size_t state_column = 2;
  return render_rows(rows, style, state_column, colour_of_run);
}

std::string describe_run(const QueueRun& run, WallTime now) {
  std::string text =
      fmt::format("run {}: {}, {} ({})\n", run_text(run.number),
                  printable(run.name), printable(run.state), progress_of(run));
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty())
      text += fmt::format("  {:<12}{}\n", name, value);
  };
  add("file", printable(run.file));
  std::string inputs;
  for (const auto& [name, value] : run.inputs)
    inputs += fmt::format("{}{}={}", inputs.empty() ? "" : " ", printable(name),
                          printable(value));
  add("inputs", inputs);
  add("group", printable(run.group));
  add("waiting", printable(run.awaits));
  if (run.submitted)
    add("submitted", moment(*run.submitted, now));
  if (run.ended)
    add("ended", moment(*run.ended, now));
  Tree tree;
  for (const RunJob* const job : by_job(run.instances))
    add_job(tree, *job, now);
  text += "jobs:\n" + tree.text();
  if (!run.services.empty() && !run.has_ended()) {
    Tree services;
    for (const RunService& service : run.services)
      services.add(0, service.path,
                   service.state == "down" ? "not ready" : service.state, "",
                   service.reason);
    text += fmt::format("services (troupe logs {} {}):\n{}",
                        run_text(run.number), services_log, services.text());
  }
  for (const std::string& note : run.notes)
    text += printable(note) + "\n";
  return text;
}

std::string describe_waiting(const RunJob& job) {
  if (!job.reason.empty())
    return job.reason;
  if (job.state == "ready")
    return "waits for a free place";
  std::string needs;
  for (const std::string& need : job.needs)
    needs += (needs.empty() ? "" : ", ") + need;
  return needs.empty() ? "" : "waits for " + needs;
}

std::string describe_end(const QueueRun& run) {
  return fmt::format(
      "run {} {} ({})", run_text(run.number),
      run.state == "failed" ? "has failed" : "is " + printable(run.state),
      progress_of(run));
}

Result<std::vector<RunLog>> logs_of(const QueueRun& run, const std::string& job,
                                    const std::string& step) {
  std::vector<RunLog> logs;
  std::vector<std::string> names;
  std::vector<std::string> steps;
  bool has_job = job.empty();
  for (const RunJob& instance : run.instances) {
    names.push_back(instance.job);
    if (!job.empty() && instance.job != job && instance.label != job)
      continue;
    has_job = true;
    for (const RunStep& one : instance.steps) {
      steps.push_back(name_of(one));
      const bool is_wanted = step.empty() || one.id == step ||
                             one.name == step ||
                             fmt::format("{}", one.step + 1) == step;
      if (is_wanted && one.job)
        logs.push_back({*one.job, instance.label, name_of(one)});
    }
  }
  // Only if it is asked for: it goes on for as long as the run.
  if (run.services_job && !has_job && job == services_log && step.empty())
    return std::vector{RunLog{*run.services_job, job, "what they print"}};
  if (!has_job || (!step.empty() && logs.empty())) {
    const std::string& wanted = has_job ? step : job;
    const auto& all = has_job ? steps : names;
    const std::vector<std::string_view> known{all.begin(), all.end()};
    const auto meant = suggest(wanted, known);
    return failure(
        Errc::not_found,
        fmt::format(
            "run {} has no {} \"{}\"{}", run_text(run.number),
            has_job ? "step that was started" : "job", printable(wanted),
            meant ? fmt::format("; did you mean \"{}\"?", *meant) : ""));
  }
  return logs;
}

std::string render_graph(const workflow::Workflow& workflow, GraphFormat format,
                         const std::optional<QueueRun>& run,
                         const workflow::EstimateFunction& estimate) {
  switch (format) {
    case GraphFormat::dot:
      return dot(workflow, run, estimate);
    case GraphFormat::mermaid:
      return mermaid(workflow, run, estimate);
  }
  return {};
}

}  // namespace troupe::cli
