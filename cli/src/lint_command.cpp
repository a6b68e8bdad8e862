/// troupe lint: whether workflow files are fine, without running anything.
#include "subcommand.hpp"
#include "workflow_file.hpp"

#include <troupe/base/text.hpp>
#include <troupe/workflow/services.hpp>

#include <fmt/format.h>

namespace troupe::cli {
namespace {

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::size_t count_services(const workflow::ServiceGroup& group) {
  std::size_t count = group.replica ? group.replicas : 0;
  for (const workflow::ServiceNode& node : group.children)
    count += node.group ? count_services(*node.group) : 1;
  return count;
}

}  // namespace

int run_lint(const Startup&, std::vector<std::string> words) {
  std::vector<std::string> files;
  CLI::App app{
      "Checks workflow files and lists all that is wrong with them. Exits with "
      "3 if\nthere is anything.\n\n  troupe lint etl.yaml",
      "troupe lint"};
  app.add_option("FILE", files, "Workflows; - is standard input");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (files.empty())
    return usage_error("lint: no file given");
  int code = exit_ok;
  for (const std::string& file : files) {
    const auto workflow = read_workflow(file);
    if (!workflow) {
      code = exit_bad_file;
      continue;
    }
    std::size_t steps = 0;
    for (const workflow::Job& job : workflow->jobs)
      steps += job.steps.size();
    if (workflow->services != nullptr && workflow->jobs.empty()) {
      fmt::print("{}: ok, {}\n", printable(file),
                 counted(count_services(*workflow->services), "service"));
      continue;
    }
    fmt::print("{}: ok, {}, {}\n", printable(file),
               counted(workflow->jobs.size(), "job"), counted(steps, "step"));
  }
  return code;
}

}  // namespace troupe::cli
