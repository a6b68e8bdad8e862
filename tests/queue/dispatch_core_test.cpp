#include <troupe/queue/dispatch_core.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <rapidcheck.h>

namespace troupe::queue {
namespace {

using store::Group;
using store::JobId;
using store::Priority;
using store::QueueHead;
using store::QueueId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Order = DispatchCore::ClaimOrder;

constexpr std::size_t much_room = 1000;

class DispatchCoreTest : public ::testing::Test {
 protected:
  explicit DispatchCoreTest(const char* capacity = "cpu=4,gpu=1")
      : core{{.capacity = *flow_control::Resources::parse(capacity)}} {}

  static QueueHead head(const QueueId& queue, std::uint64_t job = 1,
                        Priority priority = Priority::normal) {
    return {queue, priority, JobId{job}};
  }
  void groups(const std::vector<Group>& all) { core.set_groups(all, now); }
  std::vector<Order> claim(const std::vector<QueueHead>& heads) {
    auto orders = core.claims_for(heads, much_room, now);
    for (const Order& order : orders)
      core.claimed(order.queue, order.count);
    return orders;
  }
  std::optional<DispatchCore::Start> start() {
    return core.start_next(much_room, now);
  }
  Hindrance why(const QueueId& queue) {
    return core.obstacle(queue, much_room, now).kind;
  }

  DispatchCore core;
  TimePoint now{1h};
};

TEST_F(DispatchCoreTest, ClaimsWhatItsSlotsCanRun) {
  groups({{.name = "a", .slots = 2}, {.name = "b", .slots = 3}});
  EXPECT_THAT(claim({head({"a"}), head({"b"}, 2)}),
              ElementsAre(Order{{"a"}, 2}, Order{{"b"}, 3}));
  EXPECT_THAT(claim({head({"a"}), head({"b"}, 2)}), IsEmpty());
}

TEST_F(DispatchCoreTest, WhatWasClaimedBeforeItsGroupWasSeenStarts) {
  core.claimed({"a"}, 2);
  groups({{.name = "a", .slots = 5}});
  EXPECT_TRUE(start());
  EXPECT_TRUE(start());
  EXPECT_FALSE(start());
}

TEST_F(DispatchCoreTest, ASlotIsTakenUntilTheEnd) {
  groups({{.name = "a", .slots = 1}});
  claim({head({"a"})});
  const auto first = start();
  ASSERT_TRUE(first);
  EXPECT_EQ(why({"a"}), Hindrance::slots);
  core.ended(*first, DispatchCore::End::success, now);
  EXPECT_EQ(why({"a"}), Hindrance::none);
  EXPECT_THAT(claim({head({"a"})}), ElementsAre(Order{{"a"}, 1}));
}

TEST_F(DispatchCoreTest, TheHigherPriorityAndThenTheOlderJobComesFirst) {
  groups({{.name = "a", .slots = 1}});
  EXPECT_THAT(claim({head({"a"}, 5), head({"a", "gpu=1"}, 9, Priority::high)}),
              ElementsAre(Order{{"a", "gpu=1"}, 1}));
}

TEST_F(DispatchCoreTest, WhatIsTooLargeKeepsOnlyItsKindWaiting) {
  groups({{.name = "a", .slots = 9}});
  claim({head({"a", "gpu=1"}, 1)});
  ASSERT_TRUE(start());
  EXPECT_THAT(claim({head({"a", "gpu=1"}, 1), head({"a", "cpu=1"}, 2)}),
              ElementsAre(Order{{"a", "cpu=1"}, 4}));
  EXPECT_EQ(why({"a", "gpu=1"}), Hindrance::resources);
  EXPECT_EQ(why({"a", "gpu=2"}), Hindrance::never_fits);
}

TEST_F(DispatchCoreTest, WhatWaitsForLongGetsItsTurn) {
  groups({{.name = "a", .slots = 9}});
  claim({head({"a", "cpu=1"}, 1)});
  const auto small = start();
  ASSERT_TRUE(small);
  // All four processors are needed, and there is always a small task.
  claim({head({"a", "cpu=4"}, 2), head({"a", "cpu=1"}, 3)});
  now += 2min;
  EXPECT_EQ(why({"a", "cpu=1"}), Hindrance::reserved);
  EXPECT_EQ(start(), std::nullopt);
  core.ended(*small, DispatchCore::End::success, now);
  EXPECT_EQ(why({"a", "cpu=4"}), Hindrance::none);
}

TEST_F(DispatchCoreTest, GroupsGetStartsByTheirWeights) {
  groups({{.name = "a", .slots = 500, .weight = 3},
          {.name = "b", .slots = 500, .weight = 1}});
  claim({head({"a"}), head({"b"}, 2)});
  std::map<std::string, int> starts;
  for (int i = 0; i < 400; ++i)
    ++starts[start()->queue.group];
  EXPECT_NEAR(starts["a"], 300, 2);
}

TEST_F(DispatchCoreTest, OneThatHadNothingToDoDoesNotSaveUp) {
  groups({{.name = "a", .slots = 500}, {.name = "b", .slots = 500}});
  claim({head({"a"})});
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(start());
  claim({head({"a"}), head({"b"}, 2)});
  int of_b = 0;
  for (int i = 0; i < 100; ++i)
    of_b += start()->queue.group == "b" ? 1 : 0;
  EXPECT_NEAR(of_b, 50, 2);
}

TEST_F(DispatchCoreTest, AGroupStartsAsOftenAMinuteAsItMay) {
  groups({{.name = "a", .slots = 9, .starts_per_minute = 60}});
  claim({head({"a"})});
  ASSERT_TRUE(start());
  claim({head({"a"})});
  EXPECT_EQ(start(), std::nullopt);
  const auto obstacle = core.obstacle({"a"}, much_room, now);
  EXPECT_EQ(obstacle.kind, Hindrance::rate);
  EXPECT_EQ(obstacle.until, now + 1s);
  EXPECT_EQ(core.next_change(now), now + 1s);
  now += 1s;
  EXPECT_TRUE(start());
}

TEST_F(DispatchCoreTest, AGroupThatFailsPausesAndTriesOne) {
  groups({{.name = "a", .slots = 9, .break_after = 2, .break_pause = 30s}});
  claim({head({"a"})});
  const auto first = start();
  const auto second = start();
  core.ended(*first, DispatchCore::End::failure, now);
  core.ended(*second, DispatchCore::End::failure, now);
  EXPECT_EQ(core.breaker("a"), flow_control::BreakerState::open);
  EXPECT_EQ(start(), std::nullopt);
  EXPECT_EQ(why({"a"}), Hindrance::breaker);
  now += 30s;
  const auto probe = start();
  ASSERT_TRUE(probe);
  EXPECT_EQ(start(), std::nullopt);
  EXPECT_EQ(why({"a"}), Hindrance::breaker);
  core.ended(*probe, DispatchCore::End::success, now);
  EXPECT_EQ(core.breaker("a"), flow_control::BreakerState::closed);
  EXPECT_TRUE(start());
}

TEST_F(DispatchCoreTest, AProbeThatSaysNothingIsFollowedByAnother) {
  groups({{.name = "a", .slots = 9, .break_after = 1, .break_pause = 30s}});
  claim({head({"a"})});
  core.ended(*start(), DispatchCore::End::failure, now);
  now += 30s;
  core.ended(*start(), DispatchCore::End::neutral, now);
  EXPECT_TRUE(start());
}

TEST_F(DispatchCoreTest, AHeldGroupOrNodeStartsNothing) {
  groups({{.name = "a", .slots = 9}});
  claim({head({"a"})});
  groups({{.name = "a", .slots = 9, .is_held = true}});
  EXPECT_EQ(start(), std::nullopt);
  EXPECT_EQ(why({"a"}), Hindrance::group_held);
  groups({{.name = "a", .slots = 9}});
  core.hold(true);
  EXPECT_EQ(start(), std::nullopt);
  EXPECT_EQ(why({"a"}), Hindrance::node_held);
  EXPECT_THAT(core.claims_for({head({"a"})}, much_room, now), IsEmpty());
  core.hold(false);
  EXPECT_TRUE(start());
}

TEST_F(DispatchCoreTest, WithoutMemoryNothingStarts) {
  groups({{.name = "a", .slots = 9}});
  claim({head({"a"})});
  EXPECT_EQ(core.start_next(0, now), std::nullopt);
  EXPECT_EQ(core.obstacle({"a"}, 0, now).kind, Hindrance::memory);
}

TEST_F(DispatchCoreTest, ShortTasksAreClaimedAhead) {
  groups({{.name = "a", .slots = 1}});
  for (int i = 0; i < 50; ++i) {
    claim({head({"a"})});
    core.ended(*start(), DispatchCore::End::success, now);
    now += 1ms;
  }
  claim({head({"a"})});
  EXPECT_GT(core.waiting_here(), 10U);
}

TEST_F(DispatchCoreTest, WhatWasTakenOverCountsEvenBeyondTheBounds) {
  groups({{.name = "a", .slots = 1}});
  const auto first = core.adopted({"a", "gpu=1"}, now);
  const auto second = core.adopted({"a", "gpu=1"}, now);
  EXPECT_EQ(why({"a"}), Hindrance::slots);
  core.ended(first, DispatchCore::End::success, now);
  EXPECT_EQ(core.free().amount("gpu"), 0U);
  core.ended(second, DispatchCore::End::success, now);
  EXPECT_EQ(core.free(), core.capacity());
}

// -- Slots of several nodes
// ----------------------------------------------------

TEST_F(DispatchCoreTest, OfSlotsOfAllNodesItClaimsWhatOthersLeave) {
  groups({{.name = "a", .slots = 4}});
  core.share("a", 3);
  EXPECT_THAT(claim({head({"a"}), head({"a", "cpu=1"}, 2)}),
              ElementsAre(Order{{"a"}, 1}));
  EXPECT_TRUE(start());
  core.share("a", 4);
  EXPECT_TRUE(core.is_full("a"));
  EXPECT_THAT(claim({head({"a"})}), IsEmpty());
  EXPECT_EQ(why({"a"}), Hindrance::slots);
  // More than there are, of a node that does not know or of fewer slots.
  core.share("a", 9);
  EXPECT_THAT(claim({head({"a"})}), IsEmpty());
}

TEST_F(DispatchCoreTest, OfSlotsOfAllNodesNothingIsClaimedThatDoesNotStart) {
  groups({{.name = "a", .slots = 9}, {.name = "b", .slots = 9}});
  core.share("a", 0);
  claim({head({"b", "cpu=3"})});
  // One processor is left by what waits here already.
  EXPECT_THAT(claim({head({"a", "cpu=1"})}),
              ElementsAre(Order{{"a", "cpu=1"}, 1}));
  core.given_back({"a", "cpu=1"}, 1);
  EXPECT_THAT(core.claims_for({head({"a"})}, /*room=*/3, now),
              ElementsAre(Order{{"a"}, 2}));
  EXPECT_THAT(core.claims_for({head({"a"})}, /*room=*/0, now), IsEmpty());
}

TEST_F(DispatchCoreTest, OfSlotsOfAllNodesShortTasksAreNotClaimedAhead) {
  groups({{.name = "a", .slots = 1}});
  for (int i = 0; i < 50; ++i) {
    core.share("a", 0);
    EXPECT_THAT(claim({head({"a"})}), ElementsAre(Order{{"a"}, 1}));
    core.ended(*start(), DispatchCore::End::success, now);
    now += i == 0 ? Duration{2s} : Duration{1ms};
  }
  EXPECT_EQ(core.waiting_here(), 0U);
}

TEST_F(DispatchCoreTest, NothingIsKeptForWhatWaitsForASlotOfAnotherNode) {
  groups({{.name = "a", .slots = 2}, {.name = "b", .slots = 9}});
  claim({head({"b", "cpu=1"})});
  ASSERT_TRUE(start());
  const auto look = [&](std::uint64_t claimed) {
    core.share("a", claimed);
    (void)core.claims_for({head({"a", "cpu=4"}, 1), head({"b", "cpu=1"}, 2)},
                          much_room, now);
  };
  look(2);
  now += 2min;
  EXPECT_EQ(why({"b", "cpu=1"}), Hindrance::none);
  groups({{.name = "a", .slots = 2}, {.name = "b", .slots = 9}});
  look(1);
  EXPECT_EQ(why({"b", "cpu=1"}), Hindrance::reserved);
}

TEST_F(DispatchCoreTest, ASlotThatAllNodesWantIsLeftToOthersNowAndThen) {
  groups({{.name = "a", .slots = 1}});
  const auto run_one = [&](std::uint64_t claimed) {
    core.share("a", claimed);
    claim({head({"a"})});
    const auto one = start();
    if (one)
      core.ended(*one, DispatchCore::End::success, now);
    return one.has_value();
  };
  EXPECT_TRUE(run_one(0));
  EXPECT_FALSE(run_one(0));
  EXPECT_EQ(why({"a"}), Hindrance::slots);
  const auto next = core.next_change(now);
  ASSERT_TRUE(next);
  EXPECT_LE(*next - now, 2s);
  EXPECT_GT(*next - now, 1s);
  now = *next;
  while (now < TimePoint{1h} + 30s) {
    EXPECT_TRUE(run_one(0));
    now += 1s;
  }
  EXPECT_TRUE(run_one(0));
  EXPECT_FALSE(run_one(0));
}

// -- What is spread over nodes ------------------------------------------------

const QueueId spread_by_two{"a", "spread-00000000000000ab=2"};

TEST_F(DispatchCoreTest, OfWhatIsSpreadItClaimsItsShareAndThenMoreAndMore) {
  groups({{.name = "a", .slots = 100}});
  EXPECT_THAT(claim({head(spread_by_two)}),
              ElementsAre(Order{spread_by_two, 2}));
  EXPECT_THAT(claim({head(spread_by_two)}), IsEmpty());
  for (const std::uint32_t more : {1U, 2U, 4U, 8U}) {
    const auto next = core.next_change(now);
    ASSERT_TRUE(next);
    now = *next - 1ns;
    EXPECT_THAT(claim({head(spread_by_two)}), IsEmpty());
    now += 1ns;
    EXPECT_THAT(claim({head(spread_by_two)}),
                ElementsAre(Order{spread_by_two, more}));
  }
  EXPECT_EQ(now, TimePoint{1h} + 4800ms);
}

TEST_F(DispatchCoreTest, WhileItHasNoRoomItIsNotHeldBackFromWhatIsSpread) {
  groups({{.name = "a", .slots = 1}});
  claim({head({"a"})});
  const auto other = start();
  ASSERT_TRUE(other);
  EXPECT_THAT(claim({head(spread_by_two)}), IsEmpty());
  EXPECT_EQ(core.next_change(now), std::nullopt);
  now += 1h;
  core.ended(*other, DispatchCore::End::success, now);
  groups({{.name = "a", .slots = 100}});
  EXPECT_THAT(claim({head(spread_by_two)}),
              ElementsAre(Order{spread_by_two, 2}));
  EXPECT_THAT(claim({head(spread_by_two)}), IsEmpty());
}

TEST_F(DispatchCoreTest, ItsShareIsNotMoreBecauseTasksAreShort) {
  groups({{.name = "a", .slots = 100}});
  claim({head(spread_by_two)});
  while (const auto one = start())
    core.ended(*one, DispatchCore::End::success, now);
  EXPECT_THAT(claim({head(spread_by_two)}), IsEmpty());
}

TEST_F(DispatchCoreTest, WhatRunsHereOfItIsOfItsShareWheneverMoreComes) {
  groups({{.name = "a", .slots = 100}});
  claim({head(spread_by_two)});
  const auto first = start();
  ASSERT_TRUE(first && start());
  claim({});  // Nothing waits any more.
  now += 1h;
  EXPECT_THAT(claim({head(spread_by_two)}), IsEmpty());
  core.ended(*first, DispatchCore::End::success, now);
  EXPECT_THAT(claim({head(spread_by_two)}),
              ElementsAre(Order{spread_by_two, 1}));
}

TEST_F(DispatchCoreTest, WhatIsGivenBackIsStillOfItsShare) {
  groups({{.name = "a", .slots = 100}});
  claim({head(spread_by_two)});
  core.given_back(spread_by_two, 1);
  EXPECT_THAT(claim({head(spread_by_two)}),
              ElementsAre(Order{spread_by_two, 1}));
}

TEST_F(DispatchCoreTest, NoNodeNeedsToHaveWhatSpreadTasksAreKnownBy) {
  const QueueId queue{"a", "cpu=3,spread-00000000000000ab=2"};
  groups({{.name = "a", .slots = 100}});
  EXPECT_EQ(why(queue), Hindrance::none);
  EXPECT_THAT(claim({head(queue)}), ElementsAre(Order{queue, 1}));
  ASSERT_TRUE(start());
  EXPECT_EQ(core.free().text(), "cpu=1,gpu=1");
  EXPECT_EQ(why(queue), Hindrance::resources);
}

TEST_F(DispatchCoreTest, ASlotThatNobodyWaitsForIsNotLeftToOthers) {
  groups({{.name = "a", .slots = 2}});
  for (int i = 0; i < 3; ++i) {
    core.share("a", 0);
    core.claimed({"a"}, 1);
    const auto one = start();
    ASSERT_TRUE(one);
    core.ended(*one, DispatchCore::End::success, now);
    EXPECT_EQ(why({"a"}), Hindrance::none);
  }
}

/// Nodes that share one store with one group. Each looks once a second, at a
/// moment of its own, and as soon as something of it has ended.
class SharedSlots {
 public:
  static constexpr std::uint64_t slots = 3;
  static constexpr const char* group = "licence";

  /// So many tasks, each for `length`, that the node of this number can run, or
  /// all.
  struct Work {
    QueueId queue;
    int count = 0;
    Duration length{};
  };

  explicit SharedSlots(int count) {
    for (int i = 0; i < count; ++i)
      nodes_.push_back(
          {DispatchCore{{.capacity = *flow_control::Resources::parse(
                             fmt::format("on-n{}=1000,cpu=2", i))}}});
  }

  void submit(const Work& work) { waiting_.push_back(work); }
  [[nodiscard]] bool has_ended(const QueueId& queue) const {
    return std::all_of(waiting_.begin(), waiting_.end(), [&](const Work& work) {
      return work.queue != queue || work.count == 0;
    });
  }

  void pass(Duration time) {
    constexpr Duration tick = 10ms;
    for (const TimePoint end = now_ + time; now_ < end; now_ += tick) {
      for (std::size_t i = 0; i < nodes_.size(); ++i)
        turn(nodes_[i], 330ms * static_cast<int>(i));
    }
  }

 private:
  struct Node {
    DispatchCore core;
    std::vector<std::pair<TimePoint, DispatchCore::Start>> running{};
  };

  void turn(Node& node, Duration phase) {
    bool has_news =
        (now_.time_since_epoch() - phase) % Duration{1s} == Duration{0};
    std::erase_if(node.running, [&](const auto& one) {
      if (one.first > now_)
        return false;
      node.core.ended(one.second, DispatchCore::End::success, now_);
      --taken_;
      has_news = true;
      return true;
    });
    if (has_news)
      look(node);
  }

  void look(Node& node) {
    node.core.set_groups({{.name = group, .slots = slots}}, now_);
    node.core.share(group, taken_);
    std::vector<QueueHead> heads;
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      if (waiting_[i].count > 0)
        heads.push_back({waiting_[i].queue, Priority::normal, JobId{i + 1}});
    }
    for (const Order& order : node.core.claims_for(heads, much_room, now_)) {
      Work& work = *std::find_if(
          waiting_.begin(), waiting_.end(),
          [&](const Work& one) { return one.queue == order.queue; });
      const std::uint64_t count =
          std::min({std::uint64_t{order.count}, slots - taken_,
                    static_cast<std::uint64_t>(work.count)});
      work.count -= static_cast<int>(count);
      taken_ += count;
      node.core.claimed(order.queue, static_cast<std::uint32_t>(count));
      for (std::uint64_t i = 0; i < count; ++i) {
        // What was claimed starts, all of it.
        const auto start = node.core.start_next(much_room, now_);
        ASSERT_TRUE(start);
        node.running.emplace_back(now_ + work.length, *start);
      }
    }
    ASSERT_LE(taken_, slots);
    ASSERT_EQ(node.core.waiting_here(), 0U);
  }

  std::vector<Node> nodes_;
  std::vector<Work> waiting_;
  std::uint64_t taken_ = 0;
  TimePoint now_{1h};
};

class SharedSlotsTest : public ::testing::TestWithParam<Duration> {};

TEST_P(SharedSlotsTest, WhatOnlyOneNodeCanRunGetsItsTurn) {
  const Duration length = GetParam();
  SharedSlots world{3};
  // There is always something that two of them can run at once.
  for (const char* const resources : {"on-n0=1", "on-n1=1"})
    world.submit({{SharedSlots::group, resources}, 1'000'000, length});
  world.pass(1min);
  const QueueId late{SharedSlots::group, "on-n2=1"};
  world.submit({late, 1, length});
  // Two of the others have all slots, and give one away every half a minute.
  world.pass(2 * length + 5min);
  EXPECT_TRUE(world.has_ended(late));
}
INSTANTIATE_TEST_SUITE_P(Lengths, SharedSlotsTest,
                         ::testing::Values<Duration>(20ms, 1s, 10s, 10min));

TEST(DispatchCoreProperty, NeverBeyondItsBoundsAndNeverStuck) {
  EXPECT_TRUE(rc::check([] {
    const auto below = [](int n) { return *rc::gen::inRange(0, n); };
    DispatchCore core{
        {.capacity = *flow_control::Resources::parse("cpu=3,gpu=1"),
         .most_running = 5}};
    TimePoint now{1h};
    const std::vector<QueueId> queues{
        {"a"}, {"a", "cpu=1"}, {"b", "cpu=2"}, {"b", "gpu=0.5"}};
    std::map<QueueId, int> waiting;
    for (const QueueId& queue : queues)
      waiting[queue] = below(6);
    std::vector<Group> groups{{.name = "a", .slots = 2},
                              {.name = "b", .slots = 3, .break_after = 2}};
    core.set_groups(groups, now);
    std::vector<DispatchCore::Start> running;
    const auto step = [&] {
      std::vector<QueueHead> heads;
      for (const auto& [queue, count] : waiting) {
        if (count > 0)
          heads.push_back({queue, Priority::normal, JobId{heads.size() + 1}});
      }
      for (const Order& order : core.claims_for(heads, much_room, now)) {
        const int count =
            std::min(waiting[order.queue], static_cast<int>(order.count));
        waiting[order.queue] -= count;
        core.claimed(order.queue, static_cast<std::uint32_t>(count));
      }
      while (auto one = core.start_next(much_room, now))
        running.push_back(*one);
      flow_control::Resources used;
      std::map<std::string, unsigned> by_group;
      for (const auto& one : running) {
        used.give_back(*flow_control::Resources::parse(one.queue.resources));
        ++by_group[one.queue.group];
      }
      RC_ASSERT(!core.capacity().lacks(used));
      RC_ASSERT(by_group["a"] <= 2U && by_group["b"] <= 3U);
      RC_ASSERT(running.size() <= 5U);
      RC_ASSERT(core.running() == running.size());
    };
    const auto end_one = [&](DispatchCore::End how) {
      const auto which =
          static_cast<std::size_t>(below(static_cast<int>(running.size())));
      core.ended(running[which], how, now);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
    };
    for (int i = below(40); i > 0; --i) {
      step();
      now += std::chrono::milliseconds{below(40'000)};
      if (!running.empty())
        end_one(static_cast<DispatchCore::End>(below(3)));
    }
    // From now on all goes well: everything has to end.
    for (int i = 0; i < 200; ++i) {
      step();
      while (!running.empty())
        end_one(DispatchCore::End::success);
      now += 1min;
    }
    for (const auto& [queue, count] : waiting)
      RC_ASSERT(count == 0);
    RC_ASSERT(core.waiting_here() == 0U);
    RC_ASSERT(core.free() == core.capacity());
  }));
}

}  // namespace
}  // namespace troupe::queue
