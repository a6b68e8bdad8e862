#include "terminal_lines.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <termios.h>
#include <utility>

namespace troupe::cli {
namespace {

constexpr std::size_t longest_line = 64 << 10;

}  // namespace

/// Lives on the I/O thread once it has been made.
class TerminalLines::Reader
    : public std::enable_shared_from_this<TerminalLines::Reader> {
 public:
  Reader(boost::asio::io_context& io, int fd)
      : io_{io}, fd_{fd}, terminal_{io, fd} {}

  boost::asio::io_context& io() { return io_; }

  /// From any thread.
  void forget_typed() const { ::tcflush(fd_, TCIFLUSH); }

  void read(OnLine on_line) {
    if (on_line_)
      return;
    on_line_ = std::move(on_line);
    auto text = std::make_shared<std::string>();
    boost::asio::async_read_until(
        terminal_, boost::asio::dynamic_buffer(*text, longest_line), '\n',
        [self = shared_from_this(), text, turn = ++turn_](
            const boost::system::error_code& error, std::size_t length) {
          if (turn == self->turn_)
            self->on_read(error, text->substr(0, length));
        });
  }

  void stop() {
    on_line_ = nullptr;
    ++turn_;
    boost::system::error_code ignored;
    terminal_.cancel(ignored);
  }

 private:
  void on_read(const boost::system::error_code& error, std::string line) {
    const OnLine on_line = std::exchange(on_line_, nullptr);
    if (!on_line)
      return;
    if (error || line.empty()) {
      on_line(std::nullopt);
      return;
    }
    line.pop_back();
    on_line(std::move(line));
  }

  boost::asio::io_context& io_;
  int fd_;  ///< That of the terminal_.
  boost::asio::posix::stream_descriptor terminal_;
  std::uint64_t turn_ = 0;  ///< Of the reading that counts.
  OnLine on_line_;
};

TerminalLines::TerminalLines(std::shared_ptr<Reader> reader)
    : reader_{std::move(reader)} {}

Result<TerminalLines> TerminalLines::open(boost::asio::io_context& io) {
  const int fd = ::open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return tl::unexpected{system_error("/dev/tty", errno)};
  return TerminalLines{std::make_shared<Reader>(io, fd)};
}

void TerminalLines::forget_typed() { reader_->forget_typed(); }

void TerminalLines::read(OnLine on_line) {
  boost::asio::post(reader_->io(),
                    [reader = reader_, on_line = std::move(on_line)]() mutable {
                      reader->read(std::move(on_line));
                    });
}

void TerminalLines::stop() {
  boost::asio::post(reader_->io(), [reader = reader_] { reader->stop(); });
}

}  // namespace troupe::cli
