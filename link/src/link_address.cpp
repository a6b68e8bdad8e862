#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/link/link_address.hpp>

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::link {

Result<LinkAddress> parse_link_address(std::string_view text) {
  const auto refuse = [text] {
    return failure(Errc::invalid_argument,
                   fmt::format("expected an address such as 192.0.2.7:4200 or "
                               "n1.example:4200, got {}",
                               in_quotes(text)));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return refuse();
  const auto port = parse_count(text.substr(colon + 1));
  std::string host{text.substr(0, colon)};
  const bool is_bracketed = host.starts_with('[') && host.ends_with(']');
  if (is_bracketed)
    host = host.substr(1, host.size() - 2);
  boost::system::error_code is_name;
  const auto address = boost::asio::ip::make_address(host, is_name);
  const bool is_v6 = !is_name && address.is_v6();
  const bool is_host =
      !host.empty() && host.size() <= 253 &&
      std::all_of(host.begin(), host.end(), [](char c) {
        return c > ' ' && c < '\x7f' && c != '/' && c != '[' && c != ']';
      });
  if (!port || *port > UINT16_MAX || !is_host || is_v6 != is_bracketed ||
      (is_name && host.find(':') != std::string::npos))
    return refuse();
  return LinkAddress{std::move(host), static_cast<std::uint16_t>(*port)};
}

std::string to_string(const LinkAddress& address) {
  return address.host.find(':') == std::string::npos
             ? fmt::format("{}:{}", address.host, address.port)
             : fmt::format("[{}]:{}", address.host, address.port);
}

bool is_ip(const LinkAddress& address) {
  boost::system::error_code is_name;
  (void)boost::asio::ip::make_address(address.host, is_name);
  return !is_name;
}

}  // namespace troupe::link
