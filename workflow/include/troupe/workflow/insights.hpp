#pragma once

/// What can be made better in a workflow, from what its runs have shown. Pure.
#include <troupe/base/time.hpp>
#include <troupe/workflow/history.hpp>
#include <troupe/workflow/model.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace troupe::workflow {

/// A stretch of the paths that decided when runs ended: from the job that ended
/// last back over the one whose end it had waited for, and so on.
struct PathPart {
  std::string job;
  /// Empty: it was ready and waited for a place, or its steps for a slot of the
  /// queue.
  std::string step;
  std::size_t runs = 0;  ///< On whose path it was.
  Duration mean{0};      ///< Of all runs that were looked at.
  double share = 0;      ///< Of the time that these took, from 0 to 1.
};

/// Jobs were ready and did not start.
struct Queueing {
  std::string job;       ///< That waited for the longest time.
  Duration of_job{0};    ///< A run, in the mean.
  Duration of_all{0};    ///< Of all jobs together, likewise.
  std::size_t runs = 0;  ///< In which something on the path waited.
};

/// A step failed without a reason that lasts.
struct Flaky {
  std::string job;
  std::string step;
  std::size_t tries = 0;      ///< Attempts in all runs.
  std::size_t failures = 0;   ///< Of these.
  std::size_t recovered = 0;  ///< Runs in which it failed and then succeeded.
  /// How often one and the same command changed from success to failure or
  /// back, from run to run.
  std::size_t changes = 0;
};

/// A job waits for another one and uses nothing that it hands on.
struct Unneeded {
  std::string job;
  std::string need;
};

/// A step did the same thing again and again.
struct Repeated {
  std::string job;
  std::string step;
  std::size_t times = 0;  ///< Successes with the command that it has now.
  Duration total{0};      ///< What these took.
};

/// A step took much longer in the last run than it used to.
struct Outlier {
  std::string job;
  std::string label;
  std::string step;
  Duration took{0};
  Duration typical{0};   ///< The median before.
  std::size_t runs = 0;  ///< From which that is known.
};

struct Finding {
  /// How much earlier a run could end, in the mean of those that were looked
  /// at: of Queueing and Flaky the time lost so, of Unneeded and Repeated what
  /// comes of running them once more in mind, of Outlier what the last run took
  /// longer.
  Duration saves{0};
  std::variant<Queueing, Flaky, Unneeded, Repeated, Outlier> what;
};

struct Insights {
  std::size_t runs = 0;
  std::size_t succeeded = 0;
  std::size_t failed = 0;
  std::size_t cancelled = 0;
  /// Of runs that have succeeded and were never taken up again: these are
  /// looked at for times.
  std::size_t timed = 0;
  std::optional<Duration> median;     ///< Of how long they took.
  std::optional<Duration> ninetieth;  ///< Percentile of that.
  std::vector<PathPart> path;         ///< In the order of time.
  bool has_enough_runs = false;       ///< For findings.
  std::vector<Finding> findings;      ///< What could save most first.
};

/// Fewer runs than this tell nothing about what is usual.
inline constexpr std::size_t fewest_runs = 3;

/// A step that took so many times as long as usual is an outlier.
inline constexpr int outlier_factor = 3;

/// What `newest_first`, runs of `workflow` that have ended, show. The jobs of a
/// run that the workflow does not have any more count for its times alone.
[[nodiscard]] Insights look_into(const Workflow& workflow,
                                 std::span<const PastRun> newest_first);

}  // namespace troupe::workflow
