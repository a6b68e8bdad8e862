#include "decode.hpp"
#include "text_decoder.hpp"

#include <troupe/base/text.hpp>
#include <troupe/workflow/inputs.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <string_view>
#include <vector>

namespace troupe::workflow {
namespace {

using config::Diagnostics;

bool is_literal(const Template& text) {
  return std::none_of(
      text.parts.begin(), text.parts.end(),
      [](const Template::Part& part) { return part.expression.has_value(); });
}

/// What the file says of an input, as an input of a file that declares none is
/// a text that has to be given.
std::vector<Input> inputs_of(const Workflow& file) {
  if (const auto* const declared = file.inputs_of_call())
    return *declared;
  std::vector<Input> inputs;
  for (const InputUse& use : file.inputs)
    inputs.push_back({.name = use.name, .where = use.where, .required = true});
  return inputs;
}

void check_inputs(const Job& job, Diagnostics& diagnostics) {
  const Call& call = *job.call;
  const auto inputs = inputs_of(*call.workflow);
  const std::string& file = call.workflow->source->name();
  std::vector<std::string_view> known;
  for (const Input& input : inputs)
    known.emplace_back(input.name);
  for (const Argument& given : call.inputs) {
    const auto input =
        std::find_if(inputs.begin(), inputs.end(),
                     [&](const Input& i) { return i.name == given.name; });
    if (input == inputs.end()) {
      diagnostics.add(given.where,
                      fmt::format("unknown input {} of {}",
                                  in_quotes(given.name), in_quotes(file)),
                      config::did_you_mean(given.name, known));
      continue;
    }
    if (!is_literal(given.value))
      continue;
    const Surroundings any{std::chrono::year_month_day{std::chrono::sys_days{}},
                           {}};
    const auto value = parse_input(*input, given.value.text, any);
    if (!value)
      diagnostics.add(given.value.where,
                      fmt::format("{}: {}", given.name, value.error().what));
  }
  for (const Input& input : inputs) {
    const bool is_given =
        std::any_of(call.inputs.begin(), call.inputs.end(),
                    [&](const Argument& a) { return a.name == input.name; });
    if (input.required && !input.fallback && !is_given)
      diagnostics.add(call.where,
                      fmt::format("no value for the input {} of {}",
                                  in_quotes(input.name), in_quotes(file)),
                      fmt::format("give it: with: {{{}: ...}}", input.name));
  }
}

void check_secrets(const Job& job, Diagnostics& diagnostics) {
  const Call& call = *job.call;
  std::vector<std::string_view> known;
  for (const Secret& secret : call.workflow->secrets)
    known.emplace_back(secret.name);
  for (const Argument& given : call.secrets) {
    if (std::find(known.begin(), known.end(), given.name) == known.end())
      diagnostics.add(given.where,
                      fmt::format("{} declares no secret {}",
                                  in_quotes(call.workflow->source->name()),
                                  in_quotes(given.name)),
                      config::did_you_mean(given.name, known));
  }
}

}  // namespace

void check_call(const Job& job, Diagnostics& diagnostics) {
  const Call& call = *job.call;
  const Workflow& file = *call.workflow;
  if (file.services != nullptr || file.jobs.empty()) {
    diagnostics.add(
        call.where,
        fmt::format("{} has {}, so no job can call it",
                    in_quotes(file.source->name()),
                    file.services != nullptr ? "services" : "no jobs"));
    return;
  }
  if (!call.job.empty()) {
    std::vector<std::string_view> known;
    for (const Job& one : file.jobs)
      known.emplace_back(one.id);
    if (std::find(known.begin(), known.end(), call.job) == known.end()) {
      diagnostics.add(call.where,
                      fmt::format("unknown job {} of {}", in_quotes(call.job),
                                  in_quotes(file.source->name())),
                      config::did_you_mean(call.job, known));
      return;
    }
  }
  check_inputs(job, diagnostics);
  check_secrets(job, diagnostics);
}

}  // namespace troupe::workflow
