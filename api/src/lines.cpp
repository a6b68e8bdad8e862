#include "lines.hpp"

#include "json_text.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>

namespace troupe::api {
namespace {

constexpr int deepest_nesting = 128;
constexpr std::size_t most_quoted_bytes = 60;

Result<Answer> not_an_answer(std::string_view line) {
  return failure(Errc::corrupt,
                 fmt::format("not an answer: {}",
                             printable(line.substr(0, most_quoted_bytes))));
}

}  // namespace

std::string request_line(const Json& what) { return text_of(what) + "\n"; }

std::string event_line(const Json& what) {
  return fmt::format("{{\"event\":{}}}\n", text_of(what));
}

std::string result_line(const Json& result) {
  return fmt::format("{{\"ok\":true,\"result\":{}}}\n", text_of(result));
}

std::string error_line(const Error& error) {
  return fmt::format(
      "{{\"ok\":false,\"error\":{{\"code\":\"{}\",\"what\":{}}}}}\n",
      to_string(error.code), text_of(error.what));
}

Result<Json> parse_object(std::string_view line) {
  // What is nested deeper would take the stack along when it is printed.
  bool is_too_deep = false;
  Json value = Json::parse(
      line.begin(), line.end(),
      [&](int depth, Json::parse_event_t event, Json&) {
        const bool opens = event == Json::parse_event_t::object_start ||
                           event == Json::parse_event_t::array_start;
        is_too_deep = is_too_deep || (opens && depth >= deepest_nesting);
        return !is_too_deep;
      },
      false);
  if (is_too_deep || !value.is_object())
    return failure(Errc::invalid_argument,
                   "expected an object of JSON in one line");
  return value;
}

Result<Answer> parse_answer(std::string_view line) {
  auto object = parse_object(line);
  if (!object)
    return not_an_answer(line);
  if (const auto event = object->find("event"); event != object->end())
    return Event{std::move(*event)};
  const auto ok = object->find("ok");
  if (ok == object->end() || !ok->is_boolean())
    return not_an_answer(line);
  if (ok->get<bool>()) {
    const auto result = object->find("result");
    if (result == object->end())
      return not_an_answer(line);
    return LastAnswer{std::move(*result)};
  }
  const auto error = object->find("error");
  if (error == object->end() || !error->is_object())
    return not_an_answer(line);
  return LastAnswer{failure(code_named(string_at(*error, "code")),
                            string_at(*error, "what"))};
}

}  // namespace troupe::api
