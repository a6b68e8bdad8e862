#pragma once

#include <troupe/actors/outcome.hpp>

#include <nlohmann/json_fwd.hpp>

namespace troupe::cli {

/// The documented shape of an outcome (docs/guide/json.md); fields are only
/// ever added. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] nlohmann::ordered_json to_json(const actors::Outcome& outcome);

/// An attempt in the same shape.
[[nodiscard]] nlohmann::ordered_json to_json(const actors::Attempt& attempt);

}  // namespace troupe::cli
