#pragma once

/// Reading and making files.
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace troupe::content {

/// `path` as seen from `folder`.
[[nodiscard]] std::string path_in(const std::string& folder,
                                  const std::string& path);

/// Opens a regular file for reading. Errors: invalid_argument (it is something
/// else), those of the system.
[[nodiscard]] Result<OwnedFd> open_file(const std::string& path);

using Piece = std::function<Result<void>(std::string_view bytes)>;

/// Gives all bytes of a file to `use`, in pieces, until that fails.
[[nodiscard]] Result<void> read_file(const std::string& path, const Piece& use);
[[nodiscard]] Result<void> read_file(int fd, const std::string& path,
                                     const Piece& use);

/// A file that is there as a whole or not at all: bytes go to one beside it,
/// which takes its place. Removes what was not finished.
class NewFile {
 public:
  /// Makes folders that are missing.
  [[nodiscard]] static Result<NewFile> make(std::string path, mode_t mode);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  [[nodiscard]] Result<void> write(std::string_view bytes);
  /// `is_synced` lets it survive a power cut.
  [[nodiscard]] Result<void> finish(bool is_synced);
  /// The same with another path in the same file system.
  [[nodiscard]] Result<void> finish_as(const std::string& path, bool is_synced);

 private:
  NewFile() = default;

  OwnedFd fd_;
  std::string path_;
  std::string temporary_;  ///< Empty once it has taken its place.
};

}  // namespace troupe::content
