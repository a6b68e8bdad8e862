#include <troupe/queue/shard_look_core.hpp>

#include <gmock/gmock.h>
#include <memory>
#include <vector>

namespace troupe::queue {
namespace {

using store::JobId;
using store::Priority;
using store::QueueHead;
using store::QueueId;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::Lt;

QueueHead head(std::uint32_t shard, std::uint64_t job,
               Priority priority = Priority::normal,
               const std::string& group = "g") {
  return {{group, "", shard}, priority, JobId{job}};
}

QueueId queue(std::uint32_t shard, const std::string& group = "g") {
  return {group, "", shard};
}

class ShardLookCoreTest : public ::testing::Test {
 protected:
  ShardLookCoreTest() { own({3, 5}); }

  void own(std::vector<std::uint32_t> shards) {
    core.set_own(
        std::make_shared<const std::vector<std::uint32_t>>(std::move(shards)),
        8);
  }
  void pass(Duration time) { now += time; }

  ShardLookCore core{1s, 7};
  TimePoint now{1h};
};

TEST_F(ShardLookCoreTest, LooksInItsOwnShards) {
  const auto where = core.where(/*is_hungry=*/false, now);
  EXPECT_THAT(where.shards, ElementsAre(3, 5));
  EXPECT_FALSE(where.abroad);
  EXPECT_EQ(core.next_look(), now + 1s);
}

TEST_F(ShardLookCoreTest, LooksOnceWhereItWasTold) {
  core.tell({5, 1});
  EXPECT_THAT(core.where(false, now).shards, ElementsAre(1, 3, 5));
  EXPECT_THAT(core.where(false, now).shards, ElementsAre(3, 5));
}

TEST_F(ShardLookCoreTest, KeepsABoundedNumberOfShardsInMind) {
  std::vector<std::uint32_t> many(2 * ShardLookCore::most_told);
  for (std::uint32_t i = 0; i < many.size(); ++i)
    many[i] = 10 + i;
  core.tell(many);
  EXPECT_EQ(core.where(false, now).shards.size(), 2 + ShardLookCore::most_told);
}

TEST_F(ShardLookCoreTest, OffersOneHeadOfEachQueueAndClaimsInTheOrderOfAll) {
  (void)core.where(false, now);
  EXPECT_THAT(
      core.offer({head(3, 9), head(5, 7), head(3, 1, Priority::low, "h")}, {}),
      ElementsAre(head(0, 7), head(0, 1, Priority::low, "h")));
  EXPECT_THAT(core.queues_of(queue(0)), ElementsAre(queue(5), queue(3)));
  EXPECT_THAT(core.queues_of(queue(0, "h")), ElementsAre(queue(3, "h")));
  EXPECT_THAT(core.queues_of(queue(0, "unknown")), IsEmpty());
}

TEST_F(ShardLookCoreTest, TheMoreUrgentComesFirst) {
  (void)core.where(false, now);
  (void)core.offer({head(3, 1), head(5, 2, Priority::high)}, {});
  EXPECT_THAT(core.queues_of(queue(0)), ElementsAre(queue(5), queue(3)));
}

TEST_F(ShardLookCoreTest, TakesAbroadWhatItHasSeenTwice) {
  const auto first = core.where(/*is_hungry=*/true, now);
  ASSERT_TRUE(first.abroad);
  EXPECT_THAT(*first.abroad, Lt(8U));
  EXPECT_THAT(core.offer({}, {head(1, 4), head(2, 5)}), IsEmpty());
  pass(2s);
  EXPECT_EQ(core.where(true, now).abroad, first.abroad);
  EXPECT_THAT(core.offer({}, {head(1, 4), head(6, 6)}),
              ElementsAre(head(0, 4)));
  EXPECT_THAT(core.queues_of(queue(0)), ElementsAre(queue(1)));
}

TEST_F(ShardLookCoreTest, KnowsWhyItLookedIntoAShard) {
  core.tell({1, 3}, Found::offered);
  core.tell({1, 2}, Found::hinted);
  (void)core.where(true, now);
  (void)core.offer(
      {head(1, 1, Priority::normal, "a"), head(2, 2, Priority::normal, "b"),
       head(3, 3, Priority::normal, "c")},
      {head(6, 4, Priority::normal, "d")});
  EXPECT_EQ(core.found_in(1), Found::offered);
  EXPECT_EQ(core.found_in(2), Found::hinted);
  EXPECT_EQ(core.found_in(3), Found::own);
  pass(2s);
  (void)core.where(true, now);
  (void)core.offer({}, {head(6, 4, Priority::normal, "d")});
  EXPECT_EQ(core.found_in(6), Found::abroad);
  EXPECT_EQ(core.found_in(1), Found::own) << "it was looked at once";
  EXPECT_EQ(to_string(Found::abroad), "abroad");
}

TEST_F(ShardLookCoreTest, TakesNothingAbroadThatHasMovedOn) {
  (void)core.where(true, now);
  (void)core.offer({}, {head(1, 4)});
  pass(2s);
  (void)core.where(true, now);
  EXPECT_THAT(core.offer({}, {head(1, 5)}), IsEmpty());
}

TEST_F(ShardLookCoreTest, ALookAtItsOwnInBetweenForgetsNothing) {
  (void)core.where(true, now);
  (void)core.offer({}, {head(1, 4)});
  (void)core.where(false, now);
  EXPECT_THAT(core.offer({}, {}), IsEmpty());
  pass(2s);
  (void)core.where(true, now);
  EXPECT_THAT(core.offer({}, {head(1, 4)}), ElementsAre(head(0, 4)));
}

TEST_F(ShardLookCoreTest, PrefersItsOwnToWhatIsAbroad) {
  (void)core.where(true, now);
  (void)core.offer({}, {head(1, 4)});
  pass(2s);
  (void)core.where(true, now);
  EXPECT_THAT(core.offer({head(3, 8)}, {head(1, 4)}), ElementsAre(head(0, 8)));
  EXPECT_THAT(core.queues_of(queue(0)), ElementsAre(queue(3)));
}

TEST_F(ShardLookCoreTest, DoesNotCallItsOwnForeign) {
  (void)core.where(true, now);
  (void)core.offer({}, {head(3, 4)});
  pass(2s);
  (void)core.where(true, now);
  EXPECT_THAT(core.offer({}, {head(3, 4)}), IsEmpty());
}

TEST_F(ShardLookCoreTest, LooksAbroadNoMoreOftenThanOwnersLook) {
  (void)core.where(true, now);
  pass(999ms);
  EXPECT_FALSE(core.where(true, now).abroad);
  pass(1001ms);
  EXPECT_TRUE(core.where(true, now).abroad);
}

TEST_F(ShardLookCoreTest, WhatItHasSeenAbroadIsLookedAtAgainInTime) {
  (void)core.where(true, now);
  (void)core.offer({}, {head(1, 4)});
  // Its owner has looked by then, and the next look of its own is not waited
  // for.
  pass(1s);
  while (!core.where(true, now).abroad) {
    ASSERT_THAT(core.next_look(), AllOf(Gt(now), Lt(TimePoint{1h} + 2s)));
    now = core.next_look();
    (void)core.offer({}, {});
  }
  EXPECT_THAT(core.offer({}, {head(1, 4)}), ElementsAre(head(0, 4)));
}

TEST_F(ShardLookCoreTest, LooksAbroadAtOnceWhenShardsMove) {
  // Whose they were may be gone, and whose they are may have no room.
  (void)core.where(true, now);
  (void)core.offer({}, {});
  own({3});
  EXPECT_TRUE(core.where(true, now).abroad);
}

TEST_F(ShardLookCoreTest, WithoutAShardOfItsOwnItLivesOnOthers) {
  own({});
  EXPECT_THAT(core.where(true, now).shards, IsEmpty());
  (void)core.offer({}, {head(1, 4)});
  pass(2s);
  (void)core.where(true, now);
  EXPECT_THAT(core.offer({}, {head(1, 4)}), ElementsAre(head(0, 4)));
}

}  // namespace
}  // namespace troupe::queue
