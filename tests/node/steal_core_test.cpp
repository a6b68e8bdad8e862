#include "steal_core.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::node {
namespace {

using distributed::NodeId;
using link::Load;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const TimePoint t0{1h};

NodeId node(std::uint8_t n) {
  NodeId id;
  id.bytes.back() = n;
  return id;
}

Load backlog(std::uint32_t waiting) {
  return {.waiting = waiting, .has_backlog = true};
}

TEST(StealCore, AsksTheTwoWhoHaveMost) {
  StealCore core{4};
  core.on_load(node(1), backlog(3), t0);
  core.on_load(node(2), backlog(9), t0);
  core.on_load(node(3), backlog(5), t0);
  EXPECT_THAT(core.ask(t0), IsEmpty());  // It has not looked yet.
  core.on_look({.is_hungry = true});
  EXPECT_THAT(core.ask(t0), ElementsAre(node(2), node(3)));
  EXPECT_THAT(core.ask(t0 + 99ms), IsEmpty());
  core.on_load(node(2), {}, t0);
  EXPECT_THAT(core.ask(t0 + 100ms), ElementsAre(node(3), node(1)));
  core.on_look({.is_hungry = false});
  EXPECT_THAT(core.ask(t0 + 1s), IsEmpty());
}

TEST(StealCore, AsksLessOftenWhileNothingComesOfIt) {
  StealCore core{4};
  int asked = 0;
  for (TimePoint now = t0; now < t0 + 1min; now += 10ms) {
    core.on_load(node(1), backlog(1), now);
    core.on_look({.is_hungry = true});
    asked += core.ask(now).empty() ? 0 : 1;
  }
  EXPECT_GT(asked, 30);
  EXPECT_LT(asked, 40);
  core.on_look({.is_hungry = false});
  core.on_look({.is_hungry = true});
  EXPECT_THAT(core.ask(t0 + 1min + 100ms), SizeIs(1));
}

TEST(StealCore, DoesNotAskThoseOfWhomItHasNotHeardForLong) {
  StealCore core{4};
  core.on_look({.is_hungry = true});
  core.on_load(node(1), backlog(3), t0);
  core.on_load(node(2), backlog(3), t0 + 1s);
  core.forget(node(2));
  core.on_load(node(3), backlog(3), t0 + 1s);
  EXPECT_THAT(core.ask(t0 + 3s + 1ms), ElementsAre(node(3)));
}

TEST(StealCore, TellsOfABacklogWhenItComesAndGoesAndMeanwhile) {
  StealCore core{4};
  core.on_view(7);
  const auto first = core.tell(t0);
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(first->has_backlog);
  EXPECT_EQ(first->view, 7U);
  EXPECT_EQ(first->slots, 4U);
  EXPECT_FALSE(core.tell(t0 + 1h));
  core.on_look({.spare = {1, 2}});
  const TimePoint t1 = t0 + 1h;
  EXPECT_EQ(core.tell(t1)->waiting, 2U);
  EXPECT_FALSE(core.tell(t1 + 999ms));
  EXPECT_TRUE(core.tell(t1 + 1s));
  core.on_look({.is_hungry = true});
  EXPECT_FALSE(core.tell(t1 + 1s + 99ms));
  EXPECT_FALSE(core.tell(t1 + 1100ms)->has_backlog);
  core.on_view(8);
  EXPECT_EQ(core.tell(t1 + 2s)->view, 8U);
}

TEST(StealCore, KnowsWhoHasSaidThatItHasNoRoom) {
  StealCore core{4};
  EXPECT_FALSE(core.backlog_of(node(1), t0));
  core.on_load(node(1), backlog(3), t0);
  ASSERT_TRUE(core.backlog_of(node(1), t0 + 3s));
  EXPECT_FALSE(core.backlog_of(node(1), t0)->is_held);
  EXPECT_FALSE(core.backlog_of(node(1), t0 + 3s + 1ms)) << "it says so again";
  core.on_load(node(1), {.waiting = 3, .has_backlog = true, .is_held = true},
               t0 + 4s);
  EXPECT_TRUE(core.backlog_of(node(1), t0 + 4s)->is_held);
  core.on_load(node(1), {}, t0 + 5s);
  EXPECT_FALSE(core.backlog_of(node(1), t0 + 5s));
}

TEST(StealCore, TellsAtOnceThatItIsHeld) {
  StealCore core{4};
  core.on_look({.spare = {1}});
  EXPECT_TRUE(core.tell(t0));
  core.on_look({.spare = {1}, .is_held = true});
  EXPECT_TRUE(core.tell(t0 + 100ms)->is_held);
}

TEST(StealCore, OffersWhatItHasNoRoomFor) {
  StealCore core{4};
  EXPECT_THAT(core.offer().shards, IsEmpty());
  core.on_look({.spare = {4, 9}});
  EXPECT_THAT(core.offer().shards, ElementsAre(4U, 9U));
  core.on_look({.spare = std::vector<std::uint32_t>(5000, 1)});
  EXPECT_THAT(core.offer().shards, SizeIs(link::most_shards));
  EXPECT_TRUE(check(core.offer()));
}

}  // namespace
}  // namespace troupe::node
