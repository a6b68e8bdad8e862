#include "lane_connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include <sys/socket.h>
#include <unistd.h>

namespace troupe::process {

namespace asio = boost::asio;
using boost::system::error_code;

LaneConnection::LaneConnection(asio::io_context& io, int socket,
                               ConnectionOwner& owner)
    : io_{io}, owner_{owner}, socket_{io} {
  socket_.assign(asio::local::stream_protocol{}, socket);
  socket_.non_blocking(true);
}

void LaneConnection::receive() {
  constexpr std::size_t piece = 64 << 10;
  socket_.async_read_some(
      asio::buffer(reader_.prepare(piece), piece),
      [self = shared_from_this()](error_code error, std::size_t size) {
        if (self->closed_)
          return;
        if (error) {
          self->lose();
          return;
        }
        self->reader_.commit(size);
        self->deliver();
      });
}

void LaneConnection::deliver() {
  while (!closed_) {
    auto frame = reader_.next();
    if (!frame) {
      lose();
      return;
    }
    if (!*frame) {
      receive();
      return;
    }
    owner_.on_frame(**frame);
  }
}

void LaneConnection::send(AttemptId id, const wire::Message& message) {
  if (closed_)
    return;
  wire::encode(pending_, id, message);
  if (flush_posted_ || !in_flight_.empty())
    return;
  // Everything that happens in this turn of the loop goes out in one write.
  flush_posted_ = true;
  asio::post(io_, [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->flush();
  });
}

void LaneConnection::flush() {
  if (!in_flight_.empty() || pending_.empty() || closed_)
    return;
  // Mostly there is room, and no turn of the loop is needed to hear of it.
  error_code error;
  const std::size_t sent = socket_.write_some(asio::buffer(pending_), error);
  if (error && error != asio::error::would_block) {
    lose();
    return;
  }
  if (sent == pending_.size()) {
    pending_.clear();
    owner_.on_room();
    return;
  }
  pending_.erase(0, sent);
  in_flight_.swap(pending_);
  asio::async_write(
      socket_, asio::buffer(in_flight_),
      [self = shared_from_this()](error_code failed, std::size_t) {
        self->in_flight_.clear();
        if (self->closed_)
          return;
        if (failed) {
          self->lose();
          return;
        }
        if (self->pending_.size() < low_mark_bytes)
          self->owner_.on_room();
        self->flush();
      });
}

void LaneConnection::lose() {
  close();
  owner_.on_connection_lost(*this);
}

void LaneConnection::close() {
  if (std::exchange(closed_, true))
    return;
  // A child between clone and exec may hold the socket: the runner shall see
  // the end at once, and epoll shall not report it any more.
  ::shutdown(socket_.native_handle(), SHUT_RDWR);
  ::close(socket_.release());
}

}  // namespace troupe::process
