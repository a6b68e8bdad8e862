#include "warden_process.hpp"

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

namespace troupe::process {
namespace {

Result<std::string> find_program(const WardenOptions& options) {
  namespace fs = std::filesystem;
  if (!options.program.empty())
    return options.program;
  if (const char* const given = std::getenv("TROUPE_WARDEN"))
    return std::string{given};
  std::error_code ignored;
  const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
  for (const fs::path& path :
       {self.parent_path() / "troupe-warden",
        self.parent_path() / "../libexec/troupe/troupe-warden"}) {
    if (::access(path.c_str(), X_OK) == 0)
      return path.string();
  }
  return failure(Errc::not_found,
                 fmt::format("cannot find troupe-warden beside {}; set "
                             "TROUPE_WARDEN to its path",
                             self.string()));
}

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

}  // namespace

Result<WardenProcess> spawn_warden(const WardenOptions& options, unsigned lanes,
                                   const std::string& nonce) {
  const auto program = find_program(options);
  if (!program)
    return tl::unexpected(program.error());

  const int first_socket =
      options.inherit_descriptors ? end_of_inherited() : STDERR_FILENO + 1;
  SocketPairs pairs;
  for (unsigned i = 0; i < lanes; ++i) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return tl::unexpected(system_error("socketpair", errno));
    pairs.ours.push_back(ends[0]);
    // Lifted above the targets of dup2, which must not overwrite a source.
    const int lifted = ::fcntl(ends[1], F_DUPFD_CLOEXEC,
                               first_socket + static_cast<int>(lanes));
    ::close(ends[1]);
    if (lifted < 0)
      return tl::unexpected(system_error("socketpair", errno));
    pairs.theirs.push_back(lifted);
  }

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  int target = first_socket;
  for (const int fd : pairs.theirs)
    ::posix_spawn_file_actions_adddup2(&actions, fd, target++);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, target);
  ::posix_spawnattr_setsigmask(&attributes, &options.signal_mask);
  short flags = POSIX_SPAWN_SETSIGMASK;
  if (!options.in_our_group)
    flags |= POSIX_SPAWN_SETPGROUP;
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, flags);

  std::string name = "troupe-warden";
  std::string socket_number = fmt::format("{}", first_socket);
  std::string lane_count = fmt::format("{}", lanes);
  std::string nonce_copy = nonce;
  char* const argv[] = {name.data(), socket_number.data(), lane_count.data(),
                        nonce_copy.data(), nullptr};
  WardenProcess warden;
  const int error = ::posix_spawn(&warden.pid, program->c_str(), &actions,
                                  &attributes, argv, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return tl::unexpected(
        system_error(fmt::format("cannot start {}", *program), error));
  warden.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, warden.pid, 0));
  warden.sockets = std::move(pairs.ours);
  pairs.ours.clear();
  return warden;
}

void await_warden(WardenProcess& warden, Duration limit) {
  if (warden.pidfd < 0)
    return;
  pollfd exit{.fd = warden.pidfd, .events = POLLIN, .revents = 0};
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  if (::poll(&exit, 1, static_cast<int>(ms)) == 0)
    ::syscall(SYS_pidfd_send_signal, warden.pidfd, SIGKILL, nullptr, 0);
  siginfo_t info{};
  ::waitid(P_PIDFD, static_cast<id_t>(warden.pidfd), &info, WEXITED);
  ::close(warden.pidfd);
  warden = {};
}

}  // namespace troupe::process
