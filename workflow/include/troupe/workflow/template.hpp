#pragma once

#include <troupe/base/error.hpp>
#include <troupe/config/source.hpp>
#include <troupe/workflow/expression.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// How the value of a `${{ }}` gets into a text.
enum class Insertion : std::uint8_t {
  verbatim,       ///< As it is: names, env, raw().
  bare,           ///< Into shell text outside quotes, as one word.
  double_quoted,  ///< Into shell text between double quotes.
  single_quoted,  ///< Into shell text between single quotes.
  comment,        ///< Into a shell comment, without line breaks.
};

/// A text with expressions in it, as written in a file. Immutable.
struct Template {
  /// A stretch of text and the expression after it, if there is one.
  struct Part {
    std::string literal;
    std::optional<Expression> expression;
    std::size_t offset = 0;  ///< Of the expression's text in `text`.
    Insertion insertion = Insertion::verbatim;
  };

  std::string text;
  config::Span where;  ///< Of the value in its file.
  std::vector<Part> parts;

  [[nodiscard]] bool empty() const { return text.empty(); }
};

/// A text under a name of the user's own: a variable or an output.
struct NamedTemplate {
  std::string name;
  Template value;
};

/// What a template is for.
enum class Usage : std::uint8_t {
  text,   ///< Values are put in as they are.
  shell,  ///< Values are quoted for a POSIX shell, by where they stand.
};

/// Parses `text`. With Usage::shell every place of a value is classified, so
/// that no value can be anything but data to the shell: one that stands where
/// quoting is not safe (a here-document, backquotes, arithmetic, after $ or a
/// backslash) is a problem, unless it is raw().
[[nodiscard]] Template parse_template(std::string text, config::Span where,
                                      Usage usage,
                                      std::vector<Problem>& problems);

/// The text with all values put in.
///
/// Errors: overloaded, if it would be longer than longest_text;
/// invalid_argument, if a value has a NUL byte, which no command can get.
[[nodiscard]] Result<std::string> resolve(const Template& text,
                                          const Environment& environment);

/// An `if`: one expression, with or without `${{ }}` around it.
struct Condition {
  std::string text;
  config::Span where;
  std::size_t offset = 0;  ///< Of the expression's text in `text`.
  Expression expression;
};

[[nodiscard]] std::optional<Condition> parse_condition(
    std::string text, config::Span where, std::vector<Problem>& problems);

/// Where byte `offset` of `text`, a scalar that starts at `where`, is in the
/// file: exact unless YAML escapes or folded lines come before it in the same
/// expression; then the start of the expression.
[[nodiscard]] config::Span locate(const config::Source& source,
                                  config::Span where, std::string_view text,
                                  std::size_t offset, std::size_t length);

}  // namespace troupe::workflow
