#include <troupe/distributed/spread.hpp>
#include <troupe/distributed/stable_hash.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <utility>

namespace troupe::distributed {
namespace {

/// So that nothing here is where the ring has the same bytes.
constexpr std::uint64_t zone_seed = 1;
constexpr std::uint64_t node_seed = 2;
constexpr std::uint64_t shard_seed = 3;

}  // namespace

std::vector<NodeId> spread_order(std::string_view key,
                                 std::span<const SpreadNode> nodes) {
  const std::uint64_t of_key = stable_hash(key, 0);
  using Ranked = std::pair<std::uint64_t, NodeId>;
  std::map<std::string_view, std::vector<Ranked>> by_zone;
  for (const SpreadNode& one : nodes)
    by_zone[one.zone].emplace_back(
        stable_hash(to_string(one.node), of_key + node_seed), one.node);
  using Zone = std::pair<std::uint64_t, std::string_view>;
  std::vector<Zone> zones;
  std::size_t rounds = 0;
  for (auto& [zone, members] : by_zone) {
    std::sort(members.begin(), members.end());
    rounds = std::max(rounds, members.size());
    zones.emplace_back(stable_hash(zone, of_key + zone_seed), zone);
  }
  std::sort(zones.begin(), zones.end());
  std::vector<NodeId> order;
  order.reserve(nodes.size());
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const auto& [rank, zone] : zones) {
      const auto& members = by_zone.at(zone);
      if (round < members.size())
        order.push_back(members[round].second);
    }
  }
  return order;
}

std::vector<std::uint32_t> spread_shards(std::string_view key,
                                         std::span<const SpreadNode> nodes,
                                         std::size_t most, const Ring& ring) {
  const std::uint64_t seed = stable_hash(key, 0) + shard_seed;
  std::vector<std::uint32_t> shards;
  for (const NodeId& node : spread_order(key, nodes)) {
    if (shards.size() == most)
      break;
    std::pair<std::uint64_t, std::uint32_t> best{UINT64_MAX, 0};
    for (const std::uint32_t shard : ring.shards_of(node)) {
      // All nodes look at shard 0, so it is nobody's.
      if (shard != 0)
        best = std::min(best,
                        {stable_hash(fmt::format("{}", shard), seed), shard});
    }
    if (best.second != 0)
      shards.push_back(best.second);
  }
  return shards;
}

std::uint64_t spread_share(std::uint64_t tasks, std::uint64_t nodes) {
  return std::max<std::uint64_t>(tasks / std::max<std::uint64_t>(nodes, 1), 1);
}

}  // namespace troupe::distributed
