#include "launcher.hpp"

#include <cerrno>
#include <cstddef>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace troupe::process {
namespace {

constexpr std::size_t child_stack_bytes = 64 << 10;

/// The child of a CLONE_VFORK runs on a stack of its own while its parent
/// waits, so one stack per launching thread is enough for ever.
char* child_stack_top() {
  static thread_local char* const stack = static_cast<char*>(
      ::mmap(nullptr, child_stack_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0));
  return stack == MAP_FAILED ? nullptr : stack + child_stack_bytes;
}

}  // namespace

int CloneLauncher::clone_and_wait(Child& child, int (*run)(void*),
                                  void* argument) {
  char* const stack = child_stack_top();
  if (stack == nullptr)
    return ENOMEM;
  int pidfd = -1;
  const int pid =
      ::clone(run, stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
              argument, &pidfd);
  if (pid < 0)
    return errno;
  child = {.pid = pid, .pidfd = pidfd};
  return 0;
}

boost::system::error_code CloneLauncher::exec(const char* executable,
                                              const char* const* argv,
                                              const char* const* environment) {
  // NOLINTBEGIN(cppcoreguidelines-pro-type-const-cast): execve changes nothing.
  auto* const arguments = const_cast<char* const*>(argv);
  auto* const variables = const_cast<char* const*>(environment);
  // NOLINTEND(cppcoreguidelines-pro-type-const-cast)
  ::execve(executable, arguments, variables);
  return {errno, boost::system::system_category()};
}

void CloneLauncher::reap_failed(Child& child) {
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  ::close(child.pidfd);
  child = {};
}

}  // namespace troupe::process
