#pragma once

#include <troupe/base/ids.hpp>
#include <troupe/process/command_spec.hpp>
#include <troupe/process/exit_report.hpp>
#include <troupe/process/output_sink.hpp>

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <variant>

namespace troupe::process {

/// One try at a command. Never used twice in an engine.
struct AttemptId {
  CommandId command;
  std::uint32_t attempt = 1;

  friend auto operator<=>(const AttemptId&, const AttemptId&) = default;
};

/// It runs.
struct AttemptStarted {
  int pid = 0;  ///< Of the leader, for people; never signal it.
  /// By whoever had the warden before.
  bool is_paused = false;
};

/// The warden that ran it is gone, and by its construction the command too.
struct RunnerLost {
  /// Or rather: another runner has taken over the warden. The command may go
  /// on, and what becomes of it is told there.
  bool cut_off = false;

  friend bool operator==(const RunnerLost&, const RunnerLost&) = default;
};

/// How an attempt ended, as far as processes go.
using AttemptEnd = std::variant<ExitReport, SpawnFailure, RunnerLost>;

/// It has ended, and the last byte has gone to its sink.
struct AttemptEnded {
  AttemptEnd how;
  /// The sink that got its output: after an adoption, the first caller's.
  std::shared_ptr<OutputSink> sink;
};

/// What a runner tells about an attempt: at most one AttemptStarted, then
/// exactly one AttemptEnded.
using AttemptEvent = std::variant<AttemptStarted, AttemptEnded>;

/// Runs on the I/O thread and may do nothing but post a message.
using AttemptHandler = std::function<void(const AttemptEvent&)>;

/// Asks for the end of an attempt: `signal` to its whole tree, and SIGKILL once
/// `grace` has passed. A grace of zero kills at once.
struct StopRequest {
  int signal = SIGTERM;
  Duration grace = 2s;
  bool timed_out = false;  ///< A limit of the caller's passed; reported so.
};

/// Starts and ends commands. The methods never block and may be called from any
/// thread; they take effect in the order in which one thread calls them.
///
/// A runner remembers an attempt until `forget`, also after its end. Calling
/// `start` again for an attempt it knows does not start it again: the new
/// handler replaces the old one and is told everything from the beginning. That
/// is how an actor that replaces a crashed one takes over a running command
/// instead of running it twice.
class CommandRunner {
 public:
  virtual ~CommandRunner() = default;

  /// Starts `spec`. `sink` gets what is captured; null discards it. After an
  /// adoption (see above) the sink of the first call stays.
  virtual void start(AttemptId id, std::shared_ptr<const CommandSpec> spec,
                     std::shared_ptr<OutputSink> sink,
                     AttemptHandler handler) = 0;

  /// Like start(), but not before `predecessor` has ended: what runs it starts
  /// the one in the moment in which the other is over, without asking anybody.
  /// Only for a predecessor that has been given to start() or start_after();
  /// at once if it has ended. If it is withdrawn or stopped before it could
  /// start, its own predecessor takes its place. Several of one predecessor
  /// start together.
  virtual void start_after(AttemptId predecessor, AttemptId id,
                           std::shared_ptr<const CommandSpec> spec,
                           std::shared_ptr<OutputSink> sink,
                           AttemptHandler handler) = 0;

  /// An attempt that still waits for its predecessor is not started: its
  /// AttemptEnd is a SpawnFailure of Errc::cancelled. One that runs or has
  /// ended is left alone. May come before start_after().
  virtual void withdraw(AttemptId id) = 0;

  /// Ends the attempt; its AttemptEnd says so. Unknown or ended attempts are
  /// ignored; of several requests the shortest grace wins.
  virtual void stop(AttemptId id, StopRequest request) = 0;

  /// Passes `signal` to the leader of the attempt and to nothing else.
  virtual void signal(AttemptId id, int signal) = 0;

  /// Stops every process of the attempt (SIGSTOP) and the clocks of its limits
  /// until resume() or stop(). Unknown or ended attempts are ignored; repeating
  /// does nothing.
  virtual void pause(AttemptId id) = 0;

  /// Lets it go on. Ignored if it was not paused.
  virtual void resume(AttemptId id) = 0;

  /// Drops the handler and what is remembered. A command that still runs is
  /// killed. Unknown attempts are ignored.
  virtual void forget(AttemptId id) = 0;
};

}  // namespace troupe::process
