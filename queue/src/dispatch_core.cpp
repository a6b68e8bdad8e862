#include <troupe/queue/dispatch_core.hpp>
#include <troupe/queue/spread.hpp>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace troupe::queue {
namespace {

using flow_control::BreakerConfig;
using flow_control::BreakerState;
using flow_control::CircuitBreaker;
using store::QueueHead;
using store::QueueId;

/// Of a pass, for a weight of 1.
constexpr std::uint64_t stride = 1 << 20;
constexpr std::uint32_t most_ahead = 512;
constexpr std::int64_t tenths_per_second = 10;
/// Longer than other nodes take to look once more.
constexpr Duration yield_pause = 1200ms;
/// What this costs, if nobody else wants the slot, is a twenty-fifth of it.
constexpr Duration yield_every = 30s;
/// Of what is spread: after so many pauses a node takes all that waits.
constexpr std::int64_t most_pauses = 30;
constexpr Duration for_ever = std::chrono::hours{24 * 365 * 100};

std::int64_t tenth_of(TimePoint now) {
  return now.time_since_epoch() / (Duration{1s} / tenths_per_second);
}

/// What a queue without a head is ranked by: behind all others.
auto rank_of(const std::optional<QueueHead>& head) {
  using Rank = std::tuple<int, std::uint64_t>;
  if (!head)
    return Rank{0, std::numeric_limits<std::uint64_t>::max()};
  return Rank{-static_cast<int>(head->priority), head->job.value};
}

}  // namespace

std::string_view to_string(Hindrance hindrance) {
  switch (hindrance) {
    case Hindrance::none:
      return "starting";
    case Hindrance::node_held:
      return "node_held";
    case Hindrance::group_held:
      return "group_held";
    case Hindrance::breaker:
      return "breaker";
    case Hindrance::rate:
      return "rate";
    case Hindrance::slots:
      return "slots";
    case Hindrance::node_slots:
      return "node_slots";
    case Hindrance::never_fits:
      return "never_fits";
    case Hindrance::resources:
      return "resources";
    case Hindrance::reserved:
      return "reserved";
    case Hindrance::memory:
      return "memory";
    case Hindrance::disk:
      return "disk";
  }
  return "unknown";
}

// -- Groups ------------------------------------------------------------------

DispatchCore::Group::Group(const store::Group& initial, TimePoint now) {
  apply(initial, now);
}

void DispatchCore::Group::apply(const store::Group& next, TimePoint now) {
  if (next.starts_per_minute != settings.starts_per_minute || !rate) {
    rate.reset();
    if (next.starts_per_minute > 0)
      rate.emplace(
          flow_control::TokenBucketConfig{
              .tokens = next.starts_per_minute, .per = 1min, .burst = 1},
          now);
  }
  const bool same_breaker = next.break_after == settings.break_after &&
                            next.break_pause == settings.break_pause;
  if (!same_breaker || !breaker) {
    breaker.reset();
    refused_until.reset();
    const Duration pause = std::max<Duration>(next.break_pause, 1ms);
    if (next.break_after > 0)
      breaker.emplace(
          BreakerConfig{.failure_ratio = 1,
                        .min_calls = std::numeric_limits<std::uint64_t>::max(),
                        .consecutive_failures = next.break_after,
                        .open_min = pause,
                        .open_max = pause,
                        .probes = 1,
                        // A probe may run for as long as any task.
                        .probe_timeout = for_ever});
  }
  settings = next;
}

DispatchCore::DispatchCore(Config config)
    : config_{std::move(config)}, free_{config_.capacity} {}

void DispatchCore::set_groups(const std::vector<store::Group>& groups,
                              TimePoint now) {
  for (auto& [name, group] : groups_)
    group.is_known = false;
  for (const store::Group& settings : groups) {
    Group& known = group(settings.name, now);
    known.apply(settings, now);
    known.is_known = true;
    known.shared_left.reset();
  }
  std::erase_if(groups_, [](const auto& entry) {
    const Group& group = entry.second;
    return !group.is_known && group.running == 0 && group.ready == 0;
  });
}

void DispatchCore::share(const std::string& name, std::uint64_t claimed) {
  const auto found = groups_.find(name);
  if (found == groups_.end())
    return;
  const std::uint64_t slots = found->second.settings.slots;
  found->second.shared_left = slots - std::min(slots, claimed);
}

bool DispatchCore::is_shared(const std::string& name) const {
  const Group* const group = find_group(name);
  return group != nullptr && group->shared_left.has_value();
}

bool DispatchCore::is_full(const std::string& name) const {
  const Group* const group = find_group(name);
  return group != nullptr && group->shared_left == 0;
}

DispatchCore::Group& DispatchCore::group(const std::string& name,
                                         TimePoint now) {
  const auto [found, is_new] =
      groups_.try_emplace(name, store::Group{.name = name}, now);
  Group& group = found->second;
  // What it has claimed a node can learn before it has looked at groups.
  for (auto it = queues_.begin(); is_new && it != queues_.end(); ++it)
    group.ready += it->first.group == name ? it->second.ready : 0;
  return group;
}

const DispatchCore::Group* DispatchCore::find_group(
    const std::string& name) const {
  const auto found = groups_.find(name);
  return found == groups_.end() ? nullptr : &found->second;
}

DispatchCore::Queue& DispatchCore::queue(const QueueId& id) {
  const auto [found, is_new] = queues_.try_emplace(id);
  if (is_new) {
    // What cannot be read takes nothing: it was checked when it was submitted.
    if (auto needs = flow_control::Resources::parse(id.resources)) {
      auto split = split_spread(std::move(*needs));
      found->second.needs = std::move(split.rest);
      found->second.share = split.share;
    }
  }
  return found->second;
}

bool DispatchCore::can_run(const QueueId& id) {
  return !config_.capacity.lacks(queue(id).needs);
}

void DispatchCore::close_breaker(const std::string& name, TimePoint now) {
  const auto found = groups_.find(name);
  if (found == groups_.end())
    return;
  found->second.breaker.reset();
  found->second.apply(store::Group{found->second.settings}, now);
  found->second.refused_until.reset();
}

// -- Claims ------------------------------------------------------------------

std::uint32_t DispatchCore::ahead(Group& group, TimePoint now) const {
  const std::int64_t tenth = tenth_of(now);
  std::uint32_t recent = 0;
  if (tenth <= group.tenth + 1)
    recent = tenth == group.tenth ? std::max(group.starts, group.starts_before)
                                  : group.starts;
  // One start in a tenth of a second is no reason to hoard.
  return recent <= group.settings.slots ? 0 : std::min(recent, most_ahead);
}

void DispatchCore::count_start(Group& group, TimePoint now) {
  const std::int64_t tenth = tenth_of(now);
  if (tenth != group.tenth) {
    group.starts_before = tenth == group.tenth + 1 ? group.starts : 0;
    group.starts = 0;
    group.tenth = tenth;
  }
  ++group.starts;
}

DispatchCore::Budget DispatchCore::budget(std::size_t room) const {
  const std::uint64_t slots =
      config_.most_running > running_ ? config_.most_running - running_ : 0;
  Budget left{std::min<std::uint64_t>(slots, room), free_};
  for (const auto& [id, queue] : queues_)
    left.spend(queue.needs, queue.ready);
  return left;
}

void DispatchCore::Budget::spend(const flow_control::Resources& needs,
                                 std::uint64_t count) {
  startable -= std::min(startable, count);
  for (const auto& [name, amount] : needs.amounts())
    free.set(name,
             free.amount(name) - std::min(free.amount(name), count * amount));
}

/// As many as start at once.
std::uint64_t DispatchCore::claims_of_shared(const Group& group,
                                             const Queue& queue,
                                             const Budget& budget) {
  std::uint64_t count = std::min(*group.shared_left, budget.startable);
  if (const auto fits = budget.free.times(queue.needs))
    count = std::min(count, *fits);
  return count;
}

std::uint64_t DispatchCore::spread_left(const Queue& queue, TimePoint now) {
  if (queue.share == 0)
    return std::numeric_limits<std::uint64_t>::max();
  const Duration waits = now - queue.held_back_since.value_or(now);
  const auto pauses = std::min<std::int64_t>(waits / yield_pause, most_pauses);
  const std::uint64_t most =
      queue.share + (std::uint64_t{1} << static_cast<unsigned>(pauses)) - 1;
  // Those that run from before count as well.
  const std::uint64_t had =
      std::max<std::uint64_t>(queue.had, queue.running + queue.ready);
  return most - std::min(most, had);
}

std::vector<DispatchCore::ClaimOrder> DispatchCore::claims_for(
    const std::vector<QueueHead>& heads, std::size_t room, TimePoint now) {
  for (auto& [id, queue] : queues_)
    queue.head.reset();
  for (const QueueHead& head : heads)
    queue(head.queue).head = head;
  for (auto& [id, queue] : queues_) {
    if (queue.head)
      continue;
    queue.held_back_since.reset();
    queue.had = 0;
  }
  std::erase_if(queues_, [](const auto& entry) {
    const Queue& queue = entry.second;
    return !queue.head && queue.ready == 0 && queue.running == 0;
  });
  note_starving(now);
  if (is_held_)
    return {};

  std::vector<ClaimOrder> orders;
  std::map<std::string, std::uint32_t> ordered;
  Budget left = budget(room);
  std::uint32_t node_room =
      config_.most_running > running_ ? config_.most_running - running_ : 0;
  for (const auto& entry : ranked()) {
    auto& [id, queue] = *entry;
    if (!queue.head)
      continue;
    Group& of = group(id.group, now);
    const Hindrance kind = group_obstacle(of, now).kind;
    if (kind == Hindrance::group_held || kind == Hindrance::breaker ||
        (of.shared_left && kind != Hindrance::none) ||
        share_obstacle(of, now).kind != Hindrance::none)
      continue;
    const std::uint32_t more = of.shared_left ? 0 : ahead(of, now);
    const std::uint32_t bound = of.settings.slots + more;
    const std::uint32_t taken = of.running + of.ready + ordered[id.group];
    std::uint64_t count = bound > taken ? bound - taken : 0;
    if (of.rate || (of.breaker && of.breaker->state() != BreakerState::closed))
      count = std::min<std::uint64_t>(count, of.ready == 0 ? 1 : 0);
    if (const auto fits = free_.times(queue.needs)) {
      const std::uint64_t wanted = *fits + (*fits > 0 ? more : 0);
      count = std::min(count, wanted > queue.ready ? wanted - queue.ready : 0);
    }
    if (resource_obstacle(id, queue.needs, now).kind != Hindrance::none)
      continue;
    // One at least, so that every group has its turn when the node is full.
    count = std::min<std::uint64_t>(
        count, std::max(node_room + more, of.ready == 0 ? 1U : 0U));
    const std::uint64_t left_to_it = spread_left(queue, now);
    if (count > left_to_it && !queue.held_back_since)
      queue.held_back_since = now;
    count = std::min(count, left_to_it);
    if (of.shared_left) {
      count = std::min(count, claims_of_shared(of, queue, left));
      *of.shared_left -= count;
    }
    if (count == 0)
      continue;
    left.spend(queue.needs, count);
    ordered[id.group] += static_cast<std::uint32_t>(count);
    node_room -= std::min(node_room, static_cast<std::uint32_t>(count));
    orders.push_back({id, static_cast<std::uint32_t>(count)});
  }
  return orders;
}

void DispatchCore::note_starving(TimePoint now) {
  for (auto& [id, queue] : queues_) {
    const bool starves = queue.head && queue.ready == 0 &&
                         free_.lacks(queue.needs).has_value() &&
                         !config_.capacity.lacks(queue.needs);
    if (!starves)
      queue.starving_since.reset();
    else if (!queue.starving_since)
      queue.starving_since = now;
  }
}

void DispatchCore::claimed(const QueueId& id, std::uint32_t count) {
  Queue& of = queue(id);
  of.ready += count;
  of.had += count;
  if (const auto found = groups_.find(id.group); found != groups_.end())
    found->second.ready += count;
}

void DispatchCore::given_back(const QueueId& id, std::uint32_t count) {
  Queue& of = queue(id);
  of.ready -= std::min(of.ready, count);
  of.had -= std::min<std::uint64_t>(of.had, count);
  if (const auto found = groups_.find(id.group); found != groups_.end())
    found->second.ready -= std::min(found->second.ready, count);
}

// -- Starts ------------------------------------------------------------------

std::vector<std::map<QueueId, DispatchCore::Queue>::iterator>
DispatchCore::ranked() {
  std::vector<std::map<QueueId, Queue>::iterator> all;
  for (auto it = queues_.begin(); it != queues_.end(); ++it)
    all.push_back(it);
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return rank_of(a->second.head) < rank_of(b->second.head);
  });
  return all;
}

bool DispatchCore::ranks_before(const QueueHead& a, const QueueId& b) const {
  const auto found = queues_.find(b);
  return found == queues_.end() || !found->second.head ||
         rank_of(a) <= rank_of(found->second.head);
}

Obstacle DispatchCore::group_obstacle(const Group& group, TimePoint now) const {
  if (group.settings.is_held)
    return {Hindrance::group_held};
  if (group.breaker && group.refused_until && *group.refused_until > now) {
    // While a probe runs, its end decides and no time.
    if (group.breaker->state() == BreakerState::half_open)
      return {Hindrance::breaker};
    return {Hindrance::breaker, {}, group.refused_until};
  }
  if (group.running >= group.settings.slots)
    return {Hindrance::slots};
  if (group.rate) {
    const auto wait = group.rate->time_until(1, now);
    if (wait && *wait > Duration{0})
      return {Hindrance::rate, {}, now + *wait};
  }
  return {};
}

/// Of what is not claimed yet.
Obstacle DispatchCore::share_obstacle(const Group& group, TimePoint now) {
  if (group.shared_left == 0)
    return {Hindrance::slots};
  if (group.shared_left && group.yields_until > now)
    return {Hindrance::slots, {}, group.yields_until};
  return {};
}

Obstacle DispatchCore::resource_obstacle(const QueueId& id,
                                         const flow_control::Resources& needs,
                                         TimePoint now) const {
  if (const auto never = config_.capacity.lacks(needs))
    return {Hindrance::never_fits, *never};
  if (const auto lacking = free_.lacks(needs))
    return {Hindrance::resources, *lacking};
  for (const auto& [other, queue] : queues_) {
    if (other == id || !queue.starving_since || !queue.head ||
        now - *queue.starving_since < config_.reserve_after ||
        // It could not start anyway.
        is_full(other.group) || !ranks_before(*queue.head, id))
      continue;
    for (const auto& [name, amount] : queue.needs.amounts()) {
      if (free_.amount(name) < amount && needs.amount(name) > 0)
        return {Hindrance::reserved, name};
    }
  }
  return {};
}

void DispatchCore::take(Queue& queue, Group& group) {
  ++queue.running;
  ++group.running;
  ++running_;
}

DispatchCore::Start DispatchCore::adopted(const QueueId& id, TimePoint now) {
  Queue& of = queue(id);
  // It may need more than is left, if the node has less than it had.
  for (const auto& [name, amount] : of.needs.amounts()) {
    const std::uint64_t there = std::min(free_.amount(name), amount);
    free_.set(name, free_.amount(name) - there);
    owed_.set(name, owed_.amount(name) + amount - there);
  }
  take(of, group(id.group, now));
  return {id, {}};
}

std::optional<DispatchCore::Start> DispatchCore::start_next(std::size_t room,
                                                            TimePoint now) {
  if (is_held_ || room == 0 || running_ >= config_.most_running)
    return std::nullopt;
  const auto order = ranked();
  std::vector<Group*> turn;
  for (auto& [name, group] : groups_) {
    if (group.ready > 0)
      turn.push_back(&group);
  }
  std::stable_sort(
      turn.begin(), turn.end(),
      [](const Group* a, const Group* b) { return a->pass < b->pass; });
  for (Group* const group : turn) {
    if (group_obstacle(*group, now).kind != Hindrance::none)
      continue;
    for (const auto& entry : order) {
      auto& [id, queue] = *entry;
      if (id.group != group->settings.name || queue.ready == 0 ||
          resource_obstacle(id, queue.needs, now).kind != Hindrance::none)
        continue;
      CircuitBreaker::Allowed call;
      if (group->breaker) {
        const auto answer = group->breaker->allow(now);
        if (const auto* refused =
                std::get_if<CircuitBreaker::Refused>(&answer)) {
          group->refused_until = now + refused->retry_after;
          break;
        }
        call = std::get<CircuitBreaker::Allowed>(answer);
      }
      if (group->rate)
        (void)group->rate->try_take(1, now);
      // One that had nothing to do begins where the others are.
      pass_ = std::max(group->pass, pass_);
      group->pass = pass_ + stride / std::max(1U, group->settings.weight);
      count_start(*group, now);
      --queue.ready;
      --group->ready;
      queue.starving_since.reset();
      free_.take(queue.needs);
      take(queue, *group);
      return Start{id, call};
    }
  }
  return std::nullopt;
}

void DispatchCore::ended(const Start& start, End how, TimePoint now) {
  Queue& of = queue(start.queue);
  --of.running;
  --running_;
  for (const auto& [name, amount] : of.needs.amounts()) {
    const std::uint64_t owed = std::min(amount, owed_.amount(name));
    owed_.set(name, owed_.amount(name) - owed);
    free_.set(name, free_.amount(name) + amount - owed);
  }
  Group& group = this->group(start.queue.group, now);
  --group.running;
  if (group.shared_left == 0 && now >= group.yields_next) {
    group.yields_until = now + yield_pause;
    group.yields_next = now + yield_every;
  }
  if (!group.breaker)
    return;
  switch (how) {
    case End::success:
      group.breaker->on_success(start.call, now);
      break;
    case End::failure:
      group.breaker->on_failure(start.call, now);
      break;
    case End::neutral:
      group.breaker->on_abandoned(start.call);
      break;
  }
  group.refused_until.reset();
  if (group.breaker->state() == BreakerState::open)
    group.refused_until =
        now + std::max<Duration>(group.settings.break_pause, 1ms);
}

std::optional<TimePoint> DispatchCore::next_change(TimePoint now) const {
  std::optional<TimePoint> next;
  const auto consider = [&](std::optional<TimePoint> time) {
    if (time && *time > now && (!next || *time < *next))
      next = time;
  };
  for (const auto& [name, group] : groups_) {
    consider(group_obstacle(group, now).until);
    consider(share_obstacle(group, now).until);
  }
  for (const auto& [id, queue] : queues_) {
    if (queue.starving_since)
      consider(*queue.starving_since + config_.reserve_after);
    if (queue.held_back_since)
      consider(*queue.held_back_since +
               ((now - *queue.held_back_since) / yield_pause + 1) *
                   yield_pause);
  }
  return next;
}

// -- Looking -----------------------------------------------------------------

Obstacle DispatchCore::obstacle(const QueueId& id, std::size_t room,
                                TimePoint now) const {
  if (is_held_)
    return {Hindrance::node_held};
  const Group* const group = find_group(id.group);
  if (group != nullptr) {
    if (Obstacle found = group_obstacle(*group, now);
        found.kind != Hindrance::none)
      return found;
    if (Obstacle found = share_obstacle(*group, now);
        found.kind != Hindrance::none)
      return found;
  }
  if (const auto needs = flow_control::Resources::parse(id.resources)) {
    if (Obstacle found = resource_obstacle(id, split_spread(*needs).rest, now);
        found.kind != Hindrance::none)
      return found;
  }
  if (running_ >= config_.most_running)
    return {Hindrance::node_slots};
  if (room == 0)
    return {Hindrance::memory};
  return {};
}

BreakerState DispatchCore::breaker(const std::string& name) const {
  const Group* const group = find_group(name);
  return group != nullptr && group->breaker ? group->breaker->state()
                                            : BreakerState::closed;
}

std::vector<std::string> DispatchCore::groups() const {
  std::vector<std::string> names;
  for (const auto& [name, group] : groups_)
    names.push_back(name);
  return names;
}

std::uint32_t DispatchCore::waiting_here() const {
  std::uint32_t count = 0;
  for (const auto& [id, queue] : queues_)
    count += queue.ready;
  return count;
}

}  // namespace troupe::queue
