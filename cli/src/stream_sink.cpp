#include "stream_sink.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

using process::SinkState;

/// A command is held back while so much of its output waits.
constexpr std::size_t most_waiting_bytes = 1 << 20;

bool has_room(int fd) {
  pollfd poll{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&poll, 1, 0) > 0;
}

}  // namespace

StreamSink::StreamSink(boost::asio::io_context& io, int fd,
                       std::function<void()> on_broken)
    : fd_{fd}, io_{io}, on_broken_{std::move(on_broken)} {}

void StreamSink::on_attach(std::function<void()> resume) {
  resume_ = std::move(resume);
}

SinkState StreamSink::write(process::Stream, std::string_view bytes) {
  if (is_broken_)
    return SinkState::ready;
  const bool is_waiting = !waiting_.empty();
  waiting_ += bytes;
  if (!is_waiting)
    write_what_fits();
  is_held_back_ = waiting_.size() >= most_waiting_bytes;
  return is_held_back_ ? SinkState::full : SinkState::ready;
}

void StreamSink::when_written(std::function<void()> done) {
  done_ = std::move(done);
  if (waiting_.empty())
    end_waiting();
}

void StreamSink::write_what_fits() {
  std::size_t written = 0;
  while (written < waiting_.size() && has_room(fd_)) {
    // A pipe with room takes so much without blocking, see pipe(7).
    const std::size_t size =
        std::min<std::size_t>(waiting_.size() - written, PIPE_BUF);
    const ssize_t count = ::write(fd_, waiting_.data() + written, size);
    if (count >= 0) {
      written += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      break;  // Somebody has made it non-blocking, and filled it.
    } else if (errno != EINTR) {
      return drop_all();
    }
  }
  waiting_.erase(0, written);
  if (waiting_.empty())
    end_waiting();
  else
    wait_for_room();
}

void StreamSink::wait_for_room() {
  if (!descriptor_) {
    const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
      return drop_all();
    descriptor_.emplace(io_, copy);
  }
  descriptor_->async_wait(boost::asio::posix::stream_descriptor::wait_write,
                          [this](const auto& error) {
                            if (!error)
                              write_what_fits();
                          });
}

void StreamSink::drop_all() {
  is_broken_ = true;
  waiting_.clear();
  on_broken_();
  end_waiting();
}

void StreamSink::end_waiting() {
  if (std::exchange(is_held_back_, false))
    resume_();
  if (done_)
    std::exchange(done_, nullptr)();
}

}  // namespace troupe::cli
