#pragma once

/// What is decided about changes of watched files: which count, and when they
/// are told. Without files, time and descriptors.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/service/path_pattern.hpp>
#include <troupe/service/service_tree.hpp>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::service {

/// What an event of inotify(7) about a name in a folder means.
enum class FileEffect : std::uint8_t {
  none = 0,
  changed,  ///< Its content, name or rights, for now finally.
  created,  ///< It is new; if it is a plain file, somebody is writing it.
};

/// `mask` is that of the event.
[[nodiscard]] FileEffect effect_of(std::uint32_t mask);

/// Which paths count. All paths that it is asked about are absolute, without
/// "." and "..", and not looked up.
class WatchedPaths {
 public:
  /// `current_folder` is absolute: what relative paths are relative to.
  ///
  /// Errors: invalid_argument (no path, or an empty one).
  [[nodiscard]] static Result<WatchedPaths> from(
      const WatchedFiles& files, const std::string& current_folder);

  /// Each file and folder to watch, and of each pattern the folder that it is
  /// below. Without repetitions.
  [[nodiscard]] const std::vector<std::string>& roots() const { return roots_; }

  /// Whether a change of what is at `path` counts.
  [[nodiscard]] bool counts(const std::string& path, bool is_folder) const;

  /// Whether something in `folder`, or below it, could count.
  [[nodiscard]] bool may_hold(const std::string& folder) const;

  /// `path` for people: relative if it is below the current folder.
  [[nodiscard]] std::string shown(std::string_view path) const;

 private:
  /// `rest` is what a path has after that of a watched folder, or empty.
  static bool counts_within_folder(std::string_view rest, bool is_folder);
  [[nodiscard]] bool is_excluded(const std::string& path) const;

  std::string current_folder_;
  std::vector<std::string> roots_;
  std::vector<std::string> plain_;  ///< Files and folders.
  std::vector<PathPattern> patterns_;
  std::vector<PathPattern> excluded_;
};

/// When changes are told: when it has been quiet for a while, and no new file
/// is still being written, but at most ten times that while after the first
/// change.
class ChangeTeller {
 public:
  /// `quiet` is brought into 0 .. 1h.
  explicit ChangeTeller(Duration quiet);

  /// Something is different at `path`. Times never go backwards.
  void on_noticed(const std::string& path, TimePoint now);
  /// The same, and nobody writes to it now.
  void on_changed(const std::string& path, TimePoint now);
  /// A new file: `on_changed` will follow when it has been written. Of more
  /// than 64 such files the others do not hold up anything.
  void on_created(const std::string& path, TimePoint now);

  /// When to call `take`, if nothing happens until then.
  [[nodiscard]] std::optional<TimePoint> due() const;

  /// The first path that has changed, if it is time to tell; then all is as if
  /// nothing had changed.
  [[nodiscard]] std::optional<std::string> take(TimePoint now);

 private:
  struct Pending {
    std::string path;
    TimePoint first;
    TimePoint last;
    std::set<std::string> unfinished;
  };

  Duration quiet_;
  std::optional<Pending> pending_;
};

}  // namespace troupe::service
