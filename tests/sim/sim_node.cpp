#include "sim_node.hpp"

#include <troupe/base/overload.hpp>

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

namespace troupe::sim {
namespace {

using distributed::BootTime;
using distributed::EvictionCore;
using distributed::LeaseCore;
using distributed::LeasePhase;
using distributed::LeaseTerms;
using distributed::View;
using distributed::ViewCore;

constexpr Duration answer_within = 6s;
/// Between looks at whether what has begun here has ended.
constexpr Duration drain_pause = 1s;

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
      steal_{host.slots()} {}

void SimNode::begin(bool adopts) {
  if (adopts)
    begin_dispatcher();
  else
    host_.warden().kill(LeaseCore::Kill::all, clock() + 5s);
  obey(lease_.on_start(adopts, clock()));
}

void SimNode::run(const Call& call) {
  obey(lease_.on_time(clock()));
  call();
  const bool may_go_on = lease_.phase() == LeasePhase::draining;
  if (std::exchange(may_go_on_, may_go_on) != may_go_on)
    set_right(has_right_);
  // Whoever takes a session over that drains hears of it by a renewal.
  if (lease_.is_draining() && dispatcher_ && !is_fenced_ &&
      !std::exchange(is_leaving_, true))
    await_begun();
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
                 [&](const LeaseCore::MayStart&) { set_right(true); },
                 [&](const LeaseCore::StopStarting&) { set_right(false); },
                 [&](const LeaseCore::KillBy& a) {
                   if (a.which == LeaseCore::Kill::all && lease_.is_draining())
                     end_drain();
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
      confirming_ = number;
      confirm_if_over();
    });
  };
  // Not within the call that has asked for it.
  if (has(Defect::registers_before_confirmed))
    world_.after(1ms, tell);
  else
    host_.warden().when_empty(
        [this_world = &world_, tell] { this_world->after(1ms, tell); });
}

/// The next session has another dispatcher, which begins when this one has
/// said what it had to say.
void SimNode::confirm_if_over() {
  const bool is_over = !dispatcher_ || is_dispatcher_over_ ||
                       has(Defect::registers_before_confirmed);
  if (!is_over || !confirming_)
    return;
  dispatcher_.reset();
  driver_.reset();
  obey(lease_.on_confirmed(*std::exchange(confirming_, std::nullopt), clock()));
}

void SimNode::obey_registration(const LeaseCore::Register& action) {
  if (action.is_new) {
    host_.begin_session();
    begin_dispatcher();
  }
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
    return;  // What it has is still its own, unless it is told otherwise.
  world_.note("learns of its eviction", host_.index());
  is_fenced_ = true;
  if (dispatcher_)
    dispatcher_->end_work([this](std::size_t) {
      is_dispatcher_over_ = true;
      // Not within a call of the dispatcher.
      world_.after(1ms, [&host = host_, life = life_, this] {
        host.on_agent(life, [this] { confirm_if_over(); });
      });
    });
}

void SimNode::on_drain(BootTime kill_at) {
  if (lease_.is_draining())
    return;
  world_.note("drains", host_.index());
  obey(lease_.on_drain(kill_at, clock()));
}

/// What of runs has begun here ends here.
void SimNode::await_begun() {
  if (is_drained_ || is_fenced_ || !driver_)
    return;
  driver_->driver().look_for_begun(
      {[&host = host_, life = life_, this](const Result<std::size_t>& jobs) {
        const bool is_over = jobs && *jobs == 0;
        world_.after(is_over ? 1ms : drain_pause, [&host, life, this, is_over] {
          host.on_agent(life, [this, is_over] {
            if (is_over)
              end_drain();
            else
              await_begun();
          });
        });
      }});
}

void SimNode::end_drain() {
  if (dispatcher_ && !is_fenced_ && !std::exchange(is_drained_, true))
    dispatcher_->end_work([this](std::size_t left) { leave(left); });
}

/// What could not be recorded is left to whoever takes the session over.
void SimNode::leave(std::size_t left) {
  world_.after(1ms, [&host = host_, life = life_, this, left] {
    host.on_agent(life, [this, left] {
      if (left == 0)
        obey(lease_.on_idle(clock()));
      else
        host_.on_agent_quit(life_);
    });
  });
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
  if (!has_right_)
    return;
  views_.on_nodes(std::move(nodes), monotonic());
  see_homes(answer.rows);
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
  steal_.on_view(view.number);
  gossip();
  tell_own_shards();
}

void SimNode::read_view() {
  ask([](SimStore& store) { return store.view(); },
      [this](const std::shared_ptr<const View>& view) { learn(*view); });
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

// -- The dispatcher -----------------------------------------------------------

void SimNode::begin_dispatcher() {
  dispatcher_ = std::make_shared<SimDispatcher>(
      host_, life_,
      [this](bool is_hungry, std::vector<std::uint32_t> spare) {
        steal_.on_look({is_hungry, std::move(spare)});
        gossip();
      },
      [this](store::JobId job) {
        if (driver_)
          driver_->on_change(job);
      });
  driver_ = std::make_shared<SimDriver>(
      host_, life_,
      SimDriver::Told{.on_work = [this] { on_hint({}); },
                      .tell_owners =
                          [this](const std::vector<std::uint32_t>& shards) {
                            on_submitted(shards, /*has_key=*/true);
                          }});
  driver_->driver().begin();
  is_dispatcher_over_ = false;
  is_fenced_ = false;
  dispatcher_->begin();
  dispatcher_->may_work(has_right_, may_go_on_);
  tell_own_shards();
}

void SimNode::set_right(bool is_held) {
  world_.note(is_held      ? "may start"
              : may_go_on_ ? "ends what has begun"
                           : "stops starting",
              host_.index());
  has_right_ = is_held;
  janitor_.on_right(is_held);
  if (!is_held)
    views_.forget_nodes();
  if (dispatcher_)
    dispatcher_->may_work(is_held, may_go_on_);
}

void SimNode::tell_own_shards() {
  const auto& ring = views_.ring();
  if (!dispatcher_ || ring == nullptr)
    return;
  auto own = ring->shards_of(host_.id());
  // What only one node may run waits there, whoever owns that.
  if (own.empty() || own.front() != 0)
    own.insert(own.begin(), 0);
  dispatcher_->own_shards(
      std::make_shared<const std::vector<std::uint32_t>>(std::move(own)),
      ring->parameters().shards);
}

void SimNode::on_command_ended(const store::AttemptRef& attempt) {
  if (dispatcher_)
    dispatcher_->on_ended(attempt);
}

/// Who has come to it may start that, unless it has a key; its owners hear of
/// it.
void SimNode::on_submitted(const std::vector<std::uint32_t>& shards,
                           bool has_key) {
  on_hint(has_key ? std::vector<std::uint32_t>{} : shards);
  if (views_.ring() == nullptr)
    return;
  for (const std::uint32_t shard : shards)
    if (const auto owner = views_.ring()->owner(shard);
        owner && *owner != host_.id())
      send(*owner, [shard](SimNode& peer) { peer.on_hint({shard}); });
}

void SimNode::on_hint(const std::vector<std::uint32_t>& shards) {
  if (dispatcher_)
    dispatcher_->work_arrived(shards);
}

// -- Runs ---------------------------------------------------------------------

void SimNode::submit_run(const node::SubmitRun& run) {
  if (driver_)
    driver_->driver().submit(run);
}

void SimNode::change_run(const node::ChangeRun& asked) {
  if (driver_)
    driver_->driver().change(asked);
}

void SimNode::see_homes(const std::vector<distributed::SessionRow>& rows) {
  if (!driver_ || has(Defect::homeless_not_seen))
    return;
  node::HomesSeen seen{.falls_to_us = [ring = views_.ring(),
                                       self = host_.id()](store::RunId run) {
    return node::owner_of_run(ring.get(), run) == self;
  }};
  for (const auto& host : world_.hosts())
    for (const auto& row : rows)
      if (row.node == host->id())
        seen.live.insert(host->home());
  driver_->driver().see_homes(seen);
}

// -- Links --------------------------------------------------------------------

void SimNode::send(const distributed::NodeId& peer,
                   std::function<void(SimNode&)> message) {
  for (const auto& host : world_.hosts())
    if (host->id() == peer)
      world_.send([&host = *host, message = std::move(message)] {
        host.deliver(message);
      });
}

void SimNode::gossip() {
  if (const auto load = steal_.tell(monotonic()))
    for (const auto& host : world_.hosts())
      if (host.get() != &host_)
        send(host->id(), [self = host_.id(), load = *load](SimNode& peer) {
          peer.on_load(self, load);
        });
  for (const distributed::NodeId& peer : steal_.ask(monotonic()))
    send(peer, [self = host_.id()](SimNode& asked) { asked.on_asked(self); });
}

void SimNode::on_load(const distributed::NodeId& peer, const link::Load& load) {
  steal_.on_load(peer, load, monotonic());
  if (load.view > views_.view().number)
    read_view();
  gossip();
}

void SimNode::on_asked(const distributed::NodeId& peer) {
  const link::StealOffer offer = steal_.offer();
  if (!offer.shards.empty())
    send(peer,
         [shards = offer.shards](SimNode& asker) { asker.on_hint(shards); });
}

// -- Time ---------------------------------------------------------------------

void SimNode::plan() {
  const auto boot = [](std::optional<TimePoint> time) {
    return time ? std::optional{BootTime{time->time_since_epoch()}}
                : std::nullopt;
  };
  wake_at(0, lease_.wake_at(), [] {});  // run() tells it the time.
  wake_at(1, janitor_.wake_at(), [this] { obey(janitor_.on_time(clock())); });
  wake_at(2, boot(views_.wake_at()), [this] { propose(); });
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
