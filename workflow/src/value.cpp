#include <troupe/base/overload.hpp>
#include <troupe/base/text.hpp>
#include <troupe/workflow/value.hpp>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>

namespace troupe::workflow {
namespace {

std::string number_text(double value) {
  if (std::trunc(value) == value && std::abs(value) <= largest_whole)
    return fmt::format("{}", static_cast<std::int64_t>(value));
  return fmt::format("{}", value);
}

void append_json_text(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : to_utf8(text)) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  out += '"';
}

void append_json(const Value& value, std::string& out) {
  std::visit(Overload{
                 [&](std::monostate) { out += "null"; },
                 [&](bool v) { out += v ? "true" : "false"; },
                 [&](double v) { out += number_text(v); },
                 [&](const std::string& v) { append_json_text(v, out); },
                 [&](const Value::List& list) {
                   out += '[';
                   for (std::size_t i = 0; i < list.size(); ++i) {
                     out += i == 0 ? "" : ",";
                     append_json(list[i], out);
                   }
                   out += ']';
                 },
                 [&](const Value::Object& object) {
                   out += '{';
                   for (std::size_t i = 0; i < object.size(); ++i) {
                     out += i == 0 ? "" : ",";
                     append_json_text(object[i].first, out);
                     out += ':';
                     append_json(object[i].second, out);
                   }
                   out += '}';
                 },
             },
             value.data);
}

/// What `value` is as a number, if it is one or spells one.
std::optional<double> as_number(const Value& value) {
  if (const auto* const number = std::get_if<double>(&value.data))
    return *number;
  if (const auto* const text = std::get_if<std::string>(&value.data))
    return spelled_number(*text);
  return std::nullopt;
}

/// Brings `a` to the kind of `b` where `==` allows it.
bool equals_converted(const Value& a, const Value& b) {
  const auto* const text = std::get_if<std::string>(&b.data);
  if (text == nullptr)
    return false;
  if (std::holds_alternative<std::monostate>(a.data))
    return text->empty();
  if (const auto* const flag = std::get_if<bool>(&a.data))
    return *text == (*flag ? "true" : "false");
  if (const auto* const number = std::get_if<double>(&a.data))
    return spelled_number(*text) == *number;
  return false;
}

}  // namespace

const Value* Value::member(std::string_view name) const {
  const auto* const object = std::get_if<Object>(&data);
  if (object == nullptr)
    return nullptr;
  for (const auto& [key, value] : *object) {
    if (key == name)
      return &value;
  }
  return nullptr;
}

bool Value::is_true() const {
  return std::visit(Overload{
                        [](std::monostate) { return false; },
                        [](bool v) { return v; },
                        [](double v) { return v != 0; },
                        [](const std::string& v) { return !v.empty(); },
                        [](const List&) { return true; },
                        [](const Object&) { return true; },
                    },
                    data);
}

std::string Value::text() const {
  if (std::holds_alternative<std::monostate>(data))
    return {};
  if (const auto* const text = std::get_if<std::string>(&data))
    return *text;
  return json();
}

std::string Value::json() const {
  std::string out;
  append_json(*this, out);
  return out;
}

void put(Value::Object& object, const std::string& name, Value value) {
  for (auto& [key, old] : object) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  object.emplace_back(name, std::move(value));
}

std::optional<double> spelled_number(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || digits[0] < '0' || digits[0] > '9')
    return std::nullopt;
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || next != end)
    return std::nullopt;
  return value;
}

bool loosely_equal(const Value& a, const Value& b) {
  if (a.data.index() == b.data.index())
    return a == b;
  return equals_converted(a, b) || equals_converted(b, a);
}

std::optional<int> compare(const Value& a, const Value& b) {
  const auto* const left = std::get_if<std::string>(&a.data);
  const auto* const right = std::get_if<std::string>(&b.data);
  if (left != nullptr && right != nullptr)
    return left->compare(*right) < 0 ? -1 : *left == *right ? 0 : 1;
  const auto x = as_number(a);
  const auto y = as_number(b);
  if (!x || !y)
    return std::nullopt;
  return *x < *y ? -1 : *x == *y ? 0 : 1;
}

}  // namespace troupe::workflow
