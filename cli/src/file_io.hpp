#pragma once

/// Small files, whole. Blocks: for main() before anything runs and for the I/O
/// thread, never for an actor's handler.
#include <troupe/base/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe::cli {

/// Writes all of `bytes`; false, with errno set, if the system refuses, as when
/// nobody reads any more. Waits for a reader that is slow, also if the
/// descriptor does not block.
[[nodiscard]] bool write_fully(int fd, std::string_view bytes);

/// Reads `fd` to its end, at most `most` bytes.
///
/// Errors: overloaded, "more than 1.00 MiB"; those of read(2).
[[nodiscard]] Result<std::string> read_to_end(int fd, std::size_t most);

/// Reads the file at `path`, at most 1 MiB.
///
/// Errors: as read_to_end(), and not_found and others of open(2).
[[nodiscard]] Result<std::string> read_whole_file(const std::string& path);

/// Replaces the file at `path` in one step: readers see the old text or the
/// new one.
[[nodiscard]] Result<void> replace_file(const std::string& path,
                                        std::string_view text);

}  // namespace troupe::cli
