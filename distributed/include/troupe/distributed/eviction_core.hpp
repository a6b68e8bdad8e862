#pragma once

#include <troupe/base/random.hpp>
#include <troupe/distributed/lease_terms.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/distributed/ring.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::distributed {

/// A session as the store lists it.
struct SessionRow {
  std::string session;  ///< Its random id.
  NodeId node;
  std::uint64_t counter = 0;  ///< Each renewal counts it up.
  bool is_draining = false;
};

/// The janitor of a node: decides which sessions of other nodes it evicts.
///
/// A session may be evicted once this node has itself read the same counter in
/// an unbroken series of successful reads that spans ttl + eviction_margin on
/// its own boot clock, from the first answer to the last. Then the last renewal
/// was committed before that first answer, and sent before that, so that the
/// right of the session has ended, if both clocks keep the same pace up to the
/// margin. No clock is ever compared with another one.
///
/// A read that fails, or whose answer comes more than ttl / 6 after the one
/// before, breaks all series, and so does a right of this node that lapses: if
/// the store is not well for this node, it may not have been well for the
/// others. So an outage of the store evicts nobody.
///
/// In a large cluster some nodes *watch*: the first on the ring whose counters
/// move. The others look only now and then, whether they are among those. For
/// each session the watching nodes take turns, in their order on the ring from
/// the place of its node: each waits for one read more than the one before, so
/// that it sees what that one has done.
///
/// Within a minute a tenth of the nodes may be evicted, and one in any case:
/// more at once is rather the network than the nodes (so does the node
/// controller of Kubernetes). Beyond that an operator has to consent. What
/// others evict counts, too, once it is seen; the store has to hold the same
/// limit if it is to be exact.
///
/// Pure; one thread owns it.
class EvictionCore {
 public:
  /// List all sessions that are live or draining, by `give_up_at`; then
  /// on_read(number) or on_read_failed(number).
  struct Read {
    std::uint64_t number = 0;
    BootTime give_up_at;
  };
  /// Evict it if its counter still is that, in one transaction; then
  /// on_evicted() or on_eviction_failed().
  struct Evict {
    std::string session;
    std::uint64_t counter = 0;

    friend bool operator==(const Evict&, const Evict&) = default;
  };
  /// So many more sessions have stood still for long enough, and the limit says
  /// no. Once, until there are none.
  struct AskConsent {
    std::size_t waiting = 0;
  };
  using Action = std::variant<Read, Evict, AskConsent>;
  using Actions = std::vector<Action>;

  struct Config {
    LeaseTerms terms{};  ///< Have passed check().
    NodeId self{};
    std::uint64_t seed = 0;     ///< For jitter.
    std::size_t watchers = 16;  ///< How many nodes watch; at least 1.
  };

  explicit EvictionCore(const Config& config);

  /// Whether this node has the right to run commands: only then it evicts.
  /// Without it, it reads once in ttl, for people. It has none at first.
  void on_right(bool is_held);

  /// The ring of the newest view, for whose turn it is.
  void on_ring(std::shared_ptr<const Ring> ring) { ring_ = std::move(ring); }

  /// An operator lets any number be evicted until then.
  void on_consent(BootTime until) { consent_until_ = until; }

  /// The answer to a Read came at `now`.
  Actions on_read(std::uint64_t number, const std::vector<SessionRow>& rows,
                  BootTime now);
  void on_read_failed(std::uint64_t number, BootTime now);

  /// The session is evicted, or was no longer what was seen.
  void on_evicted(const std::string& session);
  /// Nobody knows whether it is.
  void on_eviction_failed() { break_series(); }

  /// At wake_at() or later.
  Actions on_time(BootTime now);
  [[nodiscard]] BootTime wake_at() const {
    return is_reading_ ? give_up_at_ : next_read_;
  }

  /// What is known of a session as of the last read.
  struct Standing {
    /// For how long its counter has stood still.
    Duration still_for{};
    /// It could be evicted, if the limit did not say no.
    bool waits_for_consent = false;
  };
  /// None if it was not there.
  [[nodiscard]] std::optional<Standing> standing(
      const std::string& session) const;

  /// Whether this node is one of those that look often, as of the last read.
  [[nodiscard]] bool is_watching() const { return is_watching_; }

 private:
  struct Session {
    NodeId node;
    std::uint64_t counter = 0;
    bool is_draining = false;
    BootTime still_since;            ///< Over reads that failed, too.
    std::optional<BootTime> first;   ///< Answer of the unbroken series.
    std::optional<BootTime> turn{};  ///< When this node may evict it.
    bool waits_for_consent = false;
  };

  void break_series();
  void note(const std::vector<SessionRow>& rows, BootTime now);
  void choose_watchers(BootTime now);
  Actions evict_ripe(BootTime now);
  [[nodiscard]] bool is_ripe(const Session& session, BootTime now) const;
  [[nodiscard]] std::int64_t own_turn(const NodeId& node) const;
  [[nodiscard]] std::size_t allowed(BootTime now) const;
  [[nodiscard]] Duration read_every() const { return config_.terms.ttl / 24; }
  /// However many sessions can be evicted one soon after the other.
  [[nodiscard]] Duration shortest_pause() const { return read_every() / 8; }
  void plan_read(BootTime now);

  Config config_;
  Random random_;
  bool is_held_ = false;
  std::shared_ptr<const Ring> ring_;
  std::map<std::string, Session> sessions_;  ///< At the last read.
  std::vector<NodeId> watchers_;             ///< Ascending.
  bool is_watching_ = true;
  std::uint64_t last_number_ = 0;
  bool is_reading_ = false;
  BootTime give_up_at_;
  BootTime next_read_;
  std::optional<BootTime> last_answer_;
  BootTime seen_at_;                ///< The answer of the last read.
  std::deque<BootTime> evictions_;  ///< Seen or made in the last minute.
  BootTime consent_until_;
  bool has_asked_ = false;
};

}  // namespace troupe::distributed
