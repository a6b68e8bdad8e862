// The contract with OTP (docs/design/supervision.md) kept by real actors:
// statements 26 to 40, about giving up, stopping and requests. otp_test.cpp
// states the same about the core.
#include "actor_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Crashes whoever copies it while it is armed.
class Bomb {
 public:
  explicit Bomb(std::shared_ptr<bool> armed) : armed_{std::move(armed)} {}
  Bomb(const Bomb& other) : armed_{other.armed_} {
    if (*armed_)
      throw std::runtime_error("boom");
  }
  Bomb& operator=(const Bomb&) = delete;
  Bomb(Bomb&&) = default;
  Bomb& operator=(Bomb&&) = default;
  ~Bomb() = default;

  StartResult operator()(StartContext& /*context*/) const { return Ignore{}; }

 private:
  std::shared_ptr<bool> armed_;
};

// -- Escalation --------------------------------------------------------------

TEST_F(OtpActors, N26_GivingUpReportsThenStopsTheRestThenExits) {
  supervise(three(Strategy::one_for_one, /*intensity=*/0));
  take_log();
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "gave_up b", "stop c", "gone c",
                                      "stop a", "gone a", "exit shutdown"));
  EXPECT_EQ(take_reports().back(), (Report{.kind = ReportKind::gave_up,
                                           .supervisor = "top",
                                           .child = "b",
                                           .key = ChildKey{2},
                                           .reason = boom,
                                           .restarts = 0}));
}

TEST_F(OtpActors, N26_ParentActsOnlyAfterTheChildrenOfTheOneThatGaveUpAreGone) {
  stage->deaf = {"a"};
  supervise(one(subtree("sub", three(Strategy::one_for_one, /*intensity=*/0))));
  take_log();
  crash("b");
  advance(4999ms);
  EXPECT_THAT(take_log(),
              ElementsAre("gone b", "gave_up b", "stop c", "gone c", "stop a"));
  advance(1ms);
  EXPECT_THAT(take_log(), ElementsAre("gone a", "start sub", "start a",
                                      "start b", "start c"));
  EXPECT_EQ(exit_of("sub")->kind, ExitKind::shutdown);
}

TEST_F(OtpActors, N27_PermanentSubSupervisorIsRestartedAndChargedToTheParent) {
  supervise(one(subtree("sub", one(worker("w"), /*intensity=*/0)),
                /*intensity=*/1));
  crash("w");
  EXPECT_EQ(starts("sub"), 2);
  EXPECT_THAT(living(), ElementsAre("w"));
  crash("w");
  EXPECT_EQ(exit_of("top")->what,
            "child \"sub\" needed more than 1 restarts in 5s: shutdown: child "
            "\"w\" needed more than 0 restarts in 5s: crashed: boom");
}

TEST_F(OtpActors, N27_TransientSubSupervisorIsNot) {
  supervise(one(
      subtree("sub", one(worker("w"), /*intensity=*/0), Restart::transient)));
  crash("w");
  EXPECT_EQ(starts("sub"), 1);
  EXPECT_EQ(state("sub"), ChildState::stopped);
  EXPECT_EQ(exit_of("top"), std::nullopt);
}

TEST_F(OtpActors, N28_TwoLevelsMultiplyTheirBudgets) {
  stage->crash_loop = {"w"};
  for (const int outer : {0, 1, 3}) {
    for (const int inner : {0, 2, 4}) {
      stage->starts.clear();
      supervise(one(subtree("sub", one(worker("w"), inner)), outer));
      EXPECT_EQ(starts("w"), (outer + 1) * (inner + 1));
      EXPECT_EQ(exit_of("top")->kind, ExitKind::shutdown);
    }
  }
}

TEST_F(OtpActors, N29_RestartedSubSupervisorHasItsStaticChildrenAndNoOthers) {
  supervise(one(subtree("sub", three(Strategy::one_for_one, /*intensity=*/0))));
  const ActorRef sub = actor("sub");
  EXPECT_EQ(code(sub, StartChild{worker("d")}), ReplyCode::ok);
  EXPECT_EQ(code(sub, TerminateChild{"a"}), ReplyCode::ok);
  EXPECT_EQ(code(sub, DeleteChild{"a"}), ReplyCode::ok);
  EXPECT_THAT(living(), ElementsAre("b", "c", "d"));
  crash("b");
  EXPECT_NE(actor("sub"), sub);
  EXPECT_THAT(living(), ElementsAre("a", "b", "c"));
}

// -- Shutdown ----------------------------------------------------------------

TEST_F(OtpActors, N30_ChildrenStopOneAtATimeInReverseAndEachIsAwaited) {
  stage->deaf = {"b"};
  supervise(three(Strategy::one_for_one));
  take_log();
  shut_down();
  EXPECT_THAT(take_log(), ElementsAre("stop c", "gone c", "stop b"));
  advance(4s);
  EXPECT_THAT(take_log(), IsEmpty());
  end("b", shutdown_exit);
  EXPECT_THAT(take_log(),
              ElementsAre("gone b", "stop a", "gone a", "exit shutdown"));
}

TEST_F(OtpActors, N30_ActorOfAnotherChildIsRefusedForItCouldNotBeAwaited) {
  ChildSpec spec = worker("b");
  spec.start = [this](StartContext&) { return actor("a"); };
  supervise({.children = {worker("a"), worker("c")}});
  const auto reply = ask<ChildReply>(top, StartChild{spec});
  EXPECT_EQ(reply->code, ReplyCode::start_failed);
  EXPECT_EQ(reply->what,
            "the start function returned the actor of another child");
  take_log();
  shut_down();
  EXPECT_THAT(take_log(), ElementsAre("stop c", "gone c", "stop a", "gone a",
                                      "exit shutdown"));
}

TEST_F(OtpActors, N31_IntegerShutdownStopsPolitelyThenKillsWhenTheTimeIsUp) {
  stage->deaf = {"a"};
  supervise(one(with_shutdown(worker("a"), Duration{200ms})));
  take_log();
  shut_down();
  advance(199ms);
  EXPECT_THAT(take_log(), ElementsAre("stop a"));
  advance(1ms);
  EXPECT_THAT(take_log(), ElementsAre("gone a", "exit shutdown"));
  EXPECT_EQ(exit_of("a"), killed_exit);
  EXPECT_TRUE(reported(ReportKind::shutdown_error));
}

TEST_F(OtpActors, N31_ZeroShutdownStillAsksFirst) {
  stage->deaf = {"b"};
  supervise({.children = {with_shutdown(worker("a"), Duration{0}),
                          with_shutdown(worker("b"), Duration{0})}});
  take_log();
  shut_down();
  EXPECT_THAT(take_log(), ElementsAre("stop b", "gone b", "stop a", "gone a",
                                      "exit shutdown"));
  EXPECT_EQ(exit_of("b"), killed_exit);
  EXPECT_EQ(exit_of("a"), shutdown_exit);
}

TEST_F(OtpActors, N31_BrutalKillDoesNotAskAndIsNoError) {
  supervise(one(with_shutdown(worker("a"), BrutalKill{})));
  take_log();
  shut_down();
  EXPECT_THAT(take_log(), ElementsAre("gone a", "exit shutdown"));
  EXPECT_EQ(exit_of("a"), killed_exit);
  EXPECT_FALSE(reported(ReportKind::shutdown_error));
}

TEST_F(OtpActors, N31_InfinityWaits) {
  stage->deaf = {"a"};
  supervise(one(with_shutdown(worker("a"), Infinity{})));
  take_log();
  shut_down();
  advance(24h);
  EXPECT_THAT(take_log(), ElementsAre("stop a"));
  end("a", shutdown_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone a", "exit shutdown"));
}

TEST_F(OtpActors, N31_SupervisorThatNobodyHoldsAnyMoreWaitsAllTheSame) {
  stage->deaf = {"b"};
  SupervisorSpec spec = three(Strategy::one_for_one);
  spec.children[1].shutdown = Infinity{};
  spec.children[2].shutdown = BrutalKill{};
  supervise(spec);
  const ActorRef b = actor("b");
  take_log();
  actors::stop(top);
  forget_handles();
  settle();
  EXPECT_THAT(take_log(), ElementsAre("gone c", "stop b"));
  tell(b, End{shutdown_exit});
  EXPECT_THAT(take_log(),
              ElementsAre("gone b", "stop a", "gone a", "exit shutdown"));
}

TEST_F(OtpActors, N31_ChildThatIsNotReadyYetHasTheSameTimeToStop) {
  stage->on_start["a"] = {OnStart::hang};
  stage->deaf = {"a"};
  supervise(one(with_shutdown(worker("a"), Duration{200ms})));
  shut_down();
  advance(199ms);
  finish_start("a");
  EXPECT_THAT(living(), ElementsAre("a"));
  advance(1ms);
  EXPECT_THAT(living(), IsEmpty());
  EXPECT_EQ(exit_of("top"), shutdown_exit);
  EXPECT_FALSE(reported(ReportKind::started));
}

TEST_F(OtpActors, N32_ChildThatDetachedItselfIsStillStoppedAndAwaited) {
  supervise(three(Strategy::one_for_one));
  tell(actor("b"), LinkYourself{top});
  tell(actor("b"), DetachYourself{top});
  take_log();
  shut_down();
  EXPECT_THAT(take_log(), ElementsAre("stop c", "gone c", "stop b"));
  advance(5s);
  EXPECT_THAT(take_log(),
              ElementsAre("gone b", "stop a", "gone a", "exit shutdown"));
}

TEST_F(OtpActors, N32_ChildThatDetachedItselfIsStillRestarted) {
  supervise(three(Strategy::one_for_one));
  tell(actor("b"), LinkYourself{top});
  tell(actor("b"), DetachYourself{top});
  take_log();
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "start b"));
}

TEST_F(OtpActors, N33_SupervisorThatIsKilledWhileStoppingLeavesNoOrphan) {
  stage->deaf = {"a", "b"};
  supervise(
      {.children = {with_shutdown(worker("a"), Duration{1s}),
                    with_shutdown(worker("b"), Duration{2s}), worker("c")}});
  shut_down();
  EXPECT_THAT(living(), ElementsAre("a", "b"));
  actors::kill(top);
  settle();
  EXPECT_EQ(exit_of("top"), killed_exit);
  advance(1s);
  EXPECT_THAT(living(), ElementsAre("b"));
  advance(1s);
  EXPECT_THAT(living(), IsEmpty());
}

TEST_F(OtpActors, N33_SupervisorThatCrashesWhileStoppingLeavesNoOrphan) {
  stage->deaf = {"b"};
  supervise(three(Strategy::one_for_one));
  const auto armed = std::make_shared<bool>(false);
  const StartChild bomb{{.id = "bomb", .start = Bomb{armed}}};
  shut_down();
  actors::send(top, bomb);
  *armed = true;
  settle();
  EXPECT_EQ(exit_of("top"), boom);
  EXPECT_THAT(living(), ElementsAre("b"));
  advance(5s);
  EXPECT_THAT(living(), IsEmpty());
}

TEST_F(OtpActors, N33_SupervisorThatCrashesTakesItsWholeTreeAlong) {
  stage->on_start["y"] = {OnStart::hang};
  supervise(
      {.children = {worker("x"), subtree("sub", three(Strategy::one_for_one)),
                    worker("y"), worker("z")}});
  const auto armed = std::make_shared<bool>(false);
  actors::send(top, StartChild{{.id = "bomb", .start = Bomb{armed}}});
  *armed = true;
  settle();
  EXPECT_EQ(exit_of("top"), boom);
  EXPECT_THAT(living(), IsEmpty());
}

TEST_F(OtpActors, N34_SimpleOneForOneSignalsAllAtOnceWithOneTimer) {
  stage->deaf = {"j1", "j3"};
  supervise(jobs(Restart::permanent, Duration{1s}));
  for (const char* id : {"j1", "j2", "j3"})
    EXPECT_EQ(code(job(id)), ReplyCode::ok);
  take_log();
  shut_down();
  EXPECT_THAT(take_log(),
              ElementsAre("stop j1", "stop j2", "gone j2", "stop j3"));
  advance(999ms);
  EXPECT_THAT(take_log(), IsEmpty());
  advance(1ms);
  EXPECT_THAT(take_log(), ElementsAre("gone j1", "gone j3", "exit shutdown"));
}

TEST_F(OtpActors, N35_UnexpectedReasonDuringStopIsReportedAndBlocksNothing) {
  for (const ExitReason& reason :
       {boom, custom_exit, clean_exit, killed_exit}) {
    stage->when_stopped["c"] = reason;
    supervise(three(Strategy::one_for_one));
    take_log();
    shut_down();
    EXPECT_THAT(take_log(), ElementsAre("stop c", "gone c", "stop b", "gone b",
                                        "stop a", "gone a", "exit shutdown"));
    EXPECT_EQ(take_reports().back(), (Report{.kind = ReportKind::shutdown_error,
                                             .supervisor = "top",
                                             .child = "c",
                                             .key = ChildKey{3},
                                             .reason = reason,
                                             .restarts = 0}));
    EXPECT_EQ(exit_of("top"), shutdown_exit);
  }
}

TEST_F(OtpActors, N35_CrashThatNobodyHasHeardOfYetDoesNotBlockTheRest) {
  supervise(three(Strategy::one_for_one));
  take_log();
  actors::send(actor("b"), End{boom});
  shut_down();
  EXPECT_EQ(starts("b"), 1);
  EXPECT_EQ(exit_of("top"), shutdown_exit);
  EXPECT_THAT(living(), IsEmpty());
  EXPECT_EQ(take_reports().back().reason, boom);
}

TEST_F(OtpActors, N36_SupervisorStopsItsChildrenTheSameWayWhenItsParentStops) {
  supervise(
      {.children = {worker("x"), subtree("sub", three(Strategy::one_for_one)),
                    worker("y")}});
  take_log();
  shut_down();
  EXPECT_THAT(take_log(), ElementsAre("stop y", "gone y", "stop c", "gone c",
                                      "stop b", "gone b", "stop a", "gone a",
                                      "stop x", "gone x", "exit shutdown"));
  EXPECT_EQ(exit_of("sub"), shutdown_exit);
}

TEST_F(OtpActors, N36_SupervisorStopsItsChildrenTheSameWayWhenItsParentDies) {
  stage->deaf = {"b"};
  supervise(one(subtree("sub", three(Strategy::one_for_one))));
  take_log();
  actors::kill(top);
  settle();
  EXPECT_THAT(take_log(),
              ElementsAre("exit killed", "stop c", "gone c", "stop b"));
  advance(5s);
  EXPECT_THAT(take_log(), ElementsAre("gone b", "stop a", "gone a"));
  EXPECT_EQ(exit_of("sub"), shutdown_exit);
}

TEST_F(OtpActors, N36_OrphanedSupervisorThatNobodyHoldsStopsInOrderAsWell) {
  stage->deaf = {"b"};
  SupervisorSpec nested = three(Strategy::one_for_one);
  nested.children[1].shutdown = Infinity{};
  nested.children[2].shutdown = BrutalKill{};
  supervise(one(subtree("sub", nested)));
  const ActorRef b = actor("b");
  take_log();
  actors::kill(top);
  forget_handles();
  settle();
  EXPECT_THAT(take_log(), ElementsAre("exit killed", "gone c", "stop b"));
  tell(b, End{shutdown_exit});
  EXPECT_THAT(take_log(), ElementsAre("gone b", "stop a", "gone a"));
  EXPECT_EQ(exit_of("sub"), shutdown_exit);
}

// -- API and auto-shutdown ---------------------------------------------------

TEST_F(OtpActors, N37_TerminateKeepsTheSpecUnlessTemporaryAndSparesSiblings) {
  supervise({.strategy = Strategy::one_for_all,
             .auto_shutdown = AutoShutdown::any_significant,
             .children = {significant("a", Restart::transient),
                          significant("t", Restart::temporary), worker("c")}});
  take_log();
  EXPECT_EQ(code(TerminateChild{"a"}), ReplyCode::ok);
  EXPECT_EQ(code(TerminateChild{"t"}), ReplyCode::ok);
  EXPECT_THAT(take_log(), ElementsAre("stop a", "gone a", "stop t", "gone t"));
  EXPECT_THAT(child_ids(), ElementsAre("a", "c"));
  EXPECT_THAT(living(), ElementsAre("c"));
  EXPECT_EQ(exit_of("top"), std::nullopt);
}

TEST_F(OtpActors, N37_TerminateIsAnsweredWhenTheChildIsGone) {
  stage->deaf = {"a"};
  supervise(three(Strategy::one_for_one));
  EXPECT_EQ(code(TerminateChild{"a"}), std::nullopt);
  advance(4999ms);
  EXPECT_FALSE(received<ChildReply>().has_value());
  advance(1ms);
  EXPECT_EQ(received<ChildReply>()->code, ReplyCode::ok);
  EXPECT_THAT(living(), ElementsAre("b", "c"));
}

TEST_F(OtpActors, N37_TerminateCancelsAPendingRestart) {
  supervise({.children = {with_backoff(worker("a")), worker("b")}});
  crash("a");
  EXPECT_EQ(state("a"), ChildState::restarting);
  EXPECT_EQ(code(TerminateChild{"a"}), ReplyCode::ok);
  advance(1h);
  EXPECT_EQ(starts("a"), 1);
  EXPECT_EQ(state("a"), ChildState::stopped);
  EXPECT_EQ(code(TerminateChild{"nobody"}), ReplyCode::not_found);
}

TEST_F(OtpActors, N38_RestartAndDeleteNeedAStoppedChild) {
  supervise(
      {.children = {worker("a"), with_backoff(worker("b")), worker("c")}});
  crash("b");
  EXPECT_EQ(code(TerminateChild{"c"}), ReplyCode::ok);
  EXPECT_EQ(code(RestartChild{"a"}), ReplyCode::running);
  EXPECT_EQ(code(DeleteChild{"a"}), ReplyCode::running);
  EXPECT_EQ(code(RestartChild{"b"}), ReplyCode::restarting);
  EXPECT_EQ(code(DeleteChild{"b"}), ReplyCode::restarting);
  EXPECT_EQ(code(RestartChild{"x"}), ReplyCode::not_found);
  EXPECT_EQ(code(DeleteChild{"x"}), ReplyCode::not_found);
  EXPECT_EQ(code(DeleteChild{"c"}), ReplyCode::ok);
  EXPECT_EQ(code(RestartChild{"c"}), ReplyCode::not_found);
}

TEST_F(OtpActors, N38_IdThatIsTakenIsNotStartedAgain) {
  supervise(
      {.children = {worker("a"), with_backoff(worker("b")), worker("c")}});
  crash("b");
  EXPECT_EQ(code(TerminateChild{"c"}), ReplyCode::ok);
  take_log();
  EXPECT_EQ(code(StartChild{worker("a")}), ReplyCode::already_started);
  EXPECT_EQ(code(StartChild{worker("b")}), ReplyCode::already_present);
  EXPECT_EQ(code(StartChild{worker("c")}), ReplyCode::already_present);
  EXPECT_THAT(take_log(), IsEmpty());
  EXPECT_EQ(code(DeleteChild{"c"}), ReplyCode::ok);
  EXPECT_EQ(code(StartChild{worker("c")}), ReplyCode::ok);
  EXPECT_THAT(living(), ElementsAre("a", "c"));
}

TEST_F(OtpActors, N39_AnySignificantStopsAtTheFirstSignificantExit) {
  const SupervisorSpec spec{
      .name = "top",
      .auto_shutdown = AutoShutdown::any_significant,
      .children = {worker("a"), significant("b", Restart::transient),
                   significant("c", Restart::temporary)}};
  supervise(spec);
  take_log();
  end("b", clean_exit);
  EXPECT_THAT(take_log(), ElementsAre("gone b", "stop c", "gone c", "stop a",
                                      "gone a", "exit shutdown"));
  EXPECT_EQ(exit_of("top")->what, "significant child \"b\" ended");
  for (const ExitReason& reason : {clean_exit, custom_exit, killed_exit}) {
    supervise(spec);
    take_log();
    end("c", reason);
    EXPECT_THAT(take_log(), ElementsAre("gone c", "stop b", "gone b", "stop a",
                                        "gone a", "exit shutdown"));
  }
  supervise(spec);
  end("a", clean_exit);
  EXPECT_EQ(exit_of("top"), std::nullopt);
}

TEST_F(OtpActors, N39_AllSignificantStopsAtTheLastAndARestartingOneIsActive) {
  supervise({.intensity = 5,
             .auto_shutdown = AutoShutdown::all_significant,
             .children = {worker("a"),
                          with_backoff(significant("b", Restart::transient)),
                          significant("c", Restart::temporary)}});
  end("b", custom_exit);
  end("c", clean_exit);
  EXPECT_EQ(state("b"), ChildState::restarting);
  EXPECT_THAT(living(), ElementsAre("a"));
  advance(1s);
  EXPECT_THAT(living(), ElementsAre("a", "b"));
  end("b", clean_exit);
  EXPECT_EQ(exit_of("top")->kind, ExitKind::shutdown);
  EXPECT_THAT(living(), IsEmpty());
}

TEST_F(OtpActors, N40_AbnormalTransientSignificantExitRestartsInstead) {
  supervise({.intensity = 3,
             .auto_shutdown = AutoShutdown::any_significant,
             .children = {significant("a", Restart::transient)}});
  for (const ExitReason& reason : {custom_exit, killed_exit, boom})
    end("a", reason);
  EXPECT_EQ(exit_of("top"), std::nullopt);
  EXPECT_EQ(starts("a"), 4);
  EXPECT_THAT(living(), ElementsAre("a"));
}

TEST_F(OtpActors, N40_ExitsCausedByTheSupervisorNeverCount) {
  supervise({.strategy = Strategy::one_for_all,
             .auto_shutdown = AutoShutdown::any_significant,
             .children = {worker("a"), significant("b", Restart::transient),
                          significant("c", Restart::temporary)}});
  crash("a");
  EXPECT_EQ(exit_of("top"), std::nullopt);
  EXPECT_THAT(living(), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace troupe::supervisor
