#include "probe_address.hpp"

#include <troupe/base/quantity.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {

Result<service::TcpCheck> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::string_view host =
      colon == std::string_view::npos ? "localhost" : text.substr(0, colon);
  const auto port = parse_count(
      colon == std::string_view::npos ? text : text.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  if (host.empty() || !port || *port == 0 || *port > 65535)
    return failure(Errc::invalid_argument,
                   fmt::format("expected HOST:PORT, got \"{}\"", text));
  return service::TcpCheck{std::string{host},
                           static_cast<std::uint16_t>(*port)};
}

Result<service::HttpCheck> parse_url(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (!text.starts_with(scheme))
    return failure(
        Errc::invalid_argument,
        fmt::format(
            "expected a URL such as "
            "http://127.0.0.1:8080/healthz{}, got \"{}\"",
            text.starts_with("https:") ? " (https is not supported)" : "",
            text));
  std::string_view rest = text.substr(scheme.size());
  const std::size_t slash = rest.find_first_of("/?");
  std::string authority{rest.substr(0, slash)};
  std::string target =
      slash == std::string_view::npos ? "/" : std::string{rest.substr(slash)};
  if (target.starts_with('?'))
    target.insert(0, 1, '/');
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string::npos ||
      (bracket != std::string::npos && colon < bracket))
    authority += ":80";
  auto address = parse_address(authority);
  if (!address)
    return tl::unexpected{std::move(address.error())};
  if (target.find_first_of(" \t\r\n") != std::string::npos)
    return failure(Errc::invalid_argument,
                   fmt::format("a space in the URL \"{}\"", text));
  return service::HttpCheck{std::move(address->host), address->port,
                            std::move(target)};
}

}  // namespace troupe::workflow
