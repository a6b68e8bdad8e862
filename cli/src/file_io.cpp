#include "file_io.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace troupe::cli {

bool write_fully(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

Result<std::string> read_to_end(int fd, std::size_t most) {
  std::string out;
  std::array<char, 64 << 10> buffer;
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return tl::unexpected{system_error("cannot read", errno)};
    if (got == 0)
      return out;
    if (out.size() + static_cast<std::size_t>(got) > most)
      return failure(Errc::overloaded,
                     fmt::format("more than {}", format_size(most)));
    out.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

Result<std::string> read_whole_file(const std::string& path) {
  constexpr std::size_t most = 1 << 20;
  const OwnedFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file.is_open())
    return tl::unexpected{system_error(path, errno)};
  return read_to_end(file.get(), most);
}

Result<void> replace_file(const std::string& path, std::string_view text) {
  const std::string draft = path + ".new";
  const OwnedFd file{
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (!file.is_open() || !write_fully(file.get(), text) ||
      std::rename(draft.c_str(), path.c_str()) != 0)
    return tl::unexpected{
        system_error(fmt::format("cannot write {}", path), errno)};
  return {};
}

}  // namespace troupe::cli
