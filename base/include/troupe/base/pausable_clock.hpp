#pragma once

#include <troupe/base/time.hpp>

#include <optional>

namespace troupe {

/// Time that stands still while it is paused, for limits of what is suspended
/// with its user's Ctrl-Z. Pure: `real` is what an ordinary clock says.
class PausableClock {
 public:
  [[nodiscard]] TimePoint at(TimePoint real) const {
    return paused_at_.value_or(real - paused_for_);
  }
  [[nodiscard]] bool paused() const { return paused_at_.has_value(); }

  /// Repeating does nothing.
  void pause(TimePoint real) {
    if (!paused_at_)
      paused_at_ = at(real);
  }

  /// Goes on with the time at which it was paused; ignored if it was not.
  void resume(TimePoint real) {
    if (!paused_at_)
      return;
    paused_for_ = real - *paused_at_;
    paused_at_.reset();
  }

 private:
  std::optional<TimePoint> paused_at_;
  Duration paused_for_{0};
};

}  // namespace troupe
