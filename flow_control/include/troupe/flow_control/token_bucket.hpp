#pragma once

#include <troupe/base/time.hpp>

#include <cstdint>
#include <optional>

namespace troupe::flow_control {

/// `tokens` per `per`, such as 100 starts per second or 10 MiB per 1 s. Written
/// as a fraction, so that no rounding creeps in.
struct TokenBucketConfig {
  std::uint64_t tokens = 1;  ///< At least 1, at most 2^62.
  Duration per = 1s;         ///< More than zero.
  /// What may be taken at once after a pause; 1 to 2^62.
  std::uint64_t burst = 1;
};

/// A rate limit: in any span of t at most burst + t * tokens / per are handed
/// out. Counts in whole units of 1/per of a token, so it is exact over any
/// length of time. Full at first. Time that goes backwards stands still. Pure;
/// one thread owns it.
class TokenBucket {
 public:
  TokenBucket(const TokenBucketConfig& config, TimePoint now);

  /// Takes `n` tokens, or none if there are fewer.
  [[nodiscard]] bool try_take(std::uint64_t n, TimePoint now);

  /// How long until `n` tokens will be there if nobody takes any: zero if they
  /// are, none if never, because `n` exceeds the burst. Exact: try_take
  /// succeeds then, and not a nanosecond before.
  [[nodiscard]] std::optional<Duration> time_until(std::uint64_t n,
                                                   TimePoint now) const;

  /// Whole tokens there at `now`.
  [[nodiscard]] std::uint64_t available(TimePoint now) const;

 private:
  /// Up to 2^62 tokens times 2^63 nanoseconds.
  __extension__ using Units = unsigned __int128;

  [[nodiscard]] Units level_at(TimePoint now) const;

  Units gain_;   ///< Units per nanosecond.
  Units token_;  ///< Units per token.
  std::uint64_t burst_;
  Units level_;
  TimePoint updated_;
};

}  // namespace troupe::flow_control
