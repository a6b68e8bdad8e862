#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <csignal>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::process {

/// What `line`, a line of sh, prints on standard output, at most `most_bytes`,
/// within `limit`. It has no standard input and our standard error; its process
/// group is killed when it is not waited for any longer. Blocks: for a program
/// that has one thread still.
///
/// Errors: invalid_argument, "exited with 1"; timed_out; overloaded; those of
/// the system.
[[nodiscard]] Result<std::string> read_command_output(const std::string& line,
                                                      std::size_t most_bytes,
                                                      Duration limit);

/// How a command ended that run_and_copy() has run.
struct CopiedRun {
  int status = 0;      ///< As waitpid(2) tells it.
  std::string output;  ///< The beginning of it, if it is not complete.
  bool is_complete = true;
};

/// Where what a command prints goes. Each is false once nobody reads any more.
struct OutputCopies {
  std::function<bool(std::string_view bytes)> on_output;
  /// Null if the command gets our standard error. Never called where that is
  /// the same file as our standard output: then all goes to `on_output`.
  std::function<bool(std::string_view bytes)> on_error{};
};

/// Runs a command as a child that has our streams, but for those that are
/// copied; of standard output, the first `most_bytes` are kept. Until it ends,
/// signals that ask this process to end go to the command. What it leaves
/// behind is not waited for. Blocks: for a program that has one thread still.
///
/// Errors: not_found, permission_denied and others of execvp(3), naming the
/// command; those of the system.
[[nodiscard]] Result<CopiedRun> run_and_copy(std::vector<std::string> argv,
                                             const sigset_t& signal_mask,
                                             std::size_t most_bytes,
                                             const OutputCopies& copies);

}  // namespace troupe::process
