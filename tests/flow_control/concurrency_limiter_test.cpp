#include "random_steps.hpp"
#include "time_zero.hpp"

#include <troupe/flow_control/concurrency_limiter.hpp>

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <vector>

namespace troupe::flow_control {
namespace {

/// A service that handles up to `capacity` calls at once without slowing down;
/// beyond, calls wait for each other. With `queue`, more than capacity + queue
/// are dropped at once. Its callers always have another call to make.
class SimulatedService {
 public:
  explicit SimulatedService(std::size_t calls_at_once,
                            std::size_t queue = 1'000'000)
      : capacity{calls_at_once}, queue_{queue} {}

  std::size_t capacity;

  void run(ConcurrencyLimiter& limiter, Duration time) {
    const TimePoint end = now_ + time;
    while (now_ < end) {
      while (limiter.on_start())
        start();
      const auto next = std::min_element(
          calls_.begin(), calls_.end(),
          [](const Call& a, const Call& b) { return a.ends < b.ends; });
      const Call call = *next;
      calls_.erase(next);
      now_ = std::max(now_, call.ends);
      limiter.on_end(now_ - call.started, call.dropped, now_);
    }
  }

 private:
  struct Call {
    TimePoint started;
    TimePoint ends;
    bool dropped;
  };

  void start() {
    const bool dropped = calls_.size() >= capacity + queue_;
    constexpr Duration latency = 100ms;
    const auto load = static_cast<Duration::rep>(calls_.size() + 1);
    const auto width = static_cast<Duration::rep>(capacity);
    const Duration service =
        dropped ? Duration{5ms} : latency * std::max(load, width) / width;
    calls_.push_back({now_, now_ + service, dropped});
  }

  std::size_t queue_;
  TimePoint now_ = t0;
  std::vector<Call> calls_;
};

TEST(ConcurrencyLimiter, RefusesWhatExceedsTheLimit) {
  ConcurrencyLimiter limiter{AimdConfig{.initial = 2}};
  EXPECT_TRUE(limiter.on_start());
  EXPECT_TRUE(limiter.on_start());
  EXPECT_FALSE(limiter.on_start());
  EXPECT_EQ(limiter.rejected(), 1U);
  EXPECT_EQ(limiter.in_flight(), 2U);
  limiter.on_end(10ms, false, t0 + 10ms);
  EXPECT_TRUE(limiter.on_start());
}

TEST(AimdLimit, GrowsByOnePerRoundWhileItIsUsed) {
  AimdLimit rule{{.initial = 4}};
  for (int i = 0; i < 5; ++i)
    rule.on_sample({.latency = 1ms, .in_flight = 4, .now = t0 + 1s});
  EXPECT_GT(rule.limit(), 5.0);
  EXPECT_LT(rule.limit(), 5.5);
}

TEST(AimdLimit, LearnsNothingFromCallsThatDoNotNeedIt) {
  AimdLimit rule{{.initial = 10}};
  rule.on_sample({.latency = 1ms, .in_flight = 4, .now = t0 + 1s});
  EXPECT_EQ(rule.limit(), 10.0);
}

TEST(AimdLimit, AnswersOneOverloadOnce) {
  AimdLimit rule{{.initial = 100, .backoff = 0.5}};
  for (int i = 0; i < 50; ++i)
    rule.on_sample(
        {.latency = 1s, .dropped = true, .in_flight = 100, .now = t0 + 2s});
  EXPECT_EQ(rule.limit(), 50.0);
  rule.on_sample(
      {.latency = 1s, .dropped = true, .in_flight = 50, .now = t0 + 3s});
  EXPECT_EQ(rule.limit(), 25.0);
}

TEST(AimdLimit, TakesSlownessForOverloadIfAskedTo) {
  AimdLimit rule{{.initial = 10, .backoff = 0.5, .too_slow = 100ms}};
  rule.on_sample({.latency = 101ms, .in_flight = 10, .now = t0 + 1s});
  EXPECT_EQ(rule.limit(), 5.0);
}

TEST(AimdLimiter, HoversBelowWhereTheServiceDropsCalls) {
  ConcurrencyLimiter limiter{AimdConfig{.initial = 1}};
  SimulatedService service{8, 12};
  service.run(limiter, 60s);
  for (int i = 0; i < 100; ++i) {
    service.run(limiter, 1s);
    EXPECT_GE(limiter.limit(), 16U);
    EXPECT_LE(limiter.limit(), 21U);
  }
}

TEST(GradientLimiter, SettlesSomewhatAboveTheCapacity) {
  for (const std::size_t capacity : {2U, 8U, 40U}) {
    for (const std::size_t initial : {1U, 200U}) {
      ConcurrencyLimiter limiter{GradientConfig{.initial = initial}, t0};
      SimulatedService service{capacity};
      service.run(limiter, 5min);
      std::vector<std::size_t> limits;
      for (int i = 0; i < 100; ++i) {
        service.run(limiter, 1s);
        limits.push_back(limiter.limit());
      }
      std::sort(limits.begin(), limits.end());
      EXPECT_GE(limits[50], capacity) << capacity << " from " << initial;
      EXPECT_LE(limits[95], 2 * capacity + 6)
          << capacity << " from " << initial;
    }
  }
}

TEST(GradientLimiter, FollowsAServiceThatLosesAndRegainsCapacity) {
  ConcurrencyLimiter limiter{GradientConfig{.initial = 10}, t0};
  SimulatedService service{40};
  service.run(limiter, 3min);
  EXPECT_GE(limiter.limit(), 40U);
  service.capacity = 10;
  service.run(limiter, 3min);
  EXPECT_LE(limiter.limit(), 30U);
  service.capacity = 40;
  service.run(limiter, 3min);
  EXPECT_GE(limiter.limit(), 40U);
}

TEST(GradientLimit, HalvesItselfUntilCallsGetNoFasterAndThenReturns) {
  GradientLimit rule{{.initial = 16, .probe_interval = 1s}, t0};
  TimePoint now = t0;
  const auto round = [&](Duration latency) {
    now += latency;
    const auto calls = static_cast<std::size_t>(rule.limit());
    for (std::size_t i = 0; i < std::max<std::size_t>(calls, 8); ++i)
      rule.on_sample({.latency = latency, .in_flight = calls, .now = now});
  };
  round(100ms);
  EXPECT_EQ(rule.unloaded(), 100ms);
  EXPECT_EQ(rule.limit(), 20.0);
  round(1s);  // the service has become slower, or we too many
  EXPECT_EQ(rule.limit(), (10 + std::sqrt(20.0)) / 2);
  round(1ms);  // ends the draining
  round(500ms);
  EXPECT_EQ(rule.limit(), (10 + std::sqrt(20.0)) / 4);
  round(1ms);
  round(450ms);
  EXPECT_EQ(rule.unloaded(), 450ms);
  EXPECT_EQ(rule.limit(), 10 + std::sqrt(20.0));
}

TEST(GradientLimit, LearnsNothingFromARoundThatDoesNotNeedIt) {
  GradientLimit rule{{.initial = 10}, t0};
  for (int i = 0; i < 100; ++i)
    rule.on_sample({.latency = 1s, .in_flight = 4, .now = t0 + (i + 1) * 1s});
  EXPECT_EQ(rule.limit(), 10.0);
}

TEST(GradientLimit, ReturnsBackedOffWhenAProbeIsDropped) {
  GradientLimit rule{{.initial = 16, .backoff = 0.5, .probe_interval = 1s}, t0};
  for (int i = 0; i < 16; ++i)
    rule.on_sample({.latency = 1s, .in_flight = 16, .now = t0 + 1s});
  EXPECT_EQ(rule.limit(), 10.0);  // half of 16 + sqrt(16)
  rule.on_sample({.latency = 1s, .in_flight = 10, .now = t0 + 2s});
  rule.on_sample(
      {.latency = 1s, .dropped = true, .in_flight = 10, .now = t0 + 3s});
  EXPECT_EQ(rule.limit(), 10.0);  // half of 20
  rule.on_sample(
      {.latency = 1s, .dropped = true, .in_flight = 10, .now = t0 + 4s});
  EXPECT_EQ(rule.limit(), 5.0);
}

TEST(GradientLimit, BacksOffOncePerOverload) {
  GradientLimit rule{{.initial = 100, .backoff = 0.5}, t0};
  for (int i = 0; i < 50; ++i)
    rule.on_sample(
        {.latency = 1s, .dropped = true, .in_flight = 100, .now = t0 + 2s});
  EXPECT_EQ(rule.limit(), 50.0);
}

TEST(ConcurrencyLimiterProperty, StaysWithinItsBoundsWhateverHappens) {
  EXPECT_TRUE(rc::check("min <= limit <= max and in flight <= max", [] {
    const auto min = *rc::gen::inRange<std::size_t>(1, 5);
    const auto max = min + *rc::gen::inRange<std::size_t>(0, 20);
    const bool aimd = *rc::gen::arbitrary<bool>();
    ConcurrencyLimiter limiter =
        aimd ? ConcurrencyLimiter{AimdConfig{
                   .min = min, .initial = min, .max = max, .too_slow = 20ms}}
             : ConcurrencyLimiter{GradientConfig{.min = min,
                                                 .initial = max,
                                                 .max = max,
                                                 .probe_interval = 50ms},
                                  t0};
    TimePoint now = t0;
    const auto steps = random_steps();
    for (const std::uint32_t step : steps) {
      now += Duration{std::chrono::milliseconds{step % 32}};
      if (step / 32 % 2 == 0) {
        const bool room = limiter.in_flight() < limiter.limit();
        RC_ASSERT(limiter.on_start() == room);
      }
      for (std::uint32_t i = 0; i < step / 64 % 4; ++i)
        if (limiter.in_flight() > 0)
          limiter.on_end(Duration{std::chrono::milliseconds{step / 256 % 64}},
                         step / 64 % 16 == 3, now);
      RC_ASSERT(limiter.limit() >= min);
      RC_ASSERT(limiter.limit() <= max);
      RC_ASSERT(limiter.in_flight() <= max);
    }
  }));
}

}  // namespace
}  // namespace troupe::flow_control
