#pragma once

#include <troupe/workflow/plan.hpp>

#include <string>

namespace troupe::cli {

/// What `troupe run --dry-run` prints: the jobs of `plan` in waves, those of a
/// wave needing only jobs of earlier ones, with their steps. Commands are
/// resolved as far as that is possible before anything has run; an expression
/// that is not yet known stays as it was written. With what `options` estimate:
/// how long steps and jobs may take, and the critical path.
[[nodiscard]] std::string describe_plan(const workflow::Plan& plan,
                                        const workflow::PlanOptions& options);

}  // namespace troupe::cli
