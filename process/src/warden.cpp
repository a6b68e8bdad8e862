/// troupe-warden SOCKET LANES NONCE [no-new-privileges]
/// troupe-warden SOCKET LANES SESSION FOLDER PATIENCE [no-new-privileges]
///
/// The parent and subreaper of every command. It obeys frames (wire.hpp) and
/// ignores every signal that can be ignored, so that a Ctrl-C meant for a
/// command cannot take it down.
///
/// In the first form it has LANES sockets, numbered from SOCKET, that troupe
/// left open for it (what is open below them is for the commands), and ends as
/// soon as troupe closes one of them, by intention or by dying: it kills
/// whatever runs and exits.
///
/// In the second form it is kept. SOCKET listens, and the descriptor after it
/// is the lock of FOLDER (warden_folder.hpp). Runners come and go; without one
/// for PATIENCE nanoseconds, it stops all commands politely and exits.
///
/// The main thread starts no commands: its children are the orphans that the
/// sweeper looks for (tree_sweeper.hpp).
#include "kept_warden.hpp"
#include "tree_sweeper.hpp"
#include "warden_folder.hpp"
#include "warden_lane.hpp"
#include "warden_process.hpp"

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
#include <memory>
#include <optional>
#include <string>
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

/// What the command line says.
struct Arguments {
  int first_socket = 0;
  int lanes = 0;
  std::string session;
  std::string folder;  ///< Empty for a warden that is not kept.
  Duration patience{0};
  bool no_new_privileges = false;

  [[nodiscard]] bool is_kept() const { return !folder.empty(); }
};

std::optional<Arguments> parse(int argc, char** argv) {
  const bool no_new_privileges =
      argc > 1 && argv[argc - 1] == no_new_privileges_word;
  if (no_new_privileges)
    --argc;
  if (argc != 4 && argc != 6)
    return std::nullopt;
  const auto socket = parse_count(argv[1]);
  const auto lanes = parse_count(argv[2]);
  if (!socket || *socket <= STDERR_FILENO || *socket > most_sockets || !lanes ||
      *lanes == 0 || *lanes > most_lanes)
    return std::nullopt;
  Arguments arguments{.first_socket = static_cast<int>(*socket),
                      .lanes = static_cast<int>(*lanes),
                      .session = argv[3],
                      .folder = {},
                      .no_new_privileges = no_new_privileges};
  if (argc == 4)
    return arguments;
  const auto patience = parse_count(argv[5]);
  if (!patience || *patience > static_cast<std::uint64_t>(INT64_MAX))
    return std::nullopt;
  arguments.folder = argv[4];
  arguments.patience = Duration{static_cast<Duration::rep>(*patience)};
  return arguments;
}

/// The descriptor, and with it the lock, stays until the process ends. Without
/// the signature no other runner could tell who we are.
bool sign(int lock, const std::string& session) {
  const auto self = stat_of(::getpid());
  if (!self)
    return false;
  const std::string text = to_text({self->identity(), session});
  return ::ftruncate(lock, 0) == 0 &&
         ::pwrite(lock, text.data(), text.size(), 0) ==
             static_cast<ssize_t>(text.size());
}

/// Everything that the main thread has, for the life of the process.
class Warden {
 public:
  Warden(Arguments arguments, const sigset_t& original_mask, bool ignored_child)
      : arguments_{std::move(arguments)},
        sweeper_{io_, running_},
        reaper_{io_, sweeper_},
        cgroups_{Cgroups::own_folder(), ::getppid()},
        context_{.main_io = io_,
                 .sweeper = sweeper_,
                 .orphans = orphans_,
                 .cgroups = cgroups_,
                 .running = running_,
                 .launching = launching_,
                 .last_launch = last_launch_,
                 .session = arguments_.session,
                 .is_kept = arguments_.is_kept(),
                 .original_mask = original_mask,
                 .original_nofile = raise_open_files(),
                 .ignored_child = ignored_child,
                 .null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC),
                 .environment = InheritedEnvironment{environ}} {}

  int run() {
    start_lanes();
    if (arguments_.is_kept())
      await_runners();
    else
      connect_lanes();
    io_.run();
    return EXIT_FAILURE;
  }

 private:
  void start_lanes() {
    for (int lane = 0; lane < arguments_.lanes; ++lane) {
      lanes_.push_back(make_lane(context_));
      threads_.emplace_back([&added = *lanes_.back()] { added.run(); });
    }
  }

  void connect_lanes() {
    for (int lane = 0; lane < arguments_.lanes; ++lane)
      lanes_[static_cast<std::size_t>(lane)]->connect(
          OwnedFd{arguments_.first_socket + lane},
          {.session = arguments_.session,
           .lanes = static_cast<std::uint32_t>(arguments_.lanes)},
          [this] { asio::post(io_, [this] { end(); }); });
  }

  void await_runners() {
    kept_ = std::make_unique<KeptWarden>(
        context_, lanes_, OwnedFd{arguments_.first_socket}, arguments_.patience,
        [this] { end(); });
    kept_->begin();
  }

  /// Ends the process with the lanes still in it: they hold nothing that
  /// outlives it, and waiting for them could only delay the end. But for the
  /// commands themselves, which would become zombies of troupe.
  void end() {
    if (std::exchange(ending_, true))
      return;
    sweeper_.kill_tree(Tree{}, [this](SweepReport) {
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      if (arguments_.is_kept())
        ::unlink((arguments_.folder + "/" + warden_socket_name).c_str());
      ::_exit(0);
    });
  }

  Arguments arguments_;
  asio::io_context io_{1};
  std::atomic<int> running_{0};
  std::atomic<int> launching_{0};
  std::atomic<TimePoint> last_launch_{TimePoint{}};
  TreeSweeper sweeper_;
  Reaper reaper_;
  Cgroups cgroups_;
  ThreadChildren orphans_{::getpid(), ::getpid()};
  LaneContext context_;
  KeptWarden::Lanes lanes_;
  std::vector<std::thread> threads_;
  std::unique_ptr<KeptWarden> kept_;
  bool ending_ = false;
};

int run(Arguments arguments) {
  // Before there is a second thread: it is inherited, and never taken back.
  if (arguments.no_new_privileges &&
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return EXIT_FAILURE;
  const int sockets = arguments.is_kept() ? 2 : arguments.lanes;
  for (int i = 0; i < sockets; ++i)
    ::fcntl(arguments.first_socket + i, F_SETFD, FD_CLOEXEC);
  if (arguments.is_kept() &&
      !sign(arguments.first_socket + 1, arguments.session))
    return EXIT_FAILURE;
  sigset_t every;
  sigset_t original_mask;
  sigfillset(&every);
  ::sigprocmask(SIG_SETMASK, &every, &original_mask);
  // Ignored, it would have the kernel reap commands before we have seen them.
  const bool ignored_child = ::signal(SIGCHLD, SIG_DFL) == SIG_IGN;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  return Warden{std::move(arguments), original_mask, ignored_child}.run();
}

}  // namespace
}  // namespace troupe::process

int main(int argc, char** argv) {
  troupe::exit_on_exception();
  auto arguments = troupe::process::parse(argc, argv);
  if (!arguments) {
    std::fputs("troupe-warden is started by troupe, not by hand\n", stderr);
    return 2;
  }
  return troupe::process::run(std::move(*arguments));
}
