#pragma once

#include <troupe/base/error.hpp>
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

/// The same of a value: an object of lists with `include` and `exclude`, or a
/// list of objects, which are the combinations. None is no error.
///
/// Errors: invalid_argument, saying what is expected; overloaded, if a limit is
/// passed.
[[nodiscard]] Result<std::vector<Value::Object>> expand_matrix(
    const Value& matrix);

/// Whether an expression is in it, at any depth.
[[nodiscard]] bool has_expression(const config::Node& node);

/// The value of a part of a matrix without expressions.
[[nodiscard]] Value matrix_value(const config::Node& node,
                                 config::Diagnostics& diagnostics);

}  // namespace troupe::workflow
