#include <troupe/base/quantity.hpp>
#include <troupe/workflow/expression.hpp>

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <optional>

namespace troupe::workflow {
namespace {

using Kind = Expression::Kind;

/// Digits of the largest `{12}` in format().
constexpr std::size_t longest_index = 2;

/// Nodes come after their arguments, so one pass over them fills the table of
/// values; && and || need no short cut, since nothing has side effects. Values
/// of contexts are not copied: an expression may name a long one many times.
class Evaluation {
 public:
  Evaluation(const Expression& expression, const Environment& environment)
      : expression_{expression}, environment_{environment} {}

  Result<Value> run() {
    const auto& nodes = expression_.nodes();
    values_.reserve(nodes.size());
    for (const Expression::Node& node : nodes) {
      values_.push_back(value_of(node));
      if (too_long_)
        return failure(Errc::overloaded,
                       fmt::format("an expression makes a text of more than {}",
                                   format_size(longest_text)));
    }
    return *values_.back();
  }

 private:
  const Value& argument(const Expression::Node& node, std::size_t i) const {
    return *values_[node.arguments[i]];
  }

  const Value* keep(Value value) {
    made_.push_back(std::move(value));
    return &made_.back();
  }

  const Value* value_of(const Expression::Node& node) {
    switch (node.kind) {
      case Kind::literal:
        return &node.literal;
      case Kind::path:
        return look_up(node.path);
      case Kind::call:
        return node.function == Function::raw ? &argument(node, 0)
                                              : keep(call(node));
      case Kind::logical_not:
        return keep(!argument(node, 0).is_true());
      case Kind::logical_and:
        return &argument(node, argument(node, 0).is_true() ? 1 : 0);
      case Kind::logical_or:
        return &argument(node, argument(node, 0).is_true() ? 0 : 1);
      case Kind::equal:
        return keep(loosely_equal(argument(node, 0), argument(node, 1)));
      case Kind::not_equal:
        return keep(!loosely_equal(argument(node, 0), argument(node, 1)));
      case Kind::less:
        return keep(ordering(node, [](int o) { return o < 0; }));
      case Kind::less_equal:
        return keep(ordering(node, [](int o) { return o <= 0; }));
      case Kind::greater:
        return keep(ordering(node, [](int o) { return o > 0; }));
      case Kind::greater_equal:
        return keep(ordering(node, [](int o) { return o >= 0; }));
    }
    return &null_;
  }

  template <class Predicate>
  bool ordering(const Expression::Node& node, Predicate holds) const {
    const auto order = compare(argument(node, 0), argument(node, 1));
    return order && holds(*order);
  }

  const Value* look_up(const std::vector<std::string>& path) {
    const Value* value = nullptr;
    for (const auto& [name, context] : environment_.contexts) {
      if (name == path.front())
        value = context;
    }
    for (std::size_t i = 1; value != nullptr && i < path.size(); ++i)
      value = value->member(path[i]);
    return value == nullptr ? &null_ : value;
  }

  Value call(const Expression::Node& node) {
    switch (node.function) {
      case Function::success:
        return Value{environment_.success};
      case Function::failure:
        return Value{environment_.failure};
      case Function::always:
        return Value{true};
      case Function::cancelled:
        return Value{environment_.cancelled};
      case Function::contains:
        return Value{contains(argument(node, 0), argument(node, 1))};
      case Function::starts_with:
        return Value{
            argument(node, 0).text().starts_with(argument(node, 1).text())};
      case Function::ends_with:
        return Value{
            argument(node, 0).text().ends_with(argument(node, 1).text())};
      case Function::format:
        return format(node);
      case Function::join:
        return join(node);
      case Function::to_json: {
        std::string text;
        append(text, argument(node, 0).json());
        return Value{std::move(text)};
      }
      case Function::raw:
        return argument(node, 0);
    }
    return {};
  }

  static bool contains(const Value& where, const Value& what) {
    if (const auto* const list = std::get_if<Value::List>(&where.data))
      return std::any_of(list->begin(), list->end(), [&](const Value& item) {
        return loosely_equal(item, what);
      });
    return where.text().find(what.text()) != std::string::npos;
  }

  /// `{0}` stands for the first argument after the text, `{{` for a brace.
  Value format(const Expression::Node& node) {
    const std::string pattern = argument(node, 0).text();
    std::string out;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      const char c = pattern[i];
      const bool twice = i + 1 < pattern.size() && pattern[i + 1] == c;
      if ((c == '{' || c == '}') && twice) {
        append(out, std::string_view{&pattern[i], 1});
        ++i;
        continue;
      }
      const std::string_view next =
          c == '{' ? std::string_view{pattern}.substr(i + 1, longest_index + 1)
                   : std::string_view{};
      const std::size_t digits = next.find('}');
      const auto number = digits == std::string::npos
                              ? std::nullopt
                              : spelled_number(next.substr(0, digits));
      if (number && *number >= 0 &&
          *number + 1 < static_cast<double>(node.arguments.size())) {
        append(out,
               argument(node, static_cast<std::size_t>(*number) + 1).text());
        i += digits + 1;
      } else {
        append(out, std::string_view{&pattern[i], 1});
      }
    }
    return Value{std::move(out)};
  }

  Value join(const Expression::Node& node) {
    const std::string separator =
        node.arguments.size() == 2 ? argument(node, 1).text() : ",";
    const auto* const list = std::get_if<Value::List>(&argument(node, 0).data);
    if (list == nullptr)
      return Value{argument(node, 0).text()};
    std::string out;
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i != 0)
        append(out, separator);
      append(out, (*list)[i].text());
    }
    return Value{std::move(out)};
  }

  void append(std::string& out, std::string_view text) {
    if (text.size() > longest_text - appended_) {
      too_long_ = true;
    } else {
      out += text;
      appended_ += text.size();
    }
  }

  const Expression& expression_;
  const Environment& environment_;
  std::vector<const Value*> values_;  ///< Of each node.
  std::deque<Value> made_;            ///< What is not in a context.
  const Value null_;
  std::size_t appended_ = 0;  ///< To all texts together.
  bool too_long_ = false;
};

}  // namespace

Result<Value> evaluate(const Expression& expression,
                       const Environment& environment) {
  return Evaluation{expression, environment}.run();
}

}  // namespace troupe::workflow
