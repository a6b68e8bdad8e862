#include "file_bytes.hpp"

#include <troupe/base/wall_time.hpp>
#include <troupe/content/artifact_store.hpp>
#include <troupe/content/result_cache.hpp>
#include <troupe/content/sha256.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <system_error>
#include <tuple>
#include <utility>

namespace troupe::content {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr mode_t artifact_entry_mode = 0600;

/// A name of the user's own as that of a file: no two are the same, and none
/// leaves the folder.
std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (is_plain)
      out += c;
    else
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return out.empty() ? "%" : out;
}

std::string folder_of_all(const BlobStore& blobs) {
  return blobs.folder() + "/artifacts";
}

std::string folder_of(const BlobStore& blobs, const std::string& run) {
  return fmt::format("{}/{}", folder_of_all(blobs), file_name(run));
}

std::string folder_of(const BlobStore& blobs, const std::string& run,
                      const std::string& job, const std::string& name) {
  return fmt::format("{}/{}/{}", folder_of(blobs, run), file_name(job),
                     file_name(name));
}

/// The first version has the name of the instance alone.
std::string entry_path(const std::string& folder, const Artifact& artifact) {
  std::string path = fmt::format("{}/{}", folder, file_name(artifact.instance));
  if (artifact.version > 1)
    path += fmt::format(".{}", artifact.version);
  return path;
}

std::string to_bytes(const Artifact& artifact) {
  return Json{{"run", artifact.run},
              {"job", artifact.job},
              {"instance", artifact.instance},
              {"name", artifact.name},
              {"version", artifact.version},
              {"origin", artifact.origin},
              {"made", format_wall_time(artifact.made)},
              {"expires", format_wall_time(artifact.expires)},
              {"files", to_json(artifact.files)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Artifact> read_artifact(const std::string& path) {
  std::string text;
  auto read = read_file(path, [&](std::string_view piece) {
    text += piece;
    return Result<void>{};
  });
  if (!read)
    return tl::unexpected{std::move(read.error())};
  auto artifact = artifact_from_bytes(text);
  if (!artifact)
    return failure(Errc::corrupt,
                   fmt::format("{} is not the entry of an artifact", path));
  return artifact;
}

/// All files below `folder`, which need not be there.
Result<std::vector<std::string>> files_below(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator{folder, error};
       !error && at != fs::recursive_directory_iterator{};
       at.increment(error)) {
    std::error_code gone;
    // Others are about to be finished.
    if (at->is_regular_file(gone) && at->path().extension() != ".new")
      paths.push_back(at->path().string());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return tl::unexpected{
        system_error(fmt::format("cannot read {}", folder), error.value())};
  return paths;
}

std::vector<Artifact> read_all(const std::vector<std::string>& paths) {
  std::vector<Artifact> all;
  for (const std::string& path : paths) {
    if (auto artifact = read_artifact(path))
      all.push_back(std::move(*artifact));
  }
  const auto order = [](const Artifact& one) {
    return std::tie(one.run, one.job, one.name, one.instance, one.version);
  };
  std::sort(all.begin(), all.end(), [&](const Artifact& a, const Artifact& b) {
    return order(a) < order(b);
  });
  return all;
}

WallTime changed_at(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return WallTime{};
  return WallTime{std::chrono::duration_cast<WallTime::duration>(
      std::chrono::seconds{info.st_mtim.tv_sec} +
      std::chrono::nanoseconds{info.st_mtim.tv_nsec})};
}

/// A result as it lies in its folder.
struct OldResult {
  std::string path;
  WallTime used;
  std::vector<std::string> hashes;
  std::uint64_t bytes = 0;
};

}  // namespace

Result<Artifact> artifact_from_bytes(const std::string& bytes) {
  try {
    const Json json = Json::parse(bytes);
    auto files = files_from_json(json.at("files").get<std::string>());
    const auto made = parse_wall_time(json.at("made").get<std::string>());
    const auto expires = parse_wall_time(json.at("expires").get<std::string>());
    if (files && made && expires)
      return Artifact{.run = json.at("run").get<std::string>(),
                      .job = json.at("job").get<std::string>(),
                      .instance = json.at("instance").get<std::string>(),
                      .name = json.at("name").get<std::string>(),
                      .version = json.value("version", std::uint32_t{1}),
                      .origin = json.value("origin", ""),
                      .made = *made,
                      .expires = *expires,
                      .files = std::move(*files)};
  } catch (const Json::exception&) {
    // Told below.
  }
  return failure(Errc::corrupt, "this is not the entry of an artifact");
}

Result<std::uint32_t> ArtifactStore::save(const BlobStore::Lock& lock,
                                          Artifact artifact) const {
  const std::string folder =
      folder_of(blobs_, artifact.run, artifact.job, artifact.name);
  // Those before it are never removed while anybody adds.
  artifact.version = 1;
  std::error_code error;
  while (fs::exists(entry_path(folder, artifact), error))
    ++artifact.version;
  if (auto saved = save_as(lock, artifact); !saved)
    return tl::unexpected{std::move(saved.error())};
  return artifact.version;
}

Result<void> ArtifactStore::save_as(const BlobStore::Lock&,
                                    const Artifact& artifact) const {
  const std::string folder =
      folder_of(blobs_, artifact.run, artifact.job, artifact.name);
  auto file = NewFile::make(entry_path(folder, artifact), artifact_entry_mode);
  if (!file)
    return tl::unexpected{std::move(file.error())};
  if (auto written = file->write(to_bytes(artifact)); !written)
    return written;
  return file->finish(/*is_synced=*/true);
}

std::vector<std::string> ArtifactStore::entry_files(
    const std::string& run, const std::string& job,
    const std::string& name) const {
  return files_below(folder_of(blobs_, run, job, name))
      .value_or(std::vector<std::string>{});
}

Result<std::vector<Artifact>> ArtifactStore::find(
    const std::string& run, const std::string& job, const std::string& name,
    std::optional<std::uint32_t> version) const {
  const auto paths = files_below(folder_of(blobs_, run, job, name));
  if (!paths)
    return tl::unexpected{paths.error()};
  std::map<std::string, Artifact> newest;  // By instance.
  for (const std::string& path : *paths) {
    auto artifact = read_artifact(path);
    if (!artifact)
      return tl::unexpected{std::move(artifact.error())};
    if (version && artifact->version != *version)
      continue;
    const auto [known, is_new] = newest.try_emplace(artifact->instance);
    if (is_new || known->second.version < artifact->version)
      known->second = std::move(*artifact);
  }
  if (newest.empty())
    return failure(Errc::not_found,
                   fmt::format("run {} has no artifact {}.{}{}", run, job, name,
                               version && !paths->empty()
                                   ? fmt::format(" of version {}", *version)
                                   : ""));
  std::vector<Artifact> found;
  found.reserve(newest.size());
  for (auto& [instance, artifact] : newest)
    found.push_back(std::move(artifact));
  return found;
}

Result<std::vector<Artifact>> ArtifactStore::all(const std::string& run) const {
  const auto paths =
      files_below(run.empty() ? folder_of_all(blobs_) : folder_of(blobs_, run));
  if (!paths)
    return tl::unexpected{paths.error()};
  return read_all(*paths);
}

std::vector<std::string> ArtifactStore::runs() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it{folder_of_all(blobs_), error}, end;
       !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (file_name(name) == name)
      names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> ArtifactStore::remove(const std::string& run) const {
  std::error_code error;
  fs::remove_all(folder_of(blobs_, run), error);
  if (error)
    return tl::unexpected{
        system_error(fmt::format("cannot remove the artifacts of run {}", run),
                     error.value())};
  return {};
}

namespace {

/// Removes the artifacts that have expired; adds what the others name.
Result<std::size_t> remove_artifacts(const BlobStore& blobs, WallTime now,
                                     std::set<std::string>& named) {
  const auto paths = files_below(folder_of_all(blobs));
  if (!paths)
    return tl::unexpected{paths.error()};
  std::size_t removed = 0;
  for (const std::string& path : *paths) {
    const auto artifact = read_artifact(path);
    if (artifact && artifact->expires > now) {
      for (const StoredFile& file : artifact->files)
        named.insert(file.hash);
      continue;
    }
    std::error_code gone;
    removed += fs::remove(path, gone) ? 1U : 0U;
  }
  return removed;
}

/// The same for results, the oldest first.
Result<std::size_t> remove_results(const BlobStore& blobs,
                                   const ContentLimits& limits, WallTime now,
                                   std::set<std::string>& named) {
  const auto paths = files_below(blobs.folder() + "/results");
  if (!paths)
    return tl::unexpected{paths.error()};
  const ResultCache cache{blobs};
  std::vector<OldResult> results;
  std::size_t removed = 0;
  for (const std::string& path : *paths) {
    const auto result = cache.look_at(fs::path{path}.filename().string());
    if (!result) {
      std::error_code gone;
      removed += fs::remove(path, gone) ? 1U : 0U;
      continue;
    }
    OldResult old{.path = path,
                  .used = changed_at(path),
                  .hashes = {result->standard_output}};
    for (const StoredFile& file : result->files) {
      old.hashes.push_back(file.hash);
      old.bytes += file.bytes;
    }
    results.push_back(std::move(old));
  }
  std::sort(
      results.begin(), results.end(),
      [](const OldResult& a, const OldResult& b) { return a.used > b.used; });
  std::uint64_t bytes = 0;
  for (const OldResult& old : results) {
    bytes += old.bytes;
    std::error_code gone;
    if (old.used < now - limits.unused || bytes > limits.result_bytes) {
      removed += fs::remove(old.path, gone) ? 1U : 0U;
      continue;
    }
    named.insert(old.hashes.begin(), old.hashes.end());
  }
  return removed;
}

}  // namespace

Result<Removed> remove_old_content(const BlobStore& blobs,
                                   const ContentLimits& limits, WallTime now) {
  auto lock = blobs.lock_to_remove();
  if (!lock)
    return tl::unexpected{std::move(lock.error())};
  if (!*lock)
    return Removed{};
  std::set<std::string> named;
  const auto artifacts = remove_artifacts(blobs, now, named);
  if (!artifacts)
    return tl::unexpected{artifacts.error()};
  const auto results = remove_results(blobs, limits, now, named);
  if (!results)
    return tl::unexpected{results.error()};
  const auto bytes = blobs.remove_all_but(**lock, named);
  if (!bytes)
    return tl::unexpected{bytes.error()};
  return Removed{*results, *artifacts, *bytes};
}

}  // namespace troupe::content
