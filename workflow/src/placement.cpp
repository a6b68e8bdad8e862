#include "data_use.hpp"

#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/workflow/placement.hpp>

#include <algorithm>
#include <fmt/format.h>

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
    const auto& labels = job.placement.labels;
    if (labels.empty())
      continue;
    if (job.call) {
      if (job.placement.is_of_job)
        diagnostics.add(labels.front().where,
                        "\"runs-on\" belongs on the jobs of the file that is "
                        "called");
      continue;
    }
    if (!job.services.empty() || uses_ports(job))
      diagnostics.add(
          labels.front().where,
          fmt::format("the job {} uses services, which listen on the node that "
                      "drives the run: with \"runs-on\" it may run on another "
                      "one",
                      in_quotes(job.id)),
          "leave \"runs-on\" out, or start what it needs in the job itself");
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
