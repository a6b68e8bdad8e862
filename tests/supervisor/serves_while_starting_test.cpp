// What a supervisor does about others while the start of one has not returned.
#include "core_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using OnStart = CoreWorld::OnStart;

/// Children a, b, c and d that may be restarted often.
SupervisorSpec patient_group(Strategy strategy) {
  return {.name = "top",
          .strategy = strategy,
          .intensity = 10,
          .period = 1h,
          .serves_while_starting = true,
          .children = {child("a"), child("b"), child("c"), child("d")}};
}

/// All are up but for `slow`, which crashed and whose restart does not return.
CoreWorld with_slow(const std::string& slow, SupervisorSpec spec) {
  CoreWorld world{std::move(spec)};
  world.start();
  world.on_start[slow] = {OnStart::hang};
  world.crash(slow);
  world.take_log();
  return world;
}

TEST(ServesWhileStarting, TheChildThatStartsIsStoppedOnRequest) {
  CoreWorld world = with_slow("b", patient_group(Strategy::one_for_one));
  EXPECT_EQ(world.code(world.terminate_child("b")), ReplyCode::ok);
  EXPECT_THAT(world.take_log(), ElementsAre("stop b", "gone b"));
  EXPECT_EQ(world.info("b")->state, ChildState::stopped);
}

TEST(ServesWhileStarting, WhoAskedForTheStartLearnsThatItWasStopped) {
  CoreWorld world{patient_group(Strategy::one_for_one)};
  world.start().terminate_child("b");
  world.on_start["b"] = {OnStart::hang};
  const Ticket start = world.restart_child("b");
  world.terminate_child("b");
  EXPECT_EQ(world.code(start), ReplyCode::shutting_down);
}

TEST(ServesWhileStarting, AnotherIsStoppedOnRequest) {
  CoreWorld world = with_slow("b", patient_group(Strategy::one_for_one));
  EXPECT_EQ(world.code(world.terminate_child("a")), ReplyCode::ok);
  EXPECT_THAT(world.take_log(), ElementsAre("stop a", "gone a"));
  world.finish_start("b");
  EXPECT_THAT(world.take_log(), IsEmpty());
}

TEST(ServesWhileStarting, AnotherThatCrashesIsStartedAgain) {
  CoreWorld world = with_slow("b", patient_group(Strategy::one_for_one));
  world.crash("c");
  EXPECT_THAT(world.take_log(), ElementsAre("gone c", "start c"));
}

TEST(ServesWhileStarting, AnotherIsStartedOnRequest) {
  CoreWorld world = with_slow("b", patient_group(Strategy::one_for_one));
  world.terminate_child("c");
  EXPECT_EQ(world.code(world.restart_child("c")), ReplyCode::ok);
  EXPECT_EQ(world.code(world.start_child(child("e"))), ReplyCode::ok);
}

TEST(ServesWhileStarting, TwoRequestsToStopAreBothAnsweredAtTheEnd) {
  CoreWorld world{patient_group(Strategy::one_for_one)};
  world.start();
  world.on_stop["b"] = CoreWorld::OnStop::ignore;
  const Ticket first = world.terminate_child("b");
  const Ticket second = world.terminate_child("b");
  EXPECT_EQ(world.code(second), std::nullopt);
  world.advance(5s);
  EXPECT_EQ(world.code(first), ReplyCode::ok);
  EXPECT_EQ(world.code(second), ReplyCode::ok);
}

TEST(ServesWhileStarting, ABackOffThatIsOverIsFollowedByItsStart) {
  SupervisorSpec spec = patient_group(Strategy::one_for_one);
  spec.children[2].backoff = Backoff{.min = 1s, .jitter = 0};
  CoreWorld world = with_slow("b", std::move(spec));
  world.crash("c");
  EXPECT_THAT(world.take_log(), ElementsAre("gone c"));
  world.advance(1s);
  EXPECT_THAT(world.take_log(), ElementsAre("start c"));
}

TEST(ServesWhileStarting, TooManyRestartsEndItAll) {
  SupervisorSpec spec = patient_group(Strategy::one_for_one);
  spec.intensity = 1;
  CoreWorld world = with_slow("b", std::move(spec));
  world.crash("c");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone c", "gave_up c", "stop d", "gone d", "stop b",
                          "gone b", "stop a", "gone a", "exit shutdown"));
}

// -- The first start ---------------------------------------------------------

/// a is up, b starts, and c and d wait for it.
CoreWorld amid_the_first_start(SupervisorSpec spec) {
  CoreWorld world{std::move(spec)};
  world.on_start["b"] = {OnStart::hang};
  world.start().take_log();
  return world;
}

TEST(ServesWhileStarting, AnEarlierOneThatCrashesDoesNotStartTheLaterOnes) {
  CoreWorld world = amid_the_first_start(patient_group(Strategy::one_for_one));
  world.crash("a");
  EXPECT_THAT(world.take_log(), ElementsAre("gone a", "start a"));
  world.finish_start("b");
  EXPECT_THAT(world.take_log(), ElementsAre("start c", "start d"));
  EXPECT_TRUE(world.ready);
}

TEST(ServesWhileStarting, WhatIsStoppedBeforeItsTurnIsNotStarted) {
  CoreWorld world = amid_the_first_start(patient_group(Strategy::one_for_one));
  EXPECT_EQ(world.code(world.terminate_child("c")), ReplyCode::ok);
  world.finish_start("b");
  EXPECT_THAT(world.take_log(), ElementsAre("start d"));
  EXPECT_EQ(world.info("c")->state, ChildState::stopped);
}

TEST(ServesWhileStarting, WhatIsStartedAndEndsBeforeItsTurnStaysSo) {
  SupervisorSpec spec = patient_group(Strategy::one_for_one);
  spec.children[2].restart = Restart::transient;
  CoreWorld world = amid_the_first_start(std::move(spec));
  EXPECT_EQ(world.code(world.restart_child("c")), ReplyCode::ok);
  world.exit("c");
  world.take_log();
  world.finish_start("b");
  EXPECT_THAT(world.take_log(), ElementsAre("start d"));
}

TEST(ServesWhileStarting, TheNextOneStartsWhenTheSlowOneIsStopped) {
  CoreWorld world = amid_the_first_start(patient_group(Strategy::one_for_one));
  EXPECT_EQ(world.code(world.terminate_child("b")), ReplyCode::ok);
  EXPECT_THAT(world.take_log(),
              ElementsAre("stop b", "start c", "start d", "gone b"));
  EXPECT_TRUE(world.ready);
}

TEST(ServesWhileStarting, AFirstStartThatFailsEndsItAll) {
  CoreWorld world = amid_the_first_start(patient_group(Strategy::one_for_one));
  world.crash("a");
  world.take_log();
  world.crash("b");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone b", "stop a", "gone a", "exit shutdown"));
  EXPECT_FALSE(world.ready);
}

TEST(ServesWhileStarting, ARestartThatFailsMeanwhileIsTriedAgain) {
  CoreWorld world = amid_the_first_start(patient_group(Strategy::one_for_one));
  world.on_start["a"] = {OnStart::fail};
  world.crash("a");
  world.retry();
  EXPECT_THAT(world.take_log(), ElementsAre("gone a", "fail a", "start a"));
  world.finish_start("b");
  EXPECT_TRUE(world.ready);
}

/// Who gives up amid its first start has not failed to start: otherwise one
/// flaky worker would keep a whole tree from coming up.
TEST(ServesWhileStarting, WhoGivesUpMeanwhileIsRestartedAndNotAFailedStart) {
  SupervisorSpec inner = patient_group(Strategy::one_for_one);
  inner.intensity = 0;
  SupervisorSpec outer = patient_group(Strategy::one_for_one);
  outer.children = {child("group"), child("last")};
  outer.children[0].type = ChildType::supervisor;
  CoreWorld world{outer};
  world.nested["group"] = inner;
  world.on_start["b"] = {OnStart::hang};
  world.start().take_log();
  world.crash("a");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone a", "gave_up a", "stop b", "start last",
                          "gone b", "gone group", "start group", "start a",
                          "start b", "start c", "start d"));
  EXPECT_TRUE(world.ready);
}

TEST(ServesWhileStarting, WhoIsHeldMeanwhileKeepsNobodyWaiting) {
  SupervisorSpec spec = patient_group(Strategy::one_for_one);
  spec.intensity = 0;
  spec.on_give_up = OnGiveUp::hold;
  spec.hold_for = 30s;
  CoreWorld world = amid_the_first_start(std::move(spec));
  world.crash("a");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone a", "held a", "stop b", "gone b"));
  EXPECT_TRUE(world.ready);
  world.advance(30s);
  EXPECT_THAT(world.take_log(), ElementsAre("released", "start a", "start b",
                                            "start c", "start d"));
}

// -- Groups ------------------------------------------------------------------

TEST(ServesWhileStarting, AnEarlierCrashTakesTheStartingOneAlong) {
  CoreWorld world = with_slow("b", patient_group(Strategy::rest_for_one));
  world.crash("a");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone a", "stop b", "gone b", "start a", "start b",
                          "start c", "start d"));
}

TEST(ServesWhileStarting, AGroupRestartAmidTheFirstStartStartsTheRestToo) {
  for (const Strategy strategy :
       {Strategy::rest_for_one, Strategy::one_for_all}) {
    SupervisorSpec spec = patient_group(strategy);
    spec.children[3].restart = Restart::temporary;
    CoreWorld world = amid_the_first_start(std::move(spec));
    world.crash("a");
    EXPECT_THAT(world.take_log(),
                ElementsAre("gone a", "stop b", "gone b", "start a", "start b",
                            "start c", "start d"));
    EXPECT_TRUE(world.ready);
  }
}

TEST(ServesWhileStarting, OneThatIsStoppedAmidAGroupRestartIsNotStarted) {
  CoreWorld world = with_slow("b", patient_group(Strategy::rest_for_one));
  EXPECT_EQ(world.code(world.terminate_child("c")), ReplyCode::ok);
  world.finish_start("b");
  EXPECT_THAT(world.take_log(), ElementsAre("start d"));
}

TEST(ServesWhileStarting, OneThatIsToldToStopAmidAGroupStopIsNotStarted) {
  CoreWorld world{patient_group(Strategy::rest_for_one)};
  world.start();
  world.on_stop["d"] = CoreWorld::OnStop::ignore;
  world.crash("a");
  world.take_log();
  const Ticket c = world.terminate_child("c");
  const Ticket d = world.terminate_child("d");
  EXPECT_EQ(world.code(c), ReplyCode::ok);
  EXPECT_EQ(world.code(d), std::nullopt);
  world.advance(5s);
  EXPECT_EQ(world.code(d), ReplyCode::ok);
  EXPECT_THAT(world.take_log(),
              ElementsAre("stop c", "gone c", "kill d", "gone d", "stop b",
                          "gone b", "start a", "start b"));
}

TEST(ServesWhileStarting, AStartWaitsForTheGroupAndAStopOfTheSameBehindIt) {
  CoreWorld world = with_slow("b", patient_group(Strategy::rest_for_one));
  const Ticket start = world.restart_child("a");
  const Ticket stop = world.terminate_child("a");
  EXPECT_EQ(world.code(start), std::nullopt);
  EXPECT_EQ(world.code(stop), std::nullopt);
  world.finish_start("b");
  EXPECT_EQ(world.code(start), ReplyCode::running);
  EXPECT_EQ(world.code(stop), ReplyCode::ok);
}

// -- In general --------------------------------------------------------------

/// One of the things that can happen, to a world where starts and stops take no
/// time. Nothing can then happen "meanwhile".
void random_event(CoreWorld& world, int what, const std::string& id) {
  switch (what) {
    case 0:
      if (world.has(id))
        world.crash(id);
      break;
    case 1:
      if (world.has(id))
        world.exit(id);
      break;
    case 2:
      world.on_start[id] = {OnStart::fail};
      break;
    case 3:
      world.terminate_child(id);
      break;
    case 4:
      world.restart_child(id);
      break;
    case 5:
      world.delete_child(id);
      break;
    case 6:
      world.start_child(child(id));
      break;
    case 7:
      world.start_all();
      break;
    case 8:
      world.advance(1s);
      break;
    default:
      world.advance(1h);
      break;
  }
}

TEST(ServesWhileStarting, ChangesNothingWhereNothingTakesTime) {
  EXPECT_TRUE(rc::check([] {
    SupervisorSpec spec = patient_group(*rc::gen::element(
        Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one));
    spec.intensity = *rc::gen::inRange(0, 5);
    spec.on_give_up =
        *rc::gen::element(OnGiveUp::escalate, OnGiveUp::hold, OnGiveUp::stop);
    for (ChildSpec& one : spec.children)
      one.restart = *rc::gen::element(Restart::permanent, Restart::transient,
                                      Restart::temporary);
    CoreWorld serves{spec};
    spec.serves_while_starting = false;
    CoreWorld waits{spec};
    serves.start();
    waits.start();
    const auto events =
        *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 10));
    for (const int what : events) {
      const auto id = *rc::gen::element<std::string>("a", "b", "c", "d", "e");
      random_event(serves, what, id);
      random_event(waits, what, id);
      RC_ASSERT(serves.take_log() == waits.take_log());
      RC_ASSERT(serves.replies.size() == waits.replies.size());
    }
    for (const auto& [ticket, replies] : serves.replies)
      RC_ASSERT(serves.code(ticket) == waits.code(ticket));
  }));
}

}  // namespace
}  // namespace troupe::supervisor
