#pragma once

#include <troupe/base/error.hpp>
#include <troupe/workflow/value.hpp>

#include <tl/expected.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// Something wrong with a text, at a place in it counted in bytes.
struct Problem {
  std::size_t offset = 0;
  std::size_t length = 1;
  std::string message;
  std::string hint;

  friend bool operator==(const Problem&, const Problem&) = default;
};

enum class Function : std::uint8_t {
  success,
  failure,
  always,
  cancelled,
  contains,
  starts_with,
  ends_with,
  format,
  join,
  to_json,
  raw,
  from_json,
  hash_files,
};

/// A parsed expression: what stands between `${{` and `}}`, or an `if`.
/// Immutable; evaluation is total except for the size of texts and for texts
/// that are no JSON.
class Expression {
 public:
  enum class Kind : std::uint8_t {
    literal,
    path,  ///< steps.pull.outputs.rows
    call,
    member,  ///< fromJSON(x).rows, of what is no path
    index,   ///< matrix.list[0], steps[matrix.name]
    each,    ///< list.*.name: the names in `path` of all items
    logical_not,
    logical_and,
    logical_or,
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
  };

  /// One operand or operator; `arguments` are indices of earlier nodes.
  struct Node {
    Kind kind = Kind::literal;
    std::size_t offset = 0;  ///< In the text that was parsed.
    std::size_t length = 1;
    Value literal;
    std::vector<std::string> path;
    std::vector<std::size_t> path_offsets;  ///< Of each name of `path`.
    Function function = Function::success;
    std::vector<std::size_t> arguments;
  };

  explicit Expression(std::vector<Node> nodes) : nodes_{std::move(nodes)} {}

  /// In the order of evaluation: the last is the whole.
  [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
  [[nodiscard]] const Node& root() const { return nodes_.back(); }

  /// Whether success(), failure(), always() or cancelled() occurs in it.
  [[nodiscard]] bool asks_for_status() const;

 private:
  std::vector<Node> nodes_;
};

/// Parses one expression:
///
///     or:      and ('||' and)*
///     and:     equality ('&&' equality)*
///     equality: order (('==' | '!=') order)*
///     order:   unary (('<' | '<=' | '>' | '>=') unary)*
///     unary:   '!' unary | primary
///     primary: ('text' | number | true | false | null | '(' or ')'
///              | name '(' or, ... ')' | name) part*
///     part:    '.' name | '.' '*' | '[' or ']'
///
/// `list[0]` is the first item, `map['key']` and `map.key` the same member;
/// what is not there is null. `list.*` is all items, or members of a map, and
/// what follows it is looked up in each; those without it are left out.
///
/// In a 'text' a quote is written twice. `&&` and `||` give the value of an
/// operand, as in GitHub Actions: `inputs.env || 'staging'`. Nested at most 64
/// deep. Unknown functions and wrong numbers of arguments are problems; names
/// are checked by Scope.
[[nodiscard]] tl::expected<Expression, Problem> parse_expression(
    std::string_view text);

/// What hashFiles() of these patterns is; null if it is not known. Files are
/// looked at outside, before anything is evaluated.
using FileHashes = std::map<std::vector<std::string>, std::string>;

/// What the names and functions of an expression mean at a moment.
struct Environment {
  /// Contexts by name: "env", "matrix", ... The values are not owned.
  std::vector<std::pair<std::string_view, const Value*>> contexts;
  bool success = true;
  bool failure = false;
  bool cancelled = false;
  const FileHashes* file_hashes = nullptr;  ///< Not owned.
};

/// The arguments of a call of hashFiles(), which are texts as written.
[[nodiscard]] std::vector<std::string> texts_of(const Expression& expression,
                                                const Expression::Node& call);

/// Longest text that an expression may make, in bytes.
inline constexpr std::size_t longest_text = 1 << 20;

/// The value of `expression`. A name without a value is null.
///
/// Errors: overloaded, if a text would be longer than longest_text;
/// invalid_argument, if fromJSON() gets a text that is no JSON. An operand of
/// && or || whose value is not asked for can fail, too.
[[nodiscard]] Result<Value> evaluate(const Expression& expression,
                                     const Environment& environment);

}  // namespace troupe::workflow
