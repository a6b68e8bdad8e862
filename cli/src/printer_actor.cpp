#include "printer_actor.hpp"

#include "file_io.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <string>
#include <sys/sendfile.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using actors::Actor;
using actors::ActorRef;
using actors::Behavior;
using process::SinkState;

/// A command is held back while so much of its output waits.
constexpr std::size_t most_waiting_bytes = 1 << 20;

/// Without a way through our memory, where the system can do that: from
/// `offset`, which moves along. False if it is not possible.
bool send_file(int from, int to, off_t& offset) {
  while (true) {
    const ssize_t sent = ::sendfile(to, from, &offset, most_waiting_bytes);
    if (sent == 0)
      return true;
    if (sent < 0 && errno != EINTR)
      return false;
  }
}

bool copy_file(int from, int to) {
  off_t offset = 0;
  if (send_file(from, to, offset))
    return true;
  // What cannot be sent can be written, or fails in the same way again.
  std::array<char, 64 << 10> buffer;
  while (true) {
    const ssize_t got = ::pread(from, buffer.data(), buffer.size(), offset);
    if (got <= 0)
      return true;
    offset += got;
    if (!write_fully(to, {buffer.data(), static_cast<std::size_t>(got)}))
      return false;
  }
}

class PrinterActor {
 public:
  PrinterActor(Actor*, OnBroken on_broken) : on_broken_{std::move(on_broken)} {}

  Behavior make_behavior() {
    return {[this](const Print& m) { print(*m.job); }};
  }

 private:
  void print(const PrintJob& job) {
    const bool left_out =
        broken_.count(job.fd) != 0 ||
        (job.about_output && broken_.count(STDOUT_FILENO) != 0);
    if (!left_out && !(job.is_footer ? print_footer(job) : print_text(job))) {
      const int number = errno;
      if (job.on_failed)
        job.on_failed(number);
      broken_.insert(job.fd);
      on_broken_(job.fd, number);
    }
    if (job.done)
      job.done();
  }

  bool print_text(const PrintJob& job) {
    const bool moves_footer = shares_terminal(job.fd);
    if (moves_footer && !hide_footer())
      return false;
    if (!write_fully(job.fd, job.bytes) ||
        (job.file >= 0 && !copy_file(job.file, job.fd)))
      return false;
    // What is in a file is a job's output, and may have any end.
    if (job.file >= 0)
      at_line_start_ = false;
    else if (!job.bytes.empty())
      at_line_start_ = job.bytes.back() == '\n';
    return !moves_footer || show_footer();
  }

  bool print_footer(const PrintJob& job) {
    footer_fd_ = job.fd;
    if (!hide_footer())
      return false;
    footer_ = job.bytes;
    return show_footer();
  }

  [[nodiscard]] bool shares_terminal(int fd) const {
    return footer_fd_ && !footer_.empty() && ::isatty(fd) == 1;
  }

  /// Only below whole lines: drawing it over half of one would lose that.
  bool show_footer() {
    if (footer_.empty() || !at_line_start_)
      return true;
    footer_is_shown_ = true;
    return write_fully(*footer_fd_, footer_);
  }

  bool hide_footer() {
    if (!std::exchange(footer_is_shown_, false))
      return true;
    const auto lines = std::count(footer_.begin(), footer_.end(), '\n');
    return write_fully(
        *footer_fd_,
        lines == 0 ? "\r\x1b[J" : fmt::format("\r\x1b[{}A\x1b[J", lines));
  }

  OnBroken on_broken_;
  std::optional<int> footer_fd_;
  std::string footer_;
  bool footer_is_shown_ = false;
  bool at_line_start_ = true;
  std::set<int> broken_;  ///< Descriptors that nobody reads any more.
};

}  // namespace

ActorRef spawn_printer(actors::ActorSystem& system, OnBroken on_broken) {
  return actors::spawn_detached<PrinterActor>(system, std::move(on_broken));
}

SinkState PrinterSink::print(process::Stream stream, std::string text) {
  const std::size_t size = text.size();
  const bool full = waiting_->fetch_add(size) + size >= most_waiting_bytes;
  auto job = std::make_shared<PrintJob>();
  job->fd = stream == process::Stream::out ? out_ : err_;
  job->bytes = std::move(text);
  job->done = [waiting = waiting_, size,
               resume = full ? resume_ : std::function<void()>{}] {
    waiting->fetch_sub(size);
    if (resume)
      resume();
  };
  actors::send(printer_, Print{std::move(job)});
  return full ? SinkState::full : SinkState::ready;
}

}  // namespace troupe::cli
