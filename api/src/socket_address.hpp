#pragma once

#include <troupe/base/error.hpp>

#include <string>
#include <sys/un.h>

namespace troupe::api {

/// The address of the unix socket at `path`.
///
/// Errors: invalid_argument (empty, with a NUL, longer than 107 bytes).
[[nodiscard]] Result<sockaddr_un> socket_address(const std::string& path);

/// connect(2) without waiting; zero or the errno. EAGAIN: somebody listens and
/// is busy.
[[nodiscard]] int connect_now(int fd, const sockaddr_un& address);

}  // namespace troupe::api
