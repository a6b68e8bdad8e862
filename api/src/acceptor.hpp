#pragma once

#include "socket_file.hpp"

#include <troupe/base/owned_fd.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace troupe::api {

/// Takes the clients of a listening socket, from start() until stop(); on the
/// I/O thread. Held by shared pointers, of which what it waits for has one.
///
/// Makes the socket again when its file is gone: programs that clean up remove
/// it as they please, and logging out takes /run/user/UID away.
class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  /// `name` begins its lines in the log, and is a literal.
  Acceptor(boost::asio::io_context& io, SocketFile file, std::string_view name);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  virtual ~Acceptor() = default;

  void start();
  /// Also removes the socket. Nobody is welcomed after that.
  void stop();

 private:
  /// Close-on-exec and non-blocking.
  virtual void welcome(OwnedFd client) = 0;

  void accept();
  void accept_waiting();
  void accept_later(int error);
  void keep_in_place();
  void make_again();
  void close();

  const std::string path_;
  const std::optional<gid_t> group_;
  std::optional<SocketFile> file_;  ///< None if stopped or not to be made.
  boost::asio::posix::stream_descriptor readable_;  ///< Its socket; no owner.
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer next_look_;
  std::string_view name_;
  bool is_short_of_descriptors_ = false;
};

}  // namespace troupe::api
