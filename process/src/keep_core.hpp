#pragma once

/// Decides when a kept warden ends: told to, or alone for too long.
///
///   alone ------ a runner connects ----> attended
///   attended --- it is gone -----------> alone
///   alone ------ patience passes ------> leaving (commands are being stopped)
///   leaving ---- a runner connects ----> attended (what is stopped, ends)
///   leaving ---- no command is left ---> ended
///   any -------- told to end ----------> ending (likewise, without a way back)
///   ending ----- no command is left ---> ended
#include <troupe/base/time.hpp>

#include <cstdint>
#include <vector>

namespace troupe::process {

class KeepCore {
 public:
  enum class State : std::uint8_t { alone, attended, leaving, ending, ended };

  /// What the main thread does next, in the order of the list.
  struct Action {
    enum class Kind : std::uint8_t {
      set_timer,  ///< Call on_timer at `at`; replaces the timer before.
      stop_all,   ///< Stop all commands; call on_empty when none is left.
      refuse,     ///< Connections: no new one, and an end to those there are.
      exit,       ///< Kill what is left, and go. The last.
    };
    Kind kind;
    TimePoint at{};

    friend bool operator==(const Action&, const Action&) = default;
  };
  using Actions = std::vector<Action>;

  explicit KeepCore(Duration patience) : patience_{patience} {}

  /// Nobody has connected yet.
  [[nodiscard]] Actions on_begin(TimePoint now);
  [[nodiscard]] Actions on_connected();
  /// The last connection is gone.
  [[nodiscard]] Actions on_alone(TimePoint now);
  [[nodiscard]] Actions on_timer(TimePoint now);
  [[nodiscard]] Actions on_told_to_end();
  /// No command runs or waits for room.
  [[nodiscard]] Actions on_empty();

  [[nodiscard]] State state() const { return state_; }

 private:
  [[nodiscard]] Actions wait_for_runner(TimePoint now);

  Duration patience_;
  State state_ = State::alone;
  TimePoint deadline_{};  ///< While alone.
};

}  // namespace troupe::process
