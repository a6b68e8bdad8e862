#include <troupe/distributed/node_id.hpp>

#include <fmt/format.h>
#include <optional>

namespace troupe::distributed {
namespace {

constexpr bool has_dash_at(std::size_t place) {
  return place == 8 || place == 13 || place == 18 || place == 23;
}

std::optional<std::uint8_t> hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f')
    return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F')
    return static_cast<std::uint8_t>(c - 'A' + 10);
  return std::nullopt;
}

}  // namespace

std::string to_string(const NodeId& node) {
  std::string text;
  text.reserve(36);
  for (const std::uint8_t byte : node.bytes) {
    if (has_dash_at(text.size()))
      text += '-';
    text += fmt::format("{:02x}", byte);
  }
  return text;
}

Result<NodeId> parse_node_id(std::string_view text) {
  const auto refuse = [text] {
    return failure(Errc::invalid_argument,
                   fmt::format("\"{}\" is not the id of a node, which looks "
                               "like 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                               text.substr(0, 36)));
  };
  if (text.size() != 36)
    return refuse();
  NodeId node;
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (has_dash_at(i)) {
      if (text[i] != '-')
        return refuse();
      continue;
    }
    const auto digit = hex_digit(text[i]);
    if (!digit)
      return refuse();
    std::uint8_t& byte = node.bytes.at(digits / 2);
    byte = static_cast<std::uint8_t>(byte << 4U | *digit);
    ++digits;
  }
  return node;
}

}  // namespace troupe::distributed
