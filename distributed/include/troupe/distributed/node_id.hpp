#pragma once

#include <troupe/base/error.hpp>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::distributed {

/// A node of a cluster, from its enrolment on and over all its sessions: a UUID
/// (RFC 4122). Ordered as its text is.
struct NodeId {
  std::array<std::uint8_t, 16> bytes{};  ///< In the order of the text.

  friend auto operator<=>(const NodeId&, const NodeId&) = default;
};

/// "6ba7b810-9dad-11d1-80b4-00c04fd430c8": lower case, always 36 characters.
[[nodiscard]] std::string to_string(const NodeId& node);

/// The opposite; takes upper case, too.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<NodeId> parse_node_id(std::string_view text);

}  // namespace troupe::distributed
