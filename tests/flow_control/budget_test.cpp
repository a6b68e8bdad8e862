#include "random_steps.hpp"

#include <troupe/flow_control/bounded_queue.hpp>
#include <troupe/flow_control/budget.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <rapidcheck.h>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::flow_control {
namespace {

TEST(Budget, GrantsUpToItsCapacityAndCountsWhatItRefuses) {
  const Budget budget{3};
  Permit one = budget.try_acquire();
  Permit two = budget.try_acquire(2);
  EXPECT_TRUE(one);
  EXPECT_EQ(two.count(), 2U);
  EXPECT_FALSE(budget.try_acquire());
  EXPECT_EQ(budget.in_use(), 3U);
  EXPECT_EQ(budget.available(), 0U);
  EXPECT_EQ(budget.rejected(), 1U);

  one.release();
  EXPECT_EQ(budget.available(), 1U);
  EXPECT_EQ(budget.high_water(), 3U);
  EXPECT_TRUE(budget.try_acquire());
}

TEST(Budget, NeverGrantsMoreThanItsCapacityAtOnce) {
  const Budget bytes{64};
  EXPECT_FALSE(bytes.try_acquire(65));
  EXPECT_FALSE(bytes.try_acquire(~std::uint64_t{0}));
  EXPECT_TRUE(bytes.try_acquire(64));
  EXPECT_TRUE(bytes.try_acquire(0));
  EXPECT_FALSE(Budget{0}.try_acquire());
}

TEST(Budget, IsNotBlockedForSmallRequestsByARefusedLargeOne) {
  const Budget budget{10};
  const Permit held = budget.try_acquire(5);
  EXPECT_FALSE(budget.try_acquire(6));
  EXPECT_TRUE(budget.try_acquire(5));
}

TEST(Budget, IsSharedByItsCopies) {
  const Budget first{2};
  const Budget second = first;  // NOLINT: the copy is the test
  const Permit permit = first.try_acquire();
  EXPECT_EQ(second.in_use(), 1U);
}

TEST(Permit, ComesBackAfterTheBudgetIsGone) {
  std::optional<Budget> budget{1};
  const Budget observer = *budget;
  Permit permit = budget->try_acquire();
  budget.reset();
  EXPECT_EQ(observer.in_use(), 1U);
  permit.release();
  permit.release();
  EXPECT_EQ(observer.in_use(), 0U);

  Permit last = Budget{1}.try_acquire();
  EXPECT_TRUE(last);
  last.release();
  EXPECT_FALSE(last);
}

TEST(Permit, MovesWithoutBeingLostOrDoubled) {
  const Budget budget{4};
  Permit a = budget.try_acquire(1);
  Permit b = budget.try_acquire(3);
  a = std::move(b);
  EXPECT_EQ(budget.in_use(), 3U);
  EXPECT_EQ(a.count(), 3U);
  EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move): specified as empty
  EXPECT_EQ(b.count(), 0U);

  Permit& same = a;
  a = std::move(same);
  EXPECT_EQ(a.count(), 3U);
  EXPECT_EQ(budget.in_use(), 3U);
}

TEST(SharedPermit, ComesBackWithTheLastCopyOfTheMessage) {
  const Budget budget{1};
  SharedPermit sent = budget.try_acquire_shared();
  ASSERT_NE(sent, nullptr);
  EXPECT_EQ(budget.try_acquire_shared(), nullptr);
  SharedPermit copy = sent;
  sent.reset();
  EXPECT_EQ(budget.in_use(), 1U);
  copy.reset();
  EXPECT_EQ(budget.in_use(), 0U);
}

TEST(SharedPermit, ComesBackWhenADeadActorsMailboxIsThrownAway) {
  const Budget budget{3};
  {
    BoundedQueue<SharedPermit> mailbox{{.capacity = 10}};
    for (int i = 0; i < 3; ++i)
      (void)mailbox.push(budget.try_acquire_shared(), TimePoint{});
    EXPECT_EQ(budget.available(), 0U);
  }
  EXPECT_EQ(budget.available(), 3U);
}

/// Actors with mailboxes that send, handle, forward, bounce and crash.
TEST(BudgetProperty, LosesNoPermitAndNeverExceedsItsCapacity) {
  EXPECT_TRUE(rc::check("permits are conserved", [] {
    const auto capacity = *rc::gen::inRange<std::uint64_t>(0, 20);
    const Budget budget{capacity};
    std::array<std::vector<Permit>, 3> mailboxes;
    std::vector<SharedPermit> copies;
    std::uint64_t highest = 0;
    std::uint64_t refused = 0;

    const auto in_messages = [&] {
      std::uint64_t sum = 0;
      for (const auto& mailbox : mailboxes)
        for (const Permit& permit : mailbox)
          sum += permit.count();
      for (std::size_t i = 0; i < copies.size(); ++i)
        if (i % 2 == 0)  // each is there twice
          sum += copies.at(i)->count();
      return sum;
    };

    const auto steps = random_steps();
    for (const std::uint32_t step : steps) {
      auto& from = mailboxes.at(step / 8 % 3);
      auto& to = mailboxes.at(step / 32 % 3);
      const std::uint64_t n = step / 128 % 6;
      switch (step % 8) {
        case 0:
        case 1:
        case 2:  // send
          if (Permit permit = budget.try_acquire(n))
            to.push_back(std::move(permit));
          else
            ++refused;
          break;
        case 3:  // handle
          if (!from.empty())
            from.erase(from.begin());
          break;
        case 4:  // forward
          if (!from.empty()) {
            Permit permit = std::move(from.back());
            from.pop_back();
            to.push_back(std::move(permit));
          }
          break;
        case 5:  // overwrite one that is held
          if (!from.empty() && !to.empty() && &from != &to) {
            to.front() = std::move(from.back());
            from.pop_back();
          }
          break;
        case 6:  // a message that the actor system copies
          if (SharedPermit permit = budget.try_acquire_shared(n)) {
            copies.push_back(permit);
            copies.push_back(permit);
          } else {
            ++refused;
          }
          break;
        case 7:  // crash
          from.clear();
          if (step % 3 == 0)
            copies.clear();
          break;
        default:
          break;
      }
      highest = std::max(highest, budget.in_use());
      RC_ASSERT(budget.in_use() == in_messages());
      RC_ASSERT(budget.in_use() <= capacity);
      RC_ASSERT(budget.available() == capacity - budget.in_use());
    }
    RC_ASSERT(budget.high_water() == highest);
    RC_ASSERT(budget.rejected() == refused);
    mailboxes = {};
    copies.clear();
    RC_ASSERT(budget.in_use() == 0U);
  }));
}

/// Four threads take permits and pass every second one to the others through a
/// slot, so that most come back from a thread that did not take them.
TEST(BudgetThreads, KeepTheBoundAndLoseNothingUnderContention) {
  constexpr std::uint64_t capacity = 7;
  constexpr int rounds = 50'000;
  const Budget budget{capacity};
  std::atomic<std::uint64_t> held{0};
  std::atomic<bool> exceeded{false};
  std::atomic<std::uint64_t> granted{0};
  std::atomic<std::uint64_t> refused{0};
  std::mutex slot_mutex;
  Permit slot;

  const auto work = [&](std::uint64_t thread) {
    for (std::uint64_t i = 0; i < rounds; ++i) {
      const std::uint64_t n = 1 + (i + thread) % 3;
      Permit permit = budget.try_acquire(n);
      if (!permit) {
        ++refused;
        continue;
      }
      ++granted;
      if (held.fetch_add(n) + n > capacity)
        exceeded = true;
      if (i % 2 == 0) {
        const std::lock_guard lock{slot_mutex};
        std::swap(slot, permit);
      }
      held.fetch_sub(permit.count());
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < 4; ++thread)
    threads.emplace_back(work, thread);
  for (std::thread& thread : threads)
    thread.join();

  EXPECT_FALSE(exceeded);
  EXPECT_LE(budget.high_water(), capacity);
  EXPECT_GT(granted, 0U);
  EXPECT_EQ(granted + refused, 4U * rounds);
  EXPECT_EQ(budget.rejected(), refused);
  EXPECT_EQ(budget.in_use(), slot.count());
  slot.release();
  EXPECT_EQ(budget.in_use(), 0U);
}

TEST(BudgetThreads, MayOutliveTheBudgetWithTheirPermits) {
  std::vector<std::thread> threads;
  std::optional<Budget> budget{100};
  const Budget observer = *budget;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([permit = budget->try_acquire_shared(25)]() mutable {
      permit.reset();
    });
  budget.reset();
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(observer.in_use(), 0U);
}

}  // namespace
}  // namespace troupe::flow_control
