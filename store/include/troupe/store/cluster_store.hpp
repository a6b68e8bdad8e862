#pragma once

/// What the nodes of a cluster keep in their store beside its jobs: which
/// sessions are there, and what all of them have agreed on. Who may evict whom,
/// and when, is decided in `distributed`; here it is written down.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/store/job.hpp>
#include <troupe/store/store.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::store {

inline constexpr std::size_t largest_session_detail = 4096;
inline constexpr std::size_t largest_view = 1 << 20;
inline constexpr std::size_t largest_roster = 8 << 20;
/// An ended session is forgotten when its node begins another one so long after
/// its last renewal.
inline constexpr Duration session_memory = 24h;

/// One life of a node of a cluster.
struct NewSession {
  SessionId session;
  std::string node;  ///< Which outlives its sessions; 1 to longest_id bytes.
  /// Which one of that node it is: each has a greater one than those before it.
  /// At least 1.
  std::uint64_t incarnation = 1;
  std::string detail{};  ///< What others have to know of it; any bytes.

  friend bool operator==(const NewSession&, const NewSession&) = default;
};

enum class Registered : std::uint8_t {
  yes = 1,
  ended = 2,  ///< It was there, and is no more.
  late = 3,   ///< A later session of its node has begun.
};

/// A session that has begun and not ended.
struct SessionInfo {
  NewSession session;
  std::uint64_t counter = 0;  ///< Each renewal counts it up.
  bool is_draining = false;
  WallTime seen;  ///< Its last renewal, for people.

  friend bool operator==(const SessionInfo&, const SessionInfo&) = default;
};

enum class Renewed : std::uint8_t {
  live = 1,
  draining = 2,
  ended = 3,  ///< There is no such session, or no more.
};

struct Renewal {
  Renewed session = Renewed::live;
  std::uint64_t view = 0;  ///< The number of the newest one.

  friend bool operator==(const Renewal&, const Renewal&) = default;
};

/// What all nodes have agreed on last. Number 0 is before the first one.
struct AgreedView {
  std::uint64_t number = 0;
  std::string what{};  ///< Any bytes.

  friend bool operator==(const AgreedView&, const AgreedView&) = default;
};

/// Who belongs to the cluster, as its authority has said. Number 0 is before it
/// has said anything; whatever it says later has a greater one.
struct KnownRoster {
  std::uint64_t number = 0;
  std::string what{};  ///< Any bytes.

  friend bool operator==(const KnownRoster&, const KnownRoster&) = default;
};

/// Each call is one transaction and may be repeated, as those of Store; errors
/// of every call are the same. A session leaves by Store::end_session().
///
/// renew(), propose() and what only looks wait for nobody who works on jobs, if
/// they have a connection of their own.
class ClusterStore {
 public:
  virtual ~ClusterStore() = default;

  /// Begins a session and ends those of its node that came before it. One that
  /// is there gets the detail and stays as it is otherwise, so that a repeat
  /// changes nothing; one whose incarnation is not greater than all before it
  /// comes too late, whatever has become of those.
  ///
  /// Errors: invalid_argument (a bound).
  virtual Result<Registered> register_session(const NewSession& session,
                                              WallTime now) = 0;

  /// Counts the session's counter up and, if it `is_draining`, marks it so for
  /// good.
  virtual Result<Renewal> renew(const SessionId& session, bool is_draining,
                                WallTime now) = 0;

  /// Those that were registered and have not ended, by name.
  virtual Result<std::vector<SessionInfo>> sessions() = 0;

  /// Ends a session that was registered, as Store::end_session() does, if its
  /// counter still is `counter`. Nullopt, and nothing changes, if it is not or
  /// the session has ended: by an earlier try of the same, say.
  virtual Result<std::optional<SessionEnd>> evict(const SessionId& session,
                                                  std::uint64_t counter,
                                                  WallTime now) = 0;

  /// The newest.
  virtual Result<AgreedView> view() = 0;

  /// Takes `next` if its number is the next one. Answers the newest view, which
  /// is `next` or what was faster.
  ///
  /// Errors: invalid_argument (larger than largest_view).
  virtual Result<AgreedView> propose(const AgreedView& next) = 0;

  /// The newest, if its number is greater than `known`.
  virtual Result<std::optional<KnownRoster>> roster_after(
      std::uint64_t known) = 0;

  /// Takes `next` if its number is greater than that of the newest.
  ///
  /// Errors: invalid_argument (larger than largest_roster).
  virtual Result<void> set_roster(const KnownRoster& next) = 0;
};

/// Whether it keeps the bounds.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check(const NewSession& session);
[[nodiscard]] Result<void> check(const AgreedView& view);
[[nodiscard]] Result<void> check(const KnownRoster& roster);

}  // namespace troupe::store
