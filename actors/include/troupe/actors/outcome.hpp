#pragma once

#include <troupe/base/time.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/process/exit_report.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::actors {

/// How a command, or one attempt of it, ended. Exactly one of these, always.
/// Stored and sent: append only, never renumber.
enum class OutcomeKind : std::uint8_t {
  success = 1,
  failed = 2,     ///< By the command's own result, or it could not start.
  timed_out = 3,  ///< A time limit passed.
  cancelled = 4,  ///< Somebody asked for its end.
  crashed = 5,    ///< An actor or thread of ours died and could not recover.
  lost = 6,       ///< The warden or node that ran it is gone.
};

/// The stable lower-case name: "timed_out".
[[nodiscard]] std::string_view to_string(OutcomeKind kind);

/// One reason, as a value that rules can be keyed by.
/// Stored and sent: append only, never renumber.
enum class CauseKind : std::uint8_t {
  exit_code = 1,       ///< `number` is the code.
  signal = 2,          ///< `number` is the signal that ended the leader.
  timeout = 3,         ///< The attempt's time limit.
  output = 4,          ///< output-contains or output-not-contains.
  duration = 5,        ///< max-duration of the success criteria.
  spawn_error = 6,     ///< Never ran; `number` is 127, 126 or 125.
  cancelled = 7,       ///< By a person, a fail-fast or a shutdown.
  actor_crash = 8,     ///< A command actor died and was restarted.
  warden_lost = 9,     ///< The launching process is gone.
  gave_up = 10,        ///< Attempts or a restart budget ran out.
  not_ready = 11,      ///< A service was not ready in time.
  not_alive = 12,      ///< A service failed its live probe.
  watchdog = 13,       ///< A service did not report in time.
  out_of_memory = 14,  ///< More than its limit; `number` is the signal.
  silence = 15,        ///< The attempt's limit on time without output.
};

/// The stable lower-case name: "exit_code".
[[nodiscard]] std::string_view to_string(CauseKind kind);

struct Cause {
  CauseKind kind = CauseKind::exit_code;
  int number = 0;
  std::string what;  ///< For people: "exited with 3".

  friend bool operator==(const Cause&, const Cause&) = default;
};

/// How an attempt ended: its exit code or signal (also of one that was
/// stopped), why it could not start, or that its warden is lost.
[[nodiscard]] Cause cause_of(const process::AttemptEnd& end);

/// Remarks on an end that are no failure: "killed 1 process that it left
/// behind".
[[nodiscard]] std::vector<std::string> notes_on(
    const process::ExitReport& report);

/// One try at running a command.
struct Attempt {
  std::uint32_t number = 1;  ///< Counts from 1.
  OutcomeKind kind = OutcomeKind::success;
  WallTime started;
  WallTime ended;
  /// Present if the command ran; absent if it never started or was lost.
  std::optional<process::ExitReport> report;
  /// Why it did not succeed, nearest reason first; empty on success.
  std::vector<Cause> causes;
  /// Remarks that are no failure: "killed 1 process that it left behind".
  std::vector<std::string> notes;
  std::string stdout_tail;  ///< The last bytes of what was captured.
  std::string stderr_tail;
};

/// The whole story of a command. Produced exactly once per command.
struct Outcome {
  OutcomeKind kind = OutcomeKind::success;
  /// What a shell would put into `$?`: the last attempt's exit code, 128 + n
  /// for a signal, 124 timed out, 125 Troupe's own failure, 126 and 127.
  int exit_status = 0;
  std::vector<Attempt> attempts;
  /// Why it did not succeed, nearest reason first; empty on success. A retried
  /// command ends its chain with gave_up.
  std::vector<Cause> causes;
  /// What happened to the actors that looked after it: crashes and restarts.
  std::vector<Cause> incidents;
};

/// "exited with 3, gave up after 3 attempts": the chain as one sentence.
[[nodiscard]] std::string describe(const std::vector<Cause>& causes);

}  // namespace troupe::actors
