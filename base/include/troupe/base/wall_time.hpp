#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <string>
#include <string_view>

namespace troupe {

/// RFC 3339 in UTC with milliseconds: "2026-01-31T12:00:00.123Z".
[[nodiscard]] std::string format_wall_time(WallTime time);

/// Reads RFC 3339: a date, "T" or a space, a time with up to nine digits of a
/// second, and "Z" or an offset such as +01:00. Years 1970 to 2200.
///
/// Errors: invalid_argument, "expected a time such as 2026-01-31T12:00:00Z, got
/// "soon"".
[[nodiscard]] Result<WallTime> parse_wall_time(std::string_view text);

}  // namespace troupe
