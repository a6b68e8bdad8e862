#include "run_secrets.hpp"

#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/node/secret_value.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::cli {

Result<void> read_secrets(const workflow::Workflow& workflow,
                          const std::string& path,
                          workflow::PlanOptions& options) {
  for (const workflow::Workflow* const file : workflow::files_of(workflow)) {
    const bool is_main = file == &workflow;
    const std::string& name = file->source->name();
    auto& values = is_main ? options.secrets : options.included[name].secrets;
    config::Diagnostics diagnostics{file->source};
    for (const workflow::Secret& secret : file->secrets) {
      if (!workflow::needs_source(workflow, *file, secret))
        continue;
      auto value = node::read_secret(secret, is_main ? path : name);
      if (value)
        values.emplace_back(secret.name, std::move(*value));
      else
        diagnostics.add(secret.where,
                        fmt::format("the secret \"{}\": {}", secret.name,
                                    printable(value.error().what)));
    }
    if (!diagnostics.empty())
      return tl::unexpected{diagnostics.error()};
  }
  return {};
}

}  // namespace troupe::cli
