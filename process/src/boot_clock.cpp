#include <troupe/process/boot_clock.hpp>

#include <ctime>

namespace troupe::process {

BootTime boot_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);  // Cannot fail: it has been there
                                          // since Linux 2.6.39.
  return BootTime{std::chrono::seconds{now.tv_sec} +
                  std::chrono::nanoseconds{now.tv_nsec}};
}

}  // namespace troupe::process
