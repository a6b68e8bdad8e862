#pragma once

#include <troupe/base/error.hpp>
#include <troupe/service/service_tree.hpp>

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace troupe::service {

/// Most folders that one watcher looks at, and most files and folders in them.
inline constexpr std::size_t most_watched_folders = 4096;
inline constexpr std::size_t most_watched_entries = 500'000;

/// Run on the I/O thread and may do nothing but post a message. They may
/// destroy the watcher.
struct FileChangeHandlers {
  /// Something has changed, and is quiet now. `path` is the first that was seen
  /// to change, relative if it is below the current folder; empty if there was
  /// too much to tell.
  std::function<void(const std::string& path)> on_change;
  /// It cannot go on watching; this is the last call.
  std::function<void(const Error&)> on_trouble;
};

/// Tells when files have changed, by inotify(7): that they were written,
/// replaced, removed or touched, not that they were read.
///
/// What is watched may come, go and come again, also the folders that it is in;
/// a link is followed to the file that it leads to, and a new goal of a link is
/// a change. Below a folder and in place of wildcards, hidden folders,
/// "node_modules", "__pycache__" and the temporary files of editors do not
/// count, nor are links to folders followed.
///
/// A change is told `debounce` after the last one, at most ten times that after
/// the first one. A new file that is still being written holds it up, within
/// the same bound.
///
/// It costs a descriptor, and an inotify watch for each folder. Its folders are
/// listed on the I/O thread when one of them comes, goes or is renamed: some 5
/// microseconds per folder or file, for at most a tenth of the time.
class FileWatcher {
 public:
  /// Relative paths are relative to the current folder. From any thread; `io`
  /// must be run by one. Blocks while the folders are listed.
  ///
  /// Errors: invalid_argument (nothing to watch, or an empty path); overloaded,
  /// naming the limit (too many folders, no inotify watches or instances left);
  /// permission_denied.
  [[nodiscard]] static Result<std::unique_ptr<FileWatcher>> watch(
      boost::asio::io_context& io, const WatchedFiles& files,
      FileChangeHandlers handlers);

  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;

  /// Ends all at once on the I/O thread, and then no handler is called any
  /// more; from another thread as soon as the I/O thread gets to it, and until
  /// then one may be.
  ~FileWatcher();

 private:
  class Receiver;
  explicit FileWatcher(std::shared_ptr<Receiver> receiver);

  std::shared_ptr<Receiver> receiver_;
};

}  // namespace troupe::service
