#include "random_steps.hpp"
#include "time_zero.hpp"

#include <troupe/flow_control/circuit_breaker.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <variant>
#include <vector>

namespace troupe::flow_control {
namespace {

using Allowed = CircuitBreaker::Allowed;
using Refused = CircuitBreaker::Refused;

constexpr BreakerConfig by_run{.consecutive_failures = 3,
                               .open_min = 1s,
                               .open_max = 5s,
                               .probes = 2,
                               .probe_timeout = 10s};

Allowed allowed(CircuitBreaker& breaker, TimePoint now) {
  return std::get<Allowed>(breaker.allow(now));
}

Duration refused(CircuitBreaker& breaker, TimePoint now) {
  return std::get<Refused>(breaker.allow(now)).retry_after;
}

void fail(CircuitBreaker& breaker, int times, TimePoint now) {
  for (int i = 0; i < times; ++i)
    breaker.on_failure(allowed(breaker, now), now);
}

TEST(CircuitBreaker, OpensAfterTooManyFailuresInARow) {
  CircuitBreaker breaker{by_run};
  fail(breaker, 2, t0);
  breaker.on_success(allowed(breaker, t0), t0);
  fail(breaker, 2, t0);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
  fail(breaker, 1, t0);
  EXPECT_EQ(breaker.state(), BreakerState::open);
  EXPECT_EQ(refused(breaker, t0 + 250ms), 750ms);
  EXPECT_EQ(breaker.opened(), 1U);
  EXPECT_EQ(breaker.refused(), 1U);
}

TEST(CircuitBreaker, OpensWhenTheShareOfFailuresIsReachedAndNotBefore) {
  CircuitBreaker breaker{{.failure_ratio = 0.5,
                          .min_calls = 10,
                          .window = 10s,
                          .consecutive_failures = 0}};
  for (int i = 0; i < 5; ++i)
    breaker.on_success(allowed(breaker, t0), t0);
  fail(breaker, 4, t0 + 1s);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
  fail(breaker, 1, t0 + 1s);
  EXPECT_EQ(breaker.state(), BreakerState::open);
}

TEST(CircuitBreaker, ForgetsResultsOlderThanTheWindow) {
  CircuitBreaker breaker{{.failure_ratio = 0.5,
                          .min_calls = 4,
                          .window = 10s,
                          .consecutive_failures = 0}};
  fail(breaker, 3, t0);
  fail(breaker, 3, t0 + 10s);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
  fail(breaker, 1, t0 + 19s);
  EXPECT_EQ(breaker.state(), BreakerState::open);
}

TEST(CircuitBreaker, ClosesWhenAllProbesSucceed) {
  CircuitBreaker breaker{by_run};
  fail(breaker, 3, t0);
  const Allowed one = allowed(breaker, t0 + 1s);
  EXPECT_EQ(breaker.state(), BreakerState::half_open);
  const Allowed two = allowed(breaker, t0 + 1s);
  EXPECT_EQ(refused(breaker, t0 + 1s), 1s);
  breaker.on_success(one, t0 + 2s);
  EXPECT_EQ(refused(breaker, t0 + 2s), 1s);
  breaker.on_success(two, t0 + 2s);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
  (void)allowed(breaker, t0 + 2s);
}

TEST(CircuitBreaker, StaysOpenLongerEachTimeAProbeFailsUpToABound) {
  CircuitBreaker breaker{by_run};
  fail(breaker, 3, t0);
  TimePoint now = t0;
  for (const Duration open : {1s, 2s, 4s, 5s, 5s}) {
    EXPECT_EQ(refused(breaker, now), open);
    now += open;
    breaker.on_failure(allowed(breaker, now), now);
  }
  EXPECT_EQ(breaker.opened(), 6U);
}

TEST(CircuitBreaker, BeginsWithTheShortestTimeAgainOnceClosed) {
  CircuitBreaker breaker{by_run};
  fail(breaker, 3, t0);
  fail(breaker, 1, t0 + 1s);
  EXPECT_EQ(refused(breaker, t0 + 1s), 2s);
  for (int i = 0; i < 2; ++i)
    breaker.on_success(allowed(breaker, t0 + 3s), t0 + 3s);
  fail(breaker, 3, t0 + 4s);
  EXPECT_EQ(refused(breaker, t0 + 4s), 1s);
}

TEST(CircuitBreaker, IgnoresResultsFromBeforeAChange) {
  CircuitBreaker breaker{by_run};
  const Allowed stale_success = allowed(breaker, t0);
  const Allowed stale_failure = allowed(breaker, t0);
  fail(breaker, 3, t0);
  breaker.on_success(stale_success, t0);
  EXPECT_EQ(breaker.state(), BreakerState::open);
  const Allowed probe = allowed(breaker, t0 + 1s);
  breaker.on_failure(stale_failure, t0 + 1s);
  breaker.on_success(stale_success, t0 + 1s);
  EXPECT_EQ(breaker.state(), BreakerState::half_open);
  breaker.on_success(probe, t0 + 1s);
  breaker.on_success(allowed(breaker, t0 + 1s), t0 + 1s);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
  for (int i = 0; i < 3; ++i)
    breaker.on_failure(stale_failure, t0 + 2s);
  EXPECT_EQ(breaker.state(), BreakerState::closed);
}

TEST(CircuitBreaker, GivesAnAbandonedProbesPlaceToTheNext) {
  CircuitBreaker breaker{by_run};
  fail(breaker, 3, t0);
  const Allowed cancelled = allowed(breaker, t0 + 1s);
  (void)allowed(breaker, t0 + 1s);
  (void)refused(breaker, t0 + 1s);
  breaker.on_abandoned(cancelled);
  (void)allowed(breaker, t0 + 1s);
  (void)refused(breaker, t0 + 1s);
}

TEST(CircuitBreaker, OpensAgainWhenProbesAreNeverHeardOf) {
  CircuitBreaker breaker{by_run};
  fail(breaker, 3, t0);
  (void)allowed(breaker, t0 + 1s);
  (void)allowed(breaker, t0 + 1s);
  EXPECT_EQ(refused(breaker, t0 + 11s - 1ns), 1ns);
  EXPECT_EQ(breaker.state(), BreakerState::half_open);
  EXPECT_EQ(refused(breaker, t0 + 11s), 2s);
  EXPECT_EQ(breaker.state(), BreakerState::open);
}

TEST(BreakerState, HasNamesForMetrics) {
  EXPECT_EQ(to_string(BreakerState::closed), "closed");
  EXPECT_EQ(to_string(BreakerState::open), "open");
  EXPECT_EQ(to_string(BreakerState::half_open), "half_open");
}

/// Random calls, results, losses and time against what the states promise.
TEST(CircuitBreakerProperty, LetsNoMoreThanItsProbesThroughAndNoneWhileOpen) {
  EXPECT_TRUE(rc::check("probes are bounded", [] {
    const BreakerConfig config{
        .failure_ratio = 0.5,
        .min_calls = 4,
        .window = 100ms,
        .consecutive_failures = *rc::gen::inRange<std::uint64_t>(0, 4),
        .open_min = 10ms,
        .open_max = 50ms,
        .probes = *rc::gen::inRange<std::uint32_t>(1, 4),
        .probe_timeout = 40ms};
    CircuitBreaker breaker{config};
    std::vector<Allowed> calls;
    TimePoint now = t0;
    std::uint64_t probing = 0;  // the generation of the half-open stretch
    std::uint32_t probes = 0;   // let through in it, less those abandoned
    const auto steps = random_steps();
    for (const std::uint32_t step : steps) {
      const BreakerState before = breaker.state();
      now += Duration{std::chrono::milliseconds{step / 64 % 16}};
      if (step % 8 < 4 || calls.empty()) {
        const auto answer = breaker.allow(now);
        if (const auto* refusal = std::get_if<Refused>(&answer)) {
          RC_ASSERT(refusal->retry_after > Duration{0});
          RC_ASSERT(refusal->retry_after <= config.open_max);
          RC_ASSERT(breaker.state() != BreakerState::closed);
          continue;
        }
        calls.push_back(std::get<Allowed>(answer));
        RC_ASSERT(breaker.state() != BreakerState::open);
        if (breaker.state() == BreakerState::half_open) {
          if (calls.back().generation != probing) {
            RC_ASSERT(before == BreakerState::open);
            probing = calls.back().generation;
            probes = 0;
          }
          RC_ASSERT(++probes <= config.probes);
        }
        continue;
      }
      const auto call = calls.begin() + step / 8 % std::ssize(calls);
      const bool current = call->generation == probing &&
                           breaker.state() == BreakerState::half_open;
      switch (step % 8) {
        case 4:
        case 5:
          breaker.on_success(*call, now);
          break;
        case 6:
          breaker.on_failure(*call, now);
          break;
        default:
          breaker.on_abandoned(*call);
          probes -= current ? 1 : 0;
          break;
      }
      calls.erase(call);
      if (before == BreakerState::half_open && !current)
        RC_ASSERT(breaker.state() == BreakerState::half_open);
      if (before == BreakerState::open)
        RC_ASSERT(breaker.state() == BreakerState::open);
    }
  }));
}

}  // namespace
}  // namespace troupe::flow_control
