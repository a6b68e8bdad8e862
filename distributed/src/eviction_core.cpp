#include <troupe/base/assert.hpp>
#include <troupe/distributed/eviction_core.hpp>

#include <algorithm>
#include <limits>
#include <set>

namespace troupe::distributed {
namespace {

constexpr Duration limit_period = 1min;
constexpr std::size_t limit_part = 10;  ///< Nodes / limit_part per period.

}  // namespace

EvictionCore::EvictionCore(const Config& config)
    : config_{config}, random_{config_.seed} {
  TROUPE_ASSERT(check(config_.terms).has_value());
  TROUPE_ASSERT(config_.watchers >= 1);
}

void EvictionCore::on_right(bool is_held) {
  if (is_held_ && !is_held)
    break_series();
  if (!is_held_ && is_held)
    next_read_ = BootTime{};
  is_held_ = is_held;
}

EvictionCore::Actions EvictionCore::on_read(std::uint64_t number,
                                            const std::vector<SessionRow>& rows,
                                            BootTime now) {
  if (!is_reading_ || number != last_number_)
    return {};
  is_reading_ = false;
  if (last_answer_ && now - *last_answer_ > config_.terms.ttl / 6)
    break_series();
  last_answer_ = now;
  note(rows, now);
  if (!is_held_)
    break_series();
  choose_watchers(now);
  plan_read(now);
  return is_held_ && is_watching_ ? evict_ripe(now) : Actions{};
}

void EvictionCore::on_read_failed(std::uint64_t number, BootTime now) {
  if (!is_reading_ || number != last_number_)
    return;
  is_reading_ = false;
  break_series();
  plan_read(now);
}

void EvictionCore::on_evicted(const std::string& session) {
  sessions_.erase(session);
}

EvictionCore::Actions EvictionCore::on_time(BootTime now) {
  if (is_reading_ && now >= give_up_at_)
    on_read_failed(last_number_, now);
  if (is_reading_ || now < next_read_)
    return {};
  is_reading_ = true;
  give_up_at_ = now + config_.terms.answer_within();
  return {Read{++last_number_, give_up_at_}};
}

std::optional<EvictionCore::Standing> EvictionCore::standing(
    const std::string& session) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end())
    return std::nullopt;
  return Standing{seen_at_ - found->second.still_since,
                  found->second.waits_for_consent};
}

void EvictionCore::break_series() {
  for (auto& [id, session] : sessions_) {
    session.first.reset();
    session.turn.reset();
  }
  last_answer_.reset();
}

/// Takes the rows over, and counts the sessions that are gone.
void EvictionCore::note(const std::vector<SessionRow>& rows, BootTime now) {
  seen_at_ = now;
  while (!evictions_.empty() && now - evictions_.front() >= limit_period)
    evictions_.pop_front();
  std::map<std::string, Session> sessions;
  std::set<NodeId> nodes;
  for (const SessionRow& row : rows) {
    nodes.insert(row.node);
    Session session{.node = row.node,
                    .counter = row.counter,
                    .is_draining = row.is_draining,
                    .still_since = now,
                    .first = now};
    const auto before = sessions_.find(row.session);
    if (before != sessions_.end() && before->second.counter == row.counter) {
      session.still_since = before->second.still_since;
      session.first = before->second.first.value_or(now);
      session.turn = before->second.turn;
    }
    sessions.emplace(row.session, session);
  }
  // Nodes that leave drain first, and those that start again are there: what
  // is neither has been evicted by somebody.
  for (const auto& [id, session] : sessions_)
    if (!session.is_draining && !sessions.contains(id) &&
        !nodes.contains(session.node))
      evictions_.push_back(now);
  sessions_ = std::move(sessions);
}

/// The first nodes on the ring that are there and have renewed lately.
void EvictionCore::choose_watchers(BootTime now) {
  std::set<NodeId> lively;
  for (const auto& [id, session] : sessions_)
    if (now - session.still_since < config_.terms.ttl / 3)
      lively.insert(session.node);
  lively.insert(config_.self);
  watchers_.clear();
  if (ring_)
    for (const NodeId& node : ring_->clockwise("watch", ring_->nodes().size()))
      if (watchers_.size() < config_.watchers && lively.contains(node))
        watchers_.push_back(node);
  std::sort(watchers_.begin(), watchers_.end());
  is_watching_ =
      watchers_.size() < config_.watchers ||
      std::binary_search(watchers_.begin(), watchers_.end(), config_.self);
}

EvictionCore::Actions EvictionCore::evict_ripe(BootTime now) {
  Actions actions;
  std::size_t room = allowed(now);
  std::size_t waiting = 0;
  // In the order of their ids: where the limit lets some through, all nodes
  // mean the same ones.
  for (auto& [id, session] : sessions_) {
    if (!is_ripe(session, now))
      continue;
    session.waits_for_consent = room == 0;
    if (!session.turn)
      session.turn = now + own_turn(session.node) * read_every();
    if (now < *session.turn)
      continue;
    if (room == 0) {
      // When there is room, it goes by turns once more.
      session.turn.reset();
      ++waiting;
      continue;
    }
    --room;
    evictions_.push_back(now);
    session.first.reset();  // Not twice; if it lives on, from the beginning.
    session.turn.reset();
    actions.emplace_back(Evict{id, session.counter});
  }
  if (waiting > 0 && !has_asked_)
    actions.emplace_back(AskConsent{waiting});
  has_asked_ = waiting > 0;
  return actions;
}

bool EvictionCore::is_ripe(const Session& session, BootTime now) const {
  return session.node != config_.self && session.first &&
         now - *session.first >=
             config_.terms.ttl + config_.terms.eviction_margin;
}

/// How many watching nodes come before this one.
std::int64_t EvictionCore::own_turn(const NodeId& node) const {
  std::int64_t turn = 0;
  if (!ring_)
    return turn;
  for (const NodeId& other :
       ring_->clockwise(to_string(node), ring_->nodes().size())) {
    if (other == config_.self)
      return turn;
    if (other != node &&
        std::binary_search(watchers_.begin(), watchers_.end(), other))
      ++turn;
  }
  return turn;
}

/// How many more may be evicted at this moment.
std::size_t EvictionCore::allowed(BootTime now) const {
  if (now < consent_until_)
    return std::numeric_limits<std::size_t>::max();
  const std::size_t nodes = sessions_.size() + evictions_.size();
  const std::size_t limit = std::max<std::size_t>(nodes / limit_part, 1);
  return limit - std::min(limit, evictions_.size());
}

void EvictionCore::plan_read(BootTime now) {
  const Duration longest =
      is_held_ && is_watching_ ? read_every() : config_.terms.ttl;
  const auto quarter = static_cast<std::uint64_t>(longest.count()) / 4;
  next_read_ =
      now + longest -
      Duration{static_cast<Duration::rep>(random_.next() % (quarter + 1))};
  // And when a session can be evicted: until it is, nobody runs what it had.
  for (const auto& [id, session] : sessions_) {
    if (session.node == config_.self || !session.first || !is_watching_)
      continue;
    const BootTime ripe =
        *session.first + config_.terms.ttl + config_.terms.eviction_margin;
    const BootTime due = session.turn.value_or(ripe);
    if (due > now)
      next_read_ = std::min(next_read_, std::max(due, now + shortest_pause()));
  }
}

}  // namespace troupe::distributed
