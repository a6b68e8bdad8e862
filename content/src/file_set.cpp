#include "file_bytes.hpp"

#include <troupe/base/text.hpp>
#include <troupe/content/file_set.hpp>
#include <troupe/content/sha256.hpp>
#include <troupe/service/path_pattern.hpp>

#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace troupe::content {
namespace {

namespace fs = std::filesystem;
using service::PathPattern;

/// The files that one pattern names.
class Search {
 public:
  Search(std::string pattern, std::string folder, std::set<std::string>& found)
      : pattern_{std::move(pattern)},
        folder_{std::move(folder)},
        found_{found} {}

  Result<void> run() {
    if (PathPattern::has_wildcard(pattern_))
      return walk(std::string{PathPattern::fixed_folder(pattern_)});
    std::error_code error;
    const std::string whole = path_in(folder_, pattern_);
    if (fs::is_directory(whole, error)) {
      // All that is in it, hidden or not.
      pattern_ += "/**";
      wildcards_ = service::Wildcards::stand_for_all;
      return walk(whole == pattern_ ? pattern_ : without_end(pattern_));
    }
    return fs::is_regular_file(whole, error) ? add(pattern_) : Result<void>{};
  }

 private:
  static std::string without_end(const std::string& pattern) {
    return pattern.substr(0, pattern.size() - 3);
  }

  Result<void> add(std::string path) {
    found_.insert(std::move(path));
    if (found_.size() > most_files)
      return failure(Errc::overloaded,
                     fmt::format("more than {} files", most_files));
    return {};
  }

  /// `start` is as in the pattern; empty for `folder_` itself.
  Result<void> walk(const std::string& start) {
    const PathPattern wanted{pattern_, wildcards_};
    const std::string whole = path_in(folder_, start);
    std::error_code error;
    auto at = fs::recursive_directory_iterator{
        whole, fs::directory_options::skip_permission_denied, error};
    for (; !error && at != fs::recursive_directory_iterator{};
         at.increment(error)) {
      const std::string below =
          at->path().lexically_relative(whole).generic_string();
      const std::string path = start.empty()          ? below
                               : start.ends_with('/') ? start + below
                                                      : start + "/" + below;
      std::error_code gone;
      if (at->is_directory(gone)) {
        if (!wanted.matches_within(path))
          at.disable_recursion_pending();
      } else if (at->is_regular_file(gone) && wanted.matches(path, false)) {
        if (auto added = add(path); !added)
          return added;
      }
    }
    // A folder that is not there has no files.
    if (error && error != std::errc::no_such_file_or_directory &&
        error != std::errc::not_a_directory)
      return tl::unexpected{system_error(
          fmt::format("cannot read {}", printable(whole)), error.value())};
    return {};
  }

  std::string pattern_;
  std::string folder_;
  service::Wildcards wildcards_ = service::Wildcards::skip_rarely_meant;
  std::set<std::string>& found_;
};

}  // namespace

Result<std::vector<std::string>> find_files(
    const std::vector<std::string>& patterns, const std::string& folder) {
  std::set<std::string> files;
  for (const std::string& pattern : patterns) {
    if (pattern.starts_with('!')) {
      const PathPattern unwanted{std::string_view{pattern}.substr(1)};
      std::erase_if(files, [&](const std::string& path) {
        return unwanted.covers(path);
      });
    } else if (auto found = Search{pattern, folder, files}.run(); !found) {
      return tl::unexpected{std::move(found.error())};
    }
  }
  return std::vector<std::string>{files.begin(), files.end()};
}

Result<std::string> hash_files(const std::vector<std::string>& patterns,
                               const std::string& folder) {
  const auto files = find_files(patterns, folder);
  if (!files)
    return tl::unexpected{files.error()};
  if (files->empty())
    return std::string{};
  Sha256 hash;
  for (const std::string& path : *files) {
    hash.add_text(path);
    Sha256 bytes;
    auto read = read_file(path_in(folder, path), [&](std::string_view piece) {
      bytes.add(piece);
      return Result<void>{};
    });
    if (!read)
      return tl::unexpected{std::move(read.error())};
    hash.add(bytes.finish());
  }
  return hash.finish();
}

}  // namespace troupe::content
