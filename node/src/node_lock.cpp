#include "node_lock.hpp"

#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace troupe::node {
namespace {

std::string read_pid(int fd) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size() - 1, 0);
  std::string pid{text.data(),
                  static_cast<std::size_t>(std::max<ssize_t>(0, size))};
  pid.erase(pid.find_last_not_of('\n') + 1);
  return pid;
}

}  // namespace

Result<OwnedFd> lock_folder(const std::string& folder) {
  const std::string path = folder + "/node.lock";
  OwnedFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!file.is_open())
    return tl::unexpected(
        system_error(fmt::format("cannot open {}", path), errno));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return tl::unexpected(
          system_error(fmt::format("cannot lock {}", path), errno));
    return failure(Errc::already_exists,
                   fmt::format("a node runs in {} (pid {})", folder,
                               read_pid(file.get())));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), pid.data(), pid.size(), 0) !=
          static_cast<ssize_t>(pid.size()))
    return tl::unexpected(
        system_error(fmt::format("cannot write {}", path), errno));
  return file;
}

}  // namespace troupe::node
