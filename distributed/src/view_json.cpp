#include <troupe/base/assert.hpp>
#include <troupe/distributed/view.hpp>

#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <limits>
#include <optional>

namespace troupe::distributed {
namespace {

using Json = nlohmann::ordered_json;

tl::unexpected<Error> corrupt_view(std::string_view what) {
  return failure(Errc::corrupt, fmt::format("view: {}", what));
}

/// A number that fits; none if the field is missing or is something else.
template <class T>
std::optional<T> number(const Json& object, const char* key) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_number_unsigned())
    return std::nullopt;
  const auto value = field->get<std::uint64_t>();
  if (value > std::numeric_limits<T>::max())
    return std::nullopt;
  return static_cast<T>(value);
}

std::optional<std::string> text(const Json& object, const char* key) {
  const auto field = object.find(key);
  if (field == object.end() || !field->is_string())
    return std::nullopt;
  return field->get<std::string>();
}

std::optional<MemberState> parse_state(std::string_view name) {
  for (const MemberState state :
       {MemberState::joining, MemberState::active, MemberState::draining})
    if (name == to_string(state))
      return state;
  return std::nullopt;
}

Result<RingParameters> parse_ring(const Json& json) {
  if (!json.is_object())
    return corrupt_view("no ring");
  const auto algorithm = number<std::uint32_t>(json, "algorithm");
  const auto seed = number<std::uint64_t>(json, "seed");
  const auto virtual_nodes = number<std::uint32_t>(json, "virtual_nodes");
  const auto numerator = number<std::uint32_t>(json, "load_numerator");
  const auto denominator = number<std::uint32_t>(json, "load_denominator");
  const auto shards = number<std::uint32_t>(json, "shards");
  // A later algorithm may have other fields: check() names it.
  if (algorithm && *algorithm != RingParameters{}.algorithm)
    return RingParameters{.algorithm = *algorithm};
  if (!algorithm || !seed || !virtual_nodes || !numerator || !denominator ||
      !shards)
    return corrupt_view("a field of the ring is missing or no number");
  return RingParameters{*algorithm, *seed,        *virtual_nodes,
                        *numerator, *denominator, *shards};
}

Result<Member> parse_member(const Json& json) {
  if (!json.is_object())
    return corrupt_view("a member is no object");
  const auto node = text(json, "node");
  const auto weight = number<std::uint32_t>(json, "weight");
  const auto zone = text(json, "zone");
  const auto state_name = text(json, "state");
  const auto state = state_name ? parse_state(*state_name) : std::nullopt;
  if (!node || !weight || !zone || !state)
    return corrupt_view("a field of a member is missing or makes no sense");
  const auto id = parse_node_id(*node);
  if (!id)
    return corrupt_view(id.error().what);
  return Member{*id, *weight, *zone, *state};
}

}  // namespace

std::string to_json(const View& view) {
  TROUPE_ASSERT(check(view).has_value());
  Json members = Json::array();
  for (const Member& member : view.members)
    members.push_back({{"node", to_string(member.node)},
                       {"weight", member.weight},
                       {"zone", member.zone},
                       {"state", to_string(member.state)}});
  const RingParameters& ring = view.ring;
  const Json json{{"number", view.number},
                  {"ring",
                   {{"algorithm", ring.algorithm},
                    {"seed", ring.seed},
                    {"virtual_nodes", ring.virtual_nodes},
                    {"load_numerator", ring.load_numerator},
                    {"load_denominator", ring.load_denominator},
                    {"shards", ring.shards}}},
                  {"members", std::move(members)}};
  return json.dump();
}

Result<View> parse_view(std::string_view json) {
  if (json.size() > longest_view_bytes)
    return corrupt_view("longer than a mebibyte");
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object())
    return corrupt_view("no JSON object");
  View view;
  const auto view_number = number<std::uint64_t>(root, "number");
  const auto ring = root.find("ring");
  const auto members = root.find("members");
  if (!view_number || ring == root.end() || members == root.end() ||
      !members->is_array())
    return corrupt_view("no number, ring or members");
  view.number = *view_number;
  auto parameters = parse_ring(*ring);
  if (!parameters)
    return tl::unexpected(std::move(parameters.error()));
  view.ring = *parameters;
  for (const Json& element : *members) {
    auto member = parse_member(element);
    if (!member)
      return tl::unexpected(std::move(member.error()));
    view.members.push_back(std::move(*member));
  }
  if (auto checked = check(view); !checked) {
    Error error = std::move(checked.error());
    // What somebody has stored is not the caller's fault.
    if (error.code == Errc::invalid_argument)
      error.code = Errc::corrupt;
    return tl::unexpected(std::move(error));
  }
  return view;
}

}  // namespace troupe::distributed
