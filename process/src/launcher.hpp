#pragma once

/// Starts a program at the speed of the kernel: clone(CLONE_VM | CLONE_VFORK)
/// copies no page tables, CLONE_PIDFD gives a handle that no pid reuse can
/// redirect, and a failed exec is known when `launch` returns, without a pipe.
///
/// Works with the initializers of Boost.Process v2 (on_setup in the parent,
/// on_exec_setup in the child; the path that they are given is empty), but not
/// with its launchers; docs/adr/0004 says why.
// NOLINTNEXTLINE(readability-identifier-naming): Boost asks for it.
#define BOOST_PROCESS_USE_STD_FS 1
#include <troupe/base/error.hpp>

#include <boost/optional.hpp>  // Missing from the next in 1.81.
#include <boost/process/v2/posix/default_launcher.hpp>

#include <sched.h>
#include <sys/types.h>

namespace troupe::process {

/// A process that runs and has not been waited for.
struct Child {
  pid_t pid = -1;
  int pidfd = -1;  ///< Owned by the caller.
};

class CloneLauncher : public boost::process::v2::posix::default_launcher {
 public:
  /// Runs `executable` with `argv` (null-terminated) and `env` (likewise) in a
  /// new process. Blocks until the program has been entered or has failed to,
  /// typically 50 us. The child shares our memory until then: an initializer's
  /// on_exec_setup may only make system calls and write to its own members.
  ///
  /// On failure there is no process left; the error is the errno of the first
  /// initializer that failed or of execve. Thread-safe: each thread launches
  /// with a stack of its own.
  template <class... Initializers>
  boost::system::error_code launch(Child& child, const char* executable,
                                   const char* const* argv,
                                   const char* const* environment,
                                   Initializers&... initializers) {
    namespace v2 = boost::process::v2::posix::detail;
    // Of no use to ours, and to take one apart for each launch is not for free.
    const std::filesystem::path path;
    env = environment;
    if (auto error = v2::on_setup(*this, path, argv, initializers...))
      return error;

    boost::system::error_code child_error;
    auto enter = [&]() -> int {
      child_error = v2::on_exec_setup(*this, path, argv, initializers...);
      if (!child_error)
        child_error = exec(executable, argv, environment);
      return 127;
    };
    using Enter = decltype(enter);
    const int error = clone_and_wait(
        child, [](void* f) { return (*static_cast<Enter*>(f))(); }, &enter);
    if (error != 0)
      return {error, boost::system::system_category()};
    if (child_error)
      reap_failed(child);
    return child_error;
  }

 private:
  /// Returns zero or an errno. `run` is called in the child.
  static int clone_and_wait(Child& child, int (*run)(void*), void* argument);
  /// Returns only if it fails.
  static boost::system::error_code exec(const char* executable,
                                        const char* const* argv,
                                        const char* const* environment);
  static void reap_failed(Child& child);
};

}  // namespace troupe::process
