#pragma once

#include <troupe/base/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::link {

/// Where a node listens for others.
struct LinkAddress {
  std::string host;  ///< To listen: an IP address; to connect: also a name.
  std::uint16_t port = 0;

  friend bool operator==(const LinkAddress&, const LinkAddress&) = default;
};

/// Reads 192.0.2.7:4200, [2001:db8::7]:4200 or n1.example:4200.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<LinkAddress> parse_link_address(std::string_view text);
[[nodiscard]] std::string to_string(const LinkAddress& address);

/// Whether it is an IP address and no name.
[[nodiscard]] bool is_ip(const LinkAddress& address);

}  // namespace troupe::link
