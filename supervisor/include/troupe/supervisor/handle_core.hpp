#pragma once

#include <troupe/actors/exit_reason.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/flow_control/bounded_queue.hpp>
#include <troupe/flow_control/drain_rate.hpp>
#include <troupe/supervisor/child_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::supervisor {

/// How much a handle keeps, and for how long.
struct HandleOptions {
  std::string name{};           ///< Of the child, for error texts; not empty.
  std::size_t capacity = 1000;  ///< Messages that wait while it is away; >= 1.
  /// Requests that are not answered yet, waiting ones included; >= 1. For CAF's
  /// mailboxes have no bound of their own.
  std::size_t max_open = 1000;
  /// From the arrival of a request at the handle to its answer; positive. Also
  /// how long any message waits for the child to come back.
  Duration answer_within = 1min;
  /// Bounds of what those are told who are refused because of the two limits:
  /// 0 <= floor <= ceiling.
  Duration retry_floor = 10ms;
  Duration retry_ceiling = 30s;
};

/// Errors: invalid_argument, naming what does not make sense.
[[nodiscard]] Result<void> check(const HandleOptions& options);

/// Totals since the beginning.
struct HandleStats {
  std::uint64_t messages = 0;    ///< All, requests included.
  std::uint64_t requests = 0;    ///< Each of these is answered once.
  std::uint64_t waited = 0;      ///< Messages that came while it was away.
  std::uint64_t passed_on = 0;   ///< Messages, to an incarnation.
  std::uint64_t answered = 0;    ///< Requests, by an incarnation.
  std::uint64_t refused = 0;     ///< Requests, by an error of the handle.
  std::uint64_t rejected = 0;    ///< Other messages: too many, too late, gone.
  std::size_t most_waiting = 0;  ///< Messages, at one time.
  std::size_t most_open = 0;     ///< Requests, at one time.

  friend bool operator==(const HandleStats&, const HandleStats&) = default;
};

/// What a handle is doing.
struct HandleInfo {
  Presence presence = Presence::away;  ///< Of the child, as far as it is known.
  std::size_t waiting = 0;             ///< Messages.
  std::size_t open = 0;  ///< Requests without an answer, waiting ones included.
  HandleStats stats;
};

/// One message at a handle. Chosen by the shell: ascending, never zero, and
/// below 2^59.
using MailNumber = std::uint64_t;
/// One incarnation of the child; zero is none. Never used twice.
using IncarnationId = std::uint64_t;

// What the shell has to do, in this order.

/// Pass the message on to the newest incarnation. If it is a request, its
/// answer goes to on_answer().
struct PassOn {
  MailNumber mail = 0;
};
/// Answer it with this error if it is a request; forget it.
struct Refuse {
  MailNumber mail = 0;
  Error error;
};
/// Call on_time() after `delay`. At most one of these is under way.
struct WakeUp {
  Duration delay{0};
};

using HandleAction = std::variant<PassOn, Refuse, WakeUp>;
using HandleActions = std::vector<HandleAction>;

/// Decides what becomes of the messages to a child that comes and goes. Pure;
/// owned by one shell. Every message that comes in leaves by exactly one
/// PassOn, Refuse, or, if it has waited at the end, the Refuse of on_end(); a
/// request that was passed on ends with one Refuse or one on_answer() that is
/// true. Costs O(log(open requests)) per message.
///
/// The child is one of three things:
///
///   up     messages are passed on
///   away   messages wait; the next incarnation gets them, oldest first
///   gone   messages are refused
///
/// Whether an incarnation lives is another matter: one that is stopping may
/// still answer what it has taken.
class HandleCore {
 public:
  /// `options` must have passed check().
  HandleCore(HandleOptions options, TimePoint now);

  /// Refused as `overloaded` if there is no room, and as `unavailable` if the
  /// child is gone.
  HandleActions on_message(MailNumber mail, bool is_request, TimePoint now);

  /// The incarnation has answered a request. Whether the answer is to be
  /// passed on; otherwise the request has been answered already.
  [[nodiscard]] bool on_answer(MailNumber mail, TimePoint now);
  /// It has answered by crashing.
  HandleActions on_crash_answer(MailNumber mail,
                                const actors::ExitReason& reason,
                                TimePoint now);

  /// There is a new incarnation, not up yet. The one before it has ended.
  HandleActions on_incarnation(IncarnationId incarnation, TimePoint now);
  /// An incarnation has ended. Of one that is not the newest: ignored.
  HandleActions on_ended(IncarnationId incarnation,
                         const actors::ExitReason& reason, TimePoint now);
  /// What the supervisor says about the child.
  HandleActions on_presence(Presence presence, TimePoint now);
  /// The delay of a WakeUp has passed.
  HandleActions on_time(TimePoint now);
  /// The handle ends: refuses whatever is not answered. Last call.
  HandleActions on_end();

  [[nodiscard]] HandleInfo info() const;

 private:
  struct Waiting {
    MailNumber mail = 0;
    bool is_request = false;
  };

  void pass_on(Waiting message, TimePoint arrived);
  void refuse(Waiting message, Errc code, std::string what);
  void refuse_full(Waiting message, flow_control::Rejected answer,
                   const std::string& what);
  void wait(Waiting message, TimePoint now);
  void pass_on_waiting(TimePoint now);
  void refuse_waiting(const std::string& what);
  void refuse_taken(const std::string& what);
  void become(Presence presence, TimePoint now);
  void expire(TimePoint now);
  [[nodiscard]] std::size_t open() const {
    return taken_.size() + waiting_requests_;
  }
  [[nodiscard]] HandleActions take_actions(TimePoint now);

  HandleOptions options_;
  Presence presence_ = Presence::away;
  TimePoint away_since_;
  IncarnationId incarnation_ = 0;
  flow_control::BoundedQueue<Waiting> waiting_;
  std::size_t waiting_requests_ = 0;
  /// Requests that an incarnation has and when each came here. In the order of
  /// their coming, therefore of their deadlines, too.
  std::map<MailNumber, TimePoint> taken_;
  flow_control::DrainRate answers_;  ///< For who is refused while it is up.
  bool wake_up_is_set_ = false;
  HandleStats stats_;
  HandleActions actions_;  ///< Of the current event.
};

}  // namespace troupe::supervisor
