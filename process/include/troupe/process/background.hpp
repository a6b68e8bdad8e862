#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <cstdint>
#include <string>
#include <variant>

namespace troupe::process {

/// We are the process that the user has started.
struct ForegroundSide {
  OwnedFd from_background;
  int pid = 0;                     ///< Of the process in the background.
  std::uint64_t output_start = 0;  ///< Where its output begins in the file.

  /// Waits until the other side says that it is up; false if it ends before
  /// that. Blocks.
  [[nodiscard]] bool await_up() const;
};

/// We are the process in the background: in a session of our own, without a
/// standard input, and with our output going to the file.
struct BackgroundSide {
  OwnedFd to_foreground;

  /// Lets the other side go. A repeat does nothing.
  void tell_up();
};

/// Splits this process in two; both go on from here. To be called while it has
/// one thread. `output` is appended to, with mode 0600.
///
/// Errors: those of the system; then there is one process still.
[[nodiscard]] Result<std::variant<ForegroundSide, BackgroundSide>>
split_into_background(const std::string& output);

}  // namespace troupe::process
