#include <troupe/distributed/view.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::distributed {
namespace {

/// What a node that is joining counts: weight / joining_part.
constexpr std::uint32_t joining_part = 4;

bool is_zone(std::string_view text) {
  return text.size() <= longest_zone &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
         });
}

}  // namespace

std::string_view to_string(MemberState state) {
  switch (state) {
    case MemberState::joining:
      return "joining";
    case MemberState::active:
      return "active";
    case MemberState::draining:
      return "draining";
  }
  return "unknown";
}

Result<void> check(const Member& member) {
  const auto refuse = [&member](std::string_view what) {
    return failure(
        Errc::invalid_argument,
        fmt::format("view: node {} has {}", to_string(member.node), what));
  };
  if (member.weight < 1 || member.weight > heaviest_weight)
    return refuse(fmt::format("weight {} instead of 1 to {}", member.weight,
                              heaviest_weight));
  if (!is_zone(member.zone))
    return refuse(
        fmt::format("a zone that is not up to {} letters, digits, "
                    "dots, dashes and underscores",
                    longest_zone));
  return {};
}

Result<void> check(const View& view) {
  if (auto checked = check(view.ring); !checked)
    return checked;
  if (view.members.size() > most_nodes)
    return failure(Errc::invalid_argument,
                   fmt::format("view: {} nodes instead of up to {}",
                               view.members.size(), most_nodes));
  const Member* before = nullptr;
  for (const Member& member : view.members) {
    if (before != nullptr && before->node >= member.node)
      return failure(Errc::invalid_argument,
                     fmt::format("view: node {} is not in its place",
                                 to_string(member.node)));
    if (auto checked = check(member); !checked)
      return checked;
    before = &member;
  }
  return {};
}

Ring ring_of(const View& view) {
  std::vector<RingNode> nodes;
  nodes.reserve(view.members.size());
  for (const Member& member : view.members) {
    switch (member.state) {
      case MemberState::joining:
        nodes.push_back(
            {member.node, std::max(member.weight / joining_part, 1U)});
        break;
      case MemberState::active:
        nodes.push_back({member.node, member.weight});
        break;
      case MemberState::draining:
        break;
    }
  }
  return Ring{nodes, view.ring};
}

ViewChange changes_between(const View& from, const View& to) {
  ViewChange change{.has_other_ring = from.ring != to.ring};
  auto old = from.members.begin();
  auto next = to.members.begin();
  while (old != from.members.end() || next != to.members.end()) {
    if (next == to.members.end() ||
        (old != from.members.end() && old->node < next->node)) {
      change.left.push_back((old++)->node);
    } else if (old == from.members.end() || next->node < old->node) {
      change.joined.push_back((next++)->node);
    } else {
      if (*old != *next)
        change.changed.push_back(next->node);
      ++old;
      ++next;
    }
  }
  return change;
}

}  // namespace troupe::distributed
