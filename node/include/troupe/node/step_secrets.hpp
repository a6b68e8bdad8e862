#pragma once

/// The secrets of durable runs. What is kept of a run has a placeholder for
/// each: its value is read when a command is about to start, by the process
/// around that (`troupe with-secrets`), and is nowhere else
/// (docs/adr/0016-secrets-of-durable-runs.md).
#include <troupe/base/error.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/plan.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::node {

/// The command that puts secrets in, and the variable that tells it which.
inline constexpr std::string_view with_secrets_command = "with-secrets";
inline constexpr std::string_view secrets_variable = "TROUPE_SECRETS";

struct StepSecret {
  std::string placeholder;
  workflow::Secret secret;
  std::string workflow_path;  ///< Of the file that declares it.
  /// The variable that has its value, if it comes from one of the node.
  std::string variable;
  /// If it is known: then it is only to be masked. Never in what is kept.
  std::string value{};
};

/// Those of `workflow`, read from `path`, and of what it includes that need
/// their source, in the order of the files. `nonce` makes the placeholders such
/// that nothing else has one in it.
[[nodiscard]] std::vector<StepSecret> secrets_of(
    const workflow::Workflow& workflow, const std::string& path,
    const std::string& nonce);

/// Lets a plan of `workflow` take the placeholders for the values.
void add_placeholders(const workflow::Workflow& workflow,
                      std::span<const StepSecret> secrets,
                      workflow::PlanOptions& options);

/// A placeholder is no value to calculate with.
///
/// Errors: unsupported (an expression does more than to name a secret).
[[nodiscard]] Result<void> check_secret_uses(
    const workflow::Workflow& workflow);

/// The text of secrets_variable. Errors of reading: corrupt.
[[nodiscard]] std::string encode(std::span<const StepSecret> secrets);
[[nodiscard]] Result<std::vector<StepSecret>> decode_step_secrets(
    const std::string& text);

}  // namespace troupe::node
