#pragma once

/// What somebody submits as a run of a workflow, and what has happened to one,
/// to and from JSON. Pure.
#include "job_json.hpp"

#include <troupe/actors/outcome.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/node/run_services.hpp>
#include <troupe/store/store.hpp>
#include <troupe/workflow/history.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/outputs.hpp>
#include <troupe/workflow/plan.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::node {

/// All that a run needs to begin: kept with it, since the file may be another
/// one tomorrow.
struct RunSpec {
  std::string file;  ///< Its path, for messages; absolute.
  std::string text;  ///< What stood in it.
  /// The texts of the files that it includes, directly or not, by the paths
  /// that they have as seen from `file`.
  std::map<std::string, std::string> files{};
  std::vector<std::pair<std::string, std::string>> inputs;
  std::string only_job;  ///< This and what it needs; empty for all.
  /// Jobs at the same time; zero for as many as the queue lets.
  std::uint32_t max_parallel = 0;
  /// Of whoever has submitted it: variables and working directory.
  std::map<std::string, std::string> environment;
  std::string folder;
  /// The day on which it was submitted, where the node is: 2024-05-01.
  std::string today;
  std::string trigger = "dispatch";  ///< `run.trigger`: what has started it.
  std::string group = "default";     ///< Of the queue, for all its jobs.
  store::Priority priority = store::Priority::normal;
  bool is_fresh = false;  ///< Nothing is taken from the cache of steps.
  std::string actor{};    ///< Who has submitted it.
  /// What files said when it was submitted: see workflow::PlanOptions.
  std::vector<std::pair<std::string, std::string>> dotenv{};
  workflow::FileHashes file_hashes{};
  /// What was known of its steps when it was submitted. Part of it, since the
  /// order in which jobs start depends on it, also when it is told again.
  workflow::Estimates estimates;
  std::string
      nonce{};  ///< Of the placeholders of its secrets; see step_secrets.hpp.
  /// `port.NAME` of its services, chosen when it was submitted.
  std::vector<std::pair<std::string, std::string>> ports{};
  /// The resource of the node that it was submitted to, if other nodes share
  /// the store: that one drives it, and has its files.
  std::string home{};

  friend bool operator==(const RunSpec&, const RunSpec&) = default;
};

struct RunSubmission {
  store::NewRun run;  ///< Without spec and name.
  RunSpec spec;
};

/// Reads the body of submit_run (docs/openapi.yaml).
///
/// Errors: invalid_argument, naming the key that is unknown or wrong.
[[nodiscard]] Result<RunSubmission> run_from_json(const Json& json);

/// The day of `now` in local time, as RunSpec has it.
[[nodiscard]] std::string local_day(WallTime now);

/// What the store keeps. Errors of reading: corrupt.
[[nodiscard]] std::string encode(const RunSpec& spec);
[[nodiscard]] Result<RunSpec> decode_run_spec(const std::string& bytes);

/// Whether what the store keeps is of the workflow at `file`, an absolute path;
/// cheap, since it looks at the beginning only.
[[nodiscard]] bool is_spec_of(const std::string& bytes,
                              const std::string& file);

/// The workflow of a run, if a node can run it.
///
/// Errors: invalid_argument (as load_workflow()); unsupported (as
/// check_secret_uses()).
[[nodiscard]] Result<std::shared_ptr<const workflow::Workflow>>
load_workflow_of(const RunSpec& spec);

[[nodiscard]] workflow::PlanOptions plan_options(store::RunId run,
                                                 const RunSpec& spec);

/// "r7"; of a run that has no number yet, with store::run_number_mark for it.
[[nodiscard]] std::string run_name(store::RunId run);
/// And back; none if it is not the name of a run with a number.
[[nodiscard]] std::optional<store::RunId> run_named(const std::string& name);

/// A step that a run has started, once: each start has a job of the queue.
struct StepKey {
  std::uint32_t round = 0;     ///< Grows with each retry of the run.
  std::uint64_t instance = 0;  ///< As workflow::InstanceId.
  std::uint32_t step = 0;      ///< Index in the job.
  std::uint32_t restarts = 0;  ///< Of the instance, with its group.

  /// It is none, but what runs the services of the round: no instance has the
  /// number 0.
  [[nodiscard]] static StepKey of_services(std::uint32_t round) {
    return {.round = round};
  }
  [[nodiscard]] bool is_of_services() const { return instance == 0; }

  friend auto operator<=>(const StepKey&, const StepKey&) = default;
};

/// The request id of its job: to submit it again changes nothing.
[[nodiscard]] std::string request_id_of(store::RunId run, const StepKey& step);

// What happens to a run.

struct RunBegun {
  friend bool operator==(const RunBegun&, const RunBegun&) = default;
};

struct RunStepEnded {
  StepKey step;
  store::JobId job;  ///< Of the queue; zero if it could not be submitted.
  actors::OutcomeKind kind = actors::OutcomeKind::success;
  int exit_status = 0;
  std::uint32_t attempts = 0;
  Duration took{0};  ///< The last of them.
  /// When that was over, which may be long before anybody heard of it.
  std::optional<WallTime> ended{};
  std::string why{};                    ///< For people; empty for a success.
  std::vector<actors::Cause> causes{};  ///< The same for rules.
  workflow::Outputs outputs{};
  /// Of one of several nodes, the one that ran it: its name, and the resource
  /// that only it has.
  std::string node{};
  std::string home{};

  friend bool operator==(const RunStepEnded&, const RunStepEnded&) = default;
};

/// A limit of the plan may have passed.
struct RunTimePassed {
  friend bool operator==(const RunTimePassed&, const RunTimePassed&) = default;
};

struct RunCancelled {
  friend bool operator==(const RunCancelled&, const RunCancelled&) = default;
};

/// Jobs that have not succeeded run once more, and `from` with all after it.
struct RunRetried {
  std::string from{};  ///< A job of the workflow; empty for none.

  friend bool operator==(const RunRetried&, const RunRetried&) = default;
};

/// Somebody has agreed that a job runs, or has not.
struct RunAnswered {
  std::string job;
  workflow::ApprovalAnswer answer;

  friend bool operator==(const RunAnswered&, const RunAnswered&) = default;
};

/// Its concurrency group does not let it in, and it does not wait.
struct RunRefused {
  std::string reason;
  bool is_failure = false;  ///< Otherwise it is just left out.

  friend bool operator==(const RunRefused&, const RunRefused&) = default;
};

/// The node that drove it is gone; another one does.
struct RunMoved {
  std::string home;  ///< As RunSpec::home.

  friend bool operator==(const RunMoved&, const RunMoved&) = default;
};

// Stored: append only.
using RunNews = std::variant<RunBegun, RunStepEnded, RunTimePassed,
                             RunCancelled, RunRetried, RunAnswered, RunRefused,
                             RunServicesTold, RunMoved>;

/// queue::JobSpec::printed for these; empty for none.
[[nodiscard]] std::string encode(
    const std::vector<workflow::PrintedOutput>& printed);
/// Errors: corrupt.
[[nodiscard]] Result<std::vector<workflow::PrintedOutput>> decode_printed(
    const std::string& text);

/// Those of an attempt as the queue tells it; unknown kinds are left out.
[[nodiscard]] std::vector<actors::Cause> causes_from_json(const Json& json);

/// What the store keeps. Errors of reading: corrupt.
[[nodiscard]] std::string encode(const RunNews& news);
[[nodiscard]] Result<RunNews> decode_run_news(const std::string& bytes);

}  // namespace troupe::node
