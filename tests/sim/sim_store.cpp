#include "sim_store.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace troupe::sim {
namespace {

using distributed::LeaseCore;
using store::SessionId;

constexpr std::uint32_t no_limit = std::numeric_limits<std::uint32_t>::max();

store::QueueId queue_of(std::uint32_t shard) {
  return {.group = "default", .resources = fmt::format("{}", shard)};
}

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
      view_{std::make_shared<const distributed::View>(first)} {}

void SimStore::commit(std::string_view what, std::uint32_t node,
                      std::uint64_t a, std::uint64_t b) {
  ++commits_;
  trace_.note(now_, what, node, a, b);
}

std::uint32_t SimStore::node_of(const std::string& session) {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? Trace::no_node : found->second.node;
}

// -- Submitting ---------------------------------------------------------------

store::JobId SimStore::open(const std::string& request,
                            const CommandSpec& spec) {
  store::NewJob job{.request_id = request,
                    .resources = queue_of(spec.shard).resources,
                    .delivery = spec.delivery};
  if (defect_ == Defect::no_submit_idempotency)
    job.request_id += fmt::format("+{}", ++last_copy_);
  const auto submitted = model_.open_job(job, clock_);
  specs_.emplace(submitted->job, spec);
  commit("opened", Trace::no_node, submitted->job.value);
  checkers_.opened(request, submitted->job);
  return submitted->job;
}

void SimStore::append(store::JobId job, std::uint64_t chunk,
                      std::uint64_t tasks) {
  std::uint64_t& next = chunks_[job];
  if (defect_ == Defect::chunk_added_twice)
    chunk = next;
  next = std::max(next, chunk + 1);
  commit("appended", Trace::no_node, job.value, chunk);
  (void)model_.append_range(job, chunk, tasks);
}

void SimStore::seal(store::JobId job) {
  commit("sealed", Trace::no_node, job.value);
  (void)model_.seal(job, clock_);
}

// -- Sessions -----------------------------------------------------------------

LeaseCore::Registered SimStore::register_session(std::uint32_t node,
                                                 const distributed::NodeId& id,
                                                 const std::string& session,
                                                 std::uint64_t incarnation) {
  const auto known = sessions_.find(session);
  if (known != sessions_.end())
    return known->second.is_live ? LeaseCore::Registered::yes
                                 : LeaseCore::Registered::evicted;
  std::uint64_t& newest = newest_[node];
  if (incarnation < newest && defect_ != Defect::register_out_of_order)
    return LeaseCore::Registered::evicted;
  newest = std::max(newest, incarnation);
  for (auto& [other, row] : sessions_)
    if (row.node == node && row.is_live)
      end(other);
  commit("registered", node, incarnation);
  checkers_.registered(node, session);
  (void)model_.open_session(SessionId{session});
  sessions_.emplace(session,
                    Session{.node = node, .id = id, .seen_at = clock_});
  return LeaseCore::Registered::yes;
}

LeaseCore::Renewed SimStore::renew(const std::string& session,
                                   bool is_draining) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || !found->second.is_live)
    return LeaseCore::Renewed::evicted;
  Session& row = found->second;
  if (defect_ != Defect::renewal_does_not_count)
    ++row.counter;
  row.seen_at = clock_;
  row.is_draining = row.is_draining || is_draining;
  commit("renewed", row.node, row.counter);
  return row.is_draining ? LeaseCore::Renewed::draining
                         : LeaseCore::Renewed::live;
}

std::vector<distributed::SessionRow> SimStore::sessions() {
  std::vector<distributed::SessionRow> rows;
  for (auto& [session, row] : sessions_) {
    if (row.is_live && defect_ == Defect::expiry_by_store_clock &&
        clock_ - row.seen_at > 62s)
      end(session);
    if (row.is_live)
      rows.push_back({session, row.id, row.counter, row.is_draining});
  }
  return rows;
}

void SimStore::evict(const std::string& session, std::uint64_t counter,
                     Duration asked_at) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || !found->second.is_live)
    return;
  if (found->second.counter != counter &&
      defect_ != Defect::eviction_without_compare)
    return;
  commit("evicted", found->second.node, counter);
  checkers_.evicted(session, asked_at);
  end(session);
}

void SimStore::retire(const std::string& session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || !found->second.is_live)
    return;
  commit("retired", found->second.node);
  end(session);
}

void SimStore::end(const std::string& session) {
  sessions_.at(session).is_live = false;
  checkers_.ended(session);
  if (defect_ == Defect::eviction_leaves_rows)
    return;
  for (const auto& [task, held] : held_) {
    if (held.session != session || !held.is_started ||
        defect_ != Defect::at_most_once_queued_again)
      continue;
    const store::AttemptRef attempt{task, held.attempt};
    (void)model_.release(SessionId{held.name}, std::span{&attempt, 1});
  }
  const auto ended = model_.end_session(SessionId{session}, clock_);
  std::erase_if(held_,
                [&](const auto& held) { return held.second.name == session; });
  trace_.note(now_, "queued again, lost", node_of(session), ended->queued_again,
              ended->lost);
}

// -- Working ------------------------------------------------------------------

std::vector<std::uint32_t> SimStore::shards_with_work() {
  (void)model_.wake(clock_, no_limit);
  std::vector<std::uint32_t> shards;
  const auto heads = model_.queues();
  for (const store::QueueHead& head : *heads)
    shards.push_back(specs_.at(head.job).shard);
  return shards;
}

std::vector<GrantedTask> SimStore::claim(const std::string& session,
                                         std::uint32_t shard,
                                         std::uint32_t limit, bool is_foreign) {
  std::string name = session;
  const auto row = sessions_.find(session);
  const bool is_live = row != sessions_.end() && row->second.is_live;
  if (!is_live && defect_ == Defect::claim_without_fence) {
    name += "+";
    (void)model_.open_session(SessionId{name});
  }
  if (!is_live && defect_ == Defect::eviction_leaves_rows)
    return {};
  (void)model_.wake(clock_, no_limit);
  auto claims = model_.claim(SessionId{name}, queue_of(shard), limit);
  if (!claims)
    return {};
  if (is_foreign && defect_ == Defect::steals_what_is_claimed)
    take_from_peers(session, queue_of(shard), limit, *claims);
  std::vector<GrantedTask> granted;
  for (const store::Claim& claim : *claims) {
    const store::TaskRef task = claim.attempt.task;
    commit("claimed", node_of(session), number_of(task), claim.attempt.attempt);
    checkers_.claimed(session, claim.attempt);
    held_.insert_or_assign(task, Held{.claim = ++last_claim_,
                                      .session = session,
                                      .name = name,
                                      .attempt = claim.attempt.attempt});
    granted.push_back(
        {.token = {claim.attempt, last_claim_}, .spec = specs_.at(task.job)});
  }
  return granted;
}

/// A defect: a peer is not asked, and does not know.
void SimStore::take_from_peers(const std::string& session,
                               const store::QueueId& queue, std::uint32_t limit,
                               std::vector<store::Claim>& claims) {
  for (auto held = held_.begin(); held != held_.end();) {
    const store::AttemptRef attempt{held->first, held->second.attempt};
    if (claims.size() >= limit || held->second.session == session ||
        held->second.is_started ||
        queue_of(specs_.at(attempt.task.job).shard) != queue) {
      ++held;
      continue;
    }
    (void)model_.release(SessionId{held->second.name}, std::span{&attempt, 1});
    held = held_.erase(held);
  }
  const auto more =
      model_.claim(SessionId{session}, queue,
                   limit - static_cast<std::uint32_t>(claims.size()));
  claims.insert(claims.end(), more->begin(), more->end());
}

SimStore::Held* SimStore::held_by(const std::string& session,
                                  const ClaimToken& token) {
  const auto found = held_.find(token.attempt.task);
  if (found == held_.end() || found->second.session != session)
    return nullptr;
  return found->second.claim == token.claim ? &found->second : nullptr;
}

bool SimStore::start(const std::string& session, const ClaimToken& token) {
  Held* const held = held_by(session, token);
  if (held == nullptr)
    return false;
  held->is_started = true;
  commit("started", node_of(session), number_of(token.attempt.task));
  return model_.start(SessionId{held->name}, std::span{&token.attempt, 1})
      ->front();
}

std::vector<store::Recorded> SimStore::complete(
    const std::string& session,
    const std::vector<TokenCompletion>& completions) {
  std::vector<store::Recorded> all;
  for (const auto& [claim, told] : completions) {
    store::Completion completion = told;
    const store::TaskRef task = completion.attempt.task;
    const auto found = held_.find(task);
    std::string name = session;
    if (held_by(session, {completion.attempt, claim}) != nullptr) {
      name = found->second.name;
    } else if (found != held_.end()) {
      if (defect_ != Defect::complete_without_token) {
        checkers_.fenced();
        all.push_back(store::Recorded::fenced);
        continue;
      }
      name = found->second.name;
      completion.attempt.attempt = found->second.attempt;
    }
    const auto recorded =
        model_.complete(SessionId{name}, std::span{&completion, 1}, clock_);
    // What was started at most once is never to be tried again.
    const auto answer = recorded ? recorded->front() : store::Recorded::fenced;
    if (answer == store::Recorded::yes) {
      held_.erase(task);
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
                       const std::vector<ClaimToken>& tokens) {
  for (const ClaimToken& token : tokens) {
    const auto found = held_.find(token.attempt.task);
    if (found == held_.end() || found->second.session != session)
      continue;
    if (defect_ == Defect::release_without_claim_number
            ? found->second.attempt != token.attempt.attempt
            : found->second.claim != token.claim)
      continue;
    commit("released", node_of(session), number_of(token.attempt.task));
    (void)model_.release(SessionId{found->second.name},
                         std::span{&token.attempt, 1});
    held_.erase(found);
  }
}

std::vector<GrantedTask> SimStore::claimed_by(const std::string& session) {
  std::vector<GrantedTask> all;
  const auto claims = model_.claimed_by(SessionId{session});
  for (const store::Claim& claim : *claims) {
    const auto held = held_.find(claim.attempt.task);
    if (held != held_.end())
      all.push_back({.token = {claim.attempt, held->second.claim},
                     .spec = specs_.at(claim.attempt.task.job),
                     .is_started = claim.is_started});
  }
  return all;
}

// -- Views --------------------------------------------------------------------

void SimStore::propose(const distributed::View& view) {
  const bool is_next = view.number == view_->number + 1;
  const bool replaces = defect_ == Defect::view_without_compare &&
                        view.number <= view_->number &&
                        view.members != view_->members;
  if (!is_next && !replaces)
    return;
  // As it is stored.
  const auto stored = distributed::parse_view(distributed::to_json(view));
  commit("view", Trace::no_node, view.number, view.members.size());
  view_ = std::make_shared<const distributed::View>(*stored);
  checkers_.view_committed(view_->number, hash_of(ring_of(*view_)));
}

}  // namespace troupe::sim
