#include <troupe/base/text.hpp>
#include <troupe/link/roster.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::link {
namespace {

using Json = nlohmann::ordered_json;
using distributed::NodeId;

constexpr std::size_t digits_of_key = 64;
/// An entry takes some 200 bytes.
constexpr std::size_t longest_roster = most_enrolled * 512;

bool is_letter_or_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_key(std::string_view key) {
  return key.size() == digits_of_key &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'f');
         });
}

tl::unexpected<Error> no_roster(std::string_view what) {
  return failure(Errc::corrupt, fmt::format("roster: {}", what));
}

Result<RosterEntry> entry_of(const Json& json) {
  const auto text = [&json](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>()
                                                     : std::string{};
  };
  auto node = distributed::parse_node_id(text("node"));
  if (!node)
    return no_roster(node.error().what);
  const auto revoked = json.find("revoked");
  if (revoked == json.end() || !revoked->is_boolean())
    return no_roster("\"revoked\" is missing or wrong");
  return RosterEntry{*node, text("name"), text("key"), revoked->get<bool>()};
}

}  // namespace

Result<void> check_node_name(std::string_view name) {
  const bool is_good =
      !name.empty() && name.size() <= longest_node_name &&
      is_letter_or_digit(name.front()) && is_letter_or_digit(name.back()) &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
      });
  if (is_good)
    return {};
  return failure(Errc::invalid_argument,
                 fmt::format("expected a name such as n1 or db-2.example, of "
                             "letters, digits and . _ -, got {}",
                             in_quotes(name)));
}

Result<Roster> Roster::of(std::vector<RosterEntry> entries,
                          std::uint64_t number) {
  const auto refuse = [](std::string_view what) {
    return failure(Errc::invalid_argument, fmt::format("roster: {}", what));
  };
  if (entries.size() > most_enrolled)
    return refuse(fmt::format("more than {} nodes", most_enrolled));
  for (const RosterEntry& entry : entries) {
    if (auto named = check_node_name(entry.name); !named)
      return refuse(named.error().what);
    if (!is_key(entry.key))
      return refuse(fmt::format("the key of {} is none", entry.name));
  }
  std::sort(entries.begin(), entries.end(),
            [](const RosterEntry& a, const RosterEntry& b) {
              return a.node < b.node;
            });
  const auto twice =
      std::adjacent_find(entries.begin(), entries.end(),
                         [](const RosterEntry& a, const RosterEntry& b) {
                           return a.node == b.node;
                         });
  if (twice != entries.end())
    return refuse(fmt::format("{} is in it twice", to_string(twice->node)));
  Roster roster;
  roster.entries_ = std::move(entries);
  roster.number_ = number;
  return roster;
}

const RosterEntry* Roster::find(const NodeId& node) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), node,
      [](const RosterEntry& a, const NodeId& b) { return a.node < b; });
  return found != entries_.end() && found->node == node ? &*found : nullptr;
}

Result<void> Roster::admit(const NodeId& node, std::string_view key) const {
  const RosterEntry* const entry = find(node);
  const auto refuse = [&node](std::string_view what) {
    return failure(Errc::permission_denied,
                   fmt::format("node {} {}", to_string(node), what));
  };
  if (entry == nullptr)
    return refuse("is not enrolled in this cluster");
  if (entry->is_revoked)
    return refuse(fmt::format("({}) was revoked", entry->name));
  if (entry->key != key)
    return refuse(
        fmt::format("({}) was enrolled with another key", entry->name));
  return {};
}

std::string to_json(const Roster& roster) {
  Json nodes = Json::array();
  for (const RosterEntry& entry : roster.entries())
    nodes.push_back({{"node", to_string(entry.node)},
                     {"name", entry.name},
                     {"key", entry.key},
                     {"revoked", entry.is_revoked}});
  return Json{{"version", 1},
              {"number", roster.number()},
              {"nodes", std::move(nodes)}}
             .dump(1) +
         "\n";
}

Result<Roster> parse_roster(std::string_view json) {
  if (json.size() > longest_roster)
    return no_roster(fmt::format("longer than {} bytes", longest_roster));
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto nodes = root.is_object() ? root.find("nodes") : root.end();
  if (!root.is_object() || nodes == root.end() || !nodes->is_array())
    return no_roster("this is no JSON with \"nodes\"");
  const auto number = root.find("number");
  if (number != root.end() && !number->is_number_unsigned())
    return no_roster("\"number\" is none");
  std::vector<RosterEntry> entries;
  for (const Json& one : *nodes) {
    if (!one.is_object())
      return no_roster("a node is no object");
    auto entry = entry_of(one);
    if (!entry)
      return tl::unexpected(std::move(entry.error()));
    entries.push_back(std::move(*entry));
  }
  auto roster =
      Roster::of(std::move(entries),
                 number == root.end() ? 0 : number->get<std::uint64_t>());
  if (!roster)
    return failure(Errc::corrupt, std::move(roster.error().what));
  return roster;
}

}  // namespace troupe::link
