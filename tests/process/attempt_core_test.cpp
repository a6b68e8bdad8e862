#include "attempt_core.hpp"

#include <gtest/gtest.h>

namespace troupe::process {
namespace {

using Action = AttemptCore::Action;
using Actions = AttemptCore::Actions;
using Kind = Action::Kind;
using State = AttemptCore::State;

constexpr TimePoint start{};

CommandSpec limited() {
  CommandSpec spec;
  spec.argv = {"x"};
  spec.time_limit = 10s;
  spec.grace = 2s;
  return spec;
}

Action timer(TimePoint at) { return {.kind = Kind::set_timer, .at = at}; }
const Action probe{.kind = Kind::probe_tree};
const Action kill{.kind = Kind::kill_tree};
const Action finish{.kind = Kind::finish};
Action signal(int number) {
  return {.kind = Kind::signal_tree, .signal = number};
}

TEST(AttemptCore, EndsAtOnceWhenStreamsAreClosedAndNobodyIsLeft) {
  AttemptCore core{CommandSpec{}, 2};
  EXPECT_EQ(core.on_started(start), Actions{});
  EXPECT_EQ(core.on_stream_closed(start), Actions{});
  EXPECT_EQ(core.on_stream_closed(start), Actions{});
  EXPECT_EQ(core.on_leader_exited(start), Actions{probe});
  EXPECT_EQ(core.on_probed(true, start), Actions{finish});
  EXPECT_FALSE(core.verdict().timed_out);
}

TEST(AttemptCore, AwaitsACommandThatClosedItsStreamsAndRunsOn) {
  AttemptCore core{CommandSpec{}, 1};
  EXPECT_EQ(core.on_stream_closed(start), Actions{});
  EXPECT_EQ(core.state(), State::running);
}

TEST(AttemptCore, SignalsAtTheLimitAndKillsAfterTheGrace) {
  AttemptCore core{limited(), 0};
  EXPECT_EQ(core.on_started(start), Actions{timer(start + 10s)});
  EXPECT_EQ(core.on_timer(start + 9999ms), Actions{timer(start + 10s)});
  EXPECT_EQ(core.on_timer(start + 10s),
            (Actions{signal(SIGTERM), timer(start + 12s)}));
  EXPECT_EQ(core.on_timer(start + 12s), Actions{kill});
  EXPECT_EQ(core.on_tree_killed(start + 12s), Actions{finish});
  EXPECT_TRUE(core.verdict().timed_out);
  EXPECT_TRUE(core.verdict().killed);
}

TEST(AttemptCore, LetsDescendantsUseAllOfTheGraceAfterTheLeaderHasGone) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  (void)core.on_timer(start + 10s);
  EXPECT_EQ(core.on_leader_exited(start + 10s), Actions{probe});
  EXPECT_EQ(core.on_probed(false, start + 10s),
            Actions{timer(start + 10s + 1ms)});
  EXPECT_EQ(core.on_timer(start + 11s), Actions{probe});
  EXPECT_EQ(core.on_probed(true, start + 11s), Actions{finish});
  EXPECT_FALSE(core.verdict().killed);
}

TEST(AttemptCore, DrainsForAHundredMillisecondsAndThenKillsWhatHoldsTheOutput) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  EXPECT_EQ(core.on_leader_exited(start), Actions{probe});
  EXPECT_EQ(core.on_probed(false, start), Actions{timer(start + 1ms)});
  EXPECT_EQ(core.on_timer(start + 1ms), Actions{probe});
  EXPECT_EQ(core.on_probed(false, start + 99ms),
            Actions{timer(start + drain_time)});
  EXPECT_EQ(core.on_timer(start + drain_time), Actions{kill});
  EXPECT_TRUE(core.verdict().output_held);
  EXPECT_FALSE(core.verdict().killed) << "the command itself was not killed";
  EXPECT_EQ(core.on_tree_killed(start + 101ms),
            Actions{timer(start + 101ms + settle_time)});
  EXPECT_EQ(core.on_stream_closed(start + 102ms), Actions{finish});
}

TEST(AttemptCore, WaitsForOthersThatAreBeingStartedAndMayHoldTheOutput) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  EXPECT_EQ(core.on_timer(start + drain_time, true),
            Actions{timer(start + drain_time + 32ms)});
  EXPECT_EQ(core.on_stream_closed(start + drain_time + 20ms), Actions{finish});
  EXPECT_FALSE(core.verdict().output_held);
}

TEST(AttemptCore, DoesNotWaitForOthersForEver) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  EXPECT_EQ(core.on_timer(start + drain_time + launch_time, true),
            Actions{kill});
  EXPECT_TRUE(core.verdict().output_held);
}

TEST(AttemptCore, ClosesAStreamThatAStrangerStillHolds) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  (void)core.on_timer(start + drain_time);
  (void)core.on_tree_killed(start + drain_time);
  EXPECT_EQ(core.on_timer(start + drain_time + settle_time), Actions{finish});
  EXPECT_TRUE(core.verdict().output_held);
}

TEST(AttemptCore, KillsAtOnceWhenStoppedWithoutGrace) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  EXPECT_EQ(core.on_stop({.signal = SIGKILL, .grace = Duration{0}}, start),
            Actions{kill});
  EXPECT_TRUE(core.verdict().stopped);
  EXPECT_FALSE(core.verdict().timed_out);
}

TEST(AttemptCore, ASecondStopCanOnlyShortenTheGrace) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  (void)core.on_stop({.signal = SIGTERM, .grace = 2s}, start);
  EXPECT_EQ(core.on_stop({.signal = SIGTERM, .grace = 5s}, start), Actions{});
  EXPECT_EQ(core.on_stop({.signal = SIGINT, .grace = 1s}, start),
            (Actions{signal(SIGINT), timer(start + 1s)}));
}

TEST(AttemptCore, IgnoresEverythingOnceItHasEnded) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  ASSERT_EQ(core.on_probed(true, start), Actions{finish});
  EXPECT_EQ(core.on_stop({}, start), Actions{});
  EXPECT_EQ(core.on_timer(start + 1h), Actions{});
  EXPECT_EQ(core.on_probed(true, start), Actions{});
  EXPECT_EQ(core.on_leader_exited(start), Actions{});
  EXPECT_EQ(core.on_tree_killed(start), Actions{});
}

CommandSpec talking() {
  CommandSpec spec;
  spec.silence_limit = 3s;
  return spec;
}

TEST(AttemptCore, StopsWhatIsSilentForTooLong) {
  AttemptCore core{talking(), 1};
  EXPECT_EQ(core.on_started(start), Actions{timer(start + 3s)});
  core.on_output(start + 2s);
  EXPECT_EQ(core.on_timer(start + 3s), Actions{timer(start + 5s)});
  EXPECT_EQ(core.on_timer(start + 5s),
            (Actions{signal(SIGTERM), timer(start + 7s)}));
  EXPECT_TRUE(core.verdict().timed_out);
  EXPECT_TRUE(core.verdict().silent);
}

TEST(AttemptCore, WatchesBothLimits) {
  CommandSpec spec = talking();
  spec.time_limit = 4s;
  AttemptCore core{spec, 1};
  EXPECT_EQ(core.on_started(start), Actions{timer(start + 3s)});
  core.on_output(start + 2s);
  EXPECT_EQ(core.on_timer(start + 3s), Actions{timer(start + 4s)});
  (void)core.on_timer(start + 4s);
  EXPECT_TRUE(core.verdict().timed_out);
  EXPECT_FALSE(core.verdict().silent);
}

TEST(AttemptCore, ExpectsNoOutputFromClosedStreams) {
  AttemptCore without{talking(), 0};
  EXPECT_EQ(without.on_started(start), Actions{});
  AttemptCore core{talking(), 1};
  (void)core.on_started(start);
  (void)core.on_stream_closed(start + 1s);
  EXPECT_EQ(core.on_timer(start + 3s), Actions{});
  EXPECT_EQ(core.state(), State::running);
}

}  // namespace
}  // namespace troupe::process
