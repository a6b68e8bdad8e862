#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/actors/messages.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>

#include <boost/asio/io_context.hpp>

#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace troupe::node {

struct EngineOptions {
  sigset_t signal_mask{};  ///< The mask that commands start with.
  /// Commands get the descriptors that this process was started with.
  bool inherit_descriptors = false;
  /// Commands may be in the foreground of a terminal, see CommandSpec.
  bool foreground = false;
  /// Commands in the engine at once, running, queued or waiting for a retry.
  std::uint64_t max_commands = 4096;
  /// For tests of recovery: actors of each command that are made to crash.
  std::uint32_t crashes = 0;
};

/// The composition root: one actor system, one io_context, one warden, and the
/// supervised tree that runs commands:
///
///   engine (rest_for_one)
///     store                        what has become of each command
///     commands (simple_one_for_one)
///       a command actor for each command
///     pool                         admits commands and starts their actors
///
/// Built and destroyed on one thread, usually main, which also calls run().
class Engine {
 public:
  /// Starts everything, in order. Blocks for some milliseconds.
  ///
  /// Errors: those of starting the warden; internal if the tree did not start.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> start(
      EngineOptions options);

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Stops whatever is left, see shutdown().
  ~Engine();

  /// Where the I/O thread's handlers come from. Valid as long as the engine.
  [[nodiscard]] boost::asio::io_context& io();
  [[nodiscard]] actors::ActorSystem& system();

  /// Runs the I/O loop on this thread until stop(). Everything that the engine
  /// does needs it to run.
  void run();

  /// Makes run() return. From any thread; repeating does nothing.
  void stop();

  /// Hands a command to the engine. `owner` gets CommandStarted and
  /// AttemptFinished for each attempt and CommandFinished exactly once. With a
  /// `predecessor`, of which CommandStarted has come and which has no further
  /// attempts, it starts as soon as that has ended, unless its first attempt is
  /// withdrawn from runner() before. From any thread.
  ///
  /// Errors: overloaded (max_commands are in the engine).
  [[nodiscard]] Result<CommandId> submit(
      std::shared_ptr<const actors::CommandRequest> request,
      std::shared_ptr<actors::OutputSinks> sinks, actors::ActorRef owner,
      std::optional<CommandId> predecessor = {});

  /// Where CancelCommand, SignalCommand and CrashCommand are sent. The same
  /// for as long as the engine lives, whatever is restarted behind it.
  [[nodiscard]] const actors::ActorRef& commands() const;

  /// What starts processes: for those that look after them themselves, under
  /// ids from new_id(). From any thread.
  [[nodiscard]] process::CommandRunner& runner();
  [[nodiscard]] CommandId new_id();

  /// Stops all processes of all commands and the clocks of their limits; `done`
  /// is called on the I/O thread once they stand still. To be followed by
  /// resume(). See process::WardenRunner::pause().
  void pause(std::function<void()> done);
  void resume();

  /// The supervisor of the tree, which answers WhichChildren; empty after
  /// shutdown().
  [[nodiscard]] const actors::ActorRef& tree() const;

  /// Ends the tree, the warden and all commands, each within bounds; after
  /// that nothing of the engine is left but memory. Actors of others (owners,
  /// printers) must have ended or be told to by their makers. Called after
  /// run() has returned; repeating does nothing.
  ///
  /// Errors: timed_out, if actors did not end within `limit`. The process
  /// should then exit without destroying the engine.
  [[nodiscard]] Result<void> shutdown(Duration limit = 10s);

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace troupe::node
