#include "member.hpp"

#include <troupe/base/log.hpp>
#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>
#include <troupe/distributed/spread.hpp>
#include <troupe/process/boot_clock.hpp>
#include <troupe/queue/labels.hpp>

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <map>
#include <set>
#include <variant>

namespace troupe::node {
namespace {

using distributed::BootTime;
using distributed::LeaseCore;
using distributed::NodeId;
using distributed::SessionRow;
using distributed::View;
using process::boot_now;

/// Between two looks at the clock at least, however much there is to do.
constexpr Duration shortest_wait = 1ms;

TimePoint monotonic_now() { return std::chrono::steady_clock::now(); }
WallTime calendar_now() { return std::chrono::system_clock::now(); }

std::int64_t in_ms(Duration time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

LeaseCore::Renewed to_core(store::Renewed answer) {
  switch (answer) {
    case store::Renewed::live:
      return LeaseCore::Renewed::live;
    case store::Renewed::draining:
      return LeaseCore::Renewed::draining;
    case store::Renewed::ended:
      break;
  }
  return LeaseCore::Renewed::evicted;
}

LeaseCore::Registered to_core(store::Registered answer) {
  switch (answer) {
    case store::Registered::yes:
      return LeaseCore::Registered::yes;
    case store::Registered::ended:
      return LeaseCore::Registered::evicted;
    case store::Registered::late:
      break;
  }
  return LeaseCore::Registered::refused;
}

/// On the ring, where who has just come has less than later.
std::uint32_t weight_of(const distributed::Ring& ring, const NodeId& node) {
  for (const distributed::RingNode& one : ring.nodes()) {
    if (one.node == node)
      return one.weight;
  }
  return 0;
}

}  // namespace

std::string to_text(const SessionDetail& detail) {
  return Json{{"name", to_utf8(detail.name)},  {"place", detail.place},
              {"version", detail.version},     {"listen", detail.listen},
              {"lease_ms", detail.lease_ms},   {"slots", detail.slots},
              {"weight", detail.weight},       {"resources", detail.resources},
              {"sees_runs", detail.sees_runs}, {"zone", detail.zone}}
      .dump();
}

SessionDetail parse_session_detail(const std::string& text) {
  SessionDetail detail;
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto read = [&json](const char* name, auto& out) {
    using Value = std::remove_reference_t<decltype(out)>;
    const auto found = json.is_object() ? json.find(name) : json.end();
    if (found == json.end())
      return;
    if constexpr (std::is_same_v<Value, std::string>) {
      if (found->is_string())
        out = found->template get<std::string>();
    } else if constexpr (std::is_same_v<Value, bool>) {
      if (found->is_boolean())
        out = found->template get<bool>();
    } else if (found->is_number_unsigned()) {
      out = static_cast<Value>(
          std::min<std::uint64_t>(found->template get<std::uint64_t>(),
                                  std::numeric_limits<Value>::max()));
    }
  };
  read("name", detail.name);
  read("place", detail.place);
  read("version", detail.version);
  read("listen", detail.listen);
  read("lease_ms", detail.lease_ms);
  read("slots", detail.slots);
  read("weight", detail.weight);
  read("resources", detail.resources);
  read("sees_runs", detail.sees_runs);
  read("zone", detail.zone);
  return detail;
}

std::string home_resource(const NodeId& node) {
  // As much of the id as the name of a resource has room for.
  constexpr std::size_t digits = 20;
  std::string text = to_string(node);
  std::erase(text, '-');
  return "node-" + text.substr(0, digits);
}

Member::Member(boost::asio::io_context& io, StoreWriter& store,
               std::unique_ptr<store::SqlStore> connection,
               process::WardenRunner& runner, MemberOptions options)
    : io_{io},
      store_{store},
      own_store_{io, std::move(connection)},
      runner_{runner},
      options_{std::move(options)},
      lease_{options_.terms, options_.seed},
      janitor_{{.terms = options_.terms,
                .self = options_.self,
                .seed = options_.seed + 1}},
      views_{{.self = options_.self}},
      timer_{io} {}

void Member::begin() {
  run([this] { obey(lease_.on_start(options_.adopts, boot_now())); });
  // What it told of itself may not be so any more.
  if (options_.adopts)
    ask_among_jobs(
        [session = options_.session](store::ClusterStore& store) {
          return store.register_session(session, calendar_now());
        },
        [](const Result<store::Registered>&) {});
  read_view();
}

void Member::leave() {
  run([this] {
    obey(lease_.on_drain(BootTime::max(), boot_now()));
    obey(lease_.on_idle(boot_now()));
  });
}

void Member::drain(std::optional<Duration> within) {
  run([&] {
    const BootTime now = boot_now();
    obey(lease_.on_drain(within ? now + *within : BootTime::max(), now));
  });
}

void Member::consent(Duration within) {
  run([&] { janitor_.on_consent(boot_now() + within); });
}

bool Member::is_self(const std::string& node) const {
  return node == options_.detail.name || node == to_string(options_.self);
}

std::optional<NodeId> Member::find_node(const LogOwner& owner) const {
  const auto found = std::find_if(
      sessions_.begin(), sessions_.end(), [&](const store::SessionInfo& info) {
        return owner.node.empty()
                   ? info.session.session == owner.session
                   : parse_session_detail(info.session.detail).name ==
                         owner.node;
      });
  if (found == sessions_.end())
    return std::nullopt;
  const auto node = distributed::parse_node_id(found->session.node);
  return node ? std::optional{*node} : std::nullopt;
}

const Member::Peer* Member::find_owner(std::uint32_t shard) const {
  const auto owner = ring_ ? ring_->owner(shard) : std::nullopt;
  const auto peer = owner ? peers_->find(*owner) : peers_->end();
  return peer == peers_->end() ? nullptr : &peer->second;
}

bool Member::fits_in(std::uint32_t shard,
                     const flow_control::Resources& takes) const {
  const Peer* const owner = find_owner(shard);
  return owner == nullptr || !owner->is_known || owner->fits(takes);
}

Member::Spreading Member::spreading() const {
  return [ring = ring_, peers = peers_](const std::string& key,
                                        const flow_control::Resources& takes,
                                        std::size_t most) {
    if (!ring)
      return std::vector<std::uint32_t>{};
    std::vector<distributed::SpreadNode> all;
    std::vector<distributed::SpreadNode> fitting;
    for (const auto& [node, peer] : *peers) {
      all.push_back({node, peer.zone});
      if (peer.fits(takes))
        fitting.push_back(all.back());
    }
    auto shards = distributed::spread_shards(key, fitting, most, *ring);
    return shards.empty() ? distributed::spread_shards(key, all, most, *ring)
                          : shards;
  };
}

Placement Member::placement(const std::vector<std::uint32_t>& shards,
                            const flow_control::Resources& takes) const {
  Placement placement{.key = "",
                      .shards = shards.size(),
                      .first_shard = shards.empty() ? 0 : shards.front(),
                      .owners = {},
                      .zones = {},
                      .fitting = {},
                      .slot_holders = {},
                      .standings = {}};
  std::set<NodeId> owners;
  for (const std::uint32_t shard : shards) {
    if (const auto owner = ring_ ? ring_->owner(shard) : std::nullopt)
      owners.insert(*owner);
  }
  for (const auto& [node, peer] : *peers_) {
    if (owners.contains(node)) {
      placement.owners.push_back(peer.name);
      placement.standings[peer.name] = standing_of(node, peer, takes);
      if (!peer.zone.empty())
        placement.zones.insert(peer.zone);
    }
    if (peer.fits(takes))
      placement.fitting.push_back(peer.name);
  }
  std::sort(placement.owners.begin(), placement.owners.end());
  std::sort(placement.fitting.begin(), placement.fitting.end());
  return placement;
}

/// As far as this node has heard.
Placement::Standing Member::standing_of(
    const NodeId& node, const Peer& peer,
    const flow_control::Resources& takes) const {
  using Standing = Placement::Standing;
  if (peer.is_known && peer.capacity.lacks(takes))
    return Standing::unfit;
  if (node == options_.self)
    return Standing::unsaid;
  if (!options_.is_linked(node))
    return Standing::unlinked;
  const auto backlog = options_.backlog_of(node);
  return !backlog           ? Standing::unsaid
         : backlog->is_held ? Standing::held
                            : Standing::full;
}

std::string Member::owner_name(std::uint32_t shard) const {
  const Peer* const owner = find_owner(shard);
  return owner == nullptr ? "" : owner->name;
}

std::string Member::name_of(const store::SessionId& session) const {
  const auto found = std::find_if(
      sessions_.begin(), sessions_.end(),
      [&](const auto& info) { return info.session.session == session; });
  return found == sessions_.end()
             ? ""
             : parse_session_detail(found->session.detail).name;
}

std::optional<Duration> Member::silence_of(
    const store::SessionId& session) const {
  const auto standing = janitor_.standing(session.value);
  const bool is_own = session == options_.session.session;
  if (!standing || is_own || !has_right_ ||
      standing->still_for <= 2 * options_.terms.renew_every())
    return std::nullopt;
  return standing->still_for;
}

void Member::ask_for_roster(
    std::uint64_t known, std::optional<store::KnownRoster> news,
    std::function<void(std::optional<store::KnownRoster>)> then) {
  using Answer = Result<std::optional<store::KnownRoster>>;
  run([&] {
    ask(
        options_.terms.answer_within(),
        [known, news = std::move(news)](store::ClusterStore& store) -> Answer {
          if (news) {
            if (auto set = store.set_roster(*news); !set)
              return tl::unexpected(std::move(set.error()));
          }
          return store.roster_after(known);
        },
        [then = std::move(then)](Answer roster) {
          if (roster)
            then(std::move(*roster));
        });
  });
}

const store::SessionInfo* Member::find_session(const std::string& node) const {
  const auto found = std::find_if(
      sessions_.begin(), sessions_.end(), [&](const store::SessionInfo& info) {
        return info.session.node == node ||
               parse_session_detail(info.session.detail).name == node;
      });
  return found == sessions_.end() ? nullptr : &*found;
}

void Member::drain_other(const std::string& node,
                         std::function<void(Result<void>)> done) {
  const auto* const other = find_session(node);
  if (other == nullptr) {
    done(failure(Errc::not_found,
                 fmt::format("there is no node {}; see troupe cluster status",
                             printable(node))));
    return;
  }
  run([&] {
    ask(
        options_.terms.answer_within(),
        [session = other->session.session](store::ClusterStore& store) {
          return store.renew(session, /*is_draining=*/true, calendar_now());
        },
        [done = std::move(done)](const Result<store::Renewal>& renewed) {
          done(renewed ? Result<void>{} : tl::unexpected(renewed.error()));
        });
  });
}

template <class F>
void Member::run(F event) {
  if (is_over_)
    return;
  obey(lease_.on_time(boot_now()));
  event();
  if (is_over_)
    return;
  const bool may_go_on = lease_.phase() == distributed::LeasePhase::draining;
  if (std::exchange(may_go_on_, may_go_on) != may_go_on)
    options_.on_right(has_right_, may_go_on_);
  if (lease_.is_draining() && !std::exchange(has_told_drain_, true))
    options_.on_drain();
  plan();
}

template <class F, class Then>
void Member::ask(Duration patience, F work, Then then) {
  own_store_.ask(
      patience, std::move(work),
      [weak = weak_from_this(), then = std::move(then)](auto answer) mutable {
        if (const auto self = weak.lock())
          self->run([&] { then(std::move(answer)); });
      });
}

template <class F, class Then>
void Member::ask_among_jobs(F work, Then then) {
  using Answer = std::invoke_result_t<F, store::ClusterStore&>;
  auto answer = std::make_shared<Answer>(
      failure(Errc::internal, "the call was not made"));
  store_.post_to_cluster(
      [answer, work = std::move(work)](store::ClusterStore& store) mutable {
        *answer = work(store);
      },
      [weak = weak_from_this(), &io = io_, answer,
       then = std::move(then)](Result<void> committed) mutable {
        if (!committed)
          *answer = tl::unexpected(std::move(committed.error()));
        boost::asio::post(io, [weak, answer, then = std::move(then)]() mutable {
          if (const auto self = weak.lock())
            self->run([&] { then(std::move(*answer)); });
        });
      });
}

// -- The lease ----------------------------------------------------------------

void Member::obey(const LeaseCore::Actions& actions) {
  for (const auto& action : actions)
    std::visit(
        Overload{
            [&](const LeaseCore::Confirm& a) { confirm(a.number); },
            [&](const LeaseCore::Register& a) { register_session(a.number); },
            [&](const LeaseCore::Renew& a) { renew(a); },
            [&](const LeaseCore::Guard& a) {
              runner_.guard(a.kill_at, a.gone_by);
            },
            [&](const LeaseCore::MayStart&) { set_right(true); },
            [&](const LeaseCore::StopStarting&) { set_right(false); },
            [&](const LeaseCore::KillBy& a) {
              // The warden does the other by itself, at the same moment.
              if (a.which != LeaseCore::Kill::all)
                return;
              if (lease_.is_draining())
                options_.on_drain_over();
              runner_.stop_all(a.gone_by);
            },
            [&](const LeaseCore::SelfFence& a) { fence(a.loss); },
            [&](const LeaseCore::Retire&) { retire(); },
            [&](const LeaseCore::Quit& a) {
              is_over_ = true;
              timer_.cancel();
              options_.on_left(
                  a.end == LeaseCore::End::retired
                      ? std::nullopt
                      : std::optional<Error>{
                            {Errc::already_exists,
                             "a later session of this node is there: "
                             "another host has its identity; enrol this "
                             "one under a name of its own"}});
            }},
        action);
}

void Member::confirm(std::uint64_t number) {
  runner_.when_idle([weak = weak_from_this(), number] {
    if (const auto self = weak.lock())
      self->run(
          [&] { self->obey(self->lease_.on_confirmed(number, boot_now())); });
  });
}

void Member::register_session(std::uint64_t number) {
  ask_among_jobs(
      [session = options_.session](store::ClusterStore& store) {
        return store.register_session(session, calendar_now());
      },
      [this, number](Result<store::Registered> answer) {
        // The next one has to be of another warden.
        if (answer == store::Registered::ended)
          fence(LeaseCore::Loss::evicted);
        else if (answer)
          obey(lease_.on_registered(number, to_core(*answer), boot_now()));
      });
}

void Member::renew(const LeaseCore::Renew& action) {
  ask(
      std::max<Duration>(action.give_up_at - boot_now(), Duration{0}),
      [session = options_.session.session,
       is_draining = action.is_draining](store::ClusterStore& store) {
        return store.renew(session, is_draining, calendar_now());
      },
      [this, number = action.number](Result<store::Renewal> answer) {
        if (!answer) {
          log(LogLevel::warn, fmt::format("renewal_failed reason={}",
                                          shell_quote(answer.error().what)));
          return;
        }
        obey(lease_.on_renewed(number, to_core(answer->session), boot_now()));
        if (!is_over_ && answer->view > views_.view().number)
          read_view();
      });
}

void Member::set_right(bool is_held) {
  has_right_ = is_held;
  log(LogLevel::info, is_held ? fmt::format("session_may_start session={}",
                                            options_.session.session.value)
                              : fmt::format("session_starts_nothing phase={}",
                                            to_string(lease_.phase())));
  janitor_.on_right(is_held);
  if (!is_held)
    views_.forget_nodes();
  options_.on_right(is_held, may_go_on_);
}

void Member::fence(LeaseCore::Loss loss) {
  switch (loss) {
    case LeaseCore::Loss::lapsed:
      log(LogLevel::error,
          "session_lapsed reason='no renewal was answered in time'");
      return;
    case LeaseCore::Loss::evicted:
      log(LogLevel::error,
          "session_evicted reason='others took this node for gone'");
      is_over_ = true;
      timer_.cancel();
      options_.on_evicted();
      return;
  }
}

void Member::retire() {
  queue::call(
      store_,
      [session = options_.session.session](store::Store& store) {
        return store.end_session(session, calendar_now());
      },
      [weak = weak_from_this(),
       &io = io_](const Result<store::SessionEnd>& ended) {
        if (!ended)
          return;  // It is tried again.
        boost::asio::post(io, [weak] {
          if (const auto self = weak.lock())
            self->run([&] { self->obey(self->lease_.on_retired(boot_now())); });
        });
      });
}

// -- The janitor --------------------------------------------------------------

void Member::obey(const EvictionCore::Actions& actions) {
  for (const auto& action : actions)
    std::visit(
        Overload{[&](const EvictionCore::Read& a) { read(a); },
                 [&](const EvictionCore::Evict& a) { evict(a); },
                 [&](const EvictionCore::AskConsent& a) {
                   log(LogLevel::error,
                       fmt::format("evictions_wait sessions={} reason='many "
                                   "nodes seem to be gone at once'",
                                   a.waiting));
                 }},
        action);
}

void Member::read(const EvictionCore::Read& action) {
  ask(
      std::max<Duration>(action.give_up_at - boot_now(), Duration{0}),
      [](store::ClusterStore& store) { return store.sessions(); },
      [this, number = action.number](
          Result<std::vector<store::SessionInfo>> sessions) {
        if (sessions)
          on_sessions(number, *sessions);
        else
          janitor_.on_read_failed(number, boot_now());
      });
}

void Member::on_sessions(std::uint64_t number,
                         const std::vector<store::SessionInfo>& sessions) {
  sessions_ = sessions;
  std::vector<SessionRow> rows;
  std::map<NodeId, distributed::Member> members;
  std::map<NodeId, SessionDetail> details;
  for (const store::SessionInfo& info : sessions) {
    const auto node = distributed::parse_node_id(info.session.node);
    if (!node)
      continue;
    rows.push_back({.session = info.session.session.value,
                    .node = *node,
                    .counter = info.counter,
                    .is_draining = info.is_draining});
    SessionDetail& detail = details[*node];
    detail = parse_session_detail(info.session.detail);
    members[*node] = {.node = *node,
                      .weight = detail.weight,
                      .zone = detail.zone,
                      .state = info.is_draining
                                   ? distributed::MemberState::draining
                                   : distributed::MemberState::active};
    // One of a later version is no reason to leave the node out.
    if (!distributed::check(members[*node]))
      members[*node].zone.clear();
  }
  obey(janitor_.on_read(number, rows, boot_now()));
  std::vector<distributed::Member> nodes;
  for (const auto& [id, member] : members)
    nodes.push_back(member);
  auto peers = std::make_shared<Peers>();
  for (const auto& [id, detail] : details) {
    auto capacity = flow_control::Resources::parse(detail.resources);
    const bool is_known = capacity && !detail.resources.empty();
    (*peers)[id] = {detail.name, detail.zone,
                    std::move(capacity).value_or(flow_control::Resources{}),
                    is_known};
  }
  peers_ = std::move(peers);
  options_.on_sessions(details);
  // Who reads now and then only knows too little of the others.
  if (has_right_)
    views_.on_nodes(std::move(nodes), monotonic_now());
}

void Member::evict(const EvictionCore::Evict& action) {
  ask_among_jobs(
      [action](store::ClusterStore& store) {
        return store.evict({action.session}, action.counter, calendar_now());
      },
      [this, session = action.session](
          Result<std::optional<store::SessionEnd>> ended) {
        if (!ended) {
          janitor_.on_eviction_failed();
          return;
        }
        janitor_.on_evicted(session);
        if (*ended)
          log(LogLevel::warn,
              fmt::format("node_evicted session={} queued_again={} lost={}",
                          session, (*ended)->queued_again, (*ended)->lost));
      });
}

// -- Views --------------------------------------------------------------------

void Member::read_view() {
  if (std::exchange(is_reading_view_, true))
    return;
  ask(
      options_.terms.answer_within(),
      [](store::ClusterStore& store) { return store.view(); },
      [this](const Result<store::AgreedView>& view) {
        is_reading_view_ = false;
        if (view)
          learn(*view);
      });
}

void Member::hear_of_view(std::uint64_t number) {
  run([&] {
    if (number > views_.view().number)
      read_view();
  });
}

void Member::learn(const store::AgreedView& agreed) {
  View view;
  if (agreed.number != 0) {
    auto parsed = distributed::parse_view(agreed.what);
    if (!parsed) {
      log(LogLevel::error,
          fmt::format("view_refused number={} reason={}", agreed.number,
                      shell_quote(parsed.error().what)));
      return;
    }
    view = std::move(*parsed);
  }
  views_.on_view(view, monotonic_now());
  if (views_.ring() == nullptr || views_.ring() == ring_)
    return;
  ring_ = views_.ring();
  log(LogLevel::info,
      fmt::format("view_learnt number={} nodes={} own_shards={}", view.number,
                  view.members.size(), ring_->load(options_.self)));
  janitor_.on_ring(ring_);
  options_.on_ring(ring_);
}

void Member::propose() {
  const auto proposal = views_.on_time(monotonic_now());
  if (!proposal)
    return;
  ask(
      options_.terms.answer_within(),
      [agreed = store::AgreedView{proposal->number,
                                  distributed::to_json(*proposal)}](
          store::ClusterStore& store) { return store.propose(agreed); },
      [this](const Result<store::AgreedView>& view) {
        if (view)
          learn(*view);
      });
}

// -- Time ---------------------------------------------------------------------

void Member::plan() {
  std::optional<Duration> wait;
  const auto consider = [&wait](Duration left) {
    wait = std::min(wait.value_or(left), left);
  };
  if (const auto at = lease_.wake_at(); at && *at != BootTime::max())
    consider(*at - boot_now());
  consider(janitor_.wake_at() - boot_now());
  if (const auto at = views_.wake_at())
    consider(*at - monotonic_now());
  if (!wait) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(std::max(*wait, shortest_wait));
  timer_.async_wait([weak = weak_from_this()](const auto& cancelled) {
    const auto self = weak.lock();
    if (cancelled || !self)
      return;
    self->run([&] {
      if (self->janitor_.wake_at() <= boot_now())
        self->obey(self->janitor_.on_time(boot_now()));
      self->propose();
    });
  });
}

void Member::repeat() const {
  options_.on_right(has_right_, may_go_on_);
  if (ring_)
    options_.on_ring(ring_);
}

Json Member::owner_of(const std::string& key) const {
  const auto& ring = views_.ring();
  const std::uint32_t shard = distributed::shard_of(key, ring->parameters());
  Json json{{"key", to_utf8(key)}, {"shard", shard}, {"node", nullptr}};
  if (const auto owner = ring->owner(shard)) {
    json["node"] = to_string(*owner);
    if (const auto* const info = find_session(to_string(*owner)))
      json["name"] = to_utf8(parse_session_detail(info->session.detail).name);
  }
  return json;
}

Json Member::status() const {
  Json nodes = Json::array();
  for (const store::SessionInfo& info : sessions_) {
    const SessionDetail detail = parse_session_detail(info.session.detail);
    const auto id = distributed::parse_node_id(info.session.node);
    const auto has =
        queue::split_labels(flow_control::Resources::parse(detail.resources)
                                .value_or(flow_control::Resources{}));
    const auto standing = janitor_.standing(info.session.session.value);
    nodes.push_back(
        {{"node", info.session.node},
         {"name", to_utf8(detail.name)},
         {"session", info.session.session.value},
         {"incarnation", info.session.incarnation},
         {"state", id && options_.is_revoked(*id) ? "revoked"
                   : info.is_draining             ? "draining"
                                                  : "live"},
         {"version", to_utf8(detail.version)},
         {"listen", to_utf8(detail.listen)},
         {"is_linked", id && (*id == options_.self || options_.is_linked(*id))},
         {"slots", detail.slots},
         {"zone", to_utf8(detail.zone)},
         {"labels", has.labels},
         {"resources", to_json(has.rest)},
         {"weight", ring_ && id ? weight_of(*ring_, *id) : 0},
         {"shards", ring_ && id ? ring_->load(*id) : 0},
         {"renewals", info.counter},
         {"seen", format_wall_time(info.seen)}});
    // Of its own nobody has to guess.
    if (standing && id != options_.self) {
      nodes.back()["silent_ms"] = in_ms(standing->still_for);
      nodes.back()["waits_for_consent"] = standing->waits_for_consent;
    }
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const Json& a, const Json& b) { return a["name"] < b["name"]; });
  Json json{{"node", to_string(options_.self)},
            {"session", options_.session.session.value},
            {"phase", to_string(lease_.phase())},
            {"may_start", has_right_},
            {"view", views_.view().number},
            {"shards", ring_ ? ring_->parameters().shards : 0},
            {"is_watching", janitor_.is_watching()},
            {"lease_ms", in_ms(options_.terms.ttl)},
            {"nodes", std::move(nodes)}};
  if (const auto until = lease_.right_until())
    json["right_left_ms"] = in_ms(*until - boot_now());
  if (options_.certificate_until)
    json["certificate"] = {
        {"file", to_utf8(options_.certificate_file)},
        {"until", format_wall_time(*options_.certificate_until)}};
  return json;
}

}  // namespace troupe::node
