#pragma once

#include <troupe/api/http.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace troupe::api {

/// "/v1/jobs/a%2Fb?limit=5" from {"v1", "jobs", "a/b"} and {{"limit", "5"}}.
[[nodiscard]] std::string http_target(
    std::initializer_list<std::string_view> path,
    std::span<const std::pair<std::string, std::string>> query = {});

/// Asks an HttpServer, one thing after the other over one connection. Blocks:
/// for main(), never for a handler or the I/O thread. Used by one thread at a
/// time.
///
/// Everything answers, besides what is named: the error of the server with its
/// code; not_found (nobody listens), permission_denied (the socket is not for
/// us), timed_out, unavailable (the server went away), corrupt (it speaks
/// something else, or an answer is longer than 4 MiB). After an error of these
/// the next request connects again.
class HttpClient {
 public:
  /// Connects to the socket at `path` within `limit`; zero waits for as long
  /// as it takes.
  ///
  /// Errors: also invalid_argument (`path` is not one of a socket).
  [[nodiscard]] static Result<HttpClient> connect(const std::string& path,
                                                  Duration limit);

  HttpClient(HttpClient&& other) noexcept;
  HttpClient& operator=(HttpClient&& other) noexcept;
  ~HttpClient();

  /// Asks and waits for the answer, at most `limit` in all; zero waits for as
  /// long as the server lives. `body` may be null. An answer without a body is
  /// null. If the server has closed the connection in the meantime, connects
  /// once more, but never sends twice what is not a GET.
  [[nodiscard]] Result<Json> request(HttpMethod method, std::string_view target,
                                     const Json* body, Duration limit);

  /// Gets bytes as they come; false ends the stream.
  using BytesHandler = std::function<bool(std::string_view bytes)>;

  /// Asks for a stream and reads it to its end, or until `on_bytes` ends it,
  /// which closes the connection: both are success. `limit` is for connecting
  /// and asking, and from then on for the silence between two pieces; zero
  /// waits for as long as the server lives.
  ///
  /// Errors: also unavailable (the stream stopped before its end).
  [[nodiscard]] Result<void> stream(HttpMethod method, std::string_view target,
                                    Duration limit,
                                    const BytesHandler& on_bytes);

  /// Gets an event; false ends the stream.
  using EventsHandler =
      std::function<bool(const std::string& name, const Json& data)>;

  /// As `stream`, by GET, for a stream of events. Heartbeats end a silence.
  ///
  /// Errors: also corrupt (no events, or one of more than 1 MiB).
  [[nodiscard]] Result<void> events(std::string_view target, Duration limit,
                                    const EventsHandler& on_event);

  /// Whether the connection is there, as far as can be seen: the next request
  /// need not connect.
  [[nodiscard]] bool is_connected() const;

  /// When the last answer said to come back, if it did.
  [[nodiscard]] std::optional<Duration> retry_after() const;

 private:
  class Wire;
  explicit HttpClient(std::unique_ptr<Wire> wire);

  std::unique_ptr<Wire> wire_;
};

}  // namespace troupe::api
