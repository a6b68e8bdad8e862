#include <troupe/workflow/concurrency.hpp>

#include <gtest/gtest.h>
#include <vector>

namespace troupe::workflow {
namespace {

using Decision = ConcurrencyGroups::Decision;
using Who = std::vector<std::uint64_t>;

TEST(ConcurrencyGroups, LetsInAsManyAsTheLimitSaysAndTheRestInTheirTurn) {
  ConcurrencyGroups groups;
  const ConcurrencyLimits two{.limit = 2};
  EXPECT_EQ(groups.ask("g", 1, two).decision, Decision::enter);
  EXPECT_EQ(groups.ask("g", 2, two).decision, Decision::enter);
  EXPECT_EQ(groups.ask("g", 3, two).decision, Decision::wait);
  EXPECT_EQ(groups.ask("g", 4, two).decision, Decision::wait);
  EXPECT_EQ(groups.ask("other", 5, two).decision, Decision::enter);
  EXPECT_EQ(groups.leave("g", 2), Who{3});
  EXPECT_EQ(groups.leave("g", 3), Who{4});
  EXPECT_EQ(groups.leave("g", 1), Who{});
  EXPECT_EQ(groups.running("g"), 1U);
}

TEST(ConcurrencyGroups, RefusesWhatItsQueueDoesNotHold) {
  ConcurrencyGroups groups;
  const ConcurrencyLimits limits{.limit = 1, .queue = 1};
  (void)groups.ask("g", 1, limits);
  EXPECT_EQ(groups.ask("g", 2, limits).decision, Decision::wait);
  EXPECT_EQ(groups.ask("g", 3, limits).decision, Decision::queue_full);
  EXPECT_EQ(groups.waiting("g"), 1U);
}

TEST(ConcurrencyGroups, SkipsOrFailsInsteadOfWaiting) {
  ConcurrencyGroups groups;
  (void)groups.ask("g", 1, {});
  EXPECT_EQ(groups.ask("g", 2, {.on_conflict = OnConflict::skip}).decision,
            Decision::skip);
  EXPECT_EQ(groups.ask("g", 3, {.on_conflict = OnConflict::fail}).decision,
            Decision::fail);
  EXPECT_EQ(groups.leave("g", 1), Who{});
  EXPECT_EQ(groups.ask("g", 4, {}).decision, Decision::enter);
}

TEST(ConcurrencyGroups, HasThoseCancelledThatAreInTheLongest) {
  ConcurrencyGroups groups;
  const ConcurrencyLimits limits{.limit = 2,
                                 .on_conflict = OnConflict::cancel_running};
  (void)groups.ask("g", 1, limits);
  (void)groups.ask("g", 2, limits);
  const auto third = groups.ask("g", 3, limits);
  EXPECT_EQ(third.decision, Decision::wait);
  EXPECT_EQ(third.cancel, Who{1});
  EXPECT_EQ(groups.ask("g", 4, limits).cancel, Who{2});
  EXPECT_EQ(groups.ask("g", 5, limits).cancel, Who{});
  EXPECT_EQ(groups.leave("g", 1), Who{3});
}

TEST(ConcurrencyGroups, ForgetsWhoDoesNotWaitAnyMore) {
  ConcurrencyGroups groups;
  (void)groups.ask("g", 1, {});
  (void)groups.ask("g", 2, {});
  (void)groups.ask("g", 3, {});
  EXPECT_EQ(groups.leave("g", 2), Who{});
  EXPECT_EQ(groups.leave("g", 9), Who{});
  EXPECT_EQ(groups.leave("g", 1), Who{3});
}

TEST(ConcurrencyGroups, KeepsPlacesOverARestartOfTheirOwner) {
  ConcurrencyGroups groups;
  groups.restore("g", 7);
  EXPECT_EQ(groups.ask("g", 8, {}).decision, Decision::wait);
  EXPECT_EQ(groups.leave("g", 7), Who{8});
}

}  // namespace
}  // namespace troupe::workflow
