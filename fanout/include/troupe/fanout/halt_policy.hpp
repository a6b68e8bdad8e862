#pragma once

#include <troupe/base/error.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::fanout {

/// The exit status of a map of which `failed` jobs failed, as GNU parallel's:
/// the number itself up to 100, and 101 for more.
[[nodiscard]] int exit_status_of(std::uint64_t failed);

/// What to do after a job has ended. Later ones include earlier ones.
enum class HaltDecision : std::uint8_t {
  carry_on = 0,
  stop_starting = 1,  ///< Let the running jobs end, start no more.
  kill_all = 2,       ///< Also end the running jobs.
};

/// `--halt`: when a map ends before its input does. Owned by the dispatcher.
///
///   never              run everything (the default)
///   now,fail=1         kill the running jobs as soon as one has failed
///   soon,fail=3        start no more once three have failed
///   soon,fail=10%      ... once 10% of all jobs have failed; also just `10%`
///   now,success=1      kill the others as soon as one has succeeded
///   soon,done=100      stop after a hundred jobs, however they ended
///
/// A percentage is of all jobs, as in GNU parallel, which reads its whole input
/// first for that. We do not: until `set_total` has been called, it is of the
/// jobs that have ended, and counts only from the third fitting job on. `done`
/// in per cent therefore waits for the total.
class HaltPolicy {
 public:
  /// The policy `never`.
  HaltPolicy() = default;

  /// Also reads GNU parallel's old forms 0, 1, 2, -1 and -2.
  ///
  /// Errors: invalid_argument.
  [[nodiscard]] static Result<HaltPolicy> parse(std::string_view text);

  [[nodiscard]] bool is_never() const {
    return when_reached_ == HaltDecision::carry_on;
  }

  /// Tells how many jobs there are in all, once that is known. May be repeated.
  void set_total(std::uint64_t jobs) { total_ = jobs; }

  /// To be called when a job has ended for good, retries included. `status` is
  /// what a shell would put into `$?`; it is not looked at if `ok`.
  HaltDecision on_finished(bool ok, int status);

  /// The answer of the last on_finished. It never becomes weaker.
  [[nodiscard]] HaltDecision decision() const { return decision_; }

  /// The exit status of the whole map, as GNU parallel's: the status of the
  /// deciding job for a count of 1, the failures in per cent for a percentage,
  /// 0 for a reached success; otherwise, and if nothing was decided,
  /// exit_status_of the failures. Fixed by the decision.
  [[nodiscard]] int exit_status() const;

 private:
  enum class Event : std::uint8_t { fail, success, done };

  [[nodiscard]] std::uint64_t counted() const;
  [[nodiscard]] bool is_reached() const;
  [[nodiscard]] int status_of_decision(bool ok, int status) const;

  HaltDecision when_reached_ = HaltDecision::carry_on;
  Event event_ = Event::fail;
  std::uint64_t threshold_ = 0;  ///< Jobs, or per cent of them.
  bool percent_ = false;

  std::optional<std::uint64_t> total_;
  std::uint64_t finished_ = 0;
  std::uint64_t failed_ = 0;
  HaltDecision decision_ = HaltDecision::carry_on;
  int exit_status_ = 0;  ///< Meaningful once something was decided.
};

}  // namespace troupe::fanout
