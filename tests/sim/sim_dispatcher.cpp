#include "sim_dispatcher.hpp"

#include <troupe/queue/attempt_end.hpp>
#include <troupe/queue/labels.hpp>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace troupe::sim {
namespace {

using queue::DispatchCore;
using store::AttemptRef;
using store::Completion;
using store::Outcome;
using store::QueueId;
using store::Recorded;

constexpr Duration store_pace = 20ms;
constexpr Duration list_every = 30s;
/// Three times what a real one waits: it costs as much as all the rest.
constexpr Duration look_every = 3s;
/// Likewise.
constexpr Duration sample_interval = 3s;
constexpr int most_failures_at_end = 3;
/// The memory of a host is not simulated.
constexpr std::size_t room = 1024;

bool is_of_all_nodes(const std::string& group) { return group != "default"; }

QueueId queue_of(const GrantedTask& claim) {
  return {claim.spec.group, claim.spec.resources};
}

DispatchCore::End end_of(Outcome outcome) {
  return outcome == Outcome::success ? DispatchCore::End::success
                                     : DispatchCore::End::failure;
}

}  // namespace

SimDispatcher::SimDispatcher(SimHost& host, std::uint64_t life, OnLook on_look,
                             OnChange on_change)
    : SimActor{host, life},
      session_{host.session()},
      on_look_{std::move(on_look)},
      on_change_{std::move(on_change)},
      core_{{.capacity = host.believed_capacity()}},
      shards_{look_every, world_.random().next()} {}

bool SimDispatcher::is_too_soon(TimePoint last) {
  const Duration left = last + store_pace - now();
  if (left <= Duration{0})
    return false;
  if (!std::exchange(is_paced_, true))
    after(left, [this] {
      is_paced_ = false;
      record();
      claim();
      look();
    });
  return true;
}

void SimDispatcher::on_trouble() {
  if (!std::exchange(has_store_trouble_, true)) {
    after(store_pause, [this] { try_store_again(); });
    if (is_ending_)
      ++failures_at_end_;
  }
  check_end();
}

void SimDispatcher::try_store_again() {
  if (misses_claims_) {
    reclaim();
    return;
  }
  has_store_trouble_ = false;
  list_when_quiet();
  record();
  give_back();
  begin_at_most_once();
  look();
}

// -- Taking over --------------------------------------------------------------

void SimDispatcher::begin() { inherit(); }

void SimDispatcher::inherit() {
  ask([session = session_](
          SimStore& store) { return std::optional{store.claimed_by(session)}; },
      [this](const std::optional<Claims>& claims) {
        if (claims)
          take_over(*claims);
        else  // It dies of that, and the next one begins.
          after(store_pause, [this] { inherit(); });
      });
}

void SimDispatcher::take_over(const Claims& claims) {
  std::set<AttemptRef> listed;
  for (const GrantedTask& claim : claims) {
    listed.insert(claim.attempt);
    adopt(claim);
  }
  // It was recorded, and whoever did that had no time to say so.
  std::erase_if(host_.spool(), [&](const auto& entry) {
    return !listed.contains(entry.first);
  });
  is_ready_ = true;
  if (is_ending_) {
    end_what_is_here();
    return;
  }
  list_later();
  sample();
  begin_at_most_once();
  record();
  give_back();
  look();
}

void SimDispatcher::adopt(const GrantedTask& claim) {
  const AttemptRef& attempt = claim.attempt;
  const bool runs = host_.knows(session_, attempt);
  if (!runs && claim.is_started) {
    unrecorded_.push_back({.attempt = attempt, .outcome = Outcome::lost});
    return;
  }
  if (!runs) {
    returned_.push_back(attempt);
    return;
  }
  Task& task = tasks_[attempt];
  task = {.claim = claim, .slot = core_.adopted(queue_of(claim), now())};
  if (claim.spec.delivery == store::Delivery::at_most_once && !claim.is_started)
    to_begin_.push_back(attempt);
  else
    launch(task);
}

// -- What it may have claimed -------------------------------------------------

void SimDispatcher::list_later() {
  after(list_every, [this] {
    is_list_due_ =
        is_listing_ || (!is_ending_ && !has(Defect::lost_claims_listed_once));
    list_when_quiet();
    list_later();
  });
}

void SimDispatcher::list_when_quiet() {
  if (!is_list_due_ || is_looking_ || has_store_trouble_ || is_ending_)
    return;
  reclaim();
}

void SimDispatcher::reclaim() {
  const bool is_busy = is_recording_ || is_giving_back_ || is_beginning_;
  if (is_busy && !has(Defect::lists_claims_beside_releases)) {
    if (has_store_trouble_)
      after(store_pause, [this] { try_store_again(); });
    return;
  }
  is_looking_ = true;
  is_list_due_ = true;
  is_listing_ = true;
  ask([session = session_](
          SimStore& store) { return std::optional{store.claimed_by(session)}; },
      [this](const std::optional<Claims>& claims) { on_reclaimed(claims); });
}

void SimDispatcher::on_reclaimed(const std::optional<Claims>& claims) {
  is_looking_ = false;
  has_store_trouble_ = false;
  is_list_due_ = false;
  is_listing_ = false;
  if (!claims) {
    misses_claims_ = true;
    on_trouble();
    return;
  }
  misses_claims_ = false;
  Claims missed;
  for (const GrantedTask& claim : *claims)
    if (!is_ours(claim.attempt) && !has(Defect::found_claims_forgotten))
      missed.push_back(claim);
  if (!missed.empty())
    world_.note("finds claims", host_.index(), missed.size());
  take(missed);
  try_store_again();
  start_or_sample();
  give_back_shared();
  check_end();
}

bool SimDispatcher::is_ours(const AttemptRef& attempt) const {
  const auto is_it = [&attempt](const auto& known) {
    return known.attempt == attempt;
  };
  if (tasks_.contains(attempt) ||
      std::any_of(unrecorded_.begin(), unrecorded_.end(), is_it))
    return true;
  for (const auto& [queue, claims] : ready_)
    if (std::any_of(claims.begin(), claims.end(), is_it))
      return true;
  return !has(Defect::adopts_what_was_given_back) &&
         std::find(returned_.begin(), returned_.end(), attempt) !=
             returned_.end();
}

// -- Finding work -------------------------------------------------------------

void SimDispatcher::work_arrived(const std::vector<std::uint32_t>& shards) {
  shards_.tell(shards);
  look();
}

void SimDispatcher::may_work(bool may, bool may_go_on) {
  may_work_ = may;
  may_go_on_ = may_go_on;
  if (is_leaving())
    give_back_what_would_begin();
  start_all();
  look();
}

void SimDispatcher::own_shards(queue::ShardLookCore::Shards own,
                               std::uint32_t all) {
  own_ = *own;
  shards_.set_own(std::move(own), all);
  look();
}

void SimDispatcher::look() {
  if (!is_ready_ || is_ending_ || has_store_trouble_ || is_list_due_ ||
      !may_start_some())
    return;
  if (is_looking_) {
    look_again_ = true;
    return;
  }
  if (core_.waiting_here() > 0 && is_too_soon(looked_at_))
    return;
  looked_at_ = now();
  is_looking_ = true;
  look_again_ = false;
  ask([where = shards_.where(core_.waiting_here() == 0, looked_at_)](
          SimStore& store) { return std::optional{store.look(where)}; },
      [this](const std::optional<StoreLook>& look) { on_looked(look); });
}

void SimDispatcher::on_looked(const std::optional<StoreLook>& look) {
  if (!look) {
    is_looking_ = false;
    on_trouble();
    return;
  }
  std::vector<store::Group> groups;
  for (const store::GroupInfo& info : look->groups) {
    groups.push_back(info.group);
    if (!is_of_all_nodes(info.group.name))
      groups.back().slots = host_.slots();
  }
  core_.set_groups(groups, now());
  for (const store::GroupInfo& info : look->groups)
    if (is_of_all_nodes(info.group.name))
      core_.share(info.group.name, info.counts.running);
  next_wake_ = look->next_wake;
  if (!is_ending_ && may_start_some())
    orders_ = core_.claims_for(
        shards_.offer(takeable(look->heads), takeable(look->abroad)), room,
        now());
  tell_of_look(look->heads);
  if (orders_.empty())
    end_look();
  else if (core_.waiting_here() == 0 || !is_too_soon(recorded_at_))
    claim();
}

void SimDispatcher::tell_of_look(const std::vector<store::QueueHead>& near) {
  std::set<std::uint32_t> waiting;
  for (const store::QueueHead& head : near)
    if (!core_.is_full(head.queue.group))
      waiting.insert(head.queue.shard);
  const bool is_hungry = may_work_ && waiting.empty() && orders_.empty() &&
                         core_.waiting_here() == 0;
  if (!orders_.empty())
    waiting.clear();
  on_look_(is_hungry, {waiting.begin(), waiting.end()});
}

void SimDispatcher::claim() {
  if (orders_.empty())
    return;
  std::vector<ClaimRequest> requests;
  for (const DispatchCore::ClaimOrder& order : std::exchange(orders_, {})) {
    const bool is_shared =
        core_.is_shared(order.queue.group) && !has(Defect::claims_beyond_slots);
    requests.push_back(
        {shards_.queues_of(order.queue), order.count, is_shared});
  }
  ask([session = session_, requests = std::move(requests), own = own_](
          SimStore& store) { return store.claim(session, requests, own); },
      [this](const std::optional<Claims>& claims) { on_claimed(claims); });
}

void SimDispatcher::on_claimed(const std::optional<Claims>& claims) {
  if (!claims) {
    is_looking_ = false;
    misses_claims_ = true;
    on_trouble();
    return;
  }
  take(*claims);
  start_or_sample();
  give_back_shared();
  end_look();
}

void SimDispatcher::take(const Claims& claims) {
  for (const GrantedTask& claim : claims) {
    if (is_ending_ || !may_take(queue_of(claim)) ||
        !core_.can_run(queue_of(claim))) {
      returned_.push_back(claim.attempt);
      continue;
    }
    core_.claimed(queue_of(claim), 1);
    ready_[queue_of(claim)].push_back(claim);
  }
}

void SimDispatcher::end_look() {
  is_looking_ = false;
  list_when_quiet();
  if (look_again_)
    look();
  else
    set_wake();
  check_end();
}

void SimDispatcher::set_wake() {
  std::optional<Duration> delay;
  const auto consider = [&](Duration wait) {
    wait = std::clamp<Duration>(wait, 1ms, 1h);
    delay = std::min(delay.value_or(wait), wait);
  };
  if (next_wake_)
    consider(std::chrono::duration_cast<Duration>(*next_wake_ -
                                                  world_.store().clock()));
  if (const auto change = core_.next_change(now()))
    consider(*change - now());
  consider(shards_.next_look() - now());
  after(*delay, [this, token = ++wake_token_] {
    if (token == wake_token_)
      look();
  });
}

// -- Starting -----------------------------------------------------------------

/// What was kept for others may be free by now.
void SimDispatcher::sample() {
  is_sampling_ = core_.running() > 0 || core_.waiting_here() > 0;
  if (is_sampling_)
    after(sample_interval, [this] { sample(); });
  start_all();
}

void SimDispatcher::start_or_sample() {
  if (is_sampling_)
    start_all();
  else
    sample();
}

void SimDispatcher::start_all() {
  if (is_ending_ || has_store_trouble_ || !may_start_some())
    return;
  while (const auto start = core_.start_next(room, now())) {
    auto& waiting = ready_[start->queue];
    const GrantedTask claim = waiting.front();
    waiting.pop_front();
    begin_task(claim, *start);
  }
  begin_at_most_once();
  record();
}

void SimDispatcher::begin_task(const GrantedTask& claim,
                               const DispatchCore::Start& slot) {
  const AttemptRef attempt = claim.attempt;
  Task& task = tasks_[attempt];
  task = {.claim = claim, .slot = slot};
  if (claim.losses >= queue::most_losses) {
    finish(task, {.attempt = attempt, .outcome = Outcome::lost},
           DispatchCore::End::neutral);
    return;
  }
  const bool is_at_most_once =
      claim.spec.delivery == store::Delivery::at_most_once;
  if (is_at_most_once)
    to_begin_.push_back(attempt);
  if (!is_at_most_once || has(Defect::starts_before_recorded))
    launch(task);
}

void SimDispatcher::begin_at_most_once() {
  if (is_beginning_ || to_begin_.empty() || has_store_trouble_ ||
      is_list_due_ || is_ending_)
    return;
  is_beginning_ = true;
  ask([session = session_, attempts = to_begin_](
          SimStore& store) { return store.start(session, attempts); },
      [this, attempts =
                 to_begin_](const std::optional<std::vector<bool>>& may_start) {
        on_begun(attempts, may_start);
      });
}

void SimDispatcher::on_begun(
    const std::vector<AttemptRef>& attempts,
    const std::optional<std::vector<bool>>& may_start) {
  is_beginning_ = false;
  if (!may_start) {
    if (is_ending_)
      give_back_unbegun();
    on_trouble();
    return;
  }
  to_begin_.erase(
      to_begin_.begin(),
      to_begin_.begin() + static_cast<std::ptrdiff_t>(attempts.size()));
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const auto found = tasks_.find(attempts[i]);
    if (found == tasks_.end())
      continue;
    Task& task = found->second;
    if (!(*may_start)[i]) {
      host_.forget(attempts[i]);
      leave(task);
    } else if (is_ending_) {
      give_back_task(task);
    } else if (!task.is_launched) {
      launch(task);
    }
  }
  if (is_ending_)
    give_back_unbegun();
  list_when_quiet();
  begin_at_most_once();
  record();
  give_back();
  check_end();
}

void SimDispatcher::launch(Task& task) {
  task.is_launched = true;
  // What it knows it tells of at once.
  if (host_.knows(session_, task.claim.attempt)) {
    after(Duration{0}, [this, attempt = task.claim.attempt] {
      on_start_told(attempt, /*has_started=*/true);
    });
    return;
  }
  // Between its decision and the warden an agent can stand still.
  const Duration pause = world_.is_faulty() && world_.one_in(8)
                             ? world_.up_to(5s)
                             : world_.up_to(2ms);
  const Duration late = world_.reach(Moment::starts, host_.index()).request;
  world_.after(std::max(pause, late), [&host = host_, life = life_, this,
                                       weak = weak_from_this(),
                                       session = session_, claim = task.claim] {
    host.on_warden(life, [&host, life, this, weak, session, claim] {
      const bool has_started = host.start(session, claim);
      host.on_dispatcher(life,
                         [this, weak, attempt = claim.attempt, has_started] {
                           if (const auto self = weak.lock())
                             on_start_told(attempt, has_started);
                         });
    });
  });
}

void SimDispatcher::on_start_told(const AttemptRef& attempt, bool has_started) {
  const auto found = tasks_.find(attempt);
  if (found == tasks_.end())
    return;
  if (!has_started)
    interrupt(found->second);
  else if (host_.spool().contains(attempt))
    on_ended(attempt);
}

// -- Ends ---------------------------------------------------------------------

void SimDispatcher::on_ended(const AttemptRef& attempt) {
  const auto found = tasks_.find(attempt);
  const auto told = host_.spool().find(attempt);
  if (found == tasks_.end() || !found->second.is_launched ||
      told == host_.spool().end())
    return;
  Task& task = found->second;
  const SpooledResult result = told->second;
  if (result.is_given_back) {
    interrupt(task);
    return;
  }
  const std::string group = task.slot.queue.group;
  finish(task, result.completion, end_of(result.completion.outcome));
  if (core_.breaker(group) == flow_control::BreakerState::open)
    give_back_group(group);
  start_all();
  record();
  look();
}

void SimDispatcher::interrupt(Task& task) {
  if (!has(Defect::warden_not_told_to_forget))
    host_.forget(task.claim.attempt);
  give_back_task(task);
  give_back();
}

void SimDispatcher::give_back_task(Task& task) {
  returned_.push_back(task.claim.attempt);
  leave(task);
}

void SimDispatcher::give_back_unbegun() {
  for (const AttemptRef& attempt : std::exchange(to_begin_, {}))
    if (const auto found = tasks_.find(attempt); found != tasks_.end())
      give_back_task(found->second);
}

void SimDispatcher::finish(Task& task, Completion completion,
                           DispatchCore::End how) {
  unrecorded_.push_back(std::move(completion));
  leave(task, how);
}

void SimDispatcher::leave(Task& task, DispatchCore::End how) {
  core_.ended(task.slot, how, now());
  tasks_.erase(AttemptRef{task.claim.attempt});
}

// -- Recording ----------------------------------------------------------------

void SimDispatcher::record() {
  if (is_recording_ || unrecorded_.empty() || has_store_trouble_ ||
      is_list_due_)
    return;
  if (!is_ending_ && !tasks_.empty() && is_too_soon(recorded_at_))
    return;
  recorded_at_ = now();
  is_recording_ = true;
  const std::vector<Completion> batch{unrecorded_.begin(), unrecorded_.end()};
  unrecorded_.clear();
  ask(
      [session = session_, batch](SimStore& store) {
        return std::optional{store.complete(session, batch)};
      },
      [this, batch](const std::optional<std::vector<Recorded>>& recorded) {
        on_recorded(batch, recorded);
      });
  claim();
}

void SimDispatcher::on_recorded(
    const std::vector<Completion>& completions,
    const std::optional<std::vector<Recorded>>& recorded) {
  is_recording_ = false;
  if (!recorded && !has(Defect::results_not_repeated)) {
    unrecorded_.insert(unrecorded_.begin(), completions.begin(),
                       completions.end());
    on_trouble();
    return;
  }
  for (const Completion& completion : completions) {
    host_.forget(completion.attempt);
    on_change_(completion.attempt.task.job);
  }
  list_when_quiet();
  record();
  look();
  check_end();
}

void SimDispatcher::give_back_group(const std::string& group) {
  for (auto& [queue, claims] : ready_)
    if (queue.group == group)
      give_back_all(queue, claims);
  give_back();
}

void SimDispatcher::give_back_shared() {
  for (auto& [queue, claims] : ready_)
    if (core_.is_shared(queue.group))
      give_back_all(queue, claims);
  give_back();
}

void SimDispatcher::give_back_what_would_begin() {
  for (auto& [queue, claims] : ready_)
    if (!may_take(queue))
      give_back_all(queue, claims);
  give_back();
}

bool SimDispatcher::may_take(const QueueId& queue) const {
  return !is_leaving() || queue::goes_on_at(queue.resources, host_.home());
}

std::vector<store::QueueHead> SimDispatcher::takeable(
    std::vector<store::QueueHead> heads) const {
  std::erase_if(heads, [this](const store::QueueHead& head) {
    return !may_take(head.queue);
  });
  return heads;
}

void SimDispatcher::give_back_all(const QueueId& queue,
                                  std::deque<GrantedTask>& all) {
  for (const GrantedTask& claim : all)
    returned_.push_back(claim.attempt);
  core_.given_back(queue, static_cast<std::uint32_t>(all.size()));
  all.clear();
}

void SimDispatcher::give_back() {
  if (is_giving_back_ || returned_.empty() || has_store_trouble_ ||
      is_list_due_ || has(Defect::forgets_to_give_back))
    return;
  is_giving_back_ = true;
  ask(
      [session = session_, attempts = returned_](SimStore& store) {
        store.release(session, attempts);
        return std::optional{true};
      },
      [this, count = returned_.size()](const std::optional<bool>& done) {
        is_giving_back_ = false;
        if (!done) {
          on_trouble();
          return;
        }
        returned_.erase(returned_.begin(),
                        returned_.begin() + static_cast<std::ptrdiff_t>(count));
        list_when_quiet();
        give_back();
        look();
        check_end();
      });
}

// -- The end ------------------------------------------------------------------

void SimDispatcher::end_work(std::function<void(std::size_t left)> done) {
  is_ending_ = true;
  is_list_due_ = is_listing_;
  on_end_ = std::move(done);
  if (is_ready_ || has(Defect::ends_before_it_knows))
    end_what_is_here();
}

void SimDispatcher::end_what_is_here() {
  for (auto& [queue, claims] : ready_)
    give_back_all(queue, claims);
  if (!is_beginning_)
    give_back_unbegun();
  give_back();
  record();
  check_end();
}

void SimDispatcher::check_end() {
  const bool knows = is_ready_ || has(Defect::ends_before_it_knows);
  const bool is_quiet = knows && is_ending_ && on_end_ && !is_looking_ &&
                        !is_recording_ && !is_giving_back_ && !is_beginning_ &&
                        tasks_.empty();
  const std::size_t unwritten = unrecorded_.size() + returned_.size();
  if (is_quiet && (unwritten == 0 || failures_at_end_ >= most_failures_at_end))
    std::exchange(on_end_, nullptr)(tasks_.size() + unwritten);
}

}  // namespace troupe::sim
