#pragma once

#include <troupe/actors/command_request.hpp>
#include <troupe/base/time.hpp>
#include <troupe/config/source.hpp>
#include <troupe/flow_control/resources.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/workflow/approval.hpp>
#include <troupe/workflow/concurrency.hpp>
#include <troupe/workflow/hook.hpp>
#include <troupe/workflow/inputs.hpp>
#include <troupe/workflow/notify.hpp>
#include <troupe/workflow/outputs.hpp>
#include <troupe/workflow/template.hpp>
#include <troupe/workflow/triggers.hpp>
#include <troupe/workflow/value.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// Time limits; zero for none.
struct TimeLimits {
  Duration attempt{0};  ///< Of each attempt.
  Duration total{0};    ///< Of all attempts and the waits between them.
  Duration queue{0};    ///< Of a job that is ready: until it has a place.
  Duration silence{0};  ///< Of each attempt, without output.

  friend bool operator==(const TimeLimits&, const TimeLimits&) = default;
};

/// The shell of steps that ask for none: it stops at the first command that
/// fails.
[[nodiscard]] std::vector<std::string> default_shell();

/// Whether a failure counts as success for what comes after it.
struct Forgiveness {
  bool any = false;                       ///< However it failed.
  std::vector<actors::CauseRule> causes;  ///< If it failed by one of these.

  [[nodiscard]] bool covers(const std::vector<actors::Cause>& failure) const {
    return any || actors::covers(causes, failure);
  }
};

/// When a step need not run again: it did with the same command, key and
/// sources, and what it made then is put back.
struct StepCache {
  Template key;
  std::vector<Template> sources;    ///< Patterns of files that it reads.
  std::vector<Template> generates;  ///< Likewise, that it makes.
  Duration max_age{0};              ///< Of what it made; zero for any.
};

/// Files that a step hands on to other jobs, or gets from one, instead of
/// running a command.
struct Transfer {
  bool is_upload = true;
  std::string job;  ///< That made them.
  std::string name;
  config::Span where;
  std::vector<Template> patterns;  ///< Of an upload.
  Duration retention = 24h * 30;   ///< Likewise.
};

/// One command of a job. Defaults of the workflow and the job are in it.
struct Step {
  std::string id;  ///< For `steps.ID`; empty if none was given.
  Template name;   ///< For people; may be empty.
  Template run;
  std::vector<NamedTemplate> env;
  std::vector<std::string> shell;  ///< Its words; the text follows after -c.
  Template working_directory;      ///< Empty for the one of troupe.
  TimeLimits timeout;
  Duration grace = 2s;
  actors::RetryPolicy retry;
  actors::SuccessCriteria success;
  Forgiveness continue_on_error;
  std::optional<Condition> condition;  ///< `if`; success() if absent.
  std::optional<StepCache> cache;
  std::optional<Transfer> transfer;    ///< Then there is no `run`.
  std::vector<PrintedOutput> outputs;  ///< What it hands on of its output.
};

/// When the end of a needed job, or its start, lets the job that needs it run.
enum class When : std::uint8_t { succeeded, finished, failed, started };

struct Need {
  std::size_t job = 0;  ///< Index in Workflow::jobs.
  When when = When::succeeded;
};

/// A supervisor over jobs. When a job of it has failed, with all attempts of
/// its steps, it is started again, and with it those that the strategy names;
/// after too many restarts the failure stands.
struct JobGroup {
  std::string id;
  config::Span where;
  supervisor::Strategy strategy = supervisor::Strategy::one_for_one;
  int intensity = 1;
  Duration period = 24h;  ///< Jobs may take long.
};

/// Where the value of a secret comes from.
enum class SecretSource : std::uint8_t { environment, file, command };

/// A value that is given to commands and never shown.
struct Secret {
  std::string name;
  config::Span where;  ///< Its name.
  SecretSource source = SecretSource::environment;
  std::string key;  ///< The variable, the path or the command.
  bool is_used = false;
};

/// On which node a job runs. A node by itself has all labels.
struct Placement {
  std::vector<Template> labels;  ///< `runs-on`
  bool is_of_job = false;        ///< They stand on the job, not around it.
  Template key;                  ///< Jobs with the same one go to one node.
  bool spread = false;           ///< Variants go to several nodes.
  config::Span where{};          ///< Of key or spread, if there is one.

  /// Whether it says which node of several: else it is the one that drives the
  /// run.
  [[nodiscard]] bool is_said() const {
    return !labels.empty() || !key.empty() || spread;
  }
};

/// What goes first when there is not room for all.
enum class Priority : std::uint8_t { low, normal, high, critical };

/// A matrix with expressions in it: known once the jobs before have ended.
struct MatrixText {
  struct Part {
    std::string key;  ///< A list, "include" or "exclude".
    std::optional<Template> computed;
    Value written;  ///< If nothing in it is computed.
  };

  config::Span where;
  std::optional<Template> whole;  ///< One expression for all of it.
  std::vector<Part> parts;        ///< Otherwise, in the order of the file.
};

/// Which jobs or runs may be at work at the same time.
struct Concurrency {
  Template group;
  ConcurrencyLimits limits;
};

/// How many runs of a workflow are kept, and for how long.
struct Retention {
  std::uint32_t runs = 0;  ///< Zero for any number.
  Duration age{0};         ///< Zero for ever.
};

struct Workflow;

/// A value that a job gives to the file that it calls.
struct Argument {
  std::string name;
  config::Span where;  ///< Its name.
  Template value;
};

/// Another file whose jobs run in place of steps.
struct Call {
  config::Span where;  ///< Of `uses`.
  /// Of a checked workflow never null.
  std::shared_ptr<const Workflow> workflow;
  /// Only this job of it and what that needs; empty for all.
  std::string job;
  std::vector<Argument> inputs;   ///< `with`
  std::vector<Argument> secrets;  ///< By the names that the file has.
  bool inherits_secrets = false;  ///< Those with the same name.
};

/// Work that runs as a unit: steps in sequence or the jobs of another file,
/// once for each combination of its matrix.
struct Job {
  std::string id;
  config::Span where;
  Template name;  ///< For people; may be empty.
  std::vector<Need> needs;
  /// Paths of the services that have to be ready, none twice; a group in
  /// `needs` stands for all that is in it.
  std::vector<std::string> services;
  std::optional<std::size_t> group;  ///< Index in Workflow::groups.
  Priority priority = Priority::normal;
  std::vector<NamedTemplate> env;
  std::vector<Step> steps;   ///< Of a `run:` job one, with the id "run".
  std::optional<Call> call;  ///< Instead of steps.
  std::vector<NamedTemplate> outputs;
  /// One object per instance; a job without a matrix has one, empty.
  std::vector<Value::Object> matrix{{}};
  /// If set, `matrix` is empty but for one placeholder, and the instances are
  /// made when the needs have ended.
  std::shared_ptr<const MatrixText> computed_matrix;
  std::uint32_t max_parallel = std::numeric_limits<std::uint32_t>::max();
  bool fail_fast = true;
  std::optional<Concurrency> concurrency;
  Forgiveness continue_on_error;
  /// Of an instance with all its steps. One attempt unless the job has `steps`:
  /// that of a `run:` job is its step's.
  actors::RetryPolicy retry;
  /// Of each instance, steps and waits together; zero for none.
  Duration time_limit{0};
  Duration queue_limit{0};  ///< Of waiting for a place; zero for none.
  std::optional<Condition> condition;  ///< `if`; see Plan.
  Placement placement;
  flow_control::Resources resources;         ///< That each instance takes.
  std::shared_ptr<const Approval> approval;  ///< Null if it needs none.
  /// If it is none of `jobs`, but of `hooks`: one step, and no needs.
  std::optional<Hook> hook;
};

/// What a step is called where each of a job needs a name: its id, or "step-2",
/// or "upload-csv".
[[nodiscard]] std::string step_key(const Job& job, std::size_t step);

/// What others can ask for in `jobs.ID.outputs`.
[[nodiscard]] std::vector<std::string> output_names(const Job& job);

/// A place where the value of an input is used.
struct InputUse {
  std::string name;
  config::Span where;
};

struct ServiceGroup;  // services.hpp

/// A checked workflow. Immutable: made by load_workflow() and shared by all
/// runs of it. Every name in it is known, its jobs form no cycle.
struct Workflow {
  std::shared_ptr<const config::Source> source;
  std::string name;  ///< The file's name if it has none.
  std::vector<NamedTemplate> env;
  Template run_name;                ///< Of each run; may be empty.
  std::vector<std::string> dotenv;  ///< Files of variables.
  std::vector<Secret> secrets;
  /// The arguments of each hashFiles().
  std::vector<std::vector<std::string>> hashed_files;
  bool uses_actor = false;  ///< Whether an expression asks for `run.actor`.
  std::vector<Job> jobs;    ///< In the order of the file, then the hooks.
  std::optional<Concurrency> concurrency;  ///< Of runs; see workflow_group().
  Retention retention;
  std::vector<JobGroup> groups;
  std::vector<NotifyRule> notify;
  std::shared_ptr<const ServiceGroup> services;  ///< Null if there are none.
  Triggers triggers;
  std::vector<InputUse> inputs;  ///< The first use of each.
  /// The files that this one names, each once.
  std::vector<std::shared_ptr<const Workflow>> includes;

  /// The inputs of a run by hand, which are those of a call if it has none of
  /// its own; null if the file declares none at all.
  [[nodiscard]] const std::vector<Input>* declared_inputs() const;
  /// The index of the job that is this hook, if there is one.
  [[nodiscard]] std::optional<std::size_t> find(Hook hook) const;
  /// The inputs of a call, which are those of a run by hand if it has none of
  /// its own; null likewise.
  [[nodiscard]] const std::vector<Input>* inputs_of_call() const;
};

/// Of each job of `workflow`, whether it is `job` or what that needs, directly
/// or not; all are if `job` is empty.
[[nodiscard]] std::vector<bool> needed_by(const Workflow& workflow,
                                          std::string_view job);

/// `workflow` and all files that it includes, directly or not, each once, in
/// the order in which they are named.
[[nodiscard]] std::vector<const Workflow*> files_of(const Workflow& workflow);

/// Whether `secret` of `file` gets its value from its own source in some call
/// of the file by `main` or what that includes: not if each call gives one.
[[nodiscard]] bool needs_source(const Workflow& main, const Workflow& file,
                                const Secret& secret);

/// Limits on what one file can ask for.
inline constexpr std::size_t most_jobs = 10'000;
inline constexpr std::size_t most_combinations = 1024;  ///< Of one matrix.
inline constexpr std::size_t most_instances = 10'000;   ///< Of one run.

}  // namespace troupe::workflow
