#pragma once

#include <troupe/base/time.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/distributed/view.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace troupe::distributed {

/// Decides when this node proposes the next view, and what is in it: the nodes
/// that have a session, of which new ones join for a while, since whoever gets
/// all its shards at once has to fetch work for all of them at once.
///
/// Every node may propose, and the store takes one proposal of each number. To
/// spare the others a try that fails, the nodes take turns, in the order in
/// which they stand on the ring from a place that moves with the number. A
/// proposal comes `pause` after the view before it at the earliest, on the
/// clock of whoever proposes, and takes all changes since then together. A zone
/// alone, which changes nothing on the ring, is no reason for one.
///
/// Pure; one thread owns it.
class ViewCore {
 public:
  struct Config {
    NodeId self{};
    Duration pause = 1s;          ///< Between two views, at least.
    Duration joining_time = 30s;  ///< Until a new node gets all its shards.
    Duration turn = 200ms;        ///< How long each node waits for the one
                                  ///< before it, most_turns times at most.
  };
  static constexpr std::size_t most_turns = 10;

  explicit ViewCore(Config config);

  /// The newest view that this node has learnt of; number 0, with the ring
  /// parameters of the cluster, if there is none. Older ones change nothing.
  /// `view` has passed check().
  void on_view(const View& view, TimePoint now);

  /// Who has a session now, and is active or draining; in any order, each once.
  /// Those that do not pass check(), and those beyond most_nodes by their ids,
  /// are left out.
  void on_nodes(std::vector<Member> nodes, TimePoint now);

  /// Nobody tells any more who has a session, as of now: what is known may be
  /// wrong soon. Nothing is proposed until on_nodes() is called again.
  void forget_nodes();

  /// The view to propose now, if any. What became of it is told by on_view():
  /// the proposal itself, or the one that was faster. One that is lost is
  /// proposed again after `pause`.
  [[nodiscard]] std::optional<View> on_time(TimePoint now);

  /// When on_time() has something to do, if nothing happens before.
  [[nodiscard]] std::optional<TimePoint> wake_at() const { return wake_at_; }

  [[nodiscard]] const View& view() const { return view_; }

  /// The ring of view(), for everybody on this node: it is reckoned once.
  [[nodiscard]] const std::shared_ptr<const Ring>& ring() const {
    return ring_;
  }

 private:
  [[nodiscard]] View wanted(TimePoint now) const;
  [[nodiscard]] MemberState wanted_state(const Member& node, const Member* old,
                                         TimePoint now) const;
  [[nodiscard]] Duration own_turn() const;
  void plan(TimePoint now);

  Config config_;
  bool knows_view_ = false;
  bool knows_nodes_ = false;
  View view_;
  std::shared_ptr<const Ring> ring_;
  std::vector<Member> nodes_;                 ///< Ascending.
  std::map<NodeId, TimePoint> joining_from_;  ///< As learnt, not as agreed.
  TimePoint next_proposal_;  ///< Not before; after the view and a proposal.
  std::optional<TimePoint> differs_from_;  ///< Since when, if it does.
  Duration own_turn_{0};
  std::optional<TimePoint> wake_at_;
};

}  // namespace troupe::distributed
