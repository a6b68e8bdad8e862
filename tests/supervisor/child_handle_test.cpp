#include "handle_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class ChildHandleTest : public HandleWorld {
 protected:
  void SetUp() override {
    open(
        {.name = "cache", .capacity = 2, .max_open = 4, .answer_within = 1min});
  }
  /// One that is restarted a second after it has ended.
  ChildSpec slow_child() {
    ChildSpec spec = child();
    spec.backoff = Backoff{.min = 1s, .jitter = 0};
    return spec;
  }
};

TEST_F(ChildHandleTest, RequestIsAnsweredByTheChild) {
  supervise({.children = {child()}});
  ask_job(1);
  EXPECT_THAT(take_answers(), ElementsAre("1 by 1"));
}

TEST_F(ChildHandleTest, ChildSeesWhoSentAMessageAndAnswersThere) {
  supervise({.children = {child()}});
  ask_job(1);
  settle();
  tell_job(2, Then::answer, 1);
  settle();
  ASSERT_EQ(stage->seen.size(), 2U);
  EXPECT_EQ(stage->seen[0].sender, actors::id_of(clients[0]));
  EXPECT_EQ(stage->seen[1].sender, actors::id_of(clients[1]));
  EXPECT_THAT(take_answers(), ElementsAre("1 by 1", "2 by 1"));
}

TEST_F(ChildHandleTest, HandleStaysTheSameOverARestart) {
  supervise({.children = {child()}});
  crash();
  ask_job(1);
  EXPECT_THAT(take_answers(), ElementsAre("1 by 2"));
}

TEST_F(ChildHandleTest, MessagesBeforeTheFirstStartWait) {
  ask_job(1);
  settle();
  supervise({.children = {child()}});
  EXPECT_THAT(take_answers(), ElementsAre("1 by 1"));
}

TEST_F(ChildHandleTest, MessagesDuringBackOffWaitForTheNextIncarnation) {
  supervise({.children = {slow_child()}});
  crash();
  ask_job(1);
  tell_job(2);
  EXPECT_THAT(take_seen(), IsEmpty());
  advance(1s);
  ask_job(3);
  EXPECT_THAT(take_seen(), ElementsAre("1 at 2", "2 at 2", "3 at 2"));
  // Answers to requests pass the handle; others do not.
  EXPECT_THAT(take_answers(),
              UnorderedElementsAre("1 by 2", "2 by 2", "3 by 2"));
}

TEST_F(ChildHandleTest, MessagesWaitUntilTheStartHasReturned) {
  stage->hanging_starts = 1;
  supervise({.children = {child()}});
  ask_job(1);
  EXPECT_THAT(take_seen(), IsEmpty());
  tell(ActorRef{stage->newest}, *stage->ready);
  EXPECT_THAT(take_answers(), ElementsAre("1 by 1"));
}

TEST_F(ChildHandleTest, MessagesWaitWhileStartsFail) {
  supervise({.intensity = 10, .children = {child()}});
  stage->failing_starts = 3;
  actors::send(stage->newest, Job{-1, Then::crash});
  ask_job(1);
  EXPECT_THAT(take_answers(), ElementsAre("1 by 2"));
}

TEST_F(ChildHandleTest, MoreThanTheCapacityIsRefusedAtOnce) {
  supervise({.children = {slow_child()}});
  crash();
  for (int i = 1; i <= 3; ++i)
    ask_job(i);
  tell_job(4);
  EXPECT_THAT(take_answers(),
              ElementsAre("3 overloaded: the mailbox of cache is full: 2 "
                          "items before this one, retry in 10ms"));
  EXPECT_EQ(info().stats.rejected, 1U);
  advance(1s);
  EXPECT_THAT(take_answers(), ElementsAre("1 by 2", "2 by 2"));
}

TEST_F(ChildHandleTest, MoreOpenRequestsThanAllowedAreRefusedAtOnce) {
  supervise({.children = {child()}});
  for (int i = 1; i <= 5; ++i)
    ask_job(i, Then::hold);
  EXPECT_THAT(take_answers(),
              ElementsAre("5 overloaded: the list of open requests to cache "
                          "is full: 4 items before this one, retry in 10ms"));
  tell(ActorRef{stage->newest}, AnswerHeld{});
  EXPECT_THAT(take_answers(),
              ElementsAre("1 by 1", "2 by 1", "3 by 1", "4 by 1"));
  ask_job(6);
  EXPECT_THAT(take_answers(), ElementsAre("6 by 1"));
}

TEST_F(ChildHandleTest, RequestThatCrashesTheChildIsUnavailable) {
  supervise({.children = {child()}});
  ask_job(1, Then::crash);
  EXPECT_THAT(take_answers(),
              ElementsAre("1 unavailable: cache ended before it answered: "
                          "crashed: boom"));
  EXPECT_THAT(take_seen(), ElementsAre("1 at 1"));
}

TEST_F(ChildHandleTest, RequestsThatTheChildHadTakenDieWithIt) {
  supervise({.children = {child()}});
  ask_job(1, Then::hold);
  settle();
  crash();
  EXPECT_THAT(take_answers(),
              ElementsAre("1 unavailable: cache ended before it answered: "
                          "crashed: boom"));
  EXPECT_THAT(take_seen(), ElementsAre("1 at 1"));
}

TEST_F(ChildHandleTest, RequestsBehindACrashAreNotGivenToTheNextIncarnation) {
  supervise({.children = {child()}});
  actors::send(stage->newest, Job{-1, Then::crash});
  // Both are in the mailbox of the child before it has run.
  ask_job(1, Then::hold);
  ask_job(2, Then::hold);
  settle();
  const auto answers = take_answers();
  const auto seen = take_seen();
  for (const char* number : {"1", "2"}) {
    const std::string died = std::string{number} +
                             " unavailable: cache ended before it answered: "
                             "crashed: boom";
    EXPECT_EQ(
        std::count(answers.begin(), answers.end(), died) +
            std::count(seen.begin(), seen.end(), std::string{number} + " at 2"),
        1);
  }
}

TEST_F(ChildHandleTest, RequestsDieWithAChildThatQuits) {
  supervise({.children = {child()}});
  ask_job(1, Then::quit);
  EXPECT_THAT(take_answers(),
              ElementsAre("1 unavailable: cache ended before it answered: "
                          "normal"));
}

TEST_F(ChildHandleTest, RequestThatTheChildForgetsTimesOut) {
  supervise({.children = {child()}});
  ask_job(1, Then::drop);
  settle();
  advance(59s);
  EXPECT_THAT(take_answers(), IsEmpty());
  advance(1s);
  EXPECT_THAT(take_answers(),
              ElementsAre("1 timed_out: cache has not answered within 1m"));
}

TEST_F(ChildHandleTest, LateAnswerIsDropped) {
  supervise({.children = {child()}});
  ask_job(1, Then::hold);
  settle();
  advance(1min);
  EXPECT_EQ(take_answers().size(), 1U);
  tell(ActorRef{stage->newest}, AnswerHeld{});
  EXPECT_THAT(take_answers(), IsEmpty());
}

TEST_F(ChildHandleTest, MessagesWaitDuringAGroupRestart) {
  ChildSpec other = sibling();
  supervise({.strategy = Strategy::one_for_all,
             .intensity = 10,
             .children = {other, child()}});
  stage->stubborn = true;
  const auto list = ask<ChildList>(top, WhichChildren{});
  ask_job(1, Then::hold);
  settle();
  actors::kill(list->children[0].actor);  // the sibling
  settle();
  ask_job(2);
  EXPECT_THAT(take_answers(), IsEmpty());
  // It is stopping, and may still answer.
  tell(ActorRef{stage->newest}, AnswerHeld{});
  EXPECT_THAT(take_answers(), ElementsAre("1 by 1"));
  advance(5s);
  EXPECT_THAT(take_answers(), ElementsAre("2 by 2"));
}

TEST_F(ChildHandleTest, ChildThatIsStoppedByHandIsUnavailableUntilItIsStarted) {
  supervise({.children = {child()}});
  ask<ChildReply>(top, TerminateChild{"cache", 0});
  ask_job(1);
  tell_job(2);
  EXPECT_THAT(take_answers(), ElementsAre("1 unavailable: cache is stopped"));
  EXPECT_EQ(info().stats.rejected, 1U);
  ask<ChildReply>(top, RestartChild{"cache", 0});
  ask_job(3);
  EXPECT_THAT(take_answers(), ElementsAre("3 by 2"));
}

TEST_F(ChildHandleTest, WhatWaitsIsRefusedWhenTheChildIsStoppedInBackOff) {
  supervise({.children = {slow_child()}});
  crash();
  ask_job(1);
  EXPECT_THAT(take_answers(), IsEmpty());
  ask<ChildReply>(top, TerminateChild{"cache", 0});
  EXPECT_THAT(take_answers(), ElementsAre("1 unavailable: cache is stopped"));
}

TEST_F(ChildHandleTest, TemporaryChildThatHasEndedIsUnavailable) {
  supervise({.children = {child(Restart::temporary)}});
  crash();
  ask_job(1);
  EXPECT_THAT(take_answers(), ElementsAre("1 unavailable: cache is stopped"));
}

TEST_F(ChildHandleTest, ChildOfASupervisorThatGaveUpIsUnavailable) {
  supervise({.intensity = 0, .children = {child()}});
  crash();
  ask_job(1);
  EXPECT_THAT(take_answers(), ElementsAre("1 unavailable: cache is stopped"));
}

TEST_F(ChildHandleTest, ChildComesBackWithItsSupervisor) {
  supervise({.children = {supervisor_child(
                 "inner", {.intensity = 0, .children = {child()}})}});
  crash();  // the inner one gives up and is restarted
  ask_job(1);
  EXPECT_THAT(take_answers(), ElementsAre("1 by 2"));
}

TEST_F(ChildHandleTest, SupervisorThatIsKilledLeavesNothingUnanswered) {
  supervise({.children = {slow_child()}});
  ask_job(1, Then::hold);
  settle();
  stage->stubborn = true;
  actors::kill(top);
  settle();
  ask_job(2);
  EXPECT_THAT(take_answers(), ElementsAre("2 unavailable: cache is stopped"));
  advance(5s);  // the child is killed
  EXPECT_THAT(take_answers(),
              ElementsAre("1 unavailable: cache ended before it answered: "
                          "killed"));
  EXPECT_EQ(info().open, 0U);
  EXPECT_EQ(actors_alive(), 4U);  // the handle and its clients
}

TEST_F(ChildHandleTest, SupervisorThatIsKilledDuringBackOffEndsTheWait) {
  supervise({.children = {slow_child()}});
  crash();
  ask_job(1);
  settle();
  actors::kill(top);
  EXPECT_THAT(take_answers(), ElementsAre("1 unavailable: cache is stopped"));
}

TEST_F(ChildHandleTest, EndOfTheHandleAnswersWhatIsOpen) {
  supervise({.children = {slow_child()}});
  ask_job(1, Then::hold);
  settle();
  actors::stop(handle);
  EXPECT_THAT(take_answers(),
              ElementsAre("1 unavailable: the handle of cache has ended"));
  // The child goes on, and what it says now is dropped.
  tell(ActorRef{stage->newest}, AnswerHeld{});
  ask_job(2);
  EXPECT_THAT(take_answers(), ElementsAre("2 unavailable: it has ended"));
}

TEST_F(ChildHandleTest, HandleThatIsKilledAnswersWhatWaits) {
  ask_job(1);
  settle();
  actors::kill(handle);
  EXPECT_THAT(take_answers(),
              ElementsAre("1 unavailable: the handle of cache has ended"));
}

TEST_F(ChildHandleTest, ErrorsArePassedOnLikeAnythingElse) {
  tell(handle, actors::to_caf(Error{Errc::corrupt, "a page"}));
  EXPECT_EQ(info().waiting, 1U);
}

TEST_F(ChildHandleTest, ListenerAndStartOfTheSpecAreCalledAsBefore) {
  std::vector<Presence> said;
  ChildSpec spec{
      .id = "cache", .start = [this](StartContext& context) -> StartResult {
        return actors::spawn<HandledChild>(context.supervisor(), stage);
      }};
  spec.on_presence = [&](Presence presence) { said.push_back(presence); };
  supervise({.children = {with_handle(spec, handle)}});
  actors::stop(top);
  settle();
  EXPECT_THAT(said, ElementsAre(Presence::up, Presence::gone));
}

TEST_F(ChildHandleTest, SpecWithoutAStartFunctionStaysInvalid) {
  const auto refused = check({.children = {with_handle({.id = "a"}, handle)}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().what, "child \"a\": has no start function");
}

TEST_F(ChildHandleTest, OptionsThatMakeNoSenseAreRefused) {
  const auto refused = spawn_handle(system, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(),
            (Error{Errc::invalid_argument, "a handle has no name"}));
}

}  // namespace
}  // namespace troupe::supervisor
