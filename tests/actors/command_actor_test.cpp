#include "actor_test.hpp"
#include "fake_command_runner.hpp"

#include <troupe/actors/command_actor.hpp>
#include <troupe/actors/messages.hpp>
#include <troupe/actors/store_actor.hpp>

#include <functional>
#include <gmock/gmock.h>

namespace troupe::actors {
namespace {

/// Makes the actors of a test its own children.
struct Bear {
  std::function<ActorRef(Actor*)> make;
};
struct Born {
  ActorRef actor;
};

}  // namespace
}  // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::Bear)
TROUPE_LOCAL_MESSAGE(troupe::actors::Born)

namespace troupe::actors {
namespace {

using process::AttemptId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Nursery {
 public:
  explicit Nursery(Actor* self) : self_{self} {}
  Behavior make_behavior() {
    return {[this](const Bear& m) {
      send(self_, sender_of(self_), Born{m.make(self_)});
    }};
  }

 private:
  Actor* self_;
};

/// One command, its store and its actor, without a supervisor: the test is it.
class CommandActorTest : public ActorTest {
 protected:
  CommandActorTest() {
    nursery = spawn<Nursery>();
    store = start_store();
  }

  ActorRef bear(std::function<ActorRef(Actor*)> make) {
    return adopt(ask<Born>(nursery, Bear{std::move(make)})->actor);
  }

  ActorRef start_store() {
    return bear([this](Actor* parent) { return spawn_store(parent, state); });
  }

  ActorRef look_after() {
    return bear([this](Actor* parent) {
      return spawn_command(parent, id, store, deps);
    });
  }

  /// Enters the command and starts its actor.
  ActorRef submit() {
    tell(store, OpenCommand{order(), {}});
    return look_after();
  }

  std::shared_ptr<const CommandOrder> order() {
    return std::make_shared<const CommandOrder>(
        CommandOrder{.id = id,
                     .request = std::make_shared<CommandRequest>(request),
                     .sinks = nullptr,
                     .owner = test_actor(),
                     .permit = budget.try_acquire_shared()});
  }

  [[nodiscard]] AttemptId attempt(std::uint32_t number) const {
    return {id, number};
  }

  void exit(std::uint32_t number, int code) {
    runner.exit(attempt(number), code);
    settle();
  }

  /// The outcome that has been delivered, which must be the only one.
  std::shared_ptr<const Outcome> outcome() {
    const auto finished = received<CommandFinished>();
    EXPECT_FALSE(received<CommandFinished>().has_value()) << "a second outcome";
    return finished ? finished->outcome : nullptr;
  }

  /// Nothing of the command is left anywhere.
  void expect_all_gone(const ActorRef& actor) {
    EXPECT_EQ(exit_of(actor), ExitReason{});
    EXPECT_EQ(runner.remembered(), 0U);
    EXPECT_TRUE(state->orders.empty());
    while (received<AttemptFinished>() || received<CommandStarted>()) {
    }
    EXPECT_EQ(budget.in_use(), 0U) << "the permit is not back";
  }

  CommandId id{7};
  CommandRequest request{.retry = {.delay = 1s, .jitter = 0}};
  flow_control::Budget budget{10};
  process::FakeCommandRunner runner;
  CommandActorDeps deps{.runner = runner,
                        .wall_now = [this] { return wall_now(); }};
  std::shared_ptr<StoreState> state = std::make_shared<StoreState>();
  ActorRef nursery;
  ActorRef store;
};

TEST_F(CommandActorTest, TellsItsOwnerTheWholeStoryInOrder) {
  const ActorRef actor = submit();
  const auto started = received<CommandStarted>();
  ASSERT_TRUE(started.has_value());
  EXPECT_EQ(started->attempt, 1U);
  EXPECT_EQ(started->pid, 4711);
  EXPECT_FALSE(received<AttemptFinished>().has_value());

  exit(1, 0);
  const auto finished = received<AttemptFinished>();
  ASSERT_TRUE(finished.has_value());
  EXPECT_EQ(finished->attempt->kind, OutcomeKind::success);
  const auto result = outcome();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->kind, OutcomeKind::success);
  EXPECT_EQ(result->attempts.size(), 1U);
  EXPECT_THAT(result->incidents, IsEmpty());
  EXPECT_THAT(runner.started, ElementsAre(attempt(1)));
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, AnswersWhoSubmittedOnceTheStoreHasTheCommand) {
  const auto opened =
      ask<CommandOpened>(store, OpenCommand{order(), test_actor()});
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->id, id);
  EXPECT_TRUE(ask<CommandOpened>(store, OpenCommand{order(), test_actor()}))
      << "a repeat is answered too";
  EXPECT_EQ(state->orders.size(), 1U);
}

TEST_F(CommandActorTest, RetriesOnceEachBackOffHasPassedAndNotBefore) {
  request.retry.attempts = 3;
  const ActorRef actor = submit();
  exit(1, 1);
  advance(1s - 1ms);
  EXPECT_EQ(runner.started.size(), 1U);
  advance(1ms);
  EXPECT_EQ(runner.started.size(), 2U);

  exit(2, 1);
  advance(2s - 1ms);
  EXPECT_EQ(runner.started.size(), 2U);
  advance(1ms);
  EXPECT_EQ(runner.started.size(), 3U);

  exit(3, 1);
  const auto result = outcome();
  ASSERT_TRUE(result);
  EXPECT_EQ(describe(result->causes),
            "exited with 1, gave up after 3 attempts");
  EXPECT_THAT(runner.forgotten,
              ElementsAre(attempt(1), attempt(2), attempt(3)));
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, CancelledBeforeItHasAnActorItNeverRuns) {
  tell(store, OpenCommand{order(), {}});
  tell(store, CancelCommand{id, process::StopRequest{}});
  const ActorRef actor = look_after();
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_EQ(outcome()->kind, OutcomeKind::cancelled);
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, CancelledBeforeItsProcessRunsItIsStopped) {
  runner.runs_at_once = false;
  const ActorRef actor = submit();
  tell(store, CancelCommand{id, process::StopRequest{}});
  ASSERT_EQ(runner.stopped.size(), 1U);
  runner.obey(attempt(1));
  settle();
  EXPECT_EQ(outcome()->kind, OutcomeKind::cancelled);
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, CancelledWhileItRunsItIsStoppedAndNotRetried) {
  request.retry.attempts = 5;
  const ActorRef actor = submit();
  tell(store, CancelCommand{id, process::StopRequest{.grace = 3s}});
  ASSERT_EQ(runner.stopped.size(), 1U);
  EXPECT_EQ(runner.stopped[0].request.grace, 3s);
  EXPECT_FALSE(outcome()) << "its processes are still there";
  runner.obey(attempt(1));
  settle();
  EXPECT_EQ(outcome()->kind, OutcomeKind::cancelled);
  advance(1min);
  EXPECT_EQ(runner.started.size(), 1U);
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, CancelledWithoutAStopTheAttemptEndsByItself) {
  request.retry.attempts = 5;
  const ActorRef actor = submit();
  tell(store, CancelCommand{id, std::nullopt});
  EXPECT_THAT(runner.stopped, IsEmpty());
  exit(1, 0);
  EXPECT_EQ(outcome()->kind, OutcomeKind::success);
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, CancelledInTheBackOffItEndsAtOnce) {
  request.retry.attempts = 5;
  const ActorRef actor = submit();
  exit(1, 1);
  tell(store, CancelCommand{id, process::StopRequest{}});
  EXPECT_EQ(outcome()->kind, OutcomeKind::cancelled);
  advance(1min);
  EXPECT_EQ(runner.started.size(), 1U);
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, CancelledAfterItsEndNothingHappens) {
  const ActorRef actor = submit();
  exit(1, 0);
  ASSERT_TRUE(outcome());
  tell(store, CancelCommand{id, process::StopRequest{}});
  EXPECT_FALSE(outcome());
  EXPECT_THAT(runner.stopped, IsEmpty());
  expect_all_gone(actor);
}

TEST_F(CommandActorTest, PassesSignalsToTheAttemptThatRuns) {
  const ActorRef actor = submit();
  tell(store, SignalCommand{id, SIGUSR1});
  EXPECT_THAT(runner.signalled,
              ElementsAre(std::pair{attempt(1), int{SIGUSR1}}));
  exit(1, 0);
  ASSERT_TRUE(outcome());
}

TEST_F(CommandActorTest, AnExpiredAttemptTimesOutAndIsRetried) {
  request.retry.attempts = 2;
  submit();
  tell(store, ExpireAttempt{id, process::StopRequest{}});
  ASSERT_EQ(runner.stopped.size(), 1U);
  EXPECT_TRUE(runner.stopped[0].request.timed_out);
  runner.obey(attempt(1));
  settle();
  EXPECT_EQ(received<AttemptFinished>()->attempt->kind, OutcomeKind::timed_out);
  advance(1s);
  exit(2, 0);
  EXPECT_EQ(outcome()->kind, OutcomeKind::success);
}

TEST_F(CommandActorTest, RunnerForgetsAnAttemptOnlyWhenTheStoreHasIt) {
  const ActorRef actor = submit();
  kill(store);
  settle();
  exit(1, 0);
  EXPECT_THAT(runner.forgotten, IsEmpty());
  EXPECT_EQ(exit_of(actor), std::nullopt) << "it waits to be stopped";

  // The tree takes the actor down with the store and starts both again.
  kill(actor);
  store = start_store();
  const ActorRef next = look_after();
  EXPECT_THAT(runner.started, ElementsAre(attempt(1)));
  EXPECT_THAT(runner.adopted, ElementsAre(attempt(1)));
  EXPECT_EQ(outcome()->kind, OutcomeKind::success);
  expect_all_gone(next);
}

TEST_F(CommandActorTest, SecondActorWaitsForTheEndOfTheFirstAndTakesOver) {
  const ActorRef first = submit();
  const ActorRef second = look_after();
  EXPECT_EQ(exit_of(first), (ExitReason{ExitKind::shutdown, {}}));
  EXPECT_THAT(runner.started, ElementsAre(attempt(1)));
  EXPECT_THAT(runner.adopted, ElementsAre(attempt(1)));
  tell(store, SignalCommand{id, SIGUSR1});
  EXPECT_EQ(runner.signalled.size(), 1U) << "the store knows the second one";
  exit(1, 0);
  const auto result = outcome();
  ASSERT_TRUE(result);
  EXPECT_THAT(result->incidents, IsEmpty()) << "nobody has crashed";
  expect_all_gone(second);
}

TEST_F(CommandActorTest, ThirdActorReplacesASecondThatStillWaits) {
  const ActorRef first = submit();
  std::vector<ActorRef> others;
  const auto made =
      ask<Born>(nursery, Bear{[&](Actor* parent) {
                  for (int i = 0; i < 2; ++i)
                    others.push_back(spawn_command(parent, id, store, deps));
                  return others.back();
                }});
  ASSERT_TRUE(made.has_value());
  for (const ActorRef& other : others)
    adopt(other);
  EXPECT_EQ(exit_of(first), (ExitReason{ExitKind::shutdown, {}}));
  EXPECT_EQ(exit_of(others[0]), (ExitReason{ExitKind::shutdown, {}}));
  exit(1, 0);
  EXPECT_EQ(outcome()->kind, OutcomeKind::success);
  expect_all_gone(others[1]);
}

TEST_F(CommandActorTest, ActorOfACommandThatHasEndedEndsToo) {
  const ActorRef actor = look_after();
  EXPECT_EQ(exit_of(actor), ExitReason{});
  EXPECT_THAT(runner.started, IsEmpty());
}

TEST_F(CommandActorTest, ThirdCrashGivesTheCommandUpAndEndsItsAttempt) {
  submit();
  for (std::uint32_t crash = 1; crash <= most_crashes; ++crash) {
    tell(store, CrashCommand{id});
    if (crash < most_crashes)
      look_after();
  }
  const auto result = outcome();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->kind, OutcomeKind::crashed);
  EXPECT_EQ(result->exit_status, 125);
  EXPECT_EQ(result->incidents.size(), most_crashes);
  EXPECT_EQ(describe(result->causes),
            "its actor died (crashed: told to crash), gave up after 3 crashes");
  EXPECT_THAT(runner.running(), ElementsAre(attempt(1)));
  // Its supervisor starts it once more, and that one cleans up.
  const ActorRef last = look_after();
  EXPECT_THAT(runner.killed, ElementsAre(attempt(1)));
  expect_all_gone(last);
}

TEST_F(CommandActorTest, WhatWasGivenUpIsEndedThoughTheStoreDiesMeanwhile) {
  submit();
  for (std::uint32_t crash = 1; crash <= most_crashes; ++crash) {
    tell(store, CrashCommand{id});
    if (crash < most_crashes)
      look_after();
  }
  ASSERT_TRUE(outcome());
  kill(store);
  store = start_store();
  const auto open = ask<OpenCommands>(store, ListOpenCommands{});
  EXPECT_THAT(open->ids, ElementsAre(id)) << "it needs an actor once more";
  expect_all_gone(look_after());
  EXPECT_THAT(ask<OpenCommands>(store, ListOpenCommands{})->ids, IsEmpty());
}

TEST_F(CommandActorTest, NewStoreTakesOverWhatTheOldOneKnew) {
  request.retry.attempts = 2;
  const ActorRef first = submit();
  exit(1, 1);
  kill(store);
  kill(first);
  settle();
  advance(1min);
  store = start_store();
  EXPECT_THAT(ask<OpenCommands>(store, ListOpenCommands{})->ids,
              ElementsAre(id));
  const ActorRef second = look_after();
  EXPECT_THAT(runner.started, ElementsAre(attempt(1), attempt(2)));
  exit(2, 0);
  const auto result = outcome();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->attempts.size(), 2U);
  expect_all_gone(second);
}

}  // namespace
}  // namespace troupe::actors
