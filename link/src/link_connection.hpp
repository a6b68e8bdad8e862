#pragma once

/// One connection of a link: TCP, TLS 1.3 with both certificates, WebSocket.
/// The only file that knows of these.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/link/certificate.hpp>
#include <troupe/link/link_core.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace troupe::link {

/// What TLS needs to be this node, and to let in nobody but those whose
/// certificates its authority has signed. Shared by all its connections.
class LinkSecurity {
 public:
  /// Errors: corrupt (the library takes no such key or certificate).
  [[nodiscard]] static Result<std::shared_ptr<LinkSecurity>> of(
      const Identity& identity);

  class Context;
  explicit LinkSecurity(std::unique_ptr<Context> context);
  LinkSecurity(const LinkSecurity&) = delete;
  LinkSecurity& operator=(const LinkSecurity&) = delete;
  ~LinkSecurity();
  [[nodiscard]] Context& context() { return *context_; }

 private:
  std::unique_ptr<Context> context_;
};

/// Whom a certificate names, and the key that it was proven to have.
struct LinkPeer {
  distributed::NodeId node{};
  std::string key{};  ///< As RosterEntry::key.
};

/// Whose connection it is. Told nothing any more after drop().
class LinkConnectionOwner {
 public:
  virtual ~LinkConnectionOwner() = default;
  virtual void on_tcp_connected() = 0;
  /// TLS has proven who it is. Whether it may go on; nothing of what it sends
  /// is read before.
  ///
  /// Errors: permission_denied.
  [[nodiscard]] virtual Result<void> admit(const LinkPeer& peer) = 0;
  virtual void on_secured(const LinkPeer& peer) = 0;
  virtual void on_frame(std::string_view frame) = 0;
  virtual void on_written() = 0;
  /// The last word.
  virtual void on_lost(LinkEnd end, std::string reason) = 0;
};

/// On the I/O thread. Held by what it waits for; drop() ends that.
class LinkConnection {
 public:
  LinkConnection() = default;
  LinkConnection(const LinkConnection&) = delete;
  LinkConnection& operator=(const LinkConnection&) = delete;
  virtual ~LinkConnection() = default;

  /// Never two at once; on_written() tells.
  virtual void write(std::string frame) = 0;
  /// Reads nothing, until it is told to go on: what the peer sends waits with
  /// it. Its pings are not answered then, so that it is silent to the peer
  /// after `idle_time`.
  virtual void pause(bool is_paused) = 0;
  /// At once, and without a word to the owner. Repeating it does nothing.
  virtual void drop() = 0;
};

/// `idle_time`: a peer that says nothing for half of it is pinged, and lost if
/// nothing has come by the end of it. The owner outlives what is returned, or
/// drops it first.
[[nodiscard]] std::shared_ptr<LinkConnection> dial(
    boost::asio::io_context& io, std::shared_ptr<LinkSecurity> security,
    const std::string& host, std::uint16_t port, Duration idle_time,
    LinkConnectionOwner& owner);

[[nodiscard]] std::shared_ptr<LinkConnection> take(
    boost::asio::ip::tcp::socket socket, std::shared_ptr<LinkSecurity> security,
    Duration idle_time, LinkConnectionOwner& owner);

}  // namespace troupe::link
