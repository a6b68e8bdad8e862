#pragma once

/// What earlier runs of a workflow tell about the next one. Pure.
#include <troupe/base/time.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/plan.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {

/// A step of an earlier run, started once with all its attempts, or passed
/// over.
struct PastStep {
  std::string step;  ///< As step_key().
  StepOutcome outcome = StepOutcome::skipped;
  std::string command;  ///< Resolved; empty if it is not known.
  std::uint32_t attempts = 0;
  /// From its start to its end: attempts, what is between them, and the wait
  /// for a slot of the queue. Zero if that is not known.
  Duration took{0};
  Duration waited{0};        ///< Of that, for a slot, as far as it is known.
  Duration last_attempt{0};  ///< Of that, the last attempt.
};

/// Sets `waited` of a step that is a job of a queue: what is not its one
/// attempt, if it is more than it costs to start something. What several have
/// waited for cannot be told from the pauses between them.
void note_waiting(PastStep& step);

/// Less than this is what it costs to start something, and no waiting.
inline constexpr Duration start_cost = 50ms;

/// One variant of a job in an earlier run.
struct PastJob {
  std::string job;    ///< In the file.
  std::string label;  ///< With the values of the matrix.
  JobState state = JobState::pending;
  // Of its last try, if it came to that:
  std::optional<WallTime> ready;  ///< All that it needs had ended.
  std::optional<WallTime> start;
  std::optional<WallTime> end;
  std::vector<PastStep> steps;  ///< Of all tries, in order.
};

/// A run that has ended.
struct PastRun {
  std::string id;  ///< "20261120-141503-x7k2", or "r7" of a node.
  RunResult result = RunResult::success;
  WallTime start;
  WallTime end;
  std::size_t max_parallel = 0;  ///< Jobs at a time; zero for no limit.
  /// It ended before and was taken up again: its times have the pause in them.
  bool was_retried = false;
  std::vector<PastJob> jobs;
};

/// The middle of `newest_first`, in which what is older counts less: of two
/// durations that are three apart, the older one counts half as much. So one
/// duration, or two in a row, that is far off the others does not matter, and
/// what has changed for good is believed after three. Zero if there are none.
///
/// How recent the data is matters more than how much of it there is (Tsafrir,
/// Etsion and Feitelson, "Backfilling using system-generated predictions rather
/// than user runtime estimates", 2007: they take the mean of the last two jobs
/// and find that this matters more than a search for similar ones); a median,
/// unlike a mean, survives outliers, of which durations have many.
[[nodiscard]] Duration robust_estimate(std::span<const Duration> newest_first);

/// How many of the last successes of a step count: what the twentieth weighs is
/// one in a hundred.
inline constexpr std::size_t most_durations = 20;

/// What has been learned about the steps of a workflow. Immutable once learned.
class Estimates {
 public:
  using Key = std::pair<std::string, std::string>;  ///< Job and step_key().

  Estimates() = default;
  explicit Estimates(std::map<Key, StepEstimate> steps)
      : steps_{std::move(steps)} {}

  [[nodiscard]] bool empty() const { return steps_.empty(); }
  /// Zero if nothing is known of it.
  [[nodiscard]] StepEstimate of(const std::string& job,
                                const std::string& step) const;
  [[nodiscard]] const std::map<Key, StepEstimate>& steps() const {
    return steps_;
  }
  /// For PlanOptions; keeps a copy. Null if nothing is known.
  [[nodiscard]] EstimateFunction function() const;

  friend bool operator==(const Estimates&, const Estimates&) = default;

 private:
  std::map<Key, StepEstimate> steps_;
};

/// The robust estimate of how long the attempt takes that succeeds, for each
/// step that ever has. A run in which several variants of a job have succeeded
/// counts once, with their mean and with the slowest of them.
[[nodiscard]] Estimates learn(std::span<const PastRun> newest_first);

/// The longest way through a workflow.
struct CriticalPath {
  std::vector<std::size_t> jobs;  ///< Indices, in order.
  Duration length{0};
};

/// Of the jobs that `wanted` has (all if it is empty), if each takes as long as
/// job_time() says with as many jobs at a time. Empty if nothing is known.
[[nodiscard]] CriticalPath critical_path(const Workflow& workflow,
                                         const EstimateFunction& estimate,
                                         std::size_t max_parallel,
                                         const std::vector<bool>& wanted = {});

}  // namespace troupe::workflow
