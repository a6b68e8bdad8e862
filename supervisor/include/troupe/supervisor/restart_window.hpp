#pragma once

#include <troupe/base/time.hpp>

#include <cstddef>
#include <deque>

namespace troupe::supervisor {

/// Counts restarts within a sliding period, both edges included. Pure; keeps at
/// most `intensity` + 1 moments. Owned by one supervisor.
class RestartWindow {
 public:
  /// `intensity` restarts within any `period` are allowed; zero forbids the
  /// first.
  RestartWindow(std::size_t intensity, Duration period)
      : intensity_{intensity}, period_{period} {}

  /// Counts a restart at `now`, which never goes backwards. False if it is one
  /// too many: the supervisor gives up.
  [[nodiscard]] bool allow(TimePoint now);

  /// How many restarts count at `now`.
  [[nodiscard]] std::size_t used(TimePoint now) const;

  /// Forgets them all.
  void clear() { restarts_.clear(); }

 private:
  std::size_t intensity_;
  Duration period_;
  std::deque<TimePoint> restarts_;
};

}  // namespace troupe::supervisor
