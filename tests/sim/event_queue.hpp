#pragma once

#include <troupe/base/time.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace troupe::sim {

/// What is to happen, by virtual time and then in the order in which it was
/// planned, so that a run is the same each time.
class EventQueue {
 public:
  using Call = std::function<void()>;

  /// What is due before now happens now.
  void at(Duration time, Call call) {
    events_.push_back({std::max(time, now_), ++last_number_, std::move(call)});
    std::push_heap(events_.begin(), events_.end(), comes_after);
  }

  /// Does what comes next; false if that is after `end` or there is nothing,
  /// and then it is `end`.
  bool step(Duration end) {
    if (events_.empty() || events_.front().time > end) {
      now_ = std::max(now_, end);
      return false;
    }
    std::pop_heap(events_.begin(), events_.end(), comes_after);
    const Event event = std::move(events_.back());
    events_.pop_back();
    now_ = event.time;
    event.call();
    return true;
  }

  [[nodiscard]] Duration now() const { return now_; }

 private:
  struct Event {
    Duration time;
    std::uint64_t number = 0;
    Call call;
  };

  static bool comes_after(const Event& a, const Event& b) {
    return a.time != b.time ? a.time > b.time : a.number > b.number;
  }

  std::vector<Event> events_;
  std::uint64_t last_number_ = 0;
  Duration now_{0};
};

}  // namespace troupe::sim
