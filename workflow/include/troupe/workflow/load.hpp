#pragma once

#include <troupe/base/error.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/workflow/model.hpp>

#include <memory>
#include <string>

namespace troupe::workflow {

/// Reads and checks a workflow file. `name` is what to call it in messages.
///
/// Errors: invalid_argument; `what` is all that is wrong, for people, as
/// config::Diagnostics::text() has it.
[[nodiscard]] Result<std::shared_ptr<const Workflow>> load_workflow(
    std::string name, std::string text);

/// The same for programs that want each error by itself; null if there are any.
[[nodiscard]] std::shared_ptr<const Workflow> load_workflow(
    std::shared_ptr<const config::Source> source,
    config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
