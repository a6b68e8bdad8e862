#include "argument_input.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <poll.h>
#include <span>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

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

}  // namespace troupe::cli
