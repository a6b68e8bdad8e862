#include "stack_plan.hpp"

#include <troupe/process/cgroups.hpp>

#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <unistd.h>
#include <utility>
#include <variant>

namespace troupe::cli {
namespace {

Result<std::string> read_text_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in)
    return tl::unexpected{
        system_error(fmt::format("cannot read {}", path), errno)};
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

Result<void> check_limits_of(const service::GroupNode& group,
                             const process::Cgroups& cgroups,
                             std::vector<std::string>& notes) {
  for (const service::TreeNode& node : group.children) {
    if (const auto* nested = std::get_if<service::GroupNode>(&node.what)) {
      if (auto result = check_limits_of(*nested, cgroups, notes); !result)
        return result;
      continue;
    }
    const service::ServiceSpec& spec =
        *std::get<service::ServiceNode>(node.what).spec;
    const process::TreeLimits& limits = spec.command->tree_limits;
    const auto kept = limits.any() ? cgroups.check(limits) : Result<void>{};
    if (kept)
      continue;
    if (limits.cpu_percent || limits.tasks)
      return failure(kept.error().code,
                     fmt::format("{}: limits on cpu and tasks cannot be kept: "
                                 "{}",
                                 spec.name, kept.error().what));
    if (notes.empty())
      notes.push_back(
          fmt::format("{}: the limit on memory holds for each process and not "
                      "for all of them: {}",
                      spec.name, kept.error().what));
  }
  return {};
}

}  // namespace

Result<service::GroupNode> plan_stack(const workflow::Workflow& workflow,
                                      service::FreePorts& ports,
                                      workflow::ServiceSurroundings known,
                                      const std::vector<std::string>* only) {
  known.port_of = [&](const std::string& name) { return ports.port_of(name); };
  known.read_file = read_text_file;
  return workflow::plan_services(workflow, known, only);
}

Result<void> check_limits(const service::GroupNode& root,
                          std::vector<std::string>& notes) {
  return check_limits_of(
      root, process::Cgroups{process::Cgroups::own_folder(), ::getpid()},
      notes);
}

Result<void> make_log_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return tl::unexpected{
        system_error(fmt::format("cannot make {}", path), error.value())};
  return {};
}

}  // namespace troupe::cli
