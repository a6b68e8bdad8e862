#include <troupe/base/assert.hpp>
#include <troupe/flow_control/drain_rate.hpp>

#include <algorithm>

namespace troupe::flow_control {

DrainRate::DrainRate(Duration floor, Duration ceiling)
    : floor_{floor}, ceiling_{ceiling} {
  TROUPE_ASSERT(Duration{0} <= floor && floor <= ceiling);
}

void DrainRate::on_filled(TimePoint now) { since_ = now; }

void DrainRate::on_drained(TimePoint now) {
  const Duration took = std::max(now - since_, Duration{0});
  mean_ = mean_ == Duration{0} ? took : mean_ + (took - mean_) / 8;
  since_ = std::max(since_, now);
}

Duration DrainRate::retry_after(std::size_t depth, TimePoint now) const {
  const Duration per_item = std::max(mean_, now - since_);
  // In floating point, because a deep queue times a long stall overflows.
  const std::size_t half = depth / 2 + depth % 2;
  const double estimate =
      static_cast<double>(half) * static_cast<double>(per_item.count());
  if (estimate >= static_cast<double>(ceiling_.count()))
    return ceiling_;
  return std::max(floor_, Duration{static_cast<Duration::rep>(estimate)});
}

}  // namespace troupe::flow_control
