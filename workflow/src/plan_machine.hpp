#pragma once

/// The machine behind Plan. Its parts:
///
///   plan_machine.cpp  what comes from outside: inputs, events, cancelling
///   plan_jobs.cpp     which job may run, and what its end means to others
///   plan_steps.cpp    the steps of an instance that runs
///   plan_groups.cpp   jobs that start again with their group
///   plan_approval.cpp jobs that wait until somebody agrees
///   plan_calls.cpp    jobs that run those of another file
///   plan_hooks.cpp    what comes before and after all jobs
///   plan_needed.cpp   jobs that need services
///
/// An event costs the logarithm of the number of jobs and what follows from
/// it: nothing looks at all jobs but the start, cancelling and the end.
#include "deadlines.hpp"
#include "ready_queue.hpp"

#include <troupe/base/random.hpp>
#include <troupe/supervisor/restart_window.hpp>
#include <troupe/workflow/plan.hpp>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <tuple>

namespace troupe::workflow {

/// What a job's end means to the run and to the jobs that need it.
enum class Verdict : std::uint8_t { success, failure, cancelled, skipped };

[[nodiscard]] std::string_view to_string(Verdict verdict);

/// A step that has ended or was passed over.
struct StepRecord {
  StepOutcome outcome = StepOutcome::skipped;
  StepOutcome conclusion = StepOutcome::skipped;  ///< After continue-on-error.
  bool timed_out = false;
  std::vector<actors::Cause> causes;
  Outputs outputs;
};

/// What the plan knows of an instance besides what displays need.
struct Progress {
  std::size_t job = 0;  ///< Index in the workflow.
  Value matrix;
  std::vector<StepRecord> steps;  ///< As many as have ended.
  bool step_runs = false;         ///< The one after `steps`.
  bool stop_asked = false;        ///< For that step.
  /// By fail-fast or with the run. A job that starts after that, since its
  /// `if` says so, is not: its steps run as usual.
  bool cancelled = false;
  std::uint32_t restarts = 0;
  bool restarts_at_end = false;  ///< With its group.
  std::uint32_t retries = 0;     ///< By `retry` of its job.
  bool waits_to_retry = false;
  std::string concurrency;       ///< The group that it is in or waits for.
  bool waits_for_group = false;  ///< A place in that.
  std::optional<TimePoint> first_start;    ///< Before all retries.
  std::vector<actors::Cause> causes;       ///< Of its failure.
  bool forgiven = false;                   ///< That failure counts as success.
  JobState last_state = JobState::failed;  ///< Of the try before.
  std::string reason;                      ///< Of its last end.
  std::uint64_t ended_as = 0;              ///< Grows from one end to the next.
  bool out_of_time = false;                ///< Of the job.
  bool step_out_of_time = false;
  std::string lost_service;          ///< Why it cannot go on; empty if it can.
  bool stopped_for_service = false;  ///< The step that runs.
  Value env;                         ///< Of the workflow and the job.
  Value steps_so_far{Value::Object{}};  ///< By id, for expressions.
  Value outputs;
  // Of an instance that another one has called; the plan in that knows the
  // rest.
  std::optional<std::size_t> caller;
  std::size_t inner = 0;            ///< Its index in that plan.
  std::uint32_t restarts_before{};  ///< In the plans before that.
};

/// What the plan knows of a job with all its instances.
struct JobProgress {
  std::vector<std::size_t> instances;   ///< In the order of its matrix.
  std::size_t left = 0;                 ///< Instances that have not ended.
  std::size_t running = 0;              ///< Instances.
  std::size_t needs_left = 0;           ///< Jobs before it that have not ended.
  std::vector<std::size_t> needed_by;   ///< Indices of jobs.
  std::vector<std::size_t> awaited_by;  ///< Those that wait for its start.
  bool has_started = false;             ///< An instance, and those were told.
  std::size_t kind = 0;                 ///< Of what its instances take.
  /// For expressions; there only while it is looked at or runs, since a
  /// thousand jobs may need the same long output.
  Value needs;
  bool knows_needs = false;
  bool has_ended = false;  ///< Those after it have been told.
  // Once it has:
  Verdict verdict = Verdict::skipped;
  bool failed_before = false;  ///< It, or a job before it.
  Value outputs;
  Value approval;  ///< Null until somebody has agreed.
  /// Somebody has rejected it, or nobody has agreed in time.
  bool is_refused = false;
  std::size_t services_missing = 0;  ///< Of those that it needs.
};

/// What the plan knows of a service that jobs need.
struct ServiceProgress {
  service::Availability state = service::Availability::down;
  std::string why;                ///< Of its loss.
  std::vector<std::size_t> jobs;  ///< That need it.
};

/// What the plan knows of a group.
struct GroupProgress {
  supervisor::RestartWindow window;
  std::vector<std::size_t> jobs{};  ///< In the order of the file.
  std::size_t stopping = 0;         ///< Instances that have to end first.
};

/// What a plan gets from the one around it.
struct CalledWith {
  Value inputs;
  Value run;
  Value secrets;
  std::string seed;  ///< Of its delays.
};

/// What all plans of a run share.
struct RunTotals {
  std::size_t running = 0;    ///< Instances with a place.
  std::size_t instances = 0;  ///< Without those of plans that are gone.
};

/// Of a name that a user has given, where it is shown.
inline constexpr std::size_t name_columns = 60;

class Plan::Machine {
 public:
  Machine(std::shared_ptr<const Workflow> workflow, PlanOptions options);
  /// Of a plan in another one, which starts its jobs.
  Machine(std::shared_ptr<const Workflow> workflow, PlanOptions options,
          CalledWith given, std::shared_ptr<RunTotals> totals);
  ~Machine();
  /// Checks the inputs and makes the instances with their labels.
  Result<void> set_up();
  /// Inputs, secrets and what is known of the run.
  Result<void> take_values();
  Actions start(TimePoint now);
  Actions on_step_finished(InstanceId id, std::size_t step, StepResult result,
                           TimePoint now);
  Actions on_service(const service::AvailabilityChange& change, TimePoint now);
  std::vector<std::string> services() const;
  Actions on_time(TimePoint now);
  std::optional<TimePoint> next_deadline() const;
  Actions cancel(TimePoint now);
  Actions refuse(TimePoint now);
  Actions stop_starting(TimePoint now);
  Result<Actions> answer(const std::string& job, const ApprovalAnswer& answer,
                         TimePoint now);
  const Workflow& workflow() const;
  const std::string& title() const;
  std::span<const Instance> instances() const;
  std::optional<RunResult> result() const;

 private:
  static std::size_t index(InstanceId id);
  const Job& job_of(std::size_t i) const;
  Actions take_actions();
  /// Of each job, whether the run has it.
  Result<std::vector<bool>> wanted_jobs() const;
  /// Sorts jobs by what they take.
  ///
  /// Errors: invalid_argument (one takes more than there is).
  Result<void> sort_by_resources();
  /// To be called when what is free has changed.
  void update_kinds();
  bool holds(const Need& need) const;
  Result<void> add_instances(std::size_t job_index);
  void rank_jobs();
  /// "pull (eu, a)"; a name of its own is taken as it is.
  static std::string label(const Job& job, const std::string& name,
                           const Value::Object& combination);
  /// `around` with the variables of `env`, later ones winning.
  static Result<Value::Object> resolve_all(
      const std::vector<NamedTemplate>& env, const Environment& environment,
      Value::Object around);
  /// Starts what can start until nothing changes.
  void pump(TimePoint now);
  /// Follows up what has happened, without starting anything; looks for the
  /// end.
  void settle();
  /// Starts what should be next, here or in a plan in this one; false if
  /// nothing can start.
  bool start_next();
  /// The same, for the plan around this one.
  Actions start_one(TimePoint now);
  /// Whether others of its group have to end first.
  bool awaits_group(std::size_t job_index) const;
  void add_services(std::size_t job_index);
  /// Asks for the services of the run, once.
  void ask_for_services(const Job& job);
  /// Why the job cannot run any more; empty if it can.
  std::string lost_service_of(const Job& job) const;
  std::string missing_services_of(const Job& job) const;
  void lose_service(std::size_t job_index);
  /// What runs of the job is stopped, and has failed, for that reason.
  void stop_for_service(std::size_t job_index, const std::string& why);
  /// To be called when what limits a job by itself has changed.
  void update_place(std::size_t job_index);
  /// Lets those of its instances that are pending run, or ends them.
  void judge_job(std::size_t job_index);
  void learn_needs(std::size_t job_index);
  void forget_needs(std::size_t job_index);
  void judge(std::size_t i);
  /// Makes the instances of a computed matrix. False if that ended the job.
  bool expand(std::size_t job_index);
  Result<std::vector<Value::Object>> compute_matrix(std::size_t job_index);
  /// Adds one of `combination`, and names it.
  Result<std::size_t> add_instance(std::size_t job_index,
                                   const Value::Object& combination);
  Result<std::string> label_of(std::size_t job_index,
                               const Value& matrix) const;
  /// An instance that should run asks for what it takes.
  void admit(std::size_t i);
  void await_approval(std::size_t i);
  /// The one of this name that awaits approval.
  Result<std::size_t> job_to_answer(const std::string& job) const;
  /// Its time is over.
  void end_approval(std::size_t i);
  void leave_concurrency(std::size_t i);
  /// Another one is to have its place.
  void replace(std::size_t i, std::size_t by);
  std::string reason_to_skip(std::size_t i) const;
  /// For jobs that have not started, a run whose running jobs may finish is as
  /// cancelled as one whose jobs are stopped.
  bool is_ending() const;
  std::string reason_to_cancel() const;
  /// Whether a job whose needs have ended should run, as things stand.
  Result<bool> wants_to_run(std::size_t i);
  /// The same for one that is ready, after something has happened.
  bool still_wants_to_run(std::size_t i);
  /// An `if` without a status function also asks for success().
  static Result<bool> is_true(const Condition& condition,
                              const Environment& environment);
  Value needs_value(const Job& job) const;
  void run(std::size_t i, TimePoint now);
  /// The names of an instance, with the status of its steps so far.
  Environment environment(std::size_t i) const;
  /// The same before it runs: learns its needs.
  Environment environment_before(std::size_t i);
  Result<bool> step_wants_to_run(std::size_t i, const Step& step) const;
  std::string reason_to_pass_over(std::size_t i, const Step& step) const;
  bool current_step_wants_to_run(std::size_t i) const;
  /// Goes on to the next step that wants to run, or to the end of the job.
  void advance(std::size_t i, TimePoint now);
  Result<StartStep> command_of(std::size_t i, std::size_t number);
  Result<void> add_content(StartStep& out, const Step& step,
                           const Environment& names, std::size_t i) const;
  void end_step(std::size_t i, StepResult result);
  /// Notes the end of the current step and lets later ones see it.
  void record(std::size_t i, StepRecord ended, std::string reason);
  void finish_instance(std::size_t i);
  /// Ends an instance that has failed, unless it is tried again.
  void fail_instance(std::size_t i, JobState state, std::string reason);
  bool try_again(std::size_t i, JobState state, const std::string& reason);
  /// It fails for good where it would have been tried again.
  void give_up_retry(std::size_t i);
  /// It has left the place where it ran.
  void free_place(std::size_t i);
  /// As if it had not run, but for what is counted over all tries.
  void renew(std::size_t i);
  std::string reason_of_failure(std::size_t i, std::size_t s) const;
  static std::string late_reason(const Job& job);
  /// Whether steps were passed over because somebody asked for the end.
  static bool left_out_by_cancel(const Progress& progress);
  void stop_step(std::size_t i);
  /// Has one that runs end; one that is called at once if `hard`.
  void stop_running(std::size_t i, bool hard);
  void start_call(std::size_t i);
  Result<std::unique_ptr<Machine>> make_called(std::size_t i);
  Result<Value::Object> arguments(std::size_t i) const;
  Result<Value::Object> secrets_for(std::size_t i) const;
  /// Knows the instances of a plan in this one that are new.
  void adopt(std::size_t caller, bool tell);
  std::size_t adopt_one(std::size_t caller, std::size_t inner);
  /// What the plan in `caller` says; it is heard in its turn, since whoever
  /// asked may be in the middle of something.
  void note(std::size_t caller, Actions said);
  /// Passes on what a plan in this one has to say.
  void hear(std::size_t caller);
  void hear(std::size_t caller, Action& action);
  void finish_call(std::size_t i);
  /// What a job that has called this plan hands on.
  Result<Value::Object> outputs_of_call() const;
  /// The first instance whose failure stands; none if none has.
  void clear_deadlines(std::size_t i);
  void change(std::size_t i, JobState state, std::string reason);
  void end_instance(std::size_t i, JobState state, std::string reason);
  /// The other instances of the matrix are cancelled as a run is.
  void fail_fast(std::size_t failed);
  void end_job(std::size_t job_index);
  /// False if the failure of the job stands.
  bool restart_group(std::size_t failed_job);
  void restart_job(std::size_t job_index, bool all_of_it);
  /// As if it had not run. The jobs after it wait for it once more.
  void open_again(std::size_t i);
  /// Of a job that was about to start.
  void wait_again(std::size_t job_index);
  /// An instance that had to end first has.
  void stopped_for_group(std::size_t group);
  /// Its jobs may go on, or not any more.
  void update_group(std::size_t group);
  /// Of several instances the last one with a value gives it.
  static void collect_outputs(Progress& progress, Value::Object& all);
  RunResult verdict() const;
  /// Lets all jobs run whose needs have ended: none before on-start.
  void open_jobs();
  /// on-start has ended.
  void end_on_start();
  /// To be called when nothing is left to do: makes the next of the hooks that
  /// come after the jobs. False if there is none.
  bool open_next_hook();
  /// The first of the instances whose failure stands.
  /// Of each variant of `job` that has called one that waits.
  Result<void> answer_in_call(std::string_view job, std::string_view rest,
                              const ApprovalAnswer& answer);
  std::optional<std::size_t> first_failure() const;
  /// "load (eu) > lint"
  std::string blame(std::size_t i) const;
  /// One that runs after the jobs, and in spite of a first cancel().
  bool is_end_hook(std::size_t job_index) const;

  /// Another plan that runs in this one.
  struct Called {
    std::unique_ptr<Machine> machine;
    std::vector<std::size_t> here;  ///< Its instances, by their indices there.
    std::map<std::string, std::size_t> counted;  ///< Of its jobs.
    Actions said;                                ///< And not heard yet.
  };

  /// In the order of who starts first: instances of a job, and before the next
  /// job what the plans in them could start.
  static std::size_t own_line(std::size_t job) { return 2 * job; }
  static std::size_t line_of_calls(std::size_t job) { return 2 * job + 1; }

  std::shared_ptr<const Workflow> workflow_;
  PlanOptions options_;
  std::optional<CalledWith> given_;  ///< By the plan around this.
  std::shared_ptr<RunTotals> totals_;
  Value inputs_;
  Value run_;
  Value secrets_;
  std::string title_;  ///< `run-name`
  Value env_;          ///< Of the workflow.
  std::vector<Instance> instances_;
  std::vector<Progress> progress_;  ///< Of each instance.
  std::vector<JobProgress> jobs_;   ///< Of each job.
  std::vector<GroupProgress> groups_;
  std::map<std::string, ServiceProgress> services_;  ///< By path.
  bool services_asked_ = false;
  Value ports_;
  /// What jobs take, each once; the first is nothing.
  std::vector<flow_control::Resources> kinds_{1};
  flow_control::Resources free_;   ///< If the plan is to see to it.
  ConcurrencyGroups concurrency_;  ///< By the numbers of instances.
  std::optional<ReadyQueue> ready_;
  /// Jobs with pending instances that may be judged: all that it takes has
  /// happened since they were looked at last.
  std::set<std::size_t> due_;
  Deadlines deadlines_;
  std::size_t unfinished_ = 0;  ///< Instances.
  TimePoint now_{};             ///< Of the event at hand.
  Random random_;               ///< Of delays; the same in each plan of a run.
  std::map<std::size_t, Called> called_;  ///< By the instance that calls.
  std::set<std::size_t> unheard_;         ///< Of these, those with news.
  /// Instances that were called, by caller, job and place in that: a plan that
  /// is made anew has them again.
  std::map<std::tuple<std::size_t, std::string, std::size_t>, std::size_t>
      places_;
  bool stopping_ = false;
  bool cancelled_ = false;
  bool cancelled_twice_ = false;
  /// How the jobs have ended, and so the run will: hooks do not change it.
  std::optional<RunResult> outcome_;
  std::deque<std::size_t> hooks_left_;  ///< Jobs.
  std::uint64_t ends_ = 0;              ///< Of instances.
  std::optional<RunResult> result_;
  Actions actions_;  ///< Of the event at hand.
};

}  // namespace troupe::workflow
