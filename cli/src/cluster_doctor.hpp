#pragma once

/// What troupe cluster doctor says: whether a cluster is as it should be.
#include <troupe/base/time.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

enum class Health : std::uint8_t {
  good,
  doubtful,  ///< It works, and somebody should look at it.
  bad,       ///< Something does not work.
};

/// "ok", "look" or "bad".
[[nodiscard]] std::string_view to_string(Health health);

struct Symptom {
  Health health = Health::good;
  std::string what;  ///< For people: what it is, and what to do.

  friend bool operator==(const Symptom&, const Symptom&) = default;
};

/// What a node says of itself (GET /v1/node) and of its cluster (GET
/// /v1/cluster), and until when the certificate of this host is good, if it has
/// one. Pure.
[[nodiscard]] std::vector<Symptom> diagnose(
    const nlohmann::ordered_json& node, const nlohmann::ordered_json& cluster,
    std::optional<WallTime> certificate_until, WallTime now);

/// A line for each: "ok", "look" or "bad", and what it is.
[[nodiscard]] std::string render_symptoms(const std::vector<Symptom>& symptoms);

}  // namespace troupe::cli
