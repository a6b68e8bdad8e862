#pragma once

/// The dispatcher of `troupe run`: performs what workflow::Plan decides, and
/// tells everybody who looks on.
#include "run_folder.hpp"
#include "run_services.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/node/engine.hpp>
#include <troupe/workflow/content_argv.hpp>
#include <troupe/workflow/plan.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  std::string path;  ///< The same, absolute; empty if it was piped in.
  std::size_t max_parallel = 0;
  ShowOutput output = ShowOutput::all;
  Display display = Display::lines;
  bool colour = false;
  bool shared_terminal = false;  ///< Both our streams are the same terminal.
  /// What was said beforehand to the approvals of jobs, by name: inputs.
  std::map<std::string, std::vector<std::pair<std::string, std::string>>>
      approvals;
  bool approve_all = false;  ///< Yes to those of all other jobs, too.
  bool can_ask = false;      ///< Somebody is at a terminal.
  workflow::Surroundings surroundings;
  /// Whether the run of this workflow before this one has failed.
  bool failed_before = false;
};

/// What a run is made of; the actor owns it from then on.
struct RunOrder {
  std::unique_ptr<workflow::Plan> plan;
  std::unique_ptr<const RunFolder> folder;
  std::shared_ptr<const workflow::SecretMask> mask;  ///< Never null.
  workflow::ContentUse content;
  /// What masks the secrets in what a cache keeps: the text of
  /// node::secrets_variable; empty if there are none.
  std::string cached_secrets{};
  RunSettings settings;
  std::shared_ptr<RunServices> services{};  ///< Null if no job needs any.
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
