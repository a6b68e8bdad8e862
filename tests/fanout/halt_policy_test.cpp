#include <troupe/fanout/halt_policy.hpp>

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <vector>

namespace troupe::fanout {
namespace {

constexpr auto carry_on = HaltDecision::carry_on;
constexpr auto stop_starting = HaltDecision::stop_starting;
constexpr auto kill_all = HaltDecision::kill_all;

/// What a policy says to jobs that end with these statuses.
std::vector<HaltDecision> decisions(HaltPolicy policy,
                                    const std::vector<int>& statuses) {
  std::vector<HaltDecision> result;
  for (const int status : statuses)
    result.push_back(policy.on_finished(status == 0, status));
  return result;
}

HaltPolicy parse_policy(const char* text) {
  return HaltPolicy::parse(text).value();
}

HaltPolicy parse_policy(const char* text, std::uint64_t total) {
  HaltPolicy policy = parse_policy(text);
  policy.set_total(total);
  return policy;
}

int status_after(HaltPolicy policy, const std::vector<int>& statuses) {
  for (const int status : statuses)
    (void)policy.on_finished(status == 0, status);
  return policy.exit_status();
}

TEST(HaltPolicy, NeverHaltsUnlessAsked) {
  EXPECT_EQ(decisions({}, {1, 1}), (std::vector{carry_on, carry_on}));
  EXPECT_EQ(decisions(parse_policy("never"), {1, 0}),
            (std::vector{carry_on, carry_on}));
}

TEST(HaltPolicy, CountsFailuresSuccessesOrBoth) {
  EXPECT_EQ(decisions(parse_policy("now,fail=2"), {1, 0, 3}),
            (std::vector{carry_on, carry_on, kill_all}));
  EXPECT_EQ(decisions(parse_policy("soon,success=2"), {0, 1, 0}),
            (std::vector{carry_on, carry_on, stop_starting}));
  EXPECT_EQ(decisions(parse_policy("now,done=2"), {0, 1}),
            (std::vector{carry_on, kill_all}));
}

TEST(HaltPolicy, StaysWithItsDecision) {
  EXPECT_EQ(decisions(parse_policy("soon,fail=1"), {1, 0, 0}),
            (std::vector{stop_starting, stop_starting, stop_starting}));
}

TEST(HaltPolicy, TakesPercentagesOfAllJobsOnceTheyAreKnown) {
  EXPECT_EQ(decisions(parse_policy("soon,fail=10%", 20), {1, 0, 1}),
            (std::vector{carry_on, carry_on, stop_starting}));
  EXPECT_EQ(decisions(parse_policy("now,success=50%", 4), {0, 1, 0}),
            (std::vector{carry_on, carry_on, kill_all}));
  EXPECT_EQ(decisions(parse_policy("now,done=50%", 4), {0, 1}),
            (std::vector{carry_on, kill_all}));
  EXPECT_EQ(decisions(parse_policy("soon,fail=1%", 10), {0, 1}),
            (std::vector{carry_on, stop_starting}));
}

TEST(HaltPolicy, TakesPercentagesOfWhatEndedFromTheThirdOnOtherwise) {
  EXPECT_EQ(decisions(parse_policy("soon,fail=50%"), {1, 1, 1}),
            (std::vector{carry_on, carry_on, stop_starting}));
  EXPECT_EQ(decisions(parse_policy("soon,fail=50%"), {0, 0, 0, 1, 1, 1}).back(),
            stop_starting);
  EXPECT_EQ(
      decisions(parse_policy("soon,fail=50%"), {0, 0, 0, 0, 1, 1, 1}).back(),
      carry_on);
  EXPECT_EQ(decisions(parse_policy("now,done=1%"), {0, 0, 0, 0}).back(),
            carry_on);
}

TEST(HaltPolicy, ReadsTheShortAndOldForms) {
  EXPECT_EQ(decisions(parse_policy("0"), {1}), (std::vector{carry_on}));
  EXPECT_EQ(decisions(parse_policy("1"), {1}), (std::vector{stop_starting}));
  EXPECT_EQ(decisions(parse_policy("2"), {1}), (std::vector{kill_all}));
  EXPECT_EQ(decisions(parse_policy("-1"), {0}), (std::vector{stop_starting}));
  EXPECT_EQ(decisions(parse_policy("-2"), {0}), (std::vector{kill_all}));
  EXPECT_EQ(decisions(parse_policy("10%", 10), {1}),
            (std::vector{stop_starting}));
}

TEST(HaltPolicy, RefusesWhatItCannotRead) {
  EXPECT_EQ(HaltPolicy::parse("later").error().what,
            "expected never, or when to halt such as now,fail=1, "
            "soon,fail=10%, now,success=1 or soon,done=5, got \"later\"");
  for (const char* bad :
       {"", "now", "soon,", "now,fail", "now,fail=", "now,fail=0",
        "now,fail=0%", "now,fail=101%", "now,fail=1.5%", "now,fail=-1",
        "now,fail=1 ", "never,fail=1", "now,crash=1", "3", "%", "now,fail=%"})
    EXPECT_FALSE(HaltPolicy::parse(bad).has_value()) << bad;
}

// What GNU parallel 20221122 exits with.
TEST(HaltPolicy, ExitsAsGnuParallelDoes) {
  EXPECT_EQ(status_after({}, {0, 1, 3}), 2);
  EXPECT_EQ(status_after(parse_policy("soon,fail=1"), {3, 4}), 3);
  EXPECT_EQ(status_after(parse_policy("soon,fail=1"), {137, 0}), 137);
  EXPECT_EQ(status_after(parse_policy("now,fail=2"), {3, 0, 5}), 2);
  EXPECT_EQ(status_after(parse_policy("now,fail=50%", 4), {0, 3, 4}), 50);
  EXPECT_EQ(status_after(parse_policy("soon,fail=30%", 3), {3}), 34);
  EXPECT_EQ(status_after(parse_policy("now,success=1"), {3, 0}), 0);
  EXPECT_EQ(status_after(parse_policy("now,success=9"), {3, 0, 5}), 2);
  EXPECT_EQ(status_after(parse_policy("soon,done=2"), {0, 4}), 1);
  EXPECT_EQ(status_after(parse_policy("soon,done=1"), {0}), 0);
}

TEST(HaltPolicy, NeverGoesBackOnADecision) {
  EXPECT_TRUE(rc::check("decisions only grow", [] {
    auto policy = parse_policy(*rc::gen::element(
        "now,fail=3", "soon,success=20%", "now,done=4", "soon,fail=50%"));
    const auto statuses =
        *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 3));
    if (*rc::gen::arbitrary<bool>())
      policy.set_total(statuses.size());
    const auto all = decisions(policy, statuses);
    RC_ASSERT(std::is_sorted(all.begin(), all.end()));
  }));
}

TEST(ExitStatusOf, CountsUpTo100AndThenSays101) {
  EXPECT_EQ(exit_status_of(0), 0);
  EXPECT_EQ(exit_status_of(100), 100);
  EXPECT_EQ(exit_status_of(101), 101);
  EXPECT_EQ(exit_status_of(1'000'000), 101);
}

}  // namespace
}  // namespace troupe::fanout
