#pragma once

#include <cstddef>

namespace troupe::cli {

struct TerminalSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

/// Of the terminal that standard error is; the usual one if it is none.
[[nodiscard]] TerminalSize terminal_size();

/// Whether frames can be drawn over each other on `fd`.
[[nodiscard]] bool can_redraw(int fd);

/// Whether people want colours where there is a terminal: NO_COLOR is not set,
/// or empty (no-color.org).
[[nodiscard]] bool wants_colour();

/// Whether this process belongs to a terminal, wherever its streams go.
[[nodiscard]] bool has_controlling_terminal();

/// Whether two descriptors are open on one file or terminal.
[[nodiscard]] bool is_same_file(int one, int other);

}  // namespace troupe::cli
