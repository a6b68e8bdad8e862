#include "watched_files.hpp"

#include <troupe/service/path_pattern.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace troupe::node {
namespace {

namespace fs = std::filesystem;
using service::PathPattern;

std::string absolute(const std::string& path, const std::string& folder) {
  std::string normal = (fs::path{folder} / path).lexically_normal().string();
  while (normal.size() > 1 && normal.ends_with('/'))
    normal.pop_back();
  return normal;
}

/// As for services: a name is meant anywhere, a path where it is.
PathPattern exclusion(const std::string& pattern, const std::string& folder) {
  const bool is_name = pattern.find('/') >= pattern.size() - 1;
  return PathPattern{is_name                      ? "/**/" + pattern
                     : pattern.starts_with("**/") ? "/" + pattern
                                                  : absolute(pattern, folder),
                     service::Wildcards::stand_for_all};
}

class Scan {
 public:
  Scan(const workflow::WatchTrigger& watch, const std::string& folder) {
    for (const std::string& pattern : watch.exclude)
      excluded_.push_back(exclusion(pattern, folder));
    for (const std::string& path : watch.paths)
      look_at(absolute(path, folder));
  }

  Result<FileStamps> take() {
    if (seen_ > most_scanned)
      return failure(Errc::overloaded,
                     fmt::format("\"watch\" means more than {} files and "
                                 "folders",
                                 most_scanned));
    return std::move(files_);
  }

 private:
  void look_at(const std::string& path) {
    const bool is_pattern = PathPattern::has_wildcard(path);
    // A folder stands for all that is in it.
    const PathPattern pattern{is_pattern ? path : path + "/**"};
    if (!is_pattern)
      add(path);
    walk(is_pattern ? std::string{PathPattern::fixed_folder(path)} : path,
         pattern);
  }

  void walk(const std::string& folder, const PathPattern& pattern) {
    std::error_code error;
    fs::directory_iterator it{folder, error};
    for (; !error && it != fs::directory_iterator{}; it.increment(error)) {
      if (++seen_ > most_scanned)
        return;
      const std::string path = it->path().string();
      std::error_code gone;
      const fs::file_status status = it->symlink_status(gone);
      if (fs::is_directory(status)) {
        if (pattern.matches_within(path) && !is_excluded(path))
          walk(path, pattern);
      } else if (pattern.matches(path, /*is_folder=*/false)) {
        add(path);
      }
    }
  }

  void add(const std::string& path) {
    struct stat info {};
    if (is_excluded(path) || ::stat(path.c_str(), &info) != 0 ||
        !S_ISREG(info.st_mode))
      return;
    files_[path] = {WallTime{std::chrono::seconds{info.st_ctim.tv_sec} +
                             std::chrono::nanoseconds{info.st_ctim.tv_nsec}},
                    static_cast<std::uint64_t>(info.st_size), info.st_ino};
  }

  [[nodiscard]] bool is_excluded(const std::string& path) const {
    return std::any_of(
        excluded_.begin(), excluded_.end(),
        [&](const PathPattern& pattern) { return pattern.covers(path); });
  }

  std::vector<PathPattern> excluded_;
  FileStamps files_;
  std::size_t seen_ = 0;
};

}  // namespace

Result<FileStamps> scan_files(const workflow::WatchTrigger& watch,
                              const std::string& folder) {
  return Scan{watch, folder}.take();
}

ChangeCore::ChangeCore(Duration settle, WallTime known_until)
    : settle_{settle}, known_until_{known_until} {}

std::vector<std::string> ChangeCore::on_scan(const FileStamps& files,
                                             WallTime now) {
  std::vector<std::string> told;
  std::erase_if(known_,
                [&](const auto& one) { return !files.contains(one.first); });
  std::erase_if(candidates_,
                [&](const auto& one) { return !files.contains(one.first); });
  for (const auto& [path, stamp] : files) {
    const auto known = known_.find(path);
    if (known != known_.end() ? known->second == stamp
                              : stamp.changed <= known_until_) {
      known_.insert_or_assign(path, stamp);
      candidates_.erase(path);
      continue;
    }
    const auto [found, is_new] =
        candidates_.try_emplace(path, Candidate{stamp, now});
    Candidate& candidate = found->second;
    if (!is_new && candidate.stamp != stamp)
      candidate = {stamp, now};
    if (now - candidate.since < settle_)
      continue;
    told.push_back(path);
    known_.insert_or_assign(path, stamp);
    candidates_.erase(found);
  }
  return told;
}

std::optional<WallTime> ChangeCore::next_scan() const {
  std::optional<WallTime> next;
  for (const auto& [path, candidate] : candidates_) {
    if (!next || candidate.since + settle_ < *next)
      next = candidate.since + settle_;
  }
  return next;
}

WallTime ChangeCore::known_until() const {
  WallTime until = known_until_;
  for (const auto& [path, stamp] : known_)
    until = std::max(until, stamp.changed);
  for (const auto& [path, candidate] : candidates_)
    until = std::min(until, candidate.stamp.changed - WallTime::duration{1});
  return until;
}

}  // namespace troupe::node
