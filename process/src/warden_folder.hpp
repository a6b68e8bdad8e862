#pragma once

/// The folder of a kept warden: `warden.lock`, on which it holds a lock for its
/// whole life and in which it says who it is, and `warden.sock`, on which it
/// listens. Calls are short and do not wait.
#include "procfs.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <optional>
#include <string>

namespace troupe::process {

/// What a warden writes into the file that it has locked.
struct WardenIdentity {
  ProcessIdentity process{};
  std::string session;

  friend bool operator==(const WardenIdentity&,
                         const WardenIdentity&) = default;
};

/// Pure.
[[nodiscard]] std::string to_text(const WardenIdentity& identity);
/// None if it is not all there. Pure.
[[nodiscard]] std::optional<WardenIdentity> parse_identity(
    std::string_view text);

/// Whether it can be the beginning of markers: letters, digits, '-' and '_', 1
/// to 64 of them. Pure.
[[nodiscard]] bool is_session(std::string_view text);

class WardenFolder {
 public:
  /// Errors: of opening `path`.
  [[nodiscard]] static Result<WardenFolder> open(const std::string& path);

  /// The lock; none if somebody has it. It lasts as long as any process has
  /// the descriptor or a copy of it.
  ///
  /// Errors: of making the file.
  [[nodiscard]] Result<std::optional<OwnedFd>> try_lock() const;

  /// Who has written to the lock file last, who need not live any more.
  [[nodiscard]] std::optional<WardenIdentity> identity() const;

  /// A socket that listens, for this user only, in place of what a dead warden
  /// has left. The caller has the lock.
  [[nodiscard]] Result<OwnedFd> listen() const;

  /// A connection. Errors: unavailable, if nobody listens or too many wait.
  [[nodiscard]] Result<OwnedFd> connect() const;

 private:
  explicit WardenFolder(std::string path, OwnedFd folder)
      : path_{std::move(path)}, folder_{std::move(folder)} {}

  std::string path_;
  OwnedFd folder_;
};

/// The name of the socket in the folder.
inline constexpr const char* warden_socket_name = "warden.sock";

}  // namespace troupe::process
