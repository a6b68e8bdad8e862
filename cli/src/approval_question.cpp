#include "approval_question.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::cli {
namespace {

std::string_view trimmed_answer(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r'))
    text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  return text;
}

}  // namespace

ApprovalQuestion::ApprovalQuestion(std::string job,
                                   const workflow::Approval& approval,
                                   std::string prompt,
                                   workflow::Surroundings surroundings)
    : job_{std::move(job)},
      approval_{approval},
      prompt_{std::move(prompt)},
      surroundings_{std::move(surroundings)} {}

std::string ApprovalQuestion::text() const {
  if (!is_approved_)
    return fmt::format("job {} waits for approval: {} [y/N] ", printable(job_),
                       prompt_.empty() ? "may it run?" : printable(prompt_));
  const std::string question = text_of(approval_.inputs.at(next_));
  return problem_.empty() ? question
                          : fmt::format("  {}\n{}", problem_, question);
}

std::string ApprovalQuestion::text_of(const workflow::Input& input) const {
  std::string what = input.type == workflow::InputType::choice
                         ? fmt::format("{}", fmt::join(input.options, "|"))
                         : std::string{to_string(input.type)};
  if (!input.description.empty())
    what += ": " + input.description;
  return fmt::format(
      "  {} ({}){}: ", input.name, printable(what),
      input.fallback ? fmt::format(" [{}]", printable(*input.fallback)) : "");
}

std::optional<workflow::ApprovalAnswer> ApprovalQuestion::take(
    std::string_view line) {
  const std::string_view text = trimmed_answer(line);
  problem_.clear();
  if (!is_approved_) {
    is_approved_ = text == "y" || text == "Y" || text == "yes";
    answer_.approved = is_approved_;
    if (!is_approved_ || approval_.inputs.empty())
      return answer_;
    return std::nullopt;
  }
  const workflow::Input& input = approval_.inputs.at(next_);
  if (text.empty()) {
    if (input.required && !input.fallback) {
      problem_ = "it is required";
      return std::nullopt;
    }
  } else if (const auto value =
                 workflow::parse_input(input, text, surroundings_);
             !value) {
    problem_ = value.error().what;
    return std::nullopt;
  } else {
    answer_.inputs.emplace_back(input.name, text);
  }
  if (++next_ < approval_.inputs.size())
    return std::nullopt;
  return answer_;
}

}  // namespace troupe::cli
