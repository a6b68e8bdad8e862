#pragma once

/// What up, run and test do with the services of a file before these start.
/// Blocks: for main().
#include <troupe/base/error.hpp>
#include <troupe/service/free_ports.hpp>
#include <troupe/service/service_tree.hpp>
#include <troupe/workflow/services.hpp>

#include <string>
#include <vector>

namespace troupe::cli {

/// The tree of services of `workflow`, with ports from `ports` and files of the
/// current folder; see plan_services() for `only` and the rest of `known`.
///
/// Errors: as plan_services(), and those of the system.
[[nodiscard]] Result<service::GroupNode> plan_stack(
    const workflow::Workflow& workflow, service::FreePorts& ports,
    workflow::ServiceSurroundings known = {},
    const std::vector<std::string>* only = nullptr);

/// Whether this system can keep the limits of all services. What it keeps less
/// well is added to `notes`.
///
/// Errors: unsupported and those of the system, naming the service.
[[nodiscard]] Result<void> check_limits(const service::GroupNode& root,
                                        std::vector<std::string>& notes);

/// Makes the folder for logs of services, with those above it.
///
/// Errors: those of the system, naming it.
[[nodiscard]] Result<void> make_log_folder(const std::string& path);

}  // namespace troupe::cli
