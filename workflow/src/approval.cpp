#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>
#include <troupe/workflow/approval.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::workflow {

Result<Value> resolve_approval(const Approval& approval,
                               const ApprovalAnswer& answer,
                               const Surroundings& surroundings) {
  const auto refused = [](const std::string& name, std::string_view what) {
    return failure(
        Errc::invalid_argument,
        fmt::format("input \"{}\": {}", ellipsize(printable(name), 60), what));
  };
  for (const auto& [name, value] : answer.inputs) {
    const bool is_known = std::any_of(
        approval.inputs.begin(), approval.inputs.end(),
        [&wanted = name](const Input& input) { return input.name == wanted; });
    std::vector<std::string_view> known;
    for (const Input& input : approval.inputs)
      known.emplace_back(input.name);
    if (!is_known) {
      const std::string meant = config::did_you_mean(name, known);
      return refused(name,
                     fmt::format("the approval asks for none of that name{}{}",
                                 meant.empty() ? "" : "; ", meant));
    }
    if (value.find('\0') != std::string::npos)
      return refused(name, "it has a NUL byte");
  }
  Value::Object out;
  for (const Input& input : approval.inputs) {
    // Of two for one, the later one counts.
    const auto given =
        std::find_if(answer.inputs.rbegin(), answer.inputs.rend(),
                     [&](const auto& one) { return one.first == input.name; });
    if (given == answer.inputs.rend() && !input.fallback) {
      if (input.required)
        return refused(input.name,
                       fmt::format("it is required; give it with --input "
                                   "{}=VALUE",
                                   input.name));
      out.emplace_back(input.name, Value{});
      continue;
    }
    auto value = parse_input(
        input, given == answer.inputs.rend() ? *input.fallback : given->second,
        surroundings);
    if (!value)
      return refused(input.name, value.error().what);
    out.emplace_back(input.name, std::move(*value));
  }
  out.emplace_back("by", Value{answer.who});
  return Value{std::move(out)};
}

}  // namespace troupe::workflow
