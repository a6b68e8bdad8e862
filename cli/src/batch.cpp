#include "batch.hpp"

#include "printer_actor.hpp"

#include <troupe/actors/process_stop.hpp>
#include <troupe/process/signal_watcher.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

/// The first ends the jobs, the second what would still be done for a tidy
/// end. After that somebody does not want to wait, perhaps for a reader that
/// has stopped.
constexpr int most_end_requests = 2;

/// A terminal that takes no text, or a warden that does not answer, must not
/// keep Ctrl-Z from working.
constexpr Duration longest_suspend = 1s;

/// Stops this process as a shell with job control expects it, until somebody
/// continues it. Blocks meanwhile; without a shell that could continue us the
/// kernel returns at once.
void stop_this_process() {
  sigset_t suspend;
  sigemptyset(&suspend);
  sigaddset(&suspend, SIGTSTP);
  actors::expect_process_stop();
  std::raise(SIGTSTP);
  ::pthread_sigmask(SIG_UNBLOCK, &suspend, nullptr);
  ::pthread_sigmask(SIG_BLOCK, &suspend, nullptr);
}

/// Passes what the user wants on to the dispatcher. Lives on the I/O thread.
class Batch {
 public:
  Batch(node::Engine& engine, bool needs_output)
      : engine_{engine},
        needs_output_{needs_output},
        suspend_timer_{engine.io()} {}

  void run(process::SignalWatcher& signals,
           const StartDispatcher& start_dispatcher) {
    auto printer =
        spawn_printer(engine_.system(), [this](int fd, int errno_value) {
          if (fd == STDOUT_FILENO)
            on_output_broken(errno_value);
        });
    dispatcher_ =
        start_dispatcher(engine_, printer, [this] { engine_.stop(); });
    signals.watch(engine_.io(), [this](const signalfd_siginfo& info) {
      on_signal(static_cast<int>(info.ssi_signo));
    });
    engine_.run();
    signals.stop();
    dispatcher_ = nullptr;
    actors::stop(printer);
  }

  [[nodiscard]] BatchEnd end() const {
    const int error = output_error_;
    const bool no_reader = error == EPIPE;
    return {.by_signal = by_signal_ == 0 && no_reader ? SIGPIPE : by_signal_,
            .output_lost = error != 0 && !no_reader};
  }

 private:
  /// On the printer's thread. If this was the last output, the I/O thread does
  /// not hear of it any more.
  void on_output_broken(int errno_value) {
    if (errno_value != EPIPE)
      complain(
          system_error("cannot write to standard output", errno_value).what);
    if (errno_value != EPIPE && !needs_output_)
      return;
    output_error_ = errno_value;
    boost::asio::post(engine_.io(), [this, errno_value] {
      if (errno_value == EPIPE)
        end_jobs(SIGPIPE);
      else
        actors::send(dispatcher_, EndJobs{});
    });
  }

  void on_signal(int signal) {
    if (signal == SIGTSTP) {
      suspend();
    } else if (signal == SIGINT && by_signal_ == 0) {
      by_signal_ = SIGINT;
      actors::send(dispatcher_, StopStarting{});
    } else {
      end_jobs(signal);
    }
  }

  void end_jobs(int signal) {
    by_signal_ = signal;
    if (++end_requests_ > most_end_requests)
      std::_Exit(128 + signal);
    actors::send(dispatcher_, EndJobs{});
  }

  /// In three steps, each of which may be the one that does not come: the
  /// dispatcher is ready, the commands stand still, we stop.
  void suspend() {
    if (suspending_)
      return;
    suspending_ = true;
    suspend_timer_.expires_after(longest_suspend);
    suspend_timer_.async_wait([this](const auto& error) {
      if (!error)
        stop_until_continued();
    });
    actors::send(dispatcher_, Suspend{[this] {
                   boost::asio::post(engine_.io(), [this] { pause_jobs(); });
                 }});
  }

  void pause_jobs() {
    if (suspending_)
      engine_.pause([this] { stop_until_continued(); });
  }

  void stop_until_continued() {
    if (!std::exchange(suspending_, false))
      return;
    suspend_timer_.cancel();
    stop_this_process();
    engine_.resume();
    actors::send(dispatcher_, Resume{});
  }

  node::Engine& engine_;
  bool needs_output_;
  boost::asio::steady_timer suspend_timer_;
  actors::ActorRef dispatcher_;
  bool suspending_ = false;
  int end_requests_ = 0;
  int by_signal_ = 0;
  std::atomic<int> output_error_ = 0;
};

}  // namespace

BatchEnd run_batch(const Startup& startup, std::uint64_t max_commands,
                   const StartDispatcher& start_dispatcher, bool needs_output) {
  process::SignalWatcher signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
  auto engine = node::Engine::start({.signal_mask = startup.signal_mask,
                                     .max_commands = max_commands,
                                     .crashes = crashes_for_test()});
  if (!engine) {
    complain(engine.error().what);
    return {.exit_code = exit_troupe_failed};
  }
  raise_open_files();
  Batch batch{**engine, needs_output};
  batch.run(signals, start_dispatcher);
  if (auto ended = (*engine)->shutdown(); !ended) {
    complain(ended.error().what);
    std::_Exit(exit_troupe_failed);
  }
  return batch.end();
}

}  // namespace troupe::cli
