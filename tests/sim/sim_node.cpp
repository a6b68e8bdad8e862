#include "sim_node.hpp"

#include <troupe/base/overload.hpp>

#include <algorithm>
#include <variant>

namespace troupe::sim {
namespace {

using distributed::BootTime;
using distributed::ClaimedTask;
using distributed::EvictionCore;
using distributed::LeaseCore;
using distributed::LeasePhase;
using distributed::LeaseTerms;
using distributed::ShardClaimsCore;
using distributed::View;
using distributed::ViewCore;

constexpr Duration answer_within = 6s;
constexpr Duration tick_every = 5s;

LeaseTerms janitor_terms(const SimHost& host, Defect defect) {
  LeaseTerms terms;
  if (defect == Defect::evicts_after_half_the_time && host.index() == 0)
    terms.ttl /= 2;
  return terms;
}

}  // namespace

SimNode::SimNode(SimHost& host, std::uint64_t life)
    : host_{host},
      world_{host.world()},
      life_{life},
      lease_{LeaseTerms{}, world_.random().next()},
      janitor_{{.terms = janitor_terms(host, world_.defect()),
                .self = host.id(),
                .seed = world_.random().next()}},
      views_{{.self = host.id()}},
      claims_{{.slots = host.slots(),
               .look_every = 3s,
               .seed = world_.random().next()}} {}

void SimNode::begin(bool adopts) {
  if (adopts) {
    for (const GrantedTask& task :
         host_.warden().commands_of(host_.session())) {
      const std::uint64_t number = number_of(task.attempt.task);
      held_.emplace(number, Held{task, Stage::running});
      known_claims_.insert(task.attempt);
      ++busy_;
      obey(claims_.on_started(number, monotonic()));
    }
    for (const auto& [attempt, result] : host_.spool())
      known_claims_.insert(attempt);
    gives_back_unknown_ = true;
  } else {
    host_.warden().kill(LeaseCore::Kill::all, clock() + 5s);
  }
  obey(lease_.on_start(adopts, clock()));
  tick();
}

void SimNode::run(const Call& call) {
  obey(lease_.on_time(clock()));
  call();
  // Whoever takes a session over that drains hears of it by a renewal.
  if (lease_.is_draining() && !std::exchange(gives_all_back_, true))
    obey(claims_.on_drain(monotonic()));
  start_tasks();
  plan();
}

template <class Do, class Then>
void SimNode::ask(Do what, Then then, Call failed, const Lateness& late) {
  // Of two answers the second one is ignored, and so is one that was given up.
  auto open = std::make_shared<bool>(true);
  SimHost& host = host_;
  const std::uint64_t life = life_;
  world_.ask_store(
      host.index(),
      [&host, life, open, what, then]() -> Call {
        auto answer = what(host.world().store());
        return [&host, life, open, then, answer = std::move(answer)] {
          host.on_agent(life, [open, then, answer] {
            if (std::exchange(*open, false))
              then(answer);
          });
        };
      },
      late);
  if (!failed)
    return;
  world_.after(answer_within, [&host, life, open, failed = std::move(failed)] {
    host.on_agent(life, [open, failed] {
      if (std::exchange(*open, false))
        failed();
    });
  });
}

// -- The lease ----------------------------------------------------------------

void SimNode::obey(const LeaseCore::Actions& actions) {
  SimWarden& warden = host_.warden();
  for (const auto& action : actions)
    std::visit(
        Overload{[&](const LeaseCore::Confirm& a) { confirm(a.number); },
                 [&](const LeaseCore::Register& a) { obey_registration(a); },
                 [&](const LeaseCore::Renew& a) { obey_renewal(a); },
                 [&](const LeaseCore::Guard& a) {
                   if (has(Defect::no_self_fencing))
                     warden.guard(host_.session(), BootTime::max(),
                                  BootTime::max());
                   else
                     warden.guard(host_.session(), a.kill_at, a.gone_by);
                 },
                 [&](const LeaseCore::MayStart&) {
                   world_.note("may start", host_.index());
                   janitor_.on_right(true);
                   obey(claims_.on_right(true, monotonic()));
                 },
                 [&](const LeaseCore::StopStarting&) {
                   world_.note("stops starting", host_.index());
                   janitor_.on_right(false);
                   obey(claims_.on_right(false, monotonic()));
                 },
                 [&](const LeaseCore::KillBy& a) {
                   if (a.which == LeaseCore::Kill::all ||
                       !has(Defect::no_self_fencing))
                     warden.kill(a.which, a.gone_by);
                 },
                 [&](const LeaseCore::SelfFence& a) { fence(a.loss); },
                 [&](const LeaseCore::Retire&) {
                   ask(
                       [session = host_.session()](SimStore& store) {
                         store.retire(session);
                         return true;
                       },
                       [this](bool) { obey(lease_.on_retired(clock())); });
                 },
                 [&](const LeaseCore::Quit&) {
                   world_.note("quits", host_.index());
                   host_.on_agent_quit(life_);
                 }},
        action);
}

void SimNode::confirm(std::uint64_t number) {
  const auto tell = [&host = host_, life = life_, this, number] {
    host.on_agent(life, [this, number] {
      forget_commands();
      obey(lease_.on_confirmed(number, clock()));
    });
  };
  // Not within the call that has asked for it.
  if (has(Defect::registers_before_confirmed))
    world_.after(1ms, tell);
  else
    host_.warden().when_empty(
        [this_world = &world_, tell] { this_world->after(1ms, tell); });
}

void SimNode::obey_registration(const LeaseCore::Register& action) {
  if (action.is_new)
    host_.begin_session();
  ask(
      [node = host_.index(), id = host_.id(), session = host_.session(),
       incarnation = host_.incarnation()](SimStore& store) {
        return store.register_session(node, id, session, incarnation);
      },
      [this, number = action.number](LeaseCore::Registered answer) {
        obey(lease_.on_registered(number, answer, clock()));
      },
      {}, world_.reach(Moment::registers, host_.index()));
}

void SimNode::obey_renewal(const LeaseCore::Renew& action) {
  last_renewal_ = action.number;
  ask(
      [session = host_.session(),
       is_draining = action.is_draining](SimStore& store) {
        const auto answer = store.renew(session, is_draining);
        return std::pair{answer, store.view()};
      },
      [this, number = action.number, session = host_.session()](
          const std::pair<LeaseCore::Renewed, std::shared_ptr<const View>>&
              answer) {
        const bool is_late = has(Defect::renewal_counted_from_answer) &&
                             session == host_.session();
        obey(lease_.on_renewed(is_late ? last_renewal_ : number, answer.first,
                               clock()));
        learn(*answer.second);
      },
      {}, world_.reach(Moment::renews, host_.index()));
}

void SimNode::fence(LeaseCore::Loss loss) {
  if (loss == LeaseCore::Loss::lapsed)
    return;  // What waits here is still its own, unless it is told otherwise.
  world_.note("learns of its eviction", host_.index());
  claims_.on_evicted();
  waiting_.clear();
  returns_.clear();
  for (auto held = held_.begin(); held != held_.end();) {
    if (held->second.stage == Stage::running) {
      ++held;
      continue;
    }
    if (held->second.stage == Stage::starting) {
      --busy_;
      obey(claims_.on_ended(monotonic()));
    }
    held = held_.erase(held);
  }
}

/// The warden has said that none is alive; that each has ended may come later,
/// when the same task is here once more.
void SimNode::forget_commands() {
  waiting_.clear();
  for (const auto& [task, held] : std::exchange(held_, {})) {
    if (held.stage == Stage::waiting)
      continue;
    --busy_;
    obey(claims_.on_ended(monotonic()));
  }
}

void SimNode::on_drain(BootTime kill_at) {
  if (lease_.is_draining())
    return;
  world_.note("drains", host_.index());
  obey(lease_.on_drain(kill_at, clock()));
}

void SimNode::leave_if_idle() {
  if (lease_.is_draining() && host_.warden().is_empty() && held_.empty() &&
      returns_.empty() && host_.spool().empty())
    obey(lease_.on_idle(clock()));
}

// -- The janitor --------------------------------------------------------------

void SimNode::obey(const EvictionCore::Actions& actions) {
  for (const auto& action : actions)
    std::visit(
        Overload{[&](const EvictionCore::Read& a) { read_sessions(a.number); },
                 [&](const EvictionCore::Evict& a) { evict(a); },
                 [&](const EvictionCore::AskConsent&) {
                   // An operator, who takes a while.
                   if (world_.one_in(2))
                     janitor_.on_consent(clock() + 5min);
                 }},
        action);
}

void SimNode::read_sessions(std::uint64_t number) {
  ask(
      [](SimStore& store) {
        auto rows = store.sessions();
        return Listed{std::move(rows), store.view()};
      },
      [this, number](const Listed& answer) { on_sessions(number, answer); });
  if (has(Defect::failed_read_does_not_reset))
    world_.after(5s, [&host = host_, life = life_, this, number] {
      host.on_agent(life, [this, number] {
        if (last_listed_.view)
          obey(janitor_.on_read(number, last_listed_.rows, clock()));
      });
    });
}

void SimNode::on_sessions(std::uint64_t number, const Listed& answer) {
  last_listed_ = answer;
  obey(janitor_.on_read(number, answer.rows, clock()));
  std::map<distributed::NodeId, distributed::Member> members;
  for (const auto& row : answer.rows)
    members[row.node] = {.node = row.node,
                         .state = row.is_draining
                                      ? distributed::MemberState::draining
                                      : distributed::MemberState::active};
  std::vector<distributed::Member> nodes;
  for (const auto& [id, member] : members)
    nodes.push_back(member);
  learn(*answer.view);
  views_.on_nodes(std::move(nodes), monotonic());
}

void SimNode::evict(const EvictionCore::Evict& action) {
  world_.note("asks to evict", host_.index(), action.counter);
  Lateness late;
  for (const auto& host : world_.hosts())
    if (host->session() == action.session)
      late = world_.reach(Moment::is_evicted, host->index());
  ask(
      [action, asked_at = world_.now()](SimStore& store) {
        store.evict(action.session, action.counter, asked_at);
        return true;
      },
      [this, session = action.session](bool) { janitor_.on_evicted(session); },
      [this] { janitor_.on_eviction_failed(); }, late);
}

// -- Views --------------------------------------------------------------------

void SimNode::learn(const View& view) {
  const auto before = views_.ring();
  View seen = view;
  if (has(Defect::ring_by_own_seed))
    seen.ring.seed += host_.index();
  views_.on_view(seen, monotonic());
  if (views_.ring() == before)
    return;
  world_.checkers().ring_used(host_.index(), view.number,
                              hash_of(*views_.ring()));
  janitor_.on_ring(views_.ring());
  own_shards_ = views_.ring()->shards_of(host_.id());
  obey(claims_.on_shards(own_shards_, monotonic()));
}

void SimNode::propose() {
  auto proposal = views_.on_time(monotonic());
  if (!proposal)
    return;
  ask(
      [view = *std::move(proposal)](SimStore& store) {
        store.propose(view);
        return store.view();
      },
      [this](const std::shared_ptr<const View>& view) { learn(*view); });
}

// -- Claims -------------------------------------------------------------------

void SimNode::obey(const ShardClaimsCore::Actions& actions) {
  const auto find = [this](const distributed::NodeId& id) -> SimHost& {
    const auto& hosts = world_.hosts();
    return **std::find_if(hosts.begin(), hosts.end(),
                          [&](const auto& host) { return host->id() == id; });
  };
  for (const auto& action : actions)
    std::visit(
        Overload{[&](const ShardClaimsCore::Look& a) { look(a); },
                 [&](const ShardClaimsCore::Claim& a) { claim(a); },
                 [&](const ShardClaimsCore::Release& a) {
                   for (const ClaimedTask& task : a.tasks)
                     drop(task.task, !has(Defect::forgets_to_give_back));
                 },
                 [&](const ShardClaimsCore::AskPeer& a) {
                   world_.send([&peer = find(a.peer), self = host_.id()] {
                     peer.deliver(
                         [self](SimNode& agent) { agent.on_peer_asks(self); });
                   });
                 },
                 [&](const ShardClaimsCore::Offer& a) {
                   world_.send([&peer = find(a.peer), self = host_.id(), a] {
                     peer.deliver([self, a](SimNode& agent) {
                       agent.on_offer(self, a.shards);
                     });
                   });
                 }},
        action);
}

void SimNode::look(const ShardClaimsCore::Look& action) {
  std::optional<std::vector<std::uint32_t>> asked;
  if (!action.is_foreign)
    asked = own_shards_;
  ask([asked](SimStore& store) { return store.shards_with_work(asked); },
      [this, action](const std::vector<std::uint32_t>& all) {
        std::vector<std::uint32_t> shards;
        for (const std::uint32_t shard : all)
          if (std::binary_search(own_shards_.begin(), own_shards_.end(),
                                 shard) != action.is_foreign)
            shards.push_back(shard);
        obey(claims_.on_looked(action.number, shards, monotonic()));
      },
      [this, number = action.number] {
        obey(claims_.on_failed(number, monotonic()));
      });
}

void SimNode::claim(const ShardClaimsCore::Claim& action) {
  const bool is_foreign =
      !std::binary_search(own_shards_.begin(), own_shards_.end(), action.shard);
  ask(
      [session = host_.session(), action, is_foreign](SimStore& store) {
        return store.claim(session, action.shard, action.limit, is_foreign);
      },
      [this, session = host_.session(),
       number = action.number](const std::vector<GrantedTask>& tasks) {
        if (session == host_.session() &&
            lease_.phase() != LeasePhase::confirming)
          obey(claims_.on_claimed(number, accept(tasks), monotonic()));
        else
          obey(claims_.on_failed(number, monotonic()));
      },
      [this, number = action.number] {
        obey(claims_.on_failed(number, monotonic()));
      });
}

/// Those that are new here.
std::vector<ClaimedTask> SimNode::accept(
    const std::vector<GrantedTask>& tasks) {
  std::vector<ClaimedTask> accepted;
  for (const GrantedTask& task : tasks) {
    const std::uint64_t number = number_of(task.attempt.task);
    // What was given back may be claimed anew before this agent hears that it
    // has ended. A list tells of that claim once more.
    if (held_.contains(number)) {
      if (has(Defect::knows_what_it_did_not_take))
        known_claims_.insert(task.attempt);
      continue;
    }
    const bool is_known = !known_claims_.insert(task.attempt).second;
    if (is_known && !has(Defect::adopts_what_was_given_back))
      continue;
    held_.emplace(number, Held{task});
    waiting_.push_back(number);
    accepted.push_back({.task = number,
                        .attempt = task.attempt.attempt,
                        .shard = task.spec.shard});
  }
  return accepted;
}

void SimNode::list_claims() {
  ask([session = host_.session()](
          SimStore& store) { return store.claimed_by(session); },
      [this, session = host_.session()](const std::vector<GrantedTask>& tasks) {
        if (session == host_.session() &&
            lease_.phase() != LeasePhase::confirming)
          on_listed(tasks);
      });
}

void SimNode::on_listed(const std::vector<GrantedTask>& tasks) {
  if (has(Defect::found_claims_forgotten))
    return;
  if (std::exchange(gives_back_unknown_, false)) {
    for (const GrantedTask& task : tasks)
      if (known_claims_.insert(task.attempt).second)
        give_back(task);
    return;
  }
  obey(claims_.on_found(accept(tasks), monotonic()));
}

void SimNode::on_hint(std::uint32_t shard) {
  obey(claims_.on_hint(shard, monotonic()));
}

void SimNode::on_load(const distributed::PeerLoad& load) {
  loads_[load.node] = load;
  std::vector<distributed::PeerLoad> all;
  for (const auto& [id, peer] : loads_)
    all.push_back(peer);
  claims_.on_loads(std::move(all));
}

void SimNode::on_peer_asks(const distributed::NodeId& peer) {
  obey(claims_.on_peer_asks(peer, monotonic()));
}

void SimNode::on_offer(const distributed::NodeId& peer,
                       const std::vector<std::uint32_t>& shards) {
  obey(claims_.on_offer(peer, shards, monotonic()));
}

// -- Commands -----------------------------------------------------------------

void SimNode::start_tasks() {
  while (has_right() && busy_ < host_.slots() && !waiting_.empty()) {
    const std::uint64_t task = waiting_.front();
    waiting_.pop_front();
    Held& next = held_.at(task);
    const std::uint64_t claim = next.task.attempt.claim;
    next.stage = Stage::starting;
    ++busy_;
    const bool is_at_most_once =
        next.task.spec.delivery == store::Delivery::at_most_once;
    obey(claims_.on_started(task, monotonic()));
    if (is_at_most_once)
      record_start(task, claim);
    if (!is_at_most_once || has(Defect::starts_before_recorded))
      start_command(task, claim);
  }
}

SimNode::Held* SimNode::held(std::uint64_t task, std::uint64_t claim) {
  const auto found = held_.find(task);
  const bool is_it =
      found != held_.end() && found->second.task.attempt.claim == claim;
  return is_it ? &found->second : nullptr;
}

void SimNode::record_start(std::uint64_t task, std::uint64_t claim) {
  const Held* const asked = held(task, claim);
  if (asked == nullptr || asked->stage != Stage::starting)
    return;
  ask([session = host_.session(), attempt = asked->task.attempt](
          SimStore& store) { return store.start(session, attempt); },
      [this, task, claim](bool may_start) {
        const Held* const told = held(task, claim);
        if (told == nullptr || told->stage != Stage::starting)
          return;
        if (may_start)
          start_command(task, claim);
        else
          drop(task, /*gives_back=*/false);
      },
      [this, task, claim] { record_start(task, claim); });
}

void SimNode::start_command(std::uint64_t task, std::uint64_t claim) {
  const Held* const next = held(task, claim);
  if (next == nullptr || next->stage != Stage::starting)
    return;
  if (!has_right()) {
    drop(task, /*gives_back=*/true);
    return;
  }
  // Between that look and the warden an agent can stand still.
  const Duration pause = world_.is_faulty() && world_.one_in(8)
                             ? world_.up_to(5s)
                             : world_.up_to(2ms);
  const Duration late = world_.reach(Moment::starts, host_.index()).request;
  world_.after(std::max(pause, late),
               [&host = host_, life = life_, this, session = host_.session(),
                next = next->task] {
                 host.on_warden(life, [&host, life, this, session, next] {
                   const bool has_started = host.warden().start(session, next);
                   host.on_agent(life, [this, next, has_started] {
                     on_start_told(next, has_started);
                   });
                 });
               });
}

void SimNode::on_start_told(const GrantedTask& task, bool has_started) {
  const std::uint64_t number = number_of(task.attempt.task);
  Held* const told = held(number, task.attempt.claim);
  if (told == nullptr || told->stage != Stage::starting)
    return;
  if (has_started)
    told->stage = Stage::running;
  else
    drop(number, /*gives_back=*/true);
}

void SimNode::drop(std::uint64_t task, bool gives_back) {
  const auto found = held_.find(task);
  if (found == held_.end())
    return;
  const Held dropped = found->second;
  held_.erase(found);
  if (gives_back)
    give_back(dropped.task);
  std::erase(waiting_, task);
  if (dropped.stage == Stage::starting) {
    --busy_;
    obey(claims_.on_ended(monotonic()));
  }
}

void SimNode::give_back(const GrantedTask& task) {
  returns_.emplace(task.attempt, SpooledResult{.session = host_.session(),
                                               .task = task,
                                               .is_given_back = true});
  tell_results();
}

void SimNode::on_command_ended(const GrantedTask& task) {
  const std::uint64_t number = number_of(task.attempt.task);
  if (held(number, task.attempt.claim) != nullptr) {
    held_.erase(number);
    --busy_;
    obey(claims_.on_ended(monotonic()));
  }
  tell_results();
  leave_if_idle();
}

void SimNode::tell_results() {
  std::map<std::string, std::vector<store::Completion>> completions;
  std::map<std::string, std::vector<store::AttemptRef>> returns;
  for (auto* const all : {&host_.spool(), &returns_})
    for (auto& [attempt, result] : *all) {
      if (world_.now() < result.next_try)
        continue;
      result.next_try = world_.now() + tick_every;
      if (result.is_given_back)
        returns[result.session].push_back(attempt);
      else
        completions[result.session].push_back(result.completion);
    }
  for (const auto& [session, told] : completions) {
    if (has(Defect::results_not_repeated))
      for (const store::Completion& completion : told)
        host_.spool().erase(completion.attempt);
    ask([session = session, told = told](
            SimStore& store) { return store.complete(session, told); },
        [this, told = told](const std::vector<store::Recorded>&) {
          for (const store::Completion& completion : told)
            host_.spool().erase(completion.attempt);
          leave_if_idle();
        });
  }
  for (const auto& [session, attempts] : returns)
    ask(
        [session = session, attempts = attempts](SimStore& store) {
          store.release(session, attempts);
          return true;
        },
        [this, attempts = attempts](bool) {
          for (const store::AttemptRef& attempt : attempts) {
            host_.spool().erase(attempt);
            returns_.erase(attempt);
          }
          leave_if_idle();
        });
}

// -- Time ---------------------------------------------------------------------

void SimNode::tick() {
  ++ticks_;
  tell_results();
  if (ticks_ % 2 == 1)
    tell_loads();
  leave_if_idle();
  if (ticks_ % 2 == 0 && lease_.phase() != LeasePhase::confirming &&
      lease_.phase() != LeasePhase::registering)
    list_claims();
  world_.after(tick_every, [&host = host_, life = life_, this] {
    host.on_agent(life, [this] { tick(); });
  });
}

void SimNode::tell_loads() {
  const distributed::PeerLoad load{.node = host_.id(),
                                   .slots = host_.slots(),
                                   .waiting = claims_.waiting(),
                                   .has_backlog = claims_.has_backlog()};
  for (const auto& host : world_.hosts())
    if (host.get() != &host_)
      world_.send([&peer = *host, load] {
        peer.deliver([load](SimNode& agent) { agent.on_load(load); });
      });
}

void SimNode::plan() {
  const auto boot = [](std::optional<TimePoint> time) {
    return time ? std::optional{BootTime{time->time_since_epoch()}}
                : std::nullopt;
  };
  wake_at(0, lease_.wake_at(), [] {});  // run() tells it the time.
  wake_at(1, janitor_.wake_at(), [this] { obey(janitor_.on_time(clock())); });
  wake_at(2, boot(views_.wake_at()), [this] { propose(); });
  wake_at(3, boot(claims_.wake_at()),
          [this] { obey(claims_.on_time(monotonic())); });
}

void SimNode::wake_at(std::size_t core, std::optional<BootTime> time,
                      Call call) {
  if (!time || *time == BootTime::max()) {
    planned_.at(core).reset();
    return;
  }
  // What is due already comes soon, and not at once again and again.
  const Duration at = std::max(host_.when(*time), world_.now() + 1ms);
  if (planned_.at(core) && *planned_.at(core) <= at)
    return;
  planned_.at(core) = at;
  world_.at(at, [&host = host_, life = life_, this, core, at,
                 call = std::move(call)] {
    host.on_agent(life, [this, core, at, call] {
      if (planned_.at(core) != at)
        return;
      planned_.at(core).reset();
      call();
    });
  });
}

}  // namespace troupe::sim
