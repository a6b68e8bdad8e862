#pragma once

#include <troupe/base/error.hpp>

#include <string>
#include <string_view>
#include <utility>

namespace troupe::cli {

/// What `option` was given as NAME=VALUE, where only the value may be empty.
///
/// Errors: invalid_argument, naming the option.
[[nodiscard]] Result<std::pair<std::string, std::string>> parse_assignment(
    std::string_view option, const std::string& text);

}  // namespace troupe::cli
