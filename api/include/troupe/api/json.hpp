#pragma once

#include <nlohmann/json.hpp>

namespace troupe::api {

/// What is asked and answered. Keys stay in the order in which they came.
using Json = nlohmann::ordered_json;

}  // namespace troupe::api
