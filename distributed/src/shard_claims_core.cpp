#include <troupe/base/assert.hpp>
#include <troupe/distributed/shard_claims_core.hpp>

#include <algorithm>

namespace troupe::distributed {
namespace {

constexpr std::size_t asked_at_once = 2;  ///< Peers.
constexpr std::size_t most_abroad = 64;   ///< Shards to steal from.

}  // namespace

std::string_view to_string(StealPhase phase) {
  switch (phase) {
    case StealPhase::content:
      return "content";
    case StealPhase::hungry:
      return "hungry";
    case StealPhase::asking:
      return "asking";
    case StealPhase::looking:
      return "looking";
    case StealPhase::taking:
      return "taking";
  }
  return "unknown";
}

ShardClaimsCore::ShardClaimsCore(const Config& config)
    : config_{config}, random_{config.seed}, steal_pause_{config.look_every} {
  TROUPE_ASSERT(config.slots >= 1 && config.most_waiting >= 1);
  TROUPE_ASSERT(config.batch >= 1 && config.steal_batch >= 1);
  TROUPE_ASSERT(config.look_every > Duration{0});
  TROUPE_ASSERT(config.longest_steal_pause >= config.look_every);
}

ShardClaimsCore::Actions ShardClaimsCore::on_right(bool is_held,
                                                   TimePoint now) {
  is_held_ = is_held;
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_shards(
    const std::vector<std::uint32_t>& own, TimePoint now) {
  own_ = own;
  std::erase_if(ready_, [this](std::uint32_t shard) { return !owns(shard); });
  is_ready_ = {ready_.begin(), ready_.end()};
  // What is new may be full of tasks.
  found_nothing_ = own_.empty();
  next_look_ = now;
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_slots(std::uint32_t slots,
                                                   TimePoint now) {
  TROUPE_ASSERT(slots >= 1);
  config_.slots = slots;
  give_back_excess();
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_drain(TimePoint now) {
  is_draining_ = true;
  give_back_excess();
  return pump(now);
}

void ShardClaimsCore::on_evicted() {
  stock_.clear();
  order_of_.clear();
  open_claim_.reset();
  is_held_ = false;
}

ShardClaimsCore::Actions ShardClaimsCore::on_hint(std::uint32_t shard,
                                                  TimePoint now) {
  if (owns(shard))
    mark_ready(shard);
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_looked(
    std::uint64_t number, const std::vector<std::uint32_t>& shards,
    TimePoint now) {
  if (open_look_ == number) {
    open_look_.reset();
    found_nothing_ = true;
    // From a random one on, so that after each look another one is first.
    const std::size_t first =
        shards.empty() ? 0 : random_.next() % shards.size();
    for (std::size_t i = 0; i < shards.size(); ++i) {
      const std::uint32_t shard = shards[(first + i) % shards.size()];
      if (!owns(shard))
        continue;
      mark_ready(shard);
      found_nothing_ = false;
    }
  } else if (open_look_abroad_ == number) {
    open_look_abroad_.reset();
    if (steal_ == StealPhase::looking) {
      const std::size_t first =
          shards.empty() ? 0 : random_.next() % shards.size();
      for (std::size_t i = 0; i < shards.size() && abroad_.size() < most_abroad;
           ++i)
        abroad_.push_back(shards[(first + i) % shards.size()]);
      if (abroad_.empty())
        go_hungry(now);
      else
        steal_ = StealPhase::taking;
    }
  }
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_claimed(
    std::uint64_t number, const std::vector<ClaimedTask>& tasks,
    TimePoint now) {
  if (!open_claim_ || open_claim_->number != number)
    return pump(now);
  const OpenClaim done = *std::exchange(open_claim_, std::nullopt);
  for (const ClaimedTask& task : tasks)
    keep(task);
  if (!done.is_foreign && tasks.size() >= done.limit && owns(done.shard))
    mark_ready(done.shard);  // There may be more: to the end of the line.
  if (done.is_foreign && !tasks.empty())
    steal_pause_ = config_.look_every;
  if (done.is_foreign && tasks.size() >= done.limit)
    abroad_.push_front(done.shard);  // There is more, when these are done.
  give_back_excess();
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_failed(std::uint64_t number,
                                                    TimePoint now) {
  if (open_claim_ && open_claim_->number == number) {
    open_claim_.reset();
    // The store is not well. The next look tells when it is.
    ready_.clear();
    is_ready_.clear();
    abroad_.clear();
    next_look_ = now + jittered(config_.look_every);
  } else if (open_look_ == number) {
    open_look_.reset();
  } else if (open_look_abroad_ == number) {
    open_look_abroad_.reset();
    if (steal_ == StealPhase::looking)
      go_hungry(now);
  }
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_found(
    const std::vector<ClaimedTask>& tasks, TimePoint now) {
  for (const ClaimedTask& task : tasks)
    keep(task);
  give_back_excess();
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_started(std::uint64_t task,
                                                     TimePoint now) {
  forget(task);
  ++running_;
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_dropped(std::uint64_t task,
                                                     TimePoint now) {
  forget(task);
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_ended(TimePoint now) {
  running_ -= std::min(running_, 1U);
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_peer_asks(const NodeId& peer,
                                                       TimePoint now) {
  Offer offer{.peer = peer};
  if (!ready_.empty()) {
    // What waits in the store need not be given back first. From the end of
    // the line: there this node will not be for a while.
    for (auto shard = ready_.rbegin();
         shard != ready_.rend() && offer.shards.size() < config_.most_offered;
         ++shard)
      offer.shards.push_back(*shard);
  } else if (waiting() > config_.slots && may_claim()) {
    // One task for each slot stays; the rest goes, the newest first.
    const std::size_t most = std::min(waiting() - config_.slots, config_.batch);
    std::size_t count = 0;
    std::set<std::uint32_t> shards;
    for (auto task = stock_.rbegin(); count < most; ++task, ++count) {
      if (!shards.contains(task->second.shard) &&
          shards.size() == config_.most_offered)
        break;
      shards.insert(task->second.shard);
    }
    give_back(count);
    offer.shards.assign(shards.begin(), shards.end());
    rests_until_ = now + config_.rest;
  }
  actions_.emplace_back(std::move(offer));
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_offer(
    const NodeId& peer, const std::vector<std::uint32_t>& shards,
    TimePoint now) {
  if (steal_ != StealPhase::asking || asked_.erase(peer) == 0)
    return pump(now);  // Too late.
  for (const std::uint32_t shard : shards)
    if (abroad_.size() < most_abroad)
      abroad_.push_back(shard);
  if (!abroad_.empty())
    steal_ = StealPhase::taking;
  else if (asked_.empty())
    look_abroad();
  return pump(now);
}

ShardClaimsCore::Actions ShardClaimsCore::on_time(TimePoint now) {
  return pump(now);
}

std::optional<TimePoint> ShardClaimsCore::wake_at() const {
  if (!may_claim())
    return std::nullopt;
  std::optional<TimePoint> at;
  const auto also = [&at](TimePoint other) {
    at = at ? std::min(*at, other) : other;
  };
  const bool has_room = waiting() <= waiting_limit() / 2;
  if (has_room && !open_look_ && !own_.empty())
    also(std::max(next_look_, rests_until_));
  if (has_room && !open_claim_ && !ready_.empty())
    also(rests_until_);
  if (steal_ == StealPhase::hungry || steal_ == StealPhase::asking)
    also(steal_at_);
  return at;
}

std::uint32_t ShardClaimsCore::waiting_limit() const {
  const std::uint64_t twice = std::uint64_t{2} * config_.slots;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(twice, config_.most_waiting));
}

/// After each event: whatever can be done now.
ShardClaimsCore::Actions ShardClaimsCore::pump(TimePoint now) {
  if (!may_claim()) {
    ready_.clear();
    is_ready_.clear();
    abroad_.clear();
    asked_.clear();
    steal_ = StealPhase::content;
    return take_actions();
  }
  if (now >= rests_until_) {
    claim_own();
    look(now);
  }
  steal(now);
  return take_actions();
}

void ShardClaimsCore::claim_own() {
  if (open_claim_ || ready_.empty() || waiting() > waiting_limit() / 2)
    return;
  const std::uint32_t shard = ready_.front();
  ready_.pop_front();
  is_ready_.erase(shard);
  claim(shard, std::min(waiting_limit() - waiting(), config_.batch),
        /*is_foreign=*/false);
}

void ShardClaimsCore::look(TimePoint now) {
  if (open_look_ || own_.empty() || now < next_look_ ||
      waiting() > waiting_limit() / 2)
    return;
  open_look_ = ++last_number_;
  next_look_ = now + jittered(config_.look_every);
  actions_.emplace_back(Look{*open_look_, /*is_foreign=*/false});
}

void ShardClaimsCore::steal(TimePoint now) {
  if (!lacks_work()) {
    steal_ = StealPhase::content;
    asked_.clear();
    if (!ready_.empty())
      abroad_.clear();
    return;
  }
  switch (steal_) {
    case StealPhase::content:
      // What it took is done, and where it was there was more.
      if (!abroad_.empty()) {
        steal_ = StealPhase::taking;
        take();
        break;
      }
      steal_ = StealPhase::hungry;
      steal_at_ = now + jittered(steal_pause_);
      break;
    case StealPhase::hungry:
      if (now >= steal_at_)
        ask_peers(now);
      break;
    case StealPhase::asking:
      if (now >= steal_at_)
        look_abroad();
      break;
    case StealPhase::looking:
      break;
    case StealPhase::taking:
      if (!open_claim_ && abroad_.empty())
        go_hungry(now);
      else
        take();
      break;
  }
}

/// The two with the most that waits for each slot.
void ShardClaimsCore::ask_peers(TimePoint now) {
  std::vector<PeerLoad> busy;
  for (const PeerLoad& load : loads_)
    if (load.has_backlog || load.waiting > load.slots)
      busy.push_back(load);
  std::sort(busy.begin(), busy.end(), [](const PeerLoad& a, const PeerLoad& b) {
    if (a.has_backlog != b.has_backlog)
      return a.has_backlog;
    const std::uint64_t left = std::uint64_t{a.waiting} * b.slots;
    const std::uint64_t right = std::uint64_t{b.waiting} * a.slots;
    return left != right ? left > right : a.node < b.node;
  });
  asked_.clear();
  for (const PeerLoad& load : busy)
    if (asked_.size() < asked_at_once && asked_.insert(load.node).second)
      actions_.emplace_back(AskPeer{load.node});
  if (asked_.empty()) {
    look_abroad();
    return;
  }
  steal_ = StealPhase::asking;
  steal_at_ = now + config_.peer_answers_within;
}

/// Nobody has offered anything. A shard whose owner is gone has nobody to ask.
void ShardClaimsCore::look_abroad() {
  asked_.clear();
  steal_ = StealPhase::looking;
  if (open_look_abroad_)
    return;  // Of an earlier round; its answer serves.
  open_look_abroad_ = ++last_number_;
  actions_.emplace_back(Look{*open_look_abroad_, /*is_foreign=*/true});
}

void ShardClaimsCore::take() {
  if (open_claim_ || abroad_.empty())
    return;
  const std::uint32_t shard = abroad_.front();
  abroad_.pop_front();
  claim(shard, std::min(free_slots(), config_.steal_batch),
        /*is_foreign=*/true);
}

/// Nothing was found: the next try comes later than this one did.
void ShardClaimsCore::go_hungry(TimePoint now) {
  steal_ = StealPhase::hungry;
  steal_at_ = now + jittered(steal_pause_);
  steal_pause_ = std::min(2 * steal_pause_, config_.longest_steal_pause);
}

void ShardClaimsCore::claim(std::uint32_t shard, std::uint32_t limit,
                            bool is_foreign) {
  open_claim_ = OpenClaim{++last_number_, shard, limit, is_foreign};
  actions_.emplace_back(Claim{last_number_, shard, limit});
}

void ShardClaimsCore::keep(const ClaimedTask& task) {
  if (order_of_.contains(task.task))
    return;
  stock_.emplace(++last_order_, task);
  order_of_.emplace(task.task, last_order_);
}

void ShardClaimsCore::forget(std::uint64_t task) {
  const auto found = order_of_.find(task);
  if (found == order_of_.end())
    return;
  stock_.erase(found->second);
  order_of_.erase(found);
}

void ShardClaimsCore::mark_ready(std::uint32_t shard) {
  if (is_ready_.insert(shard).second)
    ready_.push_back(shard);
  steal_pause_ = config_.look_every;
}

/// What may not wait here: all of it while draining.
void ShardClaimsCore::give_back_excess() {
  const std::uint32_t most = is_draining_ ? 0 : waiting_limit();
  give_back(waiting() - std::min(waiting(), most));
}

/// The newest `count` of those that wait: the others are nearer to their start.
void ShardClaimsCore::give_back(std::size_t count) {
  Release release;
  while (release.tasks.size() < count) {
    const auto last = std::prev(stock_.end());
    release.tasks.push_back(last->second);
    order_of_.erase(last->second.task);
    stock_.erase(last);
  }
  if (!release.tasks.empty())
    actions_.emplace_back(std::move(release));
}

bool ShardClaimsCore::owns(std::uint32_t shard) const {
  return std::binary_search(own_.begin(), own_.end(), shard);
}

/// Slots are free, nothing waits for them, and its own shards are empty.
bool ShardClaimsCore::lacks_work() const {
  const bool claims_own = open_claim_ && !open_claim_->is_foreign;
  return free_slots() > 0 && waiting() == 0 && ready_.empty() && !claims_own &&
         found_nothing_;
}

std::uint32_t ShardClaimsCore::free_slots() const {
  const std::uint32_t taken = running_ + waiting();
  return config_.slots - std::min(config_.slots, taken);
}

/// Between three quarters and all of `longest`, so that nodes that were started
/// together do not ask together.
Duration ShardClaimsCore::jittered(Duration longest) {
  const auto quarter = static_cast<std::uint64_t>(longest.count()) / 4;
  return longest -
         Duration{static_cast<Duration::rep>(random_.next() % (quarter + 1))};
}

}  // namespace troupe::distributed
