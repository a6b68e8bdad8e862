#pragma once

/// The words of HTTP/1.1 over a unix socket: who asks (Caller), what can be
/// asked (Operation), what was asked (HttpRequest), and the two ways to answer
/// (HttpResponder, HttpStream). http_server.hpp listens, http_client.hpp asks.
///
/// Bodies are JSON. An error is always
///
///   {"error":{"code":"overloaded","what":"..","retry_after_ms":1500}}
///
/// where `code` is the name of an Errc and `retry_after_ms` may be missing.
#include <troupe/api/json.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace troupe::api {

/// What a caller may do; each one may do all that those before it may.
enum class Role : std::uint8_t { read, operate, admin };

/// "read", "operate" or "admin".
[[nodiscard]] std::string_view to_string(Role role);

/// Who asks, as the kernel knew it when the caller connected.
struct Caller {
  uid_t uid = 0;
  pid_t pid = 0;  ///< For people: the process may have ended.
  Role role = Role::read;

  friend bool operator==(const Caller&, const Caller&) = default;
};

enum class HttpMethod : std::uint8_t { get, post, put, patch, remove };

/// "GET", "POST", "PUT", "PATCH" or "DELETE".
[[nodiscard]] std::string_view to_string(HttpMethod method);

/// What a count in a query may be, both ends included.
struct CountRange {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

/// One request that an operation has taken: known path, sufficient role, known
/// query keys, a body that is JSON.
struct HttpRequest {
  std::vector<std::string> path;  ///< Of the {placeholders}, in their order.
  std::map<std::string, std::string> query;  ///< Decoded, each key once.
  Json body;                                 ///< Null if there was none.
  Caller caller;

  /// The value of `key`, if it was given.
  [[nodiscard]] std::optional<std::string> text(const std::string& key) const;

  /// A whole number, or `otherwise` if it was not given.
  ///
  /// Errors: invalid_argument, "query limit: expected a whole number from 1 to
  /// 100, got "x"".
  [[nodiscard]] Result<std::uint64_t> count(const std::string& key,
                                            std::uint64_t otherwise,
                                            CountRange range) const;

  /// `key`, `key=true` and `key=1` are true; `key=false`, `key=0` and what was
  /// not given are false.
  ///
  /// Errors: invalid_argument, "query all: expected true or false, got "x"".
  [[nodiscard]] Result<bool> flag(const std::string& key) const;

  friend bool operator==(const HttpRequest&, const HttpRequest&) = default;
};

/// A stream as an answer: a handle that may be copied and used from any thread,
/// while the io_context exists. Never blocks. When the last copy is gone
/// without end(), the connection is cut off, so that the client does not take
/// what it has for all. After end(), and when the client or the server is gone,
/// all of this does nothing.
///
/// A producer that stops while wants_more() is false and goes on by on_drained
/// has at most half of HttpLimits::unsent_stream_bytes and one piece in memory;
/// one that goes beyond the whole of it is cut off, with a line in the log.
class HttpStream {
 public:
  class Call;
  explicit HttpStream(std::shared_ptr<Call> call);

  /// Adds bytes; none do nothing. Whether there is still somebody who wants
  /// more.
  bool write(std::string_view bytes) const;

  /// Adds one event of `text/event-stream`, for a stream of begin_events().
  /// `name` has no line ends.
  bool event(std::string_view name, const Json& data) const;

  /// Written, and not yet taken by the kernel; with what frames it.
  [[nodiscard]] std::size_t unsent_bytes() const;

  /// Whether it is open, and less than half of the bound is unsent.
  [[nodiscard]] bool wants_more() const;

  /// `handler` is called on the I/O thread, once, when a quarter of the bound
  /// or less is unsent: soon, if that is so already. Never once the stream is
  /// over; see on_closed. Another call replaces a handler that waits.
  void on_drained(std::function<void()> handler) const;

  /// As HttpResponder::on_closed, with end() as the last answer.
  void on_closed(std::function<void()> handler) const;

  /// All has been written. Repeating does nothing.
  void end() const;

  /// Whether nobody waits for more: ended, or closed.
  [[nodiscard]] bool is_over() const;

 private:
  std::shared_ptr<Call> call_;
};

/// The right to answer one request: a handle that may be copied and used from
/// any thread, while the io_context exists. When the last copy is gone and
/// nothing was answered, the client gets an `internal` error. After the first
/// answer, and when the client or the server is gone, all of this does nothing.
/// Never blocks.
class HttpResponder {
 public:
  class Call;
  explicit HttpResponder(std::shared_ptr<Call> call);

  /// Answers 200 with `result`. One that is longer than
  /// HttpLimits::answer_bytes becomes the error invalid_argument, since asking
  /// once more would not help.
  void succeed(const Json& result) const;

  /// Answers `status`, 200 to 299; 204 has no body, and `result` is ignored.
  void succeed(int status, const Json& result) const;

  /// Answers `error`, with the status of its code: invalid_argument 400,
  /// permission_denied 403, not_found 404, already_exists 409, overloaded 429,
  /// cancelled 499, unsupported 501, unavailable 503, timed_out 504, the others
  /// 500. 429 and 503 tell when to come back: after `retry_after`, or 1 s.
  void fail(const Error& error,
            std::optional<Duration> retry_after = std::nullopt) const;

  /// Answers 200 with a body that comes bit by bit.
  [[nodiscard]] HttpStream begin_stream(std::string_view content_type) const;

  /// Answers 200 with a stream of events. A comment is sent after
  /// HttpLimits::heartbeat without an event, so that each side notices when the
  /// other one is dead.
  [[nodiscard]] HttpStream begin_events() const;

  /// `handler` is called on the I/O thread, once, as soon as nobody waits for
  /// the answer any more: the client has closed or was cut off, or the server
  /// ends. Never after the last answer. Another call replaces the handler. One
  /// that holds an HttpResponder or HttpStream keeps it from being dropped.
  void on_closed(std::function<void()> handler) const;

  /// Whether nobody waits for an answer: given, or closed.
  [[nodiscard]] bool is_over() const;

 private:
  std::shared_ptr<Call> call_;
};

/// One thing that can be asked. The operations that a server is given are the
/// one table of what can be reached.
struct Operation {
  /// Answers now or later. Called on the I/O thread and must not block. An
  /// exception of Json that it throws, as for a key that is missing, is
  /// answered with `invalid_argument`.
  using Handler =
      std::function<void(HttpRequest request, HttpResponder responder)>;

  HttpMethod method = HttpMethod::get;
  /// "/v1/jobs/{job}/cancel". A placeholder stands for one part that is not
  /// empty; where words and placeholders match, words win.
  std::string path;
  Role role = Role::read;           ///< The least that is needed.
  std::vector<std::string> query;   ///< The keys that it knows.
  std::size_t most_body_bytes = 0;  ///< Zero: no body. At most 1 MiB.
  std::string summary;              ///< One line for people.
  Handler handler;
};

/// The most that Operation::most_body_bytes can be.
inline constexpr std::size_t most_http_body_bytes = 1 << 20;

/// What a client takes as an answer that is no stream, and a server sends.
inline constexpr std::size_t most_http_answer_bytes = 4 << 20;

}  // namespace troupe::api
