#include "socket_file.hpp"

#include "socket_address.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::api {
namespace {

constexpr mode_t folder_mode = 0700;
constexpr mode_t group_folder_mode = 0710;
constexpr mode_t socket_mode = 0600;
constexpr mode_t group_socket_mode = 0660;
constexpr mode_t written_by_others = 0022;
constexpr int waiting_connections = 128;
/// Each try that fails has seen another server end.
constexpr int most_lock_tries = 100;

tl::unexpected<Error> cannot(std::string_view what, const std::string& path,
                             int error) {
  return tl::unexpected{
      system_error(fmt::format("cannot {} {}", what, path), error)};
}

/// Opens to a group what is ours; it is never open to others in between.
Result<void> give_to_group(const std::string& path, gid_t group, mode_t mode) {
  constexpr auto same_user = static_cast<uid_t>(-1);
  if (::lchown(path.c_str(), same_user, group) != 0)
    return cannot(fmt::format("give group {}", group), path, errno);
  if (::chmod(path.c_str(), mode) != 0)
    return cannot("open to its group", path, errno);
  return {};
}

Result<void> prepare_folder(const std::string& path,
                            std::optional<gid_t> group) {
  std::string folder = std::filesystem::path{path}.parent_path().string();
  if (folder.empty())
    folder = ".";
  if (::mkdir(folder.c_str(), folder_mode) != 0) {
    if (errno != EEXIST)
      return cannot("make", folder, errno);
  } else if (group) {
    if (auto given = give_to_group(folder, *group, group_folder_mode); !given)
      return given;
  }
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0)
    return cannot("look at", folder, errno);
  if (!S_ISDIR(info.st_mode))
    return failure(Errc::invalid_argument,
                   fmt::format("{} is not a folder", folder));
  const bool is_ours = info.st_uid == ::geteuid() || info.st_uid == 0;
  if (!is_ours || (info.st_mode & written_by_others) != 0)
    return failure(Errc::permission_denied,
                   fmt::format("others may write to {}; choose a folder of "
                               "your own for the socket",
                               folder));
  return {};
}

std::string in_use(const std::string& path, std::string_view process) {
  return fmt::format("a server listens on {} already: process {}", path,
                     process.empty() ? "unknown" : process);
}

/// The process id that the owner of a lock has written into it.
std::string owner_of(int lock) {
  std::array<char, 24> text{};
  const ssize_t size = ::pread(lock, text.data(), text.size(), 0);
  std::string_view digits{text.data(),
                          size > 0 ? static_cast<std::size_t>(size) : 0};
  return std::string{digits.substr(0, digits.find('\n'))};
}

bool is_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

Result<OwnedFd> lock(const std::string& socket_path) {
  const std::string path = socket_path + ".lock";
  for (int i = 0; i < most_lock_tries; ++i) {
    OwnedFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                      socket_mode)};
    if (!fd.is_open())
      return cannot("open", path, errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        return failure(Errc::already_exists,
                       in_use(socket_path, owner_of(fd.get())));
      return cannot("lock", path, errno);
    }
    // Its owner may have removed the file after we had opened it; another
    // server may have a new one.
    if (!is_at(fd.get(), path))
      continue;
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) {
      const int error = errno;
      ::unlink(path.c_str());
      return cannot("write", path, error);
    }
    return fd;
  }
  return failure(Errc::unavailable,
                 fmt::format("cannot lock {}: others come and go", path));
}

Result<OwnedFd> new_socket() {
  OwnedFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.is_open())
    return tl::unexpected{system_error("cannot make a socket", errno)};
  return fd;
}

/// Removes the socket of a dead server. We have the lock, so whoever listens
/// here is no server of ours.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? Result<void>{} : cannot("look at", path, errno);
  if (!S_ISSOCK(info.st_mode))
    return failure(Errc::already_exists,
                   fmt::format("{} is there and is not a socket", path));
  const auto probe = new_socket();
  if (!probe)
    return tl::unexpected{probe.error()};
  const int error = connect_now(probe->get(), address);
  if (error == ENOENT)
    return {};
  if (error != ECONNREFUSED) {
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool is_known =
        error == 0 &&
        ::getsockopt(probe->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    return failure(Errc::already_exists,
                   in_use(path, is_known ? std::to_string(peer.pid) : ""));
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return cannot("remove", path, errno);
  return {};
}

}  // namespace

Result<SocketFile> SocketFile::open(const std::string& path,
                                    std::optional<gid_t> group) {
  const auto address = socket_address(path);
  if (!address)
    return tl::unexpected{address.error()};
  if (auto ready = prepare_folder(path, group); !ready)
    return tl::unexpected{std::move(ready.error())};
  auto locked = lock(path);
  if (!locked)
    return tl::unexpected{std::move(locked.error())};

  SocketFile file;
  file.lock_ = std::move(*locked);
  file.path_ = path;
  file.group_ = group;
  if (auto removed = remove_stale(path, *address); !removed)
    return tl::unexpected{std::move(removed.error())};
  auto socket = new_socket();
  if (!socket)
    return tl::unexpected{std::move(socket.error())};
  // The mode of a socket before bind() is that of its file, less the umask: at
  // no moment may others connect.
  if (::fchmod(socket->get(), socket_mode) != 0)
    return cannot("protect", path, errno);
  const auto* const any = reinterpret_cast<const sockaddr*>(&*address);
  if (::bind(socket->get(), any, sizeof *address) != 0)
    return cannot("make", path, errno);
  file.socket_ = std::move(*socket);
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    file.device_ = info.st_dev;
    file.inode_ = info.st_ino;
  }
  if (group) {
    if (auto given = give_to_group(path, *group, group_socket_mode); !given)
      return tl::unexpected{std::move(given.error())};
  }
  if (::listen(file.socket(), waiting_connections) != 0)
    return cannot("listen on", path, errno);
  return file;
}

bool SocketFile::is_in_place() const {
  struct stat info {};
  return ::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ &&
         info.st_ino == inode_;
}

SocketFile::~SocketFile() {
  if (!lock_.is_open())
    return;
  if (socket_.is_open() && is_in_place())
    ::unlink(path_.c_str());
  const std::string lock_path = path_ + ".lock";
  if (is_at(lock_.get(), lock_path))
    ::unlink(lock_path.c_str());
}

}  // namespace troupe::api
