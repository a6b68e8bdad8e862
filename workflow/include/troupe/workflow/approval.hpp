#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/config/source.hpp>
#include <troupe/workflow/inputs.hpp>
#include <troupe/workflow/template.hpp>
#include <troupe/workflow/value.hpp>

#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// Who has to agree before a job runs, and what they are asked.
struct Approval {
  config::Span where;
  Template prompt;                     ///< May be empty.
  std::vector<std::string> approvers;  ///< Users and groups; empty for anybody.
  std::vector<Input> inputs;
  Duration timeout{0};  ///< Zero for none.
};

/// What somebody says to it.
struct ApprovalAnswer {
  bool approved = true;
  std::string who;     ///< Empty for a rejection by nobody.
  std::string reason;  ///< Of a rejection, for people; may be empty.
  std::vector<std::pair<std::string, std::string>> inputs;

  friend bool operator==(const ApprovalAnswer&,
                         const ApprovalAnswer&) = default;
};

/// What `approval` is in expressions: the inputs by name, and `by`.
///
/// Errors: invalid_argument, naming the input that is missing, wrong or
/// unknown.
[[nodiscard]] Result<Value> resolve_approval(const Approval& approval,
                                             const ApprovalAnswer& answer,
                                             const Surroundings& surroundings);

}  // namespace troupe::workflow
