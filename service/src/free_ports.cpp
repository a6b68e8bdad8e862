#include <troupe/service/free_ports.hpp>

#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>
#include <utility>

namespace troupe::service {
namespace {

struct BoundPort {
  OwnedFd socket;  ///< While it is open, nobody else gets the port.
  std::uint16_t number = 0;
};

Result<BoundPort> bind_free_port() {
  OwnedFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!socket.is_open() || ::bind(socket.get(), generic, length) != 0 ||
      ::getsockname(socket.get(), generic, &length) != 0)
    return tl::unexpected{system_error("no port is free", errno)};
  return BoundPort{std::move(socket), ntohs(address.sin_port)};
}

}  // namespace

Result<std::uint16_t> FreePorts::port_of(const std::string& name) {
  if (const auto known = ports_.find(name); known != ports_.end())
    return known->second;
  auto port = bind_free_port();
  if (!port)
    return tl::unexpected{std::move(port.error())};
  held_.push_back(std::move(port->socket));
  ports_[name] = port->number;
  return port->number;
}

}  // namespace troupe::service
