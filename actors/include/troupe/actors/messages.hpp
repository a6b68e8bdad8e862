#pragma once

/// The messages of a command's life. All stay within the process.
///
///   pool ----OpenCommand----> store <---AttachCommand--- command actor
///   front <--CommandOpened--- store
///   pool ----CancelCommand--> store ---CancelCommand---> command actor
///   pool <---CancelTaken----- store
///                             store <---RecordAttempt--- command actor
///                             store ---AttemptRecorded-> command actor
///                             store <---FinishCommand--- command actor
///                             store ---CommandGone-----> command actor
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
  /// Not to be started before the only attempt of that one has ended.
  std::optional<CommandId> predecessor{};
};

/// Enters a command. Answered by CommandOpened to `submitter`, who may repeat
/// it until then, in case that the actors on its way died with it.
struct OpenCommand {
  std::shared_ptr<const CommandOrder> order;
  ActorRef submitter;
};
struct CommandOpened {
  CommandId id;
};

/// Asks for a command's end: no more attempts, and the one that runs is stopped
/// as `request` says, or without it ends by itself. Unknown ids are ignored: it
/// has ended. The store answers with CancelTaken; the request may be repeated
/// until then, in case that the actors on its way died with it.
struct CancelCommand {
  CommandId id;
  std::optional<process::StopRequest> request;
};
struct CancelTaken {
  CommandId id;
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
/// CommandAttached or CommandGone. If another actor still looks after it, that
/// one is stopped first, and the answer waits for its end: two at once would
/// run attempts against each other.
struct AttachCommand {
  CommandId id;
};
struct CommandAttached {
  std::shared_ptr<const CommandOrder> order;
  CommandHistory history;
};
/// It has ended; there is nothing left to look after.
struct CommandGone {
  /// The runner may still know this attempt, or even run it, and those before.
  std::optional<process::AttemptId> abandoned;
};

/// An attempt has ended. Answered by AttemptRecorded; until then the runner
/// must not forget the attempt, or it would run again if the store died.
struct RecordAttempt {
  CommandId id;
  std::shared_ptr<const Attempt> attempt;
  Duration back_off{0};  ///< Until the next one.
};
struct AttemptRecorded {
  process::AttemptId id;
};

/// The command has ended. The store passes it on to the owner. Answered by
/// CommandGone.
struct FinishCommand {
  CommandId id;
  std::shared_ptr<const Outcome> outcome;
};

/// To the owner: an attempt runs. Repeated when another actor takes it over.
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
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandOpened)
TROUPE_LOCAL_MESSAGE(troupe::actors::CancelCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CancelTaken)
TROUPE_LOCAL_MESSAGE(troupe::actors::ExpireAttempt)
TROUPE_LOCAL_MESSAGE(troupe::actors::SignalCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CrashCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::AttachCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandAttached)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandGone)
TROUPE_LOCAL_MESSAGE(troupe::actors::RecordAttempt)
TROUPE_LOCAL_MESSAGE(troupe::actors::AttemptRecorded)
TROUPE_LOCAL_MESSAGE(troupe::actors::FinishCommand)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandStarted)
TROUPE_LOCAL_MESSAGE(troupe::actors::AttemptFinished)
TROUPE_LOCAL_MESSAGE(troupe::actors::CommandFinished)
TROUPE_LOCAL_MESSAGE(troupe::actors::AttemptNews)
TROUPE_LOCAL_MESSAGE(troupe::actors::WaitOver)
