#include "webhook.hpp"

#include <troupe/base/text.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include <fmt/format.h>

namespace troupe::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr std::uint64_t most_response_bytes = 256 << 10;

tl::unexpected<Error> unavailable(const workflow::WebhookUrl& url,
                                  std::string_view what,
                                  const ErrorCode& error) {
  return failure(Errc::unavailable,
                 fmt::format("{}: {}: {}", printable(url.host), what,
                             printable(error.message())));
}

template <class Stream>
Result<void> exchange(Stream& stream, const workflow::WebhookUrl& url,
                      const std::string& json) {
  http::request<http::string_body> request{http::verb::post, url.target, 11};
  const bool is_usual = url.port == (url.is_secure ? "443" : "80");
  request.set(http::field::host,
              is_usual ? url.host : url.host + ":" + url.port);
  request.set(http::field::user_agent, "troupe");
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  request.body() = json;
  request.prepare_payload();
  ErrorCode error;
  http::write(stream, request, error);
  if (error)
    return unavailable(url, "cannot send", error);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(most_response_bytes);
  http::read_header(stream, buffer, parser, error);
  if (error)
    return unavailable(url, "no answer", error);
  const auto status = parser.get().result_int();
  if (status < 200 || status > 299)
    return failure(Errc::invalid_argument,
                   fmt::format("{}: answers {} {}", printable(url.host), status,
                               printable(std::string{parser.get().reason()})));
  return {};
}

Result<void> exchange_securely(asio::io_context& io,
                               const tcp::resolver::results_type& hosts,
                               const workflow::WebhookUrl& url,
                               const std::string& json) {
  ErrorCode error;
  asio::ssl::context context{asio::ssl::context::tls_client};
  context.set_default_verify_paths(error);
  if (error)
    return unavailable(url, "no certificates", error);
  context.set_verify_mode(asio::ssl::verify_peer);
  context.set_verify_callback(asio::ssl::host_name_verification{url.host});
  beast::ssl_stream<beast::tcp_stream> stream{io, context};
  // A server of several names has to know which one is meant.
  if (::SSL_ctrl(stream.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
                 TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(url.host.c_str())) != 1)
    return failure(Errc::internal, "no memory for TLS");
  beast::get_lowest_layer(stream).connect(hosts, error);
  if (error)
    return unavailable(url, "cannot connect", error);
  stream.handshake(asio::ssl::stream_base::client, error);
  if (error)
    return unavailable(url, "no secure connection", error);
  return exchange(stream, url, json);
}

}  // namespace

Result<void> post_json(const workflow::WebhookUrl& url,
                       const std::string& json) {
  ErrorCode error;
  asio::io_context io;
  tcp::resolver resolver{io};
  const auto hosts = resolver.resolve(url.host, url.port, error);
  if (error)
    return unavailable(url, "unknown host", error);
  if (url.is_secure)
    return exchange_securely(io, hosts, url, json);
  beast::tcp_stream stream{io};
  stream.connect(hosts, error);
  if (error)
    return unavailable(url, "cannot connect", error);
  return exchange(stream, url, json);
}

}  // namespace troupe::cli
