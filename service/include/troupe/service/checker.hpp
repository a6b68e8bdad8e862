#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/service/service_spec.hpp>

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>

namespace troupe::service {

/// One question to a service. Never used twice by a checker.
using CheckId = Id<struct CheckTag>;

/// Runs on the I/O thread and may do nothing but post a message.
using CheckHandler = std::function<void(Result<void> answer)>;

/// Asks running services how they are, and is the seam for fakes. `start` and
/// `cancel` never block and may be called from any thread; they take effect on
/// the I/O thread, in the order in which one thread calls them. How many checks
/// run at once is up to the callers: there is no queue in here.
class Checker {
 public:
  virtual ~Checker() = default;

  /// Performs an ExecCheck, HttpCheck or TcpCheck once. `done` is called
  /// exactly once unless the check is cancelled, never from within `start`, and
  /// as soon as `limit` has passed at the latest. `limit` counts from this call
  /// and is longer than zero.
  ///
  /// The answer is nothing if all is well, else an Error whose `what` tells a
  /// person why, without naming the check:
  ///   unavailable       "connection refused", "answered 503",
  ///                     "exited with 1: <last line of its output>"
  ///   timed_out         "no answer within 5s"
  ///   corrupt           what answered does not speak HTTP
  ///   not_found         no such host; no such program
  ///   invalid_argument  host or target cannot stand in a request
  ///   overloaded        no descriptors or processes left; says nothing about
  ///                     the service
  ///
  /// Asking for a LogCheck or a NotifyCheck is a mistake of the caller: these
  /// are told, not asked.
  virtual CheckId start(const Check& check, Duration limit,
                        CheckHandler done) = 0;

  /// Gives a check up: its connection is closed, or what its command has
  /// started is killed. Once this has been performed on the I/O thread, `done`
  /// is not called any more; until then it may be, also if the caller is on
  /// that thread. Unknown and finished checks are ignored.
  virtual void cancel(CheckId id) = 0;
};

/// The Checker for real services.
///
/// A connection is tried with each address of the host, one after the other;
/// `localhost` is ::1 and 127.0.0.1 without asking anybody. Other names are
/// looked up by a thread of Asio's, one at a time: a look-up that is given up
/// goes on there, delays those after it, and is waited for when `io` is
/// destroyed. HTTP is one GET without TLS; redirects are not followed, and
/// nothing after the head of the answer is read, whose status line and fields
/// may have 8 KiB each.
///
/// A command is run by `runner` as the first attempt of a command whose id
/// comes from `next_command`, which is called on the I/O thread and must not
/// give out an id that `runner` knows. It is limited to the check's `limit`,
/// then gets its polite signal, and is killed when its grace has passed, at
/// most a second later; so it may outlive the call of `done` by that much. The
/// last 4 KiB of its output are kept until then.
///
/// `io` must be run by one thread and, like `runner`, outlive the checker. The
/// checker is destroyed on that thread or while it does not run, which cancels
/// all checks; a `done` may do so, too.
[[nodiscard]] std::unique_ptr<Checker> make_checker(
    boost::asio::io_context& io, process::CommandRunner& runner,
    std::function<CommandId()> next_command);

}  // namespace troupe::service
