#include "data_use.hpp"

#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/workflow/placement.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <string_view>

namespace troupe::workflow {
namespace {

bool is_written_out(const Template& text) {
  return std::none_of(
      text.parts.begin(), text.parts.end(),
      [](const Template::Part& part) { return part.expression.has_value(); });
}

}  // namespace

Result<void> check_placement(
    const Workflow& file,
    const std::function<Result<void>(const std::string& label)>& check_label) {
  config::Diagnostics diagnostics{file.source};
  for (const Job& job : file.jobs) {
    const Placement& placement = job.placement;
    if (!placement.is_said())
      continue;
    const auto& labels = placement.labels;
    const config::Span where =
        labels.empty() ? placement.where : labels.front().where;
    const std::string_view keyword = labels.empty() ? "placement" : "runs-on";
    if (job.call) {
      if (placement.is_of_job || labels.empty())
        diagnostics.add(where, fmt::format("\"{}\" belongs on the jobs of the "
                                           "file that is called",
                                           keyword));
      continue;
    }
    if (!job.services.empty() || uses_ports(job))
      diagnostics.add(
          where,
          fmt::format("the job {} uses services, which listen on the node that "
                      "drives the run: with \"{}\" it may run on another one",
                      in_quotes(job.id), keyword),
          fmt::format("leave \"{}\" out, or start what it needs in the job "
                      "itself",
                      keyword));
    for (const Template& label : labels) {
      if (!is_written_out(label))
        continue;
      if (const auto checked = check_label(label.text); !checked)
        diagnostics.add(label.where,
                        fmt::format("runs-on: {}", checked.error().what));
    }
  }
  return diagnostics.empty() ? Result<void>{}
                             : tl::unexpected{diagnostics.error()};
}

}  // namespace troupe::workflow
