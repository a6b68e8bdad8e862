#pragma once

#include <troupe/workflow/model.hpp>

namespace troupe::workflow {

/// Whether `job` uses something that it only has because it needs `needed`: an
/// output, a result, or how it ended. What it reads of files is not known.
[[nodiscard]] bool uses_what_is_handed_on(const Job& job, const Job& needed);

/// Whether `job` names a port of a service.
[[nodiscard]] bool uses_ports(const Job& job);

}  // namespace troupe::workflow
