#pragma once

#include <troupe/actors/command_request.hpp>
#include <troupe/base/error.hpp>
#include <troupe/fanout/command_template.hpp>
#include <troupe/store/job.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::queue {

using Json = nlohmann::ordered_json;

/// The numbers of an array job: task i has the argument from + i * step.
struct ArrayRange {
  std::int64_t from = 0;
  std::int64_t step = 1;

  friend bool operator==(const ArrayRange&, const ArrayRange&) = default;
};

/// What the tasks of a job have in common; kept in the store as JSON.
struct JobSpec {
  /// As somebody typed them: one word is shell text.
  std::vector<std::string> words;
  /// All but the argv: directory, environment, limits, retries, success.
  actors::CommandRequest request;
  std::uint64_t output_limit = 0;  ///< Bytes kept per attempt; 0: the node's.
  std::optional<ArrayRange> array;
  bool has_arguments = false;  ///< Words have replacement strings.
  std::string key;             ///< Tasks with one key stay together.
  /// If there are any, what is executed, and the words are for people.
  std::vector<std::string> argv{};
  /// Whether each attempt gets a file for what it hands on, in TROUPE_OUTPUT.
  bool has_outputs = false;
  /// More variables, each with the name of the one of the node that has its
  /// value, which is not kept.
  std::vector<std::pair<std::string, std::string>> node_variables{};
  /// Words of argv, by their place, that are another one on each node; each
  /// with the name of it in DispatcherDeps::words.
  std::vector<std::pair<std::size_t, std::string>> node_words{};
  /// What MemberDeps::read_end is to look for in what it prints, if anything.
  std::string printed{};

  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

/// Reads the `command` of a submission (docs/openapi.yaml).
///
/// Errors: invalid_argument, naming the key that is unknown or wrong.
[[nodiscard]] Result<JobSpec> command_from_json(const Json& json);
[[nodiscard]] Json command_to_json(const JobSpec& spec);

/// What the store keeps. Errors of reading: corrupt.
[[nodiscard]] std::string encode(const JobSpec& spec);
[[nodiscard]] Result<JobSpec> decode(std::string_view bytes);

/// A spec whose commands can be made. Immutable.
class JobCommand {
 public:
  /// Errors: invalid_argument (a replacement string that cannot be kept, or
  /// nothing to execute).
  [[nodiscard]] static Result<JobCommand> make(JobSpec spec);

  [[nodiscard]] const JobSpec& spec() const { return spec_; }

  /// The command of one attempt, with TROUPE_JOB, TROUPE_TASK, TROUPE_ATTEMPT
  /// and TROUPE_ARGUMENT in its environment.
  ///
  /// Errors: invalid_argument (too long with this argument).
  [[nodiscard]] Result<process::CommandSpec> command_for(
      const store::AttemptRef& attempt, const std::string& argument) const;

 private:
  JobCommand(JobSpec spec, std::optional<fanout::CommandTemplate> words)
      : spec_{std::move(spec)}, template_{std::move(words)} {}

  JobSpec spec_;
  std::optional<fanout::CommandTemplate> template_;
};

/// The command as shell text, for people.
[[nodiscard]] std::string text_of(const JobSpec& spec);

}  // namespace troupe::queue
