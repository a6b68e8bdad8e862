#pragma once

#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>
#include <troupe/distributed/node_id.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::distributed {

/// A task that the store says is this session's; the pair is its token.
struct ClaimedTask {
  std::uint64_t task = 0;
  std::uint32_t attempt = 0;
  std::uint32_t shard = 0;

  friend bool operator==(const ClaimedTask&, const ClaimedTask&) = default;
};

/// What a peer has said of itself.
struct PeerLoad {
  NodeId node;
  std::uint32_t slots = 1;    ///< At least 1.
  std::uint32_t waiting = 0;  ///< Claimed and not started.
  bool has_backlog = false;   ///< More waits in the store, in its shards.
};

enum class StealPhase : std::uint8_t {
  content = 1,  ///< It has work, or may not claim.
  hungry = 2,   ///< It has none, and waits before it bothers others.
  asking = 3,   ///< Peers are asked what they can spare.
  looking = 4,  ///< The store is asked where something waits.
  taking = 5,   ///< It claims from shards of others.
};

/// "content".
[[nodiscard]] std::string_view to_string(StealPhase phase);

/// Decides which tasks this node claims: from which shard next, how many at
/// once, what it gives back, and when it takes from shards of others. Ownership
/// of a shard is a hint; whoever claims a task has it, because the store says
/// so. So nothing here can do worse than to waste a question.
///
/// It keeps a bounded stock of tasks that wait here for a slot: up to twice as
/// many as there are slots, so that a slot never waits for the store, and not
/// more than `most_waiting`, since an eviction has to put all of them back in
/// one transaction. It is filled up once half of it is gone. Shards of its own
/// that have something take turns; which ones those are is asked every
/// `look_every`, and told by hints in between.
///
/// A node without work first asks the two busiest peers, then the store, and
/// claims from foreign shards no more than it can start at once. While there is
/// nothing to be had it asks more and more rarely (work stealing by idle nodes;
/// Blumofe and Leiserson 1999).
///
/// Pure; one thread owns it.
class ShardClaimsCore {
 public:
  struct Config {
    std::uint32_t slots = 1;            ///< Commands at once; at least 1.
    std::uint32_t most_waiting = 2000;  ///< At least 1.
    std::uint32_t batch = 100;          ///< Tasks of one claim; at least 1.
    std::uint32_t steal_batch = 32;     ///< The same from others.
    std::uint32_t most_offered = 8;     ///< Shards named to a peer.
    Duration look_every = 1s;
    Duration rest = 1s;  ///< After an offer, for the peer to take it.
    Duration peer_answers_within = 2s;
    Duration longest_steal_pause = 30s;
    std::uint64_t seed = 0;  ///< For jitter.
  };

  /// Which of its own shards, or which of all others (a few of them), have
  /// tasks that may start now? on_looked(number) tells.
  struct Look {
    std::uint64_t number = 0;
    bool is_foreign = false;

    friend bool operator==(const Look&, const Look&) = default;
  };
  /// Claim up to `limit` tasks of `shard`; on_claimed(number) tells which.
  struct Claim {
    std::uint64_t number = 0;
    std::uint32_t shard = 0;
    std::uint32_t limit = 0;

    friend bool operator==(const Claim&, const Claim&) = default;
  };
  /// Give them back to the store. They were not started and are not here any
  /// more.
  struct Release {
    std::vector<ClaimedTask> tasks;

    friend bool operator==(const Release&, const Release&) = default;
  };
  /// Ask this peer what it can spare; on_offer() tells, or nothing does.
  struct AskPeer {
    NodeId peer;

    friend bool operator==(const AskPeer&, const AskPeer&) = default;
  };
  /// Tell a peer that asked in which shards it finds something, if any; after a
  /// Release before it.
  struct Offer {
    NodeId peer;
    std::vector<std::uint32_t> shards;

    friend bool operator==(const Offer&, const Offer&) = default;
  };
  using Action = std::variant<Look, Claim, Release, AskPeer, Offer>;
  using Actions = std::vector<Action>;

  explicit ShardClaimsCore(const Config& config);

  /// Whether the session has the right to claim; it has none at first.
  Actions on_right(bool is_held, TimePoint now);
  /// The shards that it owns now, ascending. What it has claimed stays.
  Actions on_shards(const std::vector<std::uint32_t>& own, TimePoint now);
  /// At least 1. Gives back what is too much.
  Actions on_slots(std::uint32_t slots, TimePoint now);

  /// Gives back all that has not started, and claims nothing any more.
  Actions on_drain(TimePoint now);
  /// The session was evicted: nothing that waits here is its own any more, and
  /// what is still to be answered does not count.
  void on_evicted();

  /// Something has come into this shard; may be lost, or wrong.
  Actions on_hint(std::uint32_t shard, TimePoint now);

  /// Each Look and each Claim is answered once, by one of these.
  Actions on_looked(std::uint64_t number,
                    const std::vector<std::uint32_t>& shards, TimePoint now);
  Actions on_claimed(std::uint64_t number,
                     const std::vector<ClaimedTask>& tasks, TimePoint now);
  /// What a claim has claimed although its answer was lost comes by on_found().
  Actions on_failed(std::uint64_t number, TimePoint now);

  /// The store says that these are ours; those that wait here are ignored.
  Actions on_found(const std::vector<ClaimedTask>& tasks, TimePoint now);

  /// A task that waited here has started, or is not to start any more.
  Actions on_started(std::uint64_t task, TimePoint now);
  Actions on_dropped(std::uint64_t task, TimePoint now);
  /// One that had started has ended.
  Actions on_ended(TimePoint now);

  /// The newest of what all peers have said.
  void on_loads(std::vector<PeerLoad> loads) { loads_ = std::move(loads); }
  Actions on_peer_asks(const NodeId& peer, TimePoint now);
  Actions on_offer(const NodeId& peer, const std::vector<std::uint32_t>& shards,
                   TimePoint now);

  /// At wake_at() or later.
  Actions on_time(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> wake_at() const;

  /// How many tasks may wait here: min(2 * slots, most_waiting).
  [[nodiscard]] std::uint32_t waiting_limit() const;
  [[nodiscard]] std::uint32_t waiting() const {
    return static_cast<std::uint32_t>(order_of_.size());
  }
  [[nodiscard]] std::uint32_t running() const { return running_; }
  [[nodiscard]] bool has_backlog() const { return !ready_.empty(); }
  [[nodiscard]] StealPhase steal_phase() const { return steal_; }

 private:
  struct OpenClaim {
    std::uint64_t number = 0;
    std::uint32_t shard = 0;
    std::uint32_t limit = 0;
    bool is_foreign = false;
  };

  Actions pump(TimePoint now);
  void claim_own();
  void look(TimePoint now);
  void steal(TimePoint now);
  void ask_peers(TimePoint now);
  void look_abroad();
  void take();
  void go_hungry(TimePoint now);
  void claim(std::uint32_t shard, std::uint32_t limit, bool is_foreign);
  void keep(const ClaimedTask& task);
  void forget(std::uint64_t task);
  void mark_ready(std::uint32_t shard);
  void give_back(std::size_t count);
  void give_back_excess();
  [[nodiscard]] bool may_claim() const { return is_held_ && !is_draining_; }
  [[nodiscard]] bool owns(std::uint32_t shard) const;
  [[nodiscard]] bool lacks_work() const;
  [[nodiscard]] std::uint32_t free_slots() const;
  [[nodiscard]] Duration jittered(Duration longest);
  Actions take_actions() { return std::exchange(actions_, {}); }

  Config config_;
  Random random_;
  bool is_held_ = false;
  bool is_draining_ = false;
  std::vector<std::uint32_t> own_;                   ///< Ascending.
  std::deque<std::uint32_t> ready_;                  ///< Own ones, in turn.
  std::set<std::uint32_t> is_ready_;                 ///< The same.
  std::map<std::uint64_t, ClaimedTask> stock_;       ///< In order of claims.
  std::map<std::uint64_t, std::uint64_t> order_of_;  ///< By task.
  std::uint64_t last_order_ = 0;
  std::uint32_t running_ = 0;
  std::uint64_t last_number_ = 0;
  std::optional<OpenClaim> open_claim_;
  std::optional<std::uint64_t> open_look_;
  std::optional<std::uint64_t> open_look_abroad_;
  bool found_nothing_ = false;  ///< The last look at own shards.
  TimePoint next_look_;
  TimePoint rests_until_;
  StealPhase steal_ = StealPhase::content;
  Duration steal_pause_;
  TimePoint steal_at_;  ///< While hungry, and asking: until when.
  std::set<NodeId> asked_;
  std::deque<std::uint32_t> abroad_;  ///< Foreign shards to take from.
  std::vector<PeerLoad> loads_;
  Actions actions_;
};

}  // namespace troupe::distributed
