#include <troupe/fanout/output_order.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <rapidcheck.h>
#include <string>

namespace troupe::fanout {
namespace {

using Outputs = std::vector<std::string>;

TEST(OutputOrder, HoldsBackWhatIsNotYetDue) {
  OutputOrder<std::string> order{4};
  EXPECT_EQ(order.on_finished(2, "two"), Outputs{});
  EXPECT_EQ(order.on_finished(4, "four"), Outputs{});
  EXPECT_EQ(order.held(), 2U);
  EXPECT_EQ(order.head(), 1U);
  EXPECT_EQ(order.on_finished(1, "one"), (Outputs{"one", "two"}));
  EXPECT_EQ(order.head(), 3U);
  EXPECT_EQ(order.on_finished(3, "three"), (Outputs{"three", "four"}));
  EXPECT_EQ(order.held(), 0U);
}

TEST(OutputOrder, LetsNoJobRunFurtherAheadThanTheWindow) {
  OutputOrder<std::string> order{2};
  EXPECT_TRUE(order.may_start(2));
  EXPECT_FALSE(order.may_start(3));
  (void)order.on_finished(2, "two");
  EXPECT_FALSE(order.may_start(3));
  (void)order.on_finished(1, "one");
  EXPECT_TRUE(order.may_start(4));
  EXPECT_FALSE(order.may_start(5));
}

TEST(OutputOrder, PassesOverJobsThatDoNotRun) {
  OutputOrder<std::string> order{4};
  EXPECT_EQ(order.on_finished(3, "three"), Outputs{});
  EXPECT_EQ(order.on_skipped(2), Outputs{});
  EXPECT_EQ(order.held(), 1U);
  EXPECT_EQ(order.on_skipped(1), Outputs{"three"});
}

TEST(OutputOrder, TakesOutputsThatCanOnlyMove) {
  OutputOrder<std::unique_ptr<int>> order{1};
  EXPECT_EQ(*order.on_finished(1, std::make_unique<int>(5)).front(), 5);
}

TEST(OutputOrder, GivesEverythingOnceInOrderWithinItsBound) {
  EXPECT_TRUE(rc::check("any order of ends", [] {
    const auto window = *rc::gen::inRange<std::size_t>(1, 6);
    const auto jobs = *rc::gen::inRange<std::uint64_t>(0, 40);
    OutputOrder<std::uint64_t> order{window};
    std::vector<std::uint64_t> running;
    std::vector<std::uint64_t> shown;
    std::uint64_t next = 1;
    while (shown.size() < jobs) {
      while (next <= jobs && order.may_start(next))
        running.push_back(next++);
      const auto pick = *rc::gen::inRange<std::size_t>(0, running.size());
      const auto seq = running[pick];
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(pick));
      for (const auto output : order.on_finished(seq, seq))
        shown.push_back(output);
      RC_ASSERT(order.held() < window);
    }
    for (std::uint64_t i = 0; i < jobs; ++i)
      RC_ASSERT(shown[i] == i + 1);
    RC_ASSERT(order.held() == 0U);
  }));
}

}  // namespace
}  // namespace troupe::fanout
