#pragma once

/// What becomes of the actors of a node, for its log: one that is replaced is
/// the trace of a bug.
#include <troupe/actors/caf.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <optional>
#include <string>

namespace troupe::node {

/// "actor_ended actor=runs restarts=1 reason='crashed: out of range'"; nothing
/// for what goes as it should.
[[nodiscard]] std::optional<std::string> log_text(
    const supervisor::Report& report);

/// Starts an actor that logs each Report that it gets. Whoever starts it stops
/// it.
[[nodiscard]] actors::ActorRef spawn_tree_log(actors::ActorSystem& system);

}  // namespace troupe::node
