#include "shell_scanner.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/workflow/template.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::workflow {
namespace {

constexpr std::string_view opening = "${{";
constexpr std::string_view closing = "}}";

/// Longer expressions are programs and belong into a script.
constexpr std::size_t longest_expression = 4096;

/// Where the `}}` of the expression that starts at `start` is, or npos. One
/// inside a 'text' does not count.
std::size_t find_closing(std::string_view text, std::size_t start) {
  bool in_text = false;
  for (std::size_t i = start; i < text.size(); ++i) {
    if (text[i] == '\'')
      in_text = !in_text;
    else if (!in_text && text.substr(i).starts_with(closing))
      return i;
  }
  return std::string_view::npos;
}

std::optional<Expression> parse_at(std::string_view text, std::size_t offset,
                                   std::size_t length,
                                   std::vector<Problem>& problems) {
  if (length > longest_expression) {
    problems.push_back({offset,
                        1,
                        fmt::format("an expression of more than {}",
                                    format_size(longest_expression)),
                        {}});
    return std::nullopt;
  }
  auto expression = parse_expression(text.substr(offset, length));
  if (expression)
    return std::move(*expression);
  expression.error().offset += offset;
  problems.push_back(std::move(expression.error()));
  return std::nullopt;
}

bool is_raw(const Expression& expression) {
  return expression.root().kind == Expression::Kind::call &&
         expression.root().function == Function::raw;
}

/// A list becomes several words of a shell, all else one text.
std::string inserted(const Value& value, Insertion insertion) {
  const auto* const list = std::get_if<Value::List>(&value.data);
  if (list == nullptr || insertion != Insertion::bare)
    return quote_for(insertion, value.text());
  std::string out;
  for (const Value& item : *list) {
    if (!out.empty())
      out += ' ';
    out += quote_for(insertion, item.text());
  }
  return out;
}

}  // namespace

Template parse_template(std::string text, config::Span where, Usage usage,
                        std::vector<Problem>& problems) {
  Template out{std::move(text), where, {}};
  const std::string_view all = out.text;
  ShellScanner scanner;
  std::size_t at = 0;
  while (at < all.size()) {
    const std::size_t start = all.find(opening, at);
    if (start == std::string_view::npos) {
      out.parts.push_back({std::string{all.substr(at)}, {}, 0, {}});
      break;
    }
    const std::size_t first = start + opening.size();
    const std::size_t end = find_closing(all, first);
    if (end == std::string_view::npos) {
      problems.push_back(
          {start, opening.size(), "a \"${{\" without its \"}}\"", {}});
      break;
    }
    Template::Part part;
    part.literal = all.substr(at, start - at);
    part.offset = first;
    part.expression = parse_at(all, first, end - first, problems);
    if (usage == Usage::shell) {
      scanner.read(part.literal);
      auto insertion = scanner.insertion();
      const bool raw = part.expression && is_raw(*part.expression);
      if (!raw && insertion)
        part.insertion = *insertion;
      else if (!raw)
        problems.push_back({start, end + closing.size() - start,
                            fmt::format("a value cannot be quoted safely {}",
                                        insertion.error()),
                            "pass it through \"env\" instead"});
    }
    at = end + closing.size();
    out.parts.push_back(std::move(part));
  }
  return out;
}

Result<std::string> resolve(const Template& text,
                            const Environment& environment) {
  std::string out;
  for (const Template::Part& part : text.parts) {
    out += part.literal;
    if (part.expression) {
      const auto value = evaluate(*part.expression, environment);
      if (!value)
        return tl::unexpected{value.error()};
      out += inserted(*value, part.insertion);
    }
    if (out.size() > longest_text)
      return failure(Errc::overloaded, fmt::format("a text of more than {}",
                                                   format_size(longest_text)));
  }
  if (out.find('\0') != std::string::npos)
    return failure(Errc::invalid_argument, "a value with a NUL byte");
  return out;
}

std::optional<Condition> parse_condition(std::string text, config::Span where,
                                         std::vector<Problem>& problems) {
  std::size_t first = 0;
  std::size_t end = text.size();
  const std::size_t start = text.find(opening);
  if (start != std::string::npos) {
    const std::size_t close = find_closing(text, start + opening.size());
    const bool whole =
        close != std::string::npos &&
        text.find_first_not_of(" \t\r\n") == start &&
        text.find_first_not_of(" \t\r\n", close + closing.size()) ==
            std::string::npos;
    if (!whole) {
      problems.push_back(
          {start,
           opening.size(),
           "a condition is one expression; put all of it between \"${{\" and "
           "\"}}\"",
           {}});
      return std::nullopt;
    }
    first = start + opening.size();
    end = close;
  }
  auto expression = parse_at(text, first, end - first, problems);
  if (!expression)
    return std::nullopt;
  return Condition{std::move(text), where, first, std::move(*expression)};
}

config::Span locate(const config::Source& source, config::Span where,
                    std::string_view text, std::size_t offset,
                    std::size_t length) {
  const std::string_view rest = source.from(where);
  // The same "${{" in the text and in the file: YAML never changes these
  // characters, whatever it does to quotes, indentation and line breaks.
  std::size_t in_text = std::string_view::npos;
  std::size_t in_file = std::string_view::npos;
  for (std::size_t at = text.find(opening); at <= offset;
       at = text.find(opening, at + 1)) {
    in_text = at;
    in_file =
        rest.find(opening, in_file == std::string_view::npos ? 0 : in_file + 1);
    if (in_file == std::string_view::npos)
      return where;
  }
  if (in_text == std::string_view::npos) {
    in_text = 0;
    in_file = !rest.empty() && (rest[0] == '"' || rest[0] == '\'') ? 1 : 0;
  }
  const std::size_t distance = offset - in_text;
  const bool same =
      rest.substr(in_file).starts_with(text.substr(in_text, distance));
  config::Span at = source.advance(where, in_file + (same ? distance : 0));
  const std::string_view line = source.line(at.line);
  const std::size_t left =
      line.size() >= at.column ? line.size() - at.column + 1 : 1;
  at.length = static_cast<std::uint32_t>(
      std::max<std::size_t>(1, std::min(same ? length : 3, left)));
  return at;
}

}  // namespace troupe::workflow
