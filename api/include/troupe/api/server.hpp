#pragma once

#include <troupe/api/json.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace troupe::api {

/// The right to answer one request: a handle that may be copied and used from
/// any thread, while the io_context exists. When the last copy is gone and
/// there has been no last answer, the client gets an `internal` error. After
/// the last answer, and when the client or the server is gone, all of this
/// does nothing. Never blocks.
class Responder {
 public:
  class Call;
  explicit Responder(std::shared_ptr<Call> call);

  /// Sends `{"event":what}`. Whether there is still somebody who wants more;
  /// a client that leaves more than 1 MiB unread is cut off, with a line in
  /// the log, and an event that is longer than that ends in the error
  /// `overloaded`.
  bool event(const Json& what) const;

  /// The last answer. One that is longer than 1 MiB becomes the error
  /// `overloaded`.
  void succeed(const Json& result) const;
  void fail(const Error& error) const;

  /// `handler` is called on the I/O thread, once, as soon as nobody waits for
  /// the last answer any more: the client has closed or was cut off, or the
  /// server ends. Never after the last answer. Another call replaces the
  /// handler. One that holds a Responder keeps it from being dropped.
  void on_closed(std::function<void()> handler) const;

  /// Whether nobody waits for more: answered, or closed.
  [[nodiscard]] bool is_over() const;

 private:
  std::shared_ptr<Call> call_;
};

/// The bounds of a ControlServer; the defaults are what programs use.
struct ServerLimits {
  std::size_t connections = 64;          ///< More are told `overloaded`.
  std::size_t request_bytes = 64 << 10;  ///< Without the end of the line.
  Duration request_time = 5s;            ///< From the connection to its line.
  std::size_t unread_bytes = 1 << 20;    ///< Per connection; also of a line.
  Duration last_read_time = 30s;  ///< To fetch all, after the last answer.
};

/// Listens on a unix socket for requests from our own user and from root. Its
/// owner destroys it on the I/O thread, or while no thread runs the io_context,
/// which has to outlive it; that closes every connection and removes the
/// socket.
class ControlServer {
 public:
  /// Gets what was asked, an object, and answers now or later. Called on the
  /// I/O thread and must not block. An exception of Json that it throws, as for
  /// a key that is missing, is answered with `invalid_argument`.
  using Handler = std::function<void(Json request, Responder responder)>;

  /// Makes the socket `path` (mode 0600) and, if it is not there, its folder
  /// (mode 0700; the one above has to be there), and begins to listen. A socket
  /// that a dead server has left is replaced: who holds the lock `path`.lock
  /// is alive. Called on the I/O thread or before it runs.
  ///
  /// Errors: already_exists (a living server, named by its process, or a file
  /// that is no socket), invalid_argument (the path is empty or longer than
  /// the 107 bytes that a socket can have), permission_denied (others may write
  /// to the folder), not_found, overloaded and others of the system.
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> listen(
      boost::asio::io_context& io, const std::string& path, Handler handler,
      ServerLimits limits = {});

  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

 private:
  class Listener;
  explicit ControlServer(std::shared_ptr<Listener> listener);

  std::shared_ptr<Listener> listener_;
};

}  // namespace troupe::api
