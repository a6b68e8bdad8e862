#include <troupe/base/quantity.hpp>
#include <troupe/workflow/expression.hpp>

#include <algorithm>
#include <cmath>
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
      if (no_json_)
        return tl::unexpected{std::move(*no_json_)};
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
      case Kind::member:
        return follow(&argument(node, 0), node.path, 0);
      case Kind::index:
        return item(argument(node, 0), argument(node, 1));
      case Kind::each:
        return keep(each(node));
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
    return follow(value, path, 1);
  }

  /// What `path` leads to from its name `first` on.
  const Value* follow(const Value* value, const std::vector<std::string>& path,
                      std::size_t first) const {
    for (std::size_t i = first; value != nullptr && i < path.size(); ++i)
      value = value->member(path[i]);
    return value == nullptr ? &null_ : value;
  }

  const Value* item(const Value& of, const Value& which) const {
    const auto* const list = std::get_if<Value::List>(&of.data);
    if (list == nullptr)
      return follow(of.member(which.text()), {}, 0);
    const auto number = spelled_number(which.text());
    const bool is_there = number && *number >= 0 &&
                          *number < static_cast<double>(list->size()) &&
                          std::trunc(*number) == *number;
    return is_there ? &(*list)[static_cast<std::size_t>(*number)] : &null_;
  }

  /// The items of a list or the values of an object.
  static void append_parts(const Value& of, std::vector<const Value*>& parts) {
    if (const auto* const list = std::get_if<Value::List>(&of.data)) {
      for (const Value& part : *list)
        parts.push_back(&part);
    } else if (const auto* const object =
                   std::get_if<Value::Object>(&of.data)) {
      for (const auto& [name, part] : *object)
        parts.push_back(&part);
    }
  }

  /// `list.*.path`; of what another `.*` has found, all parts together.
  Value each(const Expression::Node& node) {
    std::vector<const Value*> parts;
    append_parts(argument(node, 0), parts);
    if (expression_.nodes()[node.arguments[0]].kind == Kind::each) {
      std::vector<const Value*> deeper;
      for (const Value* const part : parts)
        append_parts(*part, deeper);
      parts = std::move(deeper);
    }
    Value::List found;
    for (const Value* const part : parts) {
      const Value* const value = follow(part, node.path, 0);
      if (value == &null_)
        continue;
      if (!charge(*value))
        return {};
      found.push_back(*value);
    }
    return Value{std::move(found)};
  }

  /// Counts a copy of `value` as a text of its size. False if that is too much.
  bool charge(const Value& value) {
    constexpr std::size_t least_bytes = 16;
    std::size_t bytes = least_bytes;
    if (const auto* const text = std::get_if<std::string>(&value.data))
      bytes += text->size();
    if (bytes > longest_text - appended_) {
      too_long_ = true;
      return false;
    }
    appended_ += bytes;
    std::vector<const Value*> parts;
    append_parts(value, parts);
    return std::all_of(parts.begin(), parts.end(),
                       [this](const Value* part) { return charge(*part); });
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
      case Function::from_json:
        return from_json(argument(node, 0));
      case Function::hash_files:
        return hash_files(node);
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

  /// What is no text is a value already.
  Value from_json(const Value& written) {
    const auto* const text = std::get_if<std::string>(&written.data);
    if (text == nullptr)
      return written;
    if (!charge(written))
      return {};
    auto value = parse_json(*text);
    if (value)
      return std::move(*value);
    no_json_ = std::move(value.error()).within("fromJSON()");
    return {};
  }

  Value hash_files(const Expression::Node& node) const {
    if (environment_.file_hashes == nullptr)
      return {};
    const auto found =
        environment_.file_hashes->find(texts_of(expression_, node));
    return found == environment_.file_hashes->end() ? Value{}
                                                    : Value{found->second};
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
  std::optional<Error> no_json_;
};

}  // namespace

std::vector<std::string> texts_of(const Expression& expression,
                                  const Expression::Node& call) {
  std::vector<std::string> texts;
  for (const std::size_t argument : call.arguments)
    texts.push_back(expression.nodes()[argument].literal.text());
  return texts;
}

Result<Value> evaluate(const Expression& expression,
                       const Environment& environment) {
  return Evaluation{expression, environment}.run();
}

}  // namespace troupe::workflow
