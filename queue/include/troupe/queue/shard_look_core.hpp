#pragma once

/// Decides in which shards of a store that is shared a node looks for work, and
/// from which of them it claims. Pure.
///
/// Ownership of a shard says who asks first, and never who may have what waits
/// there: whoever claims a task has it, because the store says so. So nothing
/// here can do worse than to waste a question.
///
/// What is in own shards, or was submitted here, is claimed at once. A node
/// that has nothing to do looks abroad, from a place by chance (work stealing
/// by idle nodes; Blumofe and Leiserson 1999), and takes what it sees there a
/// second time: its owner has looked in between, and has not wanted it.
#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>
#include <troupe/store/job.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

namespace troupe::queue {

class ShardLookCore {
 public:
  /// Heads that one look abroad asks for.
  static constexpr std::uint32_t most_abroad = 64;
  /// Shards that are kept in mind because something was submitted to them.
  static constexpr std::size_t most_told = 4096;

  using Shards = std::shared_ptr<const std::vector<std::uint32_t>>;

  struct Where {
    std::vector<std::uint32_t> shards;    ///< Each once.
    std::optional<std::uint32_t> abroad;  ///< From this one on, too.
  };

  /// An owner looks every `pause`; `seed` is for chance.
  ShardLookCore(Duration pause, std::uint64_t seed);

  /// Its own ones, ascending, of `all` that there are. Where they have moved to
  /// there may be no room: it looks abroad at once if it is hungry.
  void set_own(Shards own, std::uint32_t all);

  /// Something was submitted that this node may take, whoever owns it.
  void tell(const std::vector<std::uint32_t>& shards);

  /// Where to look now. `is_hungry` if it has nothing to start.
  [[nodiscard]] Where where(bool is_hungry, TimePoint now);

  /// What the look that where() has asked for last has found. Answers the heads
  /// that may be claimed from: one of each queue, the first over all of its
  /// shards, with shard 0.
  [[nodiscard]] std::vector<store::QueueHead> offer(
      std::vector<store::QueueHead> near, std::vector<store::QueueHead> abroad);

  /// The queues to claim from, in order, for one that offer() has answered.
  [[nodiscard]] std::vector<store::QueueId> queues_of(
      const store::QueueId& queue) const;

  /// When to look again, if nothing happens before: for its own shards, or to
  /// take what it has seen abroad.
  [[nodiscard]] TimePoint next_look() const;

 private:
  void add(std::vector<store::QueueHead> heads, bool is_abroad);

  Duration pause_;
  Random random_;
  Shards own_ = std::make_shared<const std::vector<std::uint32_t>>();
  std::uint32_t all_ = 1;
  std::set<std::uint32_t> told_;
  TimePoint last_look_{};
  TimePoint next_abroad_{};
  std::uint32_t abroad_from_ = 0;
  bool is_abroad_ = false;  ///< The look at hand.
  /// Seen from there the time before; none if it is to be another place.
  std::optional<std::vector<store::QueueHead>> seen_;
  /// By queue, without a shard: the heads in its shards, in order of claims.
  std::map<store::QueueId, std::vector<store::QueueHead>> heads_;
};

}  // namespace troupe::queue
