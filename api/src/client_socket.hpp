#pragma once

/// The client's end of a unix socket. Blocks, up to a deadline.
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/time.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::api {

/// A moment to be done by, or never.
class Deadline {
 public:
  Deadline() = default;

  /// Zero is never.
  static Deadline in(Duration limit);

  /// For poll(2): rounded up, zero when it is over.
  [[nodiscard]] int milliseconds_left() const;

  [[nodiscard]] bool is_over() const;

 private:
  std::optional<TimePoint> at_;
};

/// Never raises SIGPIPE. Every call ends with `timed_out` when the deadline is
/// over, and with what else is named.
class ClientSocket {
 public:
  explicit ClientSocket(std::string path) : path_{std::move(path)} {}

  /// From now on things may take `limit`; zero is forever.
  void restart_deadline(Duration limit);

  /// Errors: not_found (nobody listens), permission_denied, invalid_argument
  /// (not the path of a socket).
  [[nodiscard]] Result<void> connect();

  /// How much of `bytes` was sent: less than all if the server has closed,
  /// which may have answered before.
  ///
  /// Errors: unavailable and others of the system.
  [[nodiscard]] Result<std::size_t> send(std::string_view bytes);

  /// Waits for bytes and adds them to `bytes`. How many; zero if the server
  /// has closed.
  ///
  /// Errors: unavailable and others of the system.
  [[nodiscard]] Result<std::size_t> receive(std::string& bytes);

  /// Whether it is connected, and nothing has come, not even an end.
  [[nodiscard]] bool is_quiet() const;

  void close() { fd_.reset(); }
  [[nodiscard]] bool is_open() const { return fd_.is_open(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  [[nodiscard]] Result<void> wait_for(short events) const;
  [[nodiscard]] tl::unexpected<Error> timed_out() const;

  std::string path_;
  Duration limit_{0};
  Deadline deadline_;
  OwnedFd fd_;
};

}  // namespace troupe::api
