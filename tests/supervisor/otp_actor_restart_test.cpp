// The contract with OTP (docs/design/supervision.md) kept by real actors:
// statements 1 to 25, about starting and restarting. otp_test.cpp states the
// same about the core.
#include "actor_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// -- Start -------------------------------------------------------------------

TEST_F(OtpActors, N01_StartReturnsOnlyAfterEachChildHasInListOrder) {
  stage->on_start["b"] = {OnStart::hang};
  supervise(three(Strategy::one_for_one));
  EXPECT_THAT(take_log(), ElementsAre("start a", "start b"));
  advance(24h);
  EXPECT_FALSE(reported(ReportKind::started));
  finish_start("b");
  EXPECT_THAT(take_log(), ElementsAre("start c"));
  EXPECT_TRUE(reported(ReportKind::started));
  EXPECT_THAT(living(), ElementsAre("a", "b", "c"));
}

TEST_F(OtpActors, N01_SubSupervisorHasStartedWhenItsChildrenHave) {
  stage->on_start["a"] = {OnStart::hang};
  supervise(
      {.children = {worker("x"), subtree("sub", three(Strategy::one_for_one)),
                    worker("y")}});
  EXPECT_THAT(take_log(), ElementsAre("start x", "start sub", "start a"));
  finish_start("a");
  EXPECT_THAT(take_log(), ElementsAre("start b", "start c", "start y"));
}

TEST_F(OtpActors, N01_ChildThatNeverGetsReadyDoesNotKeepTheTreeFromStopping) {
  stage->on_start["b"] = {OnStart::hang};
  supervise(three(Strategy::one_for_one));
  take_log();
  shut_down();
  EXPECT_THAT(take_log(), ElementsAre("stop b", "gone b", "stop a", "gone a",
                                      "exit shutdown"));
}

TEST_F(OtpActors, N02_FailedStartStopsTheOthersInReverseAndNamesTheChild) {
  for (const OnStart how : {OnStart::error, OnStart::raise}) {
    stage->on_start["c"] = {how};
    supervise(three(Strategy::one_for_one));
    EXPECT_THAT(take_log(),
                ElementsAre("start a", "start b", "fail c", "stop b", "gone b",
                            "stop a", "gone a", "exit shutdown"));
    EXPECT_EQ(exit_of("top")->what, "child \"c\" failed to start: no luck");
    EXPECT_FALSE(reported(ReportKind::started));
  }
}

TEST_F(OtpActors, N02_ChildThatEndsBeforeItIsReadyFailedToStart) {
  for (const ExitReason& reason :
       {clean_exit, shutdown_with_text, custom_exit, killed_exit, boom}) {
    stage->on_start["c"] = {OnStart::hang};
    supervise(three(Strategy::one_for_one));
    take_log();
    end("c", reason);
    EXPECT_THAT(take_log(), ElementsAre("gone c", "stop b", "gone b", "stop a",
                                        "gone a", "exit shutdown"));
    EXPECT_EQ(exit_of("top")->what,
              "child \"c\" failed to start: " + describe(reason));
  }
}

TEST_F(OtpActors, N02_FirstChildThatFailsLeavesNothingToStop) {
  stage->on_start["a"] = {OnStart::raise};
  supervise(three(Strategy::one_for_one));
  EXPECT_THAT(take_log(), ElementsAre("fail a", "exit shutdown"));
}

TEST_F(OtpActors, N02_ErrorNamesTheWholePathToTheChild) {
  stage->on_start["b"] = {OnStart::error};
  supervise({.children = {worker("x"),
                          subtree("sub", three(Strategy::one_for_one))}});
  EXPECT_THAT(take_log(),
              ElementsAre("start x", "start sub", "start a", "fail b", "stop a",
                          "gone a", "stop x", "gone x", "exit shutdown"));
  EXPECT_EQ(exit_of("top")->what,
            "child \"sub\" failed to start: shutdown: child \"b\" failed to "
            "start: no luck");
}

TEST_F(OtpActors, N03_IgnoringChildKeepsItsSpecUnlessItIsTemporary) {
  stage->on_start["a"] = {OnStart::ignore};
  stage->on_start["b"] = {OnStart::ignore};
  supervise({.children = {worker("a"), worker("b", Restart::temporary),
                          worker("c")}});
  EXPECT_TRUE(reported(ReportKind::started));
  EXPECT_THAT(living(), ElementsAre("c"));
  EXPECT_THAT(child_ids(), ElementsAre("a", "c"));
  EXPECT_EQ(state("a"), ChildState::stopped);
  EXPECT_EQ(entry("a")->actor, ActorRef{});

  stage->on_start["d"] = {OnStart::ignore};
  stage->on_start["e"] = {OnStart::ignore};
  EXPECT_EQ(code(StartChild{worker("d", Restart::temporary)}),
            ReplyCode::ignored);
  EXPECT_EQ(code(StartChild{worker("e")}), ReplyCode::ignored);
  EXPECT_THAT(child_ids(), ElementsAre("a", "c", "e"));
}

TEST_F(OtpActors, N04_DefaultIsOnePermanentRestartInFiveSecondsOneForOne) {
  supervise({.children = {worker("a"), worker("b")}});
  take_log();
  end("a", clean_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone a", "start a"));
  advance(5s + 1ns);
  end("b", clean_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone b", "start b"));
  end("a", clean_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone a", "gave_up a", "stop b", "gone b",
                                      "exit shutdown"));
}

TEST_F(OtpActors, N04_DefaultTimeToStopIsFiveSecondsForAWorker) {
  stage->deaf = {"a"};
  supervise({.children = {worker("a")}});
  EXPECT_EQ(entry("a")->info.type, ChildType::worker);
  shut_down();
  advance(4999ms);
  EXPECT_TRUE(lives("a"));
  advance(1ms);
  EXPECT_FALSE(lives("a"));
  EXPECT_EQ(exit_of("a"), killed_exit);
}

TEST_F(OtpActors, N04_DefaultTimeToStopIsUnlimitedForASupervisor) {
  stage->deaf = {"a"};
  supervise(
      one(subtree("sub", one(with_shutdown(worker("a"), Duration{24h})))));
  EXPECT_EQ(entry("sub")->info.type, ChildType::supervisor);
  shut_down();
  advance(24h - 1ms);
  EXPECT_TRUE(lives("a"));
  EXPECT_EQ(exit_of("sub"), std::nullopt);
  advance(1ms);
  EXPECT_EQ(exit_of("sub"), shutdown_exit);
}

TEST_F(OtpActors, N04_DefaultIsThatNoEndOfAChildEndsItsSupervisor) {
  supervise({.children = {worker("a", Restart::transient),
                          worker("b", Restart::temporary)}});
  end("a", clean_exit);
  end("b", clean_exit);
  EXPECT_THAT(living(), IsEmpty());
  EXPECT_EQ(exit_of("top"), std::nullopt);
}

TEST_F(OtpActors, N05_SpecsThatMakeNoSenseAreRefusedBeforeAnythingStarts) {
  SupervisorSpec spec = three(Strategy::one_for_one);
  spec.intensity = -1;
  EXPECT_EQ(refusal(spec), "intensity must not be negative, got -1");
  spec.intensity = 0;
  spec.period = Duration{0};
  EXPECT_EQ(refusal(spec), "period must be positive");
  spec.period = 1s;
  spec.children.push_back(worker("b"));
  EXPECT_EQ(refusal(spec), "child \"b\" is declared twice");
  spec.children.back() = worker("");
  EXPECT_EQ(refusal(spec), "a child has no id");
  spec.children.back() = {.id = "d"};
  EXPECT_EQ(refusal(spec), "child \"d\": has no start function");
  EXPECT_THAT(take_log(), IsEmpty());
  EXPECT_EQ(actors_alive(), 1U);  // the witness
}

TEST_F(OtpActors, N05_ChildrenThatMakeNoSenseAreRefusedLaterAsWell) {
  supervise(three(Strategy::one_for_one));
  take_log();
  auto reply = ask<ChildReply>(top, StartChild{{.id = "d"}, 17});
  EXPECT_EQ(reply->code, ReplyCode::invalid_spec);
  EXPECT_EQ(reply->what, "child \"d\": has no start function");
  EXPECT_EQ(reply->token, 17U);

  SupervisorSpec twice{.children = {worker("x"), worker("x")}};
  reply = ask<ChildReply>(top, StartChild{subtree("sub", twice), 18});
  EXPECT_EQ(reply->code, ReplyCode::start_failed);
  EXPECT_EQ(reply->what, "child \"x\" is declared twice");
  EXPECT_THAT(take_log(), ElementsAre("start sub"));
  EXPECT_THAT(child_ids(), ElementsAre("a", "b", "c"));
}

TEST_F(OtpActors, N06_SignificantIsRefusedWhereItMeansNothing) {
  SupervisorSpec spec{.auto_shutdown = AutoShutdown::any_significant,
                      .children = {significant("a", Restart::permanent)}};
  EXPECT_EQ(refusal(spec),
            "child \"a\": a permanent child cannot be significant");
  spec.children[0].restart = Restart::transient;
  EXPECT_EQ(refusal(spec), "accepted");
  spec.auto_shutdown = AutoShutdown::never;
  EXPECT_EQ(refusal(spec),
            "child \"a\": significant means nothing under auto-shutdown never");

  supervise(three(Strategy::one_for_one));
  EXPECT_EQ(code(StartChild{significant("d", Restart::transient)}),
            ReplyCode::invalid_spec);
  EXPECT_EQ(starts("d"), 0);
}

// -- Restart decision --------------------------------------------------------

TEST_F(OtpActors, N07_PermanentChildIsRestartedAfterAnyExit) {
  supervise(one(worker("a", Restart::permanent), /*intensity=*/10));
  for (const ExitReason& reason :
       {clean_exit, shutdown_exit, shutdown_with_text, custom_exit, killed_exit,
        boom}) {
    const ActorRef before = actor("a");
    take_log();
    end("a", reason);
    EXPECT_EQ(exit_of("a"), reason);
    EXPECT_THAT(take_log(), ElementsAre("gone a", "start a"));
    EXPECT_NE(actor("a"), before);
    EXPECT_EQ(entry("a")->actor, actor("a"));
  }
  EXPECT_EQ(exit_of("top"), std::nullopt);
}

TEST_F(OtpActors, N08_TransientChildIsRestartedUnlessItEndedCleanly) {
  for (const ExitReason& reason :
       {clean_exit, shutdown_exit, shutdown_with_text}) {
    supervise(one(worker("a", Restart::transient)));
    end("a", reason);
    EXPECT_EQ(exit_of("a"), reason);
    EXPECT_FALSE(lives("a")) << describe(reason);
    shut_down();
  }
  for (const ExitReason& reason : {custom_exit, killed_exit, boom}) {
    supervise(one(worker("a", Restart::transient)));
    end("a", reason);
    EXPECT_EQ(exit_of("a"), reason);
    EXPECT_TRUE(lives("a")) << describe(reason);
    shut_down();
  }
}

TEST_F(OtpActors, N09_TemporaryChildIsNeverRestartedAndItsSpecDisappears) {
  supervise({.strategy = Strategy::one_for_all,
             .children = {worker("a"), worker("t", Restart::temporary),
                          worker("u", Restart::temporary)}});
  crash("t");
  EXPECT_THAT(child_ids(), ElementsAre("a", "u"));
  take_log();
  crash("a");
  EXPECT_THAT(take_log(), ElementsAre("gone a", "stop u", "gone u", "start a"));
  EXPECT_THAT(child_ids(), ElementsAre("a"));
  EXPECT_EQ(code(RestartChild{"u"}), ReplyCode::not_found);
}

TEST_F(OtpActors, N10_ExitWithoutRestartLeavesTheSiblingsAlone) {
  for (const Strategy strategy :
       {Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one}) {
    supervise({.strategy = strategy,
               .children = {worker("a", Restart::transient),
                            worker("b", Restart::temporary), worker("c")}});
    const ActorRef c = actor("c");
    take_log();
    end("a", clean_exit);
    crash("b");
    EXPECT_THAT(take_log(), ElementsAre("gone a", "gone b"));
    EXPECT_THAT(living(), ElementsAre("c"));
    EXPECT_EQ(actor("c"), c);
    shut_down();
  }
}

TEST_F(OtpActors, N11_TransientChildThatEndedCleanlyCanBeStartedByHand) {
  supervise(one(worker("a", Restart::transient)));
  end("a", clean_exit);
  EXPECT_EQ(state("a"), ChildState::stopped);
  const auto reply = ask<ChildReply>(top, RestartChild{"a", 5});
  EXPECT_EQ(reply->code, ReplyCode::ok);
  EXPECT_EQ(reply->actor, actor("a"));
  EXPECT_THAT(living(), ElementsAre("a"));
}

TEST_F(OtpActors, N11_DynamicTransientChildThatEndedCleanlyIsForgotten) {
  supervise(jobs(Restart::transient));
  EXPECT_EQ(code(job("j1")), ReplyCode::ok);
  end("j1", clean_exit);
  EXPECT_THAT(child_ids(), IsEmpty());
  EXPECT_EQ(ask<ChildCounts>(top, CountChildren{}),
            (ChildCounts{.specs = 1, .active = 0}));
}

TEST_F(OtpActors, N12_NewsOfUnknownActorsAndStrayMessagesChangeNothing) {
  supervise(three(Strategy::one_for_all));
  const ActorRef old = actor("a");
  const ChildRef stale = entry("a")->info.ref;
  crash("a");
  const ActorRef stranger = spawn<Witness>(stage);
  take_log();
  for (const ActorRef& unknown : {stranger, old, top})
    tell(top, actors::DownMessage{unknown->address(), actors::to_caf(boom)});
  for (const ChildRef child :
       {ChildRef{}, ChildRef{ChildKey{99}, 99}, stale, entry("a")->info.ref})
    tell(top, ChildReady{child});
  tell(top, 17);
  tell(top, std::string{"who are you?"});
  tell(top, Report{});
  tell(top, ChildReply{});
  EXPECT_THAT(take_log(), IsEmpty());
  EXPECT_THAT(living(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(child_ids(), ElementsAre("a", "b", "c"));
}

TEST_F(OtpActors, N12_EndOfALinkedStrangerChangesNothing) {
  supervise(three(Strategy::one_for_all));
  take_log();
  for (const ExitReason& reason :
       {clean_exit, shutdown_exit, shutdown_with_text, custom_exit, boom}) {
    const ActorRef stranger = spawn<Worker>("stranger", stage);
    tell(stranger, LinkYourself{top});
    tell(stranger, End{reason});
    EXPECT_THAT(take_log(), ElementsAre("start stranger", "gone stranger"));
    EXPECT_EQ(exit_of("top"), std::nullopt) << describe(reason);
  }
}

TEST_F(OtpActors, N12_ChildThatLinksItselfToItsSupervisorEndsLikeAnyOther) {
  supervise(three(Strategy::one_for_one));
  tell(actor("b"), LinkYourself{top});
  take_log();
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "start b"));
}

// -- Strategies --------------------------------------------------------------

TEST_F(OtpActors, N13_OneForOneKeepsTheIdentityOfTheSiblings) {
  supervise(three(Strategy::one_for_one));
  const ActorRef a = actor("a");
  const ActorRef b = actor("b");
  const ActorRef c = actor("c");
  take_log();
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "start b"));
  EXPECT_EQ(entry("a")->actor, a);
  EXPECT_NE(entry("b")->actor, b);
  EXPECT_EQ(entry("c")->actor, c);
}

TEST_F(OtpActors, N14_OneForAllStopsOthersInReverse) {
  supervise(three(Strategy::one_for_all));
  take_log();
  end("b", killed_exit);
  EXPECT_THAT(take_log(),
              ElementsAre("gone b", "stop c", "gone c", "stop a", "gone a",
                          "start a", "start b", "start c"));
  EXPECT_THAT(living(), ElementsAre("a", "b", "c"));
}

TEST_F(OtpActors, N14_OneForAllStartsNothingBeforeTheLastOneIsGone) {
  stage->deaf = {"a"};
  supervise(three(Strategy::one_for_all));
  take_log();
  crash("c");
  EXPECT_THAT(take_log(), ElementsAre("gone c", "stop b", "gone b", "stop a"));
  advance(5s);
  EXPECT_THAT(take_log(),
              ElementsAre("gone a", "start a", "start b", "start c"));
}

TEST_F(OtpActors, N14_OneForAllRestartsOnceForTwoThatEndTogether) {
  supervise(three(Strategy::one_for_all, /*intensity=*/1));
  take_log();
  actors::send(actor("a"), End{boom});
  actors::send(actor("c"), End{boom});
  settle();
  EXPECT_THAT(take_log(), ElementsAre("gone a", "gone c", "stop b", "gone b",
                                      "start a", "start b", "start c"));
  EXPECT_EQ(exit_of("top"), std::nullopt);
}

TEST_F(OtpActors, N15_RestForOneRestartsOnlyLaterChildren) {
  supervise(three(Strategy::rest_for_one));
  const ActorRef a = actor("a");
  take_log();
  crash("b");
  EXPECT_THAT(take_log(),
              ElementsAre("gone b", "stop c", "gone c", "start b", "start c"));
  EXPECT_EQ(entry("a")->actor, a);
  EXPECT_THAT(living(), ElementsAre("a", "b", "c"));
}

TEST_F(OtpActors, N16_GroupRestartAlsoStartsStoppedSiblingsInScope) {
  for (const Strategy strategy :
       {Strategy::one_for_all, Strategy::rest_for_one}) {
    SupervisorSpec spec = three(strategy);
    spec.children[1].restart = Restart::transient;
    supervise(spec);
    end("b", clean_exit);
    EXPECT_EQ(code(TerminateChild{"c"}), ReplyCode::ok);
    EXPECT_THAT(living(), ElementsAre("a"));
    take_log();
    crash("a");
    EXPECT_THAT(take_log(),
                ElementsAre("gone a", "start a", "start b", "start c"));
    shut_down();
  }
}

TEST_F(OtpActors, N17_RestForOneContinuesFromTheSiblingThatFailed) {
  supervise(three(Strategy::rest_for_one));
  take_log();
  stage->on_start["b"] = {OnStart::raise};
  crash("a");
  EXPECT_THAT(take_log(),
              ElementsAre("gone a", "stop c", "gone c", "stop b", "gone b",
                          "start a", "fail b", "start b", "start c"));
}

TEST_F(OtpActors, N17_OneForAllBeginsAgainWhenASiblingFailed) {
  supervise(three(Strategy::one_for_all));
  take_log();
  stage->on_start["b"] = {OnStart::error};
  crash("c");
  EXPECT_THAT(take_log(),
              ElementsAre("gone c", "stop b", "gone b", "stop a", "gone a",
                          "start a", "fail b", "stop a", "gone a", "start a",
                          "start b", "start c"));
}

TEST_F(OtpActors, N17_SiblingThatEndsBeforeItIsReadyFailedAsWell) {
  supervise(three(Strategy::rest_for_one));
  stage->on_start["b"] = {OnStart::hang};
  crash("a");
  take_log();
  end("b", clean_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone b", "start b", "start c"));
}

TEST_F(OtpActors, N18_AddedChildrenComeLast) {
  supervise(three(Strategy::one_for_all));
  EXPECT_EQ(code(StartChild{worker("0")}), ReplyCode::ok);
  take_log();
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "stop 0", "gone 0", "stop c",
                                      "gone c", "stop a", "gone a", "start a",
                                      "start b", "start c", "start 0"));
}

TEST_F(OtpActors, N19_SimpleOneForOneStartsNothingAndRefusesIds) {
  supervise(jobs(Restart::permanent));
  EXPECT_TRUE(reported(ReportKind::started));
  EXPECT_THAT(take_log(), IsEmpty());
  const auto j1 = ask<ChildReply>(top, job("j1"));
  EXPECT_EQ(j1->actor, actor("j1"));
  EXPECT_EQ(code(job("j2")), ReplyCode::ok);
  EXPECT_THAT(take_log(), ElementsAre("start j1", "start j2"));
  EXPECT_EQ(code(StartChild{worker("x")}), ReplyCode::unsupported);
  EXPECT_EQ(code(TerminateChild{"job"}), ReplyCode::unsupported);
  EXPECT_EQ(code(RestartChild{"job"}), ReplyCode::unsupported);
  EXPECT_EQ(code(DeleteChild{"job"}), ReplyCode::unsupported);
  EXPECT_EQ(code(TerminateDynamicChild{j1->key}), ReplyCode::ok);
  EXPECT_THAT(take_log(), ElementsAre("stop j1", "gone j1"));
  EXPECT_EQ(code(TerminateDynamicChild{j1->key}), ReplyCode::not_found);
}

TEST_F(OtpActors, N19_ArgumentsOfADynamicChildStayOverItsRestarts) {
  supervise(jobs(Restart::transient));
  EXPECT_EQ(code(job("j1")), ReplyCode::ok);
  EXPECT_EQ(code(job("j2")), ReplyCode::ok);
  const ActorRef j2 = actor("j2");
  take_log();
  crash("j1");
  EXPECT_THAT(take_log(), ElementsAre("gone j1", "start j1"));
  EXPECT_EQ(actor("j2"), j2);
}

// -- Intensity ---------------------------------------------------------------

TEST_F(OtpActors, N20_IntensityRestartsAreAllowedAndTheNextGivesUp) {
  supervise(one(worker("a"), /*intensity=*/3));
  for (int i = 0; i < 3; ++i)
    crash("a");
  EXPECT_EQ(exit_of("top"), std::nullopt);
  crash("a");
  EXPECT_EQ(starts("a"), 4);
  EXPECT_EQ(exit_of("top"),
            (ExitReason{ExitKind::shutdown,
                        "child \"a\" needed more than 3 restarts in 5s: "
                        "crashed: boom"}));
}

TEST_F(OtpActors, N20_ZeroIntensityGivesUpAtTheFirst) {
  supervise(one(worker("a"), /*intensity=*/0));
  crash("a");
  EXPECT_EQ(starts("a"), 1);
  EXPECT_EQ(exit_of("top")->kind, ExitKind::shutdown);
}

TEST_F(OtpActors, N21_OneCounterForAllChildren) {
  supervise(three(Strategy::one_for_one, /*intensity=*/2));
  crash("a");
  crash("b");
  EXPECT_EQ(exit_of("top"), std::nullopt);
  crash("c");
  EXPECT_EQ(exit_of("top")->kind, ExitKind::shutdown);
}

TEST_F(OtpActors, N21_GroupRestartCountsOnce) {
  supervise(three(Strategy::one_for_all, /*intensity=*/2));
  crash("a");
  crash("b");
  EXPECT_EQ(exit_of("top"), std::nullopt);
  EXPECT_EQ(starts("c"), 3);
  crash("c");
  EXPECT_EQ(exit_of("top")->kind, ExitKind::shutdown);
}

TEST_F(OtpActors, N22_FailedAttemptCountsAndIsRetriedWithoutDelay) {
  supervise(one(worker("a"), /*intensity=*/3));
  stage->on_start["a"] = {OnStart::error, OnStart::raise};
  take_log();
  crash("a");  // no time passes
  EXPECT_THAT(take_log(), ElementsAre("gone a", "fail a", "fail a", "start a"));
  crash("a");  // the fourth restart within the period
  EXPECT_THAT(take_log(), ElementsAre("gone a", "gave_up a", "exit shutdown"));
}

TEST_F(OtpActors, N22_AttemptThatEndsBeforeItIsReadyCountsAsWell) {
  supervise(one(worker("a"), /*intensity=*/2));
  stage->on_start["a"] = {OnStart::hang, OnStart::hang};
  crash("a");
  take_log();
  end("a", clean_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone a", "start a"));
  end("a", killed_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone a", "gave_up a", "exit shutdown"));
}

TEST_F(OtpActors, N23_RequestsAreServedBetweenAttempts) {
  supervise(three(Strategy::one_for_one, /*intensity=*/1000));
  stage->on_start["a"].assign(100, OnStart::raise);
  take_log();
  actors::send(actor("a"), End{boom});
  run_until_started("a", 3);
  actors::send(top, StartChild{worker("d")});
  settle();
  EXPECT_EQ(starts("a"), 102);
  const auto log = take_log();
  const auto d = std::ranges::find(log, "start d");
  EXPECT_GT(std::count(log.begin(), d, "fail a"), 1);
  EXPECT_GT(std::count(d, log.end(), "fail a"), 90);
}

TEST_F(OtpActors, N23_ShutdownIsServedBetweenAttempts) {
  supervise(three(Strategy::one_for_one, /*intensity=*/1000));
  stage->on_start["a"].assign(100, OnStart::raise);
  take_log();
  actors::send(actor("a"), End{boom});
  run_until_started("a", 3);
  take_log();
  shut_down();
  EXPECT_LT(starts("a"), 6);
  EXPECT_EQ(exit_of("top"), shutdown_exit);
  const auto log = take_log();
  const std::vector<std::string> end{log.end() - 5, log.end()};
  EXPECT_THAT(end, ElementsAre("stop c", "gone c", "stop b", "gone b",
                               "exit shutdown"));
}

TEST_F(OtpActors, N24_WindowIncludesItsEdge) {
  supervise(one(worker("a"), /*intensity=*/1, 5s));
  crash("a");
  advance(5s);
  crash("a");
  EXPECT_EQ(exit_of("top")->kind, ExitKind::shutdown);
}

TEST_F(OtpActors, N24_WindowSlidesAndSuccessDoesNotClearIt) {
  supervise(one(worker("a"), /*intensity=*/1, 5s));
  crash("a");
  advance(5s + 1ns);
  crash("a");
  EXPECT_THAT(living(), ElementsAre("a"));
  advance(5s);
  crash("a");
  EXPECT_EQ(exit_of("top")->kind, ExitKind::shutdown);
}

TEST_F(OtpActors, N25_ManualStartsAndRestartsDoNotCount) {
  supervise(one(worker("a"), /*intensity=*/1));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(code(TerminateChild{"a"}), ReplyCode::ok);
    EXPECT_EQ(code(RestartChild{"a"}), ReplyCode::ok);
    EXPECT_EQ(code(StartChild{worker("d", Restart::temporary)}), ReplyCode::ok);
    end("d");
  }
  crash("a");
  EXPECT_EQ(exit_of("top"), std::nullopt);
  EXPECT_THAT(living(), ElementsAre("a"));
}

}  // namespace
}  // namespace troupe::supervisor
