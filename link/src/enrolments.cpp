#include <troupe/base/assert.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/link/enrolments.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <utility>

namespace troupe::link {
namespace {

using Json = nlohmann::ordered_json;
using distributed::NodeId;

constexpr int file_version = 1;
constexpr Duration expired_kept = 24h;

tl::unexpected<Error> refuse(std::string what) {
  return failure(Errc::permission_denied, std::move(what));
}

Json json_of(const EnrolledNode& node) {
  Json json{{"node", to_string(node.node)},
            {"name", node.name},
            {"key", node.key},
            {"issued", format_wall_time(node.issued)},
            {"expires", format_wall_time(node.expires)},
            {"certificate", node.certificate}};
  if (node.revoked)
    json["revoked"] = format_wall_time(*node.revoked);
  return json;
}

Json json_of(const EnrolmentToken& token) {
  return {{"hash", token.hash},
          {"name", token.name},
          {"node", to_string(token.node)},
          {"expires", format_wall_time(token.expires)},
          {"used_by", token.used_by}};
}

/// Takes fields out of an object; what is missing or wrong is remembered.
class Reader {
 public:
  explicit Reader(const Json& json) : json_{json} {}

  [[nodiscard]] bool has(const char* key) const { return json_.contains(key); }
  std::string text(const char* key) {
    const auto found = json_.is_object() ? json_.find(key) : json_.end();
    if (!json_.is_object() || found == json_.end() || !found->is_string()) {
      is_whole_ = false;
      return {};
    }
    return found->get<std::string>();
  }
  NodeId node(const char* key) {
    const auto read = distributed::parse_node_id(text(key));
    is_whole_ &= read.has_value();
    return read.value_or(NodeId{});
  }
  WallTime time(const char* key) {
    const auto read = parse_wall_time(text(key));
    is_whole_ &= read.has_value();
    return read.value_or(WallTime{});
  }
  [[nodiscard]] bool is_whole() const { return is_whole_; }

 private:
  const Json& json_;
  bool is_whole_ = true;
};

/// In tokens that are const or not.
template <class Tokens>
auto find_token(Tokens& tokens, std::string_view hash) {
  return std::find_if(
      tokens.begin(), tokens.end(),
      [hash](const EnrolmentToken& token) { return token.hash == hash; });
}

template <class Nodes>
auto find_node(Nodes& nodes, const NodeId& id) {
  return std::find_if(
      nodes.begin(), nodes.end(),
      [&id](const EnrolledNode& node) { return node.node == id; });
}

}  // namespace

EnrolledNode* Enrolments::find_live(std::string_view name) {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                  [name](const EnrolledNode& node) {
                                    return node.name == name && !node.revoked;
                                  });
  return found == nodes_.end() ? nullptr : &*found;
}

Result<void> Enrolments::add_token(std::string hash, const std::string& name,
                                   const NodeId& fresh, bool renews,
                                   Duration valid, WallTime now) {
  if (auto named = check_node_name(name); !named)
    return named;
  if (valid < 1s || valid > longest_token_time)
    return failure(Errc::invalid_argument,
                   fmt::format("a token is valid from 1s to {}, not {}",
                               format_duration(longest_token_time),
                               format_duration(valid)));
  const EnrolledNode* const live = find_live(name);
  if (live != nullptr && !renews)
    return failure(Errc::already_exists,
                   fmt::format("{} is enrolled already; renew its certificate "
                               "with --renew, or revoke it first",
                               name));
  if (live == nullptr && renews)
    return failure(Errc::not_found,
                   fmt::format("{} is not enrolled; leave out --renew", name));
  if (nodes_.size() >= most_enrolled && live == nullptr)
    return failure(Errc::overloaded,
                   fmt::format("{} nodes are enrolled", nodes_.size()));
  forget_expired(now);
  std::erase_if(tokens_, [&name](const EnrolmentToken& token) {
    return token.name == name && token.used_by.empty();
  });
  if (tokens_.size() >= most_open_tokens)
    return failure(Errc::overloaded,
                   fmt::format("{} tokens are open; wait until some have "
                               "expired",
                               tokens_.size()));
  tokens_.push_back(
      {.hash = std::move(hash),
       .name = name,
       .node = live == nullptr ? fresh : live->node,
       .expires = now + std::chrono::ceil<std::chrono::seconds>(valid)});
  return {};
}

Result<Enrolments::Grant> Enrolments::redeem(std::string_view hash,
                                             std::string_view key,
                                             WallTime now) const {
  const auto token = find_token(tokens_, hash);
  if (token == tokens_.end())
    return refuse(
        "this token is not known here: it was replaced by another one, is of "
        "another authority, or is long over");
  if (now >= token->expires)
    return refuse(fmt::format("the token for {} has expired at {}", token->name,
                              format_wall_time(token->expires)));
  if (!token->used_by.empty() && token->used_by != key)
    return refuse(
        fmt::format("the token for {} has been used; if not by you, "
                    "revoke {} now",
                    token->name, token->name));
  Grant grant{token->name, token->node, {}};
  if (token->used_by.empty())
    return grant;
  const auto node = find_node(nodes_, grant.node);
  if (node == nodes_.end() || node->revoked || node->key != key)
    return refuse(fmt::format("the certificate of {} is not valid any more",
                              token->name));
  grant.certificate = node->certificate;
  return grant;
}

void Enrolments::issue(std::string_view hash, EnrolledNode node) {
  const auto token = find_token(tokens_, hash);
  TROUPE_ASSERT(token != tokens_.end() && token->node == node.node &&
                token->used_by.empty());
  token->used_by = node.key;
  count_roster(node.issued);
  const auto before = find_node(nodes_, node.node);
  if (before == nodes_.end())
    nodes_.push_back(std::move(node));
  else
    *before = std::move(node);
}

Result<WallTime> Enrolments::revoke(std::string_view who, WallTime now) {
  // The live one of a name, and else the last one that had it.
  EnrolledNode* found = find_live(who);
  for (EnrolledNode& node : nodes_) {
    const bool is_meant = node.name == who || to_string(node.node) == who;
    if (is_meant && (found == nullptr || found->revoked))
      found = &node;
  }
  const auto has_token = [&](const EnrolmentToken& token) {
    return token.used_by.empty() &&
           (token.name == who || to_string(token.node) == who);
  };
  const bool is_invited =
      std::any_of(tokens_.begin(), tokens_.end(), has_token);
  std::erase_if(tokens_, has_token);
  if (found == nullptr && is_invited)
    return now;
  if (found == nullptr) {
    std::vector<std::string_view> names;
    for (const EnrolledNode& node : nodes_)
      names.push_back(node.name);
    const auto meant = suggest(who, names);
    return failure(
        Errc::not_found,
        fmt::format(
            "no node {}{}", in_quotes(who),
            meant ? fmt::format("; did you mean \"{}\"?", *meant) : ""));
  }
  if (!found->revoked) {
    found->revoked = now;
    count_roster(now);
  }
  return *found->revoked;
}

void Enrolments::count_roster(WallTime now) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch())
          .count();
  roster_number_ =
      std::max(roster_number_ + 1,
               static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 0)));
}

void Enrolments::forget_expired(WallTime now) {
  std::erase_if(tokens_, [now](const EnrolmentToken& token) {
    return token.expires + expired_kept < now;
  });
}

Roster Enrolments::roster() const {
  std::vector<RosterEntry> entries;
  for (const EnrolledNode& node : nodes_)
    entries.push_back(
        {node.node, node.name, node.key, node.revoked.has_value()});
  auto roster = Roster::of(std::move(entries), roster_number_);
  TROUPE_ASSERT(roster.has_value());
  return std::move(*roster);
}

std::string to_json(const Enrolments& enrolments) {
  Json nodes = Json::array();
  for (const EnrolledNode& node : enrolments.nodes())
    nodes.push_back(json_of(node));
  Json tokens = Json::array();
  for (const EnrolmentToken& token : enrolments.tokens())
    tokens.push_back(json_of(token));
  return Json{{"version", file_version},
              {"roster", enrolments.roster().number()},
              {"nodes", std::move(nodes)},
              {"tokens", std::move(tokens)}}
             .dump(1) +
         "\n";
}

Result<Enrolments> parse_enrolments(std::string_view json) {
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto corrupt = [](std::string_view what) {
    return failure(Errc::corrupt, fmt::format("enrolments: {}", what));
  };
  if (!root.is_object() || !root.contains("version") ||
      !root["version"].is_number_integer())
    return corrupt("this is no JSON of ours");
  if (root["version"] != file_version)
    return failure(Errc::unsupported,
                   fmt::format("enrolments: of a later version ({})",
                               root["version"].dump()));
  for (const char* list : {"nodes", "tokens"}) {
    if (!root.contains(list) || !root[list].is_array())
      return corrupt(fmt::format("\"{}\" is missing", list));
  }
  const auto number = root.find("roster");
  if (number != root.end() && !number->is_number_unsigned())
    return corrupt("\"roster\" is no number");
  Enrolments all;
  if (number != root.end())
    all.roster_number_ = number->get<std::uint64_t>();
  for (const Json& one : root["nodes"]) {
    Reader reader{one};
    EnrolledNode node{.node = reader.node("node"),
                      .name = reader.text("name"),
                      .key = reader.text("key"),
                      .certificate = reader.text("certificate"),
                      .issued = reader.time("issued"),
                      .expires = reader.time("expires")};
    if (reader.has("revoked"))
      node.revoked = reader.time("revoked");
    if (!reader.is_whole())
      return corrupt("a node is not whole");
    all.nodes_.push_back(std::move(node));
  }
  for (const Json& one : root["tokens"]) {
    Reader reader{one};
    EnrolmentToken token{.hash = reader.text("hash"),
                         .name = reader.text("name"),
                         .node = reader.node("node"),
                         .expires = reader.time("expires"),
                         .used_by = reader.text("used_by")};
    if (!reader.is_whole())
      return corrupt("a token is not whole");
    all.tokens_.push_back(std::move(token));
  }
  std::vector<RosterEntry> entries;
  for (const EnrolledNode& node : all.nodes_)
    entries.push_back({node.node, node.name, node.key, false});
  if (auto roster = Roster::of(std::move(entries)); !roster)
    return corrupt(roster.error().what);
  return all;
}

}  // namespace troupe::link
