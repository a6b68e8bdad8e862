#pragma once

#include <troupe/actors/outcome.hpp>
#include <troupe/base/error.hpp>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::actors {

/// Causes that somebody has a rule for: `exit:1-3`, `signal:SIGKILL`,
/// `timeout`.
struct CauseRule {
  CauseKind kind = CauseKind::exit_code;
  /// Range of the number of the cause, both ends included.
  int least = std::numeric_limits<int>::min();
  int most = std::numeric_limits<int>::max();

  friend bool operator==(const CauseRule&, const CauseRule&) = default;
};

/// Reads one as it is written:
///
///     exit, exit:75, exit:1-3      ended with that exit code
///     signal, signal:SIGKILL       ended by that signal; also KILL and 9
///     timeout                      the time limit of an attempt
///     silence                      no output for too long
///     node-lost                    what ran it is gone
///     spawn, spawn:127             could not start
///     output, duration             a criterion of success does not hold
///     memory                       more than its limit
///     crash                        an actor of ours has died
///
/// Errors: invalid_argument, saying what can be written.
[[nodiscard]] Result<CauseRule> parse_cause_rule(std::string_view text);

/// As parse_cause_rule() reads it.
[[nodiscard]] std::string to_text(const CauseRule& rule);

/// Whether one of `rules` is about one of `causes`.
[[nodiscard]] bool covers(const std::vector<CauseRule>& rules,
                          const std::vector<Cause>& causes);

}  // namespace troupe::actors
