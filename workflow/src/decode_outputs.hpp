#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/workflow/model.hpp>

#include <vector>

namespace troupe::workflow {

/// The outputs of a job as written.
struct DecodedOutputs {
  std::vector<NamedTemplate> texts;
  std::vector<PrintedOutput> printed;  ///< By its one command.
};

/// What `entry`, which may be null, says; what is wrong is reported.
[[nodiscard]] DecodedOutputs decode_outputs(const config::Entry* entry,
                                            config::Diagnostics& diagnostics);

/// The same of a step, whose outputs are all of what it prints.
[[nodiscard]] std::vector<PrintedOutput> decode_step_outputs(
    const config::Entry& entry, const Step& step,
    config::Diagnostics& diagnostics);

/// Has the one step of `job` hand on `printed`, as outputs of the job.
void hand_on(std::vector<PrintedOutput> printed, Step& step, Job& job);

}  // namespace troupe::workflow
