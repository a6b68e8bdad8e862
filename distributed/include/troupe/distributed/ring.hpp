#pragma once

/// Which node of a cluster owns which shard, reckoned by each node for itself:
/// equal members and parameters give equal answers, in any order of the members
/// and on any build, so that no message is needed to agree.
///
/// Each node stands at many places of a circle of 64-bit numbers, its *virtual
/// nodes*, and each shard at one. A shard belongs to the first node clockwise
/// from it (consistent hashing; Karger et al. 1997) that is not full: one takes
/// at most c times its share (bounded loads; Mirrokni, Thorup and Zadimoghaddam
/// 2018). Shards take their places in ascending order of their hash. When a
/// node comes or goes, little more than its own shards change hands.
#include <troupe/base/error.hpp>
#include <troupe/distributed/node_id.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::distributed {

inline constexpr std::size_t most_nodes = 4096;
inline constexpr std::uint32_t most_shards = 32'768;  ///< Fit a smallint.
/// As many as a node claims at once: another owner of fewer would find nothing.
inline constexpr std::uint64_t tasks_per_shard = 100;
inline constexpr std::uint64_t most_shards_of_job = 64;
inline constexpr std::uint32_t full_weight = 100;
inline constexpr std::uint32_t heaviest_weight = 1000;
inline constexpr std::uint32_t most_virtual_nodes = 256;

/// What all nodes have to have in common. Stored in each view: fields are
/// appended, and their meaning is fixed by `algorithm`.
struct RingParameters {
  /// How places and loads are reckoned; this text describes 1, the only one.
  std::uint32_t algorithm = 1;
  std::uint64_t seed = 0;
  /// Of a node with full_weight: the more, the more even, and the longer it
  /// takes. 1 to most_virtual_nodes.
  std::uint32_t virtual_nodes = 128;
  /// c, as a fraction: more than 1, at most 16, the denominator at most 1000.
  /// Closer to 1 is more even and moves more shards on each change.
  std::uint32_t load_numerator = 5;
  std::uint32_t load_denominator = 4;
  /// Fixed when a cluster is created: 1 to most_shards. Below some 16 for each
  /// node the rounding of the bound weighs more than c.
  std::uint32_t shards = 4096;

  friend bool operator==(const RingParameters&,
                         const RingParameters&) = default;
};

/// A node that may own shards.
struct RingNode {
  NodeId node;
  /// Its share compared to the others, full_weight being an ordinary one; 1 to
  /// heaviest_weight.
  std::uint32_t weight = full_weight;

  friend bool operator==(const RingNode&, const RingNode&) = default;
};

/// Errors: unsupported (an algorithm of a later version), invalid_argument.
[[nodiscard]] Result<void> check(const RingParameters& parameters);

/// How many virtual nodes a ring of `nodes` should have, after one that had
/// `before`: 128, above 500 nodes 64, which is even enough then. Back to 128
/// only below 400, since a change moves half of all shards.
[[nodiscard]] std::uint32_t virtual_nodes_for(std::size_t nodes,
                                              std::uint32_t before);

/// The shard of what is known by `key`: 0 to shards - 1. Depends on seed and
/// shards alone, so that it is fixed for the life of a cluster.
[[nodiscard]] std::uint32_t shard_of(std::string_view key,
                                     const RingParameters& parameters);

/// Where the tasks of a job wait that is known by `key`, each shard once: in
/// that of the key, and in one more for each tasks_per_shard tasks beyond the
/// first, so that the owners of all of them share an array. Up to
/// most_shards_of_job, evenly over the numbers.
[[nodiscard]] std::vector<std::uint32_t> shards_of_job(
    std::string_view key, std::uint64_t tasks,
    const RingParameters& parameters);

/// Immutable once built; any thread may read it.
class Ring {
 public:
  /// `parameters` have passed check(); at most most_nodes `nodes`, each once,
  /// with weights in range. Without nodes it has shards without owners. Takes
  /// 6 ms for 1,000 nodes and 16,384 shards.
  Ring(std::span<const RingNode> nodes, const RingParameters& parameters);

  /// Who owns `shard` (less than shards); none if there are no nodes.
  [[nodiscard]] std::optional<NodeId> owner(std::uint32_t shard) const;

  /// The shards of `node`, ascending; none if it is not on the ring.
  [[nodiscard]] std::vector<std::uint32_t> shards_of(const NodeId& node) const;

  /// How many it owns, and how many at most:
  ///   ceil(c * shards * weight / sum of all weights).
  [[nodiscard]] std::uint32_t load(const NodeId& node) const;
  [[nodiscard]] std::uint32_t load_limit(const NodeId& node) const;

  /// The first `count` nodes clockwise from the place of `key`, each once;
  /// fewer on a smaller ring. The order in which nodes try to do something that
  /// one of them should do, and who is next if that one does not.
  [[nodiscard]] std::vector<NodeId> clockwise(std::string_view key,
                                              std::size_t count) const;

  /// In order of their ids.
  [[nodiscard]] const std::vector<RingNode>& nodes() const { return nodes_; }
  [[nodiscard]] const RingParameters& parameters() const { return parameters_; }

 private:
  using Index = std::uint32_t;  ///< Of a node in nodes_.

  /// A virtual node.
  struct Place {
    std::uint64_t hash = 0;
    Index node = 0;
  };

  void place_nodes();
  void limit_loads();
  void place_shards();
  [[nodiscard]] std::size_t first_place(std::uint64_t hash) const;
  [[nodiscard]] std::optional<Index> index_of(const NodeId& node) const;

  RingParameters parameters_;
  std::vector<RingNode> nodes_;
  std::vector<Place> places_;         ///< Ascending.
  std::vector<Index> owners_;         ///< By shard; empty without nodes.
  std::vector<std::uint32_t> loads_;  ///< By node, and so are the limits.
  std::vector<std::uint32_t> limits_;
};

}  // namespace troupe::distributed
