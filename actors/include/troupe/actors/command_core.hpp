#pragma once

/// Decides over the life of one command: attempts, waits between them, what
/// counts as success, and how the whole story is told. Pure.
///
///   idle ---- start -----> running --- last attempt ends ---> finished
///                          |     ^
///              may retry   v     |  back-off has passed
///                          waiting
///
/// A core that replaces the one of a crashed actor is made from the history in
/// the store; it starts the same attempt again, which the runner knows to be an
/// adoption if it is still running.
#include <troupe/actors/command_request.hpp>
#include <troupe/actors/outcome.hpp>
#include <troupe/base/random.hpp>
#include <troupe/process/command_runner.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::actors {

/// What has happened to a command so far, as the store knows it.
struct CommandHistory {
  std::vector<Attempt> attempts;  ///< That have ended.
  Duration back_off{0};           ///< Between the last of them and the next.
  std::vector<Cause> incidents;
  bool cancelled = false;
};

/// What was seen of an attempt that has ended.
struct AttemptSeen {
  process::AttemptEnd end;
  WallTime ended;
  std::string stdout_tail;
  std::string stderr_tail;
  /// One per text of output_contains, then one per output_not_contains.
  std::vector<bool> texts_found;
};

class CommandCore {
 public:
  struct StartAttempt {
    std::uint32_t number;
  };
  struct StopAttempt {
    std::uint32_t number;
    process::StopRequest request;
  };
  /// Call on_wait_over(token) after `delay`.
  struct Wait {
    Duration delay;
    std::uint64_t token;
  };
  /// An attempt has ended; it belongs into the store before anything else.
  struct Record {
    Attempt attempt;
    std::optional<Duration> next_in;  ///< Until the next one, if one comes.
  };
  struct Finish {
    Outcome outcome;
  };
  using Action = std::variant<StartAttempt, StopAttempt, Wait, Record, Finish>;
  using Actions = std::vector<Action>;

  /// `seed` feeds the jitter.
  CommandCore(std::shared_ptr<const CommandRequest> request,
              CommandHistory history, std::uint64_t seed);

  [[nodiscard]] Actions on_start(WallTime now);
  void on_attempt_started(WallTime now) { attempt_started_ = now; }
  [[nodiscard]] Actions on_attempt_ended(AttemptSeen seen);
  [[nodiscard]] Actions on_wait_over(std::uint64_t token, WallTime now);
  /// No more attempts: ends the wait for the next, and stops the one that runs
  /// if a `request` says how; otherwise that one ends by itself.
  [[nodiscard]] Actions on_cancel(
      const std::optional<process::StopRequest>& request);

  /// The attempt that runs or is waited for; counts from 1.
  [[nodiscard]] std::uint32_t current_attempt() const {
    return static_cast<std::uint32_t>(history_.attempts.size()) + 1;
  }

 private:
  enum class State : std::uint8_t { idle, running, waiting, finished };

  [[nodiscard]] Actions start_attempt(WallTime now);
  [[nodiscard]] Wait wait(Duration delay);
  [[nodiscard]] bool may_retry(const Attempt& attempt) const;
  [[nodiscard]] bool is_too_late(WallTime next) const;
  [[nodiscard]] Finish finish(const Attempt* last);

  std::shared_ptr<const CommandRequest> request_;
  CommandHistory history_;
  Random random_;
  State state_ = State::idle;
  WallTime attempt_started_;
  std::uint64_t wait_token_ = 0;
  bool too_late_ = false;  ///< For another attempt.
};

/// What an attempt came to, with causes and notes for people.
[[nodiscard]] Attempt judge(const CommandRequest& request, std::uint32_t number,
                            WallTime started, AttemptSeen seen, bool cancelled);

/// Whether a policy lets an attempt that ended so be followed by another: not
/// one that succeeded or was cancelled, nor, unless it has `only_if`, one whose
/// program is not there.
[[nodiscard]] bool is_worth_repeating(const RetryPolicy& retry,
                                      const Attempt& attempt);

/// How long to wait after so many `failures`, at least one.
[[nodiscard]] Duration delay_after(const RetryPolicy& retry,
                                   std::uint32_t failures, Random& random);

/// What a shell would put into `$?` for it.
[[nodiscard]] int exit_status_of(const Attempt& attempt);

}  // namespace troupe::actors
