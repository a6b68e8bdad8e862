#pragma once

/// How the job of a step has ended, as its run is told.
#include "run_spec.hpp"

#include <troupe/base/error.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/store/store.hpp>

#include <optional>
#include <string>
#include <vector>

namespace troupe::node {

/// The end of the job that a step of a run has in the queue, with what it hands
/// on, of that `printed` from what it has printed; nullopt if it has not ended.
/// What it hands on is in its result if it ran on one of several nodes, and
/// else in our files. Blocks on the disk: for the thread of the store.
///
/// Errors: those of the store.
[[nodiscard]] Result<std::optional<RunStepEnded>> look_at_end(
    store::Store& store, store::JobId job, const StepKey& step,
    const std::vector<workflow::PrintedOutput>& printed,
    const std::string& output_folder);

/// EndRead::handed_on of an attempt that has left these files: for the thread
/// of the housekeeper.
[[nodiscard]] std::string read_handed_on(const queue::EndFiles& files);
/// What that says of an attempt that has succeeded, or has not.
///
/// Errors: what was wrong where it was read; corrupt.
[[nodiscard]] Result<workflow::Outputs> outputs_in(const std::string& handed_on,
                                                   bool has_succeeded);

/// Reads what an attempt has handed on; none if there is no file. Blocks.
///
/// Errors: those of workflow::parse_outputs(); invalid_argument (it is no file,
/// or not UTF-8).
[[nodiscard]] Result<workflow::Outputs> read_outputs(const std::string& path);

/// Adds `wanted` to `outputs` from the record at `path`. Blocks.
///
/// Errors: those of workflow::add_printed() and of reading; overloaded (not all
/// of it was kept); invalid_argument (what is wanted is not UTF-8).
[[nodiscard]] Result<void> add_recorded(
    const std::vector<workflow::PrintedOutput>& wanted, const std::string& path,
    workflow::Outputs& outputs);

}  // namespace troupe::node
