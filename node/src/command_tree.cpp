#include "command_tree.hpp"

#include "pool_actor.hpp"

#include <utility>
#include <variant>

namespace troupe::node {
namespace {

using actors::ActorRef;
using supervisor::ChildSpec;
using supervisor::Restart;
using supervisor::StartContext;
using supervisor::StartResult;
using supervisor::Strategy;
using supervisor::SupervisorSpec;

/// Who is who in the tree. Used by start functions only, which all run in the
/// supervisor of the tree.
struct Siblings {
  ActorRef store;
  ActorRef commands;
};

/// A command may kill its actors three times before it is given up
/// (actors::most_crashes), so many may be at it at once before the others are
/// in danger.
constexpr int command_restarts = 3000;

SupervisorSpec commands_spec(const std::shared_ptr<Siblings>& siblings,
                             const actors::CommandActorDeps& deps) {
  return {.name = "commands",
          .strategy = Strategy::simple_one_for_one,
          .intensity = command_restarts,
          .period = 10s,
          .children = {
              {.id = "command",
               .start = supervisor::start_with<LookAfter>(
                   [siblings, &deps](StartContext& context,
                                     const LookAfter& child) -> StartResult {
                     return actors::spawn_command(
                         context.supervisor(), child.id, siblings->store, deps);
                   }),
               .restart = Restart::transient,
               .shutdown = Duration{1s}}}};
}

/// The supervisor of commands, remembered for the pool that starts after it.
ChildSpec commands_child(const std::shared_ptr<Siblings>& siblings,
                         const actors::CommandActorDeps& deps) {
  ChildSpec spec =
      supervisor::supervisor_child("commands", commands_spec(siblings, deps));
  spec.start = [siblings, start = std::move(spec.start)](
                   StartContext& context) -> StartResult {
    StartResult result = start(context);
    if (const auto* ready = std::get_if<ActorRef>(&result.value()))
      siblings->commands = *ready;
    if (const auto* starting =
            std::get_if<supervisor::Starting>(&result.value()))
      siblings->commands = starting->actor;
    return result;
  };
  return spec;
}

}  // namespace

SupervisorSpec command_tree(const std::shared_ptr<actors::StoreState>& state,
                            const actors::CommandActorDeps& deps,
                            const ActorRef& front) {
  auto siblings = std::make_shared<Siblings>();
  return {
      .name = "engine",
      .strategy = Strategy::rest_for_one,
      .intensity = 5,
      .period = 60s,
      .children = {
          {.id = "store",
           .start = [siblings, state](StartContext& context) -> StartResult {
             siblings->store = actors::spawn_store(context.supervisor(), state);
             return siblings->store;
           }},
          commands_child(siblings, deps),
          {.id = "pool",
           .start = [siblings, front](StartContext& context) -> StartResult {
             return spawn_pool(context.supervisor(), siblings->store,
                               siblings->commands, front);
           }}}};
}

}  // namespace troupe::node
