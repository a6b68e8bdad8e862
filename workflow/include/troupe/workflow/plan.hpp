#pragma once

#include <troupe/actors/command_request.hpp>
#include <troupe/actors/outcome.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/base/time.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/outputs.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::workflow {

/// One variant of a job in a run; counts from 1 in the order of the file.
using InstanceId = Id<struct InstanceTag>;

/// pending -> ready -> running -> one of the rest; the end can come at once. A
/// restart with its group makes it pending again.
/// Stored and sent: append only, never renumber.
enum class JobState : std::uint8_t {
  pending = 1,  ///< Jobs that it needs have not ended.
  ready = 2,    ///< Waits for a free place.
  running = 3,
  succeeded = 4,
  failed = 5,
  timed_out = 6,
  cancelled = 7,
  skipped = 8,  ///< Its condition was false.
};

/// The stable lower-case name: "timed_out".
[[nodiscard]] std::string_view to_string(JobState state);

[[nodiscard]] bool has_ended(JobState state);

/// How a step ended, as expressions spell it.
enum class StepOutcome : std::uint8_t { success, failure, cancelled, skipped };

[[nodiscard]] std::string_view to_string(StepOutcome outcome);

enum class RunResult : std::uint8_t { success, failure, cancelled };

[[nodiscard]] std::string_view to_string(RunResult result);

/// What whoever runs the plan says about a step that it was asked to start.
struct StepResult {
  actors::OutcomeKind kind = actors::OutcomeKind::success;
  int exit_status = 0;
  Outputs outputs;  ///< As parse_outputs() reads them.
};

/// Run this command and answer with on_step_finished(), exactly once.
struct StartStep {
  InstanceId instance;
  std::size_t step = 0;        ///< Index in the job.
  std::uint32_t restarts = 0;  ///< Of the instance, with its group.
  std::string label;           ///< Of the instance: "pull (eu, a)".
  std::string name;            ///< Of the step, for people.
  std::string line;            ///< The resolved text of `run`, for people.
  /// What to execute: the words of a simple command, else the shell, -c and
  /// the text.
  std::vector<std::string> argv;
  /// To add to troupe's own environment; each name once. Whoever runs it adds
  /// output_variable.
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_directory;  ///< Empty for the one of troupe.
  Duration timeout{0};            ///< Of each attempt; zero for none.
  Duration grace{0};
  actors::RetryPolicy retry;
  actors::SuccessCriteria success;
};

/// Stop this command politely, with all its attempts; its end is reported by
/// on_step_finished() as usual.
struct CancelStep {
  InstanceId instance;
  std::size_t step = 0;
};

/// A step ended: as reported, or without having been started.
struct StepEnded {
  InstanceId instance;
  std::size_t step = 0;
  StepOutcome outcome = StepOutcome::success;
  std::string reason;  ///< Why it was not started; empty if it was.
};

struct JobStateChanged {
  InstanceId instance;
  JobState state = JobState::pending;
  std::string reason;  ///< For people; empty if there is nothing to explain.
};

/// A job of a group has failed for good. Its group starts it again, and others
/// with it, or gives up; the changes of their states follow.
struct GroupDecided {
  std::string group;
  std::string job;  ///< That has failed.
  bool gave_up = false;
  std::size_t restarts_used = 0;  ///< Within the period, with this one.
  int intensity = 0;
  Duration period{0};
};

/// The last action of a plan, exactly once.
struct RunFinished {
  RunResult result = RunResult::success;
};

using Action = std::variant<StartStep, CancelStep, StepEnded, JobStateChanged,
                            GroupDecided, RunFinished>;
using Actions = std::vector<Action>;

/// How to run a workflow once.
struct PlanOptions {
  std::string run_id = "1";  ///< `run.id`
  std::vector<std::pair<std::string, std::string>> inputs;
  /// Jobs at the same time, each matrix instance counted; at least 1.
  std::size_t max_parallel = std::numeric_limits<std::size_t>::max();
  /// Only this job and what it needs, directly or not; empty for all jobs. The
  /// other jobs are no part of the run.
  std::string only_job;
};

/// One run of a workflow, as a machine: events in, actions out, no clock, no
/// thread and no process. Owned by one actor.
///
/// A job becomes ready once all jobs that it needs have ended, its needs'
/// `when` hold (by default: they succeeded) and its `if` is true. An `if` with
/// success(), failure(), always() or cancelled() replaces the check of `when`;
/// failure() looks at all jobs before it, success() at its needs. Otherwise it
/// is skipped. Ready jobs start in the order of the file.
///
/// Steps run in sequence. A step without a status function in its `if` is
/// skipped once one before it has failed or the job is being cancelled. A
/// failure under continue-on-error counts as success afterwards, for steps as
/// for jobs; `steps.ID.outcome` and the state of the job still tell.
///
/// The failure of a job in a group is first of all its group's. Within its
/// budget, the group starts again what did not succeed of the job
/// (one_for_one), or all of it together with those of its jobs that come later
/// in the file (rest_for_one) or with all of them (one_for_all). Those that run
/// are stopped first, as by fail-fast; none starts before they have ended. Jobs
/// outside of the group that have started stay as they are.
class Plan {
 public:
  /// A job instance, for displays.
  struct Instance {
    InstanceId id;
    std::string job;    ///< Its name in the file.
    std::string label;  ///< With the values of the matrix: "pull (eu, a)".
    JobState state = JobState::pending;
  };

  /// Errors: invalid_argument, if an input is missing or unknown, with its
  /// place in the file, or if there is no such job; overloaded, if a variable
  /// would be too long.
  [[nodiscard]] static Result<Plan> make(
      std::shared_ptr<const Workflow> workflow, PlanOptions options);

  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;
  ~Plan();

  /// Starts what can start. To be called once, before all else.
  [[nodiscard]] Actions start(TimePoint now);

  /// Ignored unless this very step is running.
  [[nodiscard]] Actions on_step_finished(InstanceId instance, std::size_t step,
                                         StepResult result, TimePoint now);

  /// Time has come to look at limits: call at or after next_deadline().
  [[nodiscard]] Actions on_time(TimePoint now);

  /// When on_time() has something to do; nothing if never.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const;

  /// Ends the run in an orderly way: what runs is stopped, and only steps and
  /// jobs whose `if` is true for a cancelled run (always(), cancelled()) still
  /// start. A second call stops these too.
  [[nodiscard]] Actions cancel(TimePoint now);

  /// Starts no further job but those whose `if` is true for a cancelled run, in
  /// their turn; running ones go on to their ends.
  [[nodiscard]] Actions stop_starting(TimePoint now);

  [[nodiscard]] const Workflow& workflow() const;
  [[nodiscard]] std::span<const Instance> instances() const;
  /// Present once RunFinished has been given out.
  [[nodiscard]] std::optional<RunResult> result() const;

 private:
  class Machine;
  explicit Plan(std::unique_ptr<Machine> machine);
  std::unique_ptr<Machine> machine_;
};

}  // namespace troupe::workflow
