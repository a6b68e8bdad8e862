#pragma once

#include <troupe/base/assert.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/flow_control/drain_rate.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::flow_control {

/// What a full queue does with one more item.
enum class OnFull : std::uint8_t {
  block = 0,   ///< Keeps it in a waiting line; refuses if that is full too.
  reject = 1,  ///< Refuses it and says when to come back.
  drop_oldest = 2,  ///< Takes it and gives back the oldest one instead.
};

/// The name as written in a configuration: "block", "reject", "drop_oldest".
[[nodiscard]] std::string_view to_string(OnFull policy);

struct QueueConfig {
  std::size_t capacity = 1000;  ///< Items; at least 1.
  OnFull on_full = OnFull::reject;
  /// Items that may wait outside under `block`; zero makes it `reject`.
  std::size_t waiting_capacity = 1000;
  /// Bounds of Rejected::retry_after: 0 <= floor <= ceiling.
  Duration retry_floor = 10ms;
  Duration retry_ceiling = 30s;
};

/// Names an item in the waiting line. Never reused by the same queue.
using Ticket = std::uint64_t;

/// The item is in the queue.
struct Accepted {
  friend bool operator==(const Accepted&, const Accepted&) = default;
};

/// The item is in the waiting line; its sender should stop until it is
/// admitted, which `Popped::admitted` will tell.
struct Waiting {
  Ticket ticket = 0;
  std::size_t position = 0;  ///< Items before it in the line; 0 is next.
  friend bool operator==(const Waiting&, const Waiting&) = default;
};

/// The answer to a sender that was refused.
struct Rejected {
  Duration retry_after{0};  ///< See DrainRate::retry_after.
  std::size_t depth = 0;    ///< Items before it, waiting ones included.
  friend bool operator==(const Rejected&, const Rejected&) = default;
};

/// `overloaded`: "QUEUE is full: 12 items before this one, retry in 250ms".
[[nodiscard]] Error to_error(const Rejected& rejected, std::string_view queue);

/// A refusal, with the item back.
template <class T>
struct RejectedItem {
  T item;
  Rejected answer;
};

/// The new item is in the queue and `item`, the oldest, is out of it: whoever
/// holds the queue now answers for it.
template <class T>
struct DroppedItem {
  T item;
};

template <class T>
using Pushed = std::variant<Accepted, Waiting, RejectedItem<T>, DroppedItem<T>>;

/// What the consumer gets.
template <class T>
struct Popped {
  T item;
  Duration age{0};  ///< Since push(), so waiting outside is included.
  /// The item that took the place: its sender may go on.
  std::optional<Ticket> admitted;
};

/// Totals since the beginning. Each item that was pushed is exactly one of:
/// popped, rejected, dropped, withdrawn, taken by take_all(), still there.
struct QueueStats {
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  std::uint64_t rejected = 0;
  std::uint64_t dropped = 0;
  std::uint64_t withdrawn = 0;
  std::uint64_t waited = 0;    ///< Went through the waiting line.
  std::size_t high_water = 0;  ///< The most items, waiting ones included.
  friend bool operator==(const QueueStats&, const QueueStats&) = default;
};

/// A first-in first-out queue that never holds more than `capacity` items, plus
/// `waiting_capacity` under `block`, and never loses one silently. Pure: an
/// actor owns it and passes the time in. Destroying it destroys the items, and
/// with them the permits they hold.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(const QueueConfig& config)
      : config_{config}, drain_{config.retry_floor, config.retry_ceiling} {
    TROUPE_ASSERT(config.capacity >= 1);
  }

  /// Adds `item` at the end or does what the policy says. Nobody overtakes:
  /// while one item waits outside, the next waits behind it.
  [[nodiscard]] Pushed<T> push(T item, TimePoint now) {
    ++stats_.pushed;
    if (items_.size() < config_.capacity) {
      if (items_.empty())
        drain_.on_filled(now);
      items_.push_back({0, now, std::move(item)});
      note_depth();
      return Accepted{};
    }
    switch (config_.on_full) {
      case OnFull::block:
        return wait(std::move(item), now);
      case OnFull::reject:
        return refuse(std::move(item), now);
      case OnFull::drop_oldest:
        break;
    }
    ++stats_.dropped;
    T oldest = std::move(items_.front().item);
    items_.pop_front();
    items_.push_back({0, now, std::move(item)});
    return DroppedItem<T>{std::move(oldest)};
  }

  /// Takes the oldest item out and lets the first of the waiting line in.
  [[nodiscard]] std::optional<Popped<T>> pop(TimePoint now) {
    if (items_.empty())
      return std::nullopt;
    ++stats_.popped;
    drain_.on_drained(now);
    Popped<T> popped{std::move(items_.front().item),
                     age_of(items_.front(), now), std::nullopt};
    items_.pop_front();
    if (!waiting_.empty()) {
      popped.admitted = waiting_.front().ticket;
      items_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    return popped;
  }

  /// Takes an item out of the waiting line because its sender gives up (its
  /// time-out, its death). None if it has been admitted or is unknown: then it
  /// will be handled. Takes time proportional to the waiting line.
  [[nodiscard]] std::optional<T> withdraw(Ticket ticket) {
    const auto found =
        std::find_if(waiting_.begin(), waiting_.end(),
                     [&](const Entry& e) { return e.ticket == ticket; });
    if (found == waiting_.end())
      return std::nullopt;
    ++stats_.withdrawn;
    std::optional<T> item{std::move(found->item)};
    waiting_.erase(found);
    return item;
  }

  /// Empties queue and waiting line, oldest first, for a shutdown that answers
  /// every item.
  [[nodiscard]] std::vector<T> take_all() {
    std::vector<T> all;
    all.reserve(depth());
    for (std::deque<Entry>* line : {&items_, &waiting_}) {
      for (Entry& entry : *line)
        all.push_back(std::move(entry.item));
      line->clear();
    }
    return all;
  }

  /// Items in the queue, without the waiting line.
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

  /// Queue and waiting line together.
  [[nodiscard]] std::size_t depth() const {
    return items_.size() + waiting_.size();
  }

  /// How long the oldest item has been here; zero if there is none.
  [[nodiscard]] Duration oldest_age(TimePoint now) const {
    return items_.empty() ? Duration{0} : age_of(items_.front(), now);
  }

  [[nodiscard]] const QueueConfig& config() const { return config_; }
  [[nodiscard]] const QueueStats& stats() const { return stats_; }

 private:
  struct Entry {
    Ticket ticket = 0;  ///< Zero if it never waited.
    TimePoint pushed;
    T item;
  };

  static Duration age_of(const Entry& entry, TimePoint now) {
    return std::max(now - entry.pushed, Duration{0});
  }

  Pushed<T> wait(T item, TimePoint now) {
    if (waiting_.size() >= config_.waiting_capacity)
      return refuse(std::move(item), now);
    ++stats_.waited;
    const Waiting answer{++last_ticket_, waiting_.size()};
    waiting_.push_back({answer.ticket, now, std::move(item)});
    note_depth();
    return answer;
  }

  Pushed<T> refuse(T item, TimePoint now) {
    ++stats_.rejected;
    return RejectedItem<T>{std::move(item),
                           {drain_.retry_after(depth(), now), depth()}};
  }

  void note_depth() {
    stats_.high_water = std::max(stats_.high_water, depth());
  }

  QueueConfig config_;
  DrainRate drain_;
  /// Not empty while anything waits: waiting_ fills up only behind it.
  std::deque<Entry> items_;
  std::deque<Entry> waiting_;
  Ticket last_ticket_ = 0;
  QueueStats stats_;
};

}  // namespace troupe::flow_control
