#include "node_ids.hpp"

#include <troupe/base/random.hpp>
#include <troupe/distributed/spread.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <set>

namespace troupe::distributed {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

/// Nodes 1, 2, .. in these zones.
std::vector<SpreadNode> nodes_in(const std::vector<std::string>& zones) {
  std::vector<SpreadNode> nodes;
  for (const std::string& zone : zones)
    nodes.push_back(
        {node_id(static_cast<std::uint32_t>(nodes.size() + 1)), zone});
  return nodes;
}

std::vector<SpreadNode> without(std::vector<SpreadNode> nodes,
                                const NodeId& node) {
  std::erase_if(nodes, [&](const auto& one) { return one.node == node; });
  return nodes;
}

Ring ring_over(const std::vector<SpreadNode>& nodes,
               const RingParameters& parameters = {}) {
  std::vector<RingNode> all;
  for (const SpreadNode& one : nodes)
    all.push_back({one.node});
  return Ring{all, parameters};
}

/// How many of the first `count` of that order each zone has.
std::map<std::string, std::size_t> by_zone(const std::vector<NodeId>& order,
                                           std::size_t count,
                                           const std::vector<SpreadNode>& all) {
  std::map<std::string, std::size_t> counts;
  for (const SpreadNode& one : all)
    counts[one.zone] += static_cast<std::size_t>(std::count(
        order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count),
        one.node));
  return counts;
}

TEST(Spread, ZonesTakeTurnsAndThenTheirNodes) {
  const auto nodes = nodes_in({"a", "a", "a", "b"});
  for (int key = 0; key < 20; ++key) {
    const auto order = spread_order(fmt::format("job-{}", key), nodes);
    ASSERT_THAT(order, SizeIs(4));
    EXPECT_EQ(by_zone(order, 2, nodes)["b"], 1U) << key;
  }
}

TEST(Spread, DifferentKeysBeginAtDifferentNodes) {
  const auto nodes = nodes_in({"", "", ""});
  std::map<NodeId, int> first;
  for (int key = 0; key < 3000; ++key)
    ++first[spread_order(fmt::format("job-{}", key), nodes).front()];
  for (const SpreadNode& one : nodes)
    EXPECT_NEAR(first[one.node], 1000, 120);
}

TEST(Spread, EachShardIsOfTheNodeWhoseTurnItIs) {
  const auto nodes = nodes_in({"a", "b", "a", "b", "c"});
  const Ring ring = ring_over(nodes);
  const auto order = spread_order("job", nodes);
  const auto shards = spread_shards("job", nodes, 3, ring);
  ASSERT_THAT(shards, SizeIs(3));
  for (std::size_t i = 0; i < shards.size(); ++i) {
    EXPECT_EQ(ring.owner(shards[i]), order[i]);
    EXPECT_NE(shards[i], 0U);
  }
}

TEST(Spread, WhoOwnsNothingIsPassedOver) {
  auto nodes = nodes_in({"a", "b"});
  const Ring ring = ring_over(nodes);
  nodes.push_back({node_id(9), "c"});
  EXPECT_THAT(spread_shards("job", nodes, 3, ring), SizeIs(2));
  EXPECT_THAT(spread_shards("job", {}, 3, ring), IsEmpty());
  EXPECT_THAT(spread_shards("job", nodes, 3, ring_over(nodes, {.shards = 1})),
              IsEmpty());
}

TEST(Spread, TheShareIsWhatAllCanHave) {
  EXPECT_EQ(spread_share(2, 2), 1U);
  EXPECT_EQ(spread_share(5, 2), 2U);
  EXPECT_EQ(spread_share(1, 3), 1U);
  EXPECT_EQ(spread_share(0, 0), 1U);
}

/// Up to 40 nodes in up to 5 zones.
std::vector<SpreadNode> some_nodes() {
  Random random{*rc::gen::arbitrary<std::uint64_t>()};
  std::vector<SpreadNode> nodes(*rc::gen::inRange<std::size_t>(1, 41));
  const auto zones = *rc::gen::inRange<std::uint64_t>(1, 6);
  std::uint32_t number = 0;
  for (SpreadNode& one : nodes)
    one = {node_id(++number), fmt::format("z{}", random.next() % zones)};
  return nodes;
}

RC_GTEST_PROP(SpreadProperty, NoZoneHasTwoMoreThanOneThatIsNotUsedUp, ()) {
  const auto nodes = some_nodes();
  const auto order = spread_order(*rc::gen::arbitrary<std::string>(), nodes);
  RC_ASSERT(std::set<NodeId>(order.begin(), order.end()).size() ==
            nodes.size());
  std::map<std::string, std::size_t> all;
  for (const SpreadNode& one : nodes)
    ++all[one.zone];
  for (std::size_t count = 0; count <= order.size(); ++count) {
    const auto counts = by_zone(order, count, nodes);
    for (const auto& [zone, has] : counts) {
      for (const auto& [other, others] : counts)
        RC_ASSERT(has == all[zone] || has + 1 >= others);
    }
  }
}

RC_GTEST_PROP(SpreadProperty, TheOrderOfNodesDoesNotMatter, ()) {
  auto nodes = some_nodes();
  const auto key = *rc::gen::arbitrary<std::string>();
  const auto order = spread_order(key, nodes);
  std::reverse(nodes.begin(), nodes.end());
  RC_ASSERT(spread_order(key, nodes) == order);
}

RC_GTEST_PROP(SpreadProperty, OneTakesThePlaceOfANodeThatGoes, ()) {
  const auto nodes = some_nodes();
  const auto key = *rc::gen::arbitrary<std::string>();
  const auto gone = nodes[*rc::gen::inRange<std::size_t>(0, nodes.size())].node;
  const auto left = without(nodes, gone);
  const auto most = *rc::gen::inRange<std::size_t>(1, 41);
  const auto chosen = [&](const std::vector<SpreadNode>& from) {
    auto order = spread_order(key, from);
    order.resize(std::min(order.size(), most));
    return std::set<NodeId>(order.begin(), order.end());
  };
  auto before = chosen(nodes);
  const auto after = chosen(left);
  if (before.erase(gone) == 0)
    RC_ASSERT(before == after);
  RC_ASSERT(
      std::includes(after.begin(), after.end(), before.begin(), before.end()));
}

RC_GTEST_PROP(SpreadProperty, WhatWaitsAtTheOthersStaysWhenANodeGoes, ()) {
  const auto nodes = some_nodes();
  const auto key = *rc::gen::arbitrary<std::string>();
  const auto gone = nodes[*rc::gen::inRange<std::size_t>(0, nodes.size())].node;
  const auto left = without(nodes, gone);
  const Ring before = ring_over(nodes, {.shards = 512});
  const Ring after = ring_over(left, {.shards = 512});
  const auto old = spread_shards(key, nodes, nodes.size(), before);
  const auto now = spread_shards(key, left, nodes.size(), after);
  // They also get shards of the one that is gone, one of which may come first,
  // or take one that another one had: half of them at most, mostly none.
  std::size_t moved = 0;
  for (const std::uint32_t shard : now)
    moved += std::find(old.begin(), old.end(), shard) == old.end() ? 1U : 0U;
  RC_CLASSIFY(moved > 2, "more than two moved");
  RC_ASSERT(moved <= 2 + now.size() / 2);
}

}  // namespace
}  // namespace troupe::distributed
