#pragma once

/// Nodes of tests, and what they say first.
#include <troupe/link/message.hpp>

#include <cstdint>

namespace troupe::link {

/// The n-th node of a test; ascending.
inline distributed::NodeId node_id(std::uint8_t n) {
  distributed::NodeId id{};
  id.bytes.back() = n;
  return id;
}

inline Hello hello_of(std::uint8_t n, Protocols protocols = {1, 1}) {
  return {.protocols = protocols,
          .node = node_id(n),
          .session = "s",
          .version = "0.1.0",
          .view = 1};
}

}  // namespace troupe::link
