#pragma once

/// Reading what a node answers: what is missing or null is empty, so that older
/// and newer nodes are understood. All but checked() throw what the JSON
/// library throws. Pure.
#include <troupe/base/error.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>
#include <troupe/base/wall_time.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <fmt/format.h>
#include <optional>
#include <string>

namespace troupe::cli {

/// What `json` has under `key`, or `otherwise` if that is missing or null.
template <class T>
[[nodiscard]] T value_of(const nlohmann::ordered_json& json, const char* key,
                         T otherwise = {}) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? otherwise : found->get<T>();
}

[[nodiscard]] inline std::optional<WallTime> time_of(
    const nlohmann::ordered_json& json, const char* key) {
  const auto time = parse_wall_time(value_of<std::string>(json, key));
  return time ? std::optional{*time} : std::nullopt;
}

[[nodiscard]] inline Duration milliseconds_of(
    const nlohmann::ordered_json& json, const char* key) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(value_of<double>(json, key)));
}

/// `read` of `json`, with what the library throws as an error.
///
/// Errors: corrupt, "the node answers something else: ..".
template <class Read>
[[nodiscard]] auto checked(const nlohmann::ordered_json& json, Read read)
    -> Result<decltype(read(json))> {
  try {
    if (!json.is_object())
      return failure(Errc::corrupt,
                     "the node answers something else: no object");
    return read(json);
  } catch (const nlohmann::ordered_json::exception& error) {
    return failure(Errc::corrupt, fmt::format("the node answers something "
                                              "else: {}",
                                              printable(error.what())));
  }
}

}  // namespace troupe::cli
