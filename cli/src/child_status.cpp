#include "child_status.hpp"

#include "subcommand.hpp"

#include <troupe/actors/outcome.hpp>

#include <csignal>
#include <sys/wait.h>

namespace troupe::cli {

int status_of(const Error& error) {
  if (error.code == Errc::not_found)
    return status_not_found;
  const bool is_refused = error.code == Errc::permission_denied ||
                          error.code == Errc::invalid_argument;
  return is_refused ? status_not_executable : exit_troupe_failed;
}

int end_as(int status) {
  constexpr int killed_by_signal = 128;
  if (WIFEXITED(status))
    return WEXITSTATUS(status);
  const int signal = WTERMSIG(status);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
  return killed_by_signal + signal;
}

}  // namespace troupe::cli
