#include <troupe/supervisor/backoff_span.hpp>

#include <algorithm>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

constexpr Backoff steady{
    .min = 100ms, .max = 1s, .factor = 2, .jitter = 0, .reset_after = 60s};

TEST(BackoffSpan, SumsWhatBackoffDelayAnswers) {
  Random seeds{1};
  for (int i = 0; i < 200; ++i) {
    Backoff backoff{
        .min = Duration{1 + static_cast<Duration::rep>(seeds.unit() * 1e9)},
        .factor = 1 + 2 * seeds.unit(),
        .jitter = seeds.unit()};
    backoff.max = backoff.min * (1 + static_cast<int>(seeds.unit() * 1000));
    const std::uint64_t restarts = seeds.next() % 30;
    Random random{seeds.next()};
    Duration sum{0};
    for (std::uint32_t step = 0; step < restarts; ++step) {
      const Duration wait = backoff_delay(backoff, step, random);
      EXPECT_GE(wait, backoff_wait(backoff, step).shortest - 1us);
      EXPECT_LE(wait, backoff_wait(backoff, step).longest + 1us);
      sum += wait;
    }
    EXPECT_GE(sum, backoff_span(backoff, restarts).shortest - 1us);
    EXPECT_LE(sum, backoff_span(backoff, restarts).longest + 1us);
  }
}

TEST(BackoffSpan, GrowsUntilTheLongestWait) {
  EXPECT_EQ(backoff_span(steady, 0), (DurationRange{0s, 0s}));
  EXPECT_EQ(backoff_span(steady, 4), (DurationRange{1500ms, 1500ms}));
  EXPECT_EQ(backoff_span(steady, 6), (DurationRange{3500ms, 3500ms}));
  EXPECT_EQ(backoff_span(steady, 1'000'000).shortest, 999'997'500ms);
}

TEST(BackoffSpan, StaysTheSameWithoutAFactor) {
  Backoff backoff = steady;
  backoff.factor = 1;
  EXPECT_EQ(backoff_span(backoff, 7), (DurationRange{700ms, 700ms}));
}

TEST(BackoffSpan, SpreadsByTheJitter) {
  Backoff backoff = steady;
  backoff.jitter = 0.5;
  EXPECT_EQ(backoff_wait(backoff, 1), (DurationRange{100ms, 300ms}));
  EXPECT_EQ(backoff_span(backoff, 2), (DurationRange{150ms, 450ms}));
}

TEST(BackoffSpan, ClampsWhatIsTooLong) {
  Backoff backoff = steady;
  backoff.max = 36500 * 24h;
  EXPECT_EQ(backoff_span(backoff, 1'000'000).longest, Duration::max());
}

TEST(MostFailuresWithin, CountsBothEdges) {
  EXPECT_EQ(most_failures_within(steady, 1500ms, 100), 5U);
  EXPECT_EQ(most_failures_within(steady, 1499ms, 100), 4U);
  EXPECT_EQ(most_failures_within(steady, 1500ms, 3), 3U);
  EXPECT_EQ(most_failures_within(steady, 99ms, 100), 1U);
}

TEST(MostFailuresWithin, KnowsThatLivingForAWhileMakesWaitsShort) {
  Backoff backoff = steady;
  backoff.max = 1h;
  EXPECT_EQ(most_failures_within(backoff, 10s, 100), 7U);
  // 100 ms, 200 ms, up for 500 ms, 100 ms, 200 ms, up for 500 ms, ..
  backoff.reset_after = 500ms;
  EXPECT_EQ(most_failures_within(backoff, 1100ms, 100), 5U);
  backoff.reset_after = 0s;
  EXPECT_EQ(most_failures_within(backoff, 10s, 1000), 101U);
}

/// The most by trying: at each failure it may have been up for long enough.
std::uint64_t most_by_trying(const Backoff& backoff, Duration left,
                             std::uint64_t step, std::uint64_t limit) {
  if (limit == 1)
    return 1;
  std::uint64_t best = 1;
  const Duration at_once = backoff_wait(backoff, step).shortest;
  if (at_once <= left)
    best = std::max(
        best, 1 + most_by_trying(backoff, left - at_once, step + 1, limit - 1));
  const Duration later =
      backoff.reset_after + backoff_wait(backoff, 0).shortest;
  if (later <= left)
    best =
        std::max(best, 1 + most_by_trying(backoff, left - later, 1, limit - 1));
  return best;
}

TEST(MostFailuresWithin, IsWhatTryingFinds) {
  Random random{7};
  for (int i = 0; i < 300; ++i) {
    const Backoff backoff{
        .min = Duration{10ms} * (1 + random.next() % 10),
        .max = 1h,
        .factor = static_cast<double>(1 + random.next() % 3),
        .jitter = 0,
        .reset_after = Duration{50ms} * (1 + random.next() % 20)};
    const Duration period = Duration{20ms} * (1 + random.next() % 50);
    EXPECT_EQ(most_failures_within(backoff, period, 9),
              most_by_trying(backoff, period, 0, 9))
        << "round " << i;
  }
}

}  // namespace
}  // namespace troupe::supervisor
