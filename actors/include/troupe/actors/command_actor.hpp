#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace troupe::actors {

/// What every command actor of an engine is given. Outlives them all.
struct CommandActorDeps {
  process::CommandRunner& runner;
  std::uint64_t seed = 0;  ///< Mixed with the command's id for its jitter.
  /// For tests of recovery: the first actors of each command, so many of them,
  /// die as soon as its first attempt runs.
  std::uint32_t crashes = 0;
  std::function<WallTime()> wall_now = std::chrono::system_clock::now;
};

/// Starts the actor that looks after the command `id` of `store`, from the
/// beginning or from wherever an earlier actor left it. It ends normally when
/// the command has ended, and only then; supervise it as transient.
[[nodiscard]] ActorRef spawn_command(Actor* parent, CommandId id,
                                     ActorRef store,
                                     const CommandActorDeps& deps);

}  // namespace troupe::actors
