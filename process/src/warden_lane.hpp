#pragma once

/// One of the warden's spawner loops: a thread, its io_context, one connection
/// to the runner and the attempts that came through it. Lanes share nothing but
/// the sweeper, which is reached by posting to the main thread.
#include "procfs.hpp"
#include "program_image.hpp"
#include "tree_sweeper.hpp"
#include "wire.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/process/cgroups.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <sys/resource.h>

namespace troupe::process {

/// What all lanes of a warden know. Read-only but for the counters.
struct LaneContext {
  boost::asio::io_context& main_io;
  TreeSweeper& sweeper;           ///< Main thread only.
  const ThreadChildren& orphans;  ///< The children of the main thread.
  Cgroups& cgroups;
  std::atomic<int>& running;  ///< Attempts of all lanes that have not ended.
  /// Of which: between clone and exec, where a child has all our descriptors.
  std::atomic<int>& launching;
  /// When the last of these executed its program. The kernel tells us before it
  /// has closed the descriptors, which takes as long as the child waits for a
  /// processor.
  std::atomic<TimePoint>& last_launch;
  std::string session;     ///< Unlikely to be any other warden's.
  bool is_kept;            ///< Goes on without a runner.
  sigset_t original_mask;  ///< The signal mask troupe was started with.
  rlimit original_nofile;  ///< Likewise its limit of open files.
  bool ignored_child;      ///< Likewise whether it ignored SIGCHLD.
  int null_fd;             ///< /dev/null, for reading and writing.
  InheritedEnvironment environment;
};

/// What the main thread may ask of a lane, from any thread. Calls take effect
/// in their order and do not wait for it. A lane is never destroyed: the kernel
/// kills a command when the thread that started it ends, and what the main
/// thread still posts must find it alive.
class WardenLane {
 public:
  virtual ~WardenLane() = default;

  /// Serves connections, on a thread of its own.
  [[noreturn]] virtual void run() = 0;

  /// Speaks on `socket` from now on, in place of the connection before, whose
  /// runner sees its end. `on_lost` is called once, on the lane's thread, when
  /// the runner closes it or breaks the protocol. Without a connection, a lane
  /// that is not kept does nothing any more; a kept one goes on and, on the
  /// next connection, lists what it knows.
  virtual void connect(OwnedFd socket, wire::Hello hello,
                       std::function<void()> on_lost) = 0;

  /// Ends the connection, if there is one, without a call of its `on_lost`.
  virtual void disconnect() = 0;

  /// Stops all attempts, each with its own polite signal and grace.
  virtual void stop_all() = 0;
};

/// `context` outlives the lane.
[[nodiscard]] std::unique_ptr<WardenLane> make_lane(const LaneContext& context);

}  // namespace troupe::process
