#pragma once

/// Which of the files that a workflow watches have changed.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/workflow/triggers.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace troupe::node {

/// How a file is: another content or another file is another stamp.
struct FileStamp {
  WallTime changed;  ///< By the clock of its file system (ctime).
  std::uint64_t size_bytes = 0;
  std::uint64_t inode = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

using FileStamps = std::map<std::string, FileStamp>;  ///< By absolute path.

/// Files and folders that one trigger looks at.
inline constexpr std::size_t most_scanned = 100'000;

/// The plain files that `watch` means, with relative paths in `folder`. What
/// cannot be read is passed over. Blocks.
///
/// Errors: overloaded (more than most_scanned).
[[nodiscard]] Result<FileStamps> scan_files(const workflow::WatchTrigger& watch,
                                            const std::string& folder);

/// Tells which files have changed since they were told last, once they are left
/// alone. Files that are removed are no change. Pure.
class ChangeCore {
 public:
  /// What has changed up to `known_until` is known already.
  ChangeCore(Duration settle, WallTime known_until);

  /// The files that have changed, in order; each change is told once.
  std::vector<std::string> on_scan(const FileStamps& files, WallTime now);

  /// When to look again, though nothing may have changed since: a file has to
  /// be left alone until then.
  [[nodiscard]] std::optional<WallTime> next_scan() const;

  /// Of what has changed up to here all is told.
  [[nodiscard]] WallTime known_until() const;

 private:
  struct Candidate {
    FileStamp stamp;
    WallTime since;  ///< It was so.
  };

  Duration settle_;
  WallTime known_until_;
  FileStamps known_;  ///< As they were told, or at the beginning.
  std::map<std::string, Candidate> candidates_;
};

}  // namespace troupe::node
