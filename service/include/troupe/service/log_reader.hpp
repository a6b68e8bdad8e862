#pragma once

/// Reading what LogFile writes, from another process. Blocks: for main(), never
/// for a handler or for the I/O thread.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace troupe::service {

struct LogSource {
  std::string path;    ///< FILE; FILE.1 and so on are found.
  std::string prefix;  ///< Put before each of its lines, such as "web | ".
};

struct ReadLogsOptions {
  /// How many lines of each log are read, from the end; none for all. A last
  /// line without an end counts.
  std::optional<std::uint64_t> last_lines = 10;
  bool follow = false;  ///< And then what is written from now on.
  /// Asked several times in a second while following; true ends it, after what
  /// had been written by then. Empty for never.
  std::function<bool()> stop{};
  std::optional<TimePoint> deadline{};  ///< As a `stop` that answers true.
};

/// Gets bytes in order; false ends the reading.
using LogOutput = std::function<bool(std::string_view bytes)>;

/// Passes on the last lines of each log, one log after the other, and with
/// `follow` what is written into any of them, as it comes and across rotations.
/// No byte is lost or doubled unless a rotation removes a file before it was
/// reached. A single log without a prefix is passed on byte by byte as it is.
/// Otherwise lines stay whole: one without an end waits for it, up to 64 KiB,
/// and gets one if a line of another log comes in between. Memory: some 200 KiB
/// per log; descriptors: as many as there are files to read back.
///
/// Errors: not_found (there is nothing at a path; with `follow` that is waited
/// for), permission_denied and others of the system.
[[nodiscard]] Result<void> read_logs(std::span<const LogSource> logs,
                                     const ReadLogsOptions& options,
                                     const LogOutput& output);

}  // namespace troupe::service
