#pragma once

/// Reads the arguments of a map, which may block for ever: an actor with a
/// thread of its own, asked for a few at a time.
#include "argument_input.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/fanout/argument_source.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace troupe::cli {

/// Answered by one ArgumentsRead to the sender, as soon as there is something
/// and more would have to be waited for.
struct ReadArguments {
  std::size_t most = 1;
};
struct ArgumentsRead {
  std::vector<fanout::Arguments> arguments;
  bool at_end = false;
  std::optional<Error> error;  ///< Nothing follows.
};

[[nodiscard]] actors::ActorRef spawn_argument_reader(
    actors::ActorSystem& system, std::shared_ptr<fanout::ArgumentStream> stream,
    std::shared_ptr<ReaderControl> control);

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::ReadArguments)
TROUPE_LOCAL_MESSAGE(troupe::cli::ArgumentsRead)
