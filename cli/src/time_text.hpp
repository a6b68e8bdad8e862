#pragma once

/// Times and ages as people read them. Pure.
#include <troupe/base/time.hpp>

#include <string>

namespace troupe::cli {

/// "3d", "2h", "45m", "12s": one unit is enough for an age.
[[nodiscard]] std::string short_age(Duration age);

/// In whole milliseconds: finer is of no use to people.
[[nodiscard]] std::string rounded(Duration duration);

/// "2024-05-01T12:00:00.000Z, 3m ago" or ", in 3m".
[[nodiscard]] std::string moment(WallTime time, WallTime now);

}  // namespace troupe::cli
