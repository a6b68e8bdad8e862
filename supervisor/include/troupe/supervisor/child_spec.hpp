#pragma once

#include <troupe/base/error.hpp>
#include <troupe/base/random.hpp>
#include <troupe/base/time.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace troupe::supervisor {

class StartContext;  // start.hpp; the core hands start functions on unopened
class StartResult;

/// Makes one new incarnation of a child: called for the first start and again,
/// with the same arguments, for every restart. Runs in the supervisor and must
/// not block. What it throws counts as a failed start.
using StartFunction = std::function<StartResult(StartContext&)>;

/// After which exits a child is started again.
enum class Restart : std::uint8_t {
  permanent = 1,  ///< Any.
  transient = 2,  ///< All but normal and shutdown.
  temporary = 3,  ///< None, and its spec goes with it.
};

enum class ChildType : std::uint8_t { worker = 1, supervisor = 2 };

/// Which children a failed one takes with it.
enum class Strategy : std::uint8_t {
  one_for_one = 1,         ///< None.
  one_for_all = 2,         ///< All.
  rest_for_one = 3,        ///< Those that were started after it.
  simple_one_for_one = 4,  ///< None; all children are made from one spec.
};

/// "one_for_one".
[[nodiscard]] std::string_view to_string(Strategy strategy);

/// Whether the end of significant children ends their supervisor.
enum class AutoShutdown : std::uint8_t {
  never = 1,
  any_significant = 2,  ///< The first one that ends.
  all_significant = 3,  ///< The last one that ends.
};

/// What a supervisor does after too many restarts. The last two are ours; they
/// are not for simple_one_for_one.
enum class OnGiveUp : std::uint8_t {
  escalate = 1,  ///< Stops its children and ends: its own supervisor decides.
  /// Stops its children and lives on without them, until somebody starts them
  /// (StartAll, RestartChild) or `hold_for` has passed: then it starts them
  /// with a fresh budget.
  hold = 2,
  stop = 3,  ///< As hold, but nothing starts them by itself.
};

/// How a child is stopped. A Duration is the time from the polite stop to the
/// kill.
struct BrutalKill {
  friend bool operator==(const BrutalKill&, const BrutalKill&) = default;
};
struct Infinity {
  friend bool operator==(const Infinity&, const Infinity&) = default;
};
using Shutdown = std::variant<Duration, BrutalKill, Infinity>;

/// Waits before restarts. The n-th in a row (from 0) comes after
/// min(min * factor^n, max), changed by up to +-jitter of itself.
struct Backoff {
  Duration min = 100ms;  ///< Positive.
  Duration max = 30s;    ///< At least `min`.
  double factor = 2.0;   ///< At least 1.
  double jitter = 0.1;   ///< 0 to 1.
  /// A child that was up for this long starts again from `min`.
  Duration reset_after = 60s;
};

/// The wait before restart number `step` (from 0) in a row.
[[nodiscard]] Duration backoff_delay(const Backoff& backoff, std::uint32_t step,
                                     Random& random);

/// Whether a child can be given work, as its supervisor sees it.
enum class Presence : std::uint8_t {
  up = 1,  ///< It runs and has not been told to stop.
  away =
      2,  ///< It does not run, or is about to end, but will be started again.
  gone = 3,  ///< Not there, and not started again unless somebody asks for it.
};

/// "away".
[[nodiscard]] std::string_view to_string(Presence presence);

/// Called in the supervisor, each time the presence of a child has changed.
/// Must not block or throw.
using PresenceListener = std::function<void(Presence)>;

/// How to start, stop and restart one child. Names, meanings and defaults are
/// those of OTP's child_spec(); `backoff` and `on_presence` are ours.
struct ChildSpec {
  std::string id{};  ///< Unique within its supervisor; never empty.
  StartFunction start{};
  Restart restart = Restart::permanent;
  /// Nullopt is the default of its type: 5 s for a worker, which Infinity would
  /// let hang everybody; Infinity for a supervisor, which needs the time to
  /// stop its own children.
  std::optional<Shutdown> shutdown{};
  ChildType type = ChildType::worker;
  /// Takes part in auto-shutdown. Not for permanent children.
  bool significant = false;
  std::optional<Backoff> backoff{};  ///< Nullopt restarts at once.
  /// For one that is not there yet, `away` is assumed and not told. Told of the
  /// end of the supervisor, too, whatever that is. Not for the template of
  /// simple_one_for_one, which is many children.
  PresenceListener on_presence{};

  [[nodiscard]] Shutdown effective_shutdown() const;
};

/// A supervisor and the children that it starts with, in this order. More than
/// `intensity` restarts within any `period`, over all children, and it gives
/// up: stops the rest and ends, so that its own supervisor decides.
struct SupervisorSpec {
  std::string name{};  ///< For reports; need not be unique.
  Strategy strategy = Strategy::one_for_one;
  int intensity = 1;     ///< Zero gives up at the first failure.
  Duration period = 5s;  ///< Positive.
  AutoShutdown auto_shutdown = AutoShutdown::never;
  OnGiveUp on_give_up = OnGiveUp::escalate;
  Duration hold_for = 1min;  ///< For OnGiveUp::hold; positive.
  /// Ours, for children whose starts take long. OTP's supervisor does nothing
  /// else until a start has returned. This one decides about what ends
  /// meanwhile, and stops any child on request at once, the one that starts
  /// included. Under one_for_one it starts others meanwhile, too, on request or
  /// again; only the start of many still goes from one to the next.
  bool serves_while_starting = false;
  /// Exactly one, the template, under simple_one_for_one.
  std::vector<ChildSpec> children{};
};

/// Whether `spec` makes sense as a child of a supervisor with `auto_shutdown`.
///
/// Errors: invalid_argument, naming the child.
[[nodiscard]] Result<void> check(const ChildSpec& spec,
                                 AutoShutdown auto_shutdown);

/// Whether `spec` makes sense as a whole.
///
/// Errors: invalid_argument, naming the first thing that does not.
[[nodiscard]] Result<void> check(const SupervisorSpec& spec);

}  // namespace troupe::supervisor
