#pragma once

#include <troupe/actors/exit_reason.hpp>
#include <troupe/base/ids.hpp>
#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/supervisor/restart_window.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::supervisor {

using actors::ExitKind;
using actors::ExitReason;

/// A child of one supervisor, over all its restarts. Ascends in start order.
using ChildKey = Id<struct ChildTag>;

/// One incarnation of a child. Both numbers are never used twice by a
/// supervisor, so that late news about an old incarnation is recognised.
struct ChildRef {
  ChildKey key;
  std::uint64_t incarnation = 0;

  friend bool operator==(const ChildRef&, const ChildRef&) = default;
};

/// Connects a request with its one Reply. Chosen by the shell; never zero.
using Ticket = Id<struct TicketTag>;

/// A timer that was set; only the newest of a child counts.
struct TimerId {
  ChildKey key;  ///< Zero for the shared one of a shutdown.
  std::uint64_t number = 0;

  friend bool operator==(const TimerId&, const TimerId&) = default;
};

enum class ChildState : std::uint8_t {
  stopped = 1,   ///< Has a spec, and no process.
  starting = 2,  ///< Its start has not returned yet.
  running = 3,
  restarting = 4,  ///< Waits for its next start.
  stopping = 5,    ///< Was told to stop.
};

/// "restarting".
[[nodiscard]] std::string_view to_string(ChildState state);

/// How a request ended. Only `ok` and `ignored` mean that it was done.
enum class ReplyCode : std::uint8_t {
  ok = 1,
  ignored = 2,  ///< Started, but the child wants no process.
  already_started = 3,
  already_present = 4,  ///< The id is taken by a child without a process.
  running = 5,
  restarting = 6,
  stopping = 7,  ///< Another request stops it already.
  not_found = 8,
  start_failed = 9,
  invalid_spec = 10,
  unsupported = 11,    ///< Not under this strategy.
  overloaded = 12,     ///< Too many requests wait for a slow start or stop.
  shutting_down = 13,  ///< Nothing is started any more.
};

/// "already_started".
[[nodiscard]] std::string_view to_string(ReplyCode code);

enum class ReportKind : std::uint8_t {
  started = 1,           ///< All children that it starts with are up.
  child_terminated = 2,  ///< A child ended by itself, and not cleanly; or it is
                         ///< permanent.
  start_failed = 3,      ///< `reason.what` says why.
  shutdown_error = 4,    ///< A child that was told to stop ended otherwise.
  auto_shutdown = 5,     ///< Ends because of a significant child.
  gave_up = 6,           ///< Ends because of too many restarts.
  held = 7,              ///< Stops its children because of too many restarts.
  released = 8,          ///< Starts them again.
};

/// "child_terminated".
[[nodiscard]] std::string_view to_string(ReportKind kind);

/// Something that people or hooks should learn.
struct Report {
  ReportKind kind = ReportKind::started;
  std::string supervisor{};    ///< SupervisorSpec::name
  std::string child{};         ///< Its id; empty if none is concerned.
  ChildKey key{};              ///< Zero if none is concerned.
  ExitReason reason{};         ///< How the child ended or why it did not start.
  std::uint32_t restarts = 0;  ///< Of this child so far.

  friend bool operator==(const Report&, const Report&) = default;
};

// What the shell has to do, in this order.

/// Start this incarnation and say how it went: on_child_started, _ignored or
/// _start_failed, at once or later.
struct Start {
  ChildRef child;
  std::uint32_t restarts = 0;  ///< Earlier starts of this child, failed or not.
};
/// Ask the child to end. Its exit is awaited.
struct StopPolitely {
  ChildRef child;
};
/// End the child without asking. Its exit is awaited.
struct Kill {
  ChildRef child;
};
/// Call on_timer(timer) after `delay`; zero means after what has arrived until
/// now. There is no cancelling: timers out of date are ignored.
struct SetTimer {
  TimerId timer;
  Duration delay{0};
};
/// Answer the request. Exactly one per ticket.
struct Reply {
  Ticket ticket;
  ReplyCode code = ReplyCode::ok;
  ChildRef child;    ///< Of a successful start.
  std::string what;  ///< For people; on start_failed and invalid_spec only.
};
/// Call spec->on_presence(presence). Of an event, these come first.
struct Announce {
  std::shared_ptr<const ChildSpec> spec;
  Presence presence = Presence::away;
};
/// The child is gone for good, and what the shell keeps of it can go too.
struct Forget {
  ChildKey child;
};
/// All initial children are up: the start of this supervisor has returned.
struct Ready {};
/// End with this reason. Always the last action; all children are gone.
struct Exit {
  ExitReason reason;
};

using Action = std::variant<Start, StopPolitely, Kill, SetTimer, Reply, Report,
                            Announce, Forget, Ready, Exit>;
using Actions = std::vector<Action>;

/// A child as requests show it.
struct ChildInfo {
  std::string id;
  ChildRef ref;  ///< `incarnation` is the newest one, running or not.
  ChildState state = ChildState::stopped;
  ChildType type = ChildType::worker;
  Restart restart = Restart::permanent;
  std::uint32_t restarts = 0;
  std::optional<TimePoint> next_start;  ///< While it waits in back-off.
  /// How its last incarnation ended or why it did not start; nullopt if that
  /// has not happened.
  std::optional<ExitReason> last_exit;
};

/// A supervisor itself, as requests show it.
struct SupervisorInfo {
  std::string name;
  Strategy strategy = Strategy::one_for_one;
  int intensity = 1;
  Duration period{0};
  std::size_t restarts_used = 0;  ///< Within the period.
  bool is_held = false;           ///< After too many restarts.
  std::optional<TimePoint> held_until;
};

struct ChildCounts {
  std::size_t specs = 0;
  std::size_t active = 0;  ///< Has a process.
  std::size_t supervisors = 0;
  std::size_t workers = 0;

  friend bool operator==(const ChildCounts&, const ChildCounts&) = default;
};

/// Decides everything that a supervisor does, and does nothing: events and the
/// time go in, actions come out (docs/design/supervision.md). Pure; owned by
/// one shell. Events about unknown or old incarnations and timers change
/// nothing.
///
/// Every operation but a shutdown of simple_one_for_one costs O(log children),
/// and O(1) for each child with a listener for its presence.
class SupervisorCore {
 public:
  /// Requests that may wait for a slow start or stop; more are `overloaded`.
  static constexpr std::size_t max_waiting_requests = 1024;

  /// `spec` must have passed check(). `seed` is for the jitter of back-off.
  SupervisorCore(SupervisorSpec spec, std::uint64_t seed);

  /// Starts the initial children one after the other. First call, once.
  Actions on_start(TimePoint now);

  /// The start of `child` has returned with a process,
  Actions on_child_started(ChildRef child, TimePoint now);
  /// .. without one, on purpose,
  Actions on_child_ignored(ChildRef child, TimePoint now);
  /// .. or with an error. After the child was told to stop, both mean that it
  /// has stopped.
  Actions on_child_start_failed(ChildRef child, const std::string& what,
                                TimePoint now);
  /// The process of `child` has ended, whoever wanted that. Before the start
  /// has returned it counts as a failed start.
  Actions on_child_exited(ChildRef child, const ExitReason& reason,
                          TimePoint now);
  Actions on_timer(TimerId timer, TimePoint now);
  /// Stops all children in reverse order, then exits with `reason`. A repeat
  /// changes nothing.
  Actions on_shutdown(const ExitReason& reason, TimePoint now);
  /// The supervisor itself is dead, of a kill or crash. Announces that, and is
  /// the last call. Changes nothing after Exit.
  Actions on_death();

  // Requests. None counts as a restart. Each is answered once.

  /// Adds a child behind the others and starts it.
  Actions start_child(ChildSpec spec, Ticket ticket, TimePoint now);
  /// simple_one_for_one only: starts one more child. The shell keeps the
  /// arguments by `key`, which is from new_key(), until Forget.
  Actions start_dynamic(ChildKey key, Ticket ticket);
  /// Stops a child and keeps its spec, unless it is temporary.
  Actions terminate_child(const std::string& id, Ticket ticket, TimePoint now);
  /// simple_one_for_one only: stops a child and forgets it.
  Actions terminate_dynamic(ChildKey key, Ticket ticket);
  /// Starts a stopped child.
  Actions restart_child(const std::string& id, Ticket ticket, TimePoint now);
  /// Starts all stopped children in order, and forgets the restarts if it was
  /// held. The answer comes before they have started.
  Actions start_all(Ticket ticket, TimePoint now);
  /// Forgets a stopped child.
  Actions delete_child(const std::string& id, Ticket ticket, TimePoint now);

  /// The key for the next start_dynamic().
  [[nodiscard]] ChildKey new_key() { return ChildKey{++last_key_}; }

  /// In start order; O(children).
  [[nodiscard]] std::vector<ChildInfo> which_children() const;
  [[nodiscard]] ChildCounts count_children() const;
  [[nodiscard]] SupervisorInfo info(TimePoint now) const;

  /// The spec of a child that a Start names.
  [[nodiscard]] const ChildSpec& spec_of(ChildKey key) const;
  [[nodiscard]] const SupervisorSpec& spec() const { return spec_; }

 private:
  struct Child {
    std::shared_ptr<const ChildSpec> spec;  ///< Shared by all dynamic ones.
    ChildState state = ChildState::stopped;
    std::uint64_t incarnation = 0;
    std::uint64_t timer = 0;      ///< The number that counts; zero for none.
    std::vector<Ticket> tickets;  ///< Of the requests that wait for it.
    bool added = false;    ///< By the request of `ticket`, not to be kept if it
                           ///< fails.
    bool counted = false;  ///< The next restart is in the window already.
    bool awaits_group = false;  ///< Stopped until its group is started again.
    std::uint64_t left_alone_by = 0;  ///< The number of a work.
    Presence announced = Presence::away;
    std::uint32_t restarts = 0;
    std::uint32_t backoff_step = 0;
    TimePoint started_at;
    TimePoint next_start;
    /// Ended, but that has to wait for its turn.
    std::optional<ExitReason> exited;
    /// What the next restart is due to.
    std::optional<ExitReason> last_exit;
  };
  using Children = std::map<ChildKey, Child>;

  enum class Phase : std::uint8_t { fresh, starting, running, stopping, ended };

  /// What goes on step by step. Whatever else arrives waits for its end, as it
  /// would in the mailbox of OTP's supervisor; a shutdown alone overtakes, and
  /// what SupervisorSpec::serves_while_starting lets through.
  enum class Work : std::uint8_t {
    none,
    start_all,    ///< The initial children.
    start_one,    ///< A restart, or a request.
    stop_one,     ///< A request.
    stop_group,   ///< First half of a group restart,
    start_group,  ///< .. second half.
    hold,         ///< Stops all, but stays.
    release,      ///< Starts all that is stopped; a failed start holds up none.
    shut_down,
  };

  struct Request {
    enum class Kind : std::uint8_t {
      start,
      terminate,
      restart,
      start_all,
      remove,
    };
    Kind kind = Kind::start;
    Ticket ticket;
    std::string id;
    std::optional<ChildSpec> spec;
  };
  using Waiting = std::variant<ChildRef, TimerId, Request>;

  [[nodiscard]] bool simple() const {
    return spec_.strategy == Strategy::simple_one_for_one;
  }
  [[nodiscard]] static bool is_start_of_many(Work work) {
    return work == Work::start_all || work == Work::start_group ||
           work == Work::release;
  }
  /// The work at hand does not start it, because somebody did or stopped it.
  [[nodiscard]] bool is_left_alone(const Child& child) const {
    return child.left_alone_by == work_number_;
  }
  /// A group restart that stops it starts it again.
  [[nodiscard]] bool shares_fate(const Child& child) const {
    return !is_left_alone(child) &&
           (child.spec->restart != Restart::temporary ||
            child.incarnation == 0);
  }
  [[nodiscard]] bool must_wait() const;
  [[nodiscard]] bool must_wait(const Request& request) const;
  [[nodiscard]] bool is_behind_another(const Request& request) const;
  [[nodiscard]] bool awaits_start() const;

  // Steps of work.
  void begin_work(Work work);
  void proceed(TimePoint now);
  void start_next();
  bool stop_next(ChildKey first);
  bool serve_next(TimePoint now);
  void become_ready();
  void start_one(Children::iterator it);
  void begin_start(Children::iterator it);
  bool begin_stop(Children::iterator it);
  void finish_stop(Children::iterator it, const ExitReason& reason);
  void settle_stopped(Children::iterator it);
  void start_failed(Children::iterator it, const std::string& what,
                    TimePoint now);

  // Decisions.
  void decide(Children::iterator it, const ExitReason& reason, TimePoint now);
  void drop(Children::iterator it);
  void retry_later(Children::iterator it, TimePoint now);
  void retry(Children::iterator it, TimePoint now);
  void restart(Children::iterator it);
  void give_up(Children::iterator it, TimePoint now);
  void hold(TimePoint now);
  void release();
  void shut_down(const ExitReason& reason);
  void stop_all();
  void kill_all();

  // Requests.
  Actions request(Request request, TimePoint now);
  void execute(Request request);
  void execute_start(Request request);
  void execute_terminate(const Request& request);
  void execute_restart(const Request& request);
  void execute_remove(const Request& request);
  [[nodiscard]] std::optional<ReplyCode> refuse_unless_stopped(
      Children::iterator it) const;

  // Children and actions.
  Children::iterator find(ChildRef child);
  Children::iterator find(const std::string& id);
  Children::iterator add(std::shared_ptr<const ChildSpec> spec, ChildKey key);
  void erase(Children::iterator it);
  void set_state(Child& child, ChildState state);
  [[nodiscard]] Presence presence_of(ChildKey key, const Child& child) const;
  [[nodiscard]] bool comes_back(ChildKey key, const Child& child) const;
  void announce(Child& child, Presence presence, Actions& announcements);
  void reply(Ticket ticket, ReplyCode code, ChildRef child = {},
             std::string what = {});
  void reply_to(Child& child, ReplyCode code, ChildRef ref = {},
                const std::string& what = {});
  void set_timer(Children::iterator it, Duration delay);
  void report(ReportKind kind, Children::iterator it, const ExitReason& reason);
  template <class A>
  void act(A&& action) {
    actions_.emplace_back(std::forward<A>(action));
  }
  [[nodiscard]] Actions take_actions();

  SupervisorSpec spec_;
  RestartWindow window_;
  Random random_;
  std::shared_ptr<const ChildSpec> template_;  ///< simple_one_for_one only.

  Phase phase_ = Phase::fresh;
  Work work_ = Work::none;
  std::uint64_t work_number_ = 0;  ///< Goes up with each; not from stop_group
                                   ///< to start_group.
  ChildKey cursor_;                ///< The child that the work has come to.
  ChildKey awaited_;               ///< The one whose start the work waits for.
  ChildKey first_;  ///< Where the group of a group restart begins.
  ExitReason exit_reason_;
  std::uint64_t shutdown_timer_ = 0;
  bool is_held_ = false;
  std::uint64_t hold_timer_ = 0;
  TimePoint held_until_;

  Children children_;  ///< By key, which is start order.
  std::unordered_map<std::string, ChildKey> keys_;  ///< Not of dynamic ones.
  std::set<ChildKey> listened_to_;
  std::size_t active_ = 0;  ///< starting, running or stopping.
  std::size_t stopping_ = 0;
  std::size_t supervisors_ = 0;  ///< By type.
  std::size_t significant_ = 0;  ///< Not stopped, and not told to.

  std::deque<Waiting> waiting_;
  std::size_t waiting_requests_ = 0;

  std::uint64_t last_key_ = 0;
  std::uint64_t last_incarnation_ = 0;
  std::uint64_t last_timer_ = 0;
  Actions actions_;  ///< Of the current event.
};

}  // namespace troupe::supervisor
