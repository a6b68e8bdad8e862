#pragma once

/// What lines.hpp and http_text.hpp share of JSON and its errors. Pure.
#include <troupe/api/json.hpp>
#include <troupe/base/error.hpp>

#include <string>
#include <string_view>

namespace troupe::api {

/// In one line. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string text_of(const Json& value);

/// The code of this name; one that we do not know is `internal`.
[[nodiscard]] Errc code_named(std::string_view name);

/// The text at `key`; empty if there is none.
[[nodiscard]] std::string string_at(const Json& object, const char* key);

}  // namespace troupe::api
