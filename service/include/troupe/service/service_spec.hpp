#pragma once

#include <troupe/base/time.hpp>
#include <troupe/process/command_spec.hpp>
#include <troupe/supervisor/child_spec.hpp>

#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::service {

// How to find out about a running service.

/// A command that exits with 0.
struct ExecCheck {
  std::string line;  ///< As the user wrote it.
  std::shared_ptr<const process::CommandSpec> command;
};
/// A GET that is answered with 2xx or 3xx. No TLS: it is for this host.
struct HttpCheck {
  std::string host;  ///< A name or an address, without brackets.
  std::uint16_t port = 80;
  std::string target = "/";  ///< Path and query.

  friend bool operator==(const HttpCheck&, const HttpCheck&) = default;
};
/// A port that accepts connections.
struct TcpCheck {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const TcpCheck&, const TcpCheck&) = default;
};
/// A text in what the service prints. Only for readiness.
struct LogCheck {
  std::string text;

  friend bool operator==(const LogCheck&, const LogCheck&) = default;
};
/// READY=1 sent to the socket NOTIFY_SOCKET, see sd_notify(3). Only for
/// readiness.
struct NotifyCheck {
  friend bool operator==(const NotifyCheck&, const NotifyCheck&) = default;
};

using Check =
    std::variant<ExecCheck, HttpCheck, TcpCheck, LogCheck, NotifyCheck>;

/// "http://127.0.0.1:80/healthz", "exec pg_isready", ..: for messages.
[[nodiscard]] std::string describe(const Check& check);

/// Whether a service that has been started can be used.
struct ReadyProbe {
  Check check;
  Duration delay{0};  ///< From the start to the first check.
  /// From the end of a check to the next, at most: the first ones come after
  /// 20 ms, 40 ms and so on, as most services are ready soon.
  Duration period = 500ms;
  Duration limit = 60s;  ///< From the start; then the start has failed.
};

/// Whether a service that is ready still works. One that does not is ended,
/// which counts as a crash.
struct LiveProbe {
  Check check;
  Duration delay{0};  ///< From readiness to the first check.
  Duration period = 10s;
  Duration limit = 5s;         ///< Of one check.
  std::uint32_t failures = 3;  ///< In a row.
};

/// A command that is meant to run until it is told to end.
struct ServiceSpec {
  std::string name;  ///< Its path in the tree, for people: "loaders/loader-2".
  std::shared_ptr<const process::CommandSpec> command;
  std::vector<int> success_exit_codes{0};  ///< Ends that are no failure.
  std::optional<ReadyProbe> ready;         ///< Without one: as it starts.
  std::optional<LiveProbe> live;
  /// Longest time between two WATCHDOG=1, see sd_notify(3); zero for none.
  Duration watchdog{0};
  int stop_signal = SIGTERM;
  /// From the signal to the kill of all that is left; zero kills at once.
  Duration stop_limit = 5s;
  /// Its start returns when it has ended successfully: a preparation for those
  /// that come after it.
  bool is_preparation = false;
};

}  // namespace troupe::service
