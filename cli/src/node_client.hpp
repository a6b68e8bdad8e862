#pragma once

/// How commands ask a running `troupe node` (docs/openapi.yaml).
#include <troupe/api/http.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

using NodeMethod = api::HttpMethod;

/// The seam to the node: real ones ask over its socket, a fake remembers.
/// Blocks; used by one thread at a time.
///
/// Everything answers the error of the node with its code, besides: unavailable
/// (no node, or it went away), timed_out, corrupt (it speaks something else),
/// permission_denied (the socket is not for us).
class NodeClient {
 public:
  virtual ~NodeClient() = default;

  /// Asks and waits for the answer. A null `body` is none.
  [[nodiscard]] virtual Result<api::Json> call(NodeMethod method,
                                               const std::string& target,
                                               const api::Json& body) = 0;

  /// Gets bytes as they come; false ends the stream.
  using BytesHandler = std::function<bool(std::string_view bytes)>;

  /// Reads a stream to its end, or until `on_bytes` ends it.
  [[nodiscard]] virtual Result<void> stream(const std::string& target,
                                            const BytesHandler& on_bytes) = 0;

  /// Gets an event; false ends the stream.
  using EventHandler =
      std::function<bool(const std::string& name, const api::Json& data)>;

  /// As `stream`, for server-sent events.
  [[nodiscard]] virtual Result<void> events(const std::string& target,
                                            const EventHandler& on_event) = 0;

  /// When the last answer said to come back, if it did.
  [[nodiscard]] virtual std::optional<Duration> retry_after() const = 0;

  /// Whether a node has ever answered or at least been there.
  [[nodiscard]] virtual bool was_reached() const = 0;
};

/// "/v1/groups/a%2Fb?limit=5" from {"groups", "a/b"} and {{"limit", "5"}}.
[[nodiscard]] std::string node_target(
    std::initializer_list<std::string_view> path,
    const std::vector<std::pair<std::string, std::string>>& query = {});

/// Waits that long; a test only notes it.
using Pause = std::function<void(Duration)>;

/// How long a node may be away before it is given up: it restarts in less.
inline constexpr Duration longest_absence = 30s;

/// Asks, and asks again what got lost because the node was restarted: all that
/// a node can be asked may be repeated. If there has been no node from the
/// start, it says so at once; so it does of one that is there and does not
/// answer, which took long enough.
class NodeCalls {
 public:
  NodeCalls(NodeClient& client, Pause pause);

  [[nodiscard]] Result<api::Json> get(const std::string& target);
  [[nodiscard]] Result<api::Json> call(NodeMethod method,
                                       const std::string& target,
                                       const api::Json& body = {});

  /// As `call`, but while the node is overloaded, waits for as long as it says
  /// and asks again, without end.
  [[nodiscard]] Result<api::Json> call_when_free(NodeMethod method,
                                                 const std::string& target,
                                                 const api::Json& body);

  /// How long what was lost is asked for again: longest_absence, unless it is
  /// said here.
  void set_patience(Duration patience) { patience_ = patience; }

  [[nodiscard]] NodeClient& client() { return client_; }
  void pause(Duration duration) const { pause_(duration); }

 private:
  NodeClient& client_;
  Pause pause_;
  Duration patience_ = longest_absence;
};

/// The wait before the try after `tries` in vain: 100 ms, twice as long each
/// time, at most 5 s.
[[nodiscard]] Duration pause_after(int tries);

/// Whether asking once more may help: the node went away.
[[nodiscard]] bool may_come_back(const Error& error, const NodeClient& client);

/// What `troupe` exits with after `error`: 2 for what can never succeed, 1 if
/// the node refuses, 125 if it cannot be asked.
[[nodiscard]] int exit_code_of(const Error& error);

/// Complains and returns exit_code_of().
int node_failed(const Error& error);

}  // namespace troupe::cli
