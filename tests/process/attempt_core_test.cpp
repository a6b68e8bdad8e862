#include "attempt_core.hpp"

#include <gtest/gtest.h>

namespace troupe::process {
namespace {

using AttemptAction = AttemptCore::Action;
using AttemptActions = AttemptCore::Actions;
using AttemptKind = AttemptAction::Kind;
using AttemptState = AttemptCore::State;

constexpr TimePoint start{};

CommandSpec limited() {
  CommandSpec spec;
  spec.argv = {"x"};
  spec.time_limit = 10s;
  spec.grace = 2s;
  return spec;
}

AttemptAction timer(TimePoint at) {
  return {.kind = AttemptKind::set_timer, .at = at};
}
const AttemptAction probe{.kind = AttemptKind::probe_tree};
const AttemptAction kill{.kind = AttemptKind::kill_tree};
const AttemptAction finish{.kind = AttemptKind::finish};
AttemptAction signal(int number) {
  return {.kind = AttemptKind::signal_tree, .signal = number};
}

TEST(AttemptCore, EndsAtOnceWhenStreamsAreClosedAndNobodyIsLeft) {
  AttemptCore core{CommandSpec{}, 2};
  EXPECT_EQ(core.on_started(start), AttemptActions{});
  EXPECT_EQ(core.on_stream_closed(start), AttemptActions{});
  EXPECT_EQ(core.on_stream_closed(start), AttemptActions{});
  EXPECT_EQ(core.on_leader_exited(start), AttemptActions{probe});
  EXPECT_EQ(core.on_probed(true, start), AttemptActions{finish});
  EXPECT_FALSE(core.verdict().timed_out);
}

TEST(AttemptCore, AwaitsACommandThatClosedItsStreamsAndRunsOn) {
  AttemptCore core{CommandSpec{}, 1};
  EXPECT_EQ(core.on_stream_closed(start), AttemptActions{});
  EXPECT_EQ(core.state(), AttemptState::running);
}

TEST(AttemptCore, SignalsAtTheLimitAndKillsAfterTheGrace) {
  AttemptCore core{limited(), 0};
  EXPECT_EQ(core.on_started(start), AttemptActions{timer(start + 10s)});
  EXPECT_EQ(core.on_timer(start + 9999ms), AttemptActions{timer(start + 10s)});
  EXPECT_EQ(core.on_timer(start + 10s),
            (AttemptActions{signal(SIGTERM), timer(start + 12s)}));
  EXPECT_EQ(core.on_timer(start + 12s), AttemptActions{kill});
  EXPECT_EQ(core.on_tree_killed(start + 12s), AttemptActions{finish});
  EXPECT_TRUE(core.verdict().timed_out);
  EXPECT_TRUE(core.verdict().killed);
}

TEST(AttemptCore, TheEndOfItsRightIsToldFromOtherReasonsToStop) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  EXPECT_EQ(core.on_right_ended(/*is_grace_over=*/false, start + 1s),
            (AttemptActions{signal(SIGTERM), timer(start + 3s)}));
  EXPECT_EQ(core.on_right_ended(/*is_grace_over=*/true, start + 2s),
            AttemptActions{kill});
  EXPECT_TRUE(core.verdict().stopped);
  EXPECT_TRUE(core.verdict().right_ended);
  EXPECT_TRUE(core.verdict().killed);
}

TEST(AttemptCore, WhatWasStoppedBeforeDidNotLoseItsRight) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  (void)core.on_stop({.grace = 2s}, start);
  (void)core.on_right_ended(/*is_grace_over=*/false, start + 1s);
  EXPECT_FALSE(core.verdict().right_ended);
}

TEST(AttemptCore, LetsDescendantsUseAllOfTheGraceAfterTheLeaderHasGone) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  (void)core.on_timer(start + 10s);
  EXPECT_EQ(core.on_leader_exited(start + 10s), AttemptActions{probe});
  EXPECT_EQ(core.on_probed(false, start + 10s),
            AttemptActions{timer(start + 10s + 1ms)});
  EXPECT_EQ(core.on_timer(start + 11s), AttemptActions{probe});
  EXPECT_EQ(core.on_probed(true, start + 11s), AttemptActions{finish});
  EXPECT_FALSE(core.verdict().killed);
}

TEST(AttemptCore, DrainsForAHundredMillisecondsAndThenKillsWhatHoldsTheOutput) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  EXPECT_EQ(core.on_leader_exited(start), AttemptActions{probe});
  EXPECT_EQ(core.on_probed(false, start), AttemptActions{timer(start + 1ms)});
  EXPECT_EQ(core.on_timer(start + 1ms), AttemptActions{probe});
  EXPECT_EQ(core.on_probed(false, start + 99ms),
            AttemptActions{timer(start + drain_time)});
  EXPECT_EQ(core.on_timer(start + drain_time), AttemptActions{kill});
  EXPECT_TRUE(core.verdict().output_held);
  EXPECT_FALSE(core.verdict().killed) << "the command itself was not killed";
  EXPECT_EQ(core.on_tree_killed(start + 101ms),
            AttemptActions{timer(start + 101ms + settle_time)});
  EXPECT_EQ(core.on_stream_closed(start + 102ms), AttemptActions{finish});
}

TEST(AttemptCore, WaitsForOthersThatAreBeingStartedAndMayHoldTheOutput) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  EXPECT_EQ(core.on_timer(start + drain_time, {.others_start = true}),
            AttemptActions{timer(start + drain_time + 32ms)});
  EXPECT_EQ(core.on_stream_closed(start + drain_time + 20ms),
            AttemptActions{finish});
  EXPECT_FALSE(core.verdict().output_held);
}

TEST(AttemptCore, DoesNotWaitForOthersForEver) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  EXPECT_EQ(
      core.on_timer(start + drain_time + launch_time, {.others_start = true}),
      AttemptActions{kill});
  EXPECT_TRUE(core.verdict().output_held);
}

TEST(AttemptCore, ClosesAStreamThatAStrangerStillHolds) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  (void)core.on_timer(start + drain_time);
  (void)core.on_tree_killed(start + drain_time);
  EXPECT_EQ(core.on_timer(start + drain_time + settle_time),
            AttemptActions{finish});
  EXPECT_TRUE(core.verdict().output_held);
}

TEST(AttemptCore, AwaitsWhoeverIsToReadTheRest) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  EXPECT_EQ(core.on_timer(start + drain_time, {.is_held_back = true}),
            AttemptActions{kill})
      << "others of its tree are not waited for";
  (void)core.on_tree_killed(start + drain_time);
  EXPECT_EQ(core.on_timer(start + 1h, {.is_held_back = true}),
            AttemptActions{timer(start + 1h + drain_time)});
  EXPECT_EQ(core.on_stream_closed(start + 2h), AttemptActions{finish});
  EXPECT_FALSE(core.verdict().output_held) << "by nobody else";
}

TEST(AttemptCore, DoesNotAwaitAReaderOnceItIsToStop) {
  AttemptCore core{CommandSpec{}, 1};
  (void)core.on_started(start);
  (void)core.on_stop({}, start);
  (void)core.on_leader_exited(start);
  (void)core.on_probed(true, start);
  EXPECT_EQ(core.on_timer(start + 2s, {.is_held_back = true}),
            AttemptActions{kill});
  (void)core.on_tree_killed(start + 2s);
  EXPECT_EQ(core.on_timer(start + 3s, {.is_held_back = true}),
            AttemptActions{finish});
}

TEST(AttemptCore, KillsAtOnceWhenStoppedWithoutGrace) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  EXPECT_EQ(core.on_stop({.signal = SIGKILL, .grace = Duration{0}}, start),
            AttemptActions{kill});
  EXPECT_TRUE(core.verdict().stopped);
  EXPECT_FALSE(core.verdict().timed_out);
}

TEST(AttemptCore, ASecondStopCanOnlyShortenTheGrace) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  (void)core.on_stop({.signal = SIGTERM, .grace = 2s}, start);
  EXPECT_EQ(core.on_stop({.signal = SIGTERM, .grace = 5s}, start),
            AttemptActions{});
  EXPECT_EQ(core.on_stop({.signal = SIGINT, .grace = 1s}, start),
            (AttemptActions{signal(SIGINT), timer(start + 1s)}));
}

TEST(AttemptCore, IgnoresEverythingOnceItHasEnded) {
  AttemptCore core{limited(), 0};
  (void)core.on_started(start);
  (void)core.on_leader_exited(start);
  ASSERT_EQ(core.on_probed(true, start), AttemptActions{finish});
  EXPECT_EQ(core.on_stop({}, start), AttemptActions{});
  EXPECT_EQ(core.on_timer(start + 1h), AttemptActions{});
  EXPECT_EQ(core.on_probed(true, start), AttemptActions{});
  EXPECT_EQ(core.on_leader_exited(start), AttemptActions{});
  EXPECT_EQ(core.on_tree_killed(start), AttemptActions{});
}

CommandSpec talking() {
  CommandSpec spec;
  spec.silence_limit = 3s;
  return spec;
}

TEST(AttemptCore, StopsWhatIsSilentForTooLong) {
  AttemptCore core{talking(), 1};
  EXPECT_EQ(core.on_started(start), AttemptActions{timer(start + 3s)});
  core.on_output(start + 2s);
  EXPECT_EQ(core.on_timer(start + 3s), AttemptActions{timer(start + 5s)});
  EXPECT_EQ(core.on_timer(start + 5s),
            (AttemptActions{signal(SIGTERM), timer(start + 7s)}));
  EXPECT_TRUE(core.verdict().timed_out);
  EXPECT_TRUE(core.verdict().silent);
}

TEST(AttemptCore, WatchesBothLimits) {
  CommandSpec spec = talking();
  spec.time_limit = 4s;
  AttemptCore core{spec, 1};
  EXPECT_EQ(core.on_started(start), AttemptActions{timer(start + 3s)});
  core.on_output(start + 2s);
  EXPECT_EQ(core.on_timer(start + 3s), AttemptActions{timer(start + 4s)});
  (void)core.on_timer(start + 4s);
  EXPECT_TRUE(core.verdict().timed_out);
  EXPECT_FALSE(core.verdict().silent);
}

TEST(AttemptCore, ExpectsNoOutputFromClosedStreams) {
  AttemptCore without{talking(), 0};
  EXPECT_EQ(without.on_started(start), AttemptActions{});
  AttemptCore core{talking(), 1};
  (void)core.on_started(start);
  (void)core.on_stream_closed(start + 1s);
  EXPECT_EQ(core.on_timer(start + 3s), AttemptActions{});
  EXPECT_EQ(core.state(), AttemptState::running);
}

}  // namespace
}  // namespace troupe::process
