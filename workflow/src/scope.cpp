#include "scope.hpp"

#include "functions.hpp"

#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::workflow {
namespace {

const Names* find(const Names& names, std::string_view name) {
  for (const Names& member : names.members) {
    if (member.name == name)
      return &member;
  }
  return nullptr;
}

Problem unknown(const Names& names, std::string_view name) {
  Problem problem;
  if (names.explain)
    problem.message = names.explain(name);
  if (!problem.message.empty())
    return problem;
  if (names.kind.empty()) {
    problem.message = fmt::format("{} has no parts", in_quotes(names.name));
    return problem;
  }
  std::vector<std::string_view> known;
  for (const Names& member : names.members)
    known.push_back(member.name);
  problem.message =
      fmt::format("unknown {} {}{}", names.kind, in_quotes(name), names.of);
  problem.hint = config::did_you_mean(name, known);
  return problem;
}

/// Why `names`, at which the path `path` ends, must not be shown; empty if
/// nothing of it is secret.
Problem secrecy(const Names& names, std::string_view name, const Scope& scope) {
  Problem problem;
  const bool has_secrets =
      std::any_of(names.members.begin(), names.members.end(),
                  [](const Names& member) { return !member.secret.empty(); });
  if (has_secrets)
    problem.message = fmt::format(
        "{} as a whole has secrets in it; name one of them", in_quotes(name));
  if (names.secret.empty() || scope.takes_secrets)
    return problem;
  problem.message = names.secret;
  problem.hint = names.secret_hint;
  return problem;
}

void check_path(const Expression::Node& node, std::size_t offset,
                const Scope& scope, std::vector<Problem>& problems) {
  const Names* at = &scope.names;
  for (std::size_t i = 0; i < node.path.size() && !at->open; ++i) {
    const std::string& name = node.path[i];
    const Names* const member = find(*at, name);
    Problem problem;
    if (member == nullptr)
      problem = unknown(*at, name);
    else if (!member->refusal.empty())
      problem.message = member->refusal;
    else if (!member->secret.empty() || i + 1 == node.path.size())
      problem = secrecy(*member, name, scope);
    if (!problem.message.empty()) {
      problem.offset = offset + node.path_offsets[i];
      problem.length = name.size();
      problems.push_back(std::move(problem));
      return;
    }
    at = member;
  }
}

}  // namespace

void check(const Expression& expression, std::size_t offset, const Scope& scope,
           std::vector<Problem>& problems) {
  const auto& nodes = expression.nodes();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Expression::Node& node = nodes[i];
    if (node.kind == Expression::Kind::path)
      check_path(node, offset, scope, problems);
    if (node.kind != Expression::Kind::call)
      continue;
    if (is_status_function(node.function) && !scope.has_status)
      problems.push_back({offset + node.offset,
                          node.length,
                          "success(), failure(), always() and cancelled() can "
                          "only be used in \"if\"",
                          {}});
    if (node.function == Function::hash_files) {
      if (!scope.has_files)
        problems.push_back({offset + node.offset,
                            node.length,
                            "hashFiles() is not supported yet for services by "
                            "this version",
                            {}});
      for (const std::size_t argument : node.arguments) {
        if (!std::holds_alternative<std::string>(nodes[argument].literal.data))
          problems.push_back(
              {offset + nodes[argument].offset,
               nodes[argument].length,
               "hashFiles() takes texts such as 'src/**', since files are "
               "looked at before anything runs",
               {}});
      }
    }
    if (node.function == Function::raw && i + 1 != nodes.size())
      problems.push_back({offset + node.offset,
                          node.length,
                          "raw() must be the outermost of an expression",
                          {}});
  }
}

}  // namespace troupe::workflow
