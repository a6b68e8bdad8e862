#include <troupe/fanout/timeout_policy.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <vector>

namespace troupe::fanout {
namespace {

TEST(TimeoutPolicy, KeepsAFixedLimit) {
  auto policy = TimeoutPolicy::parse("30s").value();
  EXPECT_EQ(policy.limit(), Duration{30s});
  EXPECT_FALSE(policy.on_success(1s));
  EXPECT_EQ(policy.limit(), Duration{30s});
  EXPECT_EQ(TimeoutPolicy::parse("0").value().limit(), std::nullopt);
  EXPECT_EQ(TimeoutPolicy{}.limit(), std::nullopt);
}

TEST(TimeoutPolicy, FollowsTheMedianOfThreeOrMoreSuccesses) {
  auto policy = TimeoutPolicy::parse("200%").value();
  EXPECT_FALSE(policy.on_success(10ns));
  EXPECT_FALSE(policy.on_success(30ns));
  EXPECT_EQ(policy.limit(), std::nullopt);
  EXPECT_TRUE(policy.on_success(20ns));
  EXPECT_EQ(policy.limit(), Duration{40ns});
  EXPECT_FALSE(policy.on_success(60ns));
  EXPECT_TRUE(policy.on_success(60ns));
  EXPECT_EQ(policy.limit(), Duration{60ns});
}

TEST(TimeoutPolicy, SurvivesAbsurdRuntimes) {
  auto policy = TimeoutPolicy::parse("100000%").value();
  for (int i = 0; i < 3; ++i)
    (void)policy.on_success(Duration::max());
  EXPECT_EQ(policy.limit(), Duration{Duration::max().count() / 2});
}

TEST(TimeoutPolicy, RefusesWhatWouldKillHalfOfTheJobs) {
  EXPECT_EQ(TimeoutPolicy::parse("100%").error().what,
            "expected a time limit of more than 100% and at most 100000% of "
            "the median runtime, got \"100%\"");
  EXPECT_EQ(TimeoutPolicy::parse("10").error().what,
            "expected a time limit such as 30s, or 300% of the median runtime, "
            "got \"10\"");
  for (const char* bad : {"", "%", "-200%", "150.5%", "100001%", "soon"})
    EXPECT_FALSE(TimeoutPolicy::parse(bad).has_value()) << bad;
}

TEST(RuntimeMedian, IsWithinOneSixtyFourthOfTheTrueOne) {
  EXPECT_TRUE(rc::check("relative error", [] {
    const auto exponents = *rc::gen::nonEmpty(
        rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 62)));
    std::vector<std::int64_t> values;
    RuntimeMedian median;
    for (const int exponent : exponents) {
      const std::int64_t base = std::int64_t{1} << exponent;
      values.push_back(base + *rc::gen::inRange<std::int64_t>(0, base));
      median.add(Duration{values.back()});
    }
    std::sort(values.begin(), values.end());
    const auto exact = values[(values.size() - 1) / 2];
    const auto got = median.median()->count();
    RC_ASSERT(std::abs(got - exact) <= exact / 64);
  }));
}

TEST(RuntimeMedian, KnowsNothingAtFirst) {
  EXPECT_EQ(RuntimeMedian{}.median(), std::nullopt);
  RuntimeMedian median;
  median.add(Duration{-5});
  EXPECT_EQ(median.median(), Duration{0});
}

}  // namespace
}  // namespace troupe::fanout
