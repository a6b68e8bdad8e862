#include "functions.hpp"

#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/expression.hpp>

#include <array>
#include <fmt/format.h>
#include <optional>

namespace troupe::workflow {
namespace {

constexpr int deepest = 64;

enum class TokenKind : std::uint8_t { name, text, number, sign, end };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view spelled;
  std::string text;  ///< Of a text, without its quotes.
  std::size_t offset = 0;
};

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool continues_name(char c) {
  return starts_name(c) || is_digit(c) || c == '-';
}
bool separates_tokens(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

using Tokens = tl::expected<std::vector<Token>, Problem>;

tl::unexpected<Problem> problem(std::size_t offset, std::size_t length,
                                std::string message, std::string hint = {}) {
  return tl::unexpected{
      Problem{offset, length, std::move(message), std::move(hint)}};
}

/// The end of the 'text' that starts at `start`, or npos.
std::size_t end_of_text(std::string_view text, std::size_t start) {
  for (std::size_t i = start + 1; i < text.size(); ++i) {
    if (text[i] != '\'')
      continue;
    if (i + 1 == text.size() || text[i + 1] != '\'')
      return i + 1;
    ++i;
  }
  return std::string_view::npos;
}

std::string unquoted(std::string_view spelled) {
  std::string out;
  for (std::size_t i = 1; i + 1 < spelled.size(); ++i) {
    out += spelled[i];
    if (spelled[i] == '\'')
      ++i;
  }
  return out;
}

Tokens tokenize(std::string_view text) {
  constexpr std::array<std::string_view, 16> signs{
      "&&", "||", "==", "!=", "<=", ">=", "!", "<",
      ">",  "(",  ")",  ",",  "[",  "]",  ".", "*"};
  std::vector<Token> tokens;
  std::size_t at = 0;
  const auto push = [&](TokenKind kind, std::size_t length) {
    tokens.push_back({kind, text.substr(at, length), {}, at});
    at += length;
  };
  while (at < text.size()) {
    const char c = text[at];
    if (separates_tokens(c)) {
      ++at;
      continue;
    }
    if (c == '\'') {
      const std::size_t end = end_of_text(text, at);
      if (end == std::string_view::npos)
        return problem(at, 1, "a text without its closing quote");
      push(TokenKind::text, end - at);
      tokens.back().text = unquoted(tokens.back().spelled);
      continue;
    }
    if (c == '"')
      return problem(at, 1, "texts in expressions have single quotes");
    const bool negative =
        c == '-' && at + 1 < text.size() && is_digit(text[at + 1]);
    if (is_digit(c) || negative) {
      std::size_t length = 1;
      while (at + length < text.size() &&
             (continues_name(text[at + length]) || text[at + length] == '.'))
        ++length;
      push(TokenKind::number, length);
      if (!spelled_number(tokens.back().spelled))
        return problem(tokens.back().offset, length,
                       fmt::format("{} is not a number",
                                   in_quotes(tokens.back().spelled)));
      continue;
    }
    if (starts_name(c)) {
      std::size_t length = 1;
      while (at + length < text.size() && continues_name(text[at + length]))
        ++length;
      push(TokenKind::name, length);
      continue;
    }
    bool found = false;
    for (const std::string_view sign : signs) {
      if (!found && text.substr(at).starts_with(sign)) {
        push(TokenKind::sign, sign.size());
        found = true;
      }
    }
    if (!found) {
      const std::string hint = c == '=' ? "did you mean \"==\"?" : "";
      return problem(at, 1,
                     fmt::format("unexpected {} in an expression",
                                 in_quotes(text.substr(at, 1))),
                     hint);
    }
  }
  tokens.push_back({TokenKind::end, {}, {}, text.size()});
  return tokens;
}

/// Recursive descent; the first problem ends it.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_{std::move(tokens)} {}

  tl::expected<Expression, Problem> parse() {
    if (peek().kind == TokenKind::end)
      return problem(0, 1, "an empty expression");
    if (!parse_or())
      return tl::unexpected{std::move(*problem_)};
    if (peek().kind != TokenKind::end)
      return tl::unexpected{unexpected_token()};
    return Expression{std::move(nodes_)};
  }

 private:
  using Kind = Expression::Kind;
  /// Index of a node; nothing after a problem.
  using Index = std::optional<std::size_t>;

  const Token& peek() const { return tokens_[next_]; }

  bool take(std::string_view sign) {
    if (peek().kind != TokenKind::sign || peek().spelled != sign)
      return false;
    ++next_;
    return true;
  }

  Problem unexpected_token() const {
    const Token& token = peek();
    if (token.kind == TokenKind::end)
      return {token.offset, 1, "the expression ends too early", {}};
    return {
        token.offset,
        token.spelled.size(),
        fmt::format("unexpected {} in an expression", in_quotes(token.spelled)),
        {}};
  }

  Index fail(Problem problem) {
    if (!problem_)
      problem_ = std::move(problem);
    return std::nullopt;
  }

  Index add(Expression::Node node) {
    nodes_.push_back(std::move(node));
    return nodes_.size() - 1;
  }

  struct Operator {
    std::string_view sign;
    Kind kind;
  };

  /// operand (sign operand)*, from left to right.
  template <std::size_t N>
  Index parse_chain(const std::array<Operator, N>& operators,
                    Index (Parser::*operand)()) {
    Index left = (this->*operand)();
    while (left) {
      const Operator* found = nullptr;
      const std::size_t offset = peek().offset;
      for (const Operator& candidate : operators) {
        if (found == nullptr && take(candidate.sign))
          found = &candidate;
      }
      if (found == nullptr)
        return left;
      const Index right = (this->*operand)();
      if (!right)
        return right;
      Expression::Node node;
      node.kind = found->kind;
      node.offset = offset;
      node.length = found->sign.size();
      node.arguments = {*left, *right};
      left = add(std::move(node));
    }
    return left;
  }

  Index parse_or() {
    if (++depth_ > deepest)
      return fail(
          {peek().offset,
           1,
           fmt::format("an expression nested more than {} deep", deepest),
           {}});
    const Index result =
        parse_chain(std::array<Operator, 1>{{{"||", Kind::logical_or}}},
                    &Parser::parse_and);
    --depth_;
    return result;
  }

  Index parse_and() {
    return parse_chain(std::array<Operator, 1>{{{"&&", Kind::logical_and}}},
                       &Parser::parse_equality);
  }

  Index parse_equality() {
    return parse_chain(
        std::array<Operator, 2>{{{"==", Kind::equal}, {"!=", Kind::not_equal}}},
        &Parser::parse_order);
  }

  Index parse_order() {
    return parse_chain(std::array<Operator, 4>{{{"<=", Kind::less_equal},
                                                {">=", Kind::greater_equal},
                                                {"<", Kind::less},
                                                {">", Kind::greater}}},
                       &Parser::parse_unary);
  }

  Index parse_unary() {
    std::vector<std::size_t> negations;
    while (peek().kind == TokenKind::sign && peek().spelled == "!") {
      negations.push_back(peek().offset);
      ++next_;
    }
    Index operand = parse_parts();
    for (auto at = negations.rbegin(); operand && at != negations.rend();
         ++at) {
      Expression::Node node;
      node.kind = Kind::logical_not;
      node.offset = *at;
      node.arguments = {*operand};
      operand = add(std::move(node));
    }
    return operand;
  }

  Index parse_primary() {
    const Token token = peek();
    Expression::Node node;
    node.offset = token.offset;
    node.length = token.spelled.size();
    switch (token.kind) {
      case TokenKind::text:
        node.literal = Value{token.text};
        break;
      case TokenKind::number:
        node.literal = Value{spelled_number(token.spelled).value_or(0)};
        break;
      case TokenKind::name:
        if (token.spelled == "true" || token.spelled == "false")
          node.literal = Value{token.spelled == "true"};
        else if (token.spelled != "null")
          return parse_name();
        break;
      case TokenKind::sign: {
        if (!take("("))
          return fail(unexpected_token());
        const Index inner = parse_or();
        if (inner && !take(")"))
          return fail(unexpected_token());
        return inner;
      }
      case TokenKind::end:
        return fail(unexpected_token());
    }
    ++next_;
    return add(std::move(node));
  }

  /// A value and what follows of it.
  Index parse_parts() {
    Index value = parse_primary();
    while (value) {
      const std::size_t offset = peek().offset;
      if (take("."))
        value = parse_member(*value, offset);
      else if (take("["))
        value = parse_index(*value, offset);
      else
        break;
    }
    return value;
  }

  /// What follows a dot.
  Index parse_member(std::size_t value, std::size_t offset) {
    if (take("*")) {
      Expression::Node node;
      node.kind = Kind::each;
      node.offset = offset;
      node.length = 2;
      node.arguments = {value};
      return add(std::move(node));
    }
    if (peek().kind != TokenKind::name)
      return fail(unexpected_token());
    const Token& token = tokens_[next_++];
    return extend(value, std::string{token.spelled}, token);
  }

  Index parse_index(std::size_t value, std::size_t offset) {
    if (peek().kind == TokenKind::text && tokens_[next_ + 1].spelled == "]") {
      const Token& token = tokens_[next_];
      next_ += 2;
      return extend(value, token.text, token);
    }
    const Index index = parse_or();
    if (!index)
      return index;
    if (!take("]"))
      return fail(unexpected_token());
    Expression::Node node;
    node.kind = Kind::index;
    node.offset = offset;
    node.length = end_of_last() - offset;
    node.arguments = {value, *index};
    return add(std::move(node));
  }

  /// The member `name` of `value`, which grows if it is the last node and a
  /// path: those are checked when a file is read.
  Index extend(std::size_t value, std::string name, const Token& token) {
    Expression::Node& last = nodes_[value];
    const bool grows = value + 1 == nodes_.size() &&
                       (last.kind == Kind::path || last.kind == Kind::each);
    if (grows) {
      last.path.push_back(std::move(name));
      last.path_offsets.push_back(token.offset);
      last.length = end_of_last() - last.offset;
      return value;
    }
    Expression::Node node;
    node.kind = Kind::member;
    node.offset = token.offset;
    node.length = token.spelled.size();
    node.path.push_back(std::move(name));
    node.path_offsets.push_back(token.offset);
    node.arguments = {value};
    return add(std::move(node));
  }

  std::size_t end_of_last() const {
    const Token& last = tokens_[next_ - 1];
    return last.offset + last.spelled.size();
  }

  Index parse_name() {
    const Token token = peek();
    ++next_;
    if (take("("))
      return parse_call(token);
    Expression::Node node;
    node.kind = Kind::path;
    node.offset = token.offset;
    node.length = token.spelled.size();
    node.path.emplace_back(token.spelled);
    node.path_offsets.push_back(token.offset);
    return add(std::move(node));
  }

  Index parse_call(const Token& name) {
    const FunctionInfo* info = nullptr;
    std::vector<std::string_view> names;
    for (const FunctionInfo& candidate : function_table()) {
      names.push_back(candidate.name);
      if (candidate.name == name.spelled)
        info = &candidate;
    }
    if (info == nullptr) {
      const auto near = suggest(name.spelled, names);
      return fail({name.offset, name.spelled.size(),
                   fmt::format("unknown function {}", in_quotes(name.spelled)),
                   near ? fmt::format("did you mean \"{}\"?", *near) : ""});
    }
    if (!info->supported)
      return fail({name.offset,
                   name.spelled.size(),
                   fmt::format("{}() is not supported yet by this version",
                               name.spelled),
                   {}});
    Expression::Node node;
    node.kind = Kind::call;
    node.offset = name.offset;
    node.function = info->function;
    if (!take(")")) {
      do {
        const Index argument = parse_or();
        if (!argument)
          return argument;
        node.arguments.push_back(*argument);
      } while (take(","));
      if (!take(")"))
        return fail(unexpected_token());
    }
    node.length = end_of_last() - name.offset;
    const std::size_t given = node.arguments.size();
    if (given < info->least_arguments || given > info->most_arguments)
      return fail({name.offset, node.length, wrong_count(*info, given), {}});
    return add(std::move(node));
  }

  static std::string wrong_count(const FunctionInfo& info, std::size_t given) {
    const std::size_t least = info.least_arguments;
    const std::size_t most = info.most_arguments;
    const std::size_t last = given < least ? least : most;
    const std::string_view bound = least == most   ? ""
                                   : given < least ? "at least "
                                                   : "at most ";
    return fmt::format("{}() takes {}{} argument{}, not {}", info.name, bound,
                       last, last == 1 ? "" : "s", given);
  }

  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  std::vector<Expression::Node> nodes_;
  std::optional<Problem> problem_;
  int depth_ = 0;
};

}  // namespace

tl::expected<Expression, Problem> parse_expression(std::string_view text) {
  auto tokens = tokenize(text);
  if (!tokens)
    return tl::unexpected{std::move(tokens.error())};
  return Parser{std::move(*tokens)}.parse();
}

bool Expression::asks_for_status() const {
  for (const Node& node : nodes_) {
    if (node.kind == Kind::call && is_status_function(node.function))
      return true;
  }
  return false;
}

}  // namespace troupe::workflow
