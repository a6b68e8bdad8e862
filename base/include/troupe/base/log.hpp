#pragma once

/// What Troupe says about itself, on standard error or in a file, for the
/// people who run it:
///
///   2026-01-31T12:00:00.123 warn warden_lost commands=3
///
/// Cores and libraries return errors and never log; the shell that finally
/// handles an error logs it, once.
#include <troupe/base/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

enum class LogLevel : std::uint8_t {
  debug = 0,  ///< The rest.
  info = 1,   ///< Life cycle, and what costs time.
  warn = 2,   ///< Something went wrong and we went on; says how.
  error = 3,  ///< A person must act.
};

/// Whether lines of `level` are printed: those from TROUPE_LOG on, which is
/// debug, info, warn, error or off, and `warn` if it is none of these. Read
/// once. From any thread.
[[nodiscard]] bool is_logged(LogLevel level);

/// From now on the lines go to `path`, which is rotated when it has `bytes`:
/// `files` files in all, named path, path.1 and so on. To be called once,
/// before there are other threads.
///
/// Errors: those of the system.
[[nodiscard]] Result<void> log_to_file(const std::string& path,
                                       std::uint64_t bytes,
                                       std::uint32_t files);

/// Prints "event key=value ..", if is_logged(level). No secrets, no
/// environment. From any thread; blocks if standard error does.
void log(LogLevel level, std::string_view line);

}  // namespace troupe
