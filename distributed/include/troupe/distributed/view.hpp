#pragma once

/// What the nodes of a cluster agree on: who is in it, and the parameters of
/// the ring that follows from that. Views are numbered; each is proposed by a
/// node as the next one, and the store takes the first proposal of a number
/// (compare-and-set), so that all see the same sequence.
#include <troupe/base/error.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/distributed/ring.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::distributed {

inline constexpr std::size_t longest_zone = 64;
inline constexpr std::size_t longest_view_bytes = 1 << 20;

/// Stored by name.
enum class MemberState : std::uint8_t {
  joining = 1,  ///< New: on the ring with a quarter of its weight.
  active = 2,
  draining = 3,  ///< About to leave: owns no shards any more.
};

/// "joining".
[[nodiscard]] std::string_view to_string(MemberState state);

struct Member {
  NodeId node;
  std::uint32_t weight = full_weight;  ///< 1 to heaviest_weight.
  /// What fails together, such as a site; letters, digits and ._- up to
  /// longest_zone. The ring does not look at it.
  std::string zone{};
  MemberState state = MemberState::active;

  friend bool operator==(const Member&, const Member&) = default;
};

struct View {
  std::uint64_t number = 0;  ///< The first is 1; with 0 nobody has agreed yet.
  std::vector<Member> members{};  ///< Ascending, each node once.
  RingParameters ring{};

  friend bool operator==(const View&, const View&) = default;
};

/// Whether weight and zone keep their bounds.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check(const Member& member);

/// Whether a view keeps its bounds and its order.
///
/// Errors: invalid_argument, unsupported (a ring of a later version).
[[nodiscard]] Result<void> check(const View& view);

/// Who owns what in it: a node that is joining counts a quarter, at least 1,
/// one that is draining is left out. `view` has passed check().
[[nodiscard]] Ring ring_of(const View& view);

/// From one view to another; each ascending.
struct ViewChange {
  std::vector<NodeId> joined{};
  std::vector<NodeId> left{};
  std::vector<NodeId> changed{};  ///< Weight, zone or state.
  bool has_other_ring = false;    ///< Its parameters.

  [[nodiscard]] bool is_empty() const {
    return joined.empty() && left.empty() && changed.empty() && !has_other_ring;
  }
  friend bool operator==(const ViewChange&, const ViewChange&) = default;
};

[[nodiscard]] ViewChange changes_between(const View& from, const View& to);

/// How a view is stored and sent: one line of JSON of at most
/// longest_view_bytes. `view` has passed check(). Fields are appended only.
[[nodiscard]] std::string to_json(const View& view);

/// The opposite; fields of later versions are skipped, and the result has
/// passed check().
///
/// Errors: corrupt (no such JSON, or a bound), unsupported (a ring of a later
/// version).
[[nodiscard]] Result<View> parse_view(std::string_view json);

}  // namespace troupe::distributed
