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
#include <string_view>
#include <vector>

namespace troupe::queue {

/// Why a node looked into a shard. Stored: append only.
enum class Found : std::uint8_t {
  own = 1,        ///< It looks there first.
  submitted = 2,  ///< Something for it was submitted to this node.
  hinted = 3,     ///< Another node has said that something came there.
  offered = 4,    ///< Who looks there first had no room, and has said so.
  abroad = 5,     ///< It had nothing to do, and saw it there twice.
};

/// "offered".
[[nodiscard]] std::string_view to_string(Found found);

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

  /// There is something that this node may take, whoever owns it.
  void tell(const std::vector<std::uint32_t>& shards,
            Found found = Found::submitted);

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

  /// Why it looked into a shard that queues_of() has.
  [[nodiscard]] Found found_in(std::uint32_t shard) const;

  /// When to look again, if nothing happens before: for its own shards, or to
  /// take what it has seen abroad.
  [[nodiscard]] TimePoint next_look() const;

 private:
  void add(std::vector<store::QueueHead> heads, bool is_abroad);

  Duration pause_;
  Random random_;
  Shards own_ = std::make_shared<const std::vector<std::uint32_t>>();
  std::uint32_t all_ = 1;
  std::map<std::uint32_t, Found> told_;
  std::map<std::uint32_t, Found> looked_;  ///< What was told, of the last look.
  std::map<std::uint32_t, Found> found_;   ///< Of `heads_`, but for own ones.
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
