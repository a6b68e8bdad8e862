// The contract with OTP, statement by statement (docs/design/supervision.md).
// N14 is the fourteenth statement.
#include "core_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using OnStart = CoreWorld::OnStart;
using OnStop = CoreWorld::OnStop;

const ExitReason clean_exit{};
const ExitReason shutdown_exit{ExitKind::shutdown, {}};
const ExitReason shutdown_with_text{ExitKind::shutdown, "out of work"};
const ExitReason custom_exit{ExitKind::custom, "no"};

SupervisorSpec one(ChildSpec spec, int intensity = 1, Duration period = 5s) {
  return {.name = "top",
          .intensity = intensity,
          .period = period,
          .children = {std::move(spec)}};
}

SupervisorSpec jobs(ChildSpec spec, int intensity = 10) {
  return {.name = "jobs",
          .strategy = Strategy::simple_one_for_one,
          .intensity = intensity,
          .children = {std::move(spec)}};
}

ChildSpec with_shutdown(ChildSpec spec, Shutdown shutdown) {
  spec.shutdown = shutdown;
  return spec;
}

ChildSpec significant(std::string id, Restart restart) {
  ChildSpec spec = child(std::move(id), restart);
  spec.significant = true;
  return spec;
}

ChildSpec subtree(std::string id, Restart restart = Restart::permanent) {
  ChildSpec spec = child(std::move(id), restart);
  spec.type = ChildType::supervisor;
  return spec;
}

std::string spec_refusal(const SupervisorSpec& spec) {
  const auto result = check(spec);
  return result ? "accepted" : result.error().what;
}

// -- Start -------------------------------------------------------------------

TEST(Otp, N01_StartReturnsOnlyAfterEachChildHasInListOrder) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_start["b"] = {OnStart::hang};
  world.start();
  EXPECT_THAT(world.take_log(), ElementsAre("start a", "start b"));
  EXPECT_FALSE(world.ready);
  world.finish_start("b");
  EXPECT_THAT(world.take_log(), ElementsAre("start c"));
  EXPECT_TRUE(world.ready);
}

TEST(Otp, N02_FailedStartStopsTheOthersInReverseAndNamesTheChild) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_start["c"] = {OnStart::fail};
  world.start();
  EXPECT_THAT(world.take_log(),
              ElementsAre("start a", "start b", "fail c", "stop b", "gone b",
                          "stop a", "gone a", "exit shutdown"));
  EXPECT_EQ(world.exited->what, "child \"c\" failed to start: no luck");
  EXPECT_FALSE(world.ready);
}

TEST(Otp, N03_IgnoringChildKeepsItsSpecUnlessItIsTemporary) {
  CoreWorld world{
      {.children = {child("a"), child("b", Restart::temporary), child("c")}}};
  world.on_start["a"] = {OnStart::ignore};
  world.on_start["b"] = {OnStart::ignore};
  world.start();
  EXPECT_TRUE(world.ready);
  EXPECT_THAT(world.child_ids(), ElementsAre("a", "c"));
  EXPECT_EQ(world.info("a")->state, ChildState::stopped);

  world.on_start["d"] = {OnStart::ignore};
  EXPECT_EQ(world.code(world.start_child(child("d", Restart::temporary))),
            ReplyCode::ignored);
  EXPECT_THAT(world.child_ids(), ElementsAre("a", "c"));
}

TEST(Otp, N04_DefaultsAreThoseOfOtp) {
  const SupervisorSpec supervisor;
  EXPECT_EQ(supervisor.strategy, Strategy::one_for_one);
  EXPECT_EQ(supervisor.intensity, 1);
  EXPECT_EQ(supervisor.period, Duration{5s});
  EXPECT_EQ(supervisor.auto_shutdown, AutoShutdown::never);
  const ChildSpec worker;
  EXPECT_EQ(worker.restart, Restart::permanent);
  EXPECT_EQ(worker.type, ChildType::worker);
  EXPECT_EQ(worker.effective_shutdown(), Shutdown{Duration{5s}});
  EXPECT_FALSE(worker.significant);
  EXPECT_EQ(subtree("s").effective_shutdown(), Shutdown{Infinity{}});
}

TEST(Otp, N05_SpecsThatMakeNoSenseAreRefused) {
  SupervisorSpec spec = three(Strategy::one_for_one);
  EXPECT_EQ(spec_refusal(spec), "accepted");
  spec.intensity = -1;
  EXPECT_EQ(spec_refusal(spec), "intensity must not be negative, got -1");
  spec.intensity = 0;
  spec.period = Duration{0};
  EXPECT_EQ(spec_refusal(spec), "period must be positive");
  spec.period = 1s;
  spec.children.push_back(child("b"));
  EXPECT_EQ(spec_refusal(spec), "child \"b\" is declared twice");
  spec.children.back() = child("");
  EXPECT_EQ(spec_refusal(spec), "a child has no id");
  spec.children.back() = {.id = "d"};
  EXPECT_EQ(spec_refusal(spec), "child \"d\": has no start function");

  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  const Ticket ticket = world.start_child({.id = "d"});
  EXPECT_EQ(world.code(ticket), ReplyCode::invalid_spec);
  EXPECT_EQ(world.replies[ticket].front().what,
            "child \"d\": has no start function");
  EXPECT_EQ(world.starts("d"), 0U);
}

TEST(Otp, N06_SignificantIsRefusedWhereItMeansNothing) {
  SupervisorSpec spec{.auto_shutdown = AutoShutdown::any_significant,
                      .children = {significant("a", Restart::permanent)}};
  EXPECT_EQ(spec_refusal(spec),
            "child \"a\": a permanent child cannot be "
            "significant");
  spec.children[0].restart = Restart::transient;
  EXPECT_EQ(spec_refusal(spec), "accepted");
  spec.auto_shutdown = AutoShutdown::never;
  EXPECT_EQ(spec_refusal(spec),
            "child \"a\": significant means nothing under "
            "auto-shutdown never");

  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  EXPECT_EQ(world.code(world.start_child(significant("d", Restart::transient))),
            ReplyCode::invalid_spec);
}

// -- Restart decision --------------------------------------------------------

TEST(Otp, N07_PermanentChildIsRestartedAfterAnyExit) {
  for (const ExitReason& reason :
       {clean_exit, shutdown_exit, shutdown_with_text, custom_exit,
        ExitReason{ExitKind::killed, {}},
        ExitReason{ExitKind::crashed, "boom"}}) {
    CoreWorld world{one(child("a"))};
    world.start().exit("a", reason);
    EXPECT_EQ(world.starts("a"), 2U) << describe(reason);
    EXPECT_TRUE(world.has("a"));
  }
}

TEST(Otp, N08_TransientChildIsRestartedUnlessItEndedCleanly) {
  for (const ExitReason& reason :
       {clean_exit, shutdown_exit, shutdown_with_text}) {
    CoreWorld world{one(child("a", Restart::transient))};
    world.start().exit("a", reason);
    EXPECT_EQ(world.starts("a"), 1U) << describe(reason);
  }
  for (const ExitReason& reason :
       {custom_exit, ExitReason{ExitKind::killed, {}},
        ExitReason{ExitKind::crashed, "boom"}}) {
    CoreWorld world{one(child("a", Restart::transient))};
    world.start().exit("a", reason);
    EXPECT_EQ(world.starts("a"), 2U) << describe(reason);
  }
}

TEST(Otp, N09_TemporaryChildIsNeverRestartedAndItsSpecDisappears) {
  CoreWorld world{{.strategy = Strategy::one_for_all,
                   .children = {child("a"), child("t", Restart::temporary),
                                child("u", Restart::temporary)}}};
  world.start().crash("t");
  EXPECT_THAT(world.child_ids(), ElementsAre("a", "u"));
  world.crash("a");
  EXPECT_THAT(world.child_ids(), ElementsAre("a"));
  EXPECT_EQ(world.starts("t"), 1U);
  EXPECT_EQ(world.starts("u"), 1U);
}

TEST(Otp, N10_ExitWithoutRestartLeavesTheSiblingsAlone) {
  for (const Strategy strategy :
       {Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one}) {
    SupervisorSpec spec = three(strategy);
    spec.children[0].restart = Restart::transient;
    spec.children[1].restart = Restart::temporary;
    CoreWorld world{spec};
    world.start().take_log();
    world.exit("a", clean_exit);
    world.crash("b");
    EXPECT_THAT(world.take_log(), ElementsAre("gone a", "gone b"));
    EXPECT_TRUE(world.has("c"));
  }
}

TEST(Otp, N11_TransientChildThatEndedCleanlyCanBeStartedByHand) {
  CoreWorld world{one(child("a", Restart::transient))};
  world.start().exit("a");
  EXPECT_EQ(world.info("a")->state, ChildState::stopped);
  EXPECT_EQ(world.code(world.restart_child("a")), ReplyCode::ok);
  EXPECT_TRUE(world.has("a"));

  CoreWorld simple{jobs(child("job", Restart::transient))};
  simple.start().start_dynamic();
  simple.exit("job1");
  EXPECT_THAT(simple.child_ids(), IsEmpty());
  EXPECT_THAT(simple.forgotten, ElementsAre(ChildKey{1}));
}

TEST(Otp, N12_NewsOfUnknownProcessesChangesNothing) {
  CoreWorld world{three(Strategy::one_for_all)};
  world.start();
  const std::uint64_t old = world.incarnation("a");
  world.crash("a");
  world.take_log();
  SupervisorCore& core = world.core();
  const ChildRef unknown{ChildKey{99}, 99};
  const ChildRef stale{world.info("a")->ref.key, old};
  for (const ChildRef ref : {unknown, stale, ChildRef{}}) {
    EXPECT_THAT(core.on_child_exited(ref, custom_exit, world.now()), IsEmpty());
    EXPECT_THAT(core.on_child_started(ref, world.now()), IsEmpty());
    EXPECT_THAT(core.on_child_ignored(ref, world.now()), IsEmpty());
    EXPECT_THAT(core.on_child_start_failed(ref, "x", world.now()), IsEmpty());
    EXPECT_THAT(core.on_timer({ref.key, 77}, world.now()), IsEmpty());
  }
  EXPECT_THAT(core.on_child_started(world.info("a")->ref, world.now()),
              IsEmpty());
  EXPECT_EQ(core.count_children().active, 3U);
}

// -- Strategies --------------------------------------------------------------

TEST(Otp, N13_OneForOneKeepsTheIdentityOfTheSiblings) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  const auto a = world.incarnation("a");
  const auto b = world.incarnation("b");
  const auto c = world.incarnation("c");
  world.take_log();
  world.crash("b");
  EXPECT_THAT(world.take_log(), ElementsAre("gone b", "start b"));
  EXPECT_EQ(world.incarnation("a"), a);
  EXPECT_NE(world.incarnation("b"), b);
  EXPECT_EQ(world.incarnation("c"), c);
}

TEST(Otp, N14_OneForAllStopsOthersInReverse) {
  CoreWorld world{three(Strategy::one_for_all)};
  world.start().take_log();
  world.crash("b");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone b", "stop c", "gone c", "stop a", "gone a",
                          "start a", "start b", "start c"));
}

TEST(Otp, N15_RestForOneRestartsOnlyLaterChildren) {
  CoreWorld world{three(Strategy::rest_for_one)};
  world.start();
  const auto a = world.incarnation("a");
  world.take_log();
  world.crash("b");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone b", "stop c", "gone c", "start b", "start c"));
  EXPECT_EQ(world.incarnation("a"), a);
}

TEST(Otp, N16_GroupRestartAlsoStartsStoppedSiblingsInScope) {
  for (const Strategy strategy :
       {Strategy::one_for_all, Strategy::rest_for_one}) {
    SupervisorSpec spec = three(strategy);
    spec.children[1].restart = Restart::transient;
    CoreWorld world{spec};
    world.start().exit("b", clean_exit);
    EXPECT_EQ(world.code(world.terminate_child("c")), ReplyCode::ok);
    world.take_log();
    world.crash("a");
    EXPECT_THAT(world.take_log(),
                ElementsAre("gone a", "start a", "start b", "start c"));
  }
}

TEST(Otp, N17_RestForOneContinuesFromTheSiblingThatFailed) {
  CoreWorld world{three(Strategy::rest_for_one)};
  world.start().take_log();
  world.on_start["b"] = {OnStart::fail};
  world.crash("a");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone a", "stop c", "gone c", "stop b", "gone b",
                          "start a", "fail b"));
  world.retry();
  EXPECT_THAT(world.take_log(), ElementsAre("start b", "start c"));
}

TEST(Otp, N17_OneForAllBeginsAgainWhenASiblingFailed) {
  CoreWorld world{three(Strategy::one_for_all)};
  world.start().take_log();
  world.on_start["b"] = {OnStart::fail};
  world.crash("c");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone c", "stop b", "gone b", "stop a", "gone a",
                          "start a", "fail b"));
  world.retry();
  EXPECT_THAT(world.take_log(),
              ElementsAre("stop a", "gone a", "start a", "start b", "start c"));
}

TEST(Otp, N18_AddedChildrenComeLast) {
  CoreWorld world{three(Strategy::one_for_all)};
  world.start();
  EXPECT_EQ(world.code(world.start_child(child("0"))), ReplyCode::ok);
  world.take_log();
  world.crash("b");
  EXPECT_THAT(
      world.take_log(),
      ElementsAre("gone b", "stop 0", "gone 0", "stop c", "gone c", "stop a",
                  "gone a", "start a", "start b", "start c", "start 0"));
}

TEST(Otp, N19_SimpleOneForOneStartsNothingAndRefusesIds) {
  CoreWorld world{jobs(child("job"))};
  world.start();
  EXPECT_TRUE(world.ready);
  EXPECT_THAT(world.take_log(), IsEmpty());
  EXPECT_EQ(world.code(world.start_dynamic()), ReplyCode::ok);
  EXPECT_EQ(world.code(world.start_dynamic()), ReplyCode::ok);
  EXPECT_THAT(world.take_log(), ElementsAre("start job1", "start job2"));
  EXPECT_EQ(world.code(world.start_child(child("x"))), ReplyCode::unsupported);
  EXPECT_EQ(world.code(world.terminate_child("job")), ReplyCode::unsupported);
  EXPECT_EQ(world.code(world.restart_child("job")), ReplyCode::unsupported);
  EXPECT_EQ(world.code(world.delete_child("job")), ReplyCode::unsupported);
  EXPECT_EQ(world.code(world.terminate_dynamic(ChildKey{1})), ReplyCode::ok);
  EXPECT_THAT(world.take_log(), ElementsAre("stop job1", "gone job1"));
  EXPECT_EQ(world.code(world.terminate_dynamic(ChildKey{1})),
            ReplyCode::not_found);
}

// -- Intensity ---------------------------------------------------------------

TEST(Otp, N20_IntensityRestartsAreAllowedAndTheNextGivesUp) {
  CoreWorld world{one(child("a"), /*intensity=*/3)};
  world.start();
  for (int i = 0; i < 3; ++i)
    world.crash("a");
  EXPECT_EQ(world.exited, std::nullopt);
  world.crash("a");
  EXPECT_EQ(world.starts("a"), 4U);
  EXPECT_EQ(world.exited->kind, ExitKind::shutdown);
  EXPECT_EQ(world.exited->what,
            "child \"a\" needed more than 3 restarts in 5s: crashed: boom");
}

TEST(Otp, N20_ZeroIntensityGivesUpAtTheFirst) {
  CoreWorld world{one(child("a"), /*intensity=*/0)};
  world.start().crash("a");
  EXPECT_EQ(world.starts("a"), 1U);
  EXPECT_TRUE(world.exited.has_value());
}

TEST(Otp, N21_OneCounterForAllChildrenAndAGroupCountsOnce) {
  CoreWorld world{three(Strategy::one_for_one, /*intensity=*/2)};
  world.start();
  world.crash("a");
  world.crash("b");
  EXPECT_EQ(world.exited, std::nullopt);
  world.crash("c");
  EXPECT_TRUE(world.exited.has_value());

  CoreWorld group{three(Strategy::one_for_all, /*intensity=*/2)};
  group.start();
  group.crash("a");
  group.crash("b");
  EXPECT_EQ(group.exited, std::nullopt);
  EXPECT_EQ(group.starts("c"), 3U);
  group.crash("c");
  EXPECT_TRUE(group.exited.has_value());
}

TEST(Otp, N22_FailedAttemptCountsAndIsRetriedWithoutDelay) {
  CoreWorld world{one(child("a"), /*intensity=*/3)};
  world.start();
  world.on_start["a"] = {OnStart::fail, OnStart::fail};
  world.crash("a");
  world.retry();
  EXPECT_TRUE(world.has("a"));
  EXPECT_EQ(world.starts("a"), 4U);
  world.crash("a");  // the fourth restart within the period
  EXPECT_TRUE(world.exited.has_value());
  EXPECT_EQ(world.starts("a"), 4U);
}

TEST(Otp, N23_RequestsAreServedBetweenAttempts) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  world.on_start["a"] = {OnStart::fail, OnStart::fail};
  world.crash("a");
  EXPECT_EQ(world.info("a")->state, ChildState::restarting);
  EXPECT_EQ(world.code(world.start_child(child("d"))), ReplyCode::ok);
  world.take_log();
  world.shutdown();
  EXPECT_THAT(world.take_log(),
              ElementsAre("stop d", "gone d", "stop c", "gone c", "stop b",
                          "gone b", "exit shutdown"));
  world.retry();
  EXPECT_THAT(world.take_log(), IsEmpty());
}

TEST(Otp, N24_WindowSlidesWithInclusiveEdgeAndSuccessDoesNotClearIt) {
  CoreWorld at_the_edge{one(child("a"), /*intensity=*/1, 5s)};
  at_the_edge.start().crash("a");
  at_the_edge.advance(5s);
  at_the_edge.crash("a");
  EXPECT_TRUE(at_the_edge.exited.has_value());

  CoreWorld beyond{one(child("a"), /*intensity=*/1, 5s)};
  beyond.start().crash("a");
  beyond.advance(5s + 1ns);
  beyond.crash("a");
  EXPECT_EQ(beyond.exited, std::nullopt);
  beyond.advance(5s);
  beyond.crash("a");
  EXPECT_TRUE(beyond.exited.has_value());
}

TEST(Otp, N25_ManualStartsAndRestartsDoNotCount) {
  CoreWorld world{one(child("a"), /*intensity=*/1)};
  world.start();
  for (int i = 0; i < 5; ++i) {
    world.terminate_child("a");
    EXPECT_EQ(world.code(world.restart_child("a")), ReplyCode::ok);
  }
  world.crash("a");
  EXPECT_EQ(world.exited, std::nullopt);
  EXPECT_TRUE(world.has("a"));
}

// -- Escalation --------------------------------------------------------------

TEST(Otp, N26_GivingUpReportsThenStopsTheRestThenExits) {
  CoreWorld world{three(Strategy::one_for_one, /*intensity=*/0)};
  world.start().take_log();
  world.crash("b");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone b", "gave_up b", "stop c", "gone c", "stop a",
                          "gone a", "exit shutdown"));
  EXPECT_EQ(world.reports.back(), (Report{.kind = ReportKind::gave_up,
                                          .supervisor = "top",
                                          .child = "b",
                                          .key = ChildKey{2},
                                          .reason = {ExitKind::crashed, "boom"},
                                          .restarts = 0}));
}

TEST(Otp, N26_ParentActsOnlyAfterTheChildrenOfTheOneThatGaveUpAreGone) {
  CoreWorld world{one(subtree("sub"))};
  world.nested["sub"] = three(Strategy::one_for_one, /*intensity=*/0);
  world.start().take_log();
  world.crash("b");
  EXPECT_THAT(
      world.take_log(),
      ElementsAre("gone b", "gave_up b", "stop c", "gone c", "stop a", "gone a",
                  "gone sub", "start sub", "start a", "start b", "start c"));
}

TEST(Otp, N27_PermanentSubSupervisorIsRestartedATransientOneIsNot) {
  CoreWorld permanent{one(subtree("sub"), /*intensity=*/1)};
  permanent.nested["sub"] = one(child("w"), /*intensity=*/0);
  permanent.start().crash("w");
  EXPECT_EQ(permanent.starts("sub"), 2U);
  permanent.crash("w");  // charged to the parent, which gives up as well
  EXPECT_TRUE(permanent.exited.has_value());

  CoreWorld transient{one(subtree("sub", Restart::transient))};
  transient.nested["sub"] = one(child("w"), /*intensity=*/0);
  transient.start().crash("w");
  EXPECT_EQ(transient.starts("sub"), 1U);
  EXPECT_EQ(transient.info("sub")->state, ChildState::stopped);
  EXPECT_EQ(transient.exited, std::nullopt);
}

TEST(Otp, N28_TwoLevelsMultiplyTheirBudgets) {
  for (const int outer : {0, 1, 3}) {
    for (const int inner : {0, 2, 4}) {
      CoreWorld world{one(subtree("sub"), outer)};
      world.nested["sub"] = one(child("w"), inner);
      world.crash_loop["w"] = true;
      world.start();
      EXPECT_EQ(world.starts("w"),
                static_cast<std::size_t>((outer + 1) * (inner + 1)));
      EXPECT_TRUE(world.exited.has_value());
    }
  }
}

TEST(Otp, N29_RestartedSubSupervisorHasItsStaticChildrenAndNoOthers) {
  CoreWorld world{one(subtree("sub"))};
  world.nested["sub"] = three(Strategy::one_for_one, /*intensity=*/0);
  world.start();
  SupervisorCore& sub = world.core_of("sub");
  world.perform_on("sub", sub.start_child(child("d"), Ticket{91}, world.now()));
  world.perform_on("sub", sub.terminate_child("a", Ticket{92}, world.now()));
  world.perform_on("sub", sub.delete_child("a", Ticket{93}, world.now()));
  EXPECT_FALSE(world.has("a"));
  EXPECT_TRUE(world.has("d"));
  world.crash("b");
  EXPECT_TRUE(world.has("a"));
  EXPECT_TRUE(world.has("b"));
  EXPECT_FALSE(world.has("d"));
}

// -- Shutdown ----------------------------------------------------------------

TEST(Otp, N30_ChildrenStopOneAtATimeInReverseAndEachIsAwaited) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["b"] = OnStop::ignore;
  world.start().take_log();
  world.shutdown();
  EXPECT_THAT(world.take_log(), ElementsAre("stop c", "gone c", "stop b"));
  world.exit("b", shutdown_exit);
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone b", "stop a", "gone a", "exit shutdown"));
}

TEST(Otp, N31_IntegerShutdownStopsPolitelyThenKillsWhenTheTimeIsUp) {
  CoreWorld world{one(with_shutdown(child("a"), Duration{200ms}))};
  world.on_stop["a"] = OnStop::ignore;
  world.start().take_log();
  world.shutdown();
  world.advance(199ms);
  EXPECT_THAT(world.take_log(), ElementsAre("stop a"));
  world.advance(1ms);
  EXPECT_THAT(world.take_log(),
              ElementsAre("kill a", "gone a", "exit shutdown"));
  EXPECT_EQ(world.reports.back().kind, ReportKind::shutdown_error);
}

TEST(Otp, N31_BrutalKillDoesNotAskAndIsNoError) {
  CoreWorld world{one(with_shutdown(child("a"), BrutalKill{}))};
  world.start().take_log();
  world.shutdown();
  EXPECT_THAT(world.take_log(),
              ElementsAre("kill a", "gone a", "exit shutdown"));
  EXPECT_EQ(world.reports.back().kind, ReportKind::started);
}

TEST(Otp, N31_InfinityWaits) {
  CoreWorld world{one(with_shutdown(child("a"), Infinity{}))};
  world.on_stop["a"] = OnStop::ignore;
  world.start().take_log();
  world.shutdown();
  world.advance(24h);
  EXPECT_THAT(world.take_log(), ElementsAre("stop a"));
  world.exit("a", shutdown_exit);
  EXPECT_TRUE(world.exited.has_value());
}

TEST(Otp, N32_ExitIsAwaitedWhateverTheChildHasDoneToItsTies) {
  // The core knows no ties that a child could cut: it goes on only after the
  // exit of exactly the incarnation that it told to stop.
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["c"] = OnStop::ignore;
  world.start().take_log();
  const ChildRef c = world.info("c")->ref;
  world.shutdown();
  EXPECT_THAT(world.core().on_child_exited({c.key, c.incarnation + 1},
                                           shutdown_exit, world.now()),
              IsEmpty());
  EXPECT_THAT(world.take_log(), ElementsAre("stop c"));
  world.advance(5s);
  EXPECT_THAT(world.take_log(),
              ElementsAre("kill c", "gone c", "stop b", "gone b", "stop a",
                          "gone a", "exit shutdown"));
}

TEST(Otp, N33_ChildCountsAsActiveUntilItIsDead) {
  // What the shell ends when it crashes itself is what counts as active.
  CoreWorld world{one(child("a"))};
  world.on_stop["a"] = OnStop::ignore;
  world.start().shutdown();
  EXPECT_EQ(world.core().count_children().active, 1U);
  EXPECT_EQ(world.info("a")->state, ChildState::stopping);
  world.exit("a", shutdown_exit);
  EXPECT_EQ(world.core().count_children().active, 0U);
}

TEST(Otp, N34_SimpleOneForOneSignalsAllAtOnceWithOneTimer) {
  CoreWorld world{jobs(with_shutdown(child("job"), Duration{1s}))};
  world.start();
  for (int i = 0; i < 3; ++i)
    world.start_dynamic();
  world.on_stop["job1"] = OnStop::ignore;
  world.on_stop["job3"] = OnStop::ignore;
  world.take_log();
  world.shutdown();
  EXPECT_THAT(world.take_log(),
              ElementsAre("stop job1", "stop job2", "stop job3", "gone job2"));
  world.advance(999ms);
  EXPECT_THAT(world.take_log(), IsEmpty());
  world.advance(1ms);
  EXPECT_THAT(world.take_log(),
              ElementsAre("kill job1", "kill job3", "gone job1", "gone job3",
                          "exit shutdown"));
}

TEST(Otp, N35_UnexpectedReasonDuringStopIsReportedAndBlocksNothing) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["c"] = OnStop::fail;
  world.start().shutdown();
  EXPECT_EQ(world.reports.back(),
            (Report{.kind = ReportKind::shutdown_error,
                    .supervisor = "top",
                    .child = "c",
                    .key = ChildKey{3},
                    .reason = {ExitKind::crashed, "while stopping"},
                    .restarts = 0}));
  EXPECT_TRUE(world.exited.has_value());
  EXPECT_EQ(world.processes(), 0U);
}

TEST(Otp, N36_SupervisorStopsItsChildrenTheSameWayWhenItsParentGoes) {
  CoreWorld world{{.children = {child("x"), subtree("sub"), child("y")}}};
  world.nested["sub"] = three(Strategy::one_for_one);
  world.start().take_log();
  world.shutdown();
  EXPECT_THAT(world.take_log(),
              ElementsAre("stop y", "gone y", "stop sub", "stop c", "gone c",
                          "stop b", "gone b", "stop a", "gone a", "gone sub",
                          "stop x", "gone x", "exit shutdown"));
}

// -- API and auto-shutdown ---------------------------------------------------

TEST(Otp, N37_TerminateKeepsTheSpecUnlessTemporaryAndSparesSiblings) {
  SupervisorSpec spec{
      .strategy = Strategy::one_for_all,
      .auto_shutdown = AutoShutdown::any_significant,
      .children = {significant("a", Restart::transient),
                   significant("t", Restart::temporary), child("c")}};
  CoreWorld world{spec};
  world.start().take_log();
  EXPECT_EQ(world.code(world.terminate_child("a")), ReplyCode::ok);
  EXPECT_EQ(world.code(world.terminate_child("t")), ReplyCode::ok);
  EXPECT_THAT(world.take_log(),
              ElementsAre("stop a", "gone a", "stop t", "gone t"));
  EXPECT_THAT(world.child_ids(), ElementsAre("a", "c"));
  EXPECT_EQ(world.exited, std::nullopt);
}

TEST(Otp, N37_TerminateCancelsAPendingRestart) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  world.on_start["a"] = {OnStart::fail};
  world.crash("a");
  EXPECT_EQ(world.code(world.terminate_child("a")), ReplyCode::ok);
  world.take_log();
  world.retry();
  EXPECT_THAT(world.take_log(), IsEmpty());
  EXPECT_EQ(world.info("a")->state, ChildState::stopped);
  EXPECT_EQ(world.code(world.terminate_child("nobody")), ReplyCode::not_found);
}

TEST(Otp, N38_RestartAndDeleteNeedAStoppedChild) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  world.on_start["b"] = {OnStart::fail};
  world.crash("b");
  world.terminate_child("c");
  EXPECT_EQ(world.code(world.restart_child("a")), ReplyCode::running);
  EXPECT_EQ(world.code(world.delete_child("a")), ReplyCode::running);
  EXPECT_EQ(world.code(world.restart_child("b")), ReplyCode::restarting);
  EXPECT_EQ(world.code(world.delete_child("b")), ReplyCode::restarting);
  EXPECT_EQ(world.code(world.restart_child("x")), ReplyCode::not_found);
  EXPECT_EQ(world.code(world.delete_child("x")), ReplyCode::not_found);
  EXPECT_EQ(world.code(world.start_child(child("a"))),
            ReplyCode::already_started);
  EXPECT_EQ(world.code(world.start_child(child("b"))),
            ReplyCode::already_present);
  EXPECT_EQ(world.code(world.start_child(child("c"))),
            ReplyCode::already_present);
  EXPECT_EQ(world.code(world.delete_child("c")), ReplyCode::ok);
  EXPECT_EQ(world.code(world.start_child(child("c"))), ReplyCode::ok);
}

TEST(Otp, N39_AnySignificantStopsAtTheFirstSignificantExit) {
  SupervisorSpec spec{
      .auto_shutdown = AutoShutdown::any_significant,
      .children = {child("a"), significant("b", Restart::transient),
                   significant("c", Restart::temporary)}};
  CoreWorld clean_transient{spec};
  clean_transient.start().exit("b", clean_exit);
  EXPECT_EQ(clean_transient.exited->kind, ExitKind::shutdown);
  EXPECT_EQ(clean_transient.processes(), 0U);

  for (const ExitReason& reason : {clean_exit, custom_exit}) {
    CoreWorld temporary{spec};
    temporary.start().exit("c", reason);
    EXPECT_EQ(temporary.exited->kind, ExitKind::shutdown) << describe(reason);
  }
  CoreWorld insignificant{spec};
  insignificant.start().exit("a", clean_exit);
  EXPECT_EQ(insignificant.exited, std::nullopt);
}

TEST(Otp, N39_AllSignificantStopsAtTheLastAndARestartingOneIsActive) {
  SupervisorSpec spec{
      .intensity = 5,
      .auto_shutdown = AutoShutdown::all_significant,
      .children = {child("a"), significant("b", Restart::transient),
                   significant("c", Restart::temporary)}};
  CoreWorld world{spec};
  world.start();
  world.on_start["b"] = {OnStart::fail};
  world.exit("b", custom_exit);
  world.exit("c", clean_exit);
  EXPECT_EQ(world.info("b")->state, ChildState::restarting);
  EXPECT_EQ(world.exited, std::nullopt);
  world.retry();
  world.exit("b", clean_exit);
  EXPECT_EQ(world.exited->kind, ExitKind::shutdown);
}

TEST(Otp, N39_ChildThatIsBeingStoppedIsNoLongerActive) {
  SupervisorSpec spec = jobs(significant("job", Restart::transient));
  spec.auto_shutdown = AutoShutdown::all_significant;
  CoreWorld world{spec};
  world.start().start_dynamic();
  world.start_dynamic();
  world.on_stop["job1"] = OnStop::ignore;
  world.terminate_dynamic(ChildKey{1});
  world.exit("job2", clean_exit);
  EXPECT_EQ(world.reports.back().kind, ReportKind::auto_shutdown);
  world.exit("job1", shutdown_exit);
  EXPECT_TRUE(world.exited.has_value());
  EXPECT_EQ(world.processes(), 0U);
}

TEST(Otp, N40_AbnormalTransientSignificantExitRestartsInstead) {
  CoreWorld world{{.auto_shutdown = AutoShutdown::any_significant,
                   .children = {significant("a", Restart::transient)}}};
  world.start().exit("a", custom_exit);
  EXPECT_EQ(world.exited, std::nullopt);
  EXPECT_EQ(world.starts("a"), 2U);
}

TEST(Otp, N40_ExitsCausedByTheSupervisorNeverCount) {
  CoreWorld world{
      {.strategy = Strategy::one_for_all,
       .auto_shutdown = AutoShutdown::any_significant,
       .children = {child("a"), significant("b", Restart::transient),
                    significant("c", Restart::temporary)}}};
  world.start().crash("a");
  EXPECT_EQ(world.exited, std::nullopt);
  EXPECT_TRUE(world.has("b"));
  EXPECT_FALSE(world.has("c"));
}

}  // namespace
}  // namespace troupe::supervisor
