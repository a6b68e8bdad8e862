#pragma once

/// What a run takes from the place where it is started: files, variables, the
/// date. Blocks: for main() before anything runs.
#include <troupe/base/error.hpp>
#include <troupe/workflow/plan.hpp>

#include <string>

namespace troupe::cli {

/// Today and the current folder.
[[nodiscard]] workflow::Surroundings look_around();

/// Reads the files that `workflow`, read from `path`, and what it includes name
/// in `dotenv`, and hashes those of hashFiles(); files of variables are beside
/// the file that names them, the others below the current folder.
///
/// Errors: those of the system, naming the file; invalid_argument, if one is no
/// file of variables.
[[nodiscard]] Result<void> read_files(const workflow::Workflow& workflow,
                                      const std::string& path,
                                      workflow::PlanOptions& options);

}  // namespace troupe::cli
