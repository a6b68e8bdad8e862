#pragma once

/// The way into the supervised tree.
#include <troupe/actors/caf.hpp>
#include <troupe/actors/messages.hpp>
#include <troupe/actors/store_actor.hpp>

#include <memory>

namespace troupe::node {

/// To the front: run this command. No answer; the owner gets the events.
struct SubmitCommand {
  std::shared_ptr<const actors::CommandOrder> order;
};

/// What the supervisor of commands starts an actor with.
struct LookAfter {
  CommandId id;
};

/// To the front: this pool takes the commands from now on.
struct PoolStarted {
  actors::ActorRef pool;
};

/// To the front: the tree ends because we want it to.
struct EngineEnding {};

/// Starts the pool: enters each command into the store and starts an actor for
/// it under the supervisor `commands`. A pool that replaces another starts
/// actors for all commands that have not ended; each takes over where the one
/// before it was.
[[nodiscard]] actors::ActorRef spawn_pool(actors::Actor* parent,
                                          actors::ActorRef store,
                                          actors::ActorRef commands,
                                          actors::ActorRef front);

/// Starts the front: the one handle that stays the same whatever is restarted
/// behind it. Passes on what it gets, in order; keeps it while there is no
/// pool, and submissions until the store has them. If the tree is gone for good
/// it answers for every open command. `state` is the store's; the front touches
/// it only when no store is left.
[[nodiscard]] actors::ActorRef spawn_front(
    actors::ActorSystem& system, std::shared_ptr<actors::StoreState> state);

/// To the front, once: the supervisor of the tree, to be watched.
struct WatchTree {
  actors::ActorRef tree;
};

}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::SubmitCommand)
TROUPE_LOCAL_MESSAGE(troupe::node::LookAfter)
TROUPE_LOCAL_MESSAGE(troupe::node::PoolStarted)
TROUPE_LOCAL_MESSAGE(troupe::node::EngineEnding)
TROUPE_LOCAL_MESSAGE(troupe::node::WatchTree)
