#pragma once

/// Jobs whose tasks are to be spread over the nodes of a cluster. That they are
/// stands among their resources, under a name that only they have and that no
/// node needs to have: so they are a queue of their own, and whoever looks at a
/// queue knows how many of it are a node's share. Pure.
#include <troupe/flow_control/resources.hpp>

#include <cstdint>

namespace troupe::queue {

/// Of a task that is spread with all others of this `id`, of which each node
/// takes `share` (at least 1) before others have had theirs.
[[nodiscard]] flow_control::Resources want_spread(
    flow_control::Resources resources, std::uint64_t id, std::uint64_t share);

struct SpreadAndRest {
  std::uint64_t id = 0;
  std::uint64_t share = 0;  ///< 0 if it is not spread.
  flow_control::Resources rest{};

  [[nodiscard]] bool is_spread() const { return share != 0; }
};

[[nodiscard]] SpreadAndRest split_spread(flow_control::Resources resources);

}  // namespace troupe::queue
