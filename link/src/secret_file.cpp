#include "secret_file.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/random_name.hpp>
#include <troupe/base/text.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace troupe::link {
namespace {

constexpr Duration lock_pause = 20ms;

tl::unexpected<Error> cannot(std::string_view what, const std::string& path,
                             int error = errno) {
  return tl::unexpected(
      system_error(fmt::format("cannot {} {}", what, printable(path)), error));
}

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t sent = ::write(fd, text.data(), text.size());
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent < 0)
      return cannot("write", path);
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<void> sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path{path}.parent_path().string();
  const OwnedFd names{
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!names.is_open() || ::fsync(names.get()) != 0)
    return cannot("sync", folder);
  return {};
}

}  // namespace

Result<void> make_secret_folder(const std::string& path) {
  std::error_code error;
  const std::filesystem::path folder{path};
  if (folder.has_parent_path())
    std::filesystem::create_directories(folder.parent_path(), error);
  if (error)
    return cannot("make", folder.parent_path().string(), error.value());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return cannot("make", path);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return cannot("look at", path);
  if (!S_ISDIR(info.st_mode))
    return cannot("use", path, ENOTDIR);
  if (info.st_uid != ::geteuid())
    return failure(Errc::permission_denied,
                   fmt::format("{} belongs to another user", printable(path)));
  if (::chmod(path.c_str(), 0700) != 0)
    return cannot("change", path);
  return {};
}

Result<std::string> read_secret_file(const std::string& path,
                                     std::size_t most) {
  const OwnedFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)};
  if (!file.is_open())
    return cannot("read", path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return cannot("look at", path);
  if (info.st_uid != ::geteuid() && info.st_uid != 0)
    return failure(Errc::permission_denied,
                   fmt::format("{} belongs to another user", printable(path)));
  if ((info.st_mode & 077U) != 0)
    return failure(Errc::permission_denied,
                   fmt::format("others can read or change {}; run: chmod 600 "
                               "{}",
                               printable(path), shell_quote(path)));
  std::string text;
  std::array<char, 16 << 10> buffer;
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return cannot("read", path);
    if (got == 0)
      return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > most)
      return failure(Errc::overloaded,
                     fmt::format("{} has more than {}", printable(path),
                                 format_size(most)));
  }
}

Result<void> write_secret_file(const std::string& path, std::string_view text) {
  const std::string draft = fmt::format("{}.{}.new", path, random_name(2));
  OwnedFd file{::open(draft.c_str(),
                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                      0600)};
  if (!file.is_open())
    return cannot("make", draft);
  Result<void> done = write_all(file.get(), text, draft);
  if (done && ::fsync(file.get()) != 0)
    done = cannot("sync", draft);
  if (done && ::rename(draft.c_str(), path.c_str()) != 0)
    done = cannot("make", path);
  if (!done) {
    ::unlink(draft.c_str());
    return done;
  }
  return sync_folder_of(path);
}

Result<OwnedFd> lock_secret_folder(const std::string& folder, Duration within) {
  const std::string path = folder + "/lock";
  OwnedFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!file.is_open())
    return cannot("open", path);
  const TimePoint until = std::chrono::steady_clock::now() + within;
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return cannot("lock", path);
    if (std::chrono::steady_clock::now() >= until)
      return failure(
          Errc::timed_out,
          fmt::format("another troupe cluster uses {}", printable(folder)));
    std::this_thread::sleep_for(lock_pause);
  }
  return file;
}

}  // namespace troupe::link
