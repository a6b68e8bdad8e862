#pragma once

#include <troupe/base/time.hpp>

#include <cstddef>

namespace troupe::flow_control {

/// How long one item takes to leave a queue, observed at its exit, and from
/// that when a refused sender should come back. Time in which the queue was
/// empty does not count. Pure; owned by a queue, one thread.
class DrainRate {
 public:
  /// 0 <= floor <= ceiling: the bounds of every answer.
  DrainRate(Duration floor, Duration ceiling);

  /// The queue was empty and has an item now.
  void on_filled(TimePoint now);

  /// One item left; others may be there still.
  void on_drained(TimePoint now);

  /// When half of `depth` items will have left, so that refused senders find
  /// room and the consumer never runs dry:
  ///
  ///   clamp(ceil(depth / 2) * max(mean, now - last exit), floor, ceiling)
  ///
  /// `mean` is the moving average with weight 1/8 of the time per item. The
  /// time since the last exit counts too: a consumer that hangs is not believed
  /// to be as fast as before.
  [[nodiscard]] Duration retry_after(std::size_t depth, TimePoint now) const;

 private:
  Duration floor_;
  Duration ceiling_;
  Duration mean_{0};  ///< Zero until the first item has left.
  TimePoint since_;   ///< Last exit, or when the queue was filled.
};

}  // namespace troupe::flow_control
