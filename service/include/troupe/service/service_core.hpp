#pragma once

#include <troupe/actors/exit_reason.hpp>
#include <troupe/actors/outcome.hpp>
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/service/service_spec.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::service {

enum class ServicePhase : std::uint8_t {
  starting = 1,  ///< Its process is being started.
  unready = 2,   ///< It runs; its ready probe has not succeeded yet.
  ready = 3,
  ending = 4,  ///< It was told to end.
  ended = 5,
};

/// "unready".
[[nodiscard]] std::string_view to_string(ServicePhase phase);

/// How one incarnation of a service ended.
struct ServiceEnd {
  actors::Cause cause;
  std::vector<std::string> notes{};  ///< "killed 2 processes that it left .."
  Duration up{0};                    ///< From its start.
  bool clean = false;  ///< No failure: asked for, or a code of success.
  std::optional<process::ExitReport> report{};  ///< If it ran.
};

/// "exited with 1 after 3s, killed 1 process that it left behind".
[[nodiscard]] std::string describe(const ServiceEnd& end);

/// Decides everything about one incarnation of a service, and does nothing:
/// events and the time go in, actions come out. Pure; owned by one shell.
/// Answers to old checks and old timers change nothing.
class ServiceCore {
 public:
  // What the shell has to do, in this order.

  /// Start the command and say how it went: on_launched, on_ended.
  struct Launch {};
  /// End its process tree. on_ended follows.
  struct StopTree {
    process::StopRequest request;
  };
  /// Perform `check` and call on_checked(number) within `limit`.
  struct StartCheck {
    std::uint64_t number = 0;
    const Check* check = nullptr;  ///< Lives as long as the spec.
    Duration limit{0};
  };
  /// Nobody wants the answer to this check any more.
  struct CancelCheck {
    std::uint64_t number = 0;
  };
  /// Call on_timer(number) after `delay`.
  struct SetTimer {
    std::uint64_t number = 0;
    Duration delay{0};
  };
  /// It is ready: its start has returned.
  struct BecomeReady {};
  /// All is over; end with `reason`. The last action.
  struct Quit {
    actors::ExitReason reason;
    ServiceEnd end;
  };
  using Action = std::variant<Launch, StopTree, StartCheck, CancelCheck,
                              SetTimer, BecomeReady, Quit>;
  using Actions = std::vector<Action>;

  explicit ServiceCore(std::shared_ptr<const ServiceSpec> spec)
      : spec_{std::move(spec)} {}

  /// First call, once.
  Actions on_start(TimePoint now);
  /// Its process runs.
  Actions on_launched(TimePoint now);
  /// The process and all that it started are gone, or it never ran.
  Actions on_ended(const process::AttemptEnd& end, TimePoint now);
  Actions on_checked(std::uint64_t number, const Result<void>& result,
                     TimePoint now);
  Actions on_timer(std::uint64_t number, TimePoint now);
  /// It printed the text of its LogCheck.
  Actions on_log_text(TimePoint now);
  /// It sent READY=1,
  Actions on_notified_ready(TimePoint now);
  /// .. WATCHDOG=1,
  void on_watchdog_ping(TimePoint now);
  /// .. or WATCHDOG=trigger.
  Actions on_watchdog_trigger(TimePoint now);
  /// Somebody wants its end. A repeat changes nothing.
  Actions on_stop(TimePoint now);

  [[nodiscard]] ServicePhase phase() const { return phase_; }
  /// Why the last check failed, while it is not ready or not well.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  [[nodiscard]] const ServiceSpec& spec() const { return *spec_; }

 private:
  void become_ready(TimePoint now);
  void check_after(Duration delay);
  void start_check();
  void drop_check();
  std::uint64_t set_timer(Duration delay);
  void fail(actors::Cause cause);
  void stop_tree(Duration limit);
  void quit(ServiceEnd end);
  template <class A>
  void act(A action) {
    actions_.emplace_back(std::move(action));
  }
  Actions take_actions() { return std::exchange(actions_, {}); }

  std::shared_ptr<const ServiceSpec> spec_;
  ServicePhase phase_ = ServicePhase::starting;
  TimePoint started_;
  TimePoint last_ping_;
  std::uint32_t failures_ = 0;  ///< Of the live probe, in a row.
  Duration ready_period_{0};    ///< Until the next check of the ready probe.
  std::string trouble_;
  bool asked_to_stop_ = false;
  std::optional<actors::Cause> failure_;  ///< Why we end it.

  // Numbers of what is awaited; zero for nothing.
  std::uint64_t last_number_ = 0;
  std::uint64_t check_ = 0;
  std::uint64_t check_timer_ = 0;
  std::uint64_t ready_timer_ = 0;
  std::uint64_t watchdog_timer_ = 0;
  Actions actions_;  ///< Of the current event.
};

}  // namespace troupe::service
