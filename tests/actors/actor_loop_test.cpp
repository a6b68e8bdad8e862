// Actors that take turns on the thread of the test, which is their loop.
#include <troupe/actors/actor_loop.hpp>

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::actors {
namespace {

struct LoopPing {
  int left = 0;
};

}  // namespace
}  // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::LoopPing)

namespace troupe::actors {
namespace {

/// Sends what it gets to itself until nothing is left of it.
class Counter {
 public:
  Counter(Actor* self, std::vector<std::thread::id>& turns)
      : self_{self}, turns_{turns} {}

  Behavior make_behavior() {
    return {[this](LoopPing m) {
      turns_.push_back(std::this_thread::get_id());
      if (m.left > 1)
        send_self(self_, LoopPing{m.left - 1});
      else
        quit(self_);
    }};
  }

 private:
  Actor* self_;
  std::vector<std::thread::id>& turns_;
};

class ActorLoopTest : public ::testing::Test {
 protected:
  ~ActorLoopTest() override { EXPECT_TRUE(loop.await_all_actors(system, 20s)); }

  /// As a loop does, until it is not woken any more.
  void run_until_idle() {
    while (is_woken.exchange(false))
      loop.run();
  }

  std::atomic<bool> is_woken{false};
  std::optional<TimePoint> wakes_at;
  ActorLoop loop{{.wake = [this] { is_woken = true; },
                  .wake_at = [this](TimePoint at) { wakes_at = at; }}};
  LoopSystemConfig config{loop};
  ActorSystem system{config};
  std::vector<std::thread::id> turns;
};

TEST_F(ActorLoopTest, ActorsHaveTheirTurnsOnItsThreadOnly) {
  const ActorRef counter = spawn<Counter>(system, std::ref(turns));
  send(counter, LoopPing{3});
  EXPECT_TRUE(turns.empty());
  run_until_idle();
  EXPECT_EQ(turns, std::vector<std::thread::id>(3, std::this_thread::get_id()));
}

TEST_F(ActorLoopTest, MessagesFromOtherThreadsWakeIt) {
  const ActorRef counter = spawn<Counter>(system, std::ref(turns));
  run_until_idle();
  std::thread{[&] { send(counter, LoopPing{1}); }}.join();
  EXPECT_TRUE(is_woken);
  run_until_idle();
  EXPECT_EQ(turns.size(), 1U);
}

TEST_F(ActorLoopTest, ABusyActorLetsTheLoopGoOn) {
  const ActorRef counter = spawn<Counter>(system, std::ref(turns));
  constexpr int many = 100'000;
  send(counter, LoopPing{many});
  is_woken = false;
  loop.run();
  EXPECT_LT(turns.size(), many);
  EXPECT_TRUE(is_woken);
  run_until_idle();
  EXPECT_EQ(turns.size(), many);
}

/// Sends itself a message for later.
class Sleeper {
 public:
  Sleeper(Actor* self, Duration delay) : self_{self}, delay_{delay} {}

  Behavior make_behavior() {
    send_after(self_, delay_, LoopPing{});
    return {[this](LoopPing) { quit(self_); }};
  }

 private:
  Actor* self_;
  Duration delay_;
};

TEST_F(ActorLoopTest, ItIsWokenWhenTheFirstTimerIsDue) {
  const TimePoint before = std::chrono::steady_clock::now();
  const ActorRef late = spawn<Sleeper>(system, 1h);
  run_until_idle();
  ASSERT_TRUE(wakes_at);
  EXPECT_GE(*wakes_at, before + 1h);
  const ActorRef soon = spawn<Sleeper>(system, 1min);
  run_until_idle();
  EXPECT_LT(*wakes_at, before + 1h);
  kill(late);
  kill(soon);
}

/// Or else the system would wait for the thread of the actor for ever.
TEST_F(ActorLoopTest, ATimerDoesNotKeepAnActorWithAThreadOfItsOwn) {
  const ActorRef sleeper = spawn_detached<Sleeper>(system, 1h);
  while (!wakes_at)
    loop.run();
  kill(sleeper);
}

TEST_F(ActorLoopTest, ItIsWokenAtTheEndOfATickOnly) {
  const ActorRef sleeper = spawn<Sleeper>(system, 1h);
  run_until_idle();
  ASSERT_TRUE(wakes_at);
  EXPECT_EQ(wakes_at->time_since_epoch() % tick, Duration{0});
  kill(sleeper);
}

TEST_F(ActorLoopTest, WhatIsDueIsDelivered) {
  const ActorRef sleeper = spawn<Sleeper>(system, Duration{0});
  run_until_idle();
  loop.run();
  run_until_idle();
  EXPECT_EQ(system.registry().running(), 0U);
}

/// Sends to another one when it is destroyed.
class Testator {
 public:
  Testator(Actor* /*self*/, ActorRef heir) : heir_{std::move(heir)} {}
  ~Testator() { send(heir_, LoopPing{}); }
  Testator(const Testator&) = delete;
  Testator& operator=(const Testator&) = delete;

  static Behavior make_behavior() {
    return {[](LoopPing) {}};
  }

 private:
  ActorRef heir_;
};

/// The system does not wait for hidden actors, as CAF's own are.
TEST_F(ActorLoopTest, AnActorThatEndsWithTheSystemMaySendOne) {
  const ActorRef heir =
      system.spawn<StateActor<Counter>, caf::hidden>(std::ref(turns));
  const ActorRef testator =
      system.spawn<StateActor<Testator>, caf::hidden>(heir);
  run_until_idle();
  send(testator, LoopPing{});
}

}  // namespace
}  // namespace troupe::actors
