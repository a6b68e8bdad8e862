#include "cluster_doctor.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <set>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

/// As of troupe cluster certificates.
constexpr Duration renewal_time = 24h * 30;
/// Clocks of hosts that are in order differ by less.
constexpr Duration clock_tolerance = 5s;
/// Of a lease: whoever has not been heard of for so long is in trouble.
constexpr int silent_part = 2;

std::string text_in(const Json& json, const char* key) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || found == json.end() || !found->is_string())
    return "";
  return printable(found->get<std::string>());
}

Duration ms_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return std::chrono::milliseconds{found != json.end() &&
                                           found->is_number_integer()
                                       ? found->get<std::int64_t>()
                                       : 0};
}

std::string seconds(Duration time) {
  return format_duration(
      std::chrono::duration_cast<std::chrono::seconds>(time));
}

Symptom on_store(const Json& node) {
  const Json store = node.value("store", Json::object());
  const std::string software = text_in(store, "software");
  const std::string durability = text_in(node, "durability");
  if (store.value("is_gone", false))
    return {Health::bad,
            fmt::format("the store does not answer ({})", software)};
  if (durability == "buffered")
    return {Health::doubtful,
            fmt::format("{} may lose what it has acknowledged when it crashes: "
                        "{}",
                        software, text_in(store, "settings"))};
  return {Health::good,
          fmt::format("{}: what is acknowledged is {}", software, durability)};
}

Symptom on_session(const Json& cluster) {
  const std::string phase = text_in(cluster, "phase");
  if (cluster.value("may_start", false))
    return {Health::good,
            fmt::format("this node may start commands, for {} more",
                        seconds(ms_in(cluster, "right_left_ms")))};
  if (phase == "draining")
    return {Health::doubtful, "this node is leaving"};
  return {Health::bad,
          fmt::format("this node may not start anything: its session is {}",
                      phase)};
}

void on_node(const Json& node, Duration lease, WallTime now,
             std::vector<Symptom>& symptoms) {
  const std::string name = text_in(node, "name");
  const auto seen = parse_wall_time(text_in(node, "seen"));
  if (!seen)
    return;
  const Duration ago = now - *seen;
  if (ago > lease / silent_part)
    symptoms.push_back(
        {Health::bad, fmt::format("{} has not renewed its right for {}: does "
                                  "it reach the store?",
                                  name, seconds(ago))});
  if (!node.value("is_linked", true))
    symptoms.push_back(
        {Health::doubtful,
         fmt::format("there is no link to {}: what it runs is seen here once "
                     "it has ended, and it hears of new work a second later; "
                     "do the two hosts reach each other at {}?",
                     name, text_in(node, "listen"))});
  if (ago < -clock_tolerance)
    symptoms.push_back({Health::doubtful,
                        fmt::format("the clock of {} is {} ahead of this one: "
                                    "times of jobs are wrong by that; is NTP "
                                    "running on both?",
                                    name, seconds(-ago))});
}

void on_nodes(const Json& cluster, WallTime now,
              std::vector<Symptom>& symptoms) {
  const Json nodes = cluster.value("nodes", Json::array());
  const Duration lease = ms_in(cluster, "lease_ms");
  std::set<std::string> versions;
  std::uint64_t without_shards = 0;
  for (const Json& node : nodes) {
    versions.insert(text_in(node, "version"));
    if (text_in(node, "state") == "live" && node.value("shards", 0) == 0)
      ++without_shards;
    on_node(node, lease, now, symptoms);
  }
  if (versions.size() > 1)
    symptoms.push_back(
        {Health::doubtful,
         fmt::format("the nodes have versions {}: upgrade all of them",
                     fmt::join(versions, ", "))});
  if (without_shards != 0)
    symptoms.push_back(
        {Health::doubtful,
         fmt::format("{} of {} nodes own no shard yet: they have just come",
                     without_shards, nodes.size())});
  if (nodes.size() == 1)
    symptoms.push_back({Health::doubtful,
                        "this is the only node: if it is gone, nobody takes "
                        "over what it had"});
  symptoms.push_back(
      {Health::good, fmt::format("{} node{}: view {}", nodes.size(),
                                 nodes.size() == 1 ? "" : "s",
                                 cluster.value("view", std::uint64_t{0}))});
}

std::optional<Symptom> on_certificate(std::optional<WallTime> until,
                                      WallTime now) {
  if (!until)
    return std::nullopt;
  const std::string date = format_wall_time(*until).substr(0, 10);
  if (*until <= now)
    return Symptom{Health::bad,
                   fmt::format("the certificate of this host has expired ({}); "
                               "see troupe cluster token --renew",
                               date)};
  if (*until - now < renewal_time)
    return Symptom{Health::doubtful,
                   fmt::format("the certificate of this host expires on {}; "
                               "see troupe cluster token --renew",
                               date)};
  return Symptom{
      Health::good,
      fmt::format("the certificate of this host is good until {}", date)};
}

}  // namespace

std::string_view to_string(Health health) {
  switch (health) {
    case Health::good:
      return "ok";
    case Health::doubtful:
      return "look";
    case Health::bad:
      return "bad";
  }
  return "unknown";
}

std::vector<Symptom> diagnose(const Json& node, const Json& cluster,
                              std::optional<WallTime> certificate_until,
                              WallTime now) {
  std::vector<Symptom> symptoms{on_store(node), on_session(cluster)};
  on_nodes(cluster, now, symptoms);
  if (auto symptom = on_certificate(certificate_until, now))
    symptoms.push_back(std::move(*symptom));
  return symptoms;
}

std::string render_symptoms(const std::vector<Symptom>& symptoms) {
  std::string text;
  for (const Symptom& symptom : symptoms) {
    text += fmt::format("{:<6}{}\n", to_string(symptom.health), symptom.what);
  }
  return text;
}

}  // namespace troupe::cli
