#include "webhook_server.hpp"

#include <troupe/base/text.hpp>
#include <troupe/flow_control/token_bucket.hpp>
#include <troupe/node/node_config.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace troupe::node {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::string_view prefix = "/hooks/";

std::string problem(std::string_view what) {
  return fmt::format("{{\"error\":\"{}\"}}", what);
}

}  // namespace

class WebhookServer::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context& io, Take take)
      : acceptor_{io},
        take_{std::move(take)},
        bucket_{
            {.tokens = webhooks_per_second, .per = 1s, .burst = webhook_burst},
            std::chrono::steady_clock::now()} {}

  Result<void> open(const tcp::endpoint& at) {
    error_code error;
    const auto check = [&](std::string_view what) -> Result<void> {
      if (!error)
        return {};
      const std::string context =
          fmt::format("cannot {} {}:{} (webhook-listen)", what,
                      at.address().to_string(), at.port());
      if (error == asio::error::address_in_use)
        return failure(Errc::already_exists,
                       fmt::format("{}: the port is taken", context));
      return tl::unexpected(system_error(context, error.value()));
    };
    acceptor_.open(at.protocol(), error);
    if (auto opened = check("open"); !opened)
      return opened;
    acceptor_.set_option(tcp::acceptor::reuse_address{true}, error);
    acceptor_.bind(at, error);
    if (auto bound = check("listen on"); !bound)
      return bound;
    acceptor_.listen(static_cast<int>(most_webhook_connections), error);
    if (auto listening = check("listen on"); !listening)
      return listening;
    const auto local = acceptor_.local_endpoint(error);
    const std::string host = local.address().to_string();
    address_ = local.address().is_v6()
                   ? fmt::format("[{}]:{}", host, local.port())
                   : fmt::format("{}:{}", host, local.port());
    accept();
    return {};
  }

  void close() {
    error_code ignored;
    acceptor_.close(ignored);
  }

  void on_connection_ended() {
    if (connections_-- == most_webhook_connections && acceptor_.is_open())
      accept();
  }

  [[nodiscard]] bool admit() {
    return bucket_.try_take(1, std::chrono::steady_clock::now());
  }
  void take(WebhookRequest request, Done done) {
    take_(std::move(request), std::move(done));
  }
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  void accept();

  tcp::acceptor acceptor_;
  Take take_;
  flow_control::TokenBucket bucket_;
  std::size_t connections_ = 0;
  std::string address_;

  class Connection;
};

/// One request and its answer. Lives as long as something is under way.
class WebhookServer::Listener::Connection
    : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<Listener> listener)
      : stream_{std::move(socket)}, listener_{std::move(listener)} {
    parser_.header_limit(static_cast<std::uint32_t>(largest_webhook_head));
    parser_.body_limit(largest_webhook);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { listener_->on_connection_ended(); }

  void run() {
    stream_.expires_after(longest_webhook_read);
    http::async_read(
        stream_, buffer_, parser_,
        [self = shared_from_this()](error_code error, std::size_t) {
          self->on_read(error);
        });
  }

 private:
  void on_read(error_code error) {
    if (error == http::error::body_limit)
      return answer({413, problem("the body is longer than 1 MiB")});
    if (error == http::error::header_limit)
      return answer({431, problem("the head is longer than 16 KiB")});
    // Who is too slow, or gone, gets no answer.
    if (error == http::error::end_of_stream)
      return;
    if (error && error.category() ==
                     http::make_error_code(http::error::bad_method).category())
      return answer({400, problem("this is not HTTP/1.1")});
    if (error)
      return;
    if (!listener_->admit())
      return answer({429, problem("too many requests")});
    handle();
  }

  void handle() {
    auto& message = parser_.get();
    const auto text = [&](std::string_view name) {
      const auto value = message[beast::string_view{name.data(), name.size()}];
      return std::string{value.data(), value.size()};
    };
    std::string target{message.target().data(), message.target().size()};
    target.resize(std::min(target.size(), target.find('?')));
    if (!target.starts_with(prefix) || target.size() == prefix.size())
      return answer({404, problem("there is only /hooks/NAME")});
    if (message.method() != http::verb::post)
      return answer({405, problem("only POST")});
    WebhookRequest request{.name = target.substr(prefix.size()),
                           .body = std::move(message.body()),
                           .signature = text("X-Hub-Signature-256"),
                           .delivery = text("X-GitHub-Delivery")};
    // Whoever lets go of it, and where: the connection ends on our thread.
    const auto executor = stream_.get_executor();
    const std::shared_ptr<Connection> held{
        this, [self = shared_from_this(), executor](Connection*) mutable {
          asio::post(executor, [self = std::move(self)] {});
        }};
    listener_->take(std::move(request), [held, executor](WebhookAnswer answer) {
      asio::post(executor, [held, answer = std::move(answer)]() mutable {
        held->answer(std::move(answer));
      });
    });
  }

  void answer(WebhookAnswer what) {
    response_.version(11);
    response_.result(static_cast<unsigned>(what.status));
    response_.set(http::field::content_type, "application/json");
    if (what.status == 405)
      response_.set(http::field::allow, "POST");
    if (what.status == 429 || what.status == 503)
      response_.set(http::field::retry_after, "1");
    response_.keep_alive(false);
    response_.body() = std::move(what.json) + "\n";
    response_.prepare_payload();
    stream_.expires_after(longest_webhook_read);
    http::async_write(
        stream_, response_,
        [self = shared_from_this()](error_code error, std::size_t) {
          if (error)
            return;
          self->stream_.socket().shutdown(tcp::socket::shutdown_send, error);
          self->drain(2 * largest_webhook);
        });
  }

  /// Until the client has read the answer: to close before all that it has sent
  /// is read would take the answer away from it.
  void drain(std::size_t most) {
    stream_.async_read_some(
        asio::buffer(scratch_),
        [self = shared_from_this(), most](error_code error, std::size_t got) {
          if (!error && got < most)
            self->drain(most - got);
        });
  }

  beast::tcp_stream stream_;
  std::shared_ptr<Listener> listener_;
  beast::flat_buffer buffer_{largest_webhook_head + largest_webhook};
  http::request_parser<http::string_body> parser_;
  http::response<http::string_body> response_;
  std::array<char, 4096> scratch_{};
};

void WebhookServer::Listener::accept() {
  acceptor_.async_accept([self = shared_from_this()](error_code error,
                                                     tcp::socket socket) {
    if (error == asio::error::operation_aborted || !self->acceptor_.is_open())
      return;
    if (!error) {
      ++self->connections_;
      std::make_shared<Connection>(std::move(socket), self)->run();
    }
    if (self->connections_ < most_webhook_connections)
      self->accept();
  });
}

WebhookServer::WebhookServer(std::shared_ptr<Listener> listener)
    : listener_{std::move(listener)} {}

WebhookServer::~WebhookServer() { listener_->close(); }

const std::string& WebhookServer::address() const {
  return listener_->address();
}

Result<std::unique_ptr<WebhookServer>> WebhookServer::listen(
    asio::io_context& io, const std::string& address, Take take) {
  const auto where = parse_loopback(address);
  if (!where)
    return tl::unexpected(where.error());
  auto listener = std::make_shared<Listener>(io, std::move(take));
  error_code error;
  const auto host = asio::ip::make_address(where->host, error);
  if (auto opened = listener->open({host, where->port}); !opened)
    return tl::unexpected(std::move(opened.error()));
  return std::unique_ptr<WebhookServer>{new WebhookServer{std::move(listener)}};
}

}  // namespace troupe::node
