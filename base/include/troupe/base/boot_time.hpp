#pragma once

#include <troupe/base/time.hpp>

#include <chrono>

namespace troupe {

/// CLOCK_BOOTTIME, which goes on while the machine is suspended: what must not
/// go on for longer than others believe it does has to count that time. It has
/// no now(): cores are told the time. A type of its own, since the clock of
/// TimePoint stands still.
struct BootClock {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<BootClock, Duration>;
  static constexpr bool is_steady = true;
};

/// A moment of the boot clock of this host. All processes of the host mean the
/// same by it, until the host is started again.
using BootTime = BootClock::time_point;

}  // namespace troupe
