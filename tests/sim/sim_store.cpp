#include "sim_store.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <span>
#include <utility>

namespace troupe::sim {
namespace {

using distributed::LeaseCore;
using store::SessionId;

constexpr std::uint32_t no_limit = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t node_id_size = 36;

}  // namespace

std::uint64_t hash_of(const distributed::Ring& ring) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (std::uint32_t shard = 0; shard < ring.parameters().shards; ++shard) {
    const auto owner = ring.owner(shard);
    for (const std::uint8_t byte : owner.value_or(distributed::NodeId{}).bytes)
      hash = (hash ^ byte) * 0x100000001b3ULL;
  }
  return hash;
}

SimStore::SimStore(Defect defect, Checkers& checkers, Trace& trace,
                   const distributed::View& first)
    : defect_{defect},
      checkers_{checkers},
      trace_{trace},
      model_{defect, checkers},
      view_{std::make_shared<const distributed::View>(first)} {}

void SimStore::commit(std::string_view what, std::uint32_t node,
                      std::uint64_t a, std::uint64_t b) {
  ++commits_;
  trace_.note(now_, what, node, a, b);
}

std::uint32_t SimStore::node_of(const std::string& session) {
  const auto found = nodes_.find(session);
  return found == nodes_.end() ? Trace::no_node : found->second;
}

// -- The disk -----------------------------------------------------------------

void SimStore::stop_syncing() {
  if (synced_)
    return;
  synced_.emplace(rows());
  checkers_.keep();
}

void SimStore::sync() { synced_.reset(); }

bool SimStore::lose_power() {
  if (!synced_)
    return false;
  rows() = *std::exchange(synced_, std::nullopt);
  checkers_.take_back();
  commit("lost power", Trace::no_node);
  return true;
}

bool SimStore::may_answer() const {
  return !synced_ || !waits_for_sync_ ||
         defect_ == Defect::answers_before_synced;
}

// -- Submitting ---------------------------------------------------------------

store::JobId SimStore::open(const std::string& request,
                            const CommandSpec& spec) {
  act();
  store::NewJob job{.request_id = request,
                    .group = spec.group,
                    .resources = spec.resources,
                    .delivery = spec.delivery,
                    .shards = spec.shards};
  if (defect_ == Defect::no_submit_idempotency)
    job.request_id += fmt::format("+{}", ++last_copy_);
  const auto submitted = model_.open_job(job, clock());
  specs_.emplace(submitted->job, spec);
  commit("opened", Trace::no_node, submitted->job.value);
  checkers_.opened(request, submitted->job);
  return submitted->job;
}

void SimStore::append(store::JobId job, std::uint64_t chunk,
                      std::uint64_t tasks) {
  act();
  std::uint64_t& next = chunks_[job];
  if (defect_ == Defect::chunk_added_twice)
    chunk = next;
  next = std::max(next, chunk + 1);
  commit("appended", Trace::no_node, job.value, chunk);
  (void)model_.append_range(job, chunk, tasks);
}

void SimStore::seal(store::JobId job) {
  act();
  commit("sealed", Trace::no_node, job.value);
  (void)model_.seal(job, clock());
}

// -- Sessions -----------------------------------------------------------------

SimStore::Seen SimStore::live() {
  Seen all = *model_.sessions();
  std::erase_if(all, [this](const store::SessionInfo& info) {
    return gone_.contains(info.session.session.value);
  });
  return all;
}

std::optional<store::SessionInfo> SimStore::live(const std::string& session) {
  for (const store::SessionInfo& info : live())
    if (info.session.session.value == session)
      return info;
  return std::nullopt;
}

LeaseCore::Registered SimStore::register_session(std::uint32_t node,
                                                 const distributed::NodeId& id,
                                                 const std::string& session,
                                                 std::uint64_t incarnation) {
  act();
  if (gone_.contains(session))
    return LeaseCore::Registered::evicted;
  std::string name = to_string(id);
  if (defect_ == Defect::register_out_of_order ||
      defect_ == Defect::eviction_leaves_rows) {
    end_by_hand(id, session);
    name += fmt::format("#{}", incarnation);  // A node of its own.
  }
  const Seen before = live();
  for (const store::SessionInfo& info : before)
    if (info.session.node == name && info.session.incarnation < incarnation)
      before_end(info.session.session.value);
  const auto registered = model_.register_session(
      {.session = {session}, .node = name, .incarnation = incarnation},
      clock());
  if (*registered != store::Registered::yes)
    return LeaseCore::Registered::evicted;
  for (const store::SessionInfo& info : before)
    if (!live(info.session.session.value))
      ended(info.session.session.value);
  if (nodes_.emplace(session, node).second) {
    commit("registered", node, incarnation);
    checkers_.registered(node, session);
  }
  return LeaseCore::Registered::yes;
}

LeaseCore::Renewed SimStore::renew(const std::string& session,
                                   bool is_draining) {
  if (!act_alone())
    return LeaseCore::Renewed::evicted;  // Which nobody hears.
  const auto seen = live(session);
  if (!seen)
    return LeaseCore::Renewed::evicted;
  auto renewed =
      seen->is_draining ? store::Renewed::draining : store::Renewed::live;
  if (is_draining || defect_ != Defect::renewal_does_not_count)
    renewed = model_.renew(SessionId{session}, is_draining, clock())->session;
  commit("renewed", node_of(session), seen->counter);
  return renewed == store::Renewed::draining ? LeaseCore::Renewed::draining
                                             : LeaseCore::Renewed::live;
}

std::vector<distributed::SessionRow> SimStore::sessions() {
  std::vector<distributed::SessionRow> rows;
  for (const store::SessionInfo& info : live()) {
    const std::string& session = info.session.session.value;
    if (defect_ == Defect::expiry_by_store_clock && clock() - info.seen > 62s) {
      end(session);
      continue;
    }
    const auto node =
        distributed::parse_node_id(info.session.node.substr(0, node_id_size));
    rows.push_back({session, *node, info.counter, info.is_draining});
  }
  return rows;
}

void SimStore::evict(const std::string& session, std::uint64_t counter,
                     Duration asked_at) {
  act();
  const auto seen = live(session);
  if (seen && defect_ == Defect::eviction_without_compare)
    counter = seen->counter;
  const bool is_due = seen && seen->counter == counter;
  if (is_due)
    before_end(session);
  if (!is_due || defect_ != Defect::eviction_leaves_rows) {
    const auto end = model_.evict(SessionId{session}, counter, clock());
    if (!*end)
      return;
    trace_.note(now_, "queued again, lost", node_of(session),
                (*end)->queued_again, (*end)->lost);
  }
  commit("evicted", node_of(session), counter);
  checkers_.evicted(session, asked_at);
  if (defect_ == Defect::eviction_leaves_rows)
    gone_.insert(session);
  ended(session);
}

void SimStore::retire(const std::string& session) {
  act();
  if (!live(session))
    return;
  commit("retired", node_of(session));
  end(session);
}

void SimStore::end(const std::string& session) {
  before_end(session);
  if (defect_ == Defect::eviction_leaves_rows)
    gone_.insert(session);
  else
    (void)model_.end_session(SessionId{session}, clock());
  ended(session);
}

void SimStore::ended(const std::string& session) {
  trace_.note(now_, "ended", node_of(session));
  checkers_.ended(session);
}

void SimStore::before_end(const std::string& session) {
  if (defect_ != Defect::at_most_once_queued_again)
    return;
  const auto held = model_.claimed_by(SessionId{session});
  for (const store::Claim& claim : *held)
    if (claim.is_started)
      (void)model_.release(SessionId{session}, std::span{&claim.attempt, 1});
}

/// A defect: whatever the store would say of the order of sessions.
void SimStore::end_by_hand(const distributed::NodeId& id,
                           const std::string& session) {
  if (nodes_.contains(session))
    return;
  const std::string name = to_string(id);
  for (const store::SessionInfo& info : live())
    if (info.session.node.starts_with(name))
      end(info.session.session.value);
}

// -- Working ------------------------------------------------------------------

StoreLook SimStore::look(const queue::ShardLookCore::Where& where) {
  constexpr std::uint32_t most = queue::ShardLookCore::most_abroad;
  (void)model_.wake(clock(), no_limit);
  StoreLook look{.groups = *model_.groups(),
                 .heads = *model_.queues_of(where.shards),
                 .abroad = {},
                 .next_wake = *model_.next_wake()};
  if (!where.abroad)
    return look;
  look.abroad = *model_.queues_from(*where.abroad, most);
  if (*where.abroad == 0 || look.abroad.size() >= most)
    return look;
  const auto before = model_.queues_from(
      0, most - static_cast<std::uint32_t>(look.abroad.size()));
  for (const store::QueueHead& head : *before)
    if (head.queue.shard < *where.abroad)
      look.abroad.push_back(head);
  return look;
}

/// A defect: one that has ended claims under another name.
SessionId SimStore::in_model(const std::string& session) {
  if (defect_ != Defect::claim_without_fence || live(session))
    return {session};
  const SessionId other{session + "+"};
  (void)model_.open_session(other);
  return other;
}

std::optional<std::vector<GrantedTask>> SimStore::claim(
    const std::string& session, const std::vector<ClaimRequest>& requests,
    const std::vector<std::uint32_t>& own) {
  act();
  if (gone_.contains(session))
    return std::nullopt;
  std::vector<GrantedTask> all;
  for (const ClaimRequest& request : requests) {
    std::uint32_t left = request.count;
    for (const store::QueueId& queue : request.queues) {
      const bool is_foreign =
          !std::binary_search(own.begin(), own.end(), queue.shard);
      if (is_foreign && defect_ == Defect::steals_what_is_claimed)
        take_from_peers(session, queue);
      const auto claims = claim_from(session, queue, left, request.is_shared);
      if (!claims)
        return std::nullopt;
      for (const store::Claim& claim : *claims) {
        commit("claimed", node_of(session), number_of(claim.attempt.task),
               claim.attempt.attempt);
        checkers_.claimed(session, claim.attempt);
        all.push_back(granted(claim));
      }
      left -= static_cast<std::uint32_t>(claims->size());
      if (!claims->empty())
        check_slots(queue.group);
      if (left == 0)
        break;
    }
  }
  return all;
}

Result<std::vector<store::Claim>> SimStore::claim_from(
    const std::string& session, const store::QueueId& queue,
    std::uint32_t limit, bool is_shared) {
  const SessionId name = in_model(session);
  return is_shared ? model_.claim_within_slots(name, queue, limit)
                   : model_.claim(name, queue, limit);
}

void SimStore::check_slots(const std::string& group) {
  if (group == "default")
    return;
  std::uint64_t claimed = 0;
  const auto claims = model_.claims_in(group);
  for (const auto& [holder, count] : *claims)
    claimed += count;
  const auto groups = model_.groups();
  for (const store::GroupInfo& info : *groups)
    if (info.group.name == group)
      checkers_.claimed_of(group, claimed, info.group.slots);
}

GrantedTask SimStore::granted(const store::Claim& claim) {
  return {.attempt = claim.attempt,
          .spec = spec_of(claim.attempt.task.job),
          .is_started = claim.is_started,
          .losses = claim.losses};
}

/// Jobs of runs are submitted by drivers, and say themselves where they run.
CommandSpec SimStore::spec_of(store::JobId job) {
  if (const auto known = specs_.find(job); known != specs_.end())
    return known->second;
  const auto info = model_.job(job);
  return {.shards = info->job.shards,
          .group = info->job.group,
          .resources = info->job.resources,
          .delivery = info->job.delivery};
}

/// A defect: a peer is not asked, and does not know.
void SimStore::take_from_peers(const std::string& session,
                               const store::QueueId& queue) {
  if (!live(session))
    return;
  for (const store::SessionInfo& info : live()) {
    const SessionId& peer = info.session.session;
    if (peer.value == session)
      continue;
    const auto held = model_.claimed_by(peer);
    for (const store::Claim& claim : *held) {
      const CommandSpec spec = spec_of(claim.attempt.task.job);
      const bool waited_there =
          std::find(spec.shards.begin(), spec.shards.end(), queue.shard) !=
          spec.shards.end();
      if (!claim.is_started && waited_there && spec.group == queue.group &&
          spec.resources == queue.resources)
        (void)model_.release(peer, std::span{&claim.attempt, 1});
    }
  }
}

std::optional<store::Claim> SimStore::claim_of(const SessionId& session,
                                               const store::TaskRef& task) {
  const auto held = model_.claimed_by(session);
  for (const store::Claim& claim : *held)
    if (claim.attempt.task == task)
      return claim;
  return std::nullopt;
}

std::optional<std::vector<bool>> SimStore::start(
    const std::string& session,
    const std::vector<store::AttemptRef>& attempts) {
  act();
  const auto started = model_.start(in_model(session), attempts);
  if (!started)
    return std::nullopt;
  for (std::size_t i = 0; i < attempts.size(); ++i)
    if ((*started)[i])
      commit("started", node_of(session), number_of(attempts[i].task));
  return *started;
}

/// A defect: whoever tells how it ended is believed.
SessionId SimStore::pretend_to_hold(const std::string& session,
                                    store::Completion& completion) {
  const auto open = model_.open_sessions();
  for (const SessionId& other : *open)
    if (const auto claim = claim_of(other, completion.attempt.task)) {
      completion.attempt = claim->attempt;
      return other;
    }
  return {session};
}

std::vector<store::Recorded> SimStore::complete(
    const std::string& session,
    const std::vector<store::Completion>& completions) {
  act();
  std::vector<store::Recorded> all;
  for (store::Completion completion : completions) {
    SessionId name = in_model(session);
    if (defect_ == Defect::complete_without_token)
      name = pretend_to_hold(session, completion);
    const auto recorded =
        model_.complete(name, std::span{&completion, 1}, clock());
    // What was started at most once is never to be tried again.
    const auto answer = recorded ? recorded->front() : store::Recorded::fenced;
    const store::TaskRef task = completion.attempt.task;
    if (answer == store::Recorded::yes) {
      commit("completed", node_of(session), number_of(task),
             completion.attempt.attempt);
      checkers_.recorded(session, completion, completion.retry_at.has_value());
    } else if (answer == store::Recorded::fenced) {
      checkers_.fenced();
      if (defect_ == Defect::late_result_replaces_lost)
        (void)model_.retry(task.job, store::Retry::failed);
    }
    all.push_back(answer);
  }
  return all;
}

void SimStore::release(const std::string& session,
                       const std::vector<store::AttemptRef>& attempts) {
  act();
  const SessionId name = in_model(session);
  for (store::AttemptRef attempt : attempts) {
    const auto held = claim_of(name, attempt.task);
    if (!held)
      continue;
    if (defect_ == Defect::release_without_claim_number &&
        held->attempt.attempt == attempt.attempt)
      attempt = held->attempt;
    if (held->attempt == attempt)
      commit("released", node_of(session), number_of(attempt.task));
    (void)model_.release(name, std::span{&attempt, 1});
  }
}

std::vector<GrantedTask> SimStore::claimed_by(const std::string& session) {
  // It is no change, and told for certain.
  if (defect_ != Defect::claims_listed_before_synced)
    act();
  std::vector<GrantedTask> all;
  const auto claims = model_.claimed_by(in_model(session));
  for (const store::Claim& claim : *claims)
    all.push_back(granted(claim));
  return all;
}

// -- Runs ---------------------------------------------------------------------

Result<store::Submitted> SimModel::open_job(const store::NewJob& job,
                                            WallTime now) {
  if (!job.run)
    return ModelStore::open_job(job, now);
  store::NewJob opened = job;
  if (defect_ == Defect::step_has_two_jobs)
    opened.request_id += fmt::format("+{}", ++last_copy_);
  auto submitted = ModelStore::open_job(opened, now);
  if (submitted)
    checkers_->step_submitted(job.run, job.request_id, submitted->job);
  return submitted;
}

Result<bool> SimModel::add_event(store::RunId run, const store::RunEvent& event,
                                 store::RunState state,
                                 const store::RunCounts& counts) {
  auto added = ModelStore::add_event(run, event, state, counts);
  if (added && *added)
    checkers_->event_recorded(run, event, state, *this);
  else if (added && defect_ == Defect::events_without_compare)
    return true;
  return added;
}

Result<void> SimModel::edit(store::JobId job, const store::JobEdit& edit,
                            WallTime now) {
  if (defect_ == Defect::moved_run_leaves_jobs)
    return {};
  return ModelStore::edit(job, edit, now);
}

Result<std::vector<store::TaskResult>> SimModel::results(store::JobId job,
                                                         std::uint64_t from,
                                                         std::uint32_t limit) {
  auto all = ModelStore::results(job, from, limit);
  if (all && defect_ == Defect::end_told_as_success)
    for (store::TaskResult& result : *all)
      result.outcome = store::Outcome::success;
  return all;
}

Result<std::vector<store::RunInfo>> SimModel::runs(
    const store::RunFilter& filter, std::uint32_t limit) {
  auto all = ModelStore::runs(filter, limit);
  if (defect_ == Defect::news_not_seen)
    for (store::RunInfo& info : *all)
      info.events = std::min<std::uint64_t>(info.events, 1);
  return all;
}

Result<std::vector<store::RunEvent>> SimModel::events(store::RunId run,
                                                      std::uint64_t from,
                                                      std::uint32_t limit) {
  // So few are asked for by who only wants to know whether a run has begun.
  constexpr std::uint32_t few = 100;
  if (defect_ == Defect::places_not_seen && limit < few)
    return std::vector<store::RunEvent>{};
  return ModelStore::events(run, from, limit);
}

void SimStore::transact(std::uint32_t node,
                        const std::function<void(store::Store&)>& work) {
  act();
  const std::uint64_t before = checkers_.counts().events;
  work(model_);
  if (const std::uint64_t after = checkers_.counts().events; after != before) {
    commit("recorded events", node, after);
    checkers_.runs_changed(model_);
  }
}

// -- Views --------------------------------------------------------------------

void SimStore::propose(const distributed::View& view) {
  if (!act_alone())
    return;
  const std::string json = distributed::to_json(view);
  const auto newest = model_.propose({view.number, json});
  const bool is_taken = newest->number > view_->number;
  const bool replaces = defect_ == Defect::view_without_compare &&
                        view.number <= view_->number &&
                        view.members != view_->members;
  if (!is_taken && !replaces)
    return;
  // As it is stored.
  const auto stored = distributed::parse_view(replaces ? json : newest->what);
  commit("view", Trace::no_node, view.number, view.members.size());
  view_ = std::make_shared<const distributed::View>(*stored);
  checkers_.view_committed(view_->number, hash_of(ring_of(*view_)));
}

}  // namespace troupe::sim
