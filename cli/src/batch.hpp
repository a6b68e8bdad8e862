#pragma once

/// What commands of many jobs (map, run) have in common: an engine, a printer,
/// a dispatcher, which is the actor that owns the jobs, and a user who
/// interrupts or suspends it all.
#include "subcommand.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/node/engine.hpp>

#include <cstdint>
#include <functional>

namespace troupe::cli {

/// To the dispatcher: no further jobs; the running ones go on.
struct StopStarting {};

/// To the dispatcher: end the running ones too. Repeated, also what would still
/// be done for a tidy end.
struct EndJobs {};

/// To the dispatcher: the user suspends us. Leave the terminal as a shell wants
/// it, write nothing more, and call `ready`, on any thread.
struct Suspend {
  std::function<void()> ready;
};

/// To the dispatcher: all goes on.
struct Resume {};

/// Starts the dispatcher. It may use the engine and the printer for as long as
/// it lives, and quits after it has called `on_end`, on any thread.
using StartDispatcher = std::function<actors::ActorRef(
    node::Engine& engine, actors::ActorRef printer,
    std::function<void()> on_end)>;

struct BatchEnd {
  /// Set if troupe could not do its work: exit with it, all has been said.
  std::optional<int> exit_code;
  /// The last one that asked for the end, or zero. SIGPIPE if nobody read our
  /// standard output any more.
  int by_signal = 0;
  /// Standard output could not be written for another reason, which has been
  /// told; the jobs were ended.
  bool output_lost = false;
};

/// Runs a batch from its start to its end, on the calling thread.
///
/// The first SIGINT stops the starting of jobs; whatever comes next, SIGTERM,
/// SIGHUP, SIGQUIT and a standard output that cannot be written to end the
/// jobs, and the third such request ends the process at once (the warden then
/// kills what is left). SIGTSTP (Ctrl-Z) stops all processes of all jobs, and
/// then this process, until it is continued. Signals that this process was
/// started to ignore, as by nohup, are ignored.
///
/// With `needs_output` false, a full disk below standard output is told and
/// does not end the jobs; that nobody reads it does, as with any tool in a
/// pipe.
[[nodiscard]] BatchEnd run_batch(const Startup& startup,
                                 std::uint64_t max_commands,
                                 const StartDispatcher& start_dispatcher,
                                 bool needs_output = true);

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::StopStarting)
TROUPE_LOCAL_MESSAGE(troupe::cli::EndJobs)
TROUPE_LOCAL_MESSAGE(troupe::cli::Suspend)
TROUPE_LOCAL_MESSAGE(troupe::cli::Resume)
