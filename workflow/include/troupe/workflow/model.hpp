#pragma once

#include <troupe/actors/command_request.hpp>
#include <troupe/base/time.hpp>
#include <troupe/config/source.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/workflow/template.hpp>
#include <troupe/workflow/value.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// A text under a name of the user's own: a variable or an output.
struct NamedTemplate {
  std::string name;
  Template value;
};

/// Time limits; zero for none.
struct TimeLimits {
  Duration attempt{0};  ///< Of each attempt.
  Duration total{0};    ///< Of all attempts and the waits between them.

  friend bool operator==(const TimeLimits&, const TimeLimits&) = default;
};

/// The shell of steps that ask for none: it stops at the first command that
/// fails.
[[nodiscard]] std::vector<std::string> default_shell();

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
  bool continue_on_error = false;
  std::optional<Condition> condition;  ///< `if`; success() if absent.
};

/// When the end of a needed job lets the job that needs it run.
enum class When : std::uint8_t { succeeded, finished, failed };

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

/// Work that runs as a unit: steps in sequence, once for each combination of
/// its matrix.
struct Job {
  std::string id;
  config::Span where;
  Template name;  ///< For people; may be empty.
  std::vector<Need> needs;
  std::optional<std::size_t> group;  ///< Index in Workflow::groups.
  std::vector<NamedTemplate> env;
  std::vector<Step> steps;  ///< Of a `run:` job one, with the id "run".
  std::vector<NamedTemplate> outputs;
  /// One object per instance; a job without a matrix has one, empty.
  std::vector<Value::Object> matrix{{}};
  std::uint32_t max_parallel = std::numeric_limits<std::uint32_t>::max();
  bool fail_fast = true;
  bool continue_on_error = false;
  /// Of each instance, steps and waits together; zero for none.
  Duration time_limit{0};
  std::optional<Condition> condition;  ///< `if`; see Plan.
};

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
  std::vector<std::string> dotenv;  ///< Files of variables of the services.
  std::vector<Job> jobs;            ///< In the order of the file.
  std::vector<JobGroup> groups;
  std::shared_ptr<const ServiceGroup> services;  ///< Null if there are none.
  std::vector<InputUse> inputs;
};

/// Limits on what one file can ask for.
inline constexpr std::size_t most_jobs = 2000;
inline constexpr std::size_t most_combinations = 1024;  ///< Of one matrix.
inline constexpr std::size_t most_instances = 10'000;   ///< Of one run.

}  // namespace troupe::workflow
