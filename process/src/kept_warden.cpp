#include "kept_warden.hpp"

#include "wire.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <sys/socket.h>
#include <unistd.h>

namespace troupe::process {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// A runner greets at once. Who does not, or comes when so many have not, is
/// not one.
constexpr Duration greeting_limit = 5s;
constexpr std::size_t most_strangers = 64;

/// How often it is looked whether the last command has ended.
constexpr Duration empty_interval = 10ms;

/// Without room for another descriptor, connections wait for so long.
constexpr Duration accept_pause = 100ms;

bool is_our_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::geteuid();
}

/// So short that it fits into the buffer of a new socket.
void send_at_once(int socket, const wire::Hello& hello) {
  std::string bytes;
  wire::encode(bytes, {}, hello);
  (void)!::send(socket, bytes.data(), bytes.size(),
                MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

struct Stranger {
  Stranger(asio::io_context& io, int fd) : socket{io, fd}, deadline{io} {}

  asio::posix::stream_descriptor socket;
  asio::steady_timer deadline;
  std::array<char, wire::greeting_size> bytes{};
  std::size_t got = 0;
};

KeptWarden::KeptWarden(const LaneContext& context, const Lanes& lanes,
                       OwnedFd listener, Duration patience,
                       std::function<void()> exit)
    : context_{context},
      lanes_{lanes},
      listener_{context.main_io, listener.release()},
      timer_{context.main_io},
      empty_timer_{context.main_io},
      accept_timer_{context.main_io},
      core_{patience},
      exit_{std::move(exit)},
      connections_(lanes.size(), 0) {}

KeptWarden::~KeptWarden() = default;

void KeptWarden::begin() {
  perform(core_.on_begin(std::chrono::steady_clock::now()));
  accept();
}

void KeptWarden::accept() {
  listener_.async_wait(
      asio::posix::stream_descriptor::wait_read, [this](error_code error) {
        if (error)
          return;
        OwnedFd socket{::accept4(listener_.native_handle(), nullptr, nullptr,
                                 SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (socket.is_open() || errno == EAGAIN || errno == ECONNABORTED) {
          admit(std::move(socket));
          accept();
          return;
        }
        accept_timer_.expires_after(accept_pause);
        accept_timer_.async_wait([this](error_code stopped) {
          if (!stopped)
            accept();
        });
      });
}

void KeptWarden::admit(OwnedFd socket) {
  if (!socket.is_open() || !is_our_user(socket.get()))
    return;
  // The oldest is the one that has had the most time.
  if (strangers_.size() >= most_strangers)
    forget(strangers_.front());
  const auto stranger =
      std::make_shared<Stranger>(context_.main_io, socket.release());
  strangers_.push_back(stranger);
  stranger->deadline.expires_after(greeting_limit);
  stranger->deadline.async_wait(
      [this, weak = std::weak_ptr{stranger}](error_code stopped) {
        if (const auto late = weak.lock(); late && !stopped)
          forget(late);
      });
  hear(stranger);
}

void KeptWarden::hear(const std::shared_ptr<Stranger>& stranger) {
  stranger->socket.async_read_some(
      asio::buffer(stranger->bytes) + stranger->got,
      [this, weak = std::weak_ptr{stranger}](error_code error,
                                             std::size_t size) {
        const auto heard = weak.lock();
        if (!heard)
          return;
        heard->got += size;
        if (!error && heard->got < heard->bytes.size()) {
          hear(heard);
          return;
        }
        const auto greeting = wire::parse_greeting(
            {heard->bytes.data(), error ? 0 : heard->bytes.size()});
        if (greeting)
          serve(*greeting, OwnedFd{heard->socket.release()});
        forget(heard);
      });
}

/// Its connection ends, unless it has been served.
void KeptWarden::forget(const std::shared_ptr<Stranger>& stranger) {
  stranger->deadline.cancel();
  strangers_.erase(std::remove(strangers_.begin(), strangers_.end(), stranger),
                   strangers_.end());
}

void KeptWarden::serve(const wire::Greeting& greeting, OwnedFd socket) {
  if (greeting.version != wire::wire_version) {
    send_at_once(socket.get(), {});
    return;
  }
  const bool is_current = greeting.takeover == takeover_;
  if (greeting.lane == wire::end_lane) {
    if (is_current)
      perform(core_.on_told_to_end());
    return;
  }
  if (greeting.lane == 0)
    take_over();
  else if (!is_current || greeting.lane >= lanes_.size())
    return;
  attach(greeting.lane, std::move(socket));
}

/// The runner before loses all of its lanes at once, so that nothing it has
/// sent is obeyed once the next one has begun to ask what there is.
void KeptWarden::take_over() {
  ++takeover_;
  for (const auto& lane : lanes_)
    lane->disconnect();
  std::fill(connections_.begin(), connections_.end(), 0);
}

void KeptWarden::attach(std::uint32_t lane, OwnedFd socket) {
  const std::uint64_t connection = ++last_connection_;
  connections_[lane] = connection;
  lanes_[lane]->connect(
      std::move(socket),
      {.session = context_.session,
       .lanes = static_cast<std::uint32_t>(lanes_.size()),
       .takeover = takeover_},
      [this, lane, connection] {
        asio::post(context_.main_io,
                   [this, lane, connection] { lost(lane, connection); });
      });
  perform(core_.on_connected());
}

void KeptWarden::lost(std::uint32_t lane, std::uint64_t connection) {
  if (connections_[lane] != connection)
    return;  // Another one has taken its place.
  connections_[lane] = 0;
  if (std::all_of(connections_.begin(), connections_.end(),
                  [](std::uint64_t other) { return other == 0; }))
    perform(core_.on_alone(std::chrono::steady_clock::now()));
}

void KeptWarden::perform(const KeepCore::Actions& actions) {
  using Kind = KeepCore::Action::Kind;
  for (const auto& action : actions) {
    switch (action.kind) {
      case Kind::set_timer:
        set_timer(action.at);
        break;
      case Kind::stop_all:
        for (const auto& lane : lanes_)
          lane->stop_all();
        await_empty();
        break;
      case Kind::refuse:
        accept_timer_.cancel();
        listener_.close();
        strangers_.clear();
        take_over();
        break;
      case Kind::exit:
        exit_();
        break;
    }
  }
}

void KeptWarden::set_timer(TimePoint at) {
  timer_.expires_at(at);
  timer_.async_wait([this](error_code stopped) {
    if (!stopped)
      perform(core_.on_timer(std::chrono::steady_clock::now()));
  });
}

void KeptWarden::await_empty() {
  empty_timer_.expires_after(empty_interval);
  empty_timer_.async_wait([this](error_code stopped) {
    using State = KeepCore::State;
    const bool is_waited_for =
        core_.state() == State::leaving || core_.state() == State::ending;
    if (stopped || !is_waited_for)
      return;
    if (context_.running.load() == 0)
      perform(core_.on_empty());
    else
      await_empty();
  });
}

}  // namespace troupe::process
