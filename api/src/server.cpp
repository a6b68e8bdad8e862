#include "acceptor.hpp"
#include "lines.hpp"

#include <troupe/api/server.hpp>
#include <troupe/base/log.hpp>
#include <troupe/base/quantity.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <atomic>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace troupe::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t control_read_bytes = 4096;

/// What a connection shares with the Responder of its request, on any thread.
struct Channel {
  std::size_t most_bytes = 0;
  std::atomic<std::size_t> unread_bytes{0};  ///< Handed over and not yet sent.
  std::atomic<bool> is_answered{false};
  std::atomic<bool> is_closed{false};

  [[nodiscard]] bool is_over() const { return is_answered || is_closed; }
};

class ControlConnection;

/// Whose connections they are.
class ControlConnectionOwner {
 public:
  virtual ~ControlConnectionOwner() = default;
  virtual void handle(Json request, Responder responder) = 0;
  virtual void forget(const std::shared_ptr<ControlConnection>& connection) = 0;
};

/// One client, on the I/O thread: asks, then waits for what comes.
class ControlConnection
    : public std::enable_shared_from_this<ControlConnection> {
 public:
  ControlConnection(asio::io_context& io, int fd, ControlConnectionOwner& owner,
                    const ServerLimits& limits)
      : io_{io}, socket_{io}, timer_{io}, owner_{&owner}, limits_{limits} {
    socket_.assign(asio::local::stream_protocol{}, fd);
    channel_->most_bytes = limits.unread_bytes;
  }

  void start() {
    state_ = State::asking;
    wait_at_most(limits_.request_time);
    read();
  }

  /// Adds a line to what is sent; it has been counted in the channel.
  void send(std::string_view line, bool is_last) {
    if (state_ != State::asking && state_ != State::answering)
      return;
    unsent_ += line;
    if (is_last) {
      state_ = State::ending;
      on_closed_ = nullptr;
      wait_at_most(limits_.last_read_time);
    }
    write();
  }

  void set_on_closed(std::function<void()> handler) {
    switch (state_) {
      case State::asking:
      case State::answering:
        on_closed_ = std::move(handler);
        break;
      case State::ending:
        break;
      case State::closed:
        if (!channel_->is_answered && handler)
          handler();
        break;
    }
  }

  void cut_off(std::string_view reason) {
    if (state_ == State::closed)
      return;
    log(LogLevel::warn,
        fmt::format("control_client_cut_off reason={} unread={}", reason,
                    channel_->unread_bytes.load()));
    close();
  }

  /// Ends it from either side. Repeating does nothing.
  void close() {
    if (state_ == State::closed)
      return;
    state_ = State::closed;
    channel_->is_closed = true;
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    // Not from here: it may be the owner who ends us.
    if (on_closed_ && !channel_->is_answered)
      asio::post(io_, std::exchange(on_closed_, nullptr));
    on_closed_ = nullptr;
    if (owner_ != nullptr)
      std::exchange(owner_, nullptr)->forget(shared_from_this());
  }

  /// The owner ends.
  void abandon() {
    owner_ = nullptr;
    close();
  }

 private:
  enum class State : std::uint8_t {
    asking,     ///< The line of the request has not ended.
    answering,  ///< The handler has it.
    ending,     ///< The last answer is being sent.
    closed,
  };

  void wait_at_most(Duration limit) {
    timer_.expires_after(limit);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error)
        self->on_time_out();
    });
  }

  void on_time_out() {
    switch (state_) {
      case State::asking:
        refuse({Errc::timed_out,
                fmt::format("no request within {}",
                            format_duration(limits_.request_time))});
        break;
      case State::ending:
        cut_off("slow_reader");
        break;
      case State::answering:
      case State::closed:
        break;
    }
  }

  void read() {
    socket_.async_read_some(
        asio::buffer(buffer_),
        [self = shared_from_this()](error_code error, std::size_t size) {
          self->on_read(error, {self->buffer_.data(), size});
        });
  }

  void on_read(error_code error, std::string_view bytes) {
    if (state_ != State::asking)
      return;
    if (error == asio::error::eof && !line_.empty()) {
      refuse({Errc::invalid_argument, "the request has no end of line"});
      return;
    }
    if (error) {
      close();
      return;
    }
    const std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() > limits_.request_bytes)
      refuse({Errc::invalid_argument,
              fmt::format("the request is longer than {}",
                          format_size(limits_.request_bytes))});
    else if (end == std::string_view::npos)
      read();
    else
      on_line();
  }

  void on_line() {
    auto request = parse_object(line_);
    line_ = {};
    if (!request) {
      refuse(std::move(request.error()).within("request"));
      return;
    }
    state_ = State::answering;
    timer_.cancel();
    watch_peer();
    owner_->handle(std::move(*request), responder());
  }

  Responder responder();

  /// A client that closes altogether is gone; one that has only ended its own
  /// side still reads.
  void watch_peer() {
    socket_.async_wait(asio::socket_base::wait_error,
                       [self = shared_from_this()](error_code error) {
                         if (!error)
                           self->close();
                       });
  }

  /// Answers what never was a request.
  void refuse(const Error& error) {
    const std::string line = error_line(error);
    channel_->is_answered = true;
    channel_->unread_bytes += line.size();
    send(line, true);
  }

  void write() {
    if (!in_flight_.empty())
      return;
    if (unsent_.empty()) {
      if (state_ == State::ending)
        close();
      return;
    }
    in_flight_.swap(unsent_);
    write_on(0);
  }

  void write_on(std::size_t from) {
    socket_.async_write_some(
        asio::buffer(in_flight_.data() + from, in_flight_.size() - from),
        [self = shared_from_this(), from](error_code error, std::size_t size) {
          self->on_written(error, from, size);
        });
  }

  void on_written(error_code error, std::size_t from, std::size_t size) {
    if (state_ == State::closed)
      return;
    if (error) {
      close();
      return;
    }
    channel_->unread_bytes -= size;
    if (from + size < in_flight_.size()) {
      write_on(from + size);
      return;
    }
    in_flight_.clear();
    write();
  }

  asio::io_context& io_;
  asio::local::stream_protocol::socket socket_;
  asio::steady_timer timer_;
  ControlConnectionOwner* owner_;  ///< None any more once closed.
  const ServerLimits limits_;
  const std::shared_ptr<Channel> channel_ = std::make_shared<Channel>();
  State state_ = State::asking;
  std::array<char, control_read_bytes> buffer_{};
  std::string line_;
  std::string unsent_;
  std::string in_flight_;
  std::function<void()> on_closed_;
};

}  // namespace

// -- Responder ---------------------------------------------------------------

/// What the copies of a Responder share; it ends with the last of them.
class Responder::Call {
 public:
  Call(asio::io_context& io, std::weak_ptr<ControlConnection> connection,
       std::shared_ptr<Channel> channel)
      : io_{io},
        connection_{std::move(connection)},
        channel_{std::move(channel)} {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() { answer(error_line({Errc::internal, "the request was dropped"})); }

  [[nodiscard]] bool is_over() const { return channel_->is_over(); }

  bool send(std::string line) {
    if (is_over())
      return false;
    if (line.size() > channel_->most_bytes) {
      answer(std::move(line));
      return false;
    }
    return hand_over(std::move(line), false);
  }

  void answer(std::string line) {
    if (channel_->is_closed || channel_->is_answered.exchange(true))
      return;
    if (line.size() > channel_->most_bytes)
      line = error_line(
          {Errc::overloaded, fmt::format("the answer is longer than {}",
                                         format_size(channel_->most_bytes))});
    hand_over(std::move(line), true);
  }

  void set_on_closed(std::function<void()> handler) {
    asio::post(io_, [connection = connection_, channel = channel_,
                     handler = std::move(handler)]() mutable {
      if (const auto alive = connection.lock())
        alive->set_on_closed(std::move(handler));
      else if (!channel->is_answered && handler)
        handler();
    });
  }

 private:
  /// Counts the line at once, so that what waits for the I/O thread has the
  /// same bound.
  bool hand_over(std::string line, bool is_last) {
    const std::size_t size = line.size();
    if (channel_->unread_bytes.fetch_add(size) + size > channel_->most_bytes) {
      channel_->unread_bytes -= size;
      if (!channel_->is_closed.exchange(true))
        post([](ControlConnection& connection) {
          connection.cut_off("slow_reader");
        });
      return false;
    }
    post([line = std::move(line), is_last](ControlConnection& connection) {
      connection.send(line, is_last);
    });
    return true;
  }

  /// The connection belongs to the I/O thread: only there it is held.
  template <class Action>
  void post(Action action) {
    asio::post(
        io_, [connection = connection_, action = std::move(action)]() mutable {
          if (const auto alive = connection.lock())
            action(*alive);
        });
  }

  asio::io_context& io_;
  const std::weak_ptr<ControlConnection> connection_;
  const std::shared_ptr<Channel> channel_;
};

Responder ControlConnection::responder() {
  return Responder{
      std::make_shared<Responder::Call>(io_, weak_from_this(), channel_)};
}

Responder::Responder(std::shared_ptr<Call> call) : call_{std::move(call)} {}

bool Responder::event(const Json& what) const {
  return !is_over() && call_->send(event_line(what));
}

void Responder::succeed(const Json& result) const {
  if (!is_over())
    call_->answer(result_line(result));
}

void Responder::fail(const Error& error) const {
  if (!is_over())
    call_->answer(error_line(error));
}

void Responder::on_closed(std::function<void()> handler) const {
  call_->set_on_closed(std::move(handler));
}

bool Responder::is_over() const { return call_->is_over(); }

// -- ControlServer -----------------------------------------------------------

/// Counts the connections that it accepts; on the I/O thread.
class ControlServer::Listener final : public Acceptor,
                                      public ControlConnectionOwner {
 public:
  Listener(asio::io_context& io, SocketFile file, Handler handler,
           ServerLimits limits)
      : Acceptor{io, std::move(file), "control"},
        io_{io},
        handler_{std::move(handler)},
        limits_{limits} {}

  void close() {
    stop();
    for (const auto& connection : std::exchange(connections_, {}))
      connection->abandon();
  }

  void handle(Json request, Responder responder) override {
    try {
      handler_(std::move(request), responder);
    } catch (const Json::exception& error) {
      responder.fail(
          {Errc::invalid_argument, fmt::format("request: {}", error.what())});
    }
  }

  void forget(const std::shared_ptr<ControlConnection>& connection) override {
    connections_.erase(connection);
  }

 private:
  void welcome(OwnedFd client) override {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) !=
            0 ||
        (peer.uid != ::geteuid() && peer.uid != 0)) {
      log(LogLevel::warn, fmt::format("control_client_refused uid={} pid={}",
                                      peer.uid, peer.pid));
      return;
    }
    if (connections_.size() >= limits_.connections) {
      const std::string line = error_line(
          {Errc::overloaded,
           fmt::format("{} clients are connected already; try again later",
                       connections_.size())});
      // One short line into an empty buffer: it fits, or nobody is there.
      (void)::send(client.get(), line.data(), line.size(),
                   MSG_NOSIGNAL | MSG_DONTWAIT);
      return;
    }
    const auto connection = std::make_shared<ControlConnection>(
        io_, client.release(), static_cast<ControlConnectionOwner&>(*this),
        limits_);
    connections_.insert(connection);
    connection->start();
  }

  asio::io_context& io_;
  Handler handler_;
  const ServerLimits limits_;
  std::set<std::shared_ptr<ControlConnection>> connections_;
};

ControlServer::ControlServer(std::shared_ptr<Listener> listener)
    : listener_{std::move(listener)} {}

ControlServer::~ControlServer() { listener_->close(); }

Result<std::unique_ptr<ControlServer>> ControlServer::listen(
    asio::io_context& io, const std::string& path, Handler handler,
    ServerLimits limits) {
  auto file = SocketFile::open(path);
  if (!file)
    return tl::unexpected{std::move(file.error()).within("control socket")};
  auto listener = std::make_shared<Listener>(io, std::move(*file),
                                             std::move(handler), limits);
  listener->start();
  return std::unique_ptr<ControlServer>{new ControlServer{std::move(listener)}};
}

}  // namespace troupe::api
