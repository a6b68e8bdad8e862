#pragma once

#include <troupe/api/http.hpp>

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace troupe::api {

/// The bounds of an HttpServer; the defaults are what programs use.
struct HttpLimits {
  std::size_t connections = 256;  ///< More are told `overloaded`.
  /// Likewise, of one user who is no admin: nobody can keep the others out.
  std::size_t user_connections = 128;
  std::size_t header_bytes = 16 << 10;  ///< Of the request line, too.
  Duration idle_time = 30s;             ///< Until a request begins.
  Duration request_time = 10s;          ///< From its first byte to its last.
  Duration fetch_time = 30s;            ///< To take a whole answer.
  Duration stall_time = 5min;           ///< Of a stream without a byte taken.
  Duration heartbeat = 15s;             ///< Of a stream of events.
  std::size_t answer_bytes = most_http_answer_bytes;
  std::size_t unsent_stream_bytes = 1 << 20;  ///< Of each stream.
};

/// Who may connect, besides our own user and root, who are admins.
struct HttpGroup {
  gid_t gid = 0;
  Role role = Role::read;  ///< Of its members.
};

/// What was asked for that is no GET, and how it was answered.
struct HttpAnswered {
  Caller caller;
  std::string what;  ///< "POST /v1/jobs/7/cancel".
  int status = 200;
  std::string body;  ///< JSON, or empty.
};

struct HttpOptions {
  std::string path;  ///< Of the socket.
  std::optional<HttpGroup> group;
  HttpLimits limits;
  /// Asked for each request that has an operation, before its body is parsed,
  /// on the I/O thread: nothing lets it through, a duration refuses it with
  /// `overloaded` and this time to come back. For limits of the rate; none lets
  /// all through.
  std::function<std::optional<Duration>(const Caller&)> admit;
  /// For records of who has changed what: told of each answer to a request that
  /// is no GET and was let through, also if its client has gone meanwhile. The
  /// answer waits for `send`, which is called once, from any thread. From any
  /// thread, and maybe after the server has ended.
  std::function<void(HttpAnswered answered, std::function<void()> send)>
      on_answer = nullptr;
  /// Likewise: the caller may not ask for `what`, whose answer is on its way.
  /// On the I/O thread.
  std::function<void(const Caller& caller, const std::string& what)>
      on_refusal = nullptr;
};

/// Listens on a unix socket for HTTP/1.1. A connection is kept for any number
/// of requests, which are answered in their order: the next one is read when
/// the one before has been answered. Its owner destroys it on the I/O thread,
/// or while no thread runs the io_context, which has to outlive it; that closes
/// every connection and removes the socket.
///
/// What the operations need not care about: an unknown path is 404 and an
/// unknown query key 400, with "did you mean"; another method 405, a role that
/// is too low 403, a body that is too long 413, is not application/json 415,
/// or is broken JSON 400, with its line and column. JSON may be nested 64 deep,
/// with at most 1,000 keys in one object (each new key is compared with all).
class HttpServer {
 public:
  /// Makes the socket as ControlServer::listen does; with a group its mode is
  /// 0660, and the group has to be one that we may give a file to. Called on
  /// the I/O thread or before it runs.
  ///
  /// Errors: invalid_argument (two operations for one path and method, a path
  /// that cannot be), and those of ControlServer::listen.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(
      boost::asio::io_context& io, HttpOptions options,
      std::vector<Operation> operations);

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

 private:
  class Listener;
  explicit HttpServer(std::shared_ptr<Listener> listener);

  std::shared_ptr<Listener> listener_;
};

}  // namespace troupe::api
