#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <optional>
#include <string>
#include <sys/types.h>

namespace troupe::api {

/// A listening unix socket and its names in the file system, for as long as
/// this lives: `path`, and the locked file `path`.lock with our process id,
/// which says that the owner of `path` is alive. The lock file is locked
/// before the socket is touched and removed after it, so two servers that
/// start or end at the same moment never take each other's socket away.
class SocketFile {
 public:
  /// See ControlServer::listen. The descriptors are close-on-exec, that of the
  /// socket does not block. With a group its members may connect, too: the mode
  /// is 0660, and a folder that is made here has 0710 and the group as well.
  ///
  /// Errors: also permission_denied (it is not a group of ours).
  [[nodiscard]] static Result<SocketFile> open(
      const std::string& path, std::optional<gid_t> group = std::nullopt);

  SocketFile(SocketFile&&) = default;
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile();

  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::optional<gid_t> group() const { return group_; }

  /// False if whoever connects to `path` does not come to us: it was removed or
  /// replaced.
  [[nodiscard]] bool is_in_place() const;

 private:
  SocketFile() = default;

  OwnedFd lock_;
  OwnedFd socket_;
  std::string path_;  ///< Of the socket; empty if moved from.
  std::optional<gid_t> group_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace troupe::api
