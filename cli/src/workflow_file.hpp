#pragma once

#include <troupe/workflow/load.hpp>

#include <memory>
#include <optional>
#include <string>

namespace troupe::cli {

/// Reads and checks the workflow at `path`, `-` being standard input, and the
/// files that it includes, as seen from its folder. Null if
/// there is something wrong with it, which has then been said on standard
/// error. Blocks.
[[nodiscard]] std::shared_ptr<const workflow::Workflow> read_workflow(
    const std::string& path);

}  // namespace troupe::cli
