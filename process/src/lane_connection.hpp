#pragma once

/// What a lane of the warden has of a runner: one socket, the frames that come
/// from it and those that wait to go out. It belongs to one thread.
#include "wire.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <memory>
#include <string>

namespace troupe::process {

class LaneConnection;

/// Who is told what happens on a connection.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  /// May take what it needs out of `frame`.
  virtual void on_frame(wire::Frame& frame) = 0;
  /// Less than `low_mark_bytes` wait to be sent.
  virtual void on_room() = 0;
  /// The runner has closed it or broken the protocol. Not called by close().
  virtual void on_connection_lost(const LaneConnection& connection) = 0;
};

/// Kept alive by its pending handlers and by the lane that uses it.
class LaneConnection : public std::enable_shared_from_this<LaneConnection> {
 public:
  /// Above the high mark a lane reads no more output; below the low one it
  /// goes on.
  static constexpr std::size_t high_mark_bytes = 1 << 20;
  static constexpr std::size_t low_mark_bytes = 256 << 10;

  /// `socket` is owned from now on; `owner` outlives the last handler.
  LaneConnection(boost::asio::io_context& io, int socket,
                 ConnectionOwner& owner);

  /// Begins to read frames.
  void receive();

  void send(AttemptId id, const wire::Message& message);

  [[nodiscard]] bool backed_up() const {
    return pending_.size() >= high_mark_bytes;
  }

  /// What has not been sent is dropped; the owner is told nothing any more.
  /// Repeating does nothing.
  void close();

 private:
  // Concrete executors: the polymorphic default costs an allocation per
  // handler.
  using Socket =
      boost::asio::basic_stream_socket<boost::asio::local::stream_protocol,
                                       boost::asio::io_context::executor_type>;

  void deliver();
  void flush();
  void lose();

  boost::asio::io_context& io_;
  ConnectionOwner& owner_;
  Socket socket_;
  wire::Reader reader_;
  std::string pending_;    ///< Frames not yet given to the socket.
  std::string in_flight_;  ///< Frames the socket is sending.
  bool flush_posted_ = false;
  bool closed_ = false;
};

}  // namespace troupe::process
