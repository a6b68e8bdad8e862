#include "systemd.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace troupe::node {

void notify_service_manager(std::string_view what) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@'))
    return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path)
    return;
  std::memcpy(address.sun_path, path, length);
  // An abstract name begins with a zero.
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  const OwnedFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket.is_open())
    return;
  (void)::sendto(
      socket.get(), what.data(), what.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
      reinterpret_cast<const sockaddr*>(&address),
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

std::optional<Duration> watchdog_interval() {
  const char* const text = std::getenv("WATCHDOG_USEC");
  const auto us = text != nullptr ? parse_count(text) : 0;
  if (!us || *us == 0)
    return std::nullopt;
  if (const char* const pid = std::getenv("WATCHDOG_PID")) {
    const auto whose = parse_count(pid);
    if (whose && *whose != static_cast<std::uint64_t>(::getpid()))
      return std::nullopt;
  }
  return std::max<Duration>(std::chrono::microseconds{*us} / 2, 1ms);
}

}  // namespace troupe::node
