#include <troupe/base/assert.hpp>
#include <troupe/flow_control/token_bucket.hpp>

#include <algorithm>
#include <limits>

namespace troupe::flow_control {
namespace {

constexpr std::uint64_t most_tokens = std::uint64_t{1} << 62;

}  // namespace

TokenBucket::TokenBucket(const TokenBucketConfig& config, TimePoint now)
    : gain_{config.tokens},
      token_{static_cast<std::uint64_t>(config.per.count())},
      burst_{config.burst},
      level_{token_ * burst_},
      updated_{now} {
  TROUPE_ASSERT(config.per > Duration{0});
  TROUPE_ASSERT(1 <= config.tokens && config.tokens <= most_tokens);
  TROUPE_ASSERT(1 <= config.burst && config.burst <= most_tokens);
}

TokenBucket::Units TokenBucket::level_at(TimePoint now) const {
  if (now <= updated_)
    return level_;
  const Units elapsed{static_cast<std::uint64_t>((now - updated_).count())};
  return std::min(token_ * burst_, level_ + elapsed * gain_);
}

bool TokenBucket::try_take(std::uint64_t n, TimePoint now) {
  level_ = level_at(now);
  updated_ = std::max(updated_, now);
  if (n > burst_ || level_ < token_ * n)
    return false;
  level_ -= token_ * n;
  return true;
}

std::optional<Duration> TokenBucket::time_until(std::uint64_t n,
                                                TimePoint now) const {
  if (n > burst_)
    return std::nullopt;
  const Units level = level_at(now);
  const Units wanted = token_ * n;
  if (level >= wanted)
    return Duration{0};
  const Units wait = (wanted - level + gain_ - 1) / gain_;
  constexpr auto longest = std::numeric_limits<Duration::rep>::max();
  if (wait > Units{static_cast<std::uint64_t>(longest)})
    return Duration::max();
  // Time that went backwards first has to catch up.
  const Duration lag = std::max(updated_ - now, Duration{0});
  const Duration own{static_cast<Duration::rep>(wait)};
  return own > Duration::max() - lag ? Duration::max() : own + lag;
}

std::uint64_t TokenBucket::available(TimePoint now) const {
  return static_cast<std::uint64_t>(level_at(now) / token_);
}

}  // namespace troupe::flow_control
