#pragma once

/// What troupe cluster doctor says: whether a cluster is as it should be.
#include <troupe/base/error.hpp>
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
/// /v1/cluster). `certificate_until` is that of this host, for a node of a
/// version that does not tell of its own. Pure.
[[nodiscard]] std::vector<Symptom> diagnose(
    const nlohmann::ordered_json& node, const nlohmann::ordered_json& cluster,
    const Result<WallTime>& certificate_until, WallTime now);

/// For how long the node that was asked has not reached the store, if that is
/// so: what it says of others (GET /v1/cluster) is as old. Pure.
[[nodiscard]] std::optional<Duration> blind_for(
    const nlohmann::ordered_json& cluster);

/// That what some nodes had is not taken over, why, and what to do; empty if
/// there are none. Pure.
[[nodiscard]] std::string consent_wanted(const nlohmann::ordered_json& cluster);

/// A line for each: "ok", "look" or "bad", and what it is.
[[nodiscard]] std::string render_symptoms(const std::vector<Symptom>& symptoms);

}  // namespace troupe::cli
