#pragma once

#include <troupe/base/error.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::workflow {

/// Up to here every whole number has a double of its own: above it, a number in
/// a file and its value may differ.
inline constexpr double largest_whole = 9007199254740992.0;

/// A value of the expression language: what JSON has. Objects keep their order.
struct Value {
  using Null = std::monostate;
  using List = std::vector<Value>;
  using Object = std::vector<std::pair<std::string, Value>>;

  std::variant<Null, bool, double, std::string, List, Object> data;

  Value() = default;
  // NOLINTBEGIN(google-explicit-constructor): a value is any of these.
  Value(bool value) : data{value} {}
  Value(double value) : data{value} {}
  Value(std::string value) : data{std::move(value)} {}
  Value(std::string_view value) : data{std::string{value}} {}
  Value(const char* value) : data{std::string{value}} {}
  Value(List value) : data{std::move(value)} {}
  Value(Object value) : data{std::move(value)} {}
  // NOLINTEND(google-explicit-constructor)

  /// The member `name` of an object; null if there is none.
  [[nodiscard]] const Value* member(std::string_view name) const;

  /// False are null, false, 0 and the empty text.
  [[nodiscard]] bool is_true() const;

  /// As it is put into a text: null is empty, whole numbers have no fraction,
  /// lists and objects are JSON.
  [[nodiscard]] std::string text() const;

  /// One line of JSON. Bytes that are not UTF-8 become U+FFFD.
  [[nodiscard]] std::string json() const;

  friend bool operator==(const Value&, const Value&) = default;
};

/// Sets the member `name` of `object`.
void put(Value::Object& object, const std::string& name, Value value);

/// How deep the lists and objects of parse_json() may be nested, and how many
/// values there may be.
inline constexpr std::size_t deepest_json = 32;
inline constexpr std::size_t most_json_values = 100'000;

/// The value that `text` spells in JSON. Of a name that comes twice in an
/// object the later value counts.
///
/// Errors: invalid_argument, saying at which byte the text is no JSON;
/// overloaded, if a limit is passed.
[[nodiscard]] Result<Value> parse_json(std::string_view text);

/// `==` of the language. A number equals a text that spells it, a boolean the
/// text true or false, null the empty text; otherwise kinds differ. Texts are
/// equal byte for byte.
[[nodiscard]] bool loosely_equal(const Value& a, const Value& b);

/// -1, 0 or 1; nothing if the two have no order. Two texts compare byte by
/// byte, otherwise both sides must be numbers or spell one.
[[nodiscard]] std::optional<int> compare(const Value& a, const Value& b);

/// The number that `text` spells in decimal, as a whole.
[[nodiscard]] std::optional<double> spelled_number(std::string_view text);

}  // namespace troupe::workflow
