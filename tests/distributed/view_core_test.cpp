#include "node_ids.hpp"
#include "time_zero.hpp"

#include <troupe/base/random.hpp>
#include <troupe/distributed/view_core.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <utility>

namespace troupe::distributed {
namespace {

Member active(std::uint32_t n) { return {.node = node_id(n)}; }

Member joining(std::uint32_t n) {
  return {.node = node_id(n), .state = MemberState::joining};
}

Member draining(std::uint32_t n) {
  return {.node = node_id(n), .state = MemberState::draining};
}

/// A core that takes its turn at once, so that only the other rules count.
constexpr ViewCore::Config without_turns{.turn = 0s};

ViewCore core_of(View view, std::vector<Member> nodes) {
  ViewCore core{without_turns};
  core.on_view(view, t0);
  core.on_nodes(std::move(nodes), t0);
  return core;
}

TEST(ViewCore, ProposesTheFirstViewAtOnceWithAllActive) {
  ViewCore core = core_of({}, {active(2), active(1)});
  EXPECT_EQ(core.wake_at(), t0);
  EXPECT_EQ(core.on_time(t0),
            (View{.number = 1, .members = {active(1), active(2)}}));
}

TEST(ViewCore, ProposesNothingBeforeItKnowsViewAndNodes) {
  ViewCore core{without_turns};
  EXPECT_EQ(core.on_time(t0), std::nullopt);
  core.on_nodes({active(1)}, t0);
  EXPECT_EQ(core.on_time(t0 + 1h), std::nullopt);
  EXPECT_EQ(core.wake_at(), std::nullopt);
  ViewCore other{without_turns};
  other.on_view({.number = 3, .members = {active(1)}}, t0);
  EXPECT_EQ(other.on_time(t0 + 1h), std::nullopt);
}

TEST(ViewCore, ProposesNothingWhileNothingChanges) {
  ViewCore core = core_of({.number = 3, .members = {active(1)}}, {active(1)});
  EXPECT_EQ(core.on_time(t0 + 1h), std::nullopt);
  EXPECT_EQ(core.wake_at(), std::nullopt);
}

TEST(ViewCore, LetsANewNodeJoinForAWhile) {
  ViewCore core =
      core_of({.number = 3, .members = {active(1)}}, {active(1), active(2)});
  EXPECT_EQ(core.on_time(t0 + 1s),
            (View{.number = 4, .members = {active(1), joining(2)}}));
  core.on_view({.number = 4, .members = {active(1), joining(2)}}, t0 + 1s);
  EXPECT_EQ(core.wake_at(), t0 + 31s);
  EXPECT_EQ(core.on_time(t0 + 31s - 1ns), std::nullopt);
  EXPECT_EQ(core.on_time(t0 + 31s),
            (View{.number = 5, .members = {active(1), active(2)}}));
}

TEST(ViewCore, CountsTheTimeOfAJoiningNodeOverLaterViews) {
  ViewCore core = core_of({.number = 3, .members = {active(1), joining(2)}},
                          {active(1), active(2)});
  core.on_view({.number = 4, .members = {active(1), joining(2), active(3)}},
               t0 + 20s);
  core.on_nodes({active(1), active(2), active(3)}, t0 + 20s);
  EXPECT_EQ(core.wake_at(), t0 + 30s);
}

TEST(ViewCore, WaitsASecondAfterTheViewBefore) {
  ViewCore core{without_turns};
  core.on_nodes({active(1)}, t0);
  core.on_view({.number = 3}, t0 + 10s);
  EXPECT_EQ(core.wake_at(), t0 + 11s);
  EXPECT_EQ(core.on_time(t0 + 11s - 1ns), std::nullopt);
  EXPECT_NE(core.on_time(t0 + 11s), std::nullopt);
}

TEST(ViewCore, TakesAllChangesWithinThatSecondTogether) {
  ViewCore core =
      core_of({.number = 3, .members = {active(1), active(2)}}, {active(1)});
  core.on_nodes({active(1), active(3)}, t0 + 500ms);
  core.on_nodes({draining(1), active(3), active(4)}, t0 + 900ms);
  EXPECT_EQ(
      core.on_time(t0 + 1s),
      (View{.number = 4, .members = {draining(1), joining(3), joining(4)}}));
}

TEST(ViewCore, ForgetsAChangeThatIsTakenBack) {
  ViewCore core =
      core_of({.number = 3, .members = {active(1), active(2)}}, {active(1)});
  core.on_nodes({active(1), active(2)}, t0 + 500ms);
  EXPECT_EQ(core.on_time(t0 + 1s), std::nullopt);
}

TEST(ViewCore, ProposesNothingOfNodesThatItIsNoLongerToldOf) {
  ViewCore core = core_of({.number = 3, .members = {active(1), active(2)}},
                          {active(1), active(2)});
  core.forget_nodes();
  core.on_view({.number = 4, .members = {active(1)}}, t0 + 5s);
  EXPECT_EQ(core.wake_at(), std::nullopt);
  EXPECT_EQ(core.on_time(t0 + 1h), std::nullopt);
  core.on_nodes({active(1), active(2)}, t0 + 1h);
  EXPECT_NE(core.on_time(t0 + 1h), std::nullopt);
}

TEST(ViewCore, ProposesAgainIfItHearsOfNoView) {
  ViewCore core = core_of({.number = 3}, {active(1)});
  EXPECT_NE(core.on_time(t0 + 1s), std::nullopt);
  EXPECT_EQ(core.on_time(t0 + 2s - 1ns), std::nullopt);
  EXPECT_EQ(core.wake_at(), t0 + 2s);
  EXPECT_NE(core.on_time(t0 + 2s), std::nullopt);
}

TEST(ViewCore, FollowsWeightAndZoneOfANode) {
  const Member changed{node_id(1), 40, "oslo"};
  ViewCore core = core_of({.number = 3, .members = {active(1)}}, {changed});
  EXPECT_EQ(core.on_time(t0 + 1s), (View{.number = 4, .members = {changed}}));
}

TEST(ViewCore, AZoneGoesWithTheNextChange) {
  const Member zoned{node_id(1), full_weight, "oslo"};
  ViewCore core = core_of({.number = 3, .members = {active(1)}}, {zoned});
  EXPECT_EQ(core.wake_at(), std::nullopt);
  core.on_nodes({zoned, active(2)}, t0);
  EXPECT_EQ(core.on_time(t0 + 1s),
            (View{.number = 4, .members = {zoned, joining(2)}}));
}

TEST(ViewCore, LetsANodeThatComesBackFromDrainingJoin) {
  ViewCore core = core_of({.number = 3, .members = {active(1), draining(2)}},
                          {active(1), active(2)});
  EXPECT_EQ(core.on_time(t0 + 1s),
            (View{.number = 4, .members = {active(1), joining(2)}}));
}

TEST(ViewCore, LeavesOutWhatCannotBeInAView) {
  ViewCore core = core_of(
      {.number = 3}, {{node_id(1), 0}, active(2), {node_id(3), 100, "a zone"}});
  EXPECT_EQ(core.on_time(t0 + 1s), (View{.number = 4, .members = {active(2)}}));
}

TEST(ViewCore, IgnoresViewsOlderThanItsOwn) {
  ViewCore core = core_of({.number = 3, .members = {active(1)}}, {active(1)});
  core.on_view({.number = 2}, t0);
  core.on_view({.number = 3}, t0);
  EXPECT_EQ(core.view(), (View{.number = 3, .members = {active(1)}}));
  EXPECT_EQ(core.ring()->load(node_id(1)), 4096U);
}

TEST(ViewCore, WaitsItsTurnAndNoLonger) {
  const View view{.number = 3, .members = {active(1), active(2), active(3)}};
  const auto order = ring_of(view).clockwise("view 4", 3);
  Duration turn{0};
  for (const NodeId& self : order) {
    ViewCore core{{.self = self}};
    core.on_view(view, t0);
    core.on_nodes({active(1)}, t0 + 10s);
    EXPECT_EQ(core.wake_at(), t0 + 10s + turn);
    turn += 200ms;
  }
  ViewCore stranger{{.self = node_id(9)}};
  stranger.on_view(view, t0);
  stranger.on_nodes({active(1)}, t0 + 10s);
  EXPECT_EQ(stranger.wake_at(), t0 + 10s + turn);
}

TEST(ViewCore, HasFewerVirtualNodesInALargeCluster) {
  std::vector<Member> nodes;
  for (std::uint32_t n = 0; n < 501; ++n)
    nodes.push_back(active(n));
  ViewCore core = core_of({.number = 3}, nodes);
  EXPECT_EQ(core.on_time(t0 + 1s)->ring.virtual_nodes, 64U);
}

/// Some nodes that come, go and drain, with a store that takes one proposal of
/// each number and tells each of them some time later, or never.
RC_GTEST_PROP(ViewCoreProperty, AgreesOnAllWithOneViewASecond, ()) {
  constexpr std::uint32_t count = 5;
  Random random{*rc::gen::arbitrary<std::uint64_t>()};
  std::vector<ViewCore> cores;
  std::vector<Member> nodes;
  for (std::uint32_t n = 0; n < count; ++n) {
    cores.push_back(ViewCore{{.self = node_id(n)}});
    nodes.push_back(active(n));
  }
  View stored{.ring = {.shards = 16}};
  TimePoint stored_at{};
  const auto step = [&](ViewCore& core, TimePoint now, bool loses) {
    const auto proposal = core.on_time(now);
    if (!proposal || loses)
      return;
    if (proposal->number == stored.number + 1) {
      RC_ASSERT(check(*proposal).has_value());
      RC_ASSERT(stored.number == 0 || now >= stored_at + 1s);
      RC_ASSERT(!changes_between(stored, *proposal).is_empty());
      stored = *proposal;
      stored_at = now;
    }
    core.on_view(stored, now);
  };
  TimePoint now = t0;
  for (int i = 0; i < 300; ++i) {
    now += std::chrono::milliseconds{random.next() % 400};
    Member& node = nodes[random.next() % count];
    if (random.next() % 8 == 0)
      node.state =
          random.next() % 3 == 0 ? MemberState::draining : MemberState::active;
    ViewCore& core = cores[random.next() % count];
    if (random.next() % 2 == 0)
      core.on_view(stored, now);
    if (random.next() % 2 == 0)
      core.on_nodes(
          {nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(
                                              1 + random.next() % count)},
          now);
    step(core, now, random.next() % 4 == 0);
  }
  // When all hear of everything, they come to rest with everybody there.
  for (int i = 0; i < 400; ++i) {
    now += 100ms;
    for (ViewCore& core : cores) {
      core.on_view(stored, now);
      core.on_nodes(nodes, now);
      step(core, now, false);
    }
  }
  RC_ASSERT(stored.members == nodes);
}

}  // namespace
}  // namespace troupe::distributed
