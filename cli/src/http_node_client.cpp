#include "http_node_client.hpp"

#include <troupe/api/http_client.hpp>
#include <troupe/base/text.hpp>

#include <chrono>
#include <fmt/format.h>
#include <optional>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

constexpr Duration longest_node_answer = 30s;
/// Several times the pause between two heartbeats.
constexpr Duration longest_silence = 60s;
/// A node that was killed leaves its socket, and the next one may be about to
/// take it.
constexpr Duration restart_time = 2s;
constexpr Duration restart_look = 20ms;

class HttpNodeClient : public NodeClient {
 public:
  explicit HttpNodeClient(std::string socket) : socket_{std::move(socket)} {}

  Result<api::Json> call(NodeMethod method, const std::string& target,
                         const api::Json& body) override {
    return over_connection([&](api::HttpClient& client) {
      return client.request(method, target, body.is_null() ? nullptr : &body,
                            longest_node_answer);
    });
  }

  Result<void> stream(const std::string& target,
                      const BytesHandler& on_bytes) override {
    return over_connection([&](api::HttpClient& client) {
      // A command may be silent for as long as it likes.
      return client.stream(api::HttpMethod::get, target, 0s, on_bytes);
    });
  }

  Result<void> events(const std::string& target,
                      const EventHandler& on_event) override {
    return over_connection([&](api::HttpClient& client) {
      return client.events(target, longest_silence, on_event);
    });
  }

  [[nodiscard]] std::optional<Duration> retry_after() const override {
    return retry_after_;
  }

  [[nodiscard]] bool was_reached() const override { return was_reached_; }

 private:
  /// Keeps the connection for the next time, if all is well. A handler of
  /// `ask` that asks something itself does so over another one.
  template <class F>
  auto over_connection(F ask) -> std::invoke_result_t<F, api::HttpClient&> {
    retry_after_.reset();
    auto client = kept_ && kept_->is_connected()
                      ? Result<api::HttpClient>{std::move(*kept_)}
                      : connect();
    kept_.reset();
    if (!client)
      return tl::unexpected{std::move(client.error())};
    auto answer = ask(*client);
    retry_after_ = client->retry_after();
    if (answer)
      kept_.emplace(std::move(*client));
    return answer;
  }

  Result<api::HttpClient> connect() {
    auto client = api::HttpClient::connect(socket_, longest_node_answer);
    const TimePoint until = std::chrono::steady_clock::now() + restart_time;
    while (!client && client.error().code == Errc::not_found &&
           ::access(socket_.c_str(), F_OK) == 0 &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(restart_look);
      client = api::HttpClient::connect(socket_, longest_node_answer);
    }
    if (!client && client.error().code == Errc::not_found)
      return failure(Errc::unavailable,
                     fmt::format("no node is running at {}; start one with "
                                 "troupe node -d",
                                 printable(socket_)));
    if (!client && client.error().code == Errc::permission_denied)
      return failure(Errc::unavailable, std::move(client.error().what));
    was_reached_ = was_reached_ || client.has_value();
    return client;
  }

  std::string socket_;
  std::optional<api::HttpClient> kept_;
  std::optional<Duration> retry_after_;
  bool was_reached_ = false;
};

}  // namespace

std::unique_ptr<NodeClient> make_http_node_client(const std::string& socket) {
  return std::make_unique<HttpNodeClient>(socket);
}

}  // namespace troupe::cli
