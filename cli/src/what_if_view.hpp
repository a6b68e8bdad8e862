#pragma once

/// What `troupe lint --what-if-dies` shows.
#include <troupe/service/what_if.hpp>

#include <nlohmann/json.hpp>

#include <string>

namespace troupe::cli {

/// For people; each line ends in a line break. Of long lists only the first
/// names are shown.
[[nodiscard]] std::string describe_what_if(const service::WhatIf& what);

[[nodiscard]] nlohmann::ordered_json to_json(const service::WhatIf& what);

}  // namespace troupe::cli
