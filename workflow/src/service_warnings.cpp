#include "text_decoder.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/supervisor/backoff_span.hpp>
#include <troupe/workflow/service_warnings.hpp>
#include <troupe/workflow/services.hpp>

#include <algorithm>
#include <cstddef>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {
namespace {

using config::Diagnostics;
using supervisor::AutoShutdown;
using supervisor::Backoff;
using supervisor::OnGiveUp;
using supervisor::Restart;
using supervisor::Strategy;

/// A child of a group, or all the copies of its template.
struct Member {
  std::string name;  ///< For messages.
  config::Span where;
  Restart restart = Restart::permanent;
  const std::optional<Backoff>* backoff = nullptr;
  bool is_preparation = false;
  Duration stop_time{0};  ///< The longest that a stop of it takes.
  const ServiceGroup* group = nullptr;
};

Duration plus(Duration a, Duration b) {
  return a > Duration::max() - b ? Duration::max() : a + b;
}

Duration stop_time(const ServiceGroup& group);

Duration stop_time(const ServiceNode& node) {
  if (node.group)
    return stop_time(*node.group);
  // It has ended already.
  return node.is_preparation ? Duration{0} : node.service->stop_limit;
}

/// Children are stopped one after the other.
Duration stop_time(const ServiceGroup& group) {
  Duration sum{0};
  for (std::uint32_t i = 0; group.replica && i < group.replicas; ++i)
    sum = plus(sum, group.replica->stop_limit);
  for (const ServiceNode& child : group.children)
    sum = plus(sum, stop_time(child));
  return sum;
}

std::vector<Member> members_of(const ServiceGroup& group) {
  std::vector<Member> members;
  if (group.replica) {
    Member copy{.name = "a copy",
                .where = group.where,
                .restart = group.replica_restart,
                .backoff = &group.replica_backoff};
    copy.stop_time = group.replica->stop_limit;
    members.assign(group.replicas, copy);
  }
  for (const ServiceNode& child : group.children) {
    Member member{.name = in_quotes(child.id),
                  .where = child.where,
                  .restart = child.restart,
                  .backoff = &child.backoff};
    member.is_preparation = child.is_preparation;
    member.stop_time = stop_time(child);
    member.group = child.group ? &*child.group : nullptr;
    members.push_back(std::move(member));
  }
  return members;
}

/// "one_for_all" or "rest_for_one"; nothing for a group whose children are
/// restarted one by one.
std::string_view group_strategy(const ServiceGroup& group) {
  switch (group.strategy) {
    case Strategy::one_for_all:
      return "one_for_all";
    case Strategy::rest_for_one:
      return "rest_for_one";
    case Strategy::one_for_one:
    case Strategy::simple_one_for_one:
      return {};
  }
  return {};
}

/// Whether an end of the child can lead to a restart once all is up.
/// Preparations have ended then.
bool may_be_restarted(const Member& member) {
  if (member.is_preparation || member.restart == Restart::temporary)
    return false;
  const bool ends_cleanly_only = member.group != nullptr;
  return !(ends_cleanly_only && member.restart == Restart::transient);
}

std::string names_of(const std::vector<const Member*>& members) {
  constexpr std::size_t most_names = 5;
  std::vector<std::string> names;
  names.reserve(members.size());
  for (const Member* member : members)
    names.push_back(member->name);
  return listed(names, most_names);
}

class Warner {
 public:
  explicit Warner(Diagnostics& diagnostics) : diagnostics_{diagnostics} {}

  void look_at(const ServiceGroup& group) {
    const std::vector<Member> members = members_of(group);
    if (group.intensity > 0) {
      if (!group_strategy(group).empty()) {
        warn_of_siblings(group, members);
        warn_of_slow_stops(group, members);
      }
      warn_of_long_waits(group, members);
    }
    for (std::size_t i = 0; i < distinct(group, members); ++i) {
      warn_of_clean_give_up(members[i]);
      warn_of_hold(group, members[i]);
    }
    warn_of_what_means_nothing(group);
    for (const ServiceNode& child : group.children) {
      if (child.group)
        look_at(*child.group);
    }
  }

 private:
  /// All copies are alike.
  static std::size_t distinct(const ServiceGroup& group,
                              const std::vector<Member>& members) {
    return group.replica ? std::min<std::size_t>(1, members.size())
                         : members.size();
  }

  /// Restarts of one child that others do not expect to be part of.
  void warn_of_siblings(const ServiceGroup& group,
                        const std::vector<Member>& members) {
    const bool all = group.strategy == Strategy::one_for_all;
    // Those whose restart may take others along.
    const auto causes =
        std::count_if(members.begin(), members.end(), may_be_restarted);
    std::ptrdiff_t causes_before = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Member& member = members[i];
      const std::ptrdiff_t own = may_be_restarted(member) ? 1 : 0;
      const bool is_taken_along = (all ? causes - own : causes_before) > 0;
      causes_before += own;
      if (!is_taken_along || (group.replica && i + 1 < members.size()))
        continue;
      const std::string_view whose =
          all ? "another service of the group" : "a service before it";
      if (member.restart == Restart::temporary && !member.is_preparation)
        diagnostics_.warn(
            member.where,
            fmt::format("{} is stopped for good when {} is restarted ({}), "
                        "since it is temporary",
                        member.name, whose, group_strategy(group)));
      if (member.restart == Restart::transient && member.group == nullptr)
        diagnostics_.warn(
            member.where,
            fmt::format("{} is started again, even if it has ended cleanly, "
                        "when {} is restarted ({})",
                        member.name, whose, group_strategy(group)));
    }
  }

  void warn_of_slow_stops(const ServiceGroup& group,
                          const std::vector<Member>& members) {
    Duration behind{0};  // Of those behind the member.
    Duration all{0};
    const auto stop_time_of = [](const Member& member) {
      // A temporary one is stopped once and never again.
      return member.restart == Restart::temporary ? Duration{0}
                                                  : member.stop_time;
    };
    for (const Member& member : members)
      all = plus(all, stop_time_of(member));
    const Member* slowest = nullptr;
    Duration longest{0};
    for (std::size_t i = members.size(); i-- > 0;) {
      const Duration own = stop_time_of(members[i]);
      const Duration scope =
          group.strategy == Strategy::one_for_all ? all - own : behind;
      behind = plus(behind, own);
      if (may_be_restarted(members[i]) && scope >= longest) {
        slowest = &members[i];
        longest = scope;
      }
    }
    if (slowest != nullptr && longest > group.period)
      diagnostics_.warn(
          slowest->where,
          fmt::format("a restart of {} ({}) first stops what takes up to {}, "
                      "longer than the period of {}: if it does, the group "
                      "never gives up on {}",
                      slowest->name, group_strategy(group),
                      format_duration(longest), format_duration(group.period),
                      slowest->name));
  }

  /// Back-off is mostly that of the group, so that one warning is about many.
  void warn_of_long_waits(const ServiceGroup& group,
                          const std::vector<Member>& members) {
    const auto restarts = static_cast<std::uint64_t>(group.intensity);
    std::map<std::uint64_t, std::vector<const Member*>> by_failures;
    for (std::size_t i = 0; i < distinct(group, members); ++i) {
      const Member& member = members[i];
      if (!may_be_restarted(member) || !*member.backoff)
        continue;
      const std::uint64_t failures = supervisor::most_failures_within(
          **member.backoff, group.period, restarts + 1);
      if (failures <= restarts)
        by_failures[failures].push_back(&member);
    }
    for (const auto& [failures, found] : by_failures)
      diagnostics_.warn(
          found.front()->where,
          fmt::format("the back-off of {} lets {} fail at most {} in {}: alone "
                      "it never uses up the {}, so that the group does not "
                      "give up on it",
                      names_of(found), found.size() == 1 ? "it" : "each",
                      counted(failures, "time"), format_duration(group.period),
                      counted(restarts, "restart")));
  }

  void warn_of_clean_give_up(const Member& member) {
    if (member.group != nullptr && member.restart == Restart::transient &&
        member.group->on_give_up == OnGiveUp::escalate)
      diagnostics_.warn(
          member.where,
          fmt::format("{} does not come back by itself after it gave up, since "
                      "giving up is a clean end",
                      member.name),
          "restart: permanent");
  }

  void warn_of_hold(const ServiceGroup& group, const Member& member) {
    if (member.restart == Restart::temporary && !member.is_preparation &&
        group.on_give_up != OnGiveUp::escalate)
      diagnostics_.warn(
          member.where,
          fmt::format("{} is temporary and does not come back when its group "
                      "starts again after it gave up (on-give-up: {})",
                      member.name,
                      group.on_give_up == OnGiveUp::hold ? "hold" : "stop"));
  }

  void warn_of_what_means_nothing(const ServiceGroup& group) {
    if (group.on_give_up != OnGiveUp::hold &&
        group.hold_for != ServiceGroup{}.hold_for)
      diagnostics_.warn(group.where,
                        "\"hold-for\" means nothing without \"on-give-up: "
                        "hold\"");
    if (group.auto_shutdown != AutoShutdown::never &&
        std::none_of(
            group.children.begin(), group.children.end(),
            [](const ServiceNode& child) { return child.significant; }))
      diagnostics_.warn(group.where,
                        "\"auto-shutdown\" means nothing without a child that "
                        "is \"significant\"");
  }

  Diagnostics& diagnostics_;
};

}  // namespace

void warn_about_services(const Workflow& workflow, Diagnostics& diagnostics) {
  if (workflow.services != nullptr)
    Warner{diagnostics}.look_at(*workflow.services);
}

}  // namespace troupe::workflow
