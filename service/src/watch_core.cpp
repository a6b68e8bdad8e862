#include "watch_core.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <sys/inotify.h>
#include <utility>

namespace troupe::service {
namespace {

constexpr int most_quiets = 10;
constexpr Duration longest_quiet = 1h;
constexpr std::size_t most_unfinished = 64;

/// What editors write besides what they are told to write. They come when a
/// file is opened, so that just looking at one would count.
constexpr std::array<std::string_view, 5> editor_files{".*.sw?", "*~", ".#*",
                                                       "#*#", "4913"};

bool is_of_editor(std::string_view name) {
  return std::any_of(
      editor_files.begin(), editor_files.end(),
      [&](std::string_view pattern) { return name_matches(pattern, name); });
}

std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string absolute(const std::string& path,
                     const std::string& current_folder) {
  std::string normal = (std::filesystem::path{current_folder} / path)
                           .lexically_normal()
                           .string();
  while (normal.size() > 1 && normal.ends_with('/'))
    normal.pop_back();
  return normal;
}

/// What `path` has after "folder/", empty if it is the folder itself.
std::optional<std::string_view> rest_below(std::string_view path,
                                           std::string_view folder) {
  if (folder == "/")
    return path.substr(1);
  if (!path.starts_with(folder))
    return std::nullopt;
  path.remove_prefix(folder.size());
  if (path.empty())
    return path;
  if (path[0] != '/')
    return std::nullopt;
  return path.substr(1);
}

}  // namespace

FileEffect effect_of(std::uint32_t mask) {
  if ((mask & IN_CREATE) != 0)
    return FileEffect::created;
  if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)) != 0)
    return FileEffect::changed;
  // `touch` and `chmod +x`; of a folder they say nothing about its files.
  if ((mask & IN_ATTRIB) != 0 && (mask & IN_ISDIR) == 0)
    return FileEffect::changed;
  return FileEffect::none;
}

Result<WatchedPaths> WatchedPaths::from(const WatchedFiles& files,
                                        const std::string& current_folder) {
  WatchedPaths out;
  out.current_folder_ = absolute("", current_folder);
  if (files.paths.empty())
    return failure(Errc::invalid_argument, "no path to watch");
  for (const std::string& path : files.paths) {
    if (path.empty())
      return failure(Errc::invalid_argument, "a path to watch is empty");
    std::string root = absolute(path, current_folder);
    if (PathPattern::has_wildcard(root)) {
      out.patterns_.emplace_back(root);
      root = std::string{PathPattern::fixed_folder(root)};
    } else {
      out.plain_.push_back(root);
    }
    if (std::find(out.roots_.begin(), out.roots_.end(), root) ==
        out.roots_.end())
      out.roots_.push_back(std::move(root));
  }
  for (const std::string& pattern : files.exclude) {
    if (pattern.empty())
      return failure(Errc::invalid_argument, "a pattern to exclude is empty");
    // As .gitignore has it: a name is meant anywhere, a path where it is.
    const bool is_name = pattern.find('/') >= pattern.size() - 1;
    out.excluded_.emplace_back(is_name ? "/**/" + pattern
                               : pattern.starts_with("**/")
                                   ? "/" + pattern
                                   : absolute(pattern, current_folder),
                               Wildcards::stand_for_all);
  }
  return out;
}

bool WatchedPaths::counts(const std::string& path, bool is_folder) const {
  const bool is_meant =
      std::any_of(plain_.begin(), plain_.end(),
                  [&](const std::string& root) {
                    const auto rest = rest_below(path, root);
                    return rest && counts_within_folder(*rest, is_folder);
                  }) ||
      (!is_of_editor(name_of(path)) &&
       std::any_of(patterns_.begin(), patterns_.end(),
                   [&](const PathPattern& pattern) {
                     return pattern.matches(path, is_folder);
                   }));
  return is_meant && !is_excluded(path);
}

bool WatchedPaths::may_hold(const std::string& folder) const {
  const bool may =
      std::any_of(plain_.begin(), plain_.end(),
                  [&](const std::string& root) {
                    const auto rest = rest_below(folder, root);
                    return rest && counts_within_folder(*rest, true);
                  }) ||
      std::any_of(patterns_.begin(), patterns_.end(),
                  [&](const PathPattern& pattern) {
                    return pattern.matches_within(folder);
                  });
  return may && !is_excluded(folder);
}

std::string WatchedPaths::shown(std::string_view path) const {
  const auto rest = rest_below(path, current_folder_);
  return std::string{rest && !rest->empty() ? *rest : path};
}

bool WatchedPaths::counts_within_folder(std::string_view rest, bool is_folder) {
  if (rest.empty())
    return true;  // Named as it is, whatever its name.
  if (!is_folder && is_of_editor(name_of(rest)))
    return false;
  while (true) {
    const std::size_t end = rest.find('/');
    const bool is_last = end == std::string_view::npos;
    if ((!is_last || is_folder) && is_rarely_meant(rest.substr(0, end)))
      return false;
    if (is_last)
      return true;
    rest.remove_prefix(end + 1);
  }
}

bool WatchedPaths::is_excluded(const std::string& path) const {
  return std::any_of(
      excluded_.begin(), excluded_.end(),
      [&](const PathPattern& pattern) { return pattern.covers(path); });
}

ChangeTeller::ChangeTeller(Duration quiet)
    : quiet_{std::clamp(quiet, Duration{0}, longest_quiet)} {}

void ChangeTeller::on_noticed(const std::string& path, TimePoint now) {
  if (!pending_)
    pending_ = Pending{path, now, now, {}};
  pending_->last = now;
}

void ChangeTeller::on_changed(const std::string& path, TimePoint now) {
  on_noticed(path, now);
  pending_->unfinished.erase(path);
}

void ChangeTeller::on_created(const std::string& path, TimePoint now) {
  on_noticed(path, now);
  if (pending_->unfinished.size() < most_unfinished)
    pending_->unfinished.insert(path);
}

std::optional<TimePoint> ChangeTeller::due() const {
  if (!pending_)
    return std::nullopt;
  const TimePoint latest = pending_->first + most_quiets * quiet_;
  return pending_->unfinished.empty()
             ? std::min(pending_->last + quiet_, latest)
             : latest;
}

std::optional<std::string> ChangeTeller::take(TimePoint now) {
  const auto when = due();
  if (!when || *when > now)
    return std::nullopt;
  std::string path = std::move(pending_->path);
  pending_.reset();
  return path;
}

}  // namespace troupe::service
