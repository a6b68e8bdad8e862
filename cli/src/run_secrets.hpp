#pragma once

/// The secrets of a run, from wherever its workflow says. Blocks: for main()
/// before anything runs.
#include <troupe/base/error.hpp>
#include <troupe/workflow/plan.hpp>

#include <string>

namespace troupe::cli {

/// The values of the secrets that `workflow`, read from `path`, and what it
/// includes use, but for those that are given to them. Line breaks at the end
/// of a file or an output are no part of one.
///
/// Errors: invalid_argument, with the place of the secret in the file.
[[nodiscard]] Result<void> read_secrets(const workflow::Workflow& workflow,
                                        const std::string& path,
                                        workflow::PlanOptions& options);

}  // namespace troupe::cli
