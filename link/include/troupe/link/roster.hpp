#pragma once

/// Who belongs to a cluster: the nodes that were enrolled, each with its key. A
/// certificate alone lets nobody in, since it cannot be taken back; a line of
/// the roster can.
#include <troupe/base/error.hpp>
#include <troupe/distributed/node_id.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::link {

inline constexpr std::size_t most_enrolled = 10'000;
inline constexpr std::size_t longest_node_name = 64;

struct RosterEntry {
  distributed::NodeId node{};
  std::string name{};  ///< For people; see check_node_name().
  /// Of its public key (SubjectPublicKeyInfo in DER): SHA-256, 64 digits.
  std::string key{};
  bool is_revoked = false;

  friend bool operator==(const RosterEntry&, const RosterEntry&) = default;
};

/// Letters, digits, and inside of it . _ and -; up to longest_node_name.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check_node_name(std::string_view name);

/// A value; those who use it share it as const.
class Roster {
 public:
  Roster() = default;
  /// `number` tells it from those before it, which have smaller ones; 0 is that
  /// of rosters of versions that did not count.
  ///
  /// Errors: invalid_argument (a node twice, a name, a key that is none, more
  /// than most_enrolled).
  [[nodiscard]] static Result<Roster> of(std::vector<RosterEntry> entries,
                                         std::uint64_t number = 0);

  /// Null if it is not there.
  [[nodiscard]] const RosterEntry* find(const distributed::NodeId& node) const;

  /// Whether somebody whose certificate names `node` and who has proven to have
  /// `key` is one of us.
  ///
  /// Errors: permission_denied (not enrolled, revoked, another key).
  [[nodiscard]] Result<void> admit(const distributed::NodeId& node,
                                   std::string_view key) const;

  /// Whoever is not on it was not revoked.
  [[nodiscard]] bool is_revoked(const distributed::NodeId& node) const {
    const RosterEntry* const entry = find(node);
    return entry != nullptr && entry->is_revoked;
  }

  /// Ascending.
  [[nodiscard]] const std::vector<RosterEntry>& entries() const {
    return entries_;
  }
  [[nodiscard]] std::uint64_t number() const { return number_; }
  friend bool operator==(const Roster&, const Roster&) = default;

 private:
  std::uint64_t number_ = 0;
  std::vector<RosterEntry> entries_;
};

/// How it is kept in a file: JSON, fields are appended only.
[[nodiscard]] std::string to_json(const Roster& roster);

/// The opposite; fields of later versions are skipped.
///
/// Errors: corrupt.
[[nodiscard]] Result<Roster> parse_roster(std::string_view json);

}  // namespace troupe::link
