#pragma once

/// Listens for webhooks on a port of this machine.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace troupe::node {

/// A request that has come as a whole and within its bounds; nothing of it is
/// to be believed yet.
struct WebhookRequest {
  std::string name;  ///< Of /hooks/NAME.
  std::string body;
  std::string signature;  ///< X-Hub-Signature-256, or empty.
  std::string delivery;   ///< X-GitHub-Delivery, or empty.
};

struct WebhookAnswer {
  int status = 202;
  std::string json;
};

inline constexpr std::size_t largest_webhook = 1 << 20;  ///< Its body.
inline constexpr std::size_t largest_webhook_head = 16 << 10;
inline constexpr std::size_t most_webhook_connections = 64;
inline constexpr Duration longest_webhook_read = 10s;
inline constexpr std::uint64_t webhooks_per_second = 20;
inline constexpr std::uint64_t webhook_burst = 100;

/// Answers POST /hooks/NAME by what `take` says; each connection is for one
/// request. Beyond most_webhook_connections others wait to be accepted; beyond
/// webhooks_per_second the answer is 429. All on the I/O thread.
class WebhookServer {
 public:
  using Done = std::function<void(WebhookAnswer)>;
  /// Calls `done` once, on any thread, or drops it: then the connection is
  /// closed without an answer.
  using Take = std::function<void(WebhookRequest, Done)>;

  /// `address` is HOST:PORT of this machine, as parse_loopback() takes it; a
  /// port of 0 is any that is free.
  ///
  /// Errors: invalid_argument; already_exists (the port is taken); those of the
  /// system.
  [[nodiscard]] static Result<std::unique_ptr<WebhookServer>> listen(
      boost::asio::io_context& io, const std::string& address, Take take);

  WebhookServer(const WebhookServer&) = delete;
  WebhookServer& operator=(const WebhookServer&) = delete;
  /// Listens no more; requests under way are answered still.
  ~WebhookServer();

  /// "127.0.0.1:4100", with the port that it has.
  [[nodiscard]] const std::string& address() const;

 private:
  class Listener;
  explicit WebhookServer(std::shared_ptr<Listener> listener);

  std::shared_ptr<Listener> listener_;
};

}  // namespace troupe::node
