#include "file_bytes.hpp"

#include <troupe/base/random_name.hpp>
#include <troupe/base/text.hpp>
#include <troupe/content/blob_store.hpp>
#include <troupe/content/sha256.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace troupe::content {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t blob_prefix_digits = 2;
constexpr std::size_t name_words = 3;
constexpr mode_t folder_mode = 0700;
constexpr mode_t blob_mode = 0400;
constexpr mode_t kept_mode = 0777;

tl::unexpected<Error> damaged(std::string_view what) {
  return failure(Errc::corrupt,
                 fmt::format("{} is not what was kept", printable(what)));
}

/// Errors: invalid_argument.
Result<void> check_path(const std::string& path) {
  const fs::path parts{path};
  const bool leaves =
      path.empty() || parts.is_absolute() ||
      std::find(parts.begin(), parts.end(), "..") != parts.end();
  return leaves ? failure(Errc::invalid_argument,
                          fmt::format("{} is not below the working directory",
                                      printable(path)))
                : Result<void>{};
}

Result<OwnedFd> open_lock(const std::string& folder) {
  const std::string path = folder + "/lock";
  OwnedFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!fd.is_open())
    return tl::unexpected{
        system_error(fmt::format("cannot open {}", printable(path)), errno)};
  return fd;
}

/// Whether the file at `path` has these bytes already.
bool is_same(const std::string& path, const StoredFile& file) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<std::uint64_t>(info.st_size) != file.bytes ||
      (info.st_mode & kept_mode) != file.mode)
    return false;
  Sha256 hash;
  const auto read = read_file(path, [&](std::string_view piece) {
    hash.add(piece);
    return Result<void>{};
  });
  return read && hash.finish() == file.hash;
}

}  // namespace

std::string to_json(const std::vector<StoredFile>& files) {
  Json json = Json::array();
  for (const StoredFile& file : files)
    json.push_back({{"path", file.path},
                    {"hash", file.hash},
                    {"bytes", file.bytes},
                    {"mode", file.mode}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<StoredFile>> files_from_json(std::string_view text) {
  try {
    std::vector<StoredFile> files;
    for (const Json& item : Json::parse(text)) {
      StoredFile file{.path = item.at("path").get<std::string>(),
                      .hash = item.at("hash").get<std::string>(),
                      .bytes = item.at("bytes").get<std::uint64_t>(),
                      .mode = item.at("mode").get<unsigned>() & kept_mode};
      if (!is_sha256(file.hash) || !check_path(file.path))
        return failure(Errc::corrupt,
                       "a list of files that nobody has written");
      files.push_back(std::move(file));
    }
    return files;
  } catch (const Json::exception& error) {
    return failure(Errc::corrupt, error.what());
  }
}

Result<BlobStore> BlobStore::open(std::string folder) {
  std::error_code error;
  fs::create_directories(fs::path{folder}.parent_path(), error);
  for (const std::string& path : {folder, folder + "/blobs"}) {
    if (::mkdir(path.c_str(), folder_mode) != 0 && errno != EEXIST)
      return tl::unexpected{
          system_error(fmt::format("cannot make {}", printable(path)), errno)};
  }
  return BlobStore{std::move(folder)};
}

Result<BlobStore::Lock> BlobStore::lock_to_add() const {
  auto fd = open_lock(folder_);
  if (!fd)
    return tl::unexpected{std::move(fd.error())};
  while (::flock(fd->get(), LOCK_SH) != 0) {
    if (errno != EINTR)
      return tl::unexpected{system_error(
          fmt::format("cannot lock {}", printable(folder_)), errno)};
  }
  return Lock{std::move(*fd)};
}

Result<std::optional<BlobStore::Lock>> BlobStore::lock_to_remove() const {
  auto fd = open_lock(folder_);
  if (!fd)
    return tl::unexpected{std::move(fd.error())};
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) == 0)
    return std::optional{Lock{std::move(*fd)}};
  if (errno == EWOULDBLOCK)
    return std::optional<Lock>{};
  return tl::unexpected{
      system_error(fmt::format("cannot lock {}", printable(folder_)), errno)};
}

std::string BlobStore::path_of(std::string_view hash) const {
  return fmt::format("{}/blobs/{}/{}", folder_,
                     hash.substr(0, blob_prefix_digits), hash);
}

std::string BlobStore::file_of(std::string_view hash) const {
  return is_sha256(hash) ? path_of(hash) : "";
}

bool BlobStore::has(std::string_view hash) const {
  return is_sha256(hash) && ::access(path_of(hash).c_str(), R_OK) == 0;
}

Result<StoredFile> BlobStore::keep_file(const std::string& path,
                                        const std::string& folder,
                                        Sync sync) const {
  if (auto checked = check_path(path); !checked)
    return tl::unexpected{std::move(checked.error())};
  const std::string whole = path_in(folder, path);
  const auto fd = open_file(whole);
  if (!fd)
    return tl::unexpected{fd.error()};
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0)
    return tl::unexpected{system_error(
        fmt::format("cannot look at {}", printable(whole)), errno)};
  auto copy = NewFile::make(
      fmt::format("{}/blobs/{}", folder_, random_name(name_words)), blob_mode);
  if (!copy)
    return tl::unexpected{std::move(copy.error())};
  StoredFile file{.path = path, .hash = {}, .mode = info.st_mode & kept_mode};
  Sha256 hash;
  auto read = read_file(fd->get(), whole, [&](std::string_view piece) {
    hash.add(piece);
    file.bytes += piece.size();
    return copy->write(piece);
  });
  if (!read)
    return tl::unexpected{std::move(read.error())};
  file.hash = hash.finish();
  if (has(file.hash))
    return file;
  const std::string place = path_of(file.hash);
  std::error_code error;
  fs::create_directory(fs::path{place}.parent_path(), error);
  if (auto kept = copy->finish_as(place, sync == Sync::yes); !kept)
    return tl::unexpected{std::move(kept.error())};
  return file;
}

Result<void> BlobStore::receive(const Lock&, const std::string& hash,
                                const Source& source) const {
  if (!is_sha256(hash))
    return failure(Errc::corrupt,
                   fmt::format("{} is no hash", printable(hash)));
  if (has(hash))
    return {};
  auto copy = NewFile::make(path_of(hash), blob_mode);
  if (!copy)
    return tl::unexpected{std::move(copy.error())};
  Sha256 seen;
  auto received = source([&](std::string_view piece) {
    seen.add(piece);
    return copy->write(piece);
  });
  if (!received)
    return received;
  if (seen.finish() != hash)
    return damaged(hash);
  // Whoever sent it has it, too, should a power cut damage ours.
  return copy->finish(/*is_synced=*/false);
}

Result<std::vector<StoredFile>> BlobStore::keep(
    const Lock&, const std::vector<std::string>& paths,
    const std::string& folder, Sync sync) const {
  std::vector<StoredFile> files;
  for (const std::string& path : paths) {
    auto file = keep_file(path, folder, sync);
    if (!file)
      return tl::unexpected{std::move(file.error())};
    files.push_back(std::move(*file));
  }
  return files;
}

Result<std::string> BlobStore::keep(const Lock&, std::string_view bytes,
                                    Sync sync) const {
  std::string hash = sha256_of(bytes);
  if (has(hash))
    return hash;
  auto copy = NewFile::make(path_of(hash), blob_mode);
  if (!copy)
    return tl::unexpected{std::move(copy.error())};
  auto done = copy->write(bytes);
  if (done)
    done = copy->finish(sync == Sync::yes);
  if (!done)
    return tl::unexpected{std::move(done.error())};
  return hash;
}

Result<std::string> BlobStore::read(const std::string& hash) const {
  std::string bytes;
  auto done = read_file(path_of(hash), [&](std::string_view piece) {
    bytes += piece;
    return Result<void>{};
  });
  if (!done)
    return tl::unexpected{std::move(done.error())};
  if (sha256_of(bytes) != hash) {
    ::unlink(path_of(hash).c_str());
    return damaged(hash);
  }
  return bytes;
}

Result<void> BlobStore::restore_file(const StoredFile& file,
                                     const std::string& folder) const {
  if (auto checked = check_path(file.path); !checked)
    return checked;
  const std::string place = path_in(folder, file.path);
  if (is_same(place, file))
    return {};
  auto made = NewFile::make(place, file.mode);
  if (!made)
    return tl::unexpected{std::move(made.error())};
  Sha256 hash;
  auto copied = read_file(path_of(file.hash), [&](std::string_view piece) {
    hash.add(piece);
    return made->write(piece);
  });
  if (!copied)
    return copied;
  if (hash.finish() != file.hash) {
    ::unlink(path_of(file.hash).c_str());
    return damaged(file.path);
  }
  return made->finish(/*is_synced=*/false);
}

Result<void> BlobStore::restore(const std::vector<StoredFile>& files,
                                const std::string& folder) const {
  for (const StoredFile& file : files) {
    if (auto made = restore_file(file, folder); !made)
      return made;
  }
  return {};
}

Result<std::uint64_t> BlobStore::remove_all_but(
    const Lock&, const std::set<std::string>& named) const {
  std::uint64_t bytes = 0;
  std::error_code error;
  // What is in `blobs` itself was not finished.
  for (auto at = fs::recursive_directory_iterator{folder_ + "/blobs", error};
       !error && at != fs::recursive_directory_iterator{};
       at.increment(error)) {
    std::error_code gone;
    if (!at->is_regular_file(gone) ||
        named.contains(at->path().filename().string()))
      continue;
    const auto size = at->file_size(gone);
    if (!gone && ::unlink(at->path().c_str()) == 0)
      bytes += size;
  }
  if (error)
    return tl::unexpected{system_error(
        fmt::format("cannot read {}", printable(folder_)), error.value())};
  return bytes;
}

}  // namespace troupe::content
