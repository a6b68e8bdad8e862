#include <troupe/base/assert.hpp>
#include <troupe/distributed/ring.hpp>
#include <troupe/distributed/stable_hash.hpp>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <tuple>

namespace troupe::distributed {
namespace {

/// Below and above how many nodes virtual_nodes_for() changes its mind.
constexpr std::size_t few_nodes = 400;
constexpr std::size_t many_nodes = 500;

/// Byte by byte, so that it does not matter how this machine stores numbers.
template <std::size_t N>
void put_little_endian(std::array<char, N>& bytes, std::size_t at,
                       std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i)
    bytes.at(at + i) = static_cast<char>(value >> (8 * i) & 0xffU);
}

/// Where a virtual node stands: its node's id, then its index.
std::uint64_t place_of(const NodeId& node, std::uint32_t index,
                       std::uint64_t seed) {
  std::array<char, 20> bytes{};
  for (std::size_t i = 0; i < node.bytes.size(); ++i)
    bytes.at(i) = static_cast<char>(node.bytes.at(i));
  put_little_endian(bytes, 16, index);
  return stable_hash({bytes.data(), bytes.size()}, seed);
}

std::uint64_t place_of_shard(std::uint32_t shard, std::uint64_t seed) {
  std::array<char, 4> bytes{};
  put_little_endian(bytes, 0, shard);
  return stable_hash({bytes.data(), bytes.size()}, seed);
}

/// At least one, however light.
std::uint32_t virtual_nodes_of(const RingNode& node,
                               const RingParameters& parameters) {
  return std::max(parameters.virtual_nodes * node.weight / full_weight, 1U);
}

}  // namespace

Result<void> check(const RingParameters& parameters) {
  const auto refuse = [](std::string what) {
    return failure(Errc::invalid_argument, "ring: " + std::move(what));
  };
  const RingParameters& p = parameters;
  if (p.algorithm != 1)
    return failure(Errc::unsupported,
                   fmt::format("ring: algorithm {} is of a later version of "
                               "Troupe than this one",
                               p.algorithm));
  if (p.virtual_nodes < 1 || p.virtual_nodes > most_virtual_nodes)
    return refuse(fmt::format("{} virtual nodes instead of 1 to {}",
                              p.virtual_nodes, most_virtual_nodes));
  if (p.load_denominator < 1 || p.load_denominator > 1000 ||
      p.load_numerator <= p.load_denominator ||
      p.load_numerator > 16 * p.load_denominator)
    return refuse(fmt::format(
        "a load of {}/{} instead of a fraction above 1 and up to 16",
        p.load_numerator, p.load_denominator));
  if (p.shards < 1 || p.shards > most_shards)
    return refuse(
        fmt::format("{} shards instead of 1 to {}", p.shards, most_shards));
  return {};
}

std::uint32_t virtual_nodes_for(std::size_t nodes, std::uint32_t before) {
  constexpr std::uint32_t of_few = 128;
  constexpr std::uint32_t of_many = 64;
  if (nodes > many_nodes)
    return of_many;
  return before == of_many && nodes >= few_nodes ? of_many : of_few;
}

std::uint32_t shard_of(std::string_view key, const RingParameters& parameters) {
  __extension__ using Wide = unsigned __int128;
  // The upper half of the product spreads evenly over any number of shards.
  const Wide product =
      Wide{stable_hash(key, parameters.seed)} * Wide{parameters.shards};
  return static_cast<std::uint32_t>(product >> 64U);
}

std::vector<std::uint32_t> shards_of_job(std::string_view key,
                                         std::uint64_t tasks,
                                         const RingParameters& parameters) {
  const std::uint64_t all = parameters.shards;
  const std::uint64_t count =
      std::clamp((tasks + tasks_per_shard - 1) / tasks_per_shard,
                 std::uint64_t{1}, std::min(all, most_shards_of_job));
  const std::uint64_t first = shard_of(key, parameters);
  std::vector<std::uint32_t> shards;
  for (std::uint64_t i = 0; i < count; ++i)
    shards.push_back(
        static_cast<std::uint32_t>((first + i * all / count) % all));
  return shards;
}

Ring::Ring(std::span<const RingNode> nodes, const RingParameters& parameters)
    : parameters_{parameters}, nodes_{nodes.begin(), nodes.end()} {
  TROUPE_ASSERT(check(parameters).has_value());
  TROUPE_ASSERT(nodes.size() <= most_nodes);
  std::sort(
      nodes_.begin(), nodes_.end(),
      [](const RingNode& a, const RingNode& b) { return a.node < b.node; });
  const auto twin = std::adjacent_find(
      nodes_.begin(), nodes_.end(),
      [](const RingNode& a, const RingNode& b) { return a.node == b.node; });
  TROUPE_ASSERT(twin == nodes_.end());
  place_nodes();
  limit_loads();
  place_shards();
}

void Ring::place_nodes() {
  std::size_t count = 0;
  for (const RingNode& node : nodes_) {
    TROUPE_ASSERT(1 <= node.weight && node.weight <= heaviest_weight);
    count += virtual_nodes_of(node, parameters_);
  }
  places_.reserve(count);
  for (Index i = 0; i < nodes_.size(); ++i) {
    const std::uint32_t own = virtual_nodes_of(nodes_[i], parameters_);
    for (std::uint32_t n = 0; n < own; ++n)
      places_.push_back({place_of(nodes_[i].node, n, parameters_.seed), i});
  }
  // Two nodes at one place: the smaller id comes first.
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    return std::tie(a.hash, a.node) < std::tie(b.hash, b.node);
  });
}

void Ring::limit_loads() {
  if (nodes_.empty())
    return;
  std::uint64_t total = 0;
  for (const RingNode& node : nodes_)
    total += node.weight;
  // Far from overflowing: 16,000 * 32,768 * 1,000.
  const std::uint64_t all =
      std::uint64_t{parameters_.load_numerator} * parameters_.shards;
  const std::uint64_t parts = parameters_.load_denominator * total;
  TROUPE_ASSERT(parts > 0);
  for (const RingNode& node : nodes_) {
    const std::uint64_t limit = (all * node.weight + parts - 1) / parts;
    limits_.push_back(static_cast<std::uint32_t>(
        std::min<std::uint64_t>(limit, parameters_.shards)));
  }
  loads_.resize(nodes_.size());
}

void Ring::place_shards() {
  if (nodes_.empty())
    return;
  struct Shard {
    std::uint64_t hash = 0;
    std::uint32_t number = 0;
  };
  std::vector<Shard> shards;
  shards.reserve(parameters_.shards);
  for (std::uint32_t n = 0; n < parameters_.shards; ++n)
    shards.push_back({place_of_shard(n, parameters_.seed), n});
  std::sort(shards.begin(), shards.end(), [](const Shard& a, const Shard& b) {
    return std::tie(a.hash, a.number) < std::tie(b.hash, b.number);
  });
  owners_.resize(parameters_.shards);
  std::size_t first = 0;
  for (const Shard& shard : shards) {
    while (first < places_.size() && places_[first].hash < shard.hash)
      ++first;
    // The limits sum up to more than all shards, so somebody has room.
    std::size_t at = first == places_.size() ? 0 : first;
    while (loads_[places_[at].node] == limits_[places_[at].node])
      at = at + 1 == places_.size() ? 0 : at + 1;
    owners_[shard.number] = places_[at].node;
    ++loads_[places_[at].node];
  }
}

std::size_t Ring::first_place(std::uint64_t hash) const {
  const auto found = std::lower_bound(
      places_.begin(), places_.end(), hash,
      [](const Place& place, std::uint64_t at) { return place.hash < at; });
  return found == places_.end()
             ? 0
             : static_cast<std::size_t>(found - places_.begin());
}

std::optional<Ring::Index> Ring::index_of(const NodeId& node) const {
  const auto found = std::lower_bound(
      nodes_.begin(), nodes_.end(), node,
      [](const RingNode& a, const NodeId& b) { return a.node < b; });
  if (found == nodes_.end() || found->node != node)
    return std::nullopt;
  return static_cast<Index>(found - nodes_.begin());
}

std::optional<NodeId> Ring::owner(std::uint32_t shard) const {
  TROUPE_ASSERT(shard < parameters_.shards);
  if (owners_.empty())
    return std::nullopt;
  return nodes_[owners_[shard]].node;
}

std::vector<std::uint32_t> Ring::shards_of(const NodeId& node) const {
  std::vector<std::uint32_t> own;
  const auto index = index_of(node);
  if (!index)
    return own;
  own.reserve(loads_[*index]);
  for (std::uint32_t shard = 0; shard < owners_.size(); ++shard)
    if (owners_[shard] == *index)
      own.push_back(shard);
  return own;
}

std::uint32_t Ring::load(const NodeId& node) const {
  const auto index = index_of(node);
  return index ? loads_[*index] : 0;
}

std::uint32_t Ring::load_limit(const NodeId& node) const {
  const auto index = index_of(node);
  return index ? limits_[*index] : 0;
}

std::vector<NodeId> Ring::clockwise(std::string_view key,
                                    std::size_t count) const {
  std::vector<NodeId> found;
  count = std::min(count, nodes_.size());
  if (count == 0)
    return found;
  std::vector<bool> is_found(nodes_.size());
  const std::size_t first = first_place(stable_hash(key, parameters_.seed));
  for (std::size_t at = first; found.size() < count;
       at = at + 1 == places_.size() ? 0 : at + 1) {
    const Index node = places_[at].node;
    if (is_found[node])
      continue;
    is_found[node] = true;
    found.push_back(nodes_[node].node);
  }
  return found;
}

}  // namespace troupe::distributed
