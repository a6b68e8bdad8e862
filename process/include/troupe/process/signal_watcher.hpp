#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <csignal>
#include <functional>
#include <initializer_list>
#include <optional>
#include <sys/signalfd.h>

namespace troupe::process {

/// Turns signals to this process into calls on the I/O thread. Blocks them in
/// the calling thread for as long as it exists; threads started in between
/// inherit that, so construct it before the engine.
///
/// What this process was started to ignore stays ignored: nohup and a shell's
/// `&` rely on that, and a signalfd alone would see it all the same.
class SignalWatcher {
 public:
  using Handler = std::function<void(const signalfd_siginfo&)>;

  SignalWatcher(std::initializer_list<int> signals);
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;
  /// Must not outlive the io_context that it watches with.
  ~SignalWatcher();

  /// From now on calls `handler`, also for signals that came before. It learns
  /// who sent them (ssi_code, ssi_pid), see signalfd(2). Once.
  void watch(boost::asio::io_context& io, Handler handler);

  /// Stops watching; signals are blocked still. Repeating does nothing.
  void stop() { descriptor_.reset(); }

 private:
  void wait();

  sigset_t before_{};
  int fd_ = -1;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  Handler handler_;
};

}  // namespace troupe::process
