#pragma once

/// The dispatcher of `troupe run`: performs what workflow::Plan decides, and
/// tells everybody who looks on.
#include "run_folder.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/node/engine.hpp>
#include <troupe/workflow/plan.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace troupe::cli {

/// Which steps' output goes to standard output, once they have ended.
enum class ShowOutput : std::uint8_t { none, failed, all };

/// How a run is shown.
enum class Display : std::uint8_t {
  table,  ///< Redrawn in place on standard error.
  lines,  ///< One per event, on standard error.
  json,   ///< Events on standard output, nothing on standard error.
};

struct RunSettings {
  std::string file;  ///< As the user named it.
  ShowOutput output = ShowOutput::all;
  Display display = Display::lines;
  bool colour = false;
  bool shared_terminal = false;  ///< Both our streams are the same terminal.
};

/// What a run is made of; the actor owns it from then on.
struct RunOrder {
  std::unique_ptr<workflow::Plan> plan;
  std::unique_ptr<const RunFolder> folder;
  RunSettings settings;
};

/// How long steps that run in spite of a cancelled run (always()) may take all
/// together before they are stopped too.
inline constexpr Duration longest_clean_up = 1min;

/// Starts the dispatcher, which takes the messages of a batch (batch.hpp).
/// `on_end` is called once, on a thread of the actors, when
/// nothing of it runs any more and all has been written.
[[nodiscard]] actors::ActorRef spawn_run(
    node::Engine& engine, RunOrder order, actors::ActorRef printer,
    std::function<void(workflow::RunResult)> on_end);

}  // namespace troupe::cli
