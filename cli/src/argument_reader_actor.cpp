#include "argument_reader_actor.hpp"

#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

/// An answer ends here, so that many long arguments are not held at once.
constexpr std::size_t most_arguments_bytes = 256 << 10;

class DescriptorReader : public fanout::ByteReader {
 public:
  DescriptorReader(int fd, std::shared_ptr<ReaderControl> control)
      : fd_{fd}, control_{std::move(control)} {}
  DescriptorReader(const DescriptorReader&) = delete;
  DescriptorReader& operator=(const DescriptorReader&) = delete;
  ~DescriptorReader() override {
    if (fd_ > STDERR_FILENO)
      ::close(fd_);
  }

  Result<std::size_t> read(std::span<char> buffer) override {
    while (true) {
      auto ready = wait(0);
      if (ready == Ready::nothing) {
        if (control_->about_to_wait)
          control_->about_to_wait();
        ready = wait(-1);
      }
      if (ready == Ready::interrupted)
        return 0;
      const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
      if (got >= 0)
        return static_cast<std::size_t>(got);
      if (errno != EINTR && errno != EAGAIN)
        return tl::unexpected(system_error("cannot read arguments", errno));
    }
  }

 private:
  enum class Ready : std::uint8_t { nothing, input, interrupted };

  [[nodiscard]] Ready wait(int timeout_ms) const {
    std::array<pollfd, 2> watched{
        pollfd{.fd = fd_, .events = POLLIN, .revents = 0},
        pollfd{.fd = control_->descriptor(), .events = POLLIN, .revents = 0}};
    ::poll(watched.data(), watched.size(), timeout_ms);
    if (watched[1].revents != 0)
      return Ready::interrupted;
    return watched[0].revents != 0 ? Ready::input : Ready::nothing;
  }

  int fd_;
  std::shared_ptr<ReaderControl> control_;
};

class ArgumentReaderActor {
 public:
  ArgumentReaderActor(actors::Actor* self,
                      std::shared_ptr<fanout::ArgumentStream> stream,
                      std::shared_ptr<ReaderControl> control)
      : self_{self}, stream_{std::move(stream)}, control_{std::move(control)} {
    control_->about_to_wait = [this] {
      if (!batch_.arguments.empty())
        answer();
    };
  }

  actors::Behavior make_behavior() {
    return {[this](ReadArguments m) { read(m.most); }};
  }

  void on_exit() { control_->about_to_wait = nullptr; }

 private:
  /// What is read after the answer has gone out early is kept for the next one.
  void read(std::size_t most) {
    asker_ = actors::sender_of(self_);
    while (asker_ && !batch_.at_end && batch_.arguments.size() < most &&
           bytes_ < most_arguments_bytes) {
      auto next = stream_->next();
      if (!next) {
        batch_.error = next.error();
        batch_.at_end = true;
      } else if (!*next) {
        batch_.at_end = true;
      } else {
        bytes_ += fanout::memory_bytes(**next);
        batch_.arguments.push_back(std::move(**next));
      }
    }
    answer();
  }

  void answer() {
    if (!asker_)
      return;
    actors::send(self_, std::exchange(asker_, {}), std::exchange(batch_, {}));
    bytes_ = 0;
  }

  actors::Actor* self_;
  std::shared_ptr<fanout::ArgumentStream> stream_;
  std::shared_ptr<ReaderControl> control_;
  actors::ActorRef asker_;  ///< Has no answer yet.
  ArgumentsRead batch_;
  std::size_t bytes_ = 0;
};

}  // namespace

ReaderControl::ReaderControl() : fd_{::eventfd(0, EFD_CLOEXEC)} {}

ReaderControl::~ReaderControl() { ::close(fd_); }

void ReaderControl::interrupt() const {
  const std::uint64_t one = 1;
  (void)!::write(fd_, &one, sizeof one);
}

std::unique_ptr<fanout::ByteReader> make_reader(
    int fd, std::shared_ptr<ReaderControl> control) {
  return std::make_unique<DescriptorReader>(fd, std::move(control));
}

actors::ActorRef spawn_argument_reader(
    actors::ActorSystem& system, std::shared_ptr<fanout::ArgumentStream> stream,
    std::shared_ptr<ReaderControl> control) {
  return actors::spawn_detached<ArgumentReaderActor>(system, std::move(stream),
                                                     std::move(control));
}

}  // namespace troupe::cli
