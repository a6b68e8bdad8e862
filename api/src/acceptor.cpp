#include "acceptor.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>

#include <cerrno>
#include <fmt/format.h>
#include <sys/socket.h>
#include <utility>

namespace troupe::api {
namespace {

using boost::system::error_code;

/// How long we wait for a descriptor when there are none left.
constexpr Duration accept_pause = 100ms;
/// How long a socket that was removed is missed at most.
constexpr Duration look_pause = 2s;
/// Connections that are accepted before other work gets its turn.
constexpr int accept_batch = 16;

}  // namespace

Acceptor::Acceptor(boost::asio::io_context& io, SocketFile file,
                   std::string_view name)
    : path_{file.path()},
      group_{file.group()},
      file_{std::move(file)},
      readable_{io, file_->socket()},
      pause_{io},
      next_look_{io},
      name_{name} {}

void Acceptor::start() {
  accept();
  keep_in_place();
}

void Acceptor::stop() {
  next_look_.cancel();
  close();
}

void Acceptor::accept() {
  readable_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](error_code error) {
                         if (!error && self->file_)
                           self->accept_waiting();
                       });
}

void Acceptor::close() {
  if (file_)
    (void)readable_.release();
  file_.reset();
  pause_.cancel();
}

void Acceptor::keep_in_place() {
  next_look_.expires_after(look_pause);
  next_look_.async_wait([self = shared_from_this()](error_code stopped) {
    if (stopped)
      return;
    if (!self->file_ || !self->file_->is_in_place())
      self->make_again();
    self->keep_in_place();
  });
}

void Acceptor::make_again() {
  const bool is_known = !file_;
  close();
  auto file = SocketFile::open(path_, group_);
  if (file) {
    file_.emplace(std::move(*file));
    readable_.assign(file_->socket());
    log(LogLevel::info, fmt::format("{}_socket_made_again socket={}", name_,
                                    shell_quote(path_)));
    accept();
  } else if (!is_known) {
    log(LogLevel::warn,
        fmt::format("{}_socket_gone socket={} reason={}", name_,
                    shell_quote(path_), shell_quote(file.error().what)));
  }
}

void Acceptor::accept_waiting() {
  for (int i = 0; i < accept_batch; ++i) {
    OwnedFd client{::accept4(file_->socket(), nullptr, nullptr,
                             SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (client.is_open()) {
      is_short_of_descriptors_ = false;
      welcome(std::move(client));
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      accept_later(errno);
      return;
    }
  }
  accept();
}

/// No descriptors or no memory: that passes, and without a pause the socket
/// would be ready again at once.
void Acceptor::accept_later(int error) {
  if (!std::exchange(is_short_of_descriptors_, true))
    log(LogLevel::warn,
        fmt::format("{}_cannot_accept socket={} reason={}", name_,
                    shell_quote(path_),
                    shell_quote(system_error("accept", error).what)));
  pause_.expires_after(accept_pause);
  pause_.async_wait([self = shared_from_this()](error_code cancelled) {
    if (!cancelled && self->file_)
      self->accept_waiting();
  });
}

}  // namespace troupe::api
