#pragma once

/// Start here. `actors` is where actors begin to exist: the one door to the
/// actor framework, and the values that the life of a command is told in.
///
///   caf.hpp              the only header that includes <caf/..>: Actor,
///                        spawn, send, send_after, stop, kill, monitors
///   process_stop.hpp     what a Ctrl-Z means to the watch over handlers
///   exit_reason.hpp      ExitReason: why an actor ended, as a value
///   command_request.hpp  what to run, when it counts as success, retries
///   outcome.hpp          how it ended, with every attempt and cause
///
///   command_core.hpp     decides over attempts, waits and success
///   command_table.hpp    what is known of the commands that have not ended
///   messages.hpp         what the actors of a command say to each other
///   command_actor.hpp    looks after one command
///   store_actor.hpp      decides, once, what has become of each command
///
/// The files named *_actor.hpp, caf.hpp and messages.hpp need CAF; the others
/// are free of it and belong to troupe::actors_core.
#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/actors/exit_reason.hpp>
#include <troupe/actors/outcome.hpp>
