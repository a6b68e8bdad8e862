#pragma once

#include <chrono>
#include <type_traits>

namespace troupe {

// NOLINTNEXTLINE(google-global-names-in-headers): literals only.
using namespace std::chrono_literals;

/// A length of time. Zero means "none" only where a field says so.
using Duration = std::chrono::nanoseconds;

/// A moment of the monotonic clock: for deadlines, never for people.
using TimePoint = std::chrono::steady_clock::time_point;

/// A moment of the calendar: for logs and records, never for decisions.
using WallTime = std::chrono::system_clock::time_point;

/// Waits that end in one tick can end together: waking a thread up costs more
/// than most of what it is woken for.
inline constexpr std::chrono::milliseconds tick{1};

/// The end of the tick in which `time` is, at most one tick later.
[[nodiscard]] constexpr TimePoint end_of_tick(TimePoint time) {
  return std::chrono::ceil<std::remove_const_t<decltype(tick)>>(time);
}

/// With its fraction: for JSON and for ratios.
[[nodiscard]] constexpr double in_seconds(Duration value) {
  return std::chrono::duration<double>(value).count();
}

}  // namespace troupe
