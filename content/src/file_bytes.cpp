#include "file_bytes.hpp"

#include <troupe/base/random_name.hpp>
#include <troupe/base/text.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace troupe::content {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t piece_bytes = 128 << 10;

tl::unexpected<Error> cannot(std::string_view what, const std::string& path) {
  return tl::unexpected{
      system_error(fmt::format("cannot {} {}", what, printable(path)), errno)};
}

/// So that a name in it survives a power cut.
Result<void> sync_folder_of(const std::string& path) {
  const std::string folder = fs::path{path}.parent_path().string();
  const OwnedFd fd{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd.is_open() || ::fsync(fd.get()) != 0)
    return cannot("sync", folder);
  return {};
}

}  // namespace

std::string path_in(const std::string& folder, const std::string& path) {
  if (path.starts_with('/') || folder.empty())
    return path.empty() ? "." : path;
  return path.empty() ? folder : folder + "/" + path;
}

Result<OwnedFd> open_file(const std::string& path) {
  // Else a pipe would be waited for.
  OwnedFd fd{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  struct stat info {};
  if (!fd.is_open() || ::fstat(fd.get(), &info) != 0)
    return cannot("read", path);
  if (!S_ISREG(info.st_mode))
    return failure(Errc::invalid_argument,
                   fmt::format("{} is not a file", printable(path)));
  return fd;
}

Result<void> read_file(int fd, const std::string& path, const Piece& use) {
  std::string buffer(piece_bytes, '\0');
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return cannot("read", path);
    if (got == 0)
      return {};
    if (auto used =
            use(std::string_view{buffer}.substr(0, static_cast<size_t>(got)));
        !used)
      return used;
  }
}

Result<void> read_file(const std::string& path, const Piece& use) {
  auto fd = open_file(path);
  if (!fd)
    return tl::unexpected{std::move(fd.error())};
  return read_file(fd->get(), path, use);
}

Result<NewFile> NewFile::make(std::string path, mode_t mode) {
  std::error_code error;
  fs::create_directories(fs::path{path}.parent_path(), error);
  NewFile file;
  file.path_ = std::move(path);
  file.temporary_ = fmt::format("{}.{}.new", file.path_, random_name(2));
  file.fd_.reset(::open(file.temporary_.c_str(),
                        O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                        mode));
  if (!file.fd_.is_open()) {
    const std::string temporary = std::exchange(file.temporary_, {});
    return cannot("make", temporary);
  }
  return file;
}

NewFile::NewFile(NewFile&& other) noexcept
    : fd_{std::move(other.fd_)},
      path_{std::move(other.path_)},
      temporary_{std::exchange(other.temporary_, {})} {}

NewFile::~NewFile() {
  if (!temporary_.empty())
    ::unlink(temporary_.c_str());
}

Result<void> NewFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::write(fd_.get(), bytes.data(), bytes.size());
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent < 0)
      return cannot("write", temporary_);
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<void> NewFile::finish(bool is_synced) {
  return finish_as(path_, is_synced);
}

Result<void> NewFile::finish_as(const std::string& path, bool is_synced) {
  if (is_synced && ::fsync(fd_.get()) != 0)
    return cannot("sync", temporary_);
  if (::rename(temporary_.c_str(), path.c_str()) != 0)
    return cannot("make", path);
  temporary_.clear();
  return is_synced ? sync_folder_of(path) : Result<void>{};
}

}  // namespace troupe::content
