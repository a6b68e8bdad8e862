#pragma once

#include <troupe/base/error.hpp>
#include <troupe/config/source.hpp>
#include <troupe/workflow/value.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::workflow {

struct Workflow;

/// What an input takes. Its value in expressions is a number or a boolean for
/// these two, and a text for all others.
enum class InputType : std::uint8_t {
  string,
  number,
  boolean,
  choice,  ///< One of its options.
  date,    ///< 2024-05-01, or today, yesterday or tomorrow.
  path,    ///< Made absolute.
};

/// As a file spells it: "number".
[[nodiscard]] std::string_view to_string(InputType type);

/// A value that a run can be given, as the file declares it.
struct Input {
  std::string name;
  config::Span where;  ///< Its name.
  InputType type = InputType::string;
  std::optional<std::string> fallback;  ///< `default`
  bool required = false;
  std::vector<std::string> options;
  std::string description;
};

/// What inputs mean depends on where and when a run starts.
struct Surroundings {
  std::chrono::year_month_day today{};  ///< In local time.
  std::string folder;  ///< Absolute: where relative paths start.
};

/// The value that `text` gives to `input`.
///
/// Errors: invalid_argument: what the input must be.
[[nodiscard]] Result<Value> parse_input(const Input& input,
                                        std::string_view text,
                                        const Surroundings& surroundings);

/// The values of all inputs of a run of `workflow` that is given `given`; of
/// two for one input, the later one counts. Inputs that the file declares have
/// its types and defaults, and are null if there is neither value nor default;
/// a file that declares none takes a text for each input that it uses.
///
/// Errors: invalid_argument, with the place in the file and the option to
/// give, if a value is missing, wrong, or for an input that there is not.
[[nodiscard]] Result<Value::Object> resolve_inputs(
    const Workflow& workflow,
    const std::vector<std::pair<std::string, std::string>>& given,
    const Surroundings& surroundings);

}  // namespace troupe::workflow
