#include "terminal.hpp"

#include <troupe/base/owned_fd.hpp>

#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::cli {

TerminalSize terminal_size() {
  TerminalSize size;
  winsize window{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0)
    return size;
  if (window.ws_col != 0)
    size.columns = window.ws_col;
  if (window.ws_row != 0)
    size.rows = window.ws_row;
  return size;
}

bool can_redraw(int fd) {
  const char* const kind = std::getenv("TERM");
  return ::isatty(fd) == 1 && kind != nullptr &&
         std::string_view{kind} != "dumb";
}

bool wants_colour() {
  const char* const no_colour = std::getenv("NO_COLOR");
  return no_colour == nullptr || no_colour[0] == '\0';
}

bool has_controlling_terminal() {
  return OwnedFd{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)}.is_open();
}

bool is_same_file(int one, int other) {
  struct stat a {};
  struct stat b {};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace troupe::cli
