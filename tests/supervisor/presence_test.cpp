// What a supervisor says about whether its children can be given work.
#include "core_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using OnStart = CoreWorld::OnStart;
using OnStop = CoreWorld::OnStop;

class PresenceTest : public ::testing::Test {
 protected:
  ChildSpec heard(std::string id, Restart restart = Restart::permanent) {
    ChildSpec spec = child(std::move(id), restart);
    spec.on_presence = [this, id = spec.id](Presence presence) {
      said.push_back(id + " " + std::string{to_string(presence)});
    };
    return spec;
  }
  SupervisorSpec both(Strategy strategy, int intensity = 10) {
    return {.name = "top",
            .strategy = strategy,
            .intensity = intensity,
            .children = {heard("a"), heard("b")}};
  }
  std::vector<std::string> take() { return std::exchange(said, {}); }

  std::vector<std::string> said;
};

TEST_F(PresenceTest, ChildIsUpOnceItsStartHasReturned) {
  CoreWorld world{both(Strategy::one_for_one)};
  world.on_start["a"] = {OnStart::hang};
  world.start();
  EXPECT_THAT(take(), IsEmpty());
  world.finish_start("a");
  EXPECT_THAT(take(), ElementsAre("a up", "b up"));
}

TEST_F(PresenceTest, CrashedChildIsAwayUntilItsNextStartHasReturned) {
  CoreWorld world{both(Strategy::one_for_one)};
  world.start();
  take();
  world.on_start["a"] = {OnStart::hang};
  world.crash("a");
  EXPECT_THAT(take(), ElementsAre("a away"));
  world.finish_start("a");
  EXPECT_THAT(take(), ElementsAre("a up"));
}

TEST_F(PresenceTest, ChildIsAwayDuringBackOff) {
  SupervisorSpec spec = both(Strategy::one_for_one);
  spec.children[0].backoff = Backoff{.min = 1s, .jitter = 0};
  CoreWorld world{spec};
  world.start();
  take();
  world.crash("a");
  world.advance(999ms);
  EXPECT_THAT(take(), ElementsAre("a away"));
  world.advance(1ms);
  EXPECT_THAT(take(), ElementsAre("a up"));
}

TEST_F(PresenceTest, SiblingsOfAGroupRestartAreAwayBeforeTheyAreStopped) {
  CoreWorld world{both(Strategy::one_for_all)};
  world.start();
  take();
  world.crash("a");
  EXPECT_THAT(take(), ElementsAre("a away", "b away", "a up", "b up"));
}

TEST_F(PresenceTest, RestOfAGroupIsAwayWhileOneOfItIsTriedAgain) {
  SupervisorSpec spec = both(Strategy::rest_for_one);
  spec.children[0].backoff = Backoff{.min = 1s, .jitter = 0};
  CoreWorld world{spec};
  world.start();
  take();
  world.on_start["a"] = {OnStart::fail};
  world.crash("a");
  world.advance(1s);  // b is stopped, a does not start
  EXPECT_THAT(take(), ElementsAre("a away", "b away"));
  world.advance(2s);
  EXPECT_THAT(take(), ElementsAre("a up", "b up"));
}

TEST_F(PresenceTest, RestOfAGroupIsGoneWhenTheOneItWaitsForIsStoppedByHand) {
  SupervisorSpec spec = both(Strategy::rest_for_one);
  spec.children[0].backoff = Backoff{.min = 1s, .jitter = 0};
  CoreWorld world{spec};
  world.start();
  world.on_start["a"] = {OnStart::fail};
  world.crash("a");
  world.advance(1s);
  take();
  world.terminate_child("a");
  EXPECT_THAT(take(), ElementsAre("a gone", "b gone"));
}

TEST_F(PresenceTest, ChildThatIsStoppedByHandIsGoneUntilItIsStartedByHand) {
  CoreWorld world{both(Strategy::one_for_one)};
  world.start();
  take();
  world.terminate_child("a");
  EXPECT_THAT(take(), ElementsAre("a gone"));
  world.restart_child("a");
  EXPECT_THAT(take(), ElementsAre("a away", "a up"));
}

TEST_F(PresenceTest, ChildThatIsNotRestartedIsGone) {
  CoreWorld world{{.children = {heard("a", Restart::transient),
                                heard("b", Restart::temporary)}}};
  world.start();
  take();
  world.exit("a");
  world.crash("b");
  EXPECT_THAT(take(), ElementsAre("a gone", "b gone"));
}

TEST_F(PresenceTest, ChildThatWantsNoProcessIsGone) {
  CoreWorld world{both(Strategy::one_for_one)};
  world.on_start["a"] = {OnStart::ignore};
  world.start();
  EXPECT_THAT(take(), ElementsAre("a gone", "b up"));
}

TEST_F(PresenceTest, AllAreGoneWhenTheSupervisorGivesUp) {
  CoreWorld world{both(Strategy::one_for_one, 0)};
  world.start();
  take();
  world.crash("b");
  EXPECT_THAT(take(), ElementsAre("a gone", "b gone"));
}

TEST_F(PresenceTest, ChildrenAreAwayAgainWhenAHoldEnds) {
  SupervisorSpec spec = both(Strategy::one_for_one, 0);
  spec.on_give_up = OnGiveUp::hold;
  spec.hold_for = 10s;
  CoreWorld world{spec};
  world.start();
  take();
  world.crash("b");
  EXPECT_THAT(take(), ElementsAre("a gone", "b gone"));
  world.on_start["a"] = {OnStart::hang};
  world.advance(10s);
  EXPECT_THAT(take(), ElementsAre("a away", "b away"));
  world.finish_start("a");
  EXPECT_THAT(take(), ElementsAre("a up", "b up"));
}

TEST_F(PresenceTest, ChildrenStayUpUntilAShutdownComesToThem) {
  CoreWorld world{both(Strategy::one_for_one)};
  world.on_stop["b"] = OnStop::ignore;
  world.start();
  take();
  world.shutdown();
  EXPECT_THAT(take(), ElementsAre("b gone"));
  world.advance(5s);  // b is killed
  EXPECT_THAT(take(), ElementsAre("a gone"));
}

TEST(Presence, DeathOfTheSupervisorIsTheEndOfAll) {
  std::vector<Presence> said;
  ChildSpec spec = child("a");
  spec.on_presence = [&](Presence presence) { said.push_back(presence); };
  SupervisorCore core{{.children = {spec}}, 7};
  ASSERT_EQ(core.on_start(TimePoint{}).size(), 1U);
  const Actions actions = core.on_death();
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(std::get<Announce>(actions[0]).presence, Presence::gone);
}

TEST(Presence, TemplateOfManyChildrenHasNone) {
  ChildSpec spec = child("a");
  spec.on_presence = [](Presence) {};
  const auto refused =
      check({.strategy = Strategy::simple_one_for_one, .children = {spec}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(
      refused.error(),
      (Error{Errc::invalid_argument,
             "child \"a\": is many children, whose presence is not one"}));
}

}  // namespace
}  // namespace troupe::supervisor
