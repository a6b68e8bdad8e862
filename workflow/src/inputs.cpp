#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/workflow/inputs.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/value.hpp>

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>

namespace troupe::workflow {
namespace {

using Given = std::vector<std::pair<std::string, std::string>>;

tl::unexpected<Error> expected(std::string_view what, std::string_view got) {
  return failure(Errc::invalid_argument,
                 fmt::format("must be {}, not {}", what, in_quotes(got)));
}

/// The number of so many digits that `text` is.
std::optional<int> digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9')
      return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<std::chrono::year_month_day> parse_date(
    std::string_view text, std::chrono::year_month_day today) {
  using std::chrono::days;
  using std::chrono::sys_days;
  if (text == "today")
    return today;
  if (text == "yesterday")
    return sys_days{today} - days{1};
  if (text == "tomorrow")
    return sys_days{today} + days{1};
  if (text.size() != 10 || text[4] != '-' || text[7] != '-')
    return std::nullopt;
  const auto year = digits(text.substr(0, 4));
  const auto month = digits(text.substr(5, 2));
  const auto day = digits(text.substr(8, 2));
  if (!year || !month || !day)
    return std::nullopt;
  const std::chrono::year_month_day date{
      std::chrono::year{*year},
      std::chrono::month{static_cast<unsigned>(*month)},
      std::chrono::day{static_cast<unsigned>(*day)}};
  return date.ok() ? std::optional{date} : std::nullopt;
}

Error at(const Workflow& workflow, config::Span where, std::string message,
         std::string hint) {
  config::Diagnostics diagnostics{workflow.source};
  diagnostics.add(where, std::move(message), std::move(hint));
  return diagnostics.error();
}

/// How to give a value to an input that has none.
std::string how_to_give(const Input& input) {
  switch (input.type) {
    case InputType::choice:
      return fmt::format("give it with --input {}=VALUE, one of {}", input.name,
                         fmt::join(input.options, ", "));
    case InputType::boolean:
      return fmt::format("give it with --input {}=true or --input {}=false",
                         input.name, input.name);
    case InputType::date:
      return fmt::format(
          "give it with --input {}=yyyy-mm-dd, today or "
          "yesterday",
          input.name);
    case InputType::string:
    case InputType::number:
    case InputType::path:
      break;
  }
  return fmt::format("give it with --input {}=VALUE", input.name);
}

Error unknown(const Workflow& workflow, std::string_view name,
              const std::vector<std::string_view>& known) {
  return at(workflow, {}, fmt::format("unknown input {}", in_quotes(name)),
            config::did_you_mean(name, known));
}

Error missing(const Workflow& workflow, const Input& input) {
  std::string message =
      fmt::format("no value for the input {}", in_quotes(input.name));
  if (!input.description.empty())
    message += fmt::format(", {}", in_quotes(input.description));
  return at(workflow, input.where, std::move(message), how_to_give(input));
}

Error wrong(const Workflow& workflow, const Input& input, std::string_view text,
            const Error& why) {
  std::string hint;
  if (input.type == InputType::choice)
    hint = config::did_you_mean(text,
                                {input.options.begin(), input.options.end()});
  return at(workflow, input.where,
            fmt::format("--input {}: {}", input.name, why.what),
            std::move(hint));
}

Result<Value::Object> resolve_declared(
    const Workflow& workflow, const std::vector<Input>& inputs,
    const std::map<std::string, std::string>& given,
    const Surroundings& surroundings) {
  std::vector<std::string_view> known;
  for (const Input& input : inputs)
    known.emplace_back(input.name);
  for (const auto& [name, value] : given) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return tl::unexpected{unknown(workflow, name, known)};
  }
  Value::Object out;
  for (const Input& input : inputs) {
    const auto found = given.find(input.name);
    if (found == given.end() && !input.fallback) {
      if (input.required)
        return tl::unexpected{missing(workflow, input)};
      out.emplace_back(input.name, Value{});
      continue;
    }
    const std::string& text =
        found == given.end() ? *input.fallback : found->second;
    auto value = parse_input(input, text, surroundings);
    if (!value)
      return tl::unexpected{wrong(workflow, input, text, value.error())};
    out.emplace_back(input.name, std::move(*value));
  }
  return out;
}

/// Of a file that declares no inputs: each that is used is a text.
Result<Value::Object> resolve_used(
    const Workflow& workflow, const std::map<std::string, std::string>& given) {
  std::vector<std::string_view> known;
  for (const InputUse& use : workflow.inputs)
    known.emplace_back(use.name);
  Value::Object out;
  for (const auto& [name, value] : given) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return tl::unexpected{unknown(workflow, name, known)};
    out.emplace_back(name, Value{value});
  }
  for (const InputUse& use : workflow.inputs) {
    if (!given.contains(use.name))
      return tl::unexpected{
          at(workflow, use.where,
             fmt::format("no value for the input {}", in_quotes(use.name)),
             fmt::format("give it with --input {}=VALUE", use.name))};
  }
  return out;
}

}  // namespace

std::string_view to_string(InputType type) {
  switch (type) {
    case InputType::string:
      return "string";
    case InputType::number:
      return "number";
    case InputType::boolean:
      return "boolean";
    case InputType::choice:
      return "choice";
    case InputType::date:
      return "date";
    case InputType::path:
      return "path";
  }
  return "string";
}

Result<Value> parse_input(const Input& input, std::string_view text,
                          const Surroundings& surroundings) {
  switch (input.type) {
    case InputType::string:
      return Value{text};
    case InputType::number: {
      const auto number = spelled_number(text);
      if (!number || !std::isfinite(*number))
        return expected("a number", text);
      if (std::abs(*number) > largest_whole)
        return failure(Errc::invalid_argument,
                       fmt::format("{} is too large to be exact; make the "
                                   "input a string",
                                   in_quotes(text)));
      return Value{*number};
    }
    case InputType::boolean:
      if (text == "true" || text == "false")
        return Value{text == "true"};
      return expected("true or false", text);
    case InputType::choice: {
      if (std::find(input.options.begin(), input.options.end(), text) !=
          input.options.end())
        return Value{text};
      return expected(fmt::format("one of {}", fmt::join(input.options, ", ")),
                      text);
    }
    case InputType::date: {
      const auto date = parse_date(text, surroundings.today);
      if (!date)
        return expected("a date such as 2024-05-01, today or yesterday", text);
      return Value{fmt::format("{:04}-{:02}-{:02}",
                               static_cast<int>(date->year()),
                               static_cast<unsigned>(date->month()),
                               static_cast<unsigned>(date->day()))};
    }
    case InputType::path:
      if (text.empty())
        return expected("a path", text);
      if (text.starts_with('/') || surroundings.folder.empty())
        return Value{text};
      return Value{fmt::format("{}/{}", surroundings.folder, text)};
  }
  return Value{};
}

Result<Value::Object> resolve_inputs(const Workflow& workflow,
                                     const Given& given,
                                     const Surroundings& surroundings) {
  std::map<std::string, std::string> last;
  for (const auto& [name, value] : given) {
    if (value.find('\0') != std::string::npos)
      return failure(
          Errc::invalid_argument,
          fmt::format("the input {} has a NUL byte", in_quotes(name)));
    last.insert_or_assign(name, value);
  }
  const auto* const declared = workflow.declared_inputs();
  return declared == nullptr
             ? resolve_used(workflow, last)
             : resolve_declared(workflow, *declared, last, surroundings);
}

}  // namespace troupe::workflow
