#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/workflow/model.hpp>

namespace troupe::workflow {

/// Warns of what is allowed in the services of `workflow` and does not do what
/// most people expect. Each warning is
/// true whatever the services do. Nothing for a file without services.
void warn_about_services(const Workflow& workflow,
                         config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
