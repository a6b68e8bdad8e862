#include <troupe/base/overload.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/service/what_if.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <span>
#include <utility>

namespace troupe::service {
namespace {

using supervisor::AutoShutdown;
using supervisor::DurationRange;
using supervisor::OnGiveUp;
using supervisor::Restart;
using supervisor::Strategy;

std::string path_of(const GroupNode& group, const TreeNode& node) {
  return group.name.empty() ? node.id : group.name + "/" + node.id;
}

/// Those that are started with the group.
std::span<const TreeNode> children_of(const GroupNode& group) {
  std::size_t count = group.children.size();
  if (group.replicas)
    count = std::min<std::size_t>(count, *group.replicas);
  return {group.children.data(), count};
}

const GroupNode* group_of(const TreeNode& node) {
  return std::get_if<GroupNode>(&node.what);
}

bool is_preparation(const TreeNode& node) {
  const auto* service = std::get_if<ServiceNode>(&node.what);
  return service != nullptr && service->spec->is_preparation;
}

std::string probe_name(const Check& check) {
  return std::visit(Overload{
                        [](const ExecCheck&) { return "exec"; },
                        [](const HttpCheck&) { return "http"; },
                        [](const TcpCheck&) { return "tcp"; },
                        [](const LogCheck&) { return "log"; },
                        [](const NotifyCheck&) { return "notify"; },
                    },
                    check);
}

/// What a start of `node` starts, in order.
void add_starts(const GroupNode& group, const TreeNode& node,
                std::vector<ForeseenStart>& out) {
  if (const GroupNode* nested = group_of(node)) {
    for (const TreeNode& child : children_of(*nested))
      add_starts(*nested, child, out);
    return;
  }
  const ServiceSpec& spec = *std::get<ServiceNode>(node.what).spec;
  ForeseenStart start;
  start.service = path_of(group, node);
  if (spec.ready) {
    start.until = ForeseenStart::Until::ready;
    start.probe = probe_name(spec.ready->check);
  }
  if (spec.is_preparation)
    start.until = ForeseenStart::Until::finished;
  out.push_back(std::move(start));
}

/// What a stop of `node` stops, in order, if all that is to run runs.
void add_stops(const GroupNode& group, const TreeNode& node,
               std::vector<std::string>& out) {
  const GroupNode* nested = group_of(node);
  if (nested == nullptr) {
    if (!is_preparation(node))
      out.push_back(path_of(group, node));
    return;
  }
  const auto children = children_of(*nested);
  for (std::size_t i = children.size(); i-- > 0;)
    add_stops(*nested, children[i], out);
}

Duration plus(Duration a, Duration b) {
  return a > Duration::max() - b ? Duration::max() : a + b;
}

DurationRange plus(const DurationRange& a, const DurationRange& b) {
  return {plus(a.shortest, b.shortest), plus(a.longest, b.longest)};
}

Duration times(Duration a, std::uint64_t factor) {
  const auto most = static_cast<std::uint64_t>(Duration::max().count());
  const auto count = static_cast<std::uint64_t>(a.count());
  return count != 0 && factor > most / count
             ? Duration::max()
             : Duration{static_cast<Duration::rep>(count * factor)};
}

std::uint64_t bounded_product(std::uint64_t a, std::uint64_t b) {
  return a > most_counted_starts / b ? most_counted_starts : a * b;
}

/// The waits before `restarts` restarts of a child that lives for `life` each
/// time.
DurationRange waits(const std::optional<supervisor::Backoff>& backoff,
                    std::uint64_t restarts, const DurationRange& life) {
  if (!backoff)
    return {};
  const DurationRange first = supervisor::backoff_wait(*backoff, 0);
  const DurationRange growing = supervisor::backoff_span(*backoff, restarts);
  const DurationRange same{times(first.shortest, restarts),
                           times(first.longest, restarts)};
  if (life.longest < backoff->reset_after)
    return growing;
  if (life.shortest >= backoff->reset_after)
    return same;
  return {same.shortest, growing.longest};
}

/// A child, and the groups around it from the root on.
struct Place {
  std::vector<const GroupNode*> groups;
  std::vector<std::size_t> indices;  ///< In the group of the same position.

  [[nodiscard]] const TreeNode& node(std::size_t level) const {
    return groups[level]->children[indices[level]];
  }
};

std::optional<Place> find(const GroupNode& root, std::string_view path,
                          std::vector<std::string>& known) {
  std::optional<Place> found;
  Place place;
  const auto visit = [&](const auto& self, const GroupNode& group) -> void {
    const auto children = children_of(group);
    place.groups.push_back(&group);
    place.indices.push_back(0);
    for (std::size_t i = 0; i < children.size(); ++i) {
      place.indices.back() = i;
      known.push_back(path_of(group, children[i]));
      if (known.back() == path)
        found = place;
      if (const GroupNode* nested = group_of(children[i]))
        self(self, *nested);
    }
    place.groups.pop_back();
    place.indices.pop_back();
  };
  visit(visit, root);
  return found;
}

/// Goes from the child outward, as far as its end has consequences.
class Forecaster {
 public:
  explicit Forecaster(const Place& place) : place_{place} {}

  WhatIf run(std::string child) {
    WhatIf out;
    out.child = std::move(child);
    const std::size_t innermost = place_.groups.size() - 1;
    const TreeNode& node = place_.node(innermost);
    out.is_group = group_of(node) != nullptr;
    is_clean_ = out.is_group;
    if (out.is_group)
      add_stops(*place_.groups[innermost], node, out.contents);
    for (std::size_t level = innermost + 1; level-- > 0;) {
      out.groups.push_back(is_preparation(node) ? failed_start(level)
                                                : forecast(level));
      const GroupForecast& group = out.groups.back();
      if (group.fate == GroupFate::keeps_on) {
        starts_ = std::nullopt;
        break;
      }
      is_clean_ = true;
      if (!ends(group.fate))
        break;
    }
    out.starts = starts_;
    out.span = life_;
    return out;
  }

  static bool ends(GroupFate fate) {
    switch (fate) {
      case GroupFate::goes_on:
      case GroupFate::keeps_on:
      case GroupFate::holds:
      case GroupFate::stops:
        return false;
      case GroupFate::gives_up:
      case GroupFate::ends:
      case GroupFate::fails_to_start:
        return true;
    }
    return false;
  }

 private:
  [[nodiscard]] GroupForecast about(std::size_t level) const {
    const GroupNode& group = *place_.groups[level];
    const TreeNode& node = place_.node(level);
    GroupForecast out;
    out.group = group.name;
    out.child = path_of(group, node);
    out.restart = node.restart;
    out.strategy = group.strategy;
    out.intensity = group.intensity;
    out.period = group.period;
    out.hold_for = group.hold_for;
    return out;
  }

  GroupForecast forecast(std::size_t level) {
    const GroupNode& group = *place_.groups[level];
    const TreeNode& node = place_.node(level);
    GroupForecast out = about(level);
    const bool is_restarted =
        node.restart == Restart::permanent ||
        (node.restart == Restart::transient && !is_clean_);
    if (!is_restarted) {
      if (ends_its_group(level)) {
        out.fate = GroupFate::ends;
        out.stopped_at_end = running_beside(level);
      }
      return out;
    }
    if (group.intensity > 0)
      add_restart(level, out);
    out.stopped_at_end = running_beside(level);
    std::erase_if(out.stopped_at_end, [&](const std::string& service) {
      return std::find(out.lost.begin(), out.lost.end(), service) !=
             out.lost.end();
    });
    const auto restarts = static_cast<std::uint64_t>(group.intensity);
    out.span =
        plus(waits(node.backoff, restarts, life_),
             {times(life_.shortest, restarts), times(life_.longest, restarts)});
    if (out.span.shortest > group.period) {
      out.fate = GroupFate::keeps_on;
      out.stopped_at_end.clear();
      return out;
    }
    out.is_certain = out.span.longest <= group.period;
    switch (group.on_give_up) {
      case OnGiveUp::escalate:
        out.fate = GroupFate::gives_up;
        break;
      case OnGiveUp::hold:
        out.fate = GroupFate::holds;
        break;
      case OnGiveUp::stop:
        out.fate = GroupFate::stops;
        break;
    }
    starts_ = bounded_product(*starts_, restarts + 1);
    life_ = plus(life_, out.span);
    return out;
  }

  /// Nothing has been started after the child yet.
  [[nodiscard]] GroupForecast failed_start(std::size_t level) const {
    const GroupNode& group = *place_.groups[level];
    GroupForecast out = about(level);
    out.fate = GroupFate::fails_to_start;
    for (std::size_t i = place_.indices[level]; i-- > 0;)
      add_stops(group, group.children[i], out.stopped_at_end);
    return out;
  }

  /// Whether auto-shutdown comes of the end of the child.
  [[nodiscard]] bool ends_its_group(std::size_t level) const {
    const GroupNode& group = *place_.groups[level];
    const TreeNode& node = place_.node(level);
    if (!node.significant)
      return false;
    switch (group.auto_shutdown) {
      case AutoShutdown::never:
        return false;
      case AutoShutdown::any_significant:
        return true;
      case AutoShutdown::all_significant: {
        const auto children = children_of(group);
        return std::none_of(children.begin(), children.end(),
                            [&](const TreeNode& other) {
                              return &other != &node && other.significant &&
                                     !is_preparation(other);
                            });
      }
    }
    return false;
  }

  /// All of the group that runs when the child has ended, last ones first.
  [[nodiscard]] std::vector<std::string> running_beside(
      std::size_t level) const {
    const GroupNode& group = *place_.groups[level];
    const auto children = children_of(group);
    std::vector<std::string> out;
    for (std::size_t i = children.size(); i-- > 0;) {
      if (i != place_.indices[level])
        add_stops(group, children[i], out);
    }
    return out;
  }

  /// What is stopped and started when the child is started again.
  void add_restart(std::size_t level, GroupForecast& out) const {
    const GroupNode& group = *place_.groups[level];
    const std::size_t failed = place_.indices[level];
    const auto children = children_of(group);
    std::size_t first = failed;
    std::size_t end = failed + 1;
    switch (group.strategy) {
      case Strategy::one_for_one:
      case Strategy::simple_one_for_one:
        break;
      case Strategy::one_for_all:
        first = 0;
        end = children.size();
        break;
      case Strategy::rest_for_one:
        end = children.size();
        break;
    }
    for (std::size_t i = end; i-- > first;) {
      if (i == failed)
        continue;
      add_stops(group, children[i], out.stopped);
      if (children[i].restart == Restart::temporary)
        add_stops(group, children[i], out.lost);
    }
    for (std::size_t i = first; i < end; ++i) {
      if (i == failed || children[i].restart != Restart::temporary)
        add_starts(group, children[i], out.started);
    }
    if (const auto& backoff = children[failed].backoff) {
      const auto last = static_cast<std::uint64_t>(group.intensity) - 1;
      const DurationRange grown = supervisor::backoff_wait(*backoff, last);
      out.first_wait = supervisor::backoff_wait(*backoff, 0);
      out.last_wait = out.first_wait;
      if (life_.shortest < backoff->reset_after)
        out.last_wait.longest = grown.longest;
      if (life_.longest < backoff->reset_after)
        out.last_wait.shortest = grown.shortest;
    }
  }

  const Place& place_;
  /// Whether the child of the level ends cleanly.
  bool is_clean_ = false;
  /// From a start of the child of the level to its end.
  DurationRange life_;
  /// Of the innermost child during one life of the child of the level.
  std::optional<std::uint64_t> starts_ = 1;
};

}  // namespace

std::string_view to_string(GroupFate fate) {
  switch (fate) {
    case GroupFate::goes_on:
      return "goes_on";
    case GroupFate::keeps_on:
      return "keeps_on";
    case GroupFate::holds:
      return "holds";
    case GroupFate::stops:
      return "stops";
    case GroupFate::gives_up:
      return "gives_up";
    case GroupFate::ends:
      return "ends";
    case GroupFate::fails_to_start:
      return "fails_to_start";
  }
  return "unknown";
}

bool WhatIf::ends_stack() const {
  return groups.back().group.empty() && Forecaster::ends(groups.back().fate);
}

Result<WhatIf> what_if_dies(const GroupNode& root, const std::string& child) {
  std::vector<std::string> known;
  const auto place = find(root, child, known);
  if (!place) {
    const auto meant = suggest(
        child, std::vector<std::string_view>{known.begin(), known.end()});
    return failure(
        Errc::not_found,
        fmt::format("no service \"{}\"{}", printable(child),
                    meant ? fmt::format("; did you mean {}?", *meant) : ""));
  }
  const auto* group = group_of(place->node(place->groups.size() - 1));
  if (group != nullptr && group->on_give_up != OnGiveUp::escalate)
    return failure(
        Errc::invalid_argument,
        fmt::format("{} does not die, as it does not escalate when it gives "
                    "up; ask for a service in it",
                    child));
  return Forecaster{*place}.run(child);
}

}  // namespace troupe::service
