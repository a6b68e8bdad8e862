#pragma once

/// Runs of workflows as a node answers about them, and what people see of them.
/// Pure; `now` decides what ages are shown.
#include "text_table.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/workflow/history.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/plan.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// The number of "r7"; nullopt if `text` is not the name of a run.
[[nodiscard]] std::optional<std::uint64_t> run_number(std::string_view text);

/// "r7".
[[nodiscard]] std::string run_text(std::uint64_t run);

/// Errors: invalid_argument, "expected a run such as r7, got "x"".
[[nodiscard]] Result<std::uint64_t> parse_run(std::string_view text);

/// Each of them by parse_run. Errors: as that.
[[nodiscard]] Result<std::vector<std::uint64_t>> parse_runs(
    const std::vector<std::string>& texts);

/// A step as it was started once.
struct RunStep {
  std::uint64_t step = 0;
  std::string id;
  std::string name;
  std::string command;      ///< Empty if it is not known.
  std::uint64_t round = 0;  ///< Grows with each retry of the run.
  std::string state;  ///< "success", or that of its job while it has not ended.
  std::string reason;
  std::optional<std::uint64_t> job;  ///< Of the queue.
  std::uint64_t attempts = 0;
  int exit_status = 0;
  Duration took{0};  ///< The last attempt.
  std::optional<WallTime> started;
  std::optional<WallTime> ended;
  bool has_ended = false;
};

/// One variant of a job of the workflow.
struct RunJob {
  std::string job;
  std::string label;
  std::vector<std::string> needs;
  std::string state;
  std::string reason;
  std::optional<WallTime> ready;
  std::optional<WallTime> started;
  std::optional<WallTime> ended;
  /// "approved by ada"; empty if nobody was asked, or has not said anything.
  std::string approval;
  std::vector<RunStep> steps;  ///< Again and again, in order.

  [[nodiscard]] bool has_ended() const;
};

/// A service that jobs of the run need.
struct RunService {
  std::string path;
  std::string state;
  std::string reason;
};

struct QueueRun {
  std::uint64_t number = 0;
  std::string name;
  std::string state;
  std::uint64_t jobs = 0;
  std::uint64_t ended_jobs = 0;
  std::uint64_t failed_jobs = 0;
  std::uint64_t awaiting_jobs = 0;  ///< Approval.
  std::string file;
  std::string group;
  std::uint64_t max_parallel = 0;  ///< Zero for no limit.
  std::map<std::string, std::string> inputs;
  std::string awaits;  ///< Why it has not begun; empty if it has.
  std::optional<WallTime> submitted;
  std::optional<WallTime> ended;
  std::vector<RunJob> instances;
  std::vector<RunService> services;           ///< Empty until they are started.
  std::optional<std::uint64_t> services_job;  ///< Of the queue: it runs them.
  std::vector<std::string> notes;

  [[nodiscard]] bool has_ended() const { return state != "running"; }
};

// Errors: corrupt, as job_from_json().
[[nodiscard]] Result<QueueRun> run_from_json(
    const nlohmann::ordered_json& json);
[[nodiscard]] Result<std::vector<QueueRun>> runs_from_json(
    const nlohmann::ordered_json& json);

/// A run that has ended, as history.
[[nodiscard]] workflow::PastRun past_run_of(const QueueRun& run);

/// One line for each run and a head.
[[nodiscard]] std::string render_runs(const std::vector<QueueRun>& runs,
                                      WallTime now, const TableStyle& style);

/// The run with its jobs, and with the steps of those that have several.
[[nodiscard]] std::string describe_run(const QueueRun& run, WallTime now);

/// Why a job of the workflow has not ended, as far as the run tells.
[[nodiscard]] std::string describe_waiting(const RunJob& job);

/// "r7 has failed (3/3, 1 failed)".
[[nodiscard]] std::string describe_end(const QueueRun& run);

/// A step whose log is asked for.
struct RunLog {
  std::uint64_t job = 0;  ///< Of the queue.
  std::string label;      ///< Of the job of the workflow.
  std::string name;       ///< Of the step.
};

/// The logs of `run`, or of one of its jobs, by name or label, or of one step
/// of that, by id, name or number from 1. A `job` "services", if there is none
/// of this name, is what its services print.
///
/// Errors: not_found, with a suggestion.
[[nodiscard]] Result<std::vector<RunLog>> logs_of(const QueueRun& run,
                                                  const std::string& job,
                                                  const std::string& step);

enum class GraphFormat : std::uint8_t { dot, mermaid };

/// The jobs of a workflow and what they need, as text for programs that draw.
/// `run` adds the states of its jobs; `estimate`, if it is not null, how long
/// they may take, and the critical path in bold.
[[nodiscard]] std::string render_graph(
    const workflow::Workflow& workflow, GraphFormat format,
    const std::optional<QueueRun>& run,
    const workflow::EstimateFunction& estimate = {});

}  // namespace troupe::cli
