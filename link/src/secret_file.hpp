#pragma once

/// Files that nobody else may read, and that are there whole or not at all,
/// after a power cut, too. Blocks.
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/time.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe::link {

/// Makes the folder and those that it is in, or takes the one that is there,
/// with the mode 0700.
///
/// Errors: permission_denied (it belongs to another user), those of the system.
[[nodiscard]] Result<void> make_secret_folder(const std::string& path);

/// Reads a file of at most `most` bytes.
///
/// Errors: not_found; permission_denied (others may read or write it, or it
/// belongs to another user than us and root); overloaded; those of the system.
[[nodiscard]] Result<std::string> read_secret_file(const std::string& path,
                                                   std::size_t most);

/// Replaces the file in one step, with the mode 0600; on the disk when this
/// returns.
///
/// Errors: those of the system.
[[nodiscard]] Result<void> write_secret_file(const std::string& path,
                                             std::string_view text);

/// Holds `folder`/lock until it is closed; waits for whoever has it.
///
/// Errors: timed_out, those of the system.
[[nodiscard]] Result<OwnedFd> lock_secret_folder(const std::string& folder,
                                                 Duration within);

}  // namespace troupe::link
