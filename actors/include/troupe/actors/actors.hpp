#pragma once

/// Start here. `actors` is where actors begin to exist: the one door to the
/// actor framework, and the values that the life of a command is told in.
///
///   caf.hpp              the only header that includes <caf/..>: Actor,
///                        spawn, send, send_after, stop, kill, monitors
///   exit_reason.hpp      ExitReason: why an actor ended, as a value
///   command_request.hpp  what to run, when it counts as success, retries
///   outcome.hpp          how it ended, with every attempt and cause
///
/// Everything but caf.hpp is free of CAF and belongs to troupe::actors_core.
#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/actors/exit_reason.hpp>
#include <troupe/actors/outcome.hpp>
