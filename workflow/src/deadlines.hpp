#pragma once

#include <troupe/base/time.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace troupe::workflow {

/// What a plan waits for. Each instance has at most one deadline of a kind.
/// Owned by one plan.
class Deadlines {
 public:
  enum class Kind : std::uint8_t {
    step,      ///< All attempts of the step that runs.
    job,       ///< All steps.
    queue,     ///< The wait for a place.
    retry,     ///< The delay before it is tried again.
    approval,  ///< The wait for somebody to approve it.
    call,      ///< Something in the plan that it has called.
  };

  struct Deadline {
    std::size_t instance = 0;
    Kind kind = Kind::step;

    friend auto operator<=>(const Deadline&, const Deadline&) = default;
  };

  /// Replaces the one of the same kind.
  void set(Deadline deadline, TimePoint when) {
    clear(deadline);
    times_.emplace(deadline, when);
    order_.emplace(when, deadline);
  }

  void clear(Deadline deadline) {
    const auto time = times_.find(deadline);
    if (time == times_.end())
      return;
    order_.erase({time->second, deadline});
    times_.erase(time);
  }

  [[nodiscard]] std::optional<TimePoint> next() const {
    if (order_.empty())
      return std::nullopt;
    return order_.begin()->first;
  }

  /// Removes and gives one that has passed.
  [[nodiscard]] std::optional<Deadline> take_passed(TimePoint now) {
    if (order_.empty() || order_.begin()->first > now)
      return std::nullopt;
    const Deadline passed = order_.begin()->second;
    clear(passed);
    return passed;
  }

 private:
  std::map<Deadline, TimePoint> times_;
  std::set<std::pair<TimePoint, Deadline>> order_;
};

}  // namespace troupe::workflow
