#include "link_connection.hpp"

#include <troupe/base/text.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <utility>

namespace troupe::link {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;

constexpr const char* link_path = "/link";
/// Memory is taken for what has come, in steps of this, whatever a frame says
/// that is still to come.
constexpr std::size_t read_step = 64 << 10;
/// For the library to say goodbye to a peer that breaks the protocol.
constexpr Duration longest_close = 1s;
/// What a connection keeps when it has nothing to read.
constexpr std::size_t kept_buffer = 128 << 10;
/// Certificates of ours have less than a KiB.
constexpr long largest_certificates = 16 << 10;

using Stream = websocket::stream<beast::ssl_stream<beast::tcp_stream>>;

}  // namespace

// -- LinkSecurity -------------------------------------------------------------

class LinkSecurity::Context {
 public:
  asio::ssl::context tls{asio::ssl::context::tls};
};

LinkSecurity::LinkSecurity(std::unique_ptr<Context> context)
    : context_{std::move(context)} {}

LinkSecurity::~LinkSecurity() = default;

Result<std::shared_ptr<LinkSecurity>> LinkSecurity::of(
    const Identity& identity) {
  auto context = std::make_unique<Context>();
  asio::ssl::context& tls = context->tls;
  SSL_CTX* const native = tls.native_handle();
  error_code error;
  const auto check = [&error](std::string_view what) -> Result<void> {
    if (!error)
      return {};
    return failure(Errc::corrupt, fmt::format("{}: {}", what, error.message()));
  };
  tls.use_private_key(asio::buffer(identity.key), asio::ssl::context::pem,
                      error);
  if (auto used = check("key"); !used)
    return tl::unexpected(std::move(used.error()));
  tls.use_certificate(asio::buffer(identity.certificate),
                      asio::ssl::context::pem, error);
  if (auto used = check("certificate"); !used)
    return tl::unexpected(std::move(used.error()));
  // Nobody else's: the system's authorities sign for anybody.
  tls.add_certificate_authority(asio::buffer(identity.authority), error);
  if (auto used = check("authority"); !used)
    return tl::unexpected(std::move(used.error()));
  tls.set_verify_mode(
      asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, error);
  if (auto used = check("checks"); !used)
    return tl::unexpected(std::move(used.error()));
  // No authorities in between. No sessions to go on with, since certificates
  // are looked at with each connection.
  SSL_CTX_set_verify_depth(native, 0);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(native, largest_certificates);
  if (SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(native, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_num_tickets(native, 0) != 1)
    return failure(Errc::internal, "the TLS library has no TLS 1.3");
  return std::make_shared<LinkSecurity>(std::move(context));
}

// -- The connection -----------------------------------------------------------

namespace {

class Connection final : public LinkConnection,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<LinkSecurity> security,
             Duration idle_time, LinkConnectionOwner& owner)
      : security_{std::move(security)},
        resolver_{socket.get_executor()},
        stream_{beast::tcp_stream{std::move(socket)}, security_->context().tls},
        idle_time_{idle_time},
        owner_{&owner} {}

  void dial(const std::string& host, std::uint16_t port) {
    error_code is_name;
    const auto address = asio::ip::make_address(host, is_name);
    if (!is_name) {
      beast::get_lowest_layer(stream_).async_connect(
          tcp::endpoint{address, port},
          [self = shared_from_this()](error_code error) {
            self->on_connected(error);
          });
      return;
    }
    resolver_.async_resolve(
        host, std::to_string(port),
        [self = shared_from_this()](error_code error,
                                    const tcp::resolver::results_type& found) {
          self->on_resolved(error, found);
        });
  }

  void take() { secure(asio::ssl::stream_base::server); }

  void write(std::string frame) override {
    if (owner_ == nullptr)
      return;
    writing_ = std::move(frame);
    stream_.async_write(
        asio::buffer(writing_),
        [self = shared_from_this()](error_code error, std::size_t) {
          self->on_written(error);
        });
  }

  void pause(bool is_paused) override {
    is_paused_ = is_paused;
    if (!is_paused_ && is_open_ && !is_reading_ && owner_ != nullptr)
      read();
  }

  void drop() override {
    if (std::exchange(owner_, nullptr) == nullptr)
      return;
    resolver_.cancel();
    beast::get_lowest_layer(stream_).close();
  }

 private:
  void on_resolved(error_code error, const tcp::resolver::results_type& found) {
    if (owner_ == nullptr)
      return;
    if (error)
      return lose(LinkEnd::unreachable, "unknown host", error);
    beast::get_lowest_layer(stream_).async_connect(
        found,
        [self = shared_from_this()](error_code failed, const tcp::endpoint&) {
          self->on_connected(failed);
        });
  }

  void on_connected(error_code error) {
    if (owner_ == nullptr)
      return;
    if (error)
      return lose(LinkEnd::unreachable, "cannot connect", error);
    owner_->on_tcp_connected();
    if (owner_ != nullptr)
      secure(asio::ssl::stream_base::client);
  }

  void secure(asio::ssl::stream_base::handshake_type side) {
    error_code ignored;
    // Frames are written whole, and most of them are short.
    beast::get_lowest_layer(stream_).socket().set_option(tcp::no_delay{true},
                                                         ignored);
    stream_.next_layer().async_handshake(
        side, [self = shared_from_this(), side](error_code error) {
          self->on_handshake(error, side);
        });
  }

  void on_handshake(error_code error,
                    asio::ssl::stream_base::handshake_type side) {
    if (owner_ == nullptr)
      return;
    if (error)
      return lose(error.category() == asio::error::get_ssl_category()
                      ? LinkEnd::refused
                      : LinkEnd::unreachable,
                  "no secure connection", error);
    auto peer = peer_of_stream();
    Result<void> admitted{};
    if (peer)
      admitted = owner_->admit(*peer);
    if (owner_ == nullptr)
      return;
    if (!peer || !admitted)
      return tell_lost(LinkEnd::refused,
                       peer ? admitted.error().what : peer.error().what);
    peer_ = std::move(*peer);
    prepare_stream();
    const auto done = [self = shared_from_this()](error_code failed) {
      self->on_upgraded(failed);
    };
    if (side == asio::ssl::stream_base::client)
      stream_.async_handshake("troupe", link_path, done);
    else
      stream_.async_accept(done);
  }

  Result<LinkPeer> peer_of_stream() {
    SSL* const tls = stream_.next_layer().native_handle();
    const std::unique_ptr<X509, decltype(&X509_free)> certificate{
        SSL_get1_peer_certificate(tls), &X509_free};
    if (!certificate || SSL_get_verify_result(tls) != X509_V_OK)
      return failure(Errc::permission_denied, "no certificate that counts");
    const auto info = read_certificate(certificate.get());
    if (!info)
      return tl::unexpected(info.error());
    if (!info->node || info->is_authority)
      return failure(Errc::permission_denied, "the certificate names no node");
    return LinkPeer{*info->node, info->key};
  }

  void prepare_stream() {
    // Our owner has a time for all that comes before the first message.
    stream_.set_option(websocket::stream_base::timeout{
        websocket::stream_base::none(), idle_time_, true});
    // Ours is read in steps and counted, see on_read(): the library's would end
    // the connection in order, which waits for the peer.
    stream_.read_message_max(0);
    stream_.auto_fragment(false);
    stream_.binary(true);
  }

  void on_upgraded(error_code error) {
    if (owner_ == nullptr)
      return;
    // With TLS 1.3 a client learns only now that it was refused.
    if (error)
      return lose(error.category() == asio::error::get_ssl_category()
                      ? LinkEnd::refused
                      : LinkEnd::unreachable,
                  "the peer has ended the connection", error);
    is_open_ = true;
    stream_.set_option(
        websocket::stream_base::timeout{longest_close, idle_time_, true});
    owner_->on_secured(peer_);
    if (owner_ != nullptr && !is_paused_ && !is_reading_)
      read();
  }

  void read() {
    is_reading_ = true;
    stream_.async_read_some(
        buffer_, read_step,
        [self = shared_from_this()](error_code error, std::size_t) {
          self->on_read(error);
        });
  }

  void on_read(error_code error) {
    if (owner_ == nullptr)
      return;
    if (error)
      return on_read_failed(error);
    if (buffer_.size() > largest_frame)
      return tell_lost(LinkEnd::rules, "a frame is longer than 1 MiB");
    if (!stream_.is_message_done())
      return read();
    if (!stream_.got_binary())
      return tell_lost(LinkEnd::rules, "a text instead of a frame");
    // The buffer is the frame's until it was consumed: whoever is told of it
    // and has us go on does not begin the next read.
    owner_->on_frame(
        {static_cast<const char*>(buffer_.data().data()), buffer_.size()});
    buffer_.consume(buffer_.size());
    if (buffer_.capacity() > kept_buffer)
      buffer_.shrink_to_fit();
    is_reading_ = false;
    if (owner_ != nullptr && !is_paused_)
      read();
  }

  void on_read_failed(error_code error) {
    if (error == beast::error::timeout)
      return tell_lost(LinkEnd::silent,
                       "the peer has not answered a ping in time");
    // The library has ended it, for what the peer has sent: we have not, or
    // there would be no owner.
    if (error == websocket::condition::protocol_violation ||
        error == asio::error::operation_aborted)
      return lose(LinkEnd::rules, "this is no WebSocket", error);
    lose(LinkEnd::unreachable, "the connection broke", error);
  }

  void on_written(error_code error) {
    writing_.clear();
    if (owner_ == nullptr)
      return;
    if (error == beast::error::timeout)
      return tell_lost(LinkEnd::silent,
                       "the peer has not answered a ping in time");
    if (error)
      return lose(LinkEnd::unreachable, "the connection broke", error);
    owner_->on_written();
  }

  void lose(LinkEnd end, std::string_view what, error_code error) {
    tell_lost(end, fmt::format("{}: {}", what, printable(error.message())));
  }

  void tell_lost(LinkEnd end, std::string reason) {
    LinkConnectionOwner* const owner = owner_;
    drop();
    if (owner != nullptr)
      owner->on_lost(end, std::move(reason));
  }

  std::shared_ptr<LinkSecurity> security_;  ///< Outlives the stream.
  tcp::resolver resolver_;
  Stream stream_;
  const Duration idle_time_;
  LinkConnectionOwner* owner_;  ///< Null once it was dropped.
  LinkPeer peer_;
  beast::flat_buffer buffer_{largest_frame + read_step};
  std::string writing_;
  bool is_open_ = false;
  bool is_reading_ = false;
  bool is_paused_ = false;
};

}  // namespace

std::shared_ptr<LinkConnection> dial(asio::io_context& io,
                                     std::shared_ptr<LinkSecurity> security,
                                     const std::string& host,
                                     std::uint16_t port, Duration idle_time,
                                     LinkConnectionOwner& owner) {
  auto connection = std::make_shared<Connection>(
      tcp::socket{io}, std::move(security), idle_time, owner);
  connection->dial(host, port);
  return connection;
}

std::shared_ptr<LinkConnection> take(tcp::socket socket,
                                     std::shared_ptr<LinkSecurity> security,
                                     Duration idle_time,
                                     LinkConnectionOwner& owner) {
  auto connection = std::make_shared<Connection>(
      std::move(socket), std::move(security), idle_time, owner);
  connection->take();
  return connection;
}

}  // namespace troupe::link
