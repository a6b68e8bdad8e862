#pragma once

/// Decides, for the commands of a lane, when the right to run them has ended
/// (WardenRunner::guard), whether or not anybody is there to say so.
///
///   free ------- told a deadline -----------> armed
///   armed ------ it passes -----------------> stopping (polite signals)
///   stopping --- nearly all the grace, too -> lapsed   (SIGKILL)
///   any -------- told another deadline -----> armed, or free without one
///
/// Two steps by the boot clock instead of a grace: graces are counted by a
/// clock that stands still while the machine is suspended.
#include <troupe/base/boot_time.hpp>

#include <cstdint>
#include <vector>

namespace troupe::process {

/// So long before all have to be gone they are killed: it takes a while to find
/// each process of a tree. But not more than half of the grace.
inline constexpr Duration death_time = 500ms;

class GuardCore {
 public:
  enum class State : std::uint8_t { free, armed, stopping, lapsed };

  /// What the lane does next, in the order of the list. Commands that may
  /// outlive the right are left alone.
  struct Action {
    enum class Kind : std::uint8_t {
      set_timer,     ///< Call on_timer at `at`; replaces the timer before.
      stop_guarded,  ///< Each politely, and nothing goes on waiting for a
                     ///< start.
      kill_guarded,  ///< What is there still.
    };
    Kind kind;
    BootTime at{};

    friend bool operator==(const Action&, const Action&) = default;
  };
  using Actions = std::vector<Action>;

  /// BootTime::max() as `kill_at` takes the deadline away. `gone_by` before
  /// `kill_at` leaves no grace.
  [[nodiscard]] Actions on_guard(BootTime kill_at, BootTime gone_by,
                                 BootTime now);
  [[nodiscard]] Actions on_timer(BootTime now);

  /// Whether a command may start at `now`, even if on_timer() comes late.
  [[nodiscard]] bool may_start(BootTime now) const;

  [[nodiscard]] State state() const { return state_; }

 private:
  State state_ = State::free;
  BootTime stop_at_ = BootTime::max();
  BootTime kill_at_ = BootTime::max();
};

}  // namespace troupe::process
