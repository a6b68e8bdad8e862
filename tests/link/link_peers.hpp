#pragma once

/// Real sockets of one host: nodes with certificates, and peers that do not
/// keep to the rules. All in one thread; each wait has a deadline.
#include "link_nodes.hpp"

#include <troupe/link/certificate.hpp>
#include <troupe/link/links.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace troupe::link {

inline WallTime wall_now() { return std::chrono::system_clock::now(); }

/// An authority, and nodes that it has signed certificates for.
class TestCluster {
 public:
  /// A new key and certificate for a node each time.
  [[nodiscard]] Identity identity(std::uint8_t n) const {
    const std::string own = make_key().value();
    const auto signed_one =
        sign_certificate({certificate_, key_}, make_request(own).value(),
                         node_id(n), "n" + std::to_string(n), wall_now());
    return {node_id(n), own, signed_one.value(), certificate_};
  }
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const std::string& certificate() const { return certificate_; }

 private:
  std::string key_ = make_key().value();
  std::string certificate_ =
      make_authority_certificate(key_, wall_now()).value();
};

inline RosterEntry entry_of(const Identity& identity, bool is_revoked = false) {
  return {identity.node, "n", read_certificate(identity.certificate)->key,
          is_revoked};
}

inline std::shared_ptr<const Roster> roster_of(
    std::vector<RosterEntry> entries) {
  return std::make_shared<const Roster>(Roster::of(std::move(entries)).value());
}

/// Remembers all that it is told.
class Recorder final : public LinksOwner {
 public:
  struct Down {
    std::optional<distributed::NodeId> peer;
    LinkEnd end = LinkEnd::asked;
    std::string reason;
    bool was_up = false;
  };

  void on_up(const distributed::NodeId& peer, const Hello& hello) override {
    up.emplace_back(peer, hello);
  }
  void on_message(const distributed::NodeId& peer, Message message) override {
    heard.emplace_back(peer, std::move(message));
    if (then)
      then(heard.back().first, heard.back().second);
  }
  void on_down(const std::optional<distributed::NodeId>& peer,
               const std::string&, LinkEnd end, const std::string& reason,
               bool was_up) override {
    down.push_back({peer, end, reason, was_up});
  }
  void on_room(const distributed::NodeId&) override { ++rooms; }
  void on_log_room(const distributed::NodeId& peer,
                   std::uint64_t stream) override {
    if (on_more)
      on_more(peer, stream);
  }

  /// Whether a connection that ended so was the last one that did.
  [[nodiscard]] bool lost(LinkEnd end) const {
    return !down.empty() && down.back().end == end;
  }

  std::vector<std::pair<distributed::NodeId, Hello>> up;
  std::vector<std::pair<distributed::NodeId, Message>> heard;
  std::vector<Down> down;
  std::size_t rooms = 0;
  std::function<void(const distributed::NodeId&, const Message&)> then;
  std::function<void(const distributed::NodeId&, std::uint64_t)> on_more;
};

class LinksTest : public ::testing::Test {
 protected:
  using Tcp = boost::asio::ip::tcp;
  using ErrorCode = boost::system::error_code;

  [[nodiscard]] bool run_until(const std::function<bool()>& condition,
                               Duration within = 20s) {
    const TimePoint until = std::chrono::steady_clock::now() + within;
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= until)
        return false;
      io.restart();
      io.run_one_for(50ms);
    }
    return true;
  }

  /// What an operation that `start` begins ends with.
  template <class Start>
  ErrorCode complete(Start start) {
    auto result = std::make_shared<std::optional<ErrorCode>>();
    start([result](ErrorCode error, auto&&...) { *result = error; });
    EXPECT_TRUE(run_until([&] { return result->has_value(); }));
    return result->value_or(boost::asio::error::timed_out);
  }

  [[nodiscard]] LinksOptions options(Identity identity,
                                     bool listens = false) const {
    LinksOptions o{.identity = std::move(identity),
                   .hello = hello_of(0, own_protocols),
                   .limits = limits,
                   .idle_time = idle_time};
    if (listens)
      o.listen = LinkAddress{"127.0.0.1", 0};
    return o;
  }

  [[nodiscard]] std::unique_ptr<Links> open(
      LinksOptions o, std::shared_ptr<const Roster> roster, LinksOwner& owner) {
    auto opened = Links::open(io, std::move(o), std::move(roster), owner);
    EXPECT_TRUE(opened.has_value()) << opened.error().what;
    return std::move(*opened);
  }

  TestCluster cluster;
  boost::asio::io_context io{1};
  LinkLimits limits;
  Duration idle_time = 10s;
};

/// Somebody who speaks TLS, and what else the test makes it say.
class RawPeer {
 public:
  using ErrorCode = boost::system::error_code;
  using Tls = boost::beast::ssl_stream<boost::beast::tcp_stream>;
  using WebSocket = boost::beast::websocket::stream<Tls>;

  /// With the certificate of `identity`, if there is one.
  RawPeer(boost::asio::io_context& io, const std::optional<Identity>& identity,
          const std::string& authority, int tls_version = TLS1_3_VERSION) {
    if (identity) {
      context_.use_private_key(boost::asio::buffer(identity->key),
                               boost::asio::ssl::context::pem);
      context_.use_certificate(boost::asio::buffer(identity->certificate),
                               boost::asio::ssl::context::pem);
    }
    context_.add_certificate_authority(boost::asio::buffer(authority));
    context_.set_verify_mode(boost::asio::ssl::verify_peer);
    SSL_CTX_set_min_proto_version(context_.native_handle(), tls_version);
    SSL_CTX_set_max_proto_version(context_.native_handle(), tls_version);
    stream.emplace(io, context_);
  }

  boost::asio::ip::tcp::socket& socket() {
    return boost::beast::get_lowest_layer(*stream).socket();
  }

 private:
  boost::asio::ssl::context context_{boost::asio::ssl::context::tls};

 public:
  std::optional<WebSocket> stream;
  boost::beast::flat_buffer buffer;
};

}  // namespace troupe::link
