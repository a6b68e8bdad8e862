#include "live_view.hpp"

#include "node_client.hpp"
#include "queue_context.hpp"
#include "terminal.hpp"

#include <csignal>
#include <poll.h>
#include <termios.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

constexpr int redraw_ms = 1000;

/// The terminal gives each key at once, Ctrl-C as well, and shows none, while
/// this lives.
class RawKeys {
 public:
  RawKeys() { take(); }
  RawKeys(const RawKeys&) = delete;
  RawKeys& operator=(const RawKeys&) = delete;
  ~RawKeys() { give_back(); }

  /// Stops this process, as Ctrl-Z does; returns once it goes on.
  void suspend() {
    give_back();
    (void)::raise(SIGTSTP);
    take();
  }

 private:
  void take() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0)
      return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    is_changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  void give_back() {
    if (std::exchange(is_changed_, false))
      ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }

  termios before_{};
  bool is_changed_ = false;
};

enum class Pressed { none, quit, suspend };

/// Waits a second for a key; the end of the terminal quits, too.
Pressed wait_for_key() {
  pollfd keys{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (::poll(&keys, 1, redraw_ms) <= 0)
    return Pressed::none;
  char key = 0;
  constexpr char ctrl_c = 3;
  constexpr char ctrl_d = 4;
  constexpr char ctrl_z = 26;
  if (::read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == ctrl_c ||
      key == ctrl_d)
    return Pressed::quit;
  return key == ctrl_z ? Pressed::suspend : Pressed::none;
}

FrameStyle style_of_terminal() {
  const TerminalSize size = terminal_size();
  return {.columns = size.columns,
          .rows = size.rows - 1,  // Of the cursor.
          .colour = wants_colour()};
}

bool is_passing(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timed_out;
}

/// What was seen last, and that it was.
std::vector<std::string> without_node(std::vector<std::string> last,
                                      const FrameStyle& style) {
  last.insert(last.begin(),
              "no node answers, this is what it was; it is asked again");
  if (style.rows > 0 && last.size() > style.rows)
    last.resize(style.rows);
  return last;
}

}  // namespace

int redraw_until_quit(
    const std::function<Result<std::vector<std::string>>(const FrameStyle&)>&
        frame) {
  RawKeys keys;
  FramePainter painter;
  std::vector<std::string> last;
  while (true) {
    const FrameStyle style = style_of_terminal();
    auto lines = frame(style);
    if (!lines && (last.empty() || !is_passing(lines.error()))) {
      write_out(painter.finish());
      return node_failed(lines.error());
    }
    if (lines)
      last = std::move(*lines);
    write_out(painter.draw(lines ? last : without_node(last, style)));
    const Pressed pressed = wait_for_key();
    if (pressed == Pressed::quit)
      break;
    if (pressed == Pressed::suspend) {
      write_out(painter.finish());
      keys.suspend();
    }
  }
  write_out(painter.finish());
  return exit_ok;
}

}  // namespace troupe::cli
