#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/fanout/runtime_median.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::fanout {

/// `--timeout`: a fixed limit (`30s`) or a percentage of the median runtime of
/// the jobs that have succeeded (`300%`). Owned by the dispatcher.
///
/// A percentage gives no limit before three jobs have succeeded. It is within
/// 1.6% of the exact one (RuntimeMedian).
class TimeoutPolicy {
 public:
  /// No limit.
  TimeoutPolicy() = default;

  /// Percentages are above 100, since half of all jobs run longer than the
  /// median, and at most 100,000.
  ///
  /// Errors: invalid_argument.
  [[nodiscard]] static Result<TimeoutPolicy> parse(std::string_view text);

  /// To be called when a job has succeeded, with the runtime of its successful
  /// attempt. Returns whether `limit` has changed, so that the running jobs get
  /// the new one: their start plus `limit`.
  bool on_success(Duration runtime);

  /// How long an attempt may run; none for no limit (yet).
  [[nodiscard]] std::optional<Duration> limit() const { return limit_; }

 private:
  std::optional<Duration> limit_;
  std::uint64_t percent_ = 0;  ///< Zero for a fixed limit.
  RuntimeMedian runtimes_;
};

}  // namespace troupe::fanout
