#pragma once

/// What earlier runs of a workflow, as the store has kept them, tell about the
/// next one. Pure.
#include "run_core.hpp"

#include <troupe/store/store.hpp>
#include <troupe/workflow/history.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace troupe::node {

/// What the store knows of a run.
struct KeptRun {
  store::RunInfo info;
  std::vector<store::RunEvent> events;
};

/// The run, as it is after all that has happened to it. Its spec is taken out
/// of `kept`.
///
/// Errors: corrupt; those of RunCore::make().
[[nodiscard]] Result<RunCore> make_core(KeptRun& kept);

/// A run that has ended, as history.
[[nodiscard]] workflow::PastRun past_run(const RunCore& core,
                                         WallTime submitted);

/// How much of the past is looked at before a run begins: to know what an event
/// was about, all of them are told to a plan once more.
inline constexpr std::size_t most_earlier_runs = 10;
inline constexpr std::size_t most_earlier_events = 20'000;
/// Of the specs of all runs that are looked at.
inline constexpr std::size_t most_earlier_bytes = 16 << 20;

/// From those of `earlier` (newest first) that are of the workflow at `file`;
/// nothing if that was piped in. What cannot be understood any more is passed
/// over.
[[nodiscard]] workflow::Estimates learn_from(std::vector<KeptRun> earlier,
                                             const std::string& file);

}  // namespace troupe::node
