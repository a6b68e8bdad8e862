#include <troupe/base/owned_fd.hpp>
#include <troupe/base/random_name.hpp>
#include <troupe/base/time.hpp>
#include <troupe/service/notify_socket.hpp>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace troupe::service {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// 3,200 datagrams a second: far more than a service has to say, and little
// enough for one actor. A watchdog or barrier waits 10 ms longer at most.
constexpr int most_per_turn = 32;
constexpr auto between_datagram_turns = 10ms;

/// A name that was used before must not come again soon: what is left of an
/// earlier service could speak for a later one. 32 bits at random, and the
/// kernel refuses one that is there.
constexpr int most_names = 8;

Result<OwnedFd> bind_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return failure(
        Errc::invalid_argument,
        fmt::format("{}: has {} bytes, but the path of a socket may have {}; "
                    "use a folder with a shorter name",
                    path, path.size(), sizeof address.sun_path - 1));
  std::memcpy(&address.sun_path[0], path.c_str(), path.size() + 1);

  OwnedFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.is_open())
    return tl::unexpected(system_error("socket", errno));
  const auto* const any = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(fd.get(), any, sizeof address) != 0) {
    const int error = errno == EADDRINUSE ? EEXIST : errno;
    return tl::unexpected(system_error(path, error));
  }
  return fd;
}

}  // namespace

/// Everything but construction happens on the I/O thread.
class NotifySocket::Receiver : public std::enable_shared_from_this<Receiver> {
 public:
  Receiver(asio::io_context& io, NotificationHandler on_message)
      : io_{io}, socket_{io}, pause_{io}, on_message_{std::move(on_message)} {}

  Result<void> adopt(OwnedFd fd) {
    error_code error;
    socket_.assign(asio::local::datagram_protocol{}, fd.get(), error);
    if (error)
      return tl::unexpected(system_error("socket", error.value()));
    (void)fd.release();
    return {};
  }

  void begin() {
    asio::post(io_, [self = shared_from_this()] { self->wait(); });
  }

  void end() {
    asio::dispatch(io_, [self = shared_from_this()] {
      error_code ignored;
      self->socket_.close(ignored);
      self->pause_.cancel();
    });
  }

 private:
  void wait() {
    if (!socket_.is_open())
      return;
    socket_.async_wait(asio::socket_base::wait_read,
                       [self = shared_from_this()](error_code error) {
                         if (!error)
                           self->read_turn();
                       });
  }

  void read_turn() {
    for (int i = 0; i < most_per_turn && socket_.is_open() && read_one(); ++i) {
    }
    pause_.expires_after(between_datagram_turns);
    pause_.async_wait([self = shared_from_this()](error_code) {
      self->wait();  // Does nothing once the socket is closed.
    });
  }

  /// False if nothing is there.
  bool read_one() {
    // There is no room for control messages, so the kernel closes descriptors
    // that come along instead of handing them over, see unix(7).
    const ssize_t size = ::recv(socket_.native_handle(), buffer_.data(),
                                buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0)
      return errno == EINTR;
    const auto length = static_cast<std::size_t>(size);
    if (length > buffer_.size())
      return true;
    const Notification said = parse_notification({buffer_.data(), length});
    if (said != Notification{})
      on_message_(said);
    return true;
  }

  asio::io_context& io_;
  asio::local::datagram_protocol::socket socket_;
  asio::steady_timer pause_;
  NotificationHandler on_message_;
  std::array<char, max_notification_bytes> buffer_{};
};

NotifySocket::NotifySocket(std::string path, std::shared_ptr<Receiver> receiver)
    : path_{std::move(path)}, receiver_{std::move(receiver)} {}

NotifySocket::~NotifySocket() {
  ::unlink(path_.c_str());
  receiver_->end();
}

Result<std::unique_ptr<NotifySocket>> NotifySocket::open(
    asio::io_context& io, const std::string& folder,
    NotificationHandler on_message) {
  if (!folder.starts_with('/'))
    return failure(Errc::invalid_argument,
                   fmt::format("{}: the folder of a notification socket must "
                               "be an absolute path",
                               folder));
  for (int left = most_names;; --left) {
    std::string path = fmt::format("{}/{}", folder, random_name(1));
    auto fd = bind_socket(path);
    if (!fd) {
      if (fd.error().code == Errc::already_exists && left > 1)
        continue;
      return tl::unexpected(
          std::move(fd.error()).within("notification socket"));
    }
    auto receiver = std::make_shared<Receiver>(io, std::move(on_message));
    if (auto adopted = receiver->adopt(std::move(*fd)); !adopted) {
      ::unlink(path.c_str());
      return tl::unexpected(
          std::move(adopted.error()).within("notification socket"));
    }
    receiver->begin();
    return std::unique_ptr<NotifySocket>{
        new NotifySocket{std::move(path), std::move(receiver)}};
  }
}

}  // namespace troupe::service
