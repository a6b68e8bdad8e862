/// troupe-warden LANES NONCE
///
/// The parent and subreaper of every command. It obeys frames (wire.hpp) on
/// the sockets 3 to 2+LANES that troupe left open for it, and ends as soon as
/// troupe closes one of them, by intention or by dying: it kills whatever runs
/// and exits. It ignores every signal that can be ignored, so that a Ctrl-C
/// meant for a command cannot take it down.
///
/// The main thread starts no commands: its children are the orphans that the
/// sweeper looks for (tree_sweeper.hpp).
#include "tree_sweeper.hpp"
#include "warden_lane.hpp"

#include <troupe/base/quantity.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::process {
namespace {

namespace asio = boost::asio;

constexpr int first_socket = 3;
constexpr std::uint64_t most_lanes = 64;

/// Ended orphans are waited for at most this often; many commands end in
/// between, and each of them sends SIGCHLD.
constexpr Duration reap_interval = 50ms;

/// Reaps orphans after SIGCHLD, for ever.
class Reaper {
 public:
  Reaper(asio::io_context& io, TreeSweeper& sweeper)
      : sweeper_{sweeper}, signals_{io}, pause_{io} {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    signals_.assign(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    wait();
  }

 private:
  void wait() {
    signals_.async_wait(
        asio::posix::stream_descriptor::wait_read, [this](const auto& error) {
          if (error)
            return;
          sweeper_.reap_orphans();
          pause_.expires_after(reap_interval);
          pause_.async_wait([this](const auto&) {
            signalfd_siginfo seen;
            while (::read(signals_.native_handle(), &seen, sizeof seen) > 0) {
            }
            sweeper_.reap_orphans();
            wait();
          });
        });
  }

  TreeSweeper& sweeper_;
  asio::posix::stream_descriptor signals_;
  asio::steady_timer pause_;
};

rlimit raise_open_files() {
  rlimit original{};
  ::getrlimit(RLIMIT_NOFILE, &original);
  rlimit raised = original;
  raised.rlim_cur = raised.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &raised);
  return original;
}

int run(std::uint64_t lanes, const char* nonce) {
  sigset_t every;
  sigset_t original_mask;
  sigfillset(&every);
  ::sigprocmask(SIG_SETMASK, &every, &original_mask);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);

  asio::io_context io{1};
  std::atomic<int> running{0};
  TreeSweeper sweeper{io, running};
  Reaper reaper{io, sweeper};
  const LaneContext context{.main_io = io,
                            .sweeper = sweeper,
                            .running = running,
                            .nonce = nonce,
                            .original_mask = original_mask,
                            .original_nofile = raise_open_files(),
                            .null_fd = null_fd,
                            .environment = environ};

  bool ending = false;
  const auto on_closed = [&] {
    asio::post(io, [&] {
      if (std::exchange(ending, true))
        return;
      // Ends the process with the lanes still in it: they hold nothing that
      // outlives it, and waiting for them could only delay the end. But for
      // the commands themselves, which would become zombies of troupe.
      sweeper.kill_tree(Tree{}, [](SweepReport) {
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {
        }
        ::_exit(0);
      });
    });
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < lanes; ++i) {
    const int socket = first_socket + static_cast<int>(i);
    ::fcntl(socket, F_SETFD, FD_CLOEXEC);
    threads.emplace_back([&, socket] { run_lane(context, socket, on_closed); });
  }
  io.run();
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace troupe::process

int main(int argc, char** argv) {
  using namespace troupe;
  const auto lanes = argc == 3 ? parse_count(argv[1])
                               : failure(Errc::invalid_argument, "usage");
  if (!lanes || *lanes < 1 || *lanes > process::most_lanes) {
    std::fputs("troupe-warden is started by troupe, not by hand\n", stderr);
    return 2;
  }
  return process::run(*lanes, argv[2]);
}
