#pragma once

/// What to do while the store of a node does not answer.
#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>

namespace troupe::node {

/// When a store that is gone is asked again, and how long calls wait for it.
/// Pauses double from `first_pause` to `longest_pause`, each shorter by up to a
/// half by chance, so that many nodes do not come back at once. Pure.
class StoreOutageCore {
 public:
  static constexpr Duration first_pause = 100ms;
  static constexpr Duration longest_pause = 30s;
  /// A call that has less time left is refused instead of made.
  static constexpr Duration shortest_try = 500ms;

  /// `patience`: how long a call waits for a store that is gone; 0 if it is
  /// never gone: then each failure is that of the call.
  StoreOutageCore(Duration patience, std::uint64_t seed)
      : patience_{patience}, random_{seed} {}

  [[nodiscard]] Duration patience() const { return patience_; }
  [[nodiscard]] bool may_be_gone() const { return patience_ > Duration{0}; }
  [[nodiscard]] bool is_gone() const { return gone_since_.has_value(); }

  /// It has answered. How long it was gone, if it was.
  std::optional<Duration> on_answer(TimePoint now) {
    pause_ = first_pause;
    if (!gone_since_)
      return std::nullopt;
    const Duration gone = now - *gone_since_;
    gone_since_.reset();
    return gone;
  }

  /// It has not. Whether that is news.
  bool on_silence(TimePoint now) {
    next_try_ =
        now +
        Duration{static_cast<Duration::rep>(
            static_cast<double>(pause_.count()) * (1 - random_.unit() / 2))};
    pause_ = std::min<Duration>(pause_ * 2, longest_pause);
    if (gone_since_)
      return false;
    gone_since_ = now;
    return true;
  }

  /// Whether it may be asked.
  [[nodiscard]] bool may_ask(TimePoint now) const {
    return !gone_since_ || now >= next_try_;
  }

  /// How long a call that was made at `made` may still take; nullopt if that is
  /// too little. While it is not gone, that is all of its patience, however
  /// long it has waited for its turn.
  [[nodiscard]] std::optional<Duration> time_for(TimePoint made,
                                                 TimePoint now) const {
    if (!gone_since_)
      return patience_;
    const Duration left = made + patience_ - now;
    if (left < shortest_try)
      return std::nullopt;
    return left;
  }

  /// When may_ask() or time_for() a call that was made at `made` changes.
  [[nodiscard]] TimePoint next_change(TimePoint made) const {
    return std::min(next_try_, made + patience_ - shortest_try + 1ms);
  }

 private:
  Duration patience_;
  Random random_;
  Duration pause_ = first_pause;
  std::optional<TimePoint> gone_since_;
  TimePoint next_try_{};
};

}  // namespace troupe::node
