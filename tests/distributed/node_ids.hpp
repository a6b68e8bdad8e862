#pragma once

#include <troupe/distributed/node_id.hpp>
#include <troupe/distributed/ring.hpp>

#include <cstdint>
#include <vector>

namespace troupe::distributed {

/// 0074726f-7570-6500-0000-00000000NNNN: the n-th node of a test.
inline NodeId node_id(std::uint32_t n) {
  NodeId id{{0x00, 0x74, 0x72, 0x6f, 0x75, 0x70, 0x65}};
  for (std::size_t i = 0; i < 4; ++i)
    id.bytes.at(15 - i) = static_cast<std::uint8_t>(n >> (8 * i) & 0xffU);
  return id;
}

/// The nodes 1 to `count`, all of full weight.
inline std::vector<RingNode> ring_nodes(std::uint32_t count) {
  std::vector<RingNode> nodes;
  for (std::uint32_t n = 1; n <= count; ++n)
    nodes.push_back({.node = node_id(n)});
  return nodes;
}

}  // namespace troupe::distributed
