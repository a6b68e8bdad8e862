#include <troupe/fanout/progress.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::fanout {
namespace {

constexpr TimePoint progress_start{};

/// Ends `count` jobs, one every `gap`.
void finish(Progress& progress, int count, Duration gap, TimePoint& now) {
  for (int i = 0; i < count; ++i) {
    now += gap;
    progress.on_started();
    progress.on_finished(true, now);
  }
}

TEST(Progress, CountsJobs) {
  Progress progress{progress_start};
  progress.on_started();
  progress.on_started();
  progress.on_skipped();
  progress.on_finished(false, progress_start + 1s);
  EXPECT_EQ(progress.running(), 1U);
  EXPECT_EQ(progress.done(), 2U);
  EXPECT_EQ(progress.failed(), 1U);
}

TEST(Progress, EstimatesTheRestFromTheSpeed) {
  Progress progress{progress_start};
  TimePoint now = progress_start;
  EXPECT_EQ(progress.per_second(now), std::nullopt);
  finish(progress, 10, 500ms, now);
  EXPECT_DOUBLE_EQ(progress.per_second(now).value(), 2.0);
  EXPECT_EQ(progress.eta(now), std::nullopt);
  progress.set_total(110);
  EXPECT_EQ(progress.eta(now), Duration{50s});
}

TEST(Progress, FollowsAChangeOfSpeed) {
  Progress progress{progress_start};
  TimePoint now = progress_start;
  finish(progress, 100, 1s, now);
  finish(progress, 150, 100ms, now);
  EXPECT_NEAR(progress.per_second(now).value(), 10.0, 1.0);
}

TEST(Progress, SlowsDownWhileNothingEnds) {
  Progress progress{progress_start};
  TimePoint now = progress_start;
  finish(progress, 10, 100ms, now);
  EXPECT_DOUBLE_EQ(progress.per_second(now + 20s).value(), 0.05);
}

TEST(Progress, IsNotFooledByRoundsThatEndTogether) {
  Progress progress{progress_start};
  TimePoint now = progress_start;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 64; ++i)
      progress.on_started();
    now += 10s;
    for (int i = 0; i < 64; ++i)
      progress.on_finished(true, now);
  }
  EXPECT_NEAR(progress.per_second(now).value(), 6.4, 1.0);
}

TEST(Progress, RendersOneLine) {
  Progress progress{progress_start};
  TimePoint now = progress_start;
  finish(progress, 40, 100ms, now);
  progress.on_started();
  EXPECT_EQ(progress.render(80, now), "40 done, 1 running, 10.0/s");
  progress.set_total(1000);
  EXPECT_EQ(progress.render(80, now),
            "[=>                            ]   4% 40/1000, 1 running, 10.0/s, "
            "eta 1m36s");
  progress.on_finished(false, now + 100ms);
  EXPECT_EQ(progress.render(200, now + 100ms),
            "[=>                            ]   4% 41/1000, 0 running, 1 "
            "failed, 10.0/s, eta 1m36s");
}

TEST(Progress, LeavesOutWhatDoesNotFit) {
  Progress progress{progress_start};
  TimePoint now = progress_start;
  finish(progress, 40, 100ms, now);
  progress.set_total(80);
  EXPECT_EQ(progress.render(50, now),
            "[=====>    ]  50% 40/80, 0 running, 10.0/s, eta 4s");
  EXPECT_EQ(progress.render(30, now), " 50% 40/80, 0 running, 10.0/s");
  EXPECT_EQ(progress.render(10, now), " 50% 40/80");
  EXPECT_EQ(progress.render(5, now), "");
}

TEST(Progress, EndsWithAFullBar) {
  Progress progress{progress_start};
  TimePoint now = progress_start;
  finish(progress, 2, 1s, now);
  progress.set_total(2);
  EXPECT_EQ(progress.render(60, now),
            "[=======================] 100% 2/2, 0 running, 1.0/s, eta 0s");
  Progress nothing{progress_start};
  nothing.set_total(0);
  EXPECT_EQ(nothing.render(40, now),
            "[==================] 100% 0/0, 0 running");
}

TEST(Progress, NeverExceedsTheWidth) {
  EXPECT_TRUE(rc::check("any counts, any width", [] {
    Progress progress{progress_start};
    TimePoint now = progress_start;
    const auto gap =
        Duration{*rc::gen::inRange<std::int64_t>(0, 1'000'000'000'000)};
    finish(progress, *rc::gen::inRange(0, 50), gap, now);
    progress.on_started();
    if (*rc::gen::arbitrary<bool>())
      progress.set_total(*rc::gen::arbitrary<std::uint64_t>());
    const auto columns = *rc::gen::inRange<std::size_t>(0, 120);
    RC_ASSERT(progress.render(columns, now).size() <= columns);
  }));
}

}  // namespace
}  // namespace troupe::fanout
