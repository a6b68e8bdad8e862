#pragma once

#include <chrono>

namespace troupe {

// NOLINTNEXTLINE(google-global-names-in-headers): literals only.
using namespace std::chrono_literals;

/// A length of time. Zero means "none" only where a field says so.
using Duration = std::chrono::nanoseconds;

/// A moment of the monotonic clock: for deadlines, never for people.
using TimePoint = std::chrono::steady_clock::time_point;

/// A moment of the calendar: for logs and records, never for decisions.
using WallTime = std::chrono::system_clock::time_point;

}  // namespace troupe
