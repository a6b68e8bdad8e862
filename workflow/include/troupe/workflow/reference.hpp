#pragma once

#include <troupe/workflow/value.hpp>

#include <string>

namespace troupe::workflow {

/// The table of keywords as a JSON Schema of draft 2020-12, with which editors
/// complete and check workflows. Every file that load_workflow() takes is valid
/// by it; what depends on more than one key, such as a job that needs `run` or
/// `steps`, only load_workflow() refuses.
[[nodiscard]] Value json_schema();

/// The same for people: docs/guide/reference.md.
[[nodiscard]] std::string reference_page();

}  // namespace troupe::workflow
