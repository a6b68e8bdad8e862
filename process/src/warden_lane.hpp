#pragma once

/// One of the warden's spawner loops: a thread, its io_context, one socket to
/// the runner and the attempts that came through it. Lanes share nothing but
/// the sweeper, which is reached by posting to the main thread.
#include "tree_sweeper.hpp"

#include <troupe/process/cgroups.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <sys/resource.h>

namespace troupe::process {

/// What all lanes of a warden know. Read-only but for `running`.
struct LaneContext {
  boost::asio::io_context& main_io;
  TreeSweeper& sweeper;  ///< Main thread only.
  Cgroups& cgroups;
  std::atomic<int>& running;  ///< Attempts of all lanes that have not ended.
  std::string nonce;          ///< Unlikely to be any other warden's.
  sigset_t original_mask;     ///< The signal mask troupe was started with.
  rlimit original_nofile;     ///< Likewise its limit of open files.
  bool ignored_child;         ///< Likewise whether it ignored SIGCHLD.
  int null_fd;                ///< /dev/null, for reading and writing.
  const char* const* environment;
};

/// Serves `socket_fd` (owned) until the runner closes it or breaks the
/// protocol, then calls `on_closed` once. Never returns: the kernel kills a
/// command when the thread that started it ends, and what the main thread still
/// posts to the lane must find it alive. Call it on a thread of its own.
[[noreturn]] void run_lane(const LaneContext& context, int socket_fd,
                           const std::function<void()>& on_closed);

}  // namespace troupe::process
