#pragma once

/// The actor in which a node drives its runs.
#include "run_driver.hpp"

#include <troupe/actors/caf.hpp>

#include <cstdint>
#include <memory>

namespace troupe::node {

enum class RunThread : std::uint8_t {
  own,     ///< To read a long workflow takes longer than others may wait.
  shared,  ///< With other actors: tests have one thread for all.
};

/// Starts a driver, which is told and asked by messages: SubmitRun and those
/// after it.
[[nodiscard]] actors::ActorRef spawn_run_driver(
    actors::Actor* parent, std::shared_ptr<const RunDriverDeps> deps,
    RunThread thread = RunThread::own);

}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::SubmitRun)
TROUPE_LOCAL_MESSAGE(troupe::node::ChangeRun)
TROUPE_LOCAL_MESSAGE(troupe::node::AskRun)
TROUPE_LOCAL_MESSAGE(troupe::node::AskAwaiting)
TROUPE_LOCAL_MESSAGE(troupe::node::AskBegun)
TROUPE_LOCAL_MESSAGE(troupe::node::RunJobChanged)
TROUPE_LOCAL_MESSAGE(troupe::node::HomesSeen)
TROUPE_LOCAL_MESSAGE(troupe::node::PlacementSeen)
