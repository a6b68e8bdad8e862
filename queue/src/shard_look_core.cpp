#include <troupe/queue/shard_look_core.hpp>

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace troupe::queue {
namespace {

using store::QueueHead;
using store::QueueId;

QueueId without_shard(QueueId queue) {
  queue.shard = 0;
  return queue;
}

/// The order in which one store with one shard would have them.
bool comes_before(const QueueHead& a, const QueueHead& b) {
  return std::tuple{b.priority, a.job, a.queue.shard} <
         std::tuple{a.priority, b.job, b.queue.shard};
}

}  // namespace

std::string_view to_string(Found found) {
  switch (found) {
    case Found::own:
      return "own";
    case Found::submitted:
      return "submitted";
    case Found::hinted:
      return "hinted";
    case Found::offered:
      return "offered";
    case Found::abroad:
      return "abroad";
  }
  return "unknown";
}

ShardLookCore::ShardLookCore(Duration pause, std::uint64_t seed)
    : pause_{pause}, random_{seed} {}

void ShardLookCore::set_own(Shards own, std::uint32_t all) {
  own_ = std::move(own);
  all_ = std::max(1U, all);
  seen_.reset();
  next_abroad_ = {};
}

void ShardLookCore::tell(const std::vector<std::uint32_t>& shards,
                         Found found) {
  for (const std::uint32_t shard : shards) {
    if (told_.size() < most_told)
      told_.emplace(shard, found);
  }
}

ShardLookCore::Where ShardLookCore::where(bool is_hungry, TimePoint now) {
  last_look_ = now;
  Where where;
  std::vector<std::uint32_t> told;
  for (const auto& [shard, found] : told_)
    told.push_back(shard);
  std::set_union(own_->begin(), own_->end(), told.begin(), told.end(),
                 std::back_inserter(where.shards));
  looked_ = std::exchange(told_, {});
  is_abroad_ = is_hungry && now >= next_abroad_;
  if (is_abroad_) {
    if (!seen_)
      abroad_from_ = static_cast<std::uint32_t>(random_.next() % all_);
    where.abroad = abroad_from_;
    // Longer than an owner waits, and not at the same time as all others.
    next_abroad_ =
        now + pause_ +
        Duration{static_cast<Duration::rep>(
            random_.next() % static_cast<std::uint64_t>(pause_.count() + 1))};
  }
  return where;
}

std::vector<QueueHead> ShardLookCore::offer(std::vector<QueueHead> near,
                                            std::vector<QueueHead> abroad) {
  heads_.clear();
  found_.clear();
  add(std::move(near), /*is_abroad=*/false);
  std::erase_if(abroad, [this](const QueueHead& head) {
    return std::binary_search(own_->begin(), own_->end(), head.queue.shard);
  });
  if (is_abroad_ && seen_) {
    std::vector<QueueHead> again;
    for (const QueueHead& head : abroad) {
      if (std::find(seen_->begin(), seen_->end(), head) != seen_->end())
        again.push_back(head);
    }
    add(std::move(again), /*is_abroad=*/true);
    seen_.reset();
  } else if (is_abroad_ && !abroad.empty()) {
    seen_ = std::move(abroad);
  }
  std::vector<QueueHead> first;
  for (const auto& [queue, heads] : heads_)
    first.push_back({queue, heads.front().priority, heads.front().job});
  return first;
}

TimePoint ShardLookCore::next_look() const {
  const TimePoint near = last_look_ + pause_;
  return seen_ && next_abroad_ > last_look_ ? std::min(near, next_abroad_)
                                            : near;
}

/// What is near comes first, and what is abroad only where there is none.
void ShardLookCore::add(std::vector<QueueHead> heads, bool is_abroad) {
  std::sort(heads.begin(), heads.end(), comes_before);
  std::map<QueueId, std::vector<QueueHead>> added;
  for (QueueHead& head : heads) {
    const QueueId queue = without_shard(head.queue);
    if (is_abroad && heads_.contains(queue))
      continue;
    const std::uint32_t shard = head.queue.shard;
    if (is_abroad)
      found_.emplace(shard, Found::abroad);
    else if (const auto told = looked_.find(shard);
             told != looked_.end() &&
             !std::binary_search(own_->begin(), own_->end(), shard))
      found_.insert(*told);
    added[queue].push_back(std::move(head));
  }
  heads_.merge(added);
}

Found ShardLookCore::found_in(std::uint32_t shard) const {
  const auto found = found_.find(shard);
  return found == found_.end() ? Found::own : found->second;
}

std::vector<QueueId> ShardLookCore::queues_of(const QueueId& queue) const {
  std::vector<QueueId> queues;
  if (const auto found = heads_.find(queue); found != heads_.end()) {
    for (const QueueHead& head : found->second)
      queues.push_back(head.queue);
  }
  return queues;
}

}  // namespace troupe::queue
