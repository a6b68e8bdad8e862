#pragma once

#include <troupe/base/error.hpp>
#include <troupe/process/command_runner.hpp>

#include <boost/asio/io_context.hpp>

#include <csignal>
#include <functional>
#include <memory>
#include <string>

namespace troupe::process {

struct WardenOptions {
  /// The file of the program; empty looks beside our own executable, then in
  /// ../libexec/troupe. TROUPE_WARDEN in the environment overrides both.
  std::string program;
  /// Threads that start commands; zero means one per processor.
  unsigned lanes = 0;
  /// The mask that commands shall start with: ours at the start of main.
  sigset_t signal_mask{};
  /// Commands get the descriptors above 2 that this process was started with
  /// (those that are not close-on-exec), as they would from a shell.
  bool inherit_descriptors = false;
  /// The warden stays in our process group, as commands in the foreground of a
  /// terminal need it. Otherwise it has one of its own, so that a SIGKILL to
  /// all of ours (timeout -s KILL, a CI runner) leaves it to end the commands.
  bool in_our_group = false;
};

/// The CommandRunner for real work: it starts a troupe-warden, tells it what to
/// run, and passes on what it says. If the warden dies, every command dies with
/// it and is reported as RunnerLost; the next start brings a new warden, up to
/// five times a minute.
class WardenRunner : public CommandRunner {
 public:
  /// Starts the warden. `io` must be run by one thread, on which handlers and
  /// sinks are called, and must outlive the runner's `close`.
  ///
  /// Errors: not_found (no such program), overloaded (no processes or
  /// descriptors left).
  [[nodiscard]] static Result<std::unique_ptr<WardenRunner>> create(
      boost::asio::io_context& io, WardenOptions options);

  /// Stops every process of every command (SIGSTOP) and the clocks of their
  /// limits; what is started meanwhile stops at once. `done` is called on the
  /// I/O thread when they stand still, or when there is no warden. From any
  /// thread; before the `done` of the last call it must not be repeated.
  virtual void pause(std::function<void()> done) = 0;

  /// Lets them go on. Ignored if they were not paused.
  virtual void resume() = 0;

  /// Kills what still runs and waits for the end of the warden, at most
  /// `limit`. Called after the I/O thread has stopped. Repeating does nothing.
  virtual void close(Duration limit) = 0;
};

}  // namespace troupe::process
