#include "core_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using OnStart = CoreWorld::OnStart;

/// Children a, b and c that nobody may restart.
SupervisorSpec fragile(OnGiveUp on_give_up) {
  return {.name = "top",
          .intensity = 0,
          .on_give_up = on_give_up,
          .hold_for = 30s,
          .children = {child("a"), child("b"), child("c")}};
}

TEST(Hold, StopsTheChildrenInReverseAndStays) {
  CoreWorld world{fragile(OnGiveUp::hold)};
  world.start().take_log();
  world.crash("b");
  EXPECT_THAT(world.take_log(), ElementsAre("gone b", "held b", "stop c",
                                            "gone c", "stop a", "gone a"));
  EXPECT_EQ(world.exited, std::nullopt);
  const SupervisorInfo info = world.core().info(world.now());
  EXPECT_TRUE(info.is_held);
  EXPECT_EQ(info.held_until, world.now() + 30s);
}

TEST(Hold, StartsThemAgainInOrderOnceItsTimeIsUp) {
  CoreWorld world{fragile(OnGiveUp::hold)};
  world.start();
  world.crash("b");
  world.advance(29s);
  world.take_log();
  world.advance(1s);
  EXPECT_THAT(world.take_log(),
              ElementsAre("released", "start a", "start b", "start c"));
  EXPECT_FALSE(world.core().info(world.now()).is_held);
}

TEST(Hold, EndsWithAFreshBudget) {
  SupervisorSpec spec = fragile(OnGiveUp::hold);
  spec.intensity = 1;
  spec.period = 1h;
  CoreWorld world{spec};
  world.start();
  world.crash("a");
  world.crash("a");
  world.advance(30s);
  EXPECT_EQ(world.core().info(world.now()).restarts_used, 0U);
  world.crash("a");
  EXPECT_TRUE(world.has("a"));
  EXPECT_FALSE(world.core().info(world.now()).is_held);
}

TEST(Hold, IsEndedBySomebodyAndItsTimerIsForgotten) {
  CoreWorld world{fragile(OnGiveUp::hold)};
  world.start();
  world.crash("b");
  world.advance(10s);
  world.take_log();
  EXPECT_EQ(world.code(world.start_all()), ReplyCode::ok);
  EXPECT_THAT(world.take_log(),
              ElementsAre("released", "start a", "start b", "start c"));
  world.terminate_child("a");
  world.take_log();
  world.advance(1h);
  EXPECT_THAT(world.take_log(), IsEmpty());
}

TEST(Hold, OfAStopIsEndedBySomebodyOnly) {
  CoreWorld world{fragile(OnGiveUp::stop)};
  world.start();
  world.crash("b");
  EXPECT_EQ(world.core().info(world.now()).held_until, std::nullopt);
  world.take_log();
  world.advance(24h);
  EXPECT_THAT(world.take_log(), IsEmpty());
  world.start_all();
  EXPECT_THAT(world.take_log(),
              ElementsAre("released", "start a", "start b", "start c"));
}

TEST(Hold, DoesNotKeepSomebodyFromStartingOneChild) {
  CoreWorld world{fragile(OnGiveUp::stop)};
  world.start();
  world.crash("b");
  EXPECT_EQ(world.code(world.restart_child("c")), ReplyCode::ok);
  EXPECT_TRUE(world.has("c"));
  EXPECT_FALSE(world.has("a"));
}

TEST(Hold, EndsAtOnceInAShutdown) {
  CoreWorld world{fragile(OnGiveUp::hold)};
  world.start();
  world.crash("b");
  world.take_log();
  world.shutdown();
  EXPECT_THAT(world.take_log(), ElementsAre("exit shutdown"));
}

TEST(Hold, AfterItAStartThatFailsHoldsUpNoOther) {
  SupervisorSpec spec = fragile(OnGiveUp::hold);
  spec.intensity = 1;
  CoreWorld world{spec};
  world.start();
  world.crash("b");
  world.crash("b");
  world.on_start["a"] = {OnStart::fail};
  world.take_log();
  world.advance(30s);
  EXPECT_THAT(world.take_log(), ElementsAre("released", "fail a", "start b",
                                            "start c", "start a"));
}

TEST(Hold, WaitsForTheEndOfWhatGoesOn) {
  SupervisorSpec spec = fragile(OnGiveUp::hold);
  CoreWorld world{spec};
  world.start();
  world.crash("b");
  world.on_start["a"] = {OnStart::hang};
  world.restart_child("a");
  world.take_log();
  world.advance(30s);
  EXPECT_THAT(world.take_log(), IsEmpty());
  world.finish_start("a");
  EXPECT_THAT(world.take_log(), ElementsAre("released", "start b", "start c"));
}

TEST(StartAll, StartsWhatIsStoppedInOrderAndNothingElse) {
  CoreWorld world{fragile(OnGiveUp::escalate)};
  world.start();
  world.terminate_child("c");
  world.terminate_child("a");
  world.take_log();
  EXPECT_EQ(world.code(world.start_all()), ReplyCode::ok);
  EXPECT_THAT(world.take_log(), ElementsAre("start a", "start c"));
}

TEST(OnGiveUp, IsOnlyToEscalateForSimpleOneForOne) {
  const SupervisorSpec spec{.strategy = Strategy::simple_one_for_one,
                            .on_give_up = OnGiveUp::hold,
                            .children = {child("x")}};
  EXPECT_EQ(check(spec).error().what, "simple_one_for_one can only escalate");
}

}  // namespace
}  // namespace troupe::supervisor
