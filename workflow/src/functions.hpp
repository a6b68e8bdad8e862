#pragma once

#include <troupe/workflow/expression.hpp>

#include <cstddef>
#include <span>
#include <string_view>

namespace troupe::workflow {

/// A function of the expression language. The one list of them.
struct FunctionInfo {
  std::string_view name;
  Function function;
  std::size_t least_arguments;
  std::size_t most_arguments;
  /// Known words of later versions are refused by name.
  bool supported = true;
};

[[nodiscard]] std::span<const FunctionInfo> function_table();

[[nodiscard]] bool is_status_function(Function function);

}  // namespace troupe::workflow
