#include "socket_address.hpp"

#include <troupe/base/text.hpp>

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>

namespace troupe::api {

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  constexpr std::size_t most_bytes = sizeof address.sun_path - 1;
  if (path.empty() || path.find('\0') != std::string::npos)
    return failure(
        Errc::invalid_argument,
        fmt::format("not the path of a socket: \"{}\"", printable(path)));
  if (path.size() > most_bytes)
    return failure(Errc::invalid_argument,
                   fmt::format("the path of a socket can have {} bytes, and "
                               "this one has {}; choose a shorter one: {}",
                               most_bytes, path.size(), path));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int connect_now(int fd, const sockaddr_un& address) {
  const auto* const any = reinterpret_cast<const sockaddr*>(&address);
  while (::connect(fd, any, sizeof address) != 0) {
    if (errno != EINTR)
      return errno;
  }
  return 0;
}

}  // namespace troupe::api
