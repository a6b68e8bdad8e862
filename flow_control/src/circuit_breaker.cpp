#include <troupe/base/assert.hpp>
#include <troupe/flow_control/circuit_breaker.hpp>

#include <algorithm>
#include <cmath>

namespace troupe::flow_control {

std::string_view to_string(BreakerState state) {
  switch (state) {
    case BreakerState::closed:
      return "closed";
    case BreakerState::open:
      return "open";
    case BreakerState::half_open:
      return "half_open";
  }
  return "unknown";
}

CircuitBreaker::CircuitBreaker(const BreakerConfig& config) : config_{config} {
  TROUPE_ASSERT(config.failure_ratio > 0 && config.failure_ratio <= 1);
  TROUPE_ASSERT(config.window.count() >= slices);
  TROUPE_ASSERT(Duration{0} < config.open_min);
  TROUPE_ASSERT(config.open_min <= config.open_max);
  TROUPE_ASSERT(config.backoff >= 1);
  TROUPE_ASSERT(config.probes >= 1);
  TROUPE_ASSERT(config.probe_timeout > Duration{0});
}

std::variant<CircuitBreaker::Allowed, CircuitBreaker::Refused>
CircuitBreaker::allow(TimePoint now) {
  switch (state_) {
    case BreakerState::closed:
      return Allowed{generation_};
    case BreakerState::open:
      if (now < until_) {
        ++refused_;
        return Refused{until_ - now};
      }
      become(BreakerState::half_open);
      until_ = now + config_.probe_timeout;
      return probe(now);
    case BreakerState::half_open:
      if (now >= until_) {
        open(now);
        ++refused_;
        return Refused{until_ - now};
      }
      return probe(now);
  }
  return Refused{config_.open_max};
}

std::variant<CircuitBreaker::Allowed, CircuitBreaker::Refused>
CircuitBreaker::probe(TimePoint now) {
  if (probes_out_ + probes_ok_ < config_.probes) {
    ++probes_out_;
    return Allowed{generation_};
  }
  // The probes may answer at any moment, so the shortest wait is long enough.
  ++refused_;
  return Refused{std::min(config_.open_min, until_ - now)};
}

void CircuitBreaker::on_success(Allowed call, TimePoint now) {
  if (call.generation != generation_)
    return;
  switch (state_) {
    case BreakerState::closed:
      ++slice_at(now).successes;
      failures_in_a_row_ = 0;
      return;
    case BreakerState::open:
      return;
    case BreakerState::half_open:
      if (probes_out_ == 0)
        return;
      --probes_out_;
      if (++probes_ok_ == config_.probes)
        become(BreakerState::closed);
      return;
  }
}

void CircuitBreaker::on_failure(Allowed call, TimePoint now) {
  if (call.generation != generation_)
    return;
  switch (state_) {
    case BreakerState::closed:
      ++slice_at(now).failures;
      ++failures_in_a_row_;
      if (too_many_failures(now))
        open(now);
      return;
    case BreakerState::open:
      return;
    case BreakerState::half_open:
      open(now);
      return;
  }
}

void CircuitBreaker::on_abandoned(Allowed call) {
  if (call.generation != generation_)
    return;
  switch (state_) {
    case BreakerState::closed:
    case BreakerState::open:
      return;
    case BreakerState::half_open:
      if (probes_out_ > 0)
        --probes_out_;
      return;
  }
}

/// Every change starts a generation, so results from before it do not count.
void CircuitBreaker::become(BreakerState state) {
  state_ = state;
  ++generation_;
  window_.fill({});
  failures_in_a_row_ = 0;
  probes_out_ = 0;
  probes_ok_ = 0;
  if (state == BreakerState::closed)
    opened_in_a_row_ = 0;
}

void CircuitBreaker::open(TimePoint now) {
  become(BreakerState::open);
  until_ = now + open_time();
  ++opened_in_a_row_;
  ++opened_;
}

Duration CircuitBreaker::open_time() const {
  const double wanted = static_cast<double>(config_.open_min.count()) *
                        std::pow(config_.backoff, opened_in_a_row_);
  if (wanted >= static_cast<double>(config_.open_max.count()))
    return config_.open_max;
  return Duration{static_cast<Duration::rep>(wanted)};
}

std::int64_t CircuitBreaker::number_of(TimePoint now) const {
  return now.time_since_epoch() / (config_.window / slices);
}

CircuitBreaker::Slice& CircuitBreaker::slice_at(TimePoint now) {
  const std::int64_t number = std::max<std::int64_t>(number_of(now), 0);
  Slice& slice = window_.at(static_cast<std::size_t>(number % slices));
  // A late clock finds a newer slice in its place; the result goes there.
  if (slice.number < number)
    slice = {.number = number};
  return slice;
}

bool CircuitBreaker::too_many_failures(TimePoint now) const {
  if (config_.consecutive_failures > 0 &&
      failures_in_a_row_ >= config_.consecutive_failures)
    return true;
  std::uint64_t calls = 0;
  std::uint64_t failures = 0;
  for (const Slice& slice : window_) {
    if (slice.number <= number_of(now) - slices)
      continue;
    calls += slice.successes + slice.failures;
    failures += slice.failures;
  }
  return calls >= std::max<std::uint64_t>(config_.min_calls, 1) &&
         static_cast<double>(failures) >=
             config_.failure_ratio * static_cast<double>(calls);
}

}  // namespace troupe::flow_control
