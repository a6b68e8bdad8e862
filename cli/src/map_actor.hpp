#pragma once

/// The dispatcher of `troupe map`: performs what fanout::MapCore decides.
#include "job_output.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/actors/command_request.hpp>
#include <troupe/fanout/fanout.hpp>
#include <troupe/fanout/map_core.hpp>
#include <troupe/flow_control/adaptive_parallelism.hpp>
#include <troupe/flow_control/memory_governor.hpp>
#include <troupe/node/engine.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace troupe::cli {

/// What the command line asks for, checked.
struct MapPlan {
  fanout::CommandTemplate command;
  actors::CommandRequest request;  ///< All but the argv.
  std::string shell = "/bin/sh";   ///< For commands that need one.
  fanout::MapOptions core;
  std::uint32_t most_slots = fanout::most_job_slots;  ///< The host's limit.
  std::optional<std::uint64_t> total;
  fanout::TimeoutPolicy timeout;
  Grouping grouping = Grouping::by_job;
  bool keep_order = false;
  bool tag = false;
  bool dry_run = false;
  bool bar = false;
  bool adaptive = false;            ///< -j auto
  std::string results;              ///< --results; empty for none.
  int joblog = -1;                  ///< Open for appending; negative for none.
  std::string joblog_path;          ///< For messages.
  std::optional<double> most_load;  ///< --load
  std::optional<std::uint64_t> least_free_bytes;  ///< --memfree
};

/// How a map ended.
struct MapResult {
  int exit_status = 0;
  /// Reading, rendering or keeping an output failed; has been told.
  std::optional<Error> error;
};

/// Starts the dispatcher, which takes the messages of a batch (batch.hpp).
/// `on_end` is called once, on a thread of the actors, when all
/// jobs have ended and all output has been written.
[[nodiscard]] actors::ActorRef spawn_map(
    node::Engine& engine, std::shared_ptr<const MapPlan> plan,
    actors::ActorRef reader, actors::ActorRef printer,
    std::function<void(const MapResult&)> on_end);

}  // namespace troupe::cli
