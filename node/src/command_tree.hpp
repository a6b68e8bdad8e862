#pragma once

/// The supervised tree that runs commands; see engine.hpp for its picture.
#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_actor.hpp>
#include <troupe/actors/store_actor.hpp>
#include <troupe/supervisor/supervisor.hpp>

#include <memory>

namespace troupe::node {

/// The tree above the actors that `deps` is for, which must outlive it. `state`
/// goes from store to store, and each pool reports to `front`.
[[nodiscard]] supervisor::SupervisorSpec command_tree(
    const std::shared_ptr<actors::StoreState>& state,
    const actors::CommandActorDeps& deps, const actors::ActorRef& front);

}  // namespace troupe::node
