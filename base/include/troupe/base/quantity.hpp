#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

/// Reads `500ms`, `30s`, `5m`, `2h`, `1d`, decimals such as `1.5s`, and sums
/// from large to small such as `1h30m`. A bare number is refused except `0`:
/// its unit would be a guess. At most 100 years.
///
/// Errors: invalid_argument, "expected a duration such as 500ms, 30s, 5m, 2h
/// or 1d, got "soon"".
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

/// The shortest exact form down to milliseconds, as parse_duration reads it:
/// "1.5s", "2m30s", "1h", "0s".
[[nodiscard]] std::string format_duration(Duration value);

/// The same for what is measured or guessed, with about three digits that
/// matter: whole milliseconds below 10 s, tenths of a second below a minute,
/// seconds below an hour, else minutes.
[[nodiscard]] std::string rough_duration(Duration value);

/// Reads a size in bytes: `4096`, `64KiB`, `1.5GiB`, `10MB`; binary units are
/// 1024-based (KiB MiB GiB TiB, and the short K M G T), decimal ones 1000-based
/// (kB KB MB GB TB). At most 8 EiB - 1.
///
/// Errors: invalid_argument, "expected a size such as 64KiB or 2GiB, got "x"".
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

/// Bytes for people, with three significant digits: "1.50 GiB", "17 B".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// Reads a whole number from 0 to 2^63-1 without sign or space.
///
/// Errors: invalid_argument, "expected a whole number, got "x"".
[[nodiscard]] Result<std::uint64_t> parse_count(std::string_view text);

}  // namespace troupe
