#pragma once

/// Where the program of a command is.
#include "program_image.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_spec.hpp>

#include <string>
#include <unordered_map>

namespace troupe::process {

/// `path` as the command would understand it, from our own directory.
[[nodiscard]] std::string in_directory(const CommandSpec& spec,
                                       const std::string& path);

/// Looks programs up as a shell does, which takes a system call for each entry
/// of PATH, and remembers for a moment where it has found them, since commands
/// that start at the same time mostly are of the same program. A program that
/// disappears is noticed at once; one that is put before it in PATH, once the
/// moment has passed. Belongs to one thread.
class ProgramFinder {
 public:
  /// How long something is remembered.
  static constexpr Duration memory = 1s;

  /// The first of the candidates of `image` that can be executed, or the only
  /// one. `now` never goes back from call to call.
  ///
  /// Errors: not_found, permission_denied (there are only files that may not be
  /// executed).
  [[nodiscard]] Result<std::string> find(const CommandSpec& spec,
                                         const ProgramImage& image,
                                         TimePoint now);

 private:
  std::unordered_map<std::string, std::string> found_;
  TimePoint forget_at_{};
};

}  // namespace troupe::process
