#include "member_start.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/node/machine.hpp>
#include <troupe/process/leftovers.hpp>
#include <troupe/queue/labels.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <set>
#include <sys/stat.h>
#include <thread>
#include <utility>

namespace troupe::node {
namespace {

using store::SessionId;
using store::SessionInfo;

constexpr Duration longest_sweep = 10s;
constexpr Duration look_pause = 500ms;

std::string place_of(const std::string& folder) {
  std::ifstream file{"/proc/sys/kernel/random/boot_id"};
  std::string boot;
  std::getline(file, boot);
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0)
    return "";
  return fmt::format("{}/{}/{}", boot, info.st_dev, info.st_ino);
}

/// The report, if nothing is left.
Result<process::LeftoverReport> complete(
    Result<process::LeftoverReport> swept) {
  if (swept && swept->survivors != 0)
    return failure(Errc::unavailable,
                   fmt::format("{} processes of commands of a node before "
                               "this one cannot be ended",
                               swept->survivors));
  return swept;
}

Result<void> sweep(const SessionId& session) {
  const auto swept =
      complete(process::end_leftovers(session.value, longest_sweep));
  if (!swept)
    return tl::unexpected(swept.error());
  log(LogLevel::info, fmt::format("session_swept session={} killed={}",
                                  session.value, swept->killed));
  return {};
}

/// As it is now; none if it has ended.
Result<std::optional<SessionInfo>> look_for(store::ClusterStore& store,
                                            const SessionId& session) {
  auto all = store.sessions();
  if (!all)
    return tl::unexpected(std::move(all.error()));
  const auto found = std::find_if(
      all->begin(), all->end(),
      [&](const SessionInfo& info) { return info.session.session == session; });
  return found == all->end() ? std::nullopt : std::optional{*found};
}

/// Its commands may run on another host. When its counter has stood still for
/// so long, its right has ended, whatever any clock says.
Result<void> await_end_of(store::ClusterStore& store, const SessionInfo& other,
                          const distributed::LeaseTerms& terms) {
  log(LogLevel::warn,
      fmt::format("waits_for_session session={} at_most={} reason='it is of "
                  "another host with the identity of this one, or of this one "
                  "before it was started again'",
                  other.session.session.value,
                  format_duration(terms.ttl + terms.eviction_margin)));
  const TimePoint until =
      std::chrono::steady_clock::now() + terms.ttl + terms.eviction_margin;
  while (true) {
    auto now = look_for(store, other.session.session);
    if (!now)
      return tl::unexpected(std::move(now.error()));
    if (!*now)
      return {};
    if ((*now)->counter != other.counter)
      return failure(
          Errc::already_exists,
          fmt::format(
              "{} runs as this node, and this host has a copy of its "
              "identity; enrol this one under a name of its own",
              printable(parse_session_detail(other.session.detail).name)));
    if (std::chrono::steady_clock::now() > until)
      return {};
    std::this_thread::sleep_for(look_pause);
  }
}

std::uint64_t next_incarnation(std::uint64_t last) {
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  return std::max(static_cast<std::uint64_t>(now), last + 1);
}

}  // namespace

distributed::LeaseTerms lease_terms(Duration lease_time) {
  constexpr distributed::LeaseTerms usual;
  if (lease_time >= usual.ttl)
    return {.ttl = lease_time};
  const auto part = [&](Duration of) {
    return Duration{of.count() / (usual.ttl / 1s) * (lease_time / 1ms) / 1000};
  };
  return {.ttl = lease_time,
          .kill_before = part(usual.kill_before),
          .gone_before = part(usual.gone_before),
          .eviction_margin = part(usual.eviction_margin),
          .longest_pause = part(usual.longest_pause)};
}

flow_control::Resources capacity_of(const NodeConfig& config) {
  auto labels = config.labels;
  if (!config.zone.empty())
    labels.push_back(queue::label_of_zone(config.zone));
  return queue::have_labels(with_those_of_machine(config.resources), labels);
}

Result<bool> is_live(store::ClusterStore& store, const std::string& session) {
  auto found = look_for(store, {session});
  if (!found)
    return tl::unexpected(std::move(found.error()));
  return found->has_value();
}

Result<void> check_not_revoked(const link::Roster& roster,
                               const distributed::NodeId& self) {
  if (!roster.is_revoked(self))
    return {};
  const std::string& name = roster.find(self)->name;
  return failure(
      Errc::permission_denied,
      fmt::format("{} was revoked: this host is no member of its cluster any "
                  "more; to have it there again, enrol it anew, with troupe "
                  "cluster token {} on the host of the authority",
                  name, name));
}

Result<link::Roster> newest_roster(store::ClusterStore& store,
                                   const link::ClusterFolder& folder) {
  link::Roster own;
  if (auto read = folder.roster(); read && *read)
    own = std::move(**read);
  const auto known = store.roster_after(own.number());
  if (!known)
    return tl::unexpected(known.error());
  if (*known) {
    auto newer = link::parse_roster((*known)->what);
    return newer ? std::move(newer) : own;
  }
  if (own.number() != 0) {
    if (auto told = store.set_roster({own.number(), to_json(own)}); !told)
      return tl::unexpected(std::move(told.error()));
  }
  return own;
}

Result<distributed::RingParameters> ring_parameters(
    store::ClusterStore& store) {
  const auto agreed = store.view();
  if (!agreed)
    return tl::unexpected(agreed.error());
  if (agreed->number == 0)
    return distributed::RingParameters{};
  auto view = distributed::parse_view(agreed->what);
  if (!view)
    return tl::unexpected(std::move(view.error()));
  return view->ring;
}

Result<void> end_what_is_left(const std::string& folder) {
  const auto swept = complete(process::end_leftovers_in(folder, longest_sweep));
  if (!swept)
    return tl::unexpected(swept.error());
  if (swept->killed != 0)
    log(LogLevel::warn, fmt::format("leftovers_ended folder={} killed={}",
                                    shell_quote(folder), swept->killed));
  return {};
}

Result<void> end_sessions(store::Store& store,
                          const std::vector<SessionId>& sessions) {
  for (const SessionId& session : sessions) {
    if (auto swept = sweep(session); !swept)
      return swept;
    const auto ended =
        store.end_session(session, std::chrono::system_clock::now());
    if (!ended)
      return tl::unexpected(ended.error());
    log(LogLevel::info,
        fmt::format("session_ended session={} queued_again={} lost={}",
                    session.value, ended->queued_again, ended->lost));
  }
  return {};
}

Result<MemberOptions> prepare_member(store::SqlStore& store,
                                     const NodeConfig& config,
                                     const link::Identity& identity,
                                     const std::string& session,
                                     const std::string& version) {
  MemberOptions member{
      .terms = lease_terms(config.lease_time),
      .self = identity.node,
      .seed = std::random_device{}(),
      .certificate_file =
          link::ClusterFolder{config.cluster_folder}.identity_path()};
  if (const auto info = link::read_certificate(identity.certificate))
    member.certificate_until = info->until;
  member.detail = {
      .name = identity.name.empty() ? to_string(identity.node) : identity.name,
      .place = place_of(config.folder),
      .version = version,
      .listen = config.listen,
      .lease_ms = static_cast<std::uint64_t>(config.lease_time / 1ms),
      .slots = config.slots != 0 ? config.slots : processors(),
      .weight = distributed::full_weight,
      .resources = capacity_of(config).text(),
      .sees_runs = true,
      .zone = config.zone};
  member.session = {.session = {session},
                    .node = to_string(identity.node),
                    .detail = to_text(member.detail)};
  auto sessions = store.sessions();
  auto open = store.open_sessions();
  if (!sessions || !open)
    return tl::unexpected(!sessions ? sessions.error() : open.error());
  std::set<SessionId> of_members;
  std::uint64_t last = 0;
  for (const SessionInfo& other : *sessions) {
    of_members.insert(other.session.session);
    const SessionDetail detail = parse_session_detail(other.session.detail);
    if (other.session.node != member.session.node) {
      if (detail.lease_ms != member.detail.lease_ms)
        return failure(
            Errc::invalid_argument,
            fmt::format(
                "lease-time: {} has {}, and all nodes of a cluster "
                "have the same",
                printable(detail.name),
                format_duration(std::chrono::milliseconds{detail.lease_ms})));
      continue;
    }
    last = std::max(last, other.session.incarnation);
    if (other.session.session == member.session.session) {
      member.adopts = true;
      member.session = other.session;
      continue;
    }
    auto ended = detail.place == member.detail.place
                     ? sweep(other.session.session)
                     : await_end_of(store, other, member.terms);
    if (!ended)
      return tl::unexpected(std::move(ended.error()));
  }
  if (!member.adopts)
    member.session.incarnation = next_incarnation(last);
  // Of nodes that had the store alone, which has ended with our place in it.
  std::vector<SessionId> others;
  for (const SessionId& one : *open) {
    if (!of_members.contains(one))
      others.push_back(one);
  }
  if (auto ended = end_sessions(store, others); !ended)
    return tl::unexpected(std::move(ended.error()));
  return member;
}

}  // namespace troupe::node
