#pragma once

#include <troupe/workflow/template.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// The names that an expression may use at one place of a file, as a tree: the
/// contexts, and in each what is known before anything runs.
struct Names {
  /// Says what is wrong with a name that is not here, if that is more than
  /// that it is unknown.
  using Explain = std::function<std::string(std::string_view name)>;

  std::string name;
  std::vector<Names> members;
  /// Members are only known when the workflow runs.
  bool open = false;
  /// Why it cannot be used here; empty if it can.
  std::string refusal;
  /// What its members are, for messages: `unknown output "x" of job "a"`.
  std::string kind;
  std::string of;
  Explain explain;
  /// Why it is refused where it could be seen, if it is secret, and what to do
  /// instead. Empty if it is not.
  std::string secret;
  std::string secret_hint;
};

/// What is checked of expressions at one place.
struct Scope {
  Names names;  ///< Its members are the contexts.
  /// Whether success(), failure(), always() and cancelled() mean something.
  bool has_status = false;
  /// Whether secrets may be used: only in variables of commands.
  bool takes_secrets = false;
  /// Whether files are looked at for hashFiles() before anything runs.
  bool has_files = true;
};

/// Appends what is wrong with the names in `expression`, whose text starts at
/// `offset` of the text around it.
void check(const Expression& expression, std::size_t offset, const Scope& scope,
           std::vector<Problem>& problems);

}  // namespace troupe::workflow
