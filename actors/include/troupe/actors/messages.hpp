#pragma once

/// The messages of a command's life. All stay within the process.
///
///   pool ----OpenCommand----> store <---AttachCommand--- command actor
///   pool ----CancelCommand--> store ---CancelCommand---> command actor
///                             store <---RecordAttempt--- command actor
///                             store <---FinishCommand--- command actor
///   owner <--CommandFinished- store
///   owner <--CommandStarted, AttemptFinished------------ command actor
#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_core.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/actors/outcome.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/flow_control/budget.hpp>
#include <troupe/process/command_runner.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace troupe::actors {

/// Everything that belongs to a command from its submission to its outcome.
struct CommandOrder {
  CommandId id;
  std::shared_ptr<const CommandRequest> request;
  std::shared_ptr<OutputSinks> sinks;  ///< Null discards captured output.
  ActorRef owner;                      ///< Gets the events and the outcome.
  /// Bounds how many commands are in the engine; back when the outcome is out.
  flow_control::SharedPermit permit;
};

/// Enters a command. Sent once per id; a repeat is ignored. No answer.
struct OpenCommand {
  std::shared_ptr<const CommandOrder> order;
};

/// Asks for a command's end: no more attempts, and the one that runs is stopped
/// as `request` says, or without it ends by itself. Unknown ids are ignored: it
/// has ended.
struct CancelCommand {
  CommandId id;
  std::optional<process::StopRequest> request;
};

/// Stops the attempt that runs as if its time limit had passed: there may be
/// another one.
struct ExpireAttempt {
  CommandId id;
  process::StopRequest request;
};

/// Passes a signal to the leader of the attempt that runs, if one does.
struct SignalCommand {
  CommandId id;
  int signal = 0;
};

/// Makes the actor that looks after a command throw: for tests of recovery.
struct CrashCommand {
  CommandId id;
};

/// An actor will look after the command from now on. Answered by
/// CommandAttached or CommandGone.
struct AttachCommand {
  CommandId id;
};
struct CommandAttached {
  std::shared_ptr<const CommandOrder> order;
  CommandHistory history;
};
struct CommandGone {
  /// Was given up while this attempt may have been running.
  std::optional<process::AttemptId> abandoned;
};

/// An attempt has ended. No answer.
struct RecordAttempt {
  CommandId id;
  std::shared_ptr<const Attempt> attempt;
};

/// The command has ended. No answer; the store passes it on to the owner.
struct FinishCommand {
  CommandId id;
  std::shared_ptr<const Outcome> outcome;
};

/// To the owner: an attempt runs.
struct CommandStarted {
  CommandId id;
  std::uint32_t attempt = 1;
  int pid = 0;  ///< For people; never signal it.
  WallTime at;
};

/// To the owner: an attempt has ended, and there may be another.
struct AttemptFinished {
  CommandId id;
  std::shared_ptr<const Attempt> attempt;
  std::optional<Duration> next_in;  ///< Until the next one, if one comes.
};

/// To the owner, exactly once per command: the end of it.
struct CommandFinished {
  CommandId id;
  std::shared_ptr<const Outcome> outcome;
};

/// From the runner's I/O thread to the command actor.
struct AttemptNews {
  process::AttemptId id;
  process::AttemptEvent event;
};

/// From a command actor to itself.
struct WaitOver {
  std::uint64_t token = 0;
};

}  // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::OpenCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CancelCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::ExpireAttempt)
TROUPE_LOCAL_MESSAGE(troupe::actors::SignalCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CrashCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::AttachCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandAttached)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandGone)
TROUPE_LOCAL_MESSAGE(troupe::actors::RecordAttempt)
TROUPE_LOCAL_MESSAGE(troupe::actors::FinishCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandStarted)
TROUPE_LOCAL_MESSAGE(troupe::actors::AttemptFinished)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandFinished)
TROUPE_LOCAL_MESSAGE(troupe::actors::AttemptNews)
TROUPE_LOCAL_MESSAGE(troupe::actors::WaitOver)
