#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace troupe::service {

/// Longest text of STATUS that is kept, in bytes.
inline constexpr std::size_t max_status_bytes = 200;

/// What a service says about itself in one datagram, see sd_notify(3).
struct Notification {
  bool ready = false;             ///< READY=1
  bool reloading = false;         ///< RELOADING=1; followed by another READY=1.
  bool stopping = false;          ///< STOPPING=1
  bool watchdog = false;          ///< WATCHDOG=1: still alive.
  bool watchdog_trigger = false;  ///< WATCHDOG=trigger: treat it as if not.
  /// STATUS=text: one line that is safe to print, of at most max_status_bytes.
  std::optional<std::string> status;
  std::optional<int> error_number;  ///< ERRNO=n, 1 to 4095.

  friend bool operator==(const Notification&, const Notification&) = default;
};

/// Reads assignments, one per line. Of one that comes twice the last counts.
/// Everything else is skipped: unknown names (MAINPID and BARRIER among them),
/// values that do not fit, lines without '='. Never fails; what says nothing is
/// equal to Notification{}.
[[nodiscard]] Notification parse_notification(std::string_view datagram);

}  // namespace troupe::service
