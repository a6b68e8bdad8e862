#pragma once

#include <troupe/base/error.hpp>
#include <troupe/service/notification.hpp>

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>

namespace troupe::service {

/// Largest datagram that is read, in bytes; larger ones are dropped.
inline constexpr std::size_t max_notification_bytes = 4096;

/// Runs on the I/O thread and may do nothing but post a message. It may destroy
/// the socket.
using NotificationHandler = std::function<void(const Notification&)>;

/// The receiving side of sd_notify(3): a datagram socket in a folder, which a
/// service finds by the variable NOTIFY_SOCKET. Who may send is up to the
/// permissions of the folder.
///
/// At most 32 datagrams are read every 10 ms. More than that wait in the
/// kernel, and then their senders do: a flood neither starves the I/O thread
/// nor fills a mailbox. Descriptors that come with a datagram, as with
/// BARRIER=1, are closed when it is read and never become ours.
class NotifySocket {
 public:
  /// Makes a socket with a name of its own in `folder`, which exists and should
  /// have mode 0700. `on_message` is called for each datagram that says
  /// something. From any thread; `io` must be run by one.
  ///
  /// Errors: invalid_argument (`folder` is not absolute, or the path would be
  /// longer than the 107 bytes that a socket's may have), those of the system
  /// (no such folder, not ours, no descriptors left).
  [[nodiscard]] static Result<std::unique_ptr<NotifySocket>> open(
      boost::asio::io_context& io, const std::string& folder,
      NotificationHandler on_message);

  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  /// Removes the file at once and closes the socket: on the I/O thread at once,
  /// and then `on_message` is not called any more; from another thread as soon
  /// as the I/O thread gets to it, and until then it may be.
  ~NotifySocket();

  /// The value for NOTIFY_SOCKET: an absolute path.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  class Receiver;
  NotifySocket(std::string path, std::shared_ptr<Receiver> receiver);

  std::string path_;
  std::shared_ptr<Receiver> receiver_;
};

}  // namespace troupe::service
