#pragma once

#include <troupe/actors/command_request.hpp>
#include <troupe/actors/outcome.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/base/time.hpp>
#include <troupe/service/availability.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/outputs.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
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

/// pending -> ready -> running -> one of the ends, which can come at once. A
/// restart with its group, or another attempt at all its steps, makes it
/// pending again. Stored and sent: append only, never renumber.
enum class JobState : std::uint8_t {
  pending = 1,  ///< Jobs that it needs have not ended.
  ready = 2,    ///< Waits for a free place.
  running = 3,
  succeeded = 4,
  failed = 5,
  timed_out = 6,
  cancelled = 7,
  skipped = 8,   ///< Its condition was false.
  awaiting = 9,  ///< Somebody has to approve it; before it is ready.
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
  Outputs outputs;                      ///< As parse_outputs() reads them.
  std::vector<actors::Cause> causes{};  ///< Why it did not succeed.
};

/// StepCache, with its texts resolved.
struct CacheUse {
  std::string key;
  std::vector<std::string> sources;
  std::vector<std::string> generates;
  Duration max_age{0};
};

/// Transfer, likewise.
struct TransferUse {
  bool is_upload = true;
  std::string job;
  std::string name;
  std::string instance;  ///< Of an upload: "eu-a"; empty without a matrix.
  std::vector<std::string> patterns;
  Duration retention{0};
};

/// Run this command and answer with on_step_finished(), exactly once.
struct StartStep {
  InstanceId instance;
  std::size_t step = 0;  ///< Index in the job.
  /// How often the instance was started before, with its group or by `retry`.
  std::uint32_t restarts = 0;
  std::string label;  ///< Of the instance: "pull (eu, a)".
  std::string name;   ///< Of the step, for people.
  std::string line;   ///< The resolved text of `run`, for people.
  /// What to execute: the words of a simple command, else the shell, -c and
  /// the text.
  std::vector<std::string> argv;
  /// To add to troupe's own environment; each name once. Whoever runs it adds
  /// output_variable.
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_directory;  ///< Empty for the one of troupe.
  Duration timeout{0};            ///< Of each attempt; zero for none.
  Duration silence{0};  ///< Of each attempt, without output; likewise.
  Duration grace{0};
  actors::RetryPolicy retry;
  actors::SuccessCriteria success;
  std::optional<CacheUse> cache{};
  std::optional<TransferUse> transfer{};  ///< Then there is no argv.
  /// To be added to its outputs from what it prints, as by add_printed().
  std::vector<PrintedOutput> printed;
  flow_control::Resources resources{};  ///< Of its job.
  /// `runs-on` of its job. All steps of an instance run on one node.
  std::vector<std::string> labels{};
  /// `placement` of its job: its key; or whether it is spread, as which of how
  /// many variants.
  std::string key{};
  bool is_spread = false;
  std::size_t variant = 0;
  std::size_t variants = 1;

  /// Whether it says on which node of several it runs.
  [[nodiscard]] bool is_placed() const {
    return !labels.empty() || !key.empty() || is_spread;
  }
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
  /// Why it was not started, or that a service was lost that it needed;
  /// otherwise empty.
  std::string reason;
  bool forgiven = false;  ///< It failed, and that counts as success.
};

struct JobStateChanged {
  InstanceId instance;
  JobState state = JobState::pending;
  std::string reason;  ///< For people; empty if there is nothing to explain.
};

/// The instance, which is awaiting, needs the approval of its job. What is
/// said to that goes to answer(); others of the same job need it as well.
struct ApprovalWanted {
  InstanceId instance;
  std::string prompt;  ///< Empty if the file has none.
};

/// A matrix has been computed, or a hook is about to run: the job has these
/// instances from now on, in the order of its matrix. The first is the one that
/// stood for it until now, with a new label; others may be new to
/// Plan::instances().
///
/// Or the job has been called by another one, which has just started.
struct JobExpanded {
  std::string job;
  std::vector<InstanceId> instances;
  bool is_called = false;
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

/// A job would start but for services that it needs: have all those of the run
/// started, and say how they are by on_service(). At most once.
struct StartServices {};

/// The last action of a plan, exactly once.
struct RunFinished {
  RunResult result = RunResult::success;
  std::string failed_job;  ///< The one that failed first; empty if none has.
  std::string blame;       ///< The same with its step, if it has several.
};

using Action = std::variant<StartStep, CancelStep, StepEnded, JobStateChanged,
                            GroupDecided, RunFinished, JobExpanded,
                            ApprovalWanted, StartServices>;
using Actions = std::vector<Action>;

/// What a file takes from outside of it.
struct FileValues {
  /// What the files of `dotenv` say, for all steps; `env` overrides it.
  std::vector<std::pair<std::string, std::string>> dotenv;
  /// The values of the secrets that have to come from their own sources.
  std::vector<std::pair<std::string, std::string>> secrets;
};

/// How long a step may take, from what is known of earlier runs; zero if
/// nothing is.
struct StepEstimate {
  StepEstimate() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): of a job without a matrix.
  StepEstimate(Duration both) : typical{both}, longest{both} {}
  StepEstimate(Duration typical_one, Duration longest_one)
      : typical{typical_one}, longest{longest_one} {}

  Duration typical{0};  ///< In one variant of its job.
  Duration longest{0};  ///< In the slowest of its variants.

  friend bool operator==(const StepEstimate&, const StepEstimate&) = default;
};

/// Of a step of a job, named as by step_key(). Null: nothing is known of any.
using EstimateFunction = std::function<StepEstimate(const std::string& job,
                                                    const std::string& step)>;

/// How long one variant of `job` may take; zero if nothing is known of it.
[[nodiscard]] Duration variant_time(const Job& job,
                                    const EstimateFunction& estimate);

/// How long all of it may take, with at most `max_parallel` variants at a time:
/// as long as its slowest one, and as all of them in turns.
[[nodiscard]] Duration job_time(const Job& job,
                                const EstimateFunction& estimate,
                                std::size_t max_parallel);

/// How to run a workflow once.
struct PlanOptions {
  std::string run_id = "1";  ///< `run.id`
  std::vector<std::pair<std::string, std::string>> inputs;
  /// Jobs at the same time, each matrix instance counted; at least 1.
  std::size_t max_parallel = std::numeric_limits<std::size_t>::max();
  /// Only this job and what it needs, directly or not; empty for all jobs. The
  /// other jobs are no part of the run.
  std::string only_job;
  EstimateFunction estimate;
  Surroundings surroundings;
  std::string actor;                 ///< `run.actor`: who started it.
  std::string trigger = "dispatch";  ///< `run.trigger`: by what.
  /// What the files of `dotenv` say, for all steps; `env` overrides it.
  std::vector<std::pair<std::string, std::string>> dotenv;
  /// The values of the secrets that the workflow uses.
  std::vector<std::pair<std::string, std::string>> secrets;
  FileHashes file_hashes;  ///< For Workflow::hashed_files, of all files.
  /// Of the files that the workflow includes, by their names.
  std::map<std::string, FileValues> included;
  /// What jobs with `resources` can take together; empty if whoever performs
  /// the actions sees to that.
  flow_control::Resources capacity;
  /// `port.NAME`, for the names in port_names().
  std::vector<std::pair<std::string, std::string>> ports;
};

/// The name of the group that a run of `workflow` is to ask for a place in, if
/// it has `concurrency`; whoever starts runs applies its limits.
///
/// Errors: as Plan::make().
[[nodiscard]] Result<std::optional<std::string>> workflow_group(
    const Workflow& workflow, const PlanOptions& options);

/// One run of a workflow, as a machine: events in, actions out, no clock, no
/// thread and no process. Owned by one actor.
///
/// A job becomes ready once all jobs that it needs have ended, its needs'
/// `when` hold (by default: they succeeded) and its `if` is true. An `if` with
/// success(), failure(), always() or cancelled() replaces the check of `when`;
/// failure() looks at all jobs before it, success() at its needs. Otherwise it
/// is skipped. Of the ready jobs those with the highest priority start first,
/// among them those from which the longest path leads to the end of the run, by
/// the estimates in the options, and then those that come first in the file.
///
/// Steps run in sequence. A step without a status function in its `if` is
/// skipped once one before it has failed or the job is being cancelled. A
/// failure under continue-on-error counts as success afterwards, for steps as
/// for jobs; `steps.ID.outcome` and the state of the job still tell.
///
/// An instance whose steps have failed is pending again if its job's `retry`
/// says so, until the delay has passed. It is then as if it had not run.
///
/// A computed matrix is made into instances once the needs have ended and the
/// job's `if`, unless that asks for `matrix`, is true. One that cannot be is a
/// failure of the job; one without a combination has it skipped.
///
/// A job with `approval` that should run is awaiting until somebody has said
/// yes. It has no place, neither of the run nor of `concurrency`, meanwhile.
///
/// A job with `concurrency` asks for a place in its group when it becomes ready
/// and keeps it until it ends.
///
/// A job that needs services is ready without them, but does not start before
/// all of them are up. While it runs they may come and go. When one is lost, or
/// (for a job with a group) has to start again, its step is stopped and has
/// failed, whatever its `continue-on-error` says, and so has the job, for which
/// its `retry` does not count. Steps that look after a failure still run.
///
/// A job that calls another file has a plan of that file's jobs in it, made
/// when it starts and made anew when it starts again. It takes no place: each
/// of its jobs does, in the turn of the job that has called it. Its end is that
/// of the plan. All that can happen to a job happens to all of the plan.
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
    /// Its name in the file; behind that of who has called it: "report/load".
    std::string job;
    std::string label;  ///< With the values of the matrix: "pull (eu, a)".
    JobState state = JobState::pending;
    Duration estimate{0};  ///< How long it may take; zero if not known.
    Duration path{0};      ///< The same from its start to the end of the run.
    /// By whom it has been called; 0 if it is of the file itself.
    InstanceId caller{};
    /// What it is of; both live as long as the workflow.
    const Workflow* file = nullptr;
    const Job* definition = nullptr;
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

  /// How a service is from now on; all are down at first.
  [[nodiscard]] Actions on_service(const service::AvailabilityChange& change,
                                   TimePoint now);

  /// Time has come to look at limits: call at or after next_deadline().
  [[nodiscard]] Actions on_time(TimePoint now);

  /// When on_time() has something to do; nothing if never.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const;

  /// Ends the run in an orderly way: what runs is stopped, and only steps and
  /// jobs whose `if` is true for a cancelled run (always(), cancelled()) still
  /// start. A second call stops these too.
  [[nodiscard]] Actions cancel(TimePoint now);

  /// Instead of start(): the run is not to be. It ends as cancelled, and not
  /// even hooks run.
  [[nodiscard]] Actions refuse(TimePoint now);

  /// What somebody says to the approval that `job` waits for, in all its
  /// variants. It holds for the run: a job that starts again does not ask.
  /// One that is rejected fails, whatever its group says.
  ///
  /// Errors: invalid_argument (no such job, it does not wait, or an input is
  /// missing or wrong); nothing has changed then.
  [[nodiscard]] Result<Actions> answer(const std::string& job,
                                       const ApprovalAnswer& answer,
                                       TimePoint now);

  /// Starts no further job but those whose `if` is true for a cancelled run, in
  /// their turn; running ones go on to their ends.
  [[nodiscard]] Actions stop_starting(TimePoint now);

  [[nodiscard]] const Workflow& workflow() const;
  /// `run-name` with its values; empty if the file has none.
  [[nodiscard]] const std::string& title() const;
  [[nodiscard]] std::span<const Instance> instances() const;
  /// The paths of the services that jobs of this run need, each once.
  [[nodiscard]] std::vector<std::string> services() const;
  /// Present once RunFinished has been given out.
  [[nodiscard]] std::optional<RunResult> result() const;

 private:
  class Machine;
  explicit Plan(std::unique_ptr<Machine> machine);
  std::unique_ptr<Machine> machine_;
};

/// What is to be told of the start of a run, by the rules of its workflow.
[[nodiscard]] std::vector<NoticeOrder> notices_of_start(const Plan& plan);

/// The same of what the plan has given out.
[[nodiscard]] std::vector<NoticeOrder> notices_of(const Actions& actions,
                                                  const Plan& plan);

}  // namespace troupe::workflow
