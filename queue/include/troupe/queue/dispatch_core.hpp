#pragma once

/// Decides which of the tasks that wait starts next on this node, and why the
/// others do not. Pure.
///
/// Tasks wait in queues: those of one group that take the same resources. So a
/// task that is too large for what is free keeps only its own kind waiting
/// (no head-of-line blocking), until it has waited for `reserve_after`: then
/// what comes behind it and takes of what it lacks waits as well, and it gets
/// its turn.
///
/// Between groups the next start goes to the one with the smallest `pass`,
/// which each start moves on by 1 / weight (stride scheduling, Waldspurger and
/// Weihl 1995): over time groups get starts in proportion to their weights, and
/// one that had nothing to do does not save up. Within a group it goes by
/// priority and then by age.
///
/// The slots of a group may be those of several nodes together (share()). The
/// store sees to it that they are enough, so what such a group has claimed and
/// does not start would keep others from it: nothing of it is claimed ahead,
/// and what does not start at once is given back. Now and then a slot that
/// becomes free is left to others for a moment, for they may have what this
/// node cannot see or run.
///
/// Tasks that are to be spread over nodes (spread.hpp) are claimed up to this
/// node's share at once, and more only if they wait all the same: where there
/// is room for more, one more after 1.2 s, longer than others take to look,
/// then two, then four. So nothing waits for long for who has no room, or is
/// gone.
///
/// A queue goes through: has work in the store -> claims_for() says how many to
/// claim -> claimed() -> start_next() -> ended().
#include <troupe/base/time.hpp>
#include <troupe/flow_control/circuit_breaker.hpp>
#include <troupe/flow_control/resources.hpp>
#include <troupe/flow_control/token_bucket.hpp>
#include <troupe/store/job.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::queue {

/// Why a queue does not start anything at this moment.
enum class Hindrance : std::uint8_t {
  none,        ///< Nothing keeps it: it starts as soon as it is its turn.
  node_held,   ///< Somebody has held the node.
  group_held,  ///< Or its group.
  breaker,     ///< Too much of the group has failed.
  rate,        ///< The group has started as much as it may in this minute.
  slots,       ///< All slots of the group are taken.
  node_slots,  ///< All slots of the node are taken.
  never_fits,  ///< It takes more than the node has.
  resources,   ///< It takes more than is free.
  reserved,    ///< What is free is kept for one that has waited for long.
  memory,      ///< The machine has too little memory left.
  disk,        ///< Or its disk too little space.
};

/// "group_held".
[[nodiscard]] std::string_view to_string(Hindrance hindrance);

struct Obstacle {
  Hindrance kind = Hindrance::none;
  std::string detail{};              ///< The resource, if it is about one.
  std::optional<TimePoint> until{};  ///< If time alone takes it away.
};

/// Tasks of a job, or of a group, that the store counts as running.
struct TasksAtHand {
  std::uint64_t waiting = 0;   ///< Only claimed; before that it counted so.
  std::uint64_t retrying = 0;  ///< Likewise.
  std::uint64_t paused = 0;    ///< Run, and stand still.

  friend bool operator==(const TasksAtHand&, const TasksAtHand&) = default;
};

class DispatchCore {
 public:
  struct Config {
    flow_control::Resources capacity;
    std::uint32_t most_running = 1024;
    Duration reserve_after = 1min;
  };

  /// So many tasks of a queue are to be claimed.
  struct ClaimOrder {
    store::QueueId queue;
    std::uint32_t count = 0;

    friend bool operator==(const ClaimOrder&, const ClaimOrder&) = default;
  };

  /// A task that runs or is about to: the right to a slot and to resources.
  struct Start {
    store::QueueId queue;
    flow_control::CircuitBreaker::Allowed call;
  };

  enum class End : std::uint8_t {
    success,
    failure,
    neutral,  ///< Says nothing about its group: it was cancelled or is lost.
  };

  explicit DispatchCore(Config config);

  /// The groups that there are now, each with slots of this node.
  void set_groups(const std::vector<store::Group>& groups, TimePoint now);

  /// The slots of this one are for all nodes, which have `claimed` so many of
  /// its tasks, this one included. To be told after set_groups(), each time.
  void share(const std::string& group, std::uint64_t claimed);
  [[nodiscard]] bool is_shared(const std::string& group) const;
  /// Whether nothing more of a shared group may be claimed by anybody, as far
  /// as it is known.
  [[nodiscard]] bool is_full(const std::string& group) const;

  /// What waits in the store now, as Store::queues() tells it, and how much of
  /// it to claim. `room` as in start_next().
  [[nodiscard]] std::vector<ClaimOrder> claims_for(
      const std::vector<store::QueueHead>& heads, std::size_t room,
      TimePoint now);

  /// Whether this node has what a task of that queue takes. What was claimed
  /// for it and is found later may have been edited since, to run elsewhere.
  [[nodiscard]] bool can_run(const store::QueueId& queue);

  /// So many were claimed and wait here.
  void claimed(const store::QueueId& queue, std::uint32_t count);
  /// They do not any more, and did not start.
  void given_back(const store::QueueId& queue, std::uint32_t count);

  /// One runs already: it was taken over. Takes what it needs, whatever else
  /// says no.
  [[nodiscard]] Start adopted(const store::QueueId& queue, TimePoint now);

  /// The queue that starts the task that it has claimed first; nullopt if none
  /// may at this moment. `room` is how many more the machine has memory for.
  [[nodiscard]] std::optional<Start> start_next(std::size_t room,
                                                TimePoint now);

  /// What was started has ended.
  void ended(const Start& start, End how, TimePoint now);

  void hold(bool is_held) { is_held_ = is_held; }
  [[nodiscard]] bool is_held() const { return is_held_; }
  /// Forgets the failures of a group.
  void close_breaker(const std::string& group, TimePoint now);

  /// When a rate or a breaker, or waiting for long, will let something start
  /// that may not now; nullopt if time changes nothing.
  [[nodiscard]] std::optional<TimePoint> next_change(TimePoint now) const;

  /// What keeps a queue from starting; `room` as in start_next().
  [[nodiscard]] Obstacle obstacle(const store::QueueId& queue, std::size_t room,
                                  TimePoint now) const;

  [[nodiscard]] flow_control::BreakerState breaker(
      const std::string& group) const;
  /// The names of those that it knows.
  [[nodiscard]] std::vector<std::string> groups() const;
  [[nodiscard]] std::uint32_t running() const { return running_; }
  [[nodiscard]] std::uint32_t waiting_here() const;
  [[nodiscard]] const flow_control::Resources& free() const { return free_; }
  [[nodiscard]] const flow_control::Resources& capacity() const {
    return config_.capacity;
  }

 private:
  using Breaker = flow_control::CircuitBreaker;

  struct Group {
    Group(const store::Group& settings, TimePoint now);
    void apply(const store::Group& settings, TimePoint now);

    store::Group settings;
    std::uint32_t running = 0;
    std::uint32_t ready = 0;
    std::uint64_t pass = 0;
    std::optional<flow_control::TokenBucket> rate;
    std::optional<Breaker> breaker;
    std::optional<TimePoint> refused_until;  ///< By the breaker.
    /// Starts within this tenth of a second and the one before, for how many to
    /// claim ahead.
    std::int64_t tenth = 0;
    std::uint32_t starts = 0;
    std::uint32_t starts_before = 0;
    bool is_known = true;  ///< To the store.
    /// Of those that all nodes share, as many as nobody has claimed; none if
    /// the slots are this node's.
    std::optional<std::uint64_t> shared_left;
    /// Until then others come first; see share().
    TimePoint yields_until{};
    TimePoint yields_next{};
  };

  struct Queue {
    flow_control::Resources needs;
    /// Of what is spread: how many are for this node; else 0.
    std::uint64_t share = 0;
    std::uint64_t had = 0;  ///< Of these, since something waits.
    /// There is room for more than its share.
    std::optional<TimePoint> held_back_since{};
    std::uint32_t ready = 0;
    std::uint32_t running = 0;
    std::optional<store::QueueHead> head;  ///< In the store.
    std::optional<TimePoint> starving_since;
  };

  /// What claims are counted against in one go.
  struct Budget {
    std::uint64_t startable = 0;  ///< Tasks, of whatever group.
    flow_control::Resources free;

    void spend(const flow_control::Resources& needs, std::uint64_t count);
  };

  Queue& queue(const store::QueueId& id);
  [[nodiscard]] Budget budget(std::size_t room) const;
  [[nodiscard]] static std::uint64_t claims_of_shared(const Group& group,
                                                      const Queue& queue,
                                                      const Budget& budget);
  Group& group(const std::string& name, TimePoint now);
  [[nodiscard]] const Group* find_group(const std::string& name) const;
  [[nodiscard]] std::vector<std::map<store::QueueId, Queue>::iterator> ranked();
  void take(Queue& queue, Group& group);
  [[nodiscard]] std::uint32_t ahead(Group& group, TimePoint now) const;
  static void count_start(Group& group, TimePoint now);
  [[nodiscard]] Obstacle group_obstacle(const Group& group,
                                        TimePoint now) const;
  /// How many more of it are this node's by now; all if it is not spread.
  [[nodiscard]] static std::uint64_t spread_left(const Queue& queue,
                                                 TimePoint now);
  [[nodiscard]] static Obstacle share_obstacle(const Group& group,
                                               TimePoint now);
  [[nodiscard]] Obstacle resource_obstacle(const store::QueueId& id,
                                           const flow_control::Resources& needs,
                                           TimePoint now) const;
  [[nodiscard]] bool ranks_before(const store::QueueHead& a,
                                  const store::QueueId& b) const;
  void note_starving(TimePoint now);

  Config config_;
  flow_control::Resources free_;
  flow_control::Resources owed_;  ///< Taken by adoption beyond what there was.
  bool is_held_ = false;
  std::uint32_t running_ = 0;
  std::uint64_t pass_ = 0;  ///< Of the last start.
  std::map<std::string, Group> groups_;
  std::map<store::QueueId, Queue> queues_;
};

}  // namespace troupe::queue
