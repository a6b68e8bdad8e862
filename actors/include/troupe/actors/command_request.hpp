#pragma once

#include <troupe/actors/cause_rule.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_spec.hpp>
#include <troupe/process/output_sink.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::actors {

/// When a failed attempt is followed by another, and how long after.
struct RetryPolicy {
  std::uint32_t attempts = 1;  ///< Includes the first; at least 1.
  /// Before attempt n+1 the wait is min(delay * backoff^(n-1), max_delay),
  /// changed by up to +-jitter of itself.
  Duration delay = 1s;
  double backoff = 2.0;  ///< At least 1.
  Duration max_delay = 1min;
  double jitter = 0.1;  ///< 0 to 1.
  /// No further attempt starts later than that after the start of the first;
  /// zero for no such limit.
  Duration max_elapsed{0};
  /// If there are any, only an end by one of these is followed by another
  /// attempt; none is after one by one of `unless`.
  std::vector<CauseRule> only_if{};
  std::vector<CauseRule> unless{};

  friend bool operator==(const RetryPolicy&, const RetryPolicy&) = default;
};

/// When an attempt that ran to its end counts as success. All must hold.
struct SuccessCriteria {
  std::vector<int> exit_codes{0};
  std::vector<std::string> output_contains;      ///< Each, in either stream.
  std::vector<std::string> output_not_contains;  ///< None, in either stream.
  Duration max_duration{0};  ///< Slower is failure; zero for no such limit.

  friend bool operator==(const SuccessCriteria&,
                         const SuccessCriteria&) = default;
};

/// A command as somebody asks for it: what to run, what counts as success and
/// what to do otherwise.
struct CommandRequest {
  process::CommandSpec spec;
  RetryPolicy retry;
  SuccessCriteria success;
  /// Bytes kept of the end of each captured stream, for people and records.
  std::uint32_t tail_bytes = 8 << 10;

  friend bool operator==(const CommandRequest&,
                         const CommandRequest&) = default;
};

/// Where the captured output of a command goes. Lives as long as the command;
/// called by its actor, one call at a time.
class OutputSinks {
 public:
  virtual ~OutputSinks() = default;

  /// The sink of one attempt; must not block, so files are opened by the sink
  /// when it is attached. Null discards the output. Asked again for the same
  /// attempt by an actor that goes on for one that died: the sink must be the
  /// same, because the attempt writes to it all the while.
  [[nodiscard]] virtual std::shared_ptr<process::OutputSink> for_attempt(
      std::uint32_t attempt) = 0;
};

}  // namespace troupe::actors
