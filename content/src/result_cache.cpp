#include "file_bytes.hpp"

#include <troupe/base/wall_time.hpp>
#include <troupe/content/result_cache.hpp>
#include <troupe/content/sha256.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace troupe::content {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t entry_prefix_digits = 2;
constexpr mode_t result_entry_mode = 0600;

/// Outputs may be any bytes: they are kept as numbers if they are no text.
Json bytes_to_json(const std::string& bytes) {
  return Json::binary({bytes.begin(), bytes.end()});
}

std::string to_bytes(const CachedResult& result) {
  const Json json{{"made", format_wall_time(result.made)},
                  {"exit_code", result.exit_code},
                  {"standard_output", result.standard_output},
                  {"handed_on", bytes_to_json(result.handed_on)},
                  {"files", to_json(result.files)}};
  std::string bytes;
  Json::to_cbor(json, bytes);
  return bytes;
}

}  // namespace

std::optional<CachedResult> cached_result_from_bytes(const std::string& bytes) {
  try {
    const Json json = Json::from_cbor(bytes);
    auto files = files_from_json(json.at("files").get<std::string>());
    const auto made = parse_wall_time(json.at("made").get<std::string>());
    if (!files || !made)
      return std::nullopt;
    const auto& handed_on = json.at("handed_on").get_binary();
    return CachedResult{
        .made = *made,
        .exit_code = json.at("exit_code").get<int>(),
        .standard_output = json.at("standard_output").get<std::string>(),
        .handed_on = {handed_on.begin(), handed_on.end()},
        .files = std::move(*files)};
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string ResultCache::file_of(const std::string& fingerprint) const {
  return is_sha256(fingerprint) ? path_of(fingerprint) : "";
}

std::string ResultCache::path_of(const std::string& fingerprint) const {
  return fmt::format("{}/results/{}/{}", blobs_.folder(),
                     fingerprint.substr(0, entry_prefix_digits), fingerprint);
}

Result<std::optional<CachedResult>> ResultCache::read(
    const std::string& fingerprint) const {
  std::string bytes;
  auto done = read_file(path_of(fingerprint), [&](std::string_view piece) {
    bytes += piece;
    return Result<void>{};
  });
  if (!done && done.error().code == Errc::not_found)
    return std::optional<CachedResult>{};
  if (!done)
    return tl::unexpected{std::move(done.error())};
  auto result = cached_result_from_bytes(bytes);
  const bool is_complete =
      result && blobs_.has(result->standard_output) &&
      std::all_of(
          result->files.begin(), result->files.end(),
          [&](const StoredFile& file) { return blobs_.has(file.hash); });
  return is_complete ? result : std::nullopt;
}

Result<std::optional<CachedResult>> ResultCache::find(
    const std::string& fingerprint) const {
  auto result = read(fingerprint);
  // The time of the file says when it was used last.
  if (result && *result)
    (void)::utimensat(AT_FDCWD, path_of(fingerprint).c_str(), nullptr, 0);
  return result;
}

std::optional<CachedResult> ResultCache::look_at(
    const std::string& fingerprint) const {
  return read(fingerprint).value_or(std::nullopt);
}

Result<void> ResultCache::save(const BlobStore::Lock&,
                               const std::string& fingerprint,
                               const CachedResult& result) const {
  auto file = NewFile::make(path_of(fingerprint), result_entry_mode);
  if (!file)
    return tl::unexpected{std::move(file.error())};
  if (auto written = file->write(to_bytes(result)); !written)
    return written;
  return file->finish(/*is_synced=*/false);
}

}  // namespace troupe::content
