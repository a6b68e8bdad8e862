#include <troupe/base/assert.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/process/output_digest.hpp>
#include <troupe/service/checker.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace troupe::service {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

/// Beast applies it to the status line and to the fields, each for itself.
constexpr std::size_t max_head_bytes = 8 << 10;
constexpr std::size_t kept_output_bytes = 4 << 10;
constexpr std::size_t last_line_columns = 200;
constexpr Duration longest_grace = 1s;

/// Without context: whoever asked knows what.
Error plain_system_error(int errno_value) {
  Error error = system_error("", errno_value);
  error.what.erase(0, std::strlen(": "));
  return error;
}

/// One check on its way. Lives on the I/O thread; whoever waits for something
/// on its behalf keeps it alive, and finds it over if it was cancelled.
class Probe : public std::enable_shared_from_this<Probe> {
 public:
  struct Order {
    asio::io_context& io;
    Duration limit;
    TimePoint deadline;
    CheckHandler done;
    std::function<void()> leave;  ///< It needs its owner no more.
  };

  explicit Probe(Order order)
      : io_{order.io},
        limit_{order.limit},
        limit_timer_{io_, order.deadline},
        done_{std::move(order.done)},
        leave_{std::move(order.leave)} {}
  virtual ~Probe() = default;

  void begin() {
    limit_timer_.async_wait([self = shared_from_this()](error_code) {
      if (!self->is_over())
        self->on_limit();
    });
    ask();
  }

  void cancel() {
    done_ = nullptr;
    leave_ = nullptr;
    limit_timer_.cancel();
    let_go();
  }

 protected:
  /// Sets out to get an answer.
  virtual void ask() = 0;
  /// There is none in time.
  virtual void on_limit() = 0;
  /// Gives back, at once, all that it holds. May be repeated.
  virtual void let_go() = 0;

  /// Whether it has been answered or cancelled.
  [[nodiscard]] bool is_over() const { return !done_; }

  /// Tells the answer. The checker may be gone when this returns.
  void answer(Result<void> how) {
    limit_timer_.cancel();
    std::exchange(done_, nullptr)(std::move(how));
  }

  /// Lets go of everything and tells the answer, unless it is known already.
  void conclude(Result<void> how) {
    let_go();
    if (const auto leave = std::exchange(leave_, nullptr))
      leave();
    if (!is_over())
      answer(std::move(how));
  }

  void fail(Errc code, std::string what) {
    conclude(failure(code, std::move(what)));
  }

  [[nodiscard]] Error too_late() const {
    return {Errc::timed_out,
            fmt::format("no answer within {}", format_duration(limit_))};
  }

  [[nodiscard]] asio::io_context& io() { return io_; }
  [[nodiscard]] Duration limit() const { return limit_; }

  /// Ourselves, for a handler.
  template <class Derived>
  [[nodiscard]] static std::shared_ptr<Derived> keep(Derived& probe) {
    return std::static_pointer_cast<Derived>(probe.shared_from_this());
  }

 private:
  asio::io_context& io_;
  Duration limit_;
  asio::steady_timer limit_timer_;
  CheckHandler done_;
  std::function<void()> leave_;
};

/// Connects, and is content with that.
class ConnectionProbe : public Probe {
 public:
  ConnectionProbe(Order order, std::string host, std::uint16_t port)
      : Probe{std::move(order)},
        host_{std::move(host)},
        port_{port},
        resolver_{io()},
        socket_{io()} {}

 protected:
  void ask() override {
    // A look-up would cut a name at a NUL, and a request must not be cut up.
    if (!is_one_word(host_)) {
      fail(Errc::invalid_argument,
           fmt::format("\"{}\" is not the name of a host", printable(host_)));
      return;
    }
    error_code error;
    const auto literal = asio::ip::make_address(host_, error);
    if (!error) {
      addresses_ = {literal};
      connect_next();
    } else if (host_ == "localhost") {
      addresses_ = {asio::ip::address_v6::loopback(),
                    asio::ip::address_v4::loopback()};
      connect_next();
    } else {
      look_up();
    }
  }

  void on_limit() override { conclude(tl::unexpected(too_late())); }

  void let_go() override {
    resolver_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

  virtual void on_connected() { conclude({}); }

  /// Not empty, and without spaces and control characters.
  [[nodiscard]] static bool is_one_word(std::string_view text) {
    return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
      return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    });
  }

  [[nodiscard]] tcp::socket& socket() { return socket_; }

 private:
  void look_up() {
    try {
      resolver_.async_resolve(
          host_, "",
          [self = keep(*this)](error_code error,
                               const tcp::resolver::results_type& found) {
            if (self->is_over())
              return;
            if (error) {
              self->fail(Errc::not_found, fmt::format("no such host: {}",
                                                      printable(self->host_)));
              return;
            }
            for (const auto& entry : found)
              self->addresses_.push_back(entry.endpoint().address());
            self->connect_next();
          });
    } catch (const boost::system::system_error& e) {
      // Asio could not start its thread for look-ups.
      fail(Errc::overloaded, fmt::format("cannot look up {}: {}",
                                         printable(host_), e.code().message()));
    }
  }

  /// Tries the next address; if there is none, the last one said why.
  void connect_next() {
    while (tried_ < addresses_.size()) {
      const tcp::endpoint to{addresses_[tried_++], port_};
      if (auto opened = open(to.protocol()); !opened) {
        why_not_ = std::move(opened.error());
        continue;
      }
      socket_.async_connect(to, [self = keep(*this)](error_code error) {
        if (self->is_over())
          return;
        if (!error && self->is_connected_to_itself())
          error = asio::error::connection_refused;
        if (!error) {
          self->on_connected();
          return;
        }
        self->why_not_ = plain_system_error(error.value());
        self->connect_next();
      });
      return;
    }
    conclude(tl::unexpected(why_not_));
  }

  /// Asio's own open() is not close-on-exec.
  Result<void> open(const tcp& protocol) {
    error_code error;
    socket_.close(error);
    OwnedFd fd{::socket(protocol.family(),
                        SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                        IPPROTO_TCP)};
    if (!fd.is_open())
      return tl::unexpected(plain_system_error(errno));
    socket_.assign(protocol, fd.get(), error);
    if (error)
      return tl::unexpected(plain_system_error(error.value()));
    (void)fd.release();
    return {};
  }

  /// Nobody listens at a port of this host, and the kernel has picked that very
  /// port for our own end: TCP then connects the socket to itself. Closed by a
  /// reset, so that the port is free for the service at once.
  [[nodiscard]] bool is_connected_to_itself() {
    error_code error;
    const auto here = socket_.local_endpoint(error);
    const auto there = socket_.remote_endpoint(error);
    if (error || here != there)
      return false;
    socket_.set_option(asio::socket_base::linger{true, 0}, error);
    return true;
  }

  std::string host_;
  std::uint16_t port_;
  tcp::resolver resolver_;
  tcp::socket socket_;
  std::vector<asio::ip::address> addresses_;
  std::size_t tried_ = 0;
  Error why_not_{Errc::not_found, "the host has no address"};
};

class HttpProbe final : public ConnectionProbe {
 public:
  HttpProbe(Order order, const HttpCheck& check)
      : ConnectionProbe{std::move(order), check.host, check.port},
        target_{check.target} {
    std::string host = check.host.find(':') == std::string::npos
                           ? check.host
                           : fmt::format("[{}]", check.host);
    if (check.port != 80)
      host += fmt::format(":{}", check.port);
    request_.method(http::verb::get);
    request_.version(11);
    request_.set(http::field::host, host);
    request_.set(http::field::user_agent, "troupe");
    request_.set(http::field::accept, "*/*");
    request_.set(http::field::connection, "close");
    parser_.header_limit(max_head_bytes);
    parser_.skip(true);  // Whatever the head says about a body.
  }

 private:
  void ask() override {
    if (!target_.starts_with('/') || !is_one_word(target_)) {
      fail(Errc::invalid_argument,
           fmt::format("\"{}\" is not the target of a request: it starts with "
                       "/ and has no spaces",
                       printable(target_)));
      return;
    }
    request_.target(target_);
    ConnectionProbe::ask();
  }

  void on_connected() override {
    http::async_write(socket(), request_,
                      [self = keep(*this)](error_code error, std::size_t) {
                        if (self->is_over())
                          return;
                        if (error)
                          self->on_broken(error);
                        else
                          self->read();
                      });
  }

  void read() {
    http::async_read_header(
        socket(), buffer_, parser_,
        [self = keep(*this)](error_code error, std::size_t) {
          if (self->is_over())
            return;
          if (error)
            self->on_broken(error);
          else
            self->on_answered(self->parser_.get().result_int());
        });
  }

  void on_answered(unsigned status) {
    if (status >= 200 && status < 400)
      conclude({});
    else
      fail(Errc::unavailable, fmt::format("answered {}", status));
  }

  void on_broken(error_code error) {
    if (error == http::error::end_of_stream)
      fail(Errc::unavailable, "closed the connection without an answer");
    else if (error == http::error::partial_message)
      fail(Errc::unavailable, "closed the connection amid its answer");
    else if (error == http::error::header_limit ||
             error == http::error::buffer_overflow)
      fail(Errc::corrupt,
           fmt::format("answered with a head of more than {} KiB",
                       max_head_bytes >> 10));
    else if (error.category() == asio::error::get_system_category())
      conclude(tl::unexpected(plain_system_error(error.value())));
    else
      fail(Errc::corrupt, "answered with something that is not HTTP");
  }

  std::string target_;
  http::request<http::empty_body> request_;
  boost::beast::flat_buffer buffer_{max_head_bytes};
  http::response_parser<http::empty_body> parser_;
};

/// The last of what a command says, on either stream.
class LastOutput : public process::OutputSink {
 public:
  process::SinkState write(process::Stream, std::string_view bytes) override {
    tail_.write(bytes);
    return process::SinkState::ready;
  }

  /// The last line that is not empty, safe to print.
  [[nodiscard]] std::string last_line() const {
    constexpr std::string_view space = " \t\r\n";
    std::string text = tail_.text();
    text.erase(text.find_last_not_of(space) + 1);
    const std::size_t before = text.find_last_of("\r\n");
    if (before != std::string::npos)
      text.erase(0, before + 1);
    return ellipsize(printable(text), last_line_columns);
  }

 private:
  process::Tail tail_{kept_output_bytes};
};

class ExecProbe final : public Probe {
 public:
  ExecProbe(Order order, const ExecCheck& check, process::CommandRunner& runner,
            process::AttemptId attempt)
      : Probe{std::move(order)}, runner_{runner}, attempt_{attempt} {
    // The warden keeps the limit itself: its command must end even if nobody is
    // left who could ask for that.
    auto spec = *check.command;
    spec.time_limit = spec.time_limit == Duration{0}
                          ? limit()
                          : std::min(spec.time_limit, limit());
    spec.grace = std::min(spec.grace, longest_grace);
    spec_ = std::make_shared<const process::CommandSpec>(std::move(spec));
  }

 private:
  void ask() override {
    is_known_ = true;
    runner_.start(attempt_, std::move(spec_), output_,
                  [&io = io(), probe = std::weak_ptr<ExecProbe>{keep(*this)}](
                      const process::AttemptEvent& event) {
                    const auto* const end =
                        std::get_if<process::AttemptEnded>(&event);
                    if (end == nullptr)
                      return;
                    asio::post(io, [probe, how = end->how] {
                      if (const auto alive = probe.lock())
                        alive->on_ended(how);
                    });
                  });
  }

  /// The command still has its grace, and this has an owner meanwhile.
  void on_limit() override { answer(tl::unexpected(too_late())); }

  void let_go() override {
    if (std::exchange(is_known_, false))
      runner_.forget(attempt_);
  }

  void on_ended(const process::AttemptEnd& how) {
    if (is_known_)
      conclude(std::visit(
          Overload{[&](const process::ExitReport& r) { return judge(r); },
                   [](const process::SpawnFailure& f) -> Result<void> {
                     return tl::unexpected(f.error);
                   },
                   [](const process::RunnerLost&) -> Result<void> {
                     return failure(Errc::unavailable,
                                    "the warden that ran it died");
                   }},
          how));
  }

  [[nodiscard]] Result<void> judge(const process::ExitReport& report) const {
    if (report.timed_out)
      return tl::unexpected(too_late());
    if (report.signal == 0 && report.exit_code == 0)
      return {};
    std::string what = fmt::format("exited with {}", report.exit_code);
    if (report.signal != 0) {
      const char* const name = ::sigabbrev_np(report.signal);
      what = name != nullptr
                 ? fmt::format("killed by SIG{}", name)
                 : fmt::format("killed by signal {}", report.signal);
    }
    const std::string line = output_->last_line();
    if (!line.empty())
      what += fmt::format(": {}", line);
    return failure(Errc::unavailable, std::move(what));
  }

  process::CommandRunner& runner_;
  process::AttemptId attempt_;
  std::shared_ptr<const process::CommandSpec> spec_;
  std::shared_ptr<LastOutput> output_ = std::make_shared<LastOutput>();
  bool is_known_ = false;  ///< To the runner.
};

/// The owner of all probes. Lives on the I/O thread.
class Probes : public std::enable_shared_from_this<Probes> {
 public:
  Probes(asio::io_context& io, process::CommandRunner& runner,
         std::function<CommandId()> next_command)
      : io_{io}, runner_{runner}, next_command_{std::move(next_command)} {}

  void start(CheckId id, const Check& check, Duration limit, TimePoint deadline,
             CheckHandler done) {
    Probe::Order order{.io = io_,
                       .limit = limit,
                       .deadline = deadline,
                       .done = std::move(done),
                       .leave = [this, id] { probes_.erase(id); }};
    auto probe = make(check, std::move(order));
    probes_.emplace(id, probe);
    probe->begin();
  }

  void cancel(CheckId id) {
    const auto found = probes_.find(id);
    if (found == probes_.end())
      return;
    found->second->cancel();
    probes_.erase(found);
  }

  void cancel_all() {
    for (const auto& [id, probe] : probes_)
      probe->cancel();
    probes_.clear();
  }

 private:
  std::shared_ptr<Probe> make(const Check& check, Probe::Order order) {
    return std::visit(
        Overload{
            [&](const ExecCheck& c) -> std::shared_ptr<Probe> {
              const process::AttemptId attempt{.command = next_command_(),
                                               .attempt = 1};
              return std::make_shared<ExecProbe>(std::move(order), c, runner_,
                                                 attempt);
            },
            [&](const HttpCheck& c) -> std::shared_ptr<Probe> {
              return std::make_shared<HttpProbe>(std::move(order), c);
            },
            [&](const TcpCheck& c) -> std::shared_ptr<Probe> {
              return std::make_shared<ConnectionProbe>(std::move(order), c.host,
                                                       c.port);
            },
            // Refused by start().
            [](const LogCheck&) -> std::shared_ptr<Probe> { return nullptr; },
            [](const NotifyCheck&) -> std::shared_ptr<Probe> {
              return nullptr;
            }},
        check);
  }

  asio::io_context& io_;
  process::CommandRunner& runner_;
  std::function<CommandId()> next_command_;
  std::map<CheckId, std::shared_ptr<Probe>> probes_;
};

class RealChecker final : public Checker {
 public:
  RealChecker(asio::io_context& io, process::CommandRunner& runner,
              std::function<CommandId()> next_command)
      : io_{io},
        probes_{std::make_shared<Probes>(io, runner, std::move(next_command))} {
  }
  RealChecker(const RealChecker&) = delete;
  RealChecker& operator=(const RealChecker&) = delete;
  ~RealChecker() override { probes_->cancel_all(); }

  CheckId start(const Check& check, Duration limit,
                CheckHandler done) override {
    TROUPE_ASSERT(!std::holds_alternative<LogCheck>(check));
    TROUPE_ASSERT(!std::holds_alternative<NotifyCheck>(check));
    TROUPE_ASSERT(!std::holds_alternative<ExecCheck>(check) ||
                  std::get<ExecCheck>(check).command);
    TROUPE_ASSERT(limit > Duration{0} && done);
    const CheckId id{++last_id_};
    const TimePoint deadline = std::chrono::steady_clock::now() + limit;
    asio::post(io_, [probes = std::weak_ptr{probes_}, id, check, limit,
                     deadline, done = std::move(done)]() mutable {
      if (const auto alive = probes.lock())
        alive->start(id, check, limit, deadline, std::move(done));
    });
    return id;
  }

  void cancel(CheckId id) override {
    asio::post(io_, [probes = std::weak_ptr{probes_}, id] {
      if (const auto alive = probes.lock())
        alive->cancel(id);
    });
  }

 private:
  asio::io_context& io_;
  std::atomic<std::uint64_t> last_id_{0};
  std::shared_ptr<Probes> probes_;
};

}  // namespace

std::unique_ptr<Checker> make_checker(asio::io_context& io,
                                      process::CommandRunner& runner,
                                      std::function<CommandId()> next_command) {
  return std::make_unique<RealChecker>(io, runner, std::move(next_command));
}

}  // namespace troupe::service
