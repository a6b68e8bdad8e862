#include "node_ids.hpp"
#include "time_zero.hpp"

#include <troupe/distributed/shard_claims_core.hpp>

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace troupe::distributed {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Claims = ShardClaimsCore;
using Action = Claims::Action;
using Look = Claims::Look;
using Claim = Claims::Claim;
using Release = Claims::Release;
using AskPeer = Claims::AskPeer;
using Offer = Claims::Offer;

/// Tasks `from` to `from + count - 1` of a shard, each in its first attempt.
std::vector<ClaimedTask> tasks(std::uint64_t from, std::uint32_t count,
                               std::uint32_t shard) {
  std::vector<ClaimedTask> all;
  for (std::uint32_t i = 0; i < count; ++i)
    all.push_back({from + i, 1, shard});
  return all;
}

/// With four slots, and shards 1, 2 and 3; it has asked which have something.
Claims core_with_shards() {
  Claims core{{.slots = 4, .seed = 7}};
  (void)core.on_right(true, t0);
  (void)core.on_shards({1, 2, 3}, t0);
  return core;
}

/// The same, with nothing to be found at home.
Claims hungry_core() {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {}, t0);
  EXPECT_EQ(core.steal_phase(), StealPhase::hungry);
  return core;
}

/// The same at the moment when it bothers others; its own shards are empty.
Claims::Actions wake_hungry(Claims& core) {
  while (true) {
    const TimePoint now = core.wake_at().value();
    for (const Action& action : core.on_time(now)) {
      const auto* own = std::get_if<Look>(&action);
      if (own == nullptr || own->is_foreign)
        return {action};
      (void)core.on_looked(own->number, {}, now);
    }
  }
}

TEST(ShardClaims, AsksNothingWithoutARight) {
  Claims core{{.slots = 4}};
  EXPECT_THAT(core.on_shards({1, 2, 3}, t0), IsEmpty());
  EXPECT_EQ(core.wake_at(), std::nullopt);
  EXPECT_THAT(core.on_right(true, t0), ElementsAre(Action{Look{1, false}}));
}

TEST(ShardClaims, ClaimsTwiceAsManyTasksAsThereAreSlots) {
  Claims core = core_with_shards();
  EXPECT_THAT(core.on_looked(1, {2}, t0), ElementsAre(Action{Claim{2, 2, 8}}));
}

TEST(ShardClaims, ClaimsNoMoreThanAnEvictionCanPutBack) {
  Claims core{{.slots = 5000, .batch = 3000}};
  (void)core.on_right(true, t0);
  (void)core.on_shards({1}, t0);
  EXPECT_THAT(core.on_looked(1, {1}, t0),
              ElementsAre(Action{Claim{2, 1, 2000}}));
}

TEST(ShardClaims, ClaimsInBatches) {
  Claims core{{.slots = 500}};
  (void)core.on_right(true, t0);
  (void)core.on_shards({1}, t0);
  EXPECT_THAT(core.on_looked(1, {1}, t0),
              ElementsAre(Action{Claim{2, 1, 100}}));
  EXPECT_THAT(core.on_claimed(2, tasks(1, 100, 1), t0),
              ElementsAre(Action{Claim{3, 1, 100}}));
}

TEST(ShardClaims, HasOneClaimOnItsWayAtATime) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  EXPECT_THAT(core.on_hint(3, t0), IsEmpty());
  EXPECT_THAT(core.on_claimed(2, tasks(1, 1, 2), t0),
              ElementsAre(Action{Claim{3, 3, 7}}));
}

TEST(ShardClaims, FillsUpOnceHalfIsGone) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  EXPECT_THAT(core.on_claimed(2, tasks(1, 8, 2), t0), IsEmpty());
  for (std::uint64_t task = 1; task <= 3; ++task)
    EXPECT_THAT(core.on_started(task, t0), IsEmpty());
  EXPECT_THAT(core.on_started(4, t0), ElementsAre(Action{Claim{3, 2, 4}}));
  EXPECT_EQ(core.running(), 4U);
}

TEST(ShardClaims, LetsItsShardsTakeTurns) {
  Claims core{{.slots = 4, .batch = 2}};
  (void)core.on_right(true, t0);
  (void)core.on_shards({1, 2}, t0);
  (void)core.on_hint(1, t0);
  EXPECT_THAT(core.on_hint(2, t0), IsEmpty());
  EXPECT_THAT(core.on_claimed(2, tasks(1, 2, 1), t0),
              ElementsAre(Action{Claim{3, 2, 2}}));
  EXPECT_THAT(core.on_claimed(3, tasks(3, 2, 2), t0),
              ElementsAre(Action{Claim{4, 1, 2}}));
}

TEST(ShardClaims, LeavesAShardThatHadLessThanWasAskedFor) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  EXPECT_THAT(core.on_claimed(2, tasks(1, 3, 2), t0), IsEmpty());
  EXPECT_FALSE(core.has_backlog());
}

TEST(ShardClaims, LooksEverySecondWhileItHasRoom) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {}, t0);
  (void)core.on_found(tasks(1, 1, 2), t0);
  const TimePoint next = core.wake_at().value();
  EXPECT_GE(next, t0 + 750ms);
  EXPECT_LE(next, t0 + 1s);
  EXPECT_THAT(core.on_time(next - 1ns), IsEmpty());
  EXPECT_THAT(core.on_time(next), ElementsAre(Action{Look{2, false}}));
}

TEST(ShardClaims, DoesNotLookWhileItIsFull) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  (void)core.on_claimed(2, tasks(1, 8, 2), t0);
  EXPECT_EQ(core.wake_at(), std::nullopt);
  EXPECT_THAT(core.on_time(t0 + 1h), IsEmpty());
}

TEST(ShardClaims, ClaimsAtOnceWhenItHearsOfSomething) {
  Claims core = hungry_core();
  EXPECT_THAT(core.on_hint(3, t0), ElementsAre(Action{Claim{2, 3, 8}}));
  EXPECT_EQ(core.steal_phase(), StealPhase::content);
}

TEST(ShardClaims, IgnoresHintsAboutShardsOfOthers) {
  Claims core = hungry_core();
  EXPECT_THAT(core.on_hint(4, t0), IsEmpty());
}

TEST(ShardClaims, StopsClaimingFromAShardThatItLoses) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  (void)core.on_claimed(2, tasks(1, 8, 2), t0);
  EXPECT_THAT(core.on_shards({1, 3}, t0), IsEmpty());
  EXPECT_EQ(core.waiting(), 8U);  // What it has stays.
  EXPECT_FALSE(core.has_backlog());
}

TEST(ShardClaims, LooksAtOnceIntoShardsThatItGets) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {}, t0);
  EXPECT_THAT(core.on_shards({1, 2, 3, 4}, t0 + 1ms),
              ElementsAre(Action{Look{2, false}}));
}

TEST(ShardClaims, GivesEverythingBackThatHasNotStartedWhenItDrains) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  (void)core.on_claimed(2, tasks(1, 3, 2), t0);
  (void)core.on_started(1, t0);
  EXPECT_THAT(core.on_drain(t0),
              ElementsAre(Action{Release{{{3, 1, 2}, {2, 1, 2}}}}));
  EXPECT_EQ(core.waiting(), 0U);
  EXPECT_EQ(core.running(), 1U);
  EXPECT_EQ(core.wake_at(), std::nullopt);
}

TEST(ShardClaims, GivesBackWhatAClaimBringsAfterTheDrainBegan) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  (void)core.on_drain(t0);
  EXPECT_THAT(core.on_claimed(2, tasks(1, 1, 2), t0),
              ElementsAre(Action{Release{{{1, 1, 2}}}}));
}

TEST(ShardClaims, GivesBackTheNewestIfThereAreFewerSlots) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  (void)core.on_claimed(2, tasks(1, 8, 2), t0);
  EXPECT_THAT(core.on_slots(3, t0),
              ElementsAre(Action{Release{{{8, 1, 2}, {7, 1, 2}}}}));
}

TEST(ShardClaims, ForgetsEverythingOnceItIsEvicted) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  (void)core.on_found(tasks(11, 2, 1), t0);
  core.on_evicted();
  EXPECT_EQ(core.waiting(), 0U);
  EXPECT_THAT(core.on_claimed(2, tasks(1, 8, 2), t0), IsEmpty());
  EXPECT_EQ(core.waiting(), 0U);
}

TEST(ShardClaims, KeepsWhatItHasWhileItsRightHasLapsed) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  (void)core.on_claimed(2, tasks(1, 2, 2), t0);
  EXPECT_THAT(core.on_right(false, t0), IsEmpty());
  EXPECT_EQ(core.waiting(), 2U);
  EXPECT_EQ(core.wake_at(), std::nullopt);
}

TEST(ShardClaims, FindsWhatAClaimWithoutAnAnswerHasClaimed) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {2}, t0);
  EXPECT_THAT(core.on_failed(2, t0), IsEmpty());
  (void)core.on_found(tasks(1, 2, 2), t0 + 10ms);
  (void)core.on_found(tasks(1, 2, 2), t0 + 20ms);
  EXPECT_EQ(core.waiting(), 2U);
}

TEST(ShardClaims, LooksBeforeItClaimsAgainAfterAFailure) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {1, 2, 3}, t0);
  EXPECT_THAT(core.on_failed(2, t0), IsEmpty());
  EXPECT_THAT(core.on_time(core.wake_at().value()),
              ElementsAre(Action{Look{3, false}}));
}

TEST(ShardClaims, AsksTheTwoBusiestPeersWhenItHasNothing) {
  Claims core = hungry_core();
  core.on_loads({{.node = node_id(1), .slots = 4, .waiting = 8},
                 {.node = node_id(2), .slots = 2, .waiting = 2},
                 {.node = node_id(3), .slots = 8, .waiting = 17},
                 {.node = node_id(4), .slots = 8, .has_backlog = true},
                 {.node = node_id(5), .slots = 2, .waiting = 5}});
  Claims::Actions actions;
  while (actions.empty() || std::holds_alternative<Look>(actions[0])) {
    const TimePoint now = core.wake_at().value();
    actions = core.on_time(now);
    for (const Action& action : actions)
      if (const auto* look = std::get_if<Look>(&action))
        (void)core.on_looked(look->number, {}, now);
  }
  EXPECT_THAT(actions, ElementsAre(Action{AskPeer{node_id(4)}},
                                   Action{AskPeer{node_id(5)}}));
}

TEST(ShardClaims, TakesFromAPeerNoMoreThanItCanStart) {
  Claims core = hungry_core();
  core.on_loads({{.node = node_id(4), .has_backlog = true}});
  EXPECT_THAT(wake_hungry(core), ElementsAre(Action{AskPeer{node_id(4)}}));
  const auto actions = core.on_offer(node_id(4), {77, 78}, t0);
  ASSERT_THAT(actions, testing::SizeIs(1));
  const Claim claim = std::get<Claim>(actions[0]);
  EXPECT_EQ(claim.shard, 77U);
  EXPECT_EQ(claim.limit, 4U);
}

TEST(ShardClaims, GoesOnWithTheNextShardIfAnOtherWasFaster) {
  Claims core = hungry_core();
  core.on_loads({{.node = node_id(4), .has_backlog = true}});
  (void)wake_hungry(core);
  const auto first = core.on_offer(node_id(4), {77, 78}, t0);
  const auto second =
      core.on_claimed(std::get<Claim>(first.at(0)).number, {}, t0);
  ASSERT_THAT(second, testing::SizeIs(1));
  EXPECT_EQ(std::get<Claim>(second[0]).shard, 78U);
}

TEST(ShardClaims, TakesMoreFromWhereThereWasMoreOnceThatIsDone) {
  Claims core = hungry_core();
  core.on_loads({{.node = node_id(4), .has_backlog = true}});
  (void)wake_hungry(core);
  const auto first = core.on_offer(node_id(4), {77}, t0);
  (void)core.on_claimed(std::get<Claim>(first.at(0)).number, tasks(1, 4, 77),
                        t0);
  for (std::uint64_t task = 1; task <= 4; ++task)
    (void)core.on_started(task, t0);
  const auto second = core.on_ended(t0);
  ASSERT_THAT(second, testing::SizeIs(1));
  EXPECT_EQ(std::get<Claim>(second[0]).shard, 77U);
  EXPECT_EQ(std::get<Claim>(second[0]).limit, 1U);
}

TEST(ShardClaims, AsksTheStoreIfNoPeerAnswers) {
  Claims core = hungry_core();
  core.on_loads({{.node = node_id(4), .has_backlog = true}});
  EXPECT_THAT(wake_hungry(core), ElementsAre(Action{AskPeer{node_id(4)}}));
  const auto actions = wake_hungry(core);
  EXPECT_TRUE(std::get<Look>(actions.at(0)).is_foreign);
  EXPECT_EQ(core.steal_phase(), StealPhase::looking);
}

TEST(ShardClaims, AsksTheStoreIfThePeersHaveNothing) {
  Claims core = hungry_core();
  core.on_loads({{.node = node_id(4), .has_backlog = true}});
  (void)wake_hungry(core);
  const auto actions = core.on_offer(node_id(4), {}, t0);
  EXPECT_TRUE(std::get<Look>(actions.at(0)).is_foreign);
}

TEST(ShardClaims, AsksTheStoreAtOnceIfNoPeerIsBusy) {
  Claims core = hungry_core();
  const auto actions = wake_hungry(core);
  EXPECT_TRUE(std::get<Look>(actions.at(0)).is_foreign);
}

TEST(ShardClaims, AsksMoreAndMoreRarelyWhileThereIsNothing) {
  Claims core = hungry_core();
  std::vector<Duration> pauses;
  TimePoint last = t0;
  for (int i = 0; i < 8; ++i) {
    TimePoint now = t0;
    while (core.steal_phase() == StealPhase::hungry) {
      now = core.wake_at().value();
      for (const Action& action : core.on_time(now))
        if (const auto* look = std::get_if<Look>(&action);
            look != nullptr && !look->is_foreign)
          (void)core.on_looked(look->number, {}, now);
        else if (look != nullptr)
          pauses.push_back(now - std::exchange(last, now));
    }
    // The number of the look abroad is the last one that was given out.
    for (std::uint64_t number = 1; number < 200; ++number)
      (void)core.on_looked(number, {}, now);
  }
  ASSERT_THAT(pauses, testing::SizeIs(8));
  EXPECT_LE(pauses[0], 1s);
  EXPECT_GE(pauses[7], 22s);
  EXPECT_LE(pauses[7], 30s);
}

TEST(ShardClaims, OffersWhatWaitsInTheStoreFirst) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {1, 2, 3}, t0);
  const auto actions = core.on_peer_asks(node_id(9), t0);
  ASSERT_THAT(actions, testing::SizeIs(1));
  const Offer offer = std::get<Offer>(actions[0]);
  EXPECT_EQ(offer.peer, node_id(9));
  EXPECT_THAT(offer.shards, testing::SizeIs(2));  // One is being claimed from.
}

TEST(ShardClaims, GivesBackForAPeerWhatExceedsItsSlots) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {}, t0);
  (void)core.on_found(tasks(1, 3, 1), t0);
  (void)core.on_found(tasks(4, 3, 2), t0);
  EXPECT_THAT(core.on_peer_asks(node_id(9), t0),
              ElementsAre(Action{Release{{{6, 1, 2}, {5, 1, 2}}}},
                          Action{Offer{node_id(9), {2}}}));
  EXPECT_EQ(core.waiting(), 4U);
}

TEST(ShardClaims, LeavesToThePeerWhatItGaveBackForIt) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {}, t0);
  (void)core.on_found(tasks(1, 6, 1), t0);
  (void)core.on_peer_asks(node_id(9), t0 + 1s);
  EXPECT_THAT(core.on_hint(1, t0 + 1s), IsEmpty());
  EXPECT_EQ(core.wake_at(), t0 + 2s);
  EXPECT_THAT(
      core.on_time(t0 + 2s),
      UnorderedElementsAre(Action{Claim{2, 1, 4}}, Action{Look{3, false}}));
}

TEST(ShardClaims, OffersNothingThatItNeedsItself) {
  Claims core = core_with_shards();
  (void)core.on_looked(1, {}, t0);
  (void)core.on_found(tasks(1, 4, 1), t0);
  EXPECT_THAT(core.on_peer_asks(node_id(9), t0),
              ElementsAre(Action{Offer{node_id(9), {}}}));
}

TEST(StealPhase, HasNamesForMetrics) {
  EXPECT_EQ(to_string(StealPhase::content), "content");
  EXPECT_EQ(to_string(StealPhase::hungry), "hungry");
  EXPECT_EQ(to_string(StealPhase::asking), "asking");
  EXPECT_EQ(to_string(StealPhase::looking), "looking");
  EXPECT_EQ(to_string(StealPhase::taking), "taking");
}

/// A few nodes over a store that is no more than a map: some shards have two
/// owners and some none, hints and answers get lost, nodes come and go.
class Cluster {
 public:
  static constexpr std::uint32_t shards = 12;

  explicit Cluster(std::uint64_t seed) : random_{seed} {
    for (std::uint32_t n = 0; n < 4; ++n) {
      cores_.push_back(Claims{{.slots = 1 + n, .batch = 4, .seed = n}});
      held_.emplace_back();
      (void)cores_.back().on_right(true, now_);
      deal();
    }
  }

  void step() {
    now_ += std::chrono::milliseconds{random_.next() % 300};
    const std::size_t n = random_.next() % cores_.size();
    Claims& core = cores_[n];
    switch (random_.next() % 16) {
      case 0:
      case 1:
        submit();
        break;
      case 2:
        deal();
        break;
      case 3:
        obey(n, core.on_right(random_.next() % 4 != 0, now_));
        break;
      case 4:
        obey(n, core.on_slots(
                    1 + static_cast<std::uint32_t>(random_.next() % 4), now_));
        break;
      case 5: {
        const auto peer = static_cast<std::uint32_t>(random_.next() % 4);
        obey(n, core.on_peer_asks(node_id(peer), now_));
        break;
      }
      default:
        work(n);
        break;
    }
  }

  /// No more faults; everybody works until nothing is left.
  void finish() {
    loses_ = false;
    for (std::size_t n = 0; n < cores_.size(); ++n)
      obey(n, cores_[n].on_right(true, now_));
    for (int i = 0; i < 4000 && !is_done(); ++i) {
      now_ += 50ms;
      for (std::size_t n = 0; n < cores_.size(); ++n)
        work(n);
    }
  }

  [[nodiscard]] bool is_done() const {
    return ready_.empty() &&
           std::all_of(held_.begin(), held_.end(),
                       [](const auto& held) { return held.empty(); });
  }

 private:
  void submit() {
    const auto shard = static_cast<std::uint32_t>(random_.next() % shards);
    for (std::uint64_t i = random_.next() % 12; i > 0; --i)
      ready_.insert({shard, ++last_task_});
    const std::size_t n = random_.next() % cores_.size();
    obey(n, cores_[n].on_hint(shard, now_));
  }

  /// New views, not the same for all.
  void deal() {
    for (std::size_t n = 0; n < cores_.size(); ++n) {
      std::vector<std::uint32_t> own;
      for (std::uint32_t shard = 0; shard < shards; ++shard)
        if (random_.next() % 4 == 0)
          own.push_back(shard);
      owned_.resize(cores_.size());
      owned_[n] = own;
      obey(n, cores_[n].on_shards(own, now_));
    }
  }

  /// One task starts or ends, and time passes.
  void work(std::size_t n) {
    Claims& core = cores_[n];
    obey(n, core.on_time(now_));
    if (core.running() > 0) {
      obey(n, core.on_ended(now_));
    } else if (!held_[n].empty()) {
      const std::uint64_t task = held_[n].begin()->first;
      held_[n].erase(task);
      obey(n, core.on_started(task, now_));
    }
    if (random_.next() % 4 == 0)  // What the store lists as its own.
      obey(n, core.on_found(list(n), now_));
  }

  [[nodiscard]] std::vector<ClaimedTask> list(std::size_t n) const {
    std::vector<ClaimedTask> all;
    for (const auto& [task, shard] : held_[n])
      all.push_back({task, 1, shard});
    return all;
  }

  void obey(std::size_t n, const Claims::Actions& actions) {
    std::size_t claims = 0;
    for (const Action& action : actions) {
      if (const auto* look = std::get_if<Look>(&action)) {
        on_look(n, *look);
      } else if (const auto* claim = std::get_if<Claim>(&action)) {
        ++claims;
        on_claim(n, *claim);
      } else if (const auto* release = std::get_if<Release>(&action)) {
        for (const ClaimedTask& task : release->tasks) {
          RC_ASSERT(held_[n].erase(task.task) == 1U);
          ready_.insert({task.shard, task.task});
        }
      }
    }
    RC_ASSERT(claims <= 1U);
    RC_ASSERT(cores_[n].waiting() <= cores_[n].waiting_limit());
  }

  void on_look(std::size_t n, const Look& look) {
    if (loses_ && random_.next() % 4 == 0) {
      obey(n, cores_[n].on_failed(look.number, now_));
      return;
    }
    std::set<std::uint32_t> found;
    for (const auto& [shard, task] : ready_)
      if (std::binary_search(owned_[n].begin(), owned_[n].end(), shard) !=
          look.is_foreign)
        found.insert(shard);
    obey(n,
         cores_[n].on_looked(look.number, {found.begin(), found.end()}, now_));
  }

  void on_claim(std::size_t n, const Claim& claim) {
    RC_ASSERT(claim.limit >= 1U);
    std::vector<ClaimedTask> claimed;
    for (auto it = ready_.lower_bound({claim.shard, 0});
         it != ready_.end() && it->first == claim.shard &&
         claimed.size() < claim.limit;
         it = ready_.erase(it)) {
      claimed.push_back({it->second, 1, claim.shard});
      held_[n].emplace(it->second, claim.shard);
    }
    if (loses_ && random_.next() % 4 == 0)
      obey(n, cores_[n].on_failed(claim.number, now_));
    else
      obey(n, cores_[n].on_claimed(claim.number, claimed, now_));
  }

  Random random_;
  TimePoint now_ = t0;
  bool loses_ = true;
  std::vector<Claims> cores_;
  std::vector<std::vector<std::uint32_t>> owned_;
  std::vector<std::map<std::uint64_t, std::uint32_t>> held_;
  std::set<std::pair<std::uint32_t, std::uint64_t>> ready_;
  std::uint64_t last_task_ = 0;
};

RC_GTEST_PROP(ShardClaimsProperty, StaysWithinBoundsAndLeavesNothingUndone,
              ()) {
  Cluster cluster{*rc::gen::arbitrary<std::uint64_t>()};
  for (int i = 0; i < 200; ++i)
    cluster.step();
  cluster.finish();
  RC_ASSERT(cluster.is_done());
}

}  // namespace
}  // namespace troupe::distributed
