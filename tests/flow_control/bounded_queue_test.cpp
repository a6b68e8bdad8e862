#include "random_steps.hpp"
#include "time_zero.hpp"

#include <troupe/flow_control/bounded_queue.hpp>
#include <troupe/flow_control/budget.hpp>

#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <rapidcheck.h>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::flow_control {
namespace {

TEST(BoundedQueue, RejectsWithADepthAndATimeToComeBack) {
  BoundedQueue<int> queue{{.capacity = 2, .on_full = OnFull::reject}};
  EXPECT_EQ(queue.push(1, t0).index(), 0U);
  EXPECT_EQ(queue.push(2, t0).index(), 0U);
  const auto answer = queue.push(3, t0);
  const auto* rejected = std::get_if<RejectedItem<int>>(&answer);
  ASSERT_NE(rejected, nullptr);
  EXPECT_EQ(rejected->item, 3);
  EXPECT_EQ(rejected->answer, (Rejected{.retry_after = 10ms, .depth = 2}));
  EXPECT_EQ(queue.stats().rejected, 1U);
}

TEST(BoundedQueue, GivesBackTheOldestWhenItDropsOne) {
  BoundedQueue<int> queue{{.capacity = 2, .on_full = OnFull::drop_oldest}};
  (void)queue.push(1, t0);
  (void)queue.push(2, t0);
  const auto answer = queue.push(3, t0);
  const auto* dropped = std::get_if<DroppedItem<int>>(&answer);
  ASSERT_NE(dropped, nullptr);
  EXPECT_EQ(dropped->item, 1);
  EXPECT_EQ(queue.pop(t0)->item, 2);
  EXPECT_EQ(queue.pop(t0)->item, 3);
  EXPECT_EQ(queue.stats().dropped, 1U);
}

TEST(BoundedQueue, AdmitsWaitingItemsInOrderAndSaysWhich) {
  BoundedQueue<int> queue{
      {.capacity = 1, .on_full = OnFull::block, .waiting_capacity = 2}};
  (void)queue.push(1, t0);
  const auto second = std::get<Waiting>(queue.push(2, t0 + 1s));
  const auto third = std::get<Waiting>(queue.push(3, t0 + 2s));
  EXPECT_EQ(second.position, 0U);
  EXPECT_EQ(third.position, 1U);
  EXPECT_TRUE(
      std::holds_alternative<RejectedItem<int>>(queue.push(4, t0 + 2s)));
  EXPECT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue.waiting(), 2U);

  const auto first = queue.pop(t0 + 5s);
  EXPECT_EQ(first->item, 1);
  EXPECT_EQ(first->admitted, second.ticket);
  const auto next = queue.pop(t0 + 6s);
  EXPECT_EQ(next->item, 2);
  EXPECT_EQ(next->age, 5s);
  EXPECT_EQ(next->admitted, third.ticket);
  EXPECT_EQ(queue.pop(t0 + 6s)->admitted, std::nullopt);
  EXPECT_FALSE(queue.pop(t0 + 6s).has_value());
}

TEST(BoundedQueue, LetsASenderWithdrawOnlyWhileItWaits) {
  BoundedQueue<int> queue{{.capacity = 1, .on_full = OnFull::block}};
  (void)queue.push(1, t0);
  const auto second = std::get<Waiting>(queue.push(2, t0));
  const auto third = std::get<Waiting>(queue.push(3, t0));
  EXPECT_EQ(queue.withdraw(second.ticket), 2);
  EXPECT_EQ(queue.withdraw(second.ticket), std::nullopt);
  EXPECT_EQ(queue.pop(t0)->admitted, third.ticket);
  EXPECT_EQ(queue.withdraw(third.ticket), std::nullopt);
  EXPECT_EQ(queue.pop(t0)->item, 3);
}

TEST(BoundedQueue, HandsEverythingBackForAShutdown) {
  BoundedQueue<int> queue{{.capacity = 2, .on_full = OnFull::block}};
  for (int i = 1; i <= 4; ++i)
    (void)queue.push(i, t0);
  EXPECT_EQ(queue.take_all(), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(queue.depth(), 0U);
}

TEST(BoundedQueue, KnowsTheAgeOfItsOldestItem) {
  BoundedQueue<int> queue{{.capacity = 2}};
  EXPECT_EQ(queue.oldest_age(t0 + 9s), 0s);
  (void)queue.push(1, t0 + 1s);
  (void)queue.push(2, t0 + 4s);
  EXPECT_EQ(queue.oldest_age(t0 + 5s), 4s);
  EXPECT_EQ(queue.oldest_age(t0), 0s);
  (void)queue.pop(t0 + 5s);
  EXPECT_EQ(queue.oldest_age(t0 + 5s), 1s);
}

TEST(BoundedQueue, DoesNotTakeAPauseForASlowConsumer) {
  BoundedQueue<int> queue{{.capacity = 1}};
  (void)queue.push(1, t0);
  (void)queue.pop(t0 + 20ms);
  (void)queue.push(2, t0 + 1h);
  const auto answer = queue.push(3, t0 + 1h);
  EXPECT_EQ(std::get<RejectedItem<int>>(answer).answer.retry_after, 20ms);
}

TEST(BoundedQueue, AcceptsItemsThatOnlyMove) {
  BoundedQueue<std::unique_ptr<int>> queue{
      {.capacity = 1, .on_full = OnFull::drop_oldest}};
  (void)queue.push(std::make_unique<int>(1), t0);
  const auto answer = queue.push(std::make_unique<int>(2), t0);
  EXPECT_EQ(*std::get<DroppedItem<std::unique_ptr<int>>>(answer).item, 1);
}

TEST(Rejected, ReadsAsAnErrorThatSaysWhenToRetry) {
  const Error one = to_error({.retry_after = 250ms, .depth = 1}, "intake");
  EXPECT_EQ(one.code, Errc::overloaded);
  EXPECT_EQ(one.what, "intake is full: 1 item before this one, retry in 250ms");
  EXPECT_EQ(to_error({.retry_after = 1500ms, .depth = 12}, "intake").what,
            "intake is full: 12 items before this one, retry in 1.5s");
}

TEST(OnFull, HasTheNamesOfTheConfiguration) {
  EXPECT_EQ(to_string(OnFull::block), "block");
  EXPECT_EQ(to_string(OnFull::reject), "reject");
  EXPECT_EQ(to_string(OnFull::drop_oldest), "drop_oldest");
}

TEST(DrainRate, AsksToComeBackWhenHalfTheItemsHaveLeft) {
  DrainRate rate{1ms, 1min};
  rate.on_filled(t0);
  for (int i = 1; i <= 20; ++i)
    rate.on_drained(t0 + i * 100ms);
  EXPECT_EQ(rate.retry_after(10, t0 + 2s), 500ms);
  EXPECT_EQ(rate.retry_after(9, t0 + 2s), 500ms);
  EXPECT_EQ(rate.retry_after(1, t0 + 2s), 100ms);
}

TEST(DrainRate, GivesTheLatestItemAnEighthOfTheWeight) {
  DrainRate rate{1ms, 1min};
  rate.on_filled(t0);
  rate.on_drained(t0 + 10ms);
  rate.on_drained(t0 + 100ms);
  EXPECT_EQ(rate.retry_after(2, t0 + 100ms), 20ms);
}

TEST(DrainRate, StaysBetweenItsFloorAndItsCeiling) {
  DrainRate rate{50ms, 2s};
  rate.on_filled(t0);
  EXPECT_EQ(rate.retry_after(10, t0), 50ms);
  rate.on_drained(t0 + 1ms);
  EXPECT_EQ(rate.retry_after(2, t0 + 1ms), 50ms);
  EXPECT_EQ(rate.retry_after(1'000'000, t0 + 1ms), 2s);
}

TEST(DrainRate, LosesFaithInAConsumerThatHangs) {
  DrainRate rate{1ms, 1min};
  rate.on_filled(t0);
  rate.on_drained(t0 + 10ms);
  EXPECT_EQ(rate.retry_after(2, t0 + 10ms), 10ms);
  EXPECT_EQ(rate.retry_after(2, t0 + 5s), 4990ms);
  EXPECT_EQ(rate.retry_after(2, t0 + 24h), 1min);
}

TEST(DrainRate, DoesNotCountTheTimeWithoutItems) {
  DrainRate rate{1ms, 1min};
  rate.on_filled(t0);
  rate.on_drained(t0 + 10ms);
  rate.on_filled(t0 + 1h);
  rate.on_drained(t0 + 1h + 10ms);
  EXPECT_EQ(rate.retry_after(2, t0 + 1h + 10ms), 10ms);
}

struct Item {
  int id = 0;
  SharedPermit permit;
};

/// Where each item of a random history ended up, by a model that is two lists.
TEST(BoundedQueueProperty, KeepsBoundsOrderAndEveryItem) {
  EXPECT_TRUE(rc::check("bounds, order and conservation", [] {
    const QueueConfig config{
        .capacity = *rc::gen::inRange<std::size_t>(1, 6),
        .on_full = *rc::gen::element(OnFull::block, OnFull::reject,
                                     OnFull::drop_oldest),
        .waiting_capacity = *rc::gen::inRange<std::size_t>(0, 4)};
    const Budget budget{1000};
    auto queue = std::make_unique<BoundedQueue<Item>>(config);
    std::deque<int> inside;                      // what the model has queued
    std::deque<std::pair<Ticket, int>> outside;  // and what waits
    int pushed = 0;
    TimePoint now{};

    const auto steps = random_steps();
    for (const std::uint32_t step : steps) {
      now += Duration{step} * 100;
      if (step % 8 < 4) {
        const int id = ++pushed;
        auto answer = queue->push({id, budget.try_acquire_shared()}, now);
        if (inside.size() < config.capacity) {
          RC_ASSERT(std::holds_alternative<Accepted>(answer));
          inside.push_back(id);
        } else if (const auto* waiting = std::get_if<Waiting>(&answer)) {
          RC_ASSERT(config.on_full == OnFull::block);
          RC_ASSERT(waiting->position == outside.size());
          outside.emplace_back(waiting->ticket, id);
        } else if (const auto* out = std::get_if<DroppedItem<Item>>(&answer)) {
          RC_ASSERT(config.on_full == OnFull::drop_oldest);
          RC_ASSERT(out->item.id == inside.front());
          inside.pop_front();
          inside.push_back(id);
        } else {
          const auto& refused = std::get<RejectedItem<Item>>(answer);
          RC_ASSERT(config.on_full != OnFull::drop_oldest);
          RC_ASSERT(config.on_full == OnFull::reject ||
                    outside.size() == config.waiting_capacity);
          RC_ASSERT(refused.item.id == id);
          RC_ASSERT(refused.answer.depth == inside.size() + outside.size());
          RC_ASSERT(refused.answer.retry_after >= config.retry_floor);
          RC_ASSERT(refused.answer.retry_after <= config.retry_ceiling);
        }
      } else if (step % 8 < 7) {
        const auto popped = queue->pop(now);
        RC_ASSERT(popped.has_value() == !inside.empty());
        if (popped) {
          RC_ASSERT(popped->item.id == inside.front());
          inside.pop_front();
          RC_ASSERT(popped->admitted.has_value() == !outside.empty());
          if (!outside.empty()) {
            RC_ASSERT(*popped->admitted == outside.front().first);
            inside.push_back(outside.front().second);
            outside.pop_front();
          }
        }
      } else if (!outside.empty()) {
        const auto gone = outside.begin() + step / 8 % std::ssize(outside);
        const auto item = queue->withdraw(gone->first);
        RC_ASSERT(item.has_value());
        RC_ASSERT(item->id == gone->second);
        outside.erase(gone);
      }
      RC_ASSERT(queue->size() == inside.size());
      RC_ASSERT(queue->waiting() == outside.size());
      RC_ASSERT(queue->size() <= config.capacity);
      RC_ASSERT(queue->waiting() <= config.waiting_capacity);
      RC_ASSERT(budget.in_use() == queue->depth());
      const QueueStats& stats = queue->stats();
      RC_ASSERT(stats.pushed == stats.popped + stats.rejected + stats.dropped +
                                    stats.withdrawn + queue->depth());
    }
    queue.reset();  // the owner crashes
    RC_ASSERT(budget.in_use() == 0U);
  }));
}

}  // namespace
}  // namespace troupe::flow_control
