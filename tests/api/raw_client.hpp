#pragma once

#include "socket_address.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/base/time.hpp>

#include <array>
#include <gtest/gtest.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace troupe::api {

/// Nothing here may take longer; a test that does has failed.
inline constexpr Duration deadline = 20s;

/// A client that does what no client of ours would do.
class RawClient {
 public:
  explicit RawClient(const std::string& path)
      : fd_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    EXPECT_EQ(connect_now(fd_.get(), socket_address(path).value()), 0);
  }

  /// Whether the server took all of it.
  bool send(std::string_view bytes) const {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  void end_writing() const { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }

  /// What comes within one read of at most `size` bytes; empty at the end.
  std::string read(std::size_t size = 64 << 10) const {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, static_cast<int>(deadline / 1ms)) != 1) {
      ADD_FAILURE() << "nothing came before the deadline";
      return {};
    }
    std::string bytes(size, '\0');
    const ssize_t got = ::recv(fd_.get(), bytes.data(), size, 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  /// What comes within `limit`; empty if nothing does.
  std::string read_within(Duration limit) const {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ready, 1, static_cast<int>(limit / 1ms)) == 1
               ? read()
               : std::string{};
  }
  std::string read_line() const {
    std::string line;
    do {
      const std::string byte = read(1);
      if (byte.empty())
        break;
      line += byte;
    } while (line.back() != '\n');
    return line;
  }
  std::string read_lines(int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i)
      lines += read_line();
    return lines;
  }
  std::string read_to_end() const {
    std::string all;
    for (std::string piece = read(); !piece.empty(); piece = read())
      all += piece;
    return all;
  }

 private:
  OwnedFd fd_;
};

}  // namespace troupe::api
