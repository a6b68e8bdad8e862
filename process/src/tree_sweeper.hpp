#pragma once

/// Finds, signals and ends every process that a command has started, also those
/// that left its group and session and whose parents are gone.
///
/// The warden is a subreaper: a process that loses its parent becomes a child
/// of the warden, and of its main thread in particular, because the kernel
/// picks the first living thread. Commands are started by other threads, so the
/// children of the main thread are exactly the orphans. An orphan belongs to a
/// command if it is in its process group or session, if the command's marker is
/// in its environment, or if no other command is running.
///
/// A program that became this one by exec may have had children: what is there
/// when a sweeper is made belongs to nobody here and is left alone.
///
/// All methods are called on, and all work happens on, the main thread; only
/// this thread waits for orphans. Every signal goes through a pidfd whose
/// process was checked to be the one that was looked at.
#include "procfs.hpp"

#include <troupe/base/time.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <sys/types.h>
#include <vector>

namespace troupe::process {

/// Which processes are meant.
struct Tree {
  /// Unreaped, so its number is taken. Zero for all descendants of this
  /// process.
  pid_t leader = 0;
  bool own_group = true;  ///< The leader is the leader of its group.
  std::string marker;     ///< What TROUPE_COMMAND contains.
};

struct SweepReport {
  std::uint32_t leftovers = 0;  ///< Killed, the leader not counted.
  std::uint32_t survivors = 0;  ///< Still there at the deadline.
};

class TreeSweeper {
 public:
  /// `running` counts the commands of all lanes that have not ended.
  TreeSweeper(boost::asio::io_context& io, const std::atomic<int>& running);

  /// Sends `signal` and then SIGCONT to each process of the tree once.
  void signal_tree(const Tree& tree, int signal);

  /// Kills until nothing is left, at most `sweep_limit`; `done` is called once.
  void kill_tree(Tree tree, std::function<void(SweepReport)> done);

  /// Whether the tree has no living process, the leader included.
  [[nodiscard]] bool empty(const Tree& tree) const;

  /// Waits for orphans that have ended. Never blocks.
  void reap_orphans() const;

 private:
  struct Sweep;
  struct Members;
  [[nodiscard]] Members members(const Tree& tree) const;
  [[nodiscard]] Belongs belongs(const ProcessStat& orphan,
                                const Tree& tree) const;
  void sweep(const std::shared_ptr<Sweep>& sweep);

  boost::asio::io_context& io_;
  const std::atomic<int>& running_;
  pid_t self_;
  std::set<ProcessIdentity> strangers_;
};

}  // namespace troupe::process
