#include "http_text.hpp"

#include <troupe/api/http.hpp>
#include <troupe/base/quantity.hpp>

#include <fmt/format.h>

namespace troupe::api {

std::string_view to_string(Role role) {
  switch (role) {
    case Role::read:
      return "read";
    case Role::operate:
      return "operate";
    case Role::admin:
      return "admin";
  }
  return "unknown";
}

std::string_view to_string(HttpMethod method) {
  switch (method) {
    case HttpMethod::get:
      return "GET";
    case HttpMethod::post:
      return "POST";
    case HttpMethod::put:
      return "PUT";
    case HttpMethod::patch:
      return "PATCH";
    case HttpMethod::remove:
      return "DELETE";
  }
  return "unknown";
}

std::optional<std::string> HttpRequest::text(const std::string& key) const {
  const auto found = query.find(key);
  return found == query.end() ? std::nullopt : std::optional{found->second};
}

Result<std::uint64_t> HttpRequest::count(const std::string& key,
                                         std::uint64_t otherwise,
                                         CountRange range) const {
  const auto given = text(key);
  if (!given)
    return otherwise;
  const auto number = parse_count(*given);
  if (!number || *number < range.least || *number > range.most)
    return failure(Errc::invalid_argument,
                   fmt::format("query {}: expected a whole number from {} to "
                               "{}, got \"{}\"",
                               key, range.least, range.most, excerpt(*given)));
  return *number;
}

Result<bool> HttpRequest::flag(const std::string& key) const {
  const auto given = text(key);
  if (!given || *given == "false" || *given == "0")
    return false;
  if (given->empty() || *given == "true" || *given == "1")
    return true;
  return failure(Errc::invalid_argument,
                 fmt::format("query {}: expected true or false, got \"{}\"",
                             key, excerpt(*given)));
}

}  // namespace troupe::api
