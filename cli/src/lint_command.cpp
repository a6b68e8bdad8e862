/// troupe lint: whether workflow files are fine, without running anything.
#include "subcommand.hpp"
#include "what_if_view.hpp"
#include "workflow_file.hpp"

#include <troupe/base/text.hpp>
#include <troupe/service/what_if.hpp>
#include <troupe/workflow/service_warnings.hpp>
#include <troupe/workflow/services.hpp>

#include <fmt/format.h>

namespace troupe::cli {
namespace {

struct LintOptions {
  std::vector<std::string> files;
  std::string child;  ///< Of --what-if-dies.
  bool is_strict = false;
  bool as_json = false;
};

std::size_t count_services(const workflow::ServiceGroup& group) {
  std::size_t count = group.replica ? group.replicas : 0;
  for (const workflow::ServiceNode& child : group.children)
    count += child.group ? count_services(*child.group) : 1;
  return count;
}

/// "2 jobs, 3 steps", "4 services", or all of that.
std::string contents(const workflow::Workflow& workflow) {
  std::string text;
  if (!workflow.jobs.empty() || workflow.services == nullptr) {
    std::size_t steps = 0;
    std::size_t hooks = 0;
    for (const workflow::Job& job : workflow.jobs)
      (job.hook ? hooks : steps) += job.steps.size();
    text = fmt::format("{}, {}", counted(workflow.jobs.size() - hooks, "job"),
                       counted(steps, "step"));
    if (hooks > 0)
      text += ", " + counted(hooks, "hook");
    if (const std::size_t files = workflow::files_of(workflow).size() - 1;
        files != 0)
      text += fmt::format(", {}", counted(files, "included file"));
  }
  if (workflow.services != nullptr)
    text += fmt::format("{}{}", text.empty() ? "" : ", ",
                        counted(count_services(*workflow.services), "service"));
  return text;
}

/// Prints the warnings and says how many there are.
std::size_t warn_about(const workflow::Workflow& workflow) {
  config::Diagnostics diagnostics{workflow.source};
  workflow::warn_about_services(workflow, diagnostics);
  if (!diagnostics.empty())
    fmt::print(stderr, "{}\n", diagnostics.text());
  return diagnostics.warnings();
}

/// What the names and strategies of the file say; ports and files of variables
/// are up to those who run it.
Result<service::GroupNode> plan_names(const workflow::Workflow& workflow) {
  return workflow::plan_services(
      workflow, {.port_of = [](const std::string&) -> Result<std::uint16_t> {
                   return std::uint16_t{1};
                 },
                 .read_file = [](const std::string&) -> Result<std::string> {
                   return std::string{};
                 }});
}

int show_what_if(const workflow::Workflow& workflow, const LintOptions& o) {
  const std::string file = printable(o.files.front());
  const auto root = plan_names(workflow);
  if (!root) {
    complain(fmt::format("{}: {}", file, root.error().what));
    return exit_bad_file;
  }
  const auto what = service::what_if_dies(*root, o.child);
  if (!what) {
    complain(fmt::format("{}: {}", file, what.error().what));
    return exit_usage;
  }
  if (o.as_json)
    write_out(to_json(*what).dump(2) + "\n");
  else
    write_out(describe_what_if(*what));
  return exit_ok;
}

int check_file(const std::string& file, const LintOptions& o) {
  const auto workflow = read_workflow(file);
  if (!workflow)
    return exit_bad_file;
  const std::size_t warnings = warn_about(*workflow);
  if (o.is_strict && warnings != 0)
    return exit_bad_file;
  if (!o.child.empty())
    return show_what_if(*workflow, o);
  fmt::print("{}: ok, {}{}\n", printable(file), contents(*workflow),
             warnings == 0 ? std::string{}
                           : fmt::format(", {}", counted(warnings, "warning")));
  return exit_ok;
}

}  // namespace

int run_lint(const Startup&, std::vector<std::string> words) {
  LintOptions o;
  CLI::App app{
      "Checks workflow files and lists all that is wrong with them, and what "
      "in their\nservices may surprise. Exits with 3 if anything is wrong.\n\n"
      "  troupe lint etl.yaml\n"
      "  troupe lint stack.yaml --what-if-dies api",
      "troupe lint"};
  app.add_option("FILE", o.files, "Workflows; - is standard input");
  app.add_flag("--strict", o.is_strict, "Warnings count as errors");
  CLI::Option* const child =
      app.add_option("--what-if-dies", o.child,
                     "Show what it leads to if this service, as\n"
                     "named by troupe ps, crashes again and again")
          ->type_name("CHILD");
  app.add_flag("--json", o.as_json, "Show that as JSON");
  if (const auto code = parse(app, std::move(words)))
    return *code;
  if (o.files.empty())
    return usage_error("lint", "no file given");
  if (child->count() != 0 && o.files.size() != 1)
    return usage_error("lint", "--what-if-dies is about exactly one file");
  if (child->count() != 0 && o.child.empty())
    return usage_error("lint",
                       "--what-if-dies: expected the path of a service");
  if (o.as_json && child->count() == 0)
    return usage_error("lint", "--json goes with --what-if-dies");
  int code = exit_ok;
  for (const std::string& file : o.files) {
    if (const int one = check_file(file, o); one != exit_ok)
      code = one;
  }
  return code;
}

}  // namespace troupe::cli
