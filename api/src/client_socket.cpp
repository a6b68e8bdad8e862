#include "client_socket.hpp"

#include "socket_address.hpp"

#include <troupe/base/quantity.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

namespace troupe::api {
namespace {

constexpr std::size_t receive_bytes = 64 << 10;
/// A server that is busy cannot be waited for: there is no event for it.
constexpr Duration connect_pause = 10ms;
constexpr Duration longest_poll = 1h;

}  // namespace

Deadline Deadline::in(Duration limit) {
  Deadline deadline;
  if (limit > Duration{0})
    deadline.at_ = std::chrono::steady_clock::now() + limit;
  return deadline;
}

int Deadline::milliseconds_left() const {
  Duration left = longest_poll;
  if (at_)
    left = std::clamp<Duration>(*at_ - std::chrono::steady_clock::now(),
                                Duration{0}, longest_poll);
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

bool Deadline::is_over() const {
  return at_ && *at_ <= std::chrono::steady_clock::now();
}

void ClientSocket::restart_deadline(Duration limit) {
  limit_ = limit;
  deadline_ = Deadline::in(limit);
}

Result<void> ClientSocket::connect() {
  const auto address = socket_address(path_);
  if (!address)
    return tl::unexpected{address.error()};
  while (true) {
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_.is_open())
      return tl::unexpected{system_error("cannot make a socket", errno)};
    const int error = connect_now(fd_.get(), *address);
    if (error == 0)
      return {};
    fd_.reset();
    if (error == ENOENT || error == ENOTDIR || error == ECONNREFUSED)
      return failure(Errc::not_found,
                     fmt::format("nobody listens on {}: not started yet, "
                                 "ended, or started with another path",
                                 path_));
    if (error != EAGAIN)
      return tl::unexpected{
          system_error(fmt::format("cannot connect to {}", path_), error)};
    if (deadline_.is_over())
      return timed_out();
    ::poll(nullptr, 0, static_cast<int>(connect_pause / 1ms));
  }
}

Result<std::size_t> ClientSocket::send(std::string_view bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data() + done,
                                bytes.size() - done, MSG_NOSIGNAL);
    if (sent >= 0) {
      done += static_cast<std::size_t>(sent);
    } else if (errno == EPIPE || errno == ECONNRESET) {
      break;
    } else if (errno == EAGAIN) {
      if (auto ready = wait_for(POLLOUT); !ready)
        return tl::unexpected{std::move(ready.error())};
    } else if (errno != EINTR) {
      return tl::unexpected{
          system_error(fmt::format("cannot write to {}", path_), errno)};
    }
  }
  return done;
}

Result<std::size_t> ClientSocket::receive(std::string& bytes) {
  while (true) {
    std::array<char, receive_bytes> buffer;
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size > 0) {
      bytes.append(buffer.data(), static_cast<std::size_t>(size));
      return static_cast<std::size_t>(size);
    }
    if (size == 0 || errno == ECONNRESET)
      return std::size_t{0};
    if (errno == EAGAIN) {
      if (auto ready = wait_for(POLLIN); !ready)
        return tl::unexpected{std::move(ready.error())};
    } else if (errno != EINTR) {
      return tl::unexpected{
          system_error(fmt::format("cannot read from {}", path_), errno)};
    }
  }
}

bool ClientSocket::is_quiet() const {
  char byte = 0;
  return fd_.is_open() &&
         ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         errno == EAGAIN;
}

Result<void> ClientSocket::wait_for(short events) const {
  pollfd ready{.fd = fd_.get(), .events = events, .revents = 0};
  while (::poll(&ready, 1, deadline_.milliseconds_left()) <= 0) {
    if (deadline_.is_over())
      return timed_out();
  }
  return {};
}

tl::unexpected<Error> ClientSocket::timed_out() const {
  return failure(Errc::timed_out, fmt::format("no answer from {} within {}",
                                              path_, format_duration(limit_)));
}

}  // namespace troupe::api
