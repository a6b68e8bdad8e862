#pragma once

#include <troupe/base/random.hpp>
#include <troupe/distributed/lease_terms.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::distributed {

enum class LeasePhase : std::uint8_t {
  confirming = 1,   ///< Nothing of earlier sessions may be alive: is that so?
  registering = 2,  ///< The store is asked for a session.
  unproven = 3,     ///< It has one; no renewal has been answered yet.
  held = 4,         ///< It has the right: the only phase with starts.
  draining = 5,     ///< It has the right, and waits for what still runs.
  ending = 6,    ///< The right ends in seconds; what must not outlive it dies.
  lapsed = 7,    ///< The right has ended; the next answer may bring it back.
  retiring = 8,  ///< Nothing runs; the store is told that it leaves.
  over = 9,      ///< It has left, or was refused.
};

/// "confirming".
[[nodiscard]] std::string_view to_string(LeasePhase phase);

/// Decides about the right of a node's session to run commands of a cluster, so
/// that no two sessions run the same at once.
///
/// The right ends ttl after the last renewal was sent that was answered; when
/// the answer came says nothing, since the others may have read the session's
/// counter right after the store changed it. A session is gone for good when
/// its eviction is committed in the store, and for no other reason: one that
/// lapsed has its right back as soon as a renewal is answered. While the store
/// cannot be reached nobody is evicted, and commands that nobody else may start
/// (at most once, or `lease_loss: keep`) go on.
///
///               registered             answered            ttl - 8 s
///   registering ----------> unproven ----------> held ------------> ending
///        ^                     ^                  ^  <------------    |
///        | confirmed           | start, adopting  |     answered      | ttl
///        |                     |                  |                   v
///    confirming <--- evicted, in any phase        +----------------- lapsed
///
/// Draining has the same ways as held. A new session needs the warden's word
/// that no command of an earlier one is alive on this host, and after an
/// eviction all are killed for that, whatever their marks: the others may have
/// started them again.
///
/// Pure; one thread owns it. Answers to what was asked for an earlier session,
/// or twice, change nothing.
class LeaseCore {
 public:
  // What the shell has to do, in this order.

  /// Call on_confirmed(number) once no command of any session of this host is
  /// alive.
  struct Confirm {
    std::uint64_t number = 0;
  };
  /// Register a session, under a new random id or, to repeat what was not
  /// answered, under that of before; on_registered(number) tells the answer.
  struct Register {
    std::uint64_t number = 0;
    bool is_new = false;
  };
  /// Count the session's counter up and mark it as draining if it is;
  /// on_renewed(number) tells the answer. There is none to be told later than
  /// `give_up_at`, but if one comes it counts.
  struct Renew {
    std::uint64_t number = 0;
    BootTime give_up_at;
    bool is_draining = false;
  };
  /// The warden is to do without being told what Kill::expendable says, in case
  /// that nobody is there to tell it. Replaces what it was told before.
  struct Guard {
    BootTime kill_at;
    BootTime gone_by;
  };
  /// Commands may be claimed and started, until StopStarting.
  struct MayStart {};
  struct StopStarting {};
  enum class Kill : std::uint8_t {
    expendable,  ///< But for those at most once, and marked to be kept.
    all,
  };
  struct KillBy {
    Kill which = Kill::all;
    BootTime gone_by;  ///< With SIGKILL if they do not go before.
  };
  enum class Loss : std::uint8_t {
    lapsed,   ///< Results are kept and may still count, if it comes back.
    evicted,  ///< What it had belongs to others; results are told as late.
  };
  /// The session has no right any more.
  struct SelfFence {
    Loss loss = Loss::lapsed;
  };
  /// End the session in the store; on_retired() tells that it has.
  struct Retire {};
  enum class End : std::uint8_t {
    retired,
    refused,  ///< This node may not be in the cluster: a person must look.
  };
  /// The last action.
  struct Quit {
    End end = End::retired;
  };
  using Action = std::variant<Confirm, Register, Renew, Guard, MayStart,
                              StopStarting, KillBy, SelfFence, Retire, Quit>;
  using Actions = std::vector<Action>;

  enum class Registered : std::uint8_t {
    yes,
    evicted,  ///< That id was registered before and has been evicted since.
    refused,  ///< A clone of a host that is there, or not enrolled.
  };
  enum class Renewed : std::uint8_t {
    live,
    draining,  ///< Live, and somebody wants it to drain.
    evicted,   ///< There is no such session, or no more.
  };

  /// `terms` have passed check(). `seed` is for jitter.
  LeaseCore(const LeaseTerms& terms, std::uint64_t seed);

  /// First call, once. `adopts` if the session before is known and the warden
  /// still has commands of it: it is renewed instead of replaced.
  Actions on_start(bool adopts, BootTime now);

  Actions on_confirmed(std::uint64_t number, BootTime now);
  Actions on_registered(std::uint64_t number, Registered answer, BootTime now);
  Actions on_renewed(std::uint64_t number, Renewed answer, BootTime now);
  Actions on_retired(BootTime now);

  /// The node is to leave: nothing starts any more, what runs may end, and what
  /// still does at `kill_at` is killed. A repeat only brings that closer.
  Actions on_drain(BootTime kill_at, BootTime now);

  /// While draining: nothing runs, and all results are recorded.
  Actions on_idle(BootTime now);

  /// At wake_at() or later; also before any other event, which does the same.
  Actions on_time(BootTime now);

  /// When on_time() has something to do, if nothing happens before.
  [[nodiscard]] std::optional<BootTime> wake_at() const;

  [[nodiscard]] LeasePhase phase() const { return phase_; }
  [[nodiscard]] bool is_draining() const { return drain_kill_at_.has_value(); }

  /// When the right ends or has ended; none before it first had one.
  [[nodiscard]] std::optional<BootTime> right_until() const {
    return right_until_;
  }

 private:
  void advance(BootTime now);
  void watch_right(BootTime now);
  void watch_drain(BootTime now);
  void send(BootTime now);
  void send_register(bool is_new, BootTime now);
  void send_renewal(BootTime now);
  void extend(BootTime sent, BootTime now);
  void drain(BootTime kill_at);
  void fence(BootTime now);
  void forget_session();
  void quit(End end);
  void become(LeasePhase next);
  [[nodiscard]] bool has_right_left() const;
  [[nodiscard]] Duration pause();
  template <class A>
  void act(A action) {
    actions_.emplace_back(std::move(action));
  }
  Actions take_actions() { return std::exchange(actions_, {}); }

  LeaseTerms terms_;
  Random random_;
  LeasePhase phase_ = LeasePhase::confirming;
  std::uint64_t confirms_ = 0;  ///< How often the warden was asked.
  std::uint64_t last_number_ = 0;
  std::uint64_t session_from_ = 1;  ///< The first number of this session.
  std::map<std::uint64_t, BootTime> sent_;  ///< Renewals, the last few.
  std::uint32_t unanswered_ = 0;            ///< Sent in a row.
  std::optional<BootTime> next_send_;
  std::optional<BootTime> right_until_;
  std::optional<BootTime> drain_kill_at_;
  bool has_killed_for_drain_ = false;
  Actions actions_;
};

}  // namespace troupe::distributed
