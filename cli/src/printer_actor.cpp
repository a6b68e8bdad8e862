#include "printer_actor.hpp"

#include "file_io.hpp"

#include <array>
#include <cerrno>
#include <optional>
#include <set>
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

bool copy_file(int from, int to) {
  std::array<char, 64 << 10> buffer;
  off_t offset = 0;
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
    if (!job.passing)
      erase_passing_line();
    const bool left_out =
        broken_.count(job.fd) != 0 ||
        (job.about_output && broken_.count(STDOUT_FILENO) != 0);
    if (!left_out && (!write_fully(job.fd, job.bytes) ||
                      (job.file >= 0 && !copy_file(job.file, job.fd)))) {
      const int number = errno;
      if (job.on_failed)
        job.on_failed(number);
      broken_.insert(job.fd);
      on_broken_(job.fd, number);
    }
    if (job.passing)
      passing_fd_ = job.fd;
    if (job.done)
      job.done();
  }

  void erase_passing_line() {
    if (passing_fd_ && broken_.count(*passing_fd_) == 0)
      (void)write_fully(*passing_fd_, "\r\x1b[K");
    passing_fd_.reset();
  }

  OnBroken on_broken_;
  std::optional<int> passing_fd_;  ///< Where a passing line stands.
  std::set<int> broken_;           ///< Descriptors that nobody reads any more.
};

}  // namespace

ActorRef spawn_printer(actors::ActorSystem& system, OnBroken on_broken) {
  return actors::spawn_detached<PrinterActor>(system, std::move(on_broken));
}

SinkState PrinterSink::write(process::Stream stream, std::string_view bytes) {
  const std::size_t size = bytes.size();
  const bool full = waiting_->fetch_add(size) + size >= most_waiting_bytes;
  auto job = std::make_shared<PrintJob>();
  job->fd = stream == process::Stream::out ? out_ : err_;
  job->bytes = bytes;
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
