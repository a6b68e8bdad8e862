#pragma once

/// What up, run and test do with the services of a file before these start.
/// Blocks: for main().
#include <troupe/base/error.hpp>
#include <troupe/base/owned_fd.hpp>
#include <troupe/service/service_tree.hpp>
#include <troupe/workflow/services.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace troupe::cli {

/// Ports of this host that nothing listens on, kept until services need them.
class FreePorts {
 public:
  /// The port for `name`, the same each time.
  ///
  /// Errors: those of the system.
  [[nodiscard]] Result<std::uint16_t> port_of(const std::string& name);

  /// Lets services have them.
  void release() { held_.clear(); }

 private:
  std::map<std::string, std::uint16_t> ports_;
  std::vector<OwnedFd> held_;
};

/// The tree of services of `workflow`, with ports from `ports` and files of the
/// current folder; see plan_services() for `only` and the rest of `known`.
///
/// Errors: as plan_services(), and those of the system.
[[nodiscard]] Result<service::GroupNode> plan_stack(
    const workflow::Workflow& workflow, FreePorts& ports,
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
