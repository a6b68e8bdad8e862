#pragma once

#include <troupe/base/error.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
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

/// From the value of a JSON text to one in it: names of members, numbers of
/// items.
using JsonPath = std::vector<std::variant<std::string, std::size_t>>;

/// Parses `.`, `.rows`, `.tables[0].name`: names are letters, digits, _ and -.
///
/// Errors: invalid_argument, saying what is expected.
[[nodiscard]] Result<JsonPath> parse_json_path(std::string_view text);

/// An output whose value is what the command printed on standard output.
struct PrintedOutput {
  std::string name;
  bool is_last_line = false;     ///< Of all that it printed.
  std::optional<JsonPath> json;  ///< Of that, the value there.
};

/// Most that a command with such outputs may print, in bytes.
inline constexpr std::size_t most_printed = 1 << 20;

/// Sets `wanted` in `outputs` by what a command has printed, without the line
/// break at its end. Texts of JSON are taken as they are, the rest is as
/// Value::text() has it.
///
/// Errors: overloaded, if it is more than most_printed; invalid_argument, if it
/// is not the JSON that is wanted or has nothing at the path, naming the
/// output.
[[nodiscard]] Result<void> add_printed(const std::vector<PrintedOutput>& wanted,
                                       std::string_view printed,
                                       Outputs& outputs);

}  // namespace troupe::workflow
