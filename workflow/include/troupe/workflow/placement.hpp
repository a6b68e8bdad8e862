#pragma once

/// What a job that runs on another node than its run cannot have. Pure.
#include <troupe/base/error.hpp>
#include <troupe/workflow/model.hpp>

#include <functional>
#include <string>

namespace troupe::workflow {

/// Whether `runs-on` of this file can be kept on several nodes: such a job
/// reaches no services, which listen on the node that drives the run, it calls
/// no file, and each label that is written out is one, as `check_label` says.
///
/// Errors: invalid_argument, with file, line and column of each mistake.
[[nodiscard]] Result<void> check_placement(
    const Workflow& file,
    const std::function<Result<void>(const std::string& label)>& check_label);

}  // namespace troupe::workflow
