#include "decode.hpp"

#include <troupe/config/document.hpp>
#include <troupe/workflow/load.hpp>

namespace troupe::workflow {

std::shared_ptr<const Workflow> load_workflow(
    std::shared_ptr<const config::Source> source,
    config::Diagnostics& diagnostics) {
  const auto document = config::read_yaml(std::move(source), diagnostics);
  if (!document)
    return nullptr;
  Draft draft = decode(*document, diagnostics);
  check_names(draft, diagnostics);
  if (diagnostics.errors() != 0)
    return nullptr;
  return std::make_shared<const Workflow>(std::move(draft.workflow));
}

Result<std::shared_ptr<const Workflow>> load_workflow(std::string name,
                                                      std::string text) {
  auto source =
      std::make_shared<const config::Source>(std::move(name), std::move(text));
  config::Diagnostics diagnostics{source};
  auto workflow = load_workflow(std::move(source), diagnostics);
  if (workflow == nullptr)
    return tl::unexpected{diagnostics.error()};
  return workflow;
}

}  // namespace troupe::workflow
