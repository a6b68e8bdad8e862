#pragma once

/// One run of a workflow as a node drives it: what has happened goes in, what
/// is to be submitted to the queue comes out.
#include "run_spec.hpp"

#include <troupe/node/step_secrets.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/service/availability.hpp>
#include <troupe/workflow/content_argv.hpp>
#include <troupe/workflow/hook.hpp>
#include <troupe/workflow/plan.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::node {

/// The group of the queue for what runs the services of runs: nothing waits in
/// it for a slot.
inline constexpr const char* services_group = "run-services";
inline constexpr std::uint32_t services_slots = 10'000;

/// A step that was started, or passed over; for displays.
struct StepView {
  StepKey key;
  std::string id;       ///< In the file; empty if it has none.
  std::string name;     ///< For people; empty if it was never started.
  std::string command;  ///< Resolved; empty if it is longer than 1 KiB.
  std::optional<workflow::StepOutcome> outcome;  ///< None while it runs.
  std::string reason;
  store::JobId job;  ///< Of the queue; zero if there is none.
  std::uint32_t attempts = 0;
  int exit_status = 0;
  Duration took{0};  ///< The last attempt.
  WallTime started;
  std::optional<WallTime> ended;
};

/// What somebody was asked before a job could run, and has said.
struct ApprovalView {
  std::string prompt{};
  std::optional<workflow::ApprovalAnswer> answer{};
  WallTime answered{};  ///< If there is an answer.
};

/// One variant of a job; for displays.
struct InstanceView {
  std::string job;
  std::string label;
  std::vector<std::string> needs;  ///< As `job` of others.
  workflow::JobState state = workflow::JobState::pending;
  std::string reason;
  std::optional<WallTime> ready;  ///< All that it needs had ended.
  std::optional<WallTime> started;
  std::optional<WallTime> ended;
  /// Of all rounds and restarts, in order.
  std::vector<StepView> steps;
  std::optional<ApprovalView> approval;  ///< None until it is asked for.
};

/// What runs the services of a run, in its last round; for displays.
struct ServicesView {
  StepKey key;
  store::JobId job;  ///< Of the queue; zero if there is none yet.
  std::uint32_t attempt = 0;
  std::uint64_t told = 0;  ///< Changes that it has told, in this attempt.
  bool is_over = false;
  /// By path, those that jobs need.
  std::map<std::string, service::AvailabilityChange> states;
};

/// The run is what was submitted and what has happened to it since, in order:
/// made anew and told all of it once more, a RunCore stands where the one
/// before it stood. Pure: no clock, no store; owned by one actor.
///
/// A retry is another round of the plan. Of a job that has succeeded before,
/// the results are told to the plan again instead of starting its steps.
class RunCore {
 public:
  /// A step that has a job of the queue, or is to get one.
  struct Running {
    workflow::StartStep start;
    store::JobId job;           ///< Zero until on_submitted().
    bool is_cancelled = false;  ///< The plan wants its end.
  };

  /// What is to be done once the news are recorded. Each may be done twice.
  struct Decision {
    std::vector<StepKey> submit;
    std::vector<StepKey> cancel;  ///< After that.
    /// What people are to be told of; together with the record, once.
    std::vector<workflow::NoticeOrder> notices;
  };

  /// A job that tells people something, and when it is to be submitted.
  struct NoticeJob {
    workflow::NoticeOrder::If condition = workflow::NoticeOrder::If::always;
    store::NewJob job;
  };

  /// Errors: those of load_workflow_of() and workflow::Plan::make().
  [[nodiscard]] static Result<RunCore> make(store::RunId run, RunSpec spec);

  /// What the news lead to; nothing if they are none, which are not to be
  /// recorded: a step that does not run any more, a limit that has not passed.
  /// `at` is never taken to be before what was told last.
  ///
  /// Errors: invalid_argument (the run is in no state for it, or there is no
  /// such job); nothing has changed then.
  [[nodiscard]] Result<std::optional<Decision>> apply(const RunNews& news,
                                                      WallTime at);

  /// Tells all that was recorded, in order.
  ///
  /// Errors: corrupt (this cannot have happened to this run: another version
  /// has understood the workflow in another way).
  [[nodiscard]] Result<void> replay(std::span<const store::RunEvent> events);

  /// Whether the plan is to be asked, at that time.
  [[nodiscard]] std::optional<WallTime> next_deadline() const;

  /// What runs, or is to run.
  [[nodiscard]] const std::map<StepKey, Running>& running() const {
    return running_;
  }
  void on_submitted(const StepKey& step, store::JobId job);

  /// The job of the queue for a step that runs, which says on which nodes.
  /// `content` is where the node keeps it; the run is this one.
  [[nodiscard]] store::NewJob job_for(const StepKey& step,
                                      workflow::ContentUse content) const;

  /// Whether another node may run the step, which runs or is to: its job has
  /// `runs-on` or `placement`, and the run is on one of several nodes.
  [[nodiscard]] bool is_placed(const StepKey& step) const;
  /// The node on which its job has begun, by the resource that only that one
  /// has, and by its name; empty as long as any node may run it.
  struct Binding {
    std::string home{};
    std::string node{};
  };
  [[nodiscard]] Binding bound_to(const StepKey& step) const;
  /// What of the run a node has begun, by the resource that only it has, and
  /// has to end before it can leave.
  struct Begun {
    std::size_t jobs = 0;  ///< That have begun there, and not ended.
    /// First steps of jobs, which may be about to begin there, or may have
    /// ended there without the run knowing.
    std::vector<StepKey> maybe{};
  };
  [[nodiscard]] Begun begun_at(const std::string& home) const;
  /// At which of the nodes that may run it it is to wait.
  struct Preference {
    std::string key{};         ///< At the one that this stands for,
    std::string spread{};      ///< or, or of, those that have this name:
    std::size_t variant = 0;   ///< which one,
    std::size_t variants = 1;  ///< of how many.

    friend bool operator==(const Preference&, const Preference&) = default;
  };
  /// None if it may be any of them, or one alone.
  [[nodiscard]] std::optional<Preference> preference_of(
      const StepKey& step) const;
  /// Why no node can ever run it; empty if one may.
  [[nodiscard]] std::string refusal_of(const StepKey& step) const;

  /// The job of the queue that runs the services of this round, by `program`,
  /// which says how they are to the node at `socket` and keeps their logs in a
  /// folder of `folder`.
  [[nodiscard]] store::NewJob services_job(const std::string& program,
                                           const std::string& socket,
                                           const std::string& folder) const;

  /// The job of the queue for the `place`th notice of the event `number`, which
  /// was told last. `program` is that of troupe.
  [[nodiscard]] NoticeJob notice_job(const workflow::NoticeOrder& order,
                                     std::uint64_t number, std::size_t place,
                                     const std::string& program) const;

  /// The concurrency group of runs that it has to be let into before it begins,
  /// and before a retry; empty if there is none.
  [[nodiscard]] const std::string& concurrency_group() const { return group_; }

  /// Whether it has been let in, in any round, or was refused. One that has not
  /// may have moved.
  [[nodiscard]] bool has_begun() const { return has_begun_; }

  [[nodiscard]] const std::vector<StepSecret>& secrets() const {
    return secrets_;
  }

  [[nodiscard]] store::RunId run() const { return run_; }
  [[nodiscard]] const RunSpec& spec() const { return spec_; }
  /// Whether another node has driven it before: then some of its jobs may have
  /// been claimed there, and nobody here is told of their ends.
  [[nodiscard]] bool has_moved() const { return has_moved_; }
  /// As RunSpec::home, of the node that drives it now.
  [[nodiscard]] const std::string& home() const { return home_; }
  [[nodiscard]] const workflow::Workflow& workflow() const {
    return *workflow_;
  }
  [[nodiscard]] std::shared_ptr<const workflow::Workflow> shared_workflow()
      const {
    return workflow_;
  }
  /// What people call it: by its `run-name`, else as the workflow.
  [[nodiscard]] const std::string& title() const {
    return plan_.title().empty() ? workflow_->name : plan_.title();
  }
  /// How many events have been told: the number of the next one.
  [[nodiscard]] std::uint64_t events() const { return events_; }
  [[nodiscard]] WallTime last_event() const { return last_; }
  [[nodiscard]] store::RunState state() const;
  [[nodiscard]] store::RunCounts counts() const;
  /// How many instances wait for approval.
  [[nodiscard]] std::size_t awaiting() const;
  [[nodiscard]] std::span<const InstanceView> instances() const {
    return instances_;
  }
  /// None until they are started.
  [[nodiscard]] const std::optional<ServicesView>& services() const {
    return services_;
  }
  /// The paths of those that jobs of the run need.
  [[nodiscard]] std::vector<std::string> needed_services() const {
    return plan_.services();
  }
  /// The job that this one of instances() is a variant of.
  [[nodiscard]] const workflow::Job& definition(std::size_t instance) const {
    return *plan_.instances()[instance].definition;
  }
  /// What groups have decided, for people, with the time.
  [[nodiscard]] const std::vector<std::pair<WallTime, std::string>>& notes()
      const {
    return notes_;
  }

 private:
  /// An instance over all rounds: who has called it, the job and which of its
  /// instances it is.
  using Place = std::string;
  /// Of each step that has ended, in this restart of the instance.
  using Results = std::map<std::uint32_t, workflow::StepResult>;

  RunCore(store::RunId run, RunSpec spec,
          std::shared_ptr<const workflow::Workflow> workflow,
          workflow::Plan plan);

  /// Of what an instance has uploaded.
  struct Upload {
    std::uint32_t version = 0;
    std::string node{};    ///< By its name, if that is known.
    std::string origin{};  ///< Job of the queue and attempt, likewise.
  };

  [[nodiscard]] TimePoint plan_now() const;
  void note_place(const workflow::StartStep& start, const RunStepEnded& ended);
  /// For caches and artifacts of a step of a run on one of several nodes.
  void add_places(const workflow::StartStep& start,
                  workflow::ContentUse& content) const;
  [[nodiscard]] std::string resources_of(const StepKey& step) const;
  void name_instances();
  void recall(std::size_t instance);
  [[nodiscard]] InstanceView& view(workflow::InstanceId id);
  [[nodiscard]] std::string step_id(workflow::InstanceId instance,
                                    std::size_t step) const;
  Result<std::optional<Decision>> retry(const RunRetried& retried);
  Result<std::optional<Decision>> note_answer(const RunAnswered& answered);
  Result<std::optional<Decision>> note_services(const RunServicesTold& told);
  Decision lose_services(const RunStepEnded& ended);
  void add_change(const service::AvailabilityChange& change,
                  workflow::Actions& actions);
  void start_services(Decision& decision);
  void end_services(Decision& decision);
  [[nodiscard]] std::map<Place, Results> results_to_keep(
      const std::string& from) const;
  [[nodiscard]] const Place& place_of(std::size_t instance) const;
  Decision perform(workflow::Actions actions);
  [[nodiscard]] store::Priority priority_of(const workflow::Job& job) const;
  /// Has the command get the values of the secrets that it uses.
  void add_secrets(workflow::StartStep& start, const std::string& program,
                   queue::JobSpec& spec,
                   std::map<std::string, std::string>& variables) const;
  /// The start of a round and what comes of it.
  Decision begin();
  /// The end of a run that has not begun.
  Decision leave_out();
  void add_notices(const workflow::Actions& actions, Decision& decision) const;
  void perform(const workflow::StartStep& start, Decision& decision,
               workflow::Actions& more);
  void perform(const workflow::CancelStep& cancel, Decision& decision);
  void perform(const workflow::StepEnded& ended);
  void perform(const workflow::JobStateChanged& changed);
  void perform(const workflow::GroupDecided& decided);
  void perform(const workflow::JobExpanded& expanded);
  void perform(const workflow::ApprovalWanted& wanted, workflow::Actions& more);
  [[nodiscard]] bool is_kept(std::size_t instance) const;

  store::RunId run_;
  RunSpec spec_;
  std::shared_ptr<const workflow::Workflow> workflow_;
  workflow::Plan plan_;
  std::string home_;
  std::uint64_t events_ = 0;
  bool has_begun_ = false;
  bool has_moved_ = false;
  WallTime last_{};
  bool has_failed_to_begin_ = false;
  std::string group_;
  std::vector<StepSecret> secrets_;
  std::uint32_t round_ = 0;
  bool round_before_failed_ = false;
  std::map<StepKey, Running> running_;
  std::vector<InstanceView> instances_;
  std::vector<Place> places_;            ///< Of each instance.
  std::vector<std::uint32_t> restarts_;  ///< Of each instance.
  std::vector<Results> results_;         ///< Likewise.
  std::map<Place, Results> kept_;        ///< Of rounds before.
  /// On which node an instance with `runs-on` has begun, by its index.
  std::map<std::size_t, Binding> bound_;
  /// By job and name, and then by instance; of all rounds.
  std::map<std::pair<std::string, std::string>, std::map<std::string, Upload>>
      uploads_;
  std::vector<std::string> nodes_;  ///< That have run steps, by their names.
  /// Of jobs that somebody has approved, in any round.
  std::map<std::string, workflow::ApprovalAnswer> approved_;
  /// As they were in rounds before, until this one has them, too.
  std::map<Place, InstanceView> before_;
  std::optional<ServicesView> services_;
  [[nodiscard]] WallTime time_told() const;
  /// How the step that is being told to the plan has ended.
  const RunStepEnded* told_ = nullptr;
  std::vector<std::pair<WallTime, std::string>> notes_;
};

}  // namespace troupe::node
