#pragma once

#include <troupe/config/diagnostics.hpp>
#include <troupe/config/document.hpp>
#include <troupe/workflow/value.hpp>

#include <vector>

namespace troupe::workflow {

/// The combinations that a `matrix:` stands for: the product of its lists in
/// the order of the file, the last varying fastest, less what an entry of
/// `exclude` is part of. An entry of `include` is added to each combination
/// that it does not contradict, or becomes one of its own if there is none.
///
/// What is wrong is reported; then no combination comes back.
[[nodiscard]] std::vector<Value::Object> expand_matrix(
    const config::Node& node, config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
