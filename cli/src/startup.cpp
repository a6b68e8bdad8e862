#include "startup.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

/// A standard stream that is closed would become the number of whatever we
/// open next. It gets a descriptor that refuses to be used in its direction, as
/// a closed one does.
void fill_closed_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0)
      ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

Startup prepare_process() {
  fill_closed_streams();
  Startup startup;
  // A reader that went away and a file that may not grow are errors of a write,
  // not the end of us. Blocked instead of ignored, because ignored signals stay
  // so in every command.
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGPIPE);
  sigaddset(&blocked, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &startup.signal_mask);
  return startup;
}

int after_writing_all(int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0)
    return code;
  if (errno == EPIPE)  // Whoever closed a pipe early knows.
    return 128 + SIGPIPE;
  complain(system_error("cannot write to standard output", errno).what);
  return exit_troupe_failed;
}

}  // namespace troupe::cli
