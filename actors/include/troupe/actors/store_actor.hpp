#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_table.hpp>
#include <troupe/actors/messages.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace troupe::actors {

/// What the store knows. Belongs to one store actor at a time; the engine keeps
/// it for the next one, should that die. Nobody else touches it.
struct StoreState {
  CommandTable table;
  std::map<CommandId, std::shared_ptr<const CommandOrder>> orders;
  /// Of commands that have ended, until the actor of each has also ended in
  /// order: the last attempt that the runner may know.
  std::map<CommandId, std::uint32_t> abandoned;
};

/// Starts the store: the place where it is decided, once, what has become of a
/// command. Handles the messages of messages.hpp that point to it, and the
/// pool's ListOpenCommands.
[[nodiscard]] ActorRef spawn_store(Actor* parent,
                                   std::shared_ptr<StoreState> state);

/// Asked by a new pool; answered by OpenCommands.
struct ListOpenCommands {};
struct OpenCommands {
  std::vector<CommandId> ids;  ///< Each needs an actor to look after it.
};

}  // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::ListOpenCommands)
TROUPE_LOCAL_MESSAGE(troupe::actors::OpenCommands)
