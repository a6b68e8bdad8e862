#include "acceptor.hpp"
#include "http_message.hpp"
#include "json_text.hpp"
#include "server_events.hpp"

#include <troupe/api/http_server.hpp>
#include <troupe/base/assert.hpp>
#include <troupe/base/log.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <fmt/format.h>
#include <set>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace troupe::api {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t http_read_bytes = 16 << 10;
/// After our last byte: a client that is still sending would otherwise not
/// come to read why it was refused.
constexpr Duration linger_time = 1s;
/// Connections over the bound that are told so; more are closed at once.
constexpr std::size_t most_turned_away = 64;
constexpr int ok_status = 200;
constexpr int no_content_status = 204;
constexpr int forbidden_status = 403;

/// What a connection shares with those who answer one request of it, on any
/// thread.
struct Exchange {
  std::size_t most_answer_bytes = 0;
  std::size_t most_stream_bytes = 0;
  bool has_chunks = false;
  std::atomic<std::size_t> unsent_bytes{0};  ///< Handed over and not yet sent.
  std::atomic<bool> is_answered{false};      ///< Or its stream has begun.
  std::atomic<bool> is_over{false};          ///< All of it was handed over.
  std::atomic<bool> is_closed{false};        ///< Nobody wants it.
  bool is_recorded = false;                  ///< As it was handed over.
  /// See HttpOptions::on_answer; of whoever answers.
  std::function<void(int status, const std::string& body,
                     std::function<void()> send)>
      record = nullptr;
};
using ExchangePtr = std::shared_ptr<Exchange>;

std::size_t drained_bytes(const Exchange& exchange) {
  return exchange.most_stream_bytes / 4;
}

/// An answer in one piece; its head is written by the connection.
struct WholeAnswer {
  int status = ok_status;
  std::string body;
  std::string allow = {};
  std::optional<Duration> retry_after = std::nullopt;
};

WholeAnswer answer_of(const Refusal& refusal) {
  return {.status = refusal.status,
          .body = error_body(refusal.error, refusal.retry_after),
          .allow = refusal.allow,
          .retry_after = refusal.retry_after};
}

class HttpConnection;

/// Whose connections they are.
class HttpConnectionOwner {
 public:
  virtual ~HttpConnectionOwner() = default;
  virtual void handle(Accepted accepted, const HttpResponder& responder,
                      Exchange& exchange) = 0;
  virtual void note_refusal(const Caller& caller, const std::string& what) = 0;
  virtual void forget(const std::shared_ptr<HttpConnection>& connection) = 0;
};

/// One client, on the I/O thread: asks, waits for what comes, asks again.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(asio::io_context& io, OwnedFd fd, HttpConnectionOwner& owner,
                 const Router& router, const Caller& caller,
                 const HttpOptions& options)
      : io_{io},
        socket_{io},
        timer_{io},
        owner_{&owner},
        router_{router},
        caller_{caller},
        limits_{options.limits},
        admit_{options.admit},
        reader_{router, caller, limits_.header_bytes, admit_} {
    socket_.assign(asio::local::stream_protocol{}, fd.release());
  }

  [[nodiscard]] const Caller& caller() const { return caller_; }

  void start() {
    begin_request();
    read();
  }

  /// Answers before anything was asked, and ends.
  void turn_away(const Refusal& refusal) {
    begin_request();
    refuse(refusal);
  }

  /// Hands over what was counted in `exchange`. What comes for an exchange
  /// that is over comes too late, and is dropped.
  void answer(const ExchangePtr& exchange, const WholeAnswer& answer) {
    if (exchange != exchange_ || state_ != State::answering)
      return;
    send_whole(answer);
  }

  void begin_stream(const ExchangePtr& exchange, std::string_view type) {
    if (exchange != exchange_ || state_ != State::answering)
      return;
    state_ = State::streaming;
    has_heartbeat_ = type == event_stream_type;
    keeps_alive_ = reader_.keeps_alive() && exchange->has_chunks;
    unsent_ += head_text({.content_type = type,
                          .has_chunks = exchange->has_chunks,
                          .keeps_alive = keeps_alive_});
    exchange->unsent_bytes += unsent_.size();
    write();
    watch_silence();
  }

  void send(const ExchangePtr& exchange, std::string_view bytes) {
    if (exchange != exchange_ || state_ != State::streaming)
      return;
    unsent_ += bytes;
    write();
  }

  void end_stream(const ExchangePtr& exchange) {
    if (exchange != exchange_ || state_ != State::streaming)
      return;
    if (exchange->has_chunks) {
      unsent_ += last_chunk;
      exchange->unsent_bytes += last_chunk.size();
    }
    begin_last_bytes();
    write();
  }

  void set_on_closed(const ExchangePtr& exchange,
                     std::function<void()> handler) {
    const bool is_open = exchange == exchange_ && (state_ == State::answering ||
                                                   state_ == State::streaming);
    if (is_open)
      on_closed_ = std::move(handler);
    else if (exchange->is_closed && !exchange->is_over && handler)
      handler();
  }

  void set_on_drained(const ExchangePtr& exchange,
                      std::function<void()> handler) {
    if (exchange != exchange_ || state_ != State::streaming)
      return;
    on_drained_ = std::move(handler);
    tell_drained();
  }

  void cut_off(const ExchangePtr& exchange, std::string_view reason) {
    if (exchange == exchange_)
      cut_off(reason);
  }

  /// Ends it from either side. Repeating does nothing.
  void close() {
    if (state_ == State::closed)
      return;
    state_ = State::closed;
    stop_waiting();
    error_code ignored;
    socket_.close(ignored);
    on_drained_ = nullptr;
    exchange_->is_closed = true;
    // Not from here: it may be the owner who ends us.
    if (on_closed_ && !exchange_->is_over)
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
    idle,       ///< No byte of the next request is there.
    reading,    ///< The request has begun.
    answering,  ///< The handler has it.
    streaming,  ///< A stream has begun.
    ending,     ///< The last bytes of the answer are being sent.
    lingering,  ///< We have ended; what the client still sends is dropped.
    closed,
  };

  void wait_at_most(Duration limit) {
    timer_.expires_after(limit);
    timer_.async_wait([self = shared_from_this()](error_code error) {
      // It may have been set anew while this was under way.
      if (!error && self->timer_.expiry() <= std::chrono::steady_clock::now())
        self->on_time_out();
    });
  }

  void stop_waiting() { timer_.expires_at(TimePoint::max()); }

  void on_time_out() {
    switch (state_) {
      case State::idle:
      case State::lingering:
        close();
        break;
      case State::reading:
        refuse({.status = 408,
                .error = {Errc::timed_out,
                          fmt::format("the request was not complete within {}",
                                      format_duration(limits_.request_time))}});
        break;
      case State::streaming:
        on_silence();
        break;
      case State::ending:
        cut_off("slow_reader");
        break;
      case State::answering:
      case State::closed:
        break;
    }
  }

  // -- Reading ---------------------------------------------------------------

  void begin_request() {
    state_ = State::idle;
    exchange_ = std::make_shared<Exchange>();
    exchange_->most_answer_bytes = limits_.answer_bytes;
    exchange_->most_stream_bytes = limits_.unsent_stream_bytes;
    wait_at_most(limits_.idle_time);
  }

  void read() {
    socket_.async_read_some(
        asio::buffer(buffer_),
        [self = shared_from_this()](error_code error, std::size_t size) {
          self->on_read(error, {self->buffer_.data(), size});
        });
  }

  void on_read(error_code error, std::string_view bytes) {
    switch (state_) {
      case State::idle:
      case State::reading:
        if (error) {
          close();
        } else {
          inbox_ += bytes;
          take_inbox();
        }
        break;
      case State::lingering:
        error ? close() : read();
        break;
      case State::answering:
      case State::streaming:
      case State::ending:
      case State::closed:
        break;
    }
  }

  void take_inbox() {
    if (state_ == State::idle) {
      state_ = State::reading;
      wait_at_most(limits_.request_time);
    }
    ReadStep step = reader_.feed(inbox_);
    std::visit(Overload{[this](ReadOn) { read(); },
                        [this](SayContinue) { say_continue(); },
                        [this](Accepted& accepted) { hand_on(accepted); },
                        [this](const Refusal& refusal) { refuse(refusal); }},
               step);
  }

  void say_continue() {
    unsent_ += continue_text;
    exchange_->unsent_bytes += continue_text.size();
    write();
    read();
  }

  void hand_on(Accepted& accepted) {
    state_ = State::answering;
    stop_waiting();
    exchange_->has_chunks = reader_.takes_chunks();
    watch_peer();
    owner_->handle(std::move(accepted), responder(), *exchange_);
  }

  HttpResponder responder();

  /// A client that closes altogether is gone; one that has only ended its own
  /// side still reads. While a request is read, the reading notices.
  void watch_peer() {
    if (std::exchange(is_watching_, true))
      return;
    socket_.async_wait(asio::socket_base::wait_error,
                       [self = shared_from_this()](error_code error) {
                         self->is_watching_ = false;
                         if (!error)
                           self->on_peer_gone();
                       });
  }

  void on_peer_gone() {
    switch (state_) {
      case State::idle:
      case State::reading:
      case State::closed:
        break;
      case State::answering:
      case State::streaming:
      case State::ending:
      case State::lingering:
        close();
        break;
    }
  }

  // -- Writing ---------------------------------------------------------------

  void refuse(const Refusal& refusal) {
    if (const std::string what = reader_.asked();
        refusal.status == forbidden_status && !what.empty())
      owner_->note_refusal(caller_, what);
    exchange_->is_answered = true;
    exchange_->is_over = true;
    const WholeAnswer answer = answer_of(refusal);
    exchange_->unsent_bytes += answer.body.size();
    send_whole(answer);
  }

  /// The body has been counted.
  void send_whole(const WholeAnswer& answer) {
    keeps_alive_ = reader_.keeps_alive();
    const std::string head = head_text({.status = answer.status,
                                        .body_bytes = answer.body.size(),
                                        .keeps_alive = keeps_alive_,
                                        .allow = answer.allow,
                                        .retry_after = answer.retry_after});
    exchange_->unsent_bytes += head.size();
    unsent_ += head;
    if (reader_.is_head())
      exchange_->unsent_bytes -= answer.body.size();
    else
      unsent_ += answer.body;
    begin_last_bytes();
    write();
  }

  void begin_last_bytes() {
    state_ = State::ending;
    on_closed_ = nullptr;
    on_drained_ = nullptr;
    wait_at_most(limits_.fetch_time);
  }

  void write() {
    if (!in_flight_.empty())
      return;
    if (unsent_.empty()) {
      if (state_ == State::ending)
        on_answered();
      return;
    }
    in_flight_.swap(unsent_);
    if (state_ == State::streaming)
      watch_silence();
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
    exchange_->unsent_bytes -= size;
    const bool is_all = from + size == in_flight_.size();
    if (is_all)
      in_flight_.clear();
    if (state_ == State::streaming) {
      watch_silence();
      tell_drained();
    }
    is_all ? write() : write_on(from + size);
  }

  void tell_drained() {
    // The handler is not called from here: it may write.
    if (on_drained_ && exchange_->unsent_bytes <= drained_bytes(*exchange_))
      asio::post(io_, std::exchange(on_drained_, nullptr));
  }

  /// Of a stream: of its reader while bytes wait, else of its producer.
  void watch_silence() {
    if (!in_flight_.empty())
      wait_at_most(limits_.stall_time);
    else if (has_heartbeat_)
      wait_at_most(limits_.heartbeat);
    else
      stop_waiting();
  }

  void on_silence() {
    if (!in_flight_.empty()) {
      cut_off("stalled_reader");
      return;
    }
    const std::string beat = exchange_->has_chunks
                                 ? chunk_text(heartbeat_text)
                                 : std::string{heartbeat_text};
    exchange_->unsent_bytes += beat.size();
    unsent_ += beat;
    write();
  }

  void on_answered() {
    if (!keeps_alive_) {
      linger();
      return;
    }
    reader_ = RequestReader{router_, caller_, limits_.header_bytes, admit_};
    if (in_flight_.capacity() > http_read_bytes)
      in_flight_ = {};  // Many idle connections may have had long answers.
    if (unsent_.capacity() > http_read_bytes)
      unsent_ = {};
    begin_request();
    if (inbox_.empty())
      read();
    else
      take_inbox();
  }

  void linger() {
    state_ = State::lingering;
    error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    wait_at_most(linger_time);
    read();
  }

  void cut_off(std::string_view reason) {
    if (state_ == State::closed)
      return;
    log(LogLevel::warn,
        fmt::format("http_client_cut_off reason={} uid={} pid={} unsent={}",
                    reason, caller_.uid, caller_.pid,
                    exchange_->unsent_bytes.load()));
    close();
  }

  asio::io_context& io_;
  asio::local::stream_protocol::socket socket_;
  asio::steady_timer timer_;
  HttpConnectionOwner* owner_;  ///< None any more once closed.
  const Router& router_;        ///< Of the owner; not used once closed.
  const Caller caller_;
  const HttpLimits limits_;
  const RequestReader::Admit admit_;
  RequestReader reader_;
  ExchangePtr exchange_;
  State state_ = State::idle;
  bool keeps_alive_ = false;
  bool has_heartbeat_ = false;
  bool is_watching_ = false;
  std::array<char, http_read_bytes> buffer_{};
  std::string inbox_;
  std::string unsent_;
  std::string in_flight_;
  std::function<void()> on_closed_;
  std::function<void()> on_drained_;
};

/// Reaches a connection from any thread.
class ConnectionLine {
 public:
  ConnectionLine(asio::io_context& io, std::weak_ptr<HttpConnection> connection,
                 ExchangePtr exchange)
      : io_{io},
        connection_{std::move(connection)},
        exchange_{std::move(exchange)} {}

  [[nodiscard]] Exchange& exchange() const { return *exchange_; }

  /// To the same connection, about another exchange.
  [[nodiscard]] ConnectionLine with(ExchangePtr exchange) const {
    return {io_, connection_, std::move(exchange)};
  }

  /// Counts `bytes` at once, so that what waits for the I/O thread has the
  /// same bound. Whether it was within `most`; if not, the client is cut off.
  [[nodiscard]] bool reserve(std::size_t bytes, std::size_t most) const {
    if (exchange_->unsent_bytes.fetch_add(bytes) + bytes <= most)
      return true;
    exchange_->unsent_bytes -= bytes;
    cut_off("slow_reader");
    return false;
  }

  void cut_off(std::string_view reason) const {
    if (!exchange_->is_closed.exchange(true))
      post([reason](HttpConnection& connection, const ExchangePtr& exchange) {
        connection.cut_off(exchange, reason);
      });
  }

  /// The connection belongs to the I/O thread: only there it is held.
  template <class Action>
  void post(Action action) const {
    asio::post(io_, [connection = connection_, exchange = exchange_,
                     action = std::move(action)]() mutable {
      if (const auto alive = connection.lock())
        action(*alive, exchange);
    });
  }

  void set_on_closed(std::function<void()> handler) const {
    asio::post(io_, [connection = connection_, exchange = exchange_,
                     handler = std::move(handler)]() mutable {
      if (const auto alive = connection.lock())
        alive->set_on_closed(exchange, std::move(handler));
      else if (!exchange->is_over && handler)
        handler();
    });
  }

 private:
  asio::io_context& io_;
  std::weak_ptr<HttpConnection> connection_;
  ExchangePtr exchange_;
};

}  // namespace

// -- HttpStream --------------------------------------------------------------

/// What the copies of an HttpStream share; it ends with the last of them.
class HttpStream::Call {
 public:
  explicit Call(ConnectionLine line) : line_{std::move(line)} {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (!is_over())
      line_.cut_off("dropped_stream");
  }

  [[nodiscard]] const ConnectionLine& line() const { return line_; }
  [[nodiscard]] bool is_over() const {
    return line_.exchange().is_over || line_.exchange().is_closed;
  }

  bool write(std::string_view bytes) const {
    if (is_over())
      return false;
    if (bytes.empty())
      return true;
    const Exchange& exchange = line_.exchange();
    std::string text =
        exchange.has_chunks ? chunk_text(bytes) : std::string{bytes};
    if (!line_.reserve(text.size(), exchange.most_stream_bytes))
      return false;
    line_.post([text = std::move(text)](HttpConnection& connection,
                                        const ExchangePtr& of) {
      connection.send(of, text);
    });
    return true;
  }

  void end() const {
    if (line_.exchange().is_closed || line_.exchange().is_over.exchange(true))
      return;
    line_.post([](HttpConnection& connection, const ExchangePtr& of) {
      connection.end_stream(of);
    });
  }

 private:
  const ConnectionLine line_;
};

HttpStream::HttpStream(std::shared_ptr<Call> call) : call_{std::move(call)} {}

bool HttpStream::write(std::string_view bytes) const {
  return call_->write(bytes);
}

bool HttpStream::event(std::string_view name, const Json& data) const {
  return !is_over() && call_->write(event_text(name, data));
}

std::size_t HttpStream::unsent_bytes() const {
  return call_->line().exchange().unsent_bytes;
}

bool HttpStream::wants_more() const {
  return !is_over() &&
         unsent_bytes() < call_->line().exchange().most_stream_bytes / 2;
}

void HttpStream::on_drained(std::function<void()> handler) const {
  call_->line().post(
      [handler = std::move(handler)](HttpConnection& connection,
                                     const ExchangePtr& of) mutable {
        connection.set_on_drained(of, std::move(handler));
      });
}

void HttpStream::on_closed(std::function<void()> handler) const {
  call_->line().set_on_closed(std::move(handler));
}

void HttpStream::end() const { call_->end(); }

bool HttpStream::is_over() const { return call_->is_over(); }

// -- HttpResponder -----------------------------------------------------------

/// What the copies of an HttpResponder share; it ends with the last of them.
class HttpResponder::Call {
 public:
  explicit Call(ConnectionLine line) : line_{std::move(line)} {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    answer(answer_of(refusal_of({Errc::internal, "the request was dropped"})));
  }

  [[nodiscard]] const ConnectionLine& line() const { return line_; }
  [[nodiscard]] bool is_over() const {
    return line_.exchange().is_answered || line_.exchange().is_closed;
  }
  /// Nobody may wait for it any more; what has happened is recorded even so.
  [[nodiscard]] bool is_wanted() const {
    return line_.exchange().is_recorded ? !line_.exchange().is_answered
                                        : !is_over();
  }

  void answer(WholeAnswer answer) const {
    Exchange& exchange = line_.exchange();
    if (!is_wanted() || exchange.is_answered.exchange(true))
      return;
    if (answer.body.size() > exchange.most_answer_bytes)
      answer = answer_of(
          refusal_of({Errc::invalid_argument,
                      fmt::format("the answer is longer than {}; ask for less",
                                  format_size(exchange.most_answer_bytes))}));
    exchange.is_over = true;
    if (!exchange.is_recorded) {
      send(line_, std::move(answer));
      return;
    }
    const auto record = std::exchange(exchange.record, nullptr);
    const int status = answer.status;
    const std::string body = answer.body;
    record(status, body, [line = line_, answer = std::move(answer)]() mutable {
      send(line, std::move(answer));
    });
  }

  [[nodiscard]] HttpStream begin_stream(std::string_view type) const {
    Exchange& exchange = line_.exchange();
    if (exchange.is_answered.exchange(true)) {
      // Somebody else has answered, and this stream reaches nobody.
      const auto nothing = std::make_shared<Exchange>();
      nothing->is_over = true;
      return HttpStream{
          std::make_shared<HttpStream::Call>(line_.with(nothing))};
    }
    line_.post([type = std::string{type}](HttpConnection& connection,
                                          const ExchangePtr& of) {
      connection.begin_stream(of, type);
    });
    return HttpStream{std::make_shared<HttpStream::Call>(line_)};
  }

 private:
  static void send(const ConnectionLine& line, WholeAnswer answer) {
    if (line.exchange().is_closed)
      return;
    line.exchange().unsent_bytes += answer.body.size();
    line.post([answer = std::move(answer)](HttpConnection& connection,
                                           const ExchangePtr& of) {
      connection.answer(of, answer);
    });
  }

  const ConnectionLine line_;
};

HttpResponder HttpConnection::responder() {
  return HttpResponder{std::make_shared<HttpResponder::Call>(
      ConnectionLine{io_, weak_from_this(), exchange_})};
}

HttpResponder::HttpResponder(std::shared_ptr<Call> call)
    : call_{std::move(call)} {}

void HttpResponder::succeed(const Json& result) const {
  succeed(ok_status, result);
}

void HttpResponder::succeed(int status, const Json& result) const {
  TROUPE_ASSERT(status >= 200 && status < 300);
  if (call_->is_wanted())
    call_->answer({.status = status,
                   .body = status == no_content_status
                               ? std::string{}
                               : text_of(result) + "\n"});
}

void HttpResponder::fail(const Error& error,
                         std::optional<Duration> retry_after) const {
  if (call_->is_wanted())
    call_->answer(answer_of(refusal_of(error, retry_after)));
}

HttpStream HttpResponder::begin_stream(std::string_view content_type) const {
  return call_->begin_stream(content_type);
}

HttpStream HttpResponder::begin_events() const {
  return call_->begin_stream(event_stream_type);
}

void HttpResponder::on_closed(std::function<void()> handler) const {
  call_->line().set_on_closed(std::move(handler));
}

bool HttpResponder::is_over() const { return call_->is_over(); }

// -- HttpServer --------------------------------------------------------------

/// Counts the connections that it accepts; on the I/O thread.
class HttpServer::Listener final : public Acceptor, public HttpConnectionOwner {
 public:
  Listener(asio::io_context& io, SocketFile file, HttpOptions options,
           Router router)
      : Acceptor{io, std::move(file), "http"},
        io_{io},
        options_{std::move(options)},
        router_{std::move(router)} {}

  void close() {
    stop();
    for (const auto& connection : std::exchange(connections_, {}))
      connection->abandon();
  }

  void handle(Accepted accepted, const HttpResponder& responder,
              Exchange& exchange) override {
    exchange.is_recorded =
        options_.on_answer && accepted.operation->method != HttpMethod::get;
    if (exchange.is_recorded)
      exchange.record =
          [tell = options_.on_answer, caller = accepted.request.caller,
           what = what_was_asked(accepted)](int status, const std::string& body,
                                            std::function<void()> send) {
            tell({caller, what, status, body}, std::move(send));
          };
    try {
      accepted.operation->handler(std::move(accepted.request), responder);
    } catch (const Json::exception& error) {
      responder.fail(
          {Errc::invalid_argument, fmt::format("request: {}", error.what())});
    }
  }

  void note_refusal(const Caller& caller, const std::string& what) override {
    if (options_.on_refusal)
      options_.on_refusal(caller, what);
  }

  void forget(const std::shared_ptr<HttpConnection>& connection) override {
    connections_.erase(connection);
  }

 private:
  /// With the parts of the path that were asked for, and without the query.
  static std::string what_was_asked(const Accepted& accepted) {
    std::string path = accepted.operation->path;
    std::size_t at = 0;
    for (const std::string& part : accepted.request.path) {
      at = path.find('{', at);
      path.replace(at, path.find('}', at) + 1 - at, part);
      at += part.size();
    }
    return fmt::format("{} {}", to_string(accepted.operation->method), path);
  }

  void welcome(OwnedFd client) override {
    const std::size_t most = options_.limits.connections;
    if (connections_.size() >= most + most_turned_away)
      return;
    const auto caller = caller_of(client.get());
    if (!caller) {
      connect(std::move(client), {})->turn_away(refusal_of(caller.error()));
      return;
    }
    const auto connection = connect(std::move(client), *caller);
    if (connections_.size() > most)
      connection->turn_away(refusal_of(
          {Errc::overloaded,
           fmt::format("{} clients are connected already; try again later",
                       most)}));
    else if (caller->role != Role::admin &&
             count_of(caller->uid) > options_.limits.user_connections)
      connection->turn_away(refusal_of(
          {Errc::overloaded,
           fmt::format("{} clients of yours are connected already; try again "
                       "later",
                       options_.limits.user_connections)}));
    else
      connection->start();
  }

  [[nodiscard]] std::size_t count_of(uid_t uid) const {
    return static_cast<std::size_t>(std::count_if(
        connections_.begin(), connections_.end(),
        [uid](const auto& one) { return one->caller().uid == uid; }));
  }

  std::shared_ptr<HttpConnection> connect(OwnedFd client,
                                          const Caller& caller) {
    auto connection = std::make_shared<HttpConnection>(
        io_, std::move(client), static_cast<HttpConnectionOwner&>(*this),
        router_, caller, options_);
    connections_.insert(connection);
    return connection;
  }

  /// Errors: permission_denied.
  [[nodiscard]] Result<Caller> caller_of(int client) const {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
      return failure(Errc::permission_denied, "you cannot be identified");
    Caller caller{.uid = peer.uid, .pid = peer.pid, .role = Role::admin};
    if (peer.uid == ::geteuid() || peer.uid == 0)
      return caller;
    if (options_.group && is_member(client, peer, options_.group->gid)) {
      caller.role = options_.group->role;
      return caller;
    }
    log(LogLevel::warn,
        fmt::format("http_client_refused uid={} pid={}", peer.uid, peer.pid));
    return failure(Errc::permission_denied,
                   fmt::format("this socket is not for user {}", peer.uid));
  }

  /// The mode of the socket says so, too; but some may pass any mode.
  static bool is_member(int client, const ucred& peer, gid_t group) {
    if (peer.gid == group)
      return true;
    std::vector<gid_t> groups(most_groups);
    socklen_t size = most_groups * sizeof(gid_t);
    if (::getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) !=
        0)
      return false;
    groups.resize(size / sizeof(gid_t));
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  }

  static constexpr std::size_t most_groups = 65'536;  ///< Linux: NGROUPS_MAX.

  asio::io_context& io_;
  const HttpOptions options_;
  const Router router_;
  std::set<std::shared_ptr<HttpConnection>> connections_;
};

HttpServer::HttpServer(std::shared_ptr<Listener> listener)
    : listener_{std::move(listener)} {}

HttpServer::~HttpServer() { listener_->close(); }

Result<std::unique_ptr<HttpServer>> HttpServer::listen(
    asio::io_context& io, HttpOptions options,
    std::vector<Operation> operations) {
  auto router = Router::make(std::move(operations));
  if (!router)
    return tl::unexpected{std::move(router.error()).within("http socket")};
  auto file = SocketFile::open(
      options.path,
      options.group ? std::optional{options.group->gid} : std::nullopt);
  if (!file)
    return tl::unexpected{std::move(file.error()).within("http socket")};
  auto listener = std::make_shared<Listener>(
      io, std::move(*file), std::move(options), std::move(*router));
  listener->start();
  return std::unique_ptr<HttpServer>{new HttpServer{std::move(listener)}};
}

}  // namespace troupe::api
