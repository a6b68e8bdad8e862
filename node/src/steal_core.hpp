#pragma once

/// Decides whom a node that has nothing to do asks for work, and what one that
/// has too much lets go (work stealing by idle nodes; Blumofe and Leiserson
/// 1999). Nodes tell each other whether tasks wait that they have no room for;
/// who has nothing asks the two with most of that in which shards it finds
/// some, and looks there. All of it are hints: whoever claims a task has it,
/// and who hears nothing looks abroad by itself. Pure.
#include <troupe/base/time.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/link/message.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace troupe::node {

class StealCore {
 public:
  static constexpr std::size_t most_asked = 2;
  /// Between two times that a node tells of its load, or asks; the latter twice
  /// as long each time that nothing has come of it.
  static constexpr Duration pause = 100ms;
  static constexpr Duration longest_pause = 2s;
  /// A load is told again so often while there is a backlog, and is believed
  /// for three times as long.
  static constexpr Duration telling_pause = 1s;

  /// What the dispatcher has found when it looked for work.
  struct Look {
    bool is_hungry = false;  ///< There is room, and nothing near.
    /// Shards of its own where something waits that it has no room for.
    std::vector<std::uint32_t> spare{};
    bool is_held = false;  ///< It is to start nothing.
  };

  /// Of this node, for others to know.
  explicit StealCore(std::uint32_t slots) : slots_{slots} {}

  void on_look(Look look);
  /// The newest view that this node knows.
  void on_view(std::uint64_t number) { view_ = number; }
  void on_load(const distributed::NodeId& peer, const link::Load& load,
               TimePoint now);
  void forget(const distributed::NodeId& peer) { peers_.erase(peer); }

  /// What all peers are to be told now, if it is anything new.
  [[nodiscard]] std::optional<link::Load> tell(TimePoint now);

  /// What a peer has said of itself, if that is so now: it says it again.
  struct Backlog {
    bool is_held = false;
  };
  [[nodiscard]] std::optional<Backlog> backlog_of(
      const distributed::NodeId& peer, TimePoint now) const;

  /// Who is to be asked now, most loaded first.
  [[nodiscard]] std::vector<distributed::NodeId> ask(TimePoint now);

  /// What is answered to somebody who asks; nothing if nothing can be spared.
  [[nodiscard]] link::StealOffer offer() const;

 private:
  struct Peer {
    std::uint32_t waiting = 0;
    bool is_held = false;
    TimePoint heard;
  };

  std::uint32_t slots_;
  Look look_;
  std::uint64_t view_ = 0;
  std::map<distributed::NodeId, Peer> peers_;  ///< Those with a backlog.
  std::optional<link::Load> told_;
  TimePoint told_at_;
  std::optional<TimePoint> asked_at_;
  Duration asking_pause_ = pause;
};

}  // namespace troupe::node
