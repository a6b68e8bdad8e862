#pragma once

#include <troupe/base/error.hpp>
#include <troupe/node/node_config.hpp>

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace troupe::node {

struct DaemonOptions {
  NodeConfig config;
  std::string version;
  std::string program;     ///< The path of `troupe`, which steps may need.
  sigset_t signal_mask{};  ///< The mask that commands start with.
  /// A node that runs in this folder is told to leave its commands and end.
  bool upgrade = false;
  /// Reads the configuration once more, for SIGHUP.
  std::function<Result<NodeConfig>()> reload;
  /// It may not be in its cluster, and another try changes nothing of that;
  /// start() fails then.
  std::function<void()> on_refused{};
  /// For tests of recovery: an event of a run is on the disk, and nothing has
  /// come of it yet. On the store's thread; may end the process.
  std::function<void()> on_event{};
};

/// Why a node has ended.
enum class DaemonEnd : std::uint8_t {
  told,     ///< By a signal or a request.
  evicted,  ///< The others took it for gone: it may begin anew.
  refused,  ///< It may not be in its cluster; the log says why.
};

/// A node on one machine: keeps jobs in a store, runs them, and answers those
/// who ask. Everything that it knows is in its folder:
///
///   node.lock    held by the node for as long as it lives
///   store.db     the jobs
///   triggers.json  what has become of the times and changes that start runs
///   warden.*     how the warden, which runs the commands, is found
///   output/      what commands have written
///   content/     results and artifacts of steps
///
/// Its threads: this one (sockets, the warden, timers), that of the store, that
/// of the housekeeper, and those of the actors (the dispatcher, under a
/// supervisor). Built, run and destroyed on one thread.
class Daemon {
 public:
  /// Takes the folder, opens the store, takes over or starts the warden, ends
  /// what nodes before have left behind, and listens. Blocks: a second, and
  /// longer for a large store.
  ///
  /// Errors: already_exists (another node has the folder or the socket),
  /// permission_denied (this one was revoked), and those of the store, the
  /// warden and the socket.
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(
      DaemonOptions options);

  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  /// Serves until SIGTERM, SIGINT, or a request ends it, and then ends all that
  /// it has started, within bounds.
  DaemonEnd run();

 private:
  struct Parts;
  explicit Daemon(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace troupe::node
