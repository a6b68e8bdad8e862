#include <troupe/service/availability.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::service {

using supervisor::OnGiveUp;
using supervisor::Presence;
using supervisor::ReportKind;
using supervisor::Restart;

std::string_view to_string(Availability availability) {
  switch (availability) {
    case Availability::down:
      return "down";
    case Availability::up:
      return "up";
    case Availability::lost:
      return "lost";
  }
  return "unknown";
}

AvailabilityCore::AvailabilityCore(const GroupNode& root) {
  groups_[root.name] = {.above = root.name,
                        .on_give_up = root.on_give_up,
                        .presence = Presence::up};
  add(root);
}

void AvailabilityCore::add(const GroupNode& group) {
  for (const TreeNode& node : group.children) {
    if (const auto* nested = std::get_if<GroupNode>(&node.what)) {
      groups_[nested->name] = {.above = group.name,
                               .restart = node.restart,
                               .on_give_up = nested->on_give_up};
      add(*nested);
    } else {
      services_[std::get<ServiceNode>(node.what).spec->name] = {
          .above = group.name, .restart = node.restart};
    }
  }
}

AvailabilityCore::Changes AvailabilityCore::on_presence(const std::string& path,
                                                        Presence presence) {
  if (const auto service = services_.find(path); service != services_.end()) {
    service->second.presence = presence;
    if (presence == Presence::up)
      service->second.has_finished = false;
    Changes out;
    judge(path, service->second, out);
    return out;
  }
  if (const auto group = groups_.find(path); group != groups_.end())
    group->second.presence = presence;
  return take_changes();
}

void AvailabilityCore::on_end(const std::string& service,
                              const ServiceEnd& end) {
  const auto found = services_.find(service);
  if (found == services_.end())
    return;
  const bool was_stopped = end.report && end.report->stopped;
  found->second.has_finished = end.clean && !was_stopped;
  found->second.how =
      was_stopped && end.clean ? "it was ended with its group" : describe(end);
}

AvailabilityCore::Changes AvailabilityCore::on_report(
    const supervisor::Report& report) {
  const auto found = groups_.find(report.supervisor);
  if (found == groups_.end())
    return {};
  Group& group = found->second;
  switch (report.kind) {
    case ReportKind::started:
    case ReportKind::released:
      group.is_ending = false;
      group.is_held = false;
      break;
    case ReportKind::gave_up:
    case ReportKind::auto_shutdown:
      group.is_ending = true;
      break;
    case ReportKind::held:
      group.is_held = true;
      break;
    case ReportKind::child_terminated:
    case ReportKind::start_failed:
    case ReportKind::shutdown_error:
      break;
  }
  return take_changes();
}

void AvailabilityCore::on_blame(const std::string& group, std::string chain) {
  if (const auto found = groups_.find(group); found != groups_.end())
    found->second.blame = std::move(chain);
}

AvailabilityCore::Changes AvailabilityCore::on_tree_ended(
    const std::string& why) {
  is_over_ = true;
  why_over_ = why.empty() ? "the services have ended" : why;
  return take_changes();
}

std::vector<std::string> AvailabilityCore::groups_around(
    const std::string& group) const {
  std::vector<std::string> out;
  for (std::string at = group;;) {
    out.push_back(at);
    const std::string& above = groups_.at(at).above;
    if (above == at)
      break;
    at = above;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

AvailabilityCore::Verdict AvailabilityCore::verdict_on(
    const std::string& path, const Service& service) const {
  if (is_over_)
    return {Availability::lost, why_over_};
  if (service.presence == Presence::up)
    return {Availability::up, {}};
  for (const std::string& name : groups_around(service.above)) {
    const Group& group = groups_.at(name);
    // Of what is left alone while somebody above decides, nothing is said.
    if (group.is_held && group.on_give_up == OnGiveUp::stop)
      return {Availability::lost, group.blame};
    // A permanent one is gone because of those above, who tell later.
    if (group.presence == Presence::gone && group.restart != Restart::permanent)
      return {Availability::lost, group.blame.empty()
                                      ? fmt::format("{} has ended", name)
                                      : group.blame};
    if (group.is_held || group.is_ending || group.presence != Presence::up)
      return {};
  }
  if (service.presence == Presence::away)
    return {};
  if (service.has_finished)
    return {Availability::up, {}};
  // Likewise: only of a temporary one that is the end.
  if (service.restart != Restart::temporary)
    return {};
  return {Availability::lost,
          fmt::format("{} {}, and is not started again", path, service.how)};
}

AvailabilityCore::Changes AvailabilityCore::take_changes() {
  Changes out;
  for (auto& [path, service] : services_)
    judge(path, service, out);
  return out;
}

void AvailabilityCore::judge(const std::string& path, Service& service,
                             Changes& out) const {
  Verdict verdict = verdict_on(path, service);
  if (std::exchange(service.told, verdict.state) != verdict.state)
    out.push_back({path, verdict.state, std::move(verdict.why)});
}

}  // namespace troupe::service
