#pragma once

/// Keys and certificates of a cluster, as texts in PEM: Ed25519, X.509 v3. A
/// node is named by one subject alternative name, URI:troupe:node:UUID.
/// All of this may be called from any thread and takes less than a millisecond.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/distributed/node_id.hpp>

#include <optional>
#include <string>
#include <string_view>

struct x509_st;

namespace troupe::link {

inline constexpr Duration authority_valid = 24h * 365 * 10;
inline constexpr Duration node_valid = 24h * 365;
/// Before now: the clocks of two hosts differ.
inline constexpr Duration valid_before = 1h;

/// What was read of a certificate. Nothing says yet who has signed it.
struct CertificateInfo {
  /// The one that it names; none if there is none, or more than one.
  std::optional<distributed::NodeId> node{};
  std::string key{};          ///< As RosterEntry::key.
  std::string fingerprint{};  ///< SHA-256 of all of it, 64 digits.
  WallTime from{};
  WallTime until{};
  bool is_authority = false;
};

/// A new private key.
///
/// Errors: internal.
[[nodiscard]] Result<std::string> make_key();

/// Asks for a certificate, and proves that the asker has the key.
///
/// Errors: corrupt (no such key).
[[nodiscard]] Result<std::string> make_request(std::string_view key);

/// The key that a request is for; see RosterEntry::key.
///
/// Errors: corrupt (no request, not signed with its key, no Ed25519).
[[nodiscard]] Result<std::string> key_of_request(std::string_view request);

/// The certificate of an authority, signed by itself.
///
/// Errors: corrupt (no such key).
[[nodiscard]] Result<std::string> make_authority_certificate(
    std::string_view key, WallTime now);

struct Signer {
  std::string certificate;
  std::string key;
};

/// A certificate for the key of `request`. All else that the request says is
/// ignored. Ends with that of the authority at the latest.
///
/// Errors: corrupt, as key_of_request(), or of the signer.
[[nodiscard]] Result<std::string> sign_certificate(
    const Signer& authority, std::string_view request,
    const distributed::NodeId& node, std::string_view name, WallTime now);

/// Errors: corrupt (no certificate).
[[nodiscard]] Result<CertificateInfo> read_certificate(std::string_view pem);

/// The same for what a library has read.
[[nodiscard]] Result<CertificateInfo> read_certificate(x509_st* certificate);

/// Who a node is, and how it proves it.
struct Identity {
  distributed::NodeId node{};
  std::string key{};
  std::string certificate{};
  std::string authority{};  ///< The certificate that all others are signed by.
  std::string name{};       ///< Under which it was enrolled, for people.
};

/// Whether the three belong together and are valid at `now`, and for whom.
///
/// Errors: corrupt (what it is not), permission_denied (not signed by this
/// authority, or not valid now).
[[nodiscard]] Result<Identity> check_identity(std::string key,
                                              std::string certificate,
                                              std::string authority,
                                              WallTime now);

/// 32 bytes of the system's, for secrets; in base64 for URLs (RFC 4648, 5).
///
/// Errors: internal.
[[nodiscard]] Result<std::string> make_secret();

/// SHA-256 in 64 digits.
[[nodiscard]] std::string hash_of(std::string_view bytes);

/// A random id (RFC 4122, version 4).
[[nodiscard]] distributed::NodeId make_node_id();

}  // namespace troupe::link
