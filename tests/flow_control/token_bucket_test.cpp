#include "time_zero.hpp"

#include <troupe/flow_control/token_bucket.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <utility>
#include <vector>

namespace troupe::flow_control {
namespace {

TEST(TokenBucket, GivesTheBurstAtOnceAndThenTheRate) {
  TokenBucket bucket{{.tokens = 2, .per = 1s, .burst = 5}, t0};
  EXPECT_TRUE(bucket.try_take(5, t0));
  EXPECT_FALSE(bucket.try_take(1, t0));
  EXPECT_EQ(bucket.time_until(1, t0), 500ms);
  EXPECT_FALSE(bucket.try_take(1, t0 + 499ms));
  EXPECT_TRUE(bucket.try_take(1, t0 + 500ms));
  EXPECT_EQ(bucket.available(t0 + 2s), 3U);
}

TEST(TokenBucket, IsNeverFullerThanItsBurst) {
  TokenBucket bucket{{.tokens = 100, .per = 1s, .burst = 3}, t0};
  EXPECT_EQ(bucket.available(t0 + 24h), 3U);
  EXPECT_FALSE(bucket.try_take(4, t0 + 24h));
  EXPECT_EQ(bucket.time_until(4, t0 + 24h), std::nullopt);
  EXPECT_TRUE(bucket.try_take(3, t0 + 24h));
}

TEST(TokenBucket, StandsStillWhileTimeGoesBackwards) {
  TokenBucket bucket{{.tokens = 1, .per = 1s, .burst = 1}, t0 + 10s};
  EXPECT_TRUE(bucket.try_take(1, t0 + 10s));
  EXPECT_FALSE(bucket.try_take(1, t0 + 5s));
  EXPECT_FALSE(bucket.try_take(1, t0 + 6s));
  EXPECT_FALSE(bucket.try_take(1, t0 + 10s));
  EXPECT_EQ(bucket.time_until(1, t0 + 5s), 6s);
  EXPECT_TRUE(bucket.try_take(1, t0 + 11s));
}

TEST(TokenBucket, DoesNotDriftHoweverOftenTimeIsRounded) {
  // A third of a nanosecond is left over by each wait and must not be lost.
  TokenBucket bucket{{.tokens = 3, .per = 1s, .burst = 2}, t0};
  ASSERT_TRUE(bucket.try_take(2, t0));
  TimePoint now = t0;
  for (int taken = 0; taken < 3 * 3600; ++taken) {
    now += *bucket.time_until(1, now);
    ASSERT_TRUE(bucket.try_take(1, now));
  }
  EXPECT_EQ(now, t0 + 1h);

  TokenBucket slow{{.tokens = 1, .per = 24h, .burst = 1000}, t0};
  ASSERT_TRUE(slow.try_take(1000, t0));
  EXPECT_EQ(slow.available(t0 + 24h * 365), 365U);
  EXPECT_EQ(slow.available(t0 + 24h * 365 - 1ns), 364U);
}

TEST(TokenBucket, HoldsAtTheEndsOfItsRange) {
  constexpr std::uint64_t most = std::uint64_t{1} << 62;
  TokenBucket bucket{{.tokens = most, .per = 24h * 36500, .burst = most}, t0};
  EXPECT_TRUE(bucket.try_take(most, t0));
  EXPECT_EQ(bucket.time_until(most, t0), 24h * 36500);
  EXPECT_EQ(bucket.available(t0 + 24h * 36500), most);

  TokenBucket rare{{.tokens = 1, .per = Duration::max(), .burst = 2}, t0};
  EXPECT_TRUE(rare.try_take(2, t0));
  EXPECT_EQ(rare.time_until(2, t0), Duration::max());
}

struct Take {
  TimePoint at;
  std::uint64_t n;
};

TEST(TokenBucketProperty, NeverGivesMoreThanBurstAndRateInAnyInterval) {
  EXPECT_TRUE(rc::check("burst + rate * t", [] {
    const TokenBucketConfig config{
        .tokens = *rc::gen::inRange<std::uint64_t>(1, 50),
        .per = Duration{*rc::gen::inRange<Duration::rep>(1, 2000)},
        .burst = *rc::gen::inRange<std::uint64_t>(1, 20)};
    TokenBucket bucket{config, t0};
    TimePoint now = t0;
    TimePoint latest = t0;
    std::vector<Take> takes;
    const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(-50, 300), rc::gen::inRange(0, 8)));
    for (const auto& [advance, wanted] : steps) {
      now += Duration{advance};
      latest = std::max(latest, now);
      const auto n = static_cast<std::uint64_t>(wanted);
      if (bucket.try_take(n, now))
        takes.push_back({latest, n});
    }
    for (std::size_t first = 0; first < takes.size(); ++first) {
      std::uint64_t sum = 0;
      for (std::size_t last = first; last < takes.size(); ++last) {
        sum += takes[last].n;
        const auto span = (takes[last].at - takes[first].at).count();
        const auto per = static_cast<std::uint64_t>(config.per.count());
        RC_ASSERT(sum * per <=
                  config.burst * per +
                      static_cast<std::uint64_t>(span) * config.tokens);
      }
    }
  }));
}

TEST(TokenBucketProperty, TellsToTheNanosecondWhenTokensWillBeThere) {
  EXPECT_TRUE(rc::check("time_until is exact", [] {
    const TokenBucketConfig config{
        .tokens = *rc::gen::inRange<std::uint64_t>(1, 1000),
        .per = Duration{*rc::gen::inRange<Duration::rep>(1, 1'000'000'000)},
        .burst = *rc::gen::inRange<std::uint64_t>(1, 100)};
    TokenBucket bucket{config, t0};
    (void)bucket.try_take(*rc::gen::inRange<std::uint64_t>(0, config.burst + 1),
                          t0);
    const auto n = *rc::gen::inRange<std::uint64_t>(1, config.burst + 1);
    const auto wait = bucket.time_until(n, t0);
    RC_ASSERT(wait.has_value());
    if (*wait > Duration{0})
      RC_ASSERT(!TokenBucket{bucket}.try_take(n, t0 + *wait - 1ns));
    RC_ASSERT(bucket.try_take(n, t0 + *wait));
  }));
}

}  // namespace
}  // namespace troupe::flow_control
