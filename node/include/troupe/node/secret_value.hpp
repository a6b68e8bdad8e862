#pragma once

#include <troupe/base/error.hpp>
#include <troupe/node/step_secrets.hpp>
#include <troupe/workflow/model.hpp>

#include <string>

namespace troupe::node {

/// The value of `secret`, whose workflow was read from `workflow_path`; files
/// are looked up beside that. Line breaks at the end of a file or an output are
/// no part of it. Blocks, for 30 seconds at most if it comes from a command.
///
/// Errors: not_found (no such variable), overloaded (longer than 64 KiB),
/// invalid_argument (a NUL byte), and those of files and of
/// process::read_command_output().
[[nodiscard]] Result<std::string> read_secret(const workflow::Secret& secret,
                                              const std::string& workflow_path);

/// The same in the process around the step that uses it.
///
/// Errors: likewise; not_found (the node has no such variable).
[[nodiscard]] Result<std::string> read_secret(const StepSecret& secret);

}  // namespace troupe::node
