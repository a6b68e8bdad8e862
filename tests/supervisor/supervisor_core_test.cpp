// What the core does beyond the contract with OTP: back-off, bounds, news that
// arrives at the wrong moment.
#include "core_world.hpp"

#include <troupe/supervisor/supervisor_core.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using OnStart = CoreWorld::OnStart;
using OnStop = CoreWorld::OnStop;

ChildSpec patient_child(std::string id) {
  ChildSpec spec = child(std::move(id));
  spec.backoff = Backoff{
      .min = 100ms, .max = 1s, .factor = 3, .jitter = 0, .reset_after = 10s};
  return spec;
}

// -- Back-off ----------------------------------------------------------------

TEST(SupervisorBackoff, WaitsLongerBeforeEachRestartUpToTheMaximum) {
  CoreWorld world{{.intensity = 10, .children = {patient_child("a")}}};
  world.start();
  for (const Duration delay : {100ms, 300ms, 900ms, 1000ms, 1000ms}) {
    world.crash("a");
    world.advance(delay - 1ns);
    EXPECT_FALSE(world.has("a"));
    world.advance(1ns);
    EXPECT_TRUE(world.has("a"));
  }
}

TEST(SupervisorBackoff, StartsAgainFromTheMinimumAfterEnoughTimeUp) {
  CoreWorld world{{.intensity = 10, .children = {patient_child("a")}}};
  world.start().crash("a");
  world.advance(100ms);
  world.advance(10s);
  world.crash("a");
  world.advance(100ms);
  EXPECT_TRUE(world.has("a"));
  world.advance(10s - 1ns);
  world.crash("a");
  world.advance(100ms);
  EXPECT_FALSE(world.has("a"));
  world.advance(200ms);
  EXPECT_TRUE(world.has("a"));
}

TEST(SupervisorBackoff, WaitingChildCountsAsRestartingAndShowsItsNextStart) {
  CoreWorld world{{.intensity = 10, .children = {patient_child("a")}}};
  world.start().crash("a");
  EXPECT_EQ(world.info("a")->state, ChildState::restarting);
  EXPECT_EQ(world.info("a")->next_start, world.now() + 100ms);
  EXPECT_EQ(world.code(world.restart_child("a")), ReplyCode::restarting);
  EXPECT_EQ(world.code(world.terminate_child("a")), ReplyCode::ok);
  world.advance(1h);
  EXPECT_FALSE(world.has("a"));
  EXPECT_EQ(world.info("a")->next_start, std::nullopt);
}

TEST(SupervisorBackoff, CountsARestartWhenItIsDecidedAndOnlyOnce) {
  CoreWorld world{
      {.intensity = 2, .period = 1h, .children = {patient_child("a")}}};
  world.start();
  world.on_start["a"] = {OnStart::fail};
  world.crash("a");
  world.advance(100ms);
  world.advance(300ms);
  EXPECT_TRUE(world.has("a"));
  EXPECT_EQ(world.exited, std::nullopt);
  world.crash("a");
  EXPECT_TRUE(world.exited.has_value());
}

TEST(SupervisorBackoff, JitterStaysWithinItsShare) {
  const Backoff backoff{.min = 1s, .max = 1s, .factor = 1, .jitter = 0.25};
  Random random{42};
  Duration least = 1h;
  Duration most{0};
  for (int i = 0; i < 1000; ++i) {
    const Duration delay = backoff_delay(backoff, 0, random);
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  EXPECT_GE(least, 750ms);
  EXPECT_LT(least, 760ms);
  EXPECT_LE(most, 1250ms);
  EXPECT_GT(most, 1240ms);
}

TEST(SupervisorBackoff, HugeStepsStayAtTheMaximum) {
  Random random{1};
  EXPECT_EQ(backoff_delay({.min = 1s, .max = 30s, .factor = 2, .jitter = 0},
                          1'000'000, random),
            Duration{30s});
}

TEST(SupervisorBackoff, SettingsThatMakeNoSenseAreRefused) {
  const auto refusal = [](Backoff backoff) {
    ChildSpec spec = child("a");
    spec.backoff = backoff;
    const auto result = check(spec, AutoShutdown::never);
    return result ? "accepted" : result.error().what;
  };
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_EQ(refusal({.min = Duration{0}}),
            "child \"a\": backoff min must be positive");
  EXPECT_EQ(refusal({.min = 2s, .max = 1s}),
            "child \"a\": backoff max must not be below min");
  EXPECT_EQ(refusal({.factor = 0.5}),
            "child \"a\": backoff factor must be at least 1");
  EXPECT_EQ(refusal({.jitter = 1.5}),
            "child \"a\": backoff jitter must be from 0 to 1");
  EXPECT_EQ(refusal({.reset_after = -1s}),
            "child \"a\": backoff reset-after must not be negative");
}

// -- Bounds ------------------------------------------------------------------

TEST(SupervisorCore, RequestsWaitForASlowStopAndTooManyAreRefused) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["a"] = OnStop::ignore;
  world.start();
  const Ticket slow = world.terminate_child("a");
  std::vector<Ticket> waiting;
  for (std::size_t i = 0; i < SupervisorCore::max_waiting_requests; ++i)
    waiting.push_back(world.restart_child("b"));
  EXPECT_EQ(world.code(world.restart_child("b")), ReplyCode::overloaded);
  EXPECT_EQ(world.code(slow), std::nullopt);
  EXPECT_EQ(world.code(waiting.front()), std::nullopt);
  world.exit("a", {ExitKind::shutdown, {}});
  EXPECT_EQ(world.code(slow), ReplyCode::ok);
  for (const Ticket ticket : waiting)
    ASSERT_EQ(world.code(ticket), ReplyCode::running);
  EXPECT_EQ(world.code(world.restart_child("a")), ReplyCode::ok);
  world.terminate_child("a");
  EXPECT_EQ(world.code(world.restart_child("b")), std::nullopt);  // room again
}

TEST(SupervisorCore, ShutdownAnswersEverybodyWhoWaits) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["a"] = OnStop::ignore;
  world.start();
  const Ticket slow = world.terminate_child("a");
  const Ticket waiting = world.start_child(child("d"));
  world.take_log();
  world.shutdown();
  EXPECT_EQ(world.code(waiting), ReplyCode::shutting_down);
  EXPECT_THAT(world.take_log(), IsEmpty());  // first the stop that goes on
  world.exit("a", {ExitKind::shutdown, {}});
  EXPECT_EQ(world.code(slow), ReplyCode::ok);
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone a", "stop c", "gone c", "stop b", "gone b",
                          "exit shutdown"));
  EXPECT_EQ(world.code(world.start_child(child("e"))),
            ReplyCode::shutting_down);
}

// -- News at the wrong moment ------------------------------------------------

TEST(SupervisorCore, ExampleOfTheDesignPageHoldsTrue) {
  SupervisorSpec spec = three(Strategy::one_for_all);
  spec.intensity = 1;
  CoreWorld world{spec};
  world.start().take_log();
  world.on_start["c"] = {OnStart::fail};
  world.crash("b");
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone b", "stop c", "gone c", "stop a", "gone a",
                          "start a", "start b", "fail c"));
  world.retry();
  EXPECT_THAT(world.take_log(),
              ElementsAre("gave_up c", "stop b", "gone b", "stop a", "gone a",
                          "exit shutdown"));
}

TEST(SupervisorCore, SecondCrashDuringAGroupRestartIsNotChargedAgain) {
  SupervisorSpec spec = three(Strategy::one_for_all);
  spec.intensity = 1;
  CoreWorld world{spec};
  world.start().take_log();
  world.crash_together("a", "c");
  EXPECT_EQ(world.exited, std::nullopt);
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone a", "stop c", "gone c", "stop b", "gone b",
                          "start a", "start b", "start c"));
}

TEST(SupervisorCore, CrashOfABystanderDuringAStopWaitsForItsTurn) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["a"] = OnStop::ignore;
  world.start();
  world.terminate_child("a");
  world.take_log();
  world.crash("b");
  EXPECT_THAT(world.take_log(), ElementsAre("gone b"));
  world.exit("a", {ExitKind::shutdown, {}});
  EXPECT_THAT(world.take_log(), ElementsAre("gone a", "start b"));
}

TEST(SupervisorCore, TimerOfAnEarlierWaitDoesNotKillTooEarly) {
  CoreWorld world{{.intensity = 10, .children = {patient_child("a")}}};
  world.start().crash("a");
  world.terminate_child("a");
  world.restart_child("a");
  world.on_stop["a"] = OnStop::ignore;
  world.terminate_child("a");
  world.take_log();
  world.advance(5s - 1ns);  // the back-off would have ended after 100 ms
  EXPECT_THAT(world.take_log(), IsEmpty());
  world.advance(1ns);
  EXPECT_THAT(world.take_log(), ElementsAre("kill a", "gone a"));
}

TEST(SupervisorCore, AddedChildKeepsItsSpecWhenALaterManualStartFails) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.start().start_child(child("d"));
  world.terminate_child("d");
  world.on_start["d"] = {OnStart::fail};
  EXPECT_EQ(world.code(world.restart_child("d")), ReplyCode::start_failed);
  EXPECT_EQ(world.info("d")->state, ChildState::stopped);

  world.on_start["e"] = {OnStart::ignore};
  world.start_child(child("e"));
  world.on_start["e"] = {OnStart::fail};
  world.restart_child("e");
  EXPECT_EQ(world.info("e")->state, ChildState::stopped);
}

TEST(SupervisorCore, TimerOfAnEarlierWaitDoesNotEndAnInfiniteOne) {
  SupervisorSpec spec{.intensity = 10, .children = {patient_child("a")}};
  spec.children[0].shutdown = Infinity{};
  CoreWorld world{spec};
  world.start().crash("a");
  world.terminate_child("a");
  world.restart_child("a");
  world.on_stop["a"] = OnStop::ignore;
  world.terminate_child("a");
  world.take_log();
  world.advance(1h);
  EXPECT_THAT(world.take_log(), IsEmpty());
}

TEST(SupervisorCore, RetryThatComesUpDuringASlowStopWaitsForItsTurn) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  world.on_start["a"] = {OnStart::fail};
  world.crash("a");
  world.on_stop["b"] = OnStop::ignore;
  world.terminate_child("b");
  world.take_log();
  world.retry();
  EXPECT_THAT(world.take_log(), IsEmpty());
  world.exit("b", {ExitKind::shutdown, {}});
  EXPECT_THAT(world.take_log(), ElementsAre("gone b", "start a"));
}

TEST(SupervisorCore, TerminateThatWaitedFindsTheChildCrashedMeanwhile) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["a"] = OnStop::ignore;
  world.start().terminate_child("a");
  const Ticket ticket = world.terminate_child("b");
  world.crash("b");
  world.take_log();
  world.exit("a", {ExitKind::shutdown, {}});
  EXPECT_EQ(world.code(ticket), ReplyCode::ok);
  EXPECT_THAT(world.take_log(), ElementsAre("gone a"));
  EXPECT_EQ(world.info("b")->state, ChildState::stopped);
  EXPECT_EQ(world.reports.back().kind, ReportKind::shutdown_error);
}

TEST(SupervisorCore, RestartThatFailsDuringAShutdownDoesNotHoldItUp) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_stop["c"] = OnStop::ignore;
  world.start();
  world.on_start["a"] = {OnStart::hang};
  world.crash("a");
  world.shutdown();
  world.crash("a");
  world.take_log();
  world.exit("c", {ExitKind::shutdown, {}});
  EXPECT_THAT(world.take_log(),
              ElementsAre("gone c", "stop b", "gone b", "exit shutdown"));
}

TEST(SupervisorCore, ChildThatDiesBeforeItsStartReturnsHasFailedToStart) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.start();
  world.on_start["d"] = {OnStart::hang};
  const Ticket ticket = world.start_child(child("d"));
  EXPECT_EQ(world.code(ticket), std::nullopt);
  world.crash("d");
  EXPECT_EQ(world.code(ticket), ReplyCode::start_failed);
  EXPECT_EQ(world.replies[ticket].front().what, "crashed: boom");
  EXPECT_THAT(world.child_ids(), ElementsAre("a", "b", "c"));
}

TEST(SupervisorCore, ShutdownStopsAChildThatIsStillStarting) {
  CoreWorld world{three(Strategy::one_for_one)};
  world.on_start["b"] = {OnStart::hang};
  world.start().take_log();
  world.shutdown();
  EXPECT_THAT(world.take_log(), ElementsAre("stop b", "gone b", "stop a",
                                            "gone a", "exit shutdown"));
  EXPECT_FALSE(world.ready);
}

TEST(SupervisorCore, StoppedDynamicChildBlocksNobody) {
  CoreWorld world{{.strategy = Strategy::simple_one_for_one,
                   .children = {child("job", Restart::transient)}}};
  world.start().start_dynamic();
  world.on_stop["job1"] = OnStop::ignore;
  const Ticket slow = world.terminate_dynamic(ChildKey{1});
  EXPECT_EQ(world.code(world.terminate_dynamic(ChildKey{1})),
            ReplyCode::stopping);
  EXPECT_EQ(world.code(world.start_dynamic()), ReplyCode::ok);
  EXPECT_EQ(world.code(slow), std::nullopt);
  world.advance(5s);
  EXPECT_EQ(world.code(slow), ReplyCode::ok);
  EXPECT_THAT(world.forgotten, ElementsAre(ChildKey{1}));
  EXPECT_FALSE(world.has("job1"));
  EXPECT_TRUE(world.has("job2"));
}

TEST(SupervisorCore, ShutdownAnswersWhoWaitsForADynamicStart) {
  CoreWorld world{{.strategy = Strategy::simple_one_for_one,
                   .children = {child("job", Restart::transient)}}};
  world.start();
  world.on_start["job1"] = {OnStart::hang};
  const Ticket starting = world.start_dynamic();
  world.shutdown();
  EXPECT_EQ(world.code(starting), ReplyCode::shutting_down);
  EXPECT_EQ(world.code(world.start_dynamic()), ReplyCode::shutting_down);
  EXPECT_THAT(world.forgotten, ElementsAre(ChildKey{1}, ChildKey{2}));
}

TEST(SupervisorCore, TimerOfADynamicStopDoesNotKillTheOthers) {
  CoreWorld world{{.strategy = Strategy::simple_one_for_one,
                   .children = {child("job", Restart::transient)}}};
  world.start().start_dynamic();
  EXPECT_THAT(world.core().on_timer({ChildKey{}, 0}, world.now()), IsEmpty());
  world.on_stop["job1"] = OnStop::ignore;
  world.shutdown();
  EXPECT_THAT(world.core().on_timer({ChildKey{}, 0}, world.now()), IsEmpty());
  EXPECT_THAT(world.core().on_timer({ChildKey{1}, 1}, world.now()), IsEmpty());
}

TEST(SupervisorCore, ShutdownWithoutDynamicChildrenEndsAtOnce) {
  CoreWorld world{{.strategy = Strategy::simple_one_for_one,
                   .children = {child("job", Restart::transient)}}};
  world.start();
  const Actions actions = world.core().on_shutdown({}, world.now());
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<Exit>(actions.front()));
}

TEST(SupervisorCore, DynamicChildKeepsItsKeyOverRestartsAndCountsThem) {
  CoreWorld world{{.strategy = Strategy::simple_one_for_one,
                   .intensity = 10,
                   .children = {child("job", Restart::transient)}}};
  world.start().start_dynamic();
  world.crash("job1");
  world.on_start["job1"] = {OnStart::fail};
  world.crash("job1");
  EXPECT_FALSE(world.has("job1"));
  world.retry();
  EXPECT_TRUE(world.has("job1"));
  EXPECT_EQ(world.info("job")->restarts, 3U);
  EXPECT_THAT(world.forgotten, IsEmpty());
}

TEST(SupervisorCore, DynamicChildThatDoesNotStartIsForgotten) {
  CoreWorld world{
      {.strategy = Strategy::simple_one_for_one, .children = {child("job")}}};
  world.start();
  world.on_start["job1"] = {OnStart::fail};
  const Ticket ticket = world.start_dynamic();
  EXPECT_EQ(world.code(ticket), ReplyCode::start_failed);
  EXPECT_EQ(world.replies[ticket].front().what, "no luck");
  EXPECT_THAT(world.forgotten, ElementsAre(ChildKey{1}));
  EXPECT_EQ(world.core().count_children(), (ChildCounts{1, 0, 0, 0}));
}

TEST(SupervisorCore, SimpleOneForOneNeedsExactlyOneTemplate) {
  SupervisorSpec spec{.strategy = Strategy::simple_one_for_one};
  EXPECT_EQ(check(spec).error().what,
            "simple_one_for_one needs exactly one child spec, got 0");
}

TEST(SupervisorCore, CountsItsChildrenByTypeAndState) {
  ChildSpec sub = child("sub");
  sub.type = ChildType::supervisor;
  CoreWorld world{{.children = {child("a"), sub, child("b")}}};
  world.nested["sub"] = three(Strategy::one_for_one);
  world.start().terminate_child("b");
  EXPECT_EQ(world.core().count_children(), (ChildCounts{3, 2, 1, 2}));
}

}  // namespace
}  // namespace troupe::supervisor
