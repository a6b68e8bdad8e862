#pragma once

/// The lines of api.hpp: text to values and back. Pure.
#include <troupe/api/json.hpp>
#include <troupe/base/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

namespace troupe::api {

inline constexpr std::size_t most_request_bytes = 64 << 10;
inline constexpr std::size_t most_answer_bytes = 1 << 20;

/// Lines with their ends. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string request_line(const Json& what);
[[nodiscard]] std::string event_line(const Json& what);
[[nodiscard]] std::string result_line(const Json& result);
[[nodiscard]] std::string error_line(const Error& error);

/// Reads a line without its end.
///
/// Errors: invalid_argument, "expected an object of JSON in one line".
[[nodiscard]] Result<Json> parse_object(std::string_view line);

struct Event {
  Json what;
};
struct LastAnswer {
  Result<Json> result;
};
using Answer = std::variant<Event, LastAnswer>;

/// Errors: corrupt, "not an answer: ..". A code that we do not know is
/// `internal`.
[[nodiscard]] Result<Answer> parse_answer(std::string_view line);

}  // namespace troupe::api
