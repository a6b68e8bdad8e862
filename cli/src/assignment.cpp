#include "assignment.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>

namespace troupe::cli {

Result<std::pair<std::string, std::string>> parse_assignment(
    std::string_view option, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return failure(Errc::invalid_argument,
                   fmt::format("{}: expected NAME=VALUE, got \"{}\"", option,
                               printable(text)));
  return std::pair{text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace troupe::cli
