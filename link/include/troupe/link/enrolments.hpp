#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/link/roster.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::link {

inline constexpr std::size_t most_open_tokens = 1000;
inline constexpr Duration longest_token_time = 24h * 7;

/// A right to be enrolled, once, as one node. What it is made of is known to
/// whoever was given it, and to nobody else: this is its hash.
struct EnrolmentToken {
  std::string hash{};  ///< SHA-256 of the secret, 64 digits.
  std::string name{};  ///< Of the node that it is for.
  distributed::NodeId node{};
  WallTime expires{};
  std::string used_by{};  ///< The key that was enrolled by it; see RosterEntry.

  /// Whether a node may still be enrolled by it.
  [[nodiscard]] bool is_open(WallTime now) const {
    return used_by.empty() && now < expires;
  }

  friend bool operator==(const EnrolmentToken&,
                         const EnrolmentToken&) = default;
};

struct EnrolledNode {
  distributed::NodeId node{};
  std::string name{};
  std::string key{};
  std::string certificate{};  ///< PEM.
  WallTime issued{};
  WallTime expires{};
  std::optional<WallTime> revoked{};

  friend bool operator==(const EnrolledNode&, const EnrolledNode&) = default;
};

/// What the authority of a cluster knows: tokens that it has given out, and
/// nodes that it has signed certificates for. Decides who gets one. Pure; times
/// are told, and in whole seconds. Written to one file, as a whole.
class Enrolments {
 public:
  /// Keeps a token for a node. A name that was never enrolled, or was revoked,
  /// becomes the node `fresh`; one that is enrolled keeps its id, if `renews`:
  /// the new key takes the place of the old one. Another token for the same
  /// name takes the place of one that was not used.
  ///
  /// Errors: invalid_argument (the name, `valid`), already_exists (the name is
  /// enrolled), not_found (to be renewed and not enrolled), overloaded.
  [[nodiscard]] Result<void> add_token(std::string hash,
                                       const std::string& name,
                                       const distributed::NodeId& fresh,
                                       bool renews, Duration valid,
                                       WallTime now);

  struct Grant {
    std::string name;
    distributed::NodeId node{};
    /// Of before: the answer to the first request was lost. Empty if one has
    /// to be signed.
    std::string certificate;
  };
  /// Whether the owner of `key` gets a certificate, and for which node.
  ///
  /// Errors: permission_denied (no such token, used by another key, expired;
  /// the node was revoked).
  [[nodiscard]] Result<Grant> redeem(std::string_view hash,
                                     std::string_view key, WallTime now) const;

  /// One was signed for what redeem() has granted.
  void issue(std::string_view hash, EnrolledNode node);

  /// By name or id. The time of its revocation, which is that of the first
  /// call. Takes tokens for it away, too.
  ///
  /// Errors: not_found, with "did you mean".
  [[nodiscard]] Result<WallTime> revoke(std::string_view who, WallTime now);

  /// Forgets tokens that have expired a day ago: until then they are told from
  /// those that never were.
  void forget_expired(WallTime now);

  /// In the order of enrolment.
  [[nodiscard]] const std::vector<EnrolledNode>& nodes() const {
    return nodes_;
  }
  [[nodiscard]] const std::vector<EnrolmentToken>& tokens() const {
    return tokens_;
  }
  /// Its number counts up with each change of it, and is never smaller than the
  /// seconds since 1970 at that time: so it also is if a copy of the folder
  /// from before is taken into use again.
  [[nodiscard]] Roster roster() const;

  friend bool operator==(const Enrolments&, const Enrolments&) = default;

 private:
  friend Result<Enrolments> parse_enrolments(std::string_view json);
  [[nodiscard]] EnrolledNode* find_live(std::string_view name);

  void count_roster(WallTime now);

  std::vector<EnrolledNode> nodes_;
  std::vector<EnrolmentToken> tokens_;
  std::uint64_t roster_number_ = 0;
};

[[nodiscard]] std::string to_json(const Enrolments& enrolments);

/// The opposite.
///
/// Errors: corrupt, unsupported (of a later version).
[[nodiscard]] Result<Enrolments> parse_enrolments(std::string_view json);

}  // namespace troupe::link
