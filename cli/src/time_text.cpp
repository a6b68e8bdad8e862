#include "time_text.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace troupe::cli {

std::string short_age(Duration age) {
  if (age >= 48h)
    return fmt::format("{}d", age / 24h);
  if (age >= 2h)
    return fmt::format("{}h", age / 1h);
  if (age >= 2min)
    return fmt::format("{}m", age / 1min);
  return fmt::format("{}s", std::max(Duration{0}, age) / 1s);
}

std::string rounded(Duration duration) {
  return format_duration(
      std::chrono::round<std::chrono::milliseconds>(duration));
}

std::string moment(WallTime time, WallTime now) {
  return time > now ? fmt::format("{}, in {}", format_wall_time(time),
                                  short_age(time - now))
                    : fmt::format("{}, {} ago", format_wall_time(time),
                                  short_age(now - time));
}

}  // namespace troupe::cli
