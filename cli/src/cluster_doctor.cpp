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
  if (text_in(node, "state") == "revoked") {
    symptoms.push_back(
        {Health::doubtful,
         fmt::format("{0} is revoked, and ends as soon as it reads that in the "
                     "store; if it goes on, end it on its host. Whoever had "
                     "{0} may have the password of the database: change it",
                     name)});
    return;
  }
  const auto seen = parse_wall_time(text_in(node, "seen"));
  if (!seen)
    return;
  const Duration ago = now - *seen;
  const bool is_silent = ago > lease / silent_part;
  if (is_silent)
    symptoms.push_back(
        {Health::bad, fmt::format("{} has not renewed its right for {}: does "
                                  "it reach the store?",
                                  name, seconds(ago))});
  // Of one that is gone there is no other trouble to look for.
  if (!is_silent && !node.value("is_linked", true))
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
  const auto blind = blind_for(cluster);
  if (blind)
    symptoms.push_back(
        {Health::bad,
         fmt::format("this node has not reached the store for {}: what it "
                     "says of the others is as old",
                     seconds(*blind))});
  for (const Json& node : nodes) {
    versions.insert(text_in(node, "version"));
    if (text_in(node, "state") == "live" && node.value("shards", 0) == 0)
      ++without_shards;
    if (!blind)
      on_node(node, lease, now, symptoms);
  }
  if (std::string wanted = consent_wanted(cluster); !wanted.empty())
    symptoms.push_back({Health::bad, std::move(wanted)});
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

Symptom on_certificate(const std::string& whose, WallTime until, WallTime now) {
  const std::string date = format_wall_time(until).substr(0, 10);
  constexpr std::string_view what_to_do =
      "see troupe cluster token --renew, and start its node again then";
  if (until <= now)
    return {Health::bad,
            fmt::format("the certificate of {} has expired ({}); {}", whose,
                        date, what_to_do)};
  if (until - now < renewal_time)
    return {Health::doubtful,
            fmt::format("the certificate of {} expires on {}; {}", whose, date,
                        what_to_do)};
  return {Health::good,
          fmt::format("the certificate of {} is good until {}", whose, date)};
}

Symptom on_certificate(const Json& cluster, const Result<WallTime>& of_host,
                       WallTime now) {
  const Json own = cluster.value("certificate", Json::object());
  if (const auto until = parse_wall_time(text_in(own, "until")))
    return on_certificate(fmt::format("this node ({})", text_in(own, "file")),
                          *until, now);
  if (of_host)
    return on_certificate("this host", *of_host, now);
  if (of_host.error().code != Errc::not_found)
    return {Health::bad, of_host.error().what};
  return {Health::doubtful,
          fmt::format("this node does not say until when its certificate is "
                      "good, and where it could be there is none ({}); see "
                      "--folder",
                      of_host.error().what)};
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
                              const Result<WallTime>& certificate_until,
                              WallTime now) {
  std::vector<Symptom> symptoms{on_store(node), on_session(cluster)};
  on_nodes(cluster, now, symptoms);
  symptoms.push_back(on_certificate(cluster, certificate_until, now));
  return symptoms;
}

std::optional<Duration> blind_for(const Json& cluster) {
  const auto left = cluster.find("right_left_ms");
  if (left == cluster.end() || !left->is_number_integer())
    return std::nullopt;
  // It is renewed every sixth of that, and counted from when that was asked.
  const Duration lease = ms_in(cluster, "lease_ms");
  const Duration since = lease - ms_in(cluster, "right_left_ms");
  return since > lease / silent_part ? std::optional{since} : std::nullopt;
}

std::string consent_wanted(const Json& cluster) {
  std::vector<std::string> names;
  for (const Json& node : cluster.value("nodes", Json::array())) {
    if (node.value("waits_for_consent", false))
      names.push_back(text_in(node, "name"));
  }
  if (names.empty())
    return "";
  return fmt::format(
      "what {} had is not taken over yet: when many nodes are silent at once "
      "it may be the network, so a tenth of them, or one, is taken for gone in "
      "a minute; if you know that they are gone: troupe cluster consent",
      fmt::join(names, ", "));
}

std::string render_symptoms(const std::vector<Symptom>& symptoms) {
  std::string text;
  for (const Symptom& symptom : symptoms) {
    text += fmt::format("{:<6}{}\n", to_string(symptom.health), symptom.what);
  }
  return text;
}

}  // namespace troupe::cli
