#pragma once

#include <troupe/base/error.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace troupe::content {

inline constexpr std::size_t most_files = 100'000;  ///< Of one set.

/// The regular files below `folder` that `patterns` name, in the order of their
/// paths, which are relative to `folder` or absolute as their pattern. A
/// pattern is a service::PathPattern; without a wildcard it names a file, or a
/// folder for all that is in it; with `!` in front it takes files out again.
/// What is not there is no error. Symbolic links are followed to files, not to
/// folders. Blocks.
///
/// Errors: overloaded (more than most_files); those of the system, naming the
/// path.
[[nodiscard]] Result<std::vector<std::string>> find_files(
    const std::vector<std::string>& patterns, const std::string& folder);

/// A hash of the paths of these files, in their order, and of what is in them;
/// empty if there are none. Blocks.
///
/// Errors: those of find_files() and of reading.
[[nodiscard]] Result<std::string> hash_files(
    const std::vector<std::string>& patterns, const std::string& folder);

}  // namespace troupe::content
