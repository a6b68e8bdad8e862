#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/workflow/model.hpp>

#include <vector>

namespace troupe::workflow {

/// Reads `on`: what starts a run, and with which inputs.
[[nodiscard]] Triggers decode_triggers(const config::Entry& entry,
                                       config::Diagnostics& diagnostics);

/// Reads `inputs`, by name.
[[nodiscard]] std::vector<Input> decode_inputs(
    const config::Entry& entry, config::Diagnostics& diagnostics);
/// Whether what its triggers ask for is there: the secret of the webhook, and
/// values for the inputs of runs that nobody starts by hand.
void check_triggers(const Workflow& workflow, config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
