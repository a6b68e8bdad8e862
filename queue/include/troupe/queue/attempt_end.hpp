#pragma once

#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/queue/dispatch_core.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/queue/shard_look_core.hpp>
#include <troupe/store/job.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::queue {

/// A task that was lost so often, with its node or its warden, is given up: it
/// may be what ends them.
inline constexpr std::uint32_t most_losses = 10;

/// The end of what an attempt has written, for nodes that do not have all of
/// it.
struct OutputTail {
  std::string record;         ///< As its record (output_record.hpp) would be.
  std::uint64_t skipped = 0;  ///< Bytes of output before that.

  friend bool operator==(const OutputTail&, const OutputTail&) = default;
};

/// What others are to have of an attempt of one of several nodes, besides how
/// it ended.
struct EndRead {
  OutputTail tail{};
  /// What it hands on, as JSON; none if it has no file for that.
  std::optional<std::string> handed_on{};
};

/// How a node came to a task that waited where another one looks first.
struct FromAbroad {
  std::uint32_t shard = 0;
  Found found = Found::abroad;
  /// Who looked there first then, by its name; empty if nobody could say.
  std::string owner{};

  friend bool operator==(const FromAbroad&, const FromAbroad&) = default;
};

/// Bytes of output that are kept so.
inline constexpr std::size_t most_tail_bytes = 4 << 10;

/// What the detail of a result says of that; none if it says nothing. Pure.
[[nodiscard]] std::optional<OutputTail> tail_in(const std::string& detail);

/// The name of the node that ran it, likewise; empty if it says nothing.
[[nodiscard]] std::string node_in(const std::string& detail);

/// The resource that only that node has, and what the attempt hands on,
/// likewise.
[[nodiscard]] std::string home_in(const std::string& detail);
[[nodiscard]] std::optional<std::string> handed_on_in(
    const std::string& detail);

/// Likewise; none if it does not say, or waited where that node looks first.
[[nodiscard]] std::optional<FromAbroad> from_abroad_in(
    const std::string& detail);

/// An attempt that has ended, and how.
struct EndedAttempt {
  const JobSpec& spec;
  const store::Claim& claim;
  store::Delivery delivery = store::Delivery::at_least_once;
  bool is_cancelled = false;  ///< Somebody has asked for its end.
  WallTime started;
  WallTime ended;
  /// See actors::AttemptSeen; if the spec has such texts.
  std::vector<bool> texts_found{};
  /// Of one of several nodes: its name, the resource that only it has, and what
  /// others are to see.
  std::string node{};
  std::string home{};
  std::optional<FromAbroad> from{};
  EndRead read{};
};

struct JudgedEnd {
  store::Completion completion;
  DispatchCore::End for_group = DispatchCore::End::neutral;
};

/// What is to be recorded of it: success or not, and whether and when it is
/// tried again.
[[nodiscard]] JudgedEnd judge(const EndedAttempt& attempt,
                              const process::AttemptEnd& end, Random& random);

/// What is kept of an end that was recorded too late to count: it was given to
/// somebody else meanwhile. With all that its detail says.
[[nodiscard]] store::LateResult too_late(const store::Completion& completion);

/// The end of one that could not be started for a reason of ours: `why` says
/// for people which. It is not tried again.
[[nodiscard]] store::Completion refused(const store::AttemptRef& attempt,
                                        store::Outcome outcome, int exit_status,
                                        const std::string& why);

}  // namespace troupe::queue
