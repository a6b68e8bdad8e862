#pragma once

#include <troupe/base/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// The variable that names the file a step appends its outputs to.
inline constexpr std::string_view output_variable = "TROUPE_OUTPUT";

/// Names and values, each name once.
using Outputs = std::vector<std::pair<std::string, std::string>>;

/// Largest file of outputs, in bytes, and most names in one.
inline constexpr std::size_t largest_output_file = 1 << 20;
inline constexpr std::size_t most_outputs = 1000;

/// Reads what a step wrote: lines `name=value`, and for values of several lines
///
///     name<<END
///     ...
///     END
///
/// Empty lines are skipped, a later value replaces an earlier one.
///
/// Errors: invalid_argument, as in `line 3: expected name=value or name<<END,
/// got "x"`; overloaded, if a limit is passed.
[[nodiscard]] Result<Outputs> parse_outputs(std::string_view text);

}  // namespace troupe::workflow
