#include "json_text.hpp"

namespace troupe::api {

std::string text_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Errc code_named(std::string_view name) {
  for (int value = 1; value <= static_cast<int>(Errc::internal); ++value) {
    if (const auto code = static_cast<Errc>(value); to_string(code) == name)
      return code;
  }
  return Errc::internal;
}

std::string string_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>()
                                                     : std::string{};
}

}  // namespace troupe::api
