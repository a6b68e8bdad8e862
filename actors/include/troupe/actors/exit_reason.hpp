#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::actors {

/// The kinds of end that an actor can come to.
enum class ExitKind : std::uint8_t {
  normal = 1,    ///< Its work is done.
  shutdown = 2,  ///< It was asked to stop, or gave up in an orderly way.
  killed = 3,    ///< It was stopped unconditionally.
  crashed = 4,   ///< It threw; `what` is the text of the exception.
  custom = 5,    ///< It quit with an error of its own; `what` describes it.
};

/// The stable lower-case name: "killed".
[[nodiscard]] std::string_view to_string(ExitKind kind);

/// Why an actor ended. Supervisors decide by it (OTP's exit reason); `what` is
/// for people and may be empty.
struct ExitReason {
  ExitKind kind = ExitKind::normal;
  std::string what;

  /// Whether this end is no failure: OTP's normal, shutdown, {shutdown, _}.
  [[nodiscard]] bool clean() const {
    return kind == ExitKind::normal || kind == ExitKind::shutdown;
  }

  friend bool operator==(const ExitReason&, const ExitReason&) = default;
};

/// "crashed: out of range", or the kind alone if there is no more to say; of a
/// custom reason the text alone.
[[nodiscard]] std::string describe(const ExitReason& reason);

}  // namespace troupe::actors
