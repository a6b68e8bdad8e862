#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/link/certificate.hpp>
#include <troupe/link/roster.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace troupe::link {

/// What a node has to prove that it belongs to a cluster: a folder with the
/// mode 0700.
///
///   identity.pem   its key, its certificate and that of the authority
///   pending.json   the key of an enrolment that has begun
///   roster.json    who else belongs to it
///
/// The identity is one file, so that there is no moment at which a key and the
/// certificate of another one are there. Blocks.
class ClusterFolder {
 public:
  explicit ClusterFolder(std::string path) : path_{std::move(path)} {}

  /// Where the identity is, or would be. Does not block.
  [[nodiscard]] std::string identity_path() const {
    return path_ + "/identity.pem";
  }

  /// Makes a key, unless this token has been given before, and the request that
  /// Authority::sign() answers. The request has the token's secret in it. The
  /// identity of before stays.
  ///
  /// Errors: invalid_argument (no such token), permission_denied, those of the
  /// system.
  [[nodiscard]] Result<std::string> begin(std::string_view token) const;

  struct Enrolled {
    distributed::NodeId node{};
    std::string name;
    WallTime until{};
  };
  /// Takes the answer, if it is for the key that was made and comes from the
  /// authority that the token named. Repeating it changes nothing.
  ///
  /// Errors: not_found (none has begun), corrupt (no answer),
  /// permission_denied (of another authority or for another key), those of the
  /// system.
  [[nodiscard]] Result<Enrolled> finish(std::string_view answer,
                                        WallTime now) const;

  /// Errors: not_found (this host is not enrolled, with what to do), corrupt,
  /// permission_denied (expired, of others, to be read by others).
  [[nodiscard]] Result<Identity> identity(WallTime now) const;

  /// None if there is no such file.
  ///
  /// Errors: corrupt, those of the system.
  [[nodiscard]] Result<std::optional<Roster>> roster() const;

  /// Keeps `roster`, which is of the authority with this fingerprint, if this
  /// host is enrolled there and has none that is newer. Otherwise, and if it is
  /// repeated, nothing changes.
  ///
  /// Errors: corrupt (what is there), those of the system.
  [[nodiscard]] Result<void> take_roster(const Roster& roster,
                                         std::string_view authority,
                                         WallTime now) const;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace troupe::link
