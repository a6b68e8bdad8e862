#include "boot_zero.hpp"
#include "node_ids.hpp"

#include <troupe/distributed/eviction_core.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>

namespace troupe::distributed {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using Evict = EvictionCore::Evict;
using Read = EvictionCore::Read;
using AskConsent = EvictionCore::AskConsent;

SessionRow row(std::uint32_t node, std::uint64_t counter) {
  return {fmt::format("s{:04}", node), node_id(node), counter};
}

std::shared_ptr<const Ring> ring(std::uint32_t nodes) {
  return std::make_shared<const Ring>(ring_nodes(nodes), RingParameters{});
}

/// The janitor of a node, with a store that answers at once. The nodes renew
/// before each read, but for those that are `dead`.
struct World {
  explicit World(std::uint32_t count, NodeId self = node_id(1))
      : core{{.self = self}}, nodes{count} {
    core.on_right(true);
    core.on_ring(ring(count));
  }

  /// Reads at `now`.
  EvictionCore::Actions read() {
    ++counter;
    std::vector<SessionRow> rows;
    for (std::uint32_t n = 1; n <= nodes; ++n)
      if (!gone.contains(n))
        rows.push_back(row(n, dead.contains(n) ? dead_counter : counter));
    const auto actions = core.on_time(now);
    EXPECT_THAT(actions, SizeIs(1));
    return core.on_read(std::get<Read>(actions.at(0)).number, rows, now);
  }

  /// Reads whenever it wants to up to `until`; what it evicts is gone.
  std::vector<std::string> read_until(BootTime until) {
    std::vector<std::string> evicted;
    while (core.wake_at() <= until) {
      now = std::max(now, core.wake_at());
      for (const auto& action : read()) {
        if (const auto* evict = std::get_if<Evict>(&action)) {
          evicted.push_back(evict->session);
          last = *evict;
          gone.insert(
              static_cast<std::uint32_t>(std::stoul(evict->session.substr(1))));
          core.on_evicted(evict->session);
        } else {
          asked.push_back(std::get<AskConsent>(action).waiting);
        }
      }
    }
    return evicted;
  }

  EvictionCore core;
  std::uint32_t nodes;
  std::uint64_t counter = 1000;
  std::uint64_t dead_counter = 0;
  Evict last;
  std::set<std::uint32_t> dead;
  std::set<std::uint32_t> gone;
  std::vector<std::size_t> asked;
  BootTime now = b0;
};

TEST(EvictionCore, EvictsWhatItHasSeenStandStillForTheTimeToLiveAndMore) {
  World world{2};
  world.dead = {2};
  EXPECT_THAT(world.read_until(b0 + 62s - 1ns), IsEmpty());
  // It looks just then.
  EXPECT_THAT(world.read_until(b0 + 62s), ElementsAre("s0002"));
}

TEST(EvictionCore, DoesNotLookForEachOfManyThatDieOneSoonAfterTheOther) {
  World world{100};
  int reads = 0;
  for (std::uint32_t n = 2; n <= 100; ++n) {
    world.dead.insert(n);
    world.now += 10ms;
    (void)world.read_until(world.now);
  }
  const BootTime begin = world.now;
  while (world.core.wake_at() <= begin + 70s) {
    world.now = std::max(world.now, world.core.wake_at());
    (void)world.read();
    ++reads;
  }
  EXPECT_LE(reads, 70);
}

TEST(EvictionCore, TellsWhoIsSilentAndWhoWaitsForConsent) {
  World world{5};
  world.dead = {2, 3};
  EXPECT_THAT(world.read_until(b0 + 30s), IsEmpty());
  const auto still = world.core.standing("s0002").value();
  EXPECT_GT(still.still_for, 27s);
  EXPECT_LE(still.still_for, 30s);
  EXPECT_FALSE(still.waits_for_consent);
  EXPECT_EQ(world.core.standing("s0004")->still_for, 0s);
  // One is evicted, and that is all that may be within a minute.
  const auto evicted = world.read_until(b0 + 100s);
  ASSERT_THAT(evicted, SizeIs(1));
  const std::string other = evicted[0] == "s0002" ? "s0003" : "s0002";
  EXPECT_EQ(world.core.standing(evicted[0]), std::nullopt);
  EXPECT_TRUE(world.core.standing(other)->waits_for_consent);
  EXPECT_FALSE(world.core.standing("s0004")->waits_for_consent);
}

TEST(EvictionCore, NamesTheCounterThatItHasSeen) {
  World world{2};
  (void)world.read();
  world.dead = {2};
  world.dead_counter = 17;
  (void)world.read_until(b0 + 75s);
  EXPECT_EQ(world.last, (Evict{"s0002", 17}));
}

TEST(EvictionCore, ReadsOftenEnoughForAnUnbrokenSeries) {
  World world{2};
  (void)world.read();
  for (int i = 0; i < 100; ++i) {
    const BootTime before = world.now;
    world.now = world.core.wake_at();
    EXPECT_GE(world.now - before, 1875ms);
    EXPECT_LE(world.now - before, 2500ms);
    (void)world.read();
  }
}

TEST(EvictionCore, BeginsAgainIfTheCounterMoves) {
  World world{2};
  world.dead = {2};
  (void)world.read_until(b0 + 58s);
  world.dead = {};
  (void)world.read_until(b0 + 63s);
  world.dead = {2};
  EXPECT_THAT(world.read_until(b0 + 120s), IsEmpty());
  EXPECT_THAT(world.read_until(b0 + 135s), ElementsAre("s0002"));
}

TEST(EvictionCore, BeginsAgainIfAReadFails) {
  World world{2};
  world.dead = {2};
  (void)world.read_until(b0 + 58s);
  world.now = world.core.wake_at();
  const auto reads = world.core.on_time(world.now);
  world.core.on_read_failed(std::get<Read>(reads.at(0)).number, world.now);
  const BootTime failed = world.now;
  EXPECT_THAT(world.read_until(failed + 64s), IsEmpty());
  EXPECT_THAT(world.read_until(failed + 73s), ElementsAre("s0002"));
}

TEST(EvictionCore, BeginsAgainIfAReadIsNotAnswered) {
  World world{2};
  world.dead = {2};
  (void)world.read_until(b0 + 58s);
  world.now = world.core.wake_at();
  const auto reads = world.core.on_time(world.now);
  EXPECT_EQ(world.core.wake_at(), world.now + 6s);
  EXPECT_THAT(world.core.on_time(world.now + 6s), IsEmpty());
  EXPECT_THAT(world.core.on_read(std::get<Read>(reads.at(0)).number,
                                 {row(1, 1), row(2, 0)}, world.now + 7s),
              IsEmpty());
  const BootTime failed = world.now + 6s;
  EXPECT_THAT(world.read_until(failed + 64s), IsEmpty());
  EXPECT_THAT(world.read_until(failed + 73s), ElementsAre("s0002"));
}

TEST(EvictionCore, BeginsAgainAfterAGapBetweenReads) {
  World world{2};
  world.dead = {2};
  (void)world.read_until(b0 + 58s);
  world.now += 10s + 1ns;
  const BootTime late = world.now;
  EXPECT_THAT(world.read(), IsEmpty());
  EXPECT_THAT(world.read_until(late + 62s - 1ns), IsEmpty());
  EXPECT_THAT(world.read_until(late + 67s), ElementsAre("s0002"));
}

TEST(EvictionCore, TakesAGapOfASixthOfTheTimeToLive) {
  World world{2};
  world.dead = {2};
  (void)world.read();
  for (int i = 1; i <= 6; ++i) {
    world.now += 10s;
    EXPECT_THAT(world.read(), IsEmpty());
  }
  world.now += 10s;
  EXPECT_THAT(world.read(), SizeIs(1));
}

TEST(EvictionCore, WithoutARightOfItsOwnItLooksNowAndThenAndEvictsNobody) {
  World world{2};
  world.dead = {2};
  world.core.on_right(false);
  const std::uint64_t begin = world.counter;
  EXPECT_THAT(world.read_until(b0 + 1h), IsEmpty());
  const Duration ttl = LeaseTerms{}.ttl;
  EXPECT_LE(world.counter - begin, 1h / (ttl * 3 / 4) + 2);
  EXPECT_GE(world.core.standing("s0002")->still_for, 1h - 2 * ttl);
  world.now = b0 + 1h;
  world.core.on_right(true);
  EXPECT_LE(world.core.wake_at(), world.now) << "it has seen too little";
  EXPECT_THAT(world.read_until(b0 + 1h + 55s), IsEmpty());
  EXPECT_THAT(world.read_until(b0 + 1h + 70s), ElementsAre("s0002"));
}

TEST(EvictionCore, BeginsAgainOnceItHasItsRightBack) {
  World world{2};
  world.dead = {2};
  (void)world.read_until(b0 + 58s);
  world.core.on_right(false);
  world.core.on_right(true);
  EXPECT_THAT(world.read_until(b0 + 115s), IsEmpty());
  EXPECT_THAT(world.read_until(b0 + 130s), ElementsAre("s0002"));
}

TEST(EvictionCore, BeginsAgainIfItDoesNotKnowWhatBecameOfAnEviction) {
  World world{2};
  world.dead = {2};
  (void)world.read();
  std::size_t evictions = 0;
  while (world.now < b0 + 122s) {
    world.now = world.core.wake_at();
    if (world.read().empty())
      continue;
    ++evictions;
    world.core.on_eviction_failed();
  }
  EXPECT_EQ(evictions, 1U);
}

TEST(EvictionCore, DoesNotEvictItself) {
  World world{2};
  world.dead = {1};
  EXPECT_THAT(world.read_until(b0 + 5min), IsEmpty());
}

TEST(EvictionCore, TakesTurnsInTheOrderOfTheRing) {
  const auto order = ring(5)->clockwise(to_string(node_id(5)), 5);
  Duration turn{0};
  for (const NodeId& self : order) {
    if (self == node_id(5))
      continue;
    World world{5, self};
    world.dead = {5};
    EXPECT_THAT(world.read_until(b0 + 62s + turn - 1ns), IsEmpty());
    EXPECT_THAT(world.read_until(b0 + 63s + turn), ElementsAre("s0005"));
    turn += 2500ms;
  }
}

TEST(EvictionCore, PassesOverNodesThatStandStillThemselves) {
  const auto order = ring(15)->clockwise(to_string(node_id(15)), 3);
  ASSERT_THAT(order, Not(Contains(node_id(15))));
  World world{15, order[2]};
  world.core.on_consent(b0 + 10min);
  world.dead = {15, order[0].bytes[15], order[1].bytes[15]};
  EXPECT_THAT(world.read_until(b0 + 67s - 1ns), Contains("s0015"));
}

TEST(EvictionCore, WatchesOnlyOnSomeNodesOfALargeCluster) {
  std::uint32_t watching = 0;
  for (std::uint32_t n = 1; n <= 100; ++n) {
    World world{100, node_id(n)};
    (void)world.read();
    watching += world.core.is_watching() ? 1U : 0U;
    EXPECT_GE(world.core.wake_at(),
              b0 + (world.core.is_watching() ? 1875ms : 45s));
  }
  EXPECT_EQ(watching, 16U);
}

TEST(EvictionCore, WatchesInPlaceOfOneThatStandsStill) {
  const auto order = ring(100)->clockwise("watch", 17);
  World world{100, order[16]};
  (void)world.read();
  EXPECT_FALSE(world.core.is_watching());
  world.dead = {order[4].bytes[15]};
  EXPECT_THAT(world.read_until(b0 + 6min), SizeIs(1));
  EXPECT_TRUE(world.core.is_watching());
}

TEST(EvictionCore, EvictsATenthOfTheNodesInAMinute) {
  World world{15};
  world.core.on_ring(ring(1));  // Always the turn of node 1.
  for (std::uint32_t n = 2; n <= 15; ++n)
    world.dead.insert(n);
  EXPECT_THAT(world.read_until(b0 + 67s), ElementsAre("s0002"));
  EXPECT_THAT(world.asked, ElementsAre(13));
  EXPECT_THAT(world.read_until(b0 + 121s), IsEmpty());
  EXPECT_THAT(world.read_until(b0 + 137s), ElementsAre("s0003"));
  EXPECT_THAT(world.asked, ElementsAre(13));
}

TEST(EvictionCore, EvictsTwoOfTwentyInAMinute) {
  World world{20};
  world.core.on_ring(ring(1));
  world.dead = {2, 3, 4};
  EXPECT_THAT(world.read_until(b0 + 121s), ElementsAre("s0002", "s0003"));
}

TEST(EvictionCore, CountsWhatOthersEvict) {
  World world{15};
  world.core.on_ring(ring(1));
  world.dead = {2};
  (void)world.read_until(b0 + 55s);
  world.gone = {3};
  EXPECT_THAT(world.read_until(b0 + 110s), IsEmpty());
  EXPECT_THAT(world.asked, ElementsAre(1));
  EXPECT_THAT(world.read_until(b0 + 130s), ElementsAre("s0002"));
}

TEST(EvictionCore, EvictsBeyondTheLimitWithConsent) {
  World world{15};
  world.core.on_ring(ring(1));
  for (std::uint32_t n = 2; n <= 15; ++n)
    world.dead.insert(n);
  (void)world.read_until(b0 + 67s);
  world.core.on_consent(b0 + 10min);
  EXPECT_THAT(world.read_until(b0 + 80s), SizeIs(13));
}

TEST(EvictionCore, DoesNotCountNodesThatLeaveOrStartAgain) {
  EvictionCore core{{.self = node_id(1)}};
  core.on_right(true);
  core.on_ring(ring(1));
  SessionRow drains = row(3, 5);
  drains.is_draining = true;
  SessionRow restarted = row(4, 1);
  restarted.session = "another";
  std::size_t evictions = 0;
  std::uint64_t counter = 1;
  for (BootTime now = b0; now <= b0 + 70s; now = core.wake_at()) {
    const auto reads = core.on_time(now);
    std::vector<SessionRow> rows{row(1, ++counter), row(2, 7)};
    if (now < b0 + 40s) {
      rows.push_back(drains);
      rows.push_back(row(4, counter));
    } else {
      rows.push_back(restarted);
    }
    evictions +=
        core.on_read(std::get<Read>(reads.at(0)).number, rows, now).size();
  }
  EXPECT_EQ(evictions, 1U);
}

}  // namespace
}  // namespace troupe::distributed
