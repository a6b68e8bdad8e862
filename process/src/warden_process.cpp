#include "warden_process.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/process/companion.hpp>

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace troupe::process {
namespace {

/// One more than the highest descriptor that a program we start would inherit;
/// at least 3. All that is ours is close-on-exec.
int end_of_inherited() {
  namespace fs = std::filesystem;
  int end = STDERR_FILENO + 1;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{"/proc/self/fd", ignored}) {
    const int fd = std::atoi(entry.path().filename().c_str());
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
      end = std::max(end, fd + 1);
  }
  return end;
}

/// Closes what is left in it.
struct SocketPairs {
  std::vector<int> ours;
  std::vector<int> theirs;

  SocketPairs() = default;
  SocketPairs(const SocketPairs&) = delete;
  SocketPairs& operator=(const SocketPairs&) = delete;
  ~SocketPairs() {
    for (const int fd : ours)
      ::close(fd);
    for (const int fd : theirs)
      ::close(fd);
  }
};

/// What a warden is started with.
struct Launch {
  std::vector<std::string> arguments;
  std::vector<int> descriptors;  ///< Become `first` and those after it.
  int first = STDERR_FILENO + 1;
  bool without_streams = false;
  int flags = 0;  ///< POSIX_SPAWN_SETPGROUP, POSIX_SPAWN_SETSID.
};

/// Above the targets of dup2, which must not overwrite a source. Negative on
/// failure.
int lift(int fd, int first_free) {
  return ::fcntl(fd, F_DUPFD_CLOEXEC, first_free);
}

Result<WardenProcess> launch(const WardenOptions& options, Launch launch) {
  const auto program = options.program.empty()
                           ? companion_program("troupe-warden", "TROUPE_WARDEN")
                           : options.program;
  if (!program)
    return tl::unexpected(program.error());
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  for (int fd = 0; launch.without_streams && fd <= STDERR_FILENO; ++fd)
    ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  int target = launch.first;
  for (const int fd : launch.descriptors)
    ::posix_spawn_file_actions_adddup2(&actions, fd, target++);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, target);
  ::posix_spawnattr_setsigmask(&attributes, &options.signal_mask);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(
      &attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | launch.flags));

  if (options.no_new_privileges)
    launch.arguments.emplace_back(no_new_privileges_word);
  std::string name = "troupe-warden";
  std::vector<char*> argv{name.data()};
  for (std::string& argument : launch.arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  WardenProcess warden;
  const int error = ::posix_spawn(&warden.pid, program->c_str(), &actions,
                                  &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot start {}", *program), error));
  warden.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, warden.pid, 0));
  return warden;
}

}  // namespace

Result<WardenProcess> spawn_warden(const WardenOptions& options, unsigned lanes,
                                   const std::string& nonce) {
  const int first_socket =
      options.inherit_descriptors ? end_of_inherited() : STDERR_FILENO + 1;
  SocketPairs pairs;
  for (unsigned i = 0; i < lanes; ++i) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return tl::unexpected(system_error("socketpair", errno));
    pairs.ours.push_back(ends[0]);
    const int lifted = lift(ends[1], first_socket + static_cast<int>(lanes));
    ::close(ends[1]);
    if (lifted < 0)
      return tl::unexpected(system_error("socketpair", errno));
    pairs.theirs.push_back(lifted);
  }
  auto warden = launch(
      options, {.arguments = {fmt::format("{}", first_socket),
                              fmt::format("{}", lanes), nonce},
                .descriptors = pairs.theirs,
                .first = first_socket,
                .flags = options.in_our_group ? 0 : POSIX_SPAWN_SETPGROUP});
  if (warden)
    warden->sockets = std::exchange(pairs.ours, {});
  return warden;
}

Result<WardenProcess> spawn_kept_warden(const WardenOptions& options,
                                        unsigned lanes,
                                        const std::string& session,
                                        int listener, int lock) {
  constexpr int first = STDERR_FILENO + 1;
  const OwnedFd lifted_listener{lift(listener, first + 2)};
  const OwnedFd lifted_lock{lift(lock, first + 2)};
  if (!lifted_listener.is_open() || !lifted_lock.is_open())
    return tl::unexpected(system_error("fcntl", errno));
  const auto folder = std::filesystem::absolute(options.keep->folder);
  return launch(
      options,
      {.arguments = {fmt::format("{}", first), fmt::format("{}", lanes),
                     session, folder.string(),
                     fmt::format("{}", options.keep->patience.count())},
       .descriptors = {lifted_listener.get(), lifted_lock.get()},
       .first = first,
       .without_streams = true,
       .flags = POSIX_SPAWN_SETSID});
}

void await_warden(WardenProcess& warden, Duration limit) {
  if (warden.pidfd < 0)
    return;
  pollfd exit{.fd = warden.pidfd, .events = POLLIN, .revents = 0};
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  if (::poll(&exit, 1, static_cast<int>(ms)) == 0) {
    ::syscall(SYS_pidfd_send_signal, warden.pidfd, SIGKILL, nullptr, 0);
    ::poll(&exit, 1, -1);
  }
  siginfo_t info{};
  ::waitid(P_PIDFD, static_cast<id_t>(warden.pidfd), &info, WEXITED);
  ::close(warden.pidfd);
  warden = {};
}

}  // namespace troupe::process
