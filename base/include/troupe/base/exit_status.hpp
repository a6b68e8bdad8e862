#pragma once

namespace troupe {

// What is exited with, and recorded of a command, if it has no status of its
// own to tell: as in a shell and with timeout(1).

inline constexpr int status_timed_out = 124;
inline constexpr int status_troupe_failed = 125;
inline constexpr int status_not_executable = 126;
inline constexpr int status_not_found = 127;
inline constexpr int status_signal_base = 128;  ///< Plus the signal's number.

}  // namespace troupe
