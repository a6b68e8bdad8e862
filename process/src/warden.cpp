/// troupe-warden SOCKET LANES NONCE
///
/// The parent and subreaper of every command. It obeys frames (wire.hpp) on
/// LANES sockets, numbered from SOCKET, that troupe left open for it (what is
/// open below them is for the commands), and ends as soon as
/// troupe closes one of them, by intention or by dying: it kills whatever runs
/// and exits. It ignores every signal that can be ignored, so that a Ctrl-C
/// meant for a command cannot take it down.
///
/// The main thread starts no commands: its children are the orphans that the
/// sweeper looks for (tree_sweeper.hpp).
#include "tree_sweeper.hpp"
#include "warden_lane.hpp"

#include <troupe/base/assert.hpp>
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

constexpr std::uint64_t most_sockets = 1 << 20;
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

int run(int first_socket, int lanes, const char* nonce) {
  for (int lane = 0; lane < lanes; ++lane)
    ::fcntl(first_socket + lane, F_SETFD, FD_CLOEXEC);
  sigset_t every;
  sigset_t original_mask;
  sigfillset(&every);
  ::sigprocmask(SIG_SETMASK, &every, &original_mask);
  // Ignored, it would have the kernel reap commands before we have seen them.
  const bool ignored_child = ::signal(SIGCHLD, SIG_DFL) == SIG_IGN;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);

  asio::io_context io{1};
  std::atomic<int> running{0};
  TreeSweeper sweeper{io, running};
  Reaper reaper{io, sweeper};
  Cgroups cgroups{Cgroups::own_folder(), ::getppid()};
  const LaneContext context{.main_io = io,
                            .sweeper = sweeper,
                            .cgroups = cgroups,
                            .running = running,
                            .nonce = nonce,
                            .original_mask = original_mask,
                            .original_nofile = raise_open_files(),
                            .ignored_child = ignored_child,
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
  threads.reserve(static_cast<std::size_t>(lanes));
  for (int lane = 0; lane < lanes; ++lane)
    threads.emplace_back([&, socket = first_socket + lane] {
      run_lane(context, socket, on_closed);
    });
  io.run();
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace troupe::process

int main(int argc, char** argv) {
  troupe::exit_on_exception();
  namespace process = troupe::process;
  const auto number = [&](int index, std::uint64_t most) {
    const auto count = argc == 4 ? troupe::parse_count(argv[index]) : 0;
    return count && *count <= most ? static_cast<int>(*count) : 0;
  };
  const int first_socket = number(1, process::most_sockets);
  const int lanes = number(2, process::most_lanes);
  if (first_socket <= STDERR_FILENO || lanes == 0) {
    std::fputs("troupe-warden is started by troupe, not by hand\n", stderr);
    return 2;
  }
  return process::run(first_socket, lanes, argv[3]);
}
