#pragma once

/// A run told line by line, for logs and terminals that cannot be drawn on.
#include "run_event.hpp"

#include <string>
#include <string_view>

namespace troupe::cli {

/// One line with its newline, or nothing if `event` is not worth one. `clock`
/// is the time of day: "12:03:04".
[[nodiscard]] std::string line_of(const RunEvent& event,
                                  std::string_view clock);

/// "group load starts again: job pull failed, restart 1 of 2 in 30m".
[[nodiscard]] std::string text_of(const GroupDecided& decision);

/// "job pull (eu)" or "hook on-exit", safe to print.
[[nodiscard]] std::string title_of(const JobRef& job);

/// A length of time for people: "12ms", "3.2s", "4m5s".
[[nodiscard]] std::string brief_duration(Duration value);

}  // namespace troupe::cli
