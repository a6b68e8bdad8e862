#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/time.hpp>
#include <troupe/link/certificate.hpp>
#include <troupe/link/enrolments.hpp>

#include <string>
#include <string_view>

namespace troupe::link {

/// The authority of a cluster: a folder, on one host, with the mode 0700:
///
///   authority.pem     its key and its certificate
///   enrolments.json   tokens and nodes; see Enrolments
///   roster.json       who belongs to the cluster, for the nodes; see Roster
///
/// Each file has the mode 0600 and is replaced as a whole. Whoever can read
/// the folder can become any node. Locked for others while it is open; blocks.
class Authority {
 public:
  /// Makes one. Repeating it is an error: a second key would make the first
  /// one's nodes strangers.
  ///
  /// Errors: already_exists, permission_denied, those of the system.
  [[nodiscard]] static Result<Authority> create(const std::string& folder,
                                                WallTime now);

  /// Errors: not_found (with what to do), permission_denied, corrupt,
  /// timed_out (another one has it open).
  [[nodiscard]] static Result<Authority> open(const std::string& folder);

  /// What somebody needs to be enrolled under this name, as one word: a secret
  /// and the fingerprint of the authority. It is not kept, only its hash is.
  ///
  /// Errors: as Enrolments::add_token(), those of the system.
  [[nodiscard]] Result<std::string> add_token(const std::string& name,
                                              bool renews, Duration valid,
                                              WallTime now);

  struct Signed {
    std::string answer;  ///< For ClusterFolder::finish().
    std::string name;
    distributed::NodeId node{};
    bool is_repeated = false;  ///< The same answer as before.
  };
  /// Answers a request of ClusterFolder::begin(). The token is used up when
  /// this returns; the same request is answered once more, until the token has
  /// expired.
  ///
  /// Errors: corrupt (no request), permission_denied, those of the system.
  [[nodiscard]] Result<Signed> sign(std::string_view request, WallTime now);

  /// As Enrolments::revoke().
  [[nodiscard]] Result<WallTime> revoke(std::string_view who, WallTime now);

  [[nodiscard]] const Enrolments& enrolments() const { return enrolments_; }
  [[nodiscard]] const CertificateInfo& certificate() const { return info_; }
  [[nodiscard]] std::string roster_path() const;

 private:
  Authority(std::string folder, OwnedFd lock, Signer signer,
            CertificateInfo info);
  [[nodiscard]] Result<void> save(Enrolments changed);

  std::string folder_;
  OwnedFd lock_;
  Signer signer_;
  CertificateInfo info_;
  Enrolments enrolments_;
};

}  // namespace troupe::link
