#include "lines.hpp"
#include "socket_address.hpp"

#include <troupe/api/client.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>

namespace troupe::api {
namespace {

constexpr std::size_t read_bytes = 64 << 10;
/// A server that is busy cannot be waited for: there is no event for it.
constexpr Duration connect_pause = 10ms;
constexpr Duration longest_poll = 1h;

/// A moment to be done by, or never.
class Deadline {
 public:
  /// Zero is never.
  static Deadline in(Duration limit) {
    Deadline deadline;
    if (limit > Duration{0})
      deadline.at_ = std::chrono::steady_clock::now() + limit;
    return deadline;
  }

  /// For poll(2): rounded up, zero when it is over.
  [[nodiscard]] int milliseconds_left() const {
    Duration left = longest_poll;
    if (at_)
      left = std::clamp<Duration>(*at_ - std::chrono::steady_clock::now(),
                                  Duration{0}, longest_poll);
    return static_cast<int>(
        std::chrono::ceil<std::chrono::milliseconds>(left).count());
  }

  [[nodiscard]] bool is_over() const {
    return at_ && *at_ <= std::chrono::steady_clock::now();
  }

 private:
  std::optional<TimePoint> at_;
};

/// Our end of one connection.
class Line {
 public:
  Line(const std::string& path, Duration limit)
      : path_{path}, limit_{limit}, deadline_{Deadline::in(limit)} {}

  Result<void> connect() {
    const auto address = socket_address(path_);
    if (!address)
      return tl::unexpected{address.error()};
    while (true) {
      socket_.reset(
          ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!socket_.is_open())
        return tl::unexpected{system_error("cannot make a socket", errno)};
      const int error = connect_now(socket_.get(), *address);
      if (error == 0)
        return {};
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

  Result<void> send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent =
          ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return {};  // It has answered without having read all.
      } else if (errno == EAGAIN) {
        if (auto ready = wait_for(POLLOUT); !ready)
          return ready;
      } else if (errno != EINTR) {
        return tl::unexpected{
            system_error(fmt::format("cannot write to {}", path_), errno)};
      }
    }
    return {};
  }

  /// The next line, without its end; good until the next call.
  Result<std::string_view> receive() {
    bytes_.erase(0, taken_);
    taken_ = 0;
    std::size_t searched = 0;
    while (true) {
      const std::size_t end = bytes_.find('\n', searched);
      if (end != std::string::npos) {
        taken_ = end + 1;
        return std::string_view{bytes_}.substr(0, end);
      }
      searched = bytes_.size();
      if (searched > most_answer_bytes)
        return failure(Errc::corrupt,
                       fmt::format("{} answered with a line of more than {}",
                                   path_, format_size(most_answer_bytes)));
      if (auto more = read(); !more)
        return tl::unexpected{std::move(more.error())};
    }
  }

  void restart_deadline() { deadline_ = Deadline::in(limit_); }

 private:
  Result<void> read() {
    while (true) {
      std::array<char, read_bytes> buffer;
      const ssize_t size =
          ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (size > 0) {
        bytes_.append(buffer.data(), static_cast<std::size_t>(size));
        return {};
      }
      if (size == 0 || errno == ECONNRESET)
        return failure(Errc::unavailable,
                       fmt::format("{} closed before it had answered", path_));
      if (errno == EAGAIN) {
        if (auto ready = wait_for(POLLIN); !ready)
          return ready;
      } else if (errno != EINTR) {
        return tl::unexpected{
            system_error(fmt::format("cannot read from {}", path_), errno)};
      }
    }
  }

  Result<void> wait_for(short events) {
    pollfd ready{.fd = socket_.get(), .events = events, .revents = 0};
    while (::poll(&ready, 1, deadline_.milliseconds_left()) <= 0) {
      if (deadline_.is_over())
        return timed_out();
    }
    return {};
  }

  [[nodiscard]] tl::unexpected<Error> timed_out() const {
    return failure(Errc::timed_out,
                   fmt::format("no answer from {} within {}", path_,
                               format_duration(limit_)));
  }

  const std::string& path_;
  const Duration limit_;
  Deadline deadline_;
  OwnedFd socket_;
  std::string bytes_;
  std::size_t taken_ = 0;  ///< Of the front of `bytes_`.
};

Result<void> ask(Line& line, const Json& what) {
  const std::string text = request_line(what);
  if (text.size() > most_request_bytes + 1)
    return failure(Errc::invalid_argument,
                   fmt::format("the request is longer than {}",
                               format_size(most_request_bytes)));
  if (auto connected = line.connect(); !connected)
    return connected;
  return line.send(text);
}

Result<Json> converse(Line& line, const Json& what,
                      const EventHandler& on_event) {
  if (auto asked = ask(line, what); !asked)
    return tl::unexpected{std::move(asked.error())};
  while (true) {
    const auto text = line.receive();
    if (!text)
      return tl::unexpected{text.error()};
    auto answer = parse_answer(*text);
    if (!answer)
      return tl::unexpected{std::move(answer.error())};
    if (auto* const last = std::get_if<LastAnswer>(&*answer))
      return std::move(last->result);
    if (!on_event(std::get<Event>(*answer).what))
      return failure(Errc::cancelled, "the stream was ended");
  }
}

}  // namespace

Result<Json> request(const std::string& path, const Json& what,
                     Duration limit) {
  Line line{path, limit};
  return converse(line, what, [](const Json&) { return true; });
}

Result<Json> stream(const std::string& path, const Json& what, Duration limit,
                    const EventHandler& on_event) {
  Line line{path, limit};
  return converse(line, what, [&](const Json& event) {
    const bool goes_on = on_event(event);
    line.restart_deadline();
    return goes_on;
  });
}

}  // namespace troupe::api
