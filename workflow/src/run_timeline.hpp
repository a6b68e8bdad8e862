#pragma once

/// A run that has ended as stretches of time, and how it would have gone if
/// something had been otherwise.
#include <troupe/workflow/history.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

namespace troupe::workflow {

/// For each job, the indices of the jobs that it needs.
using Needs = std::vector<std::vector<std::size_t>>;

/// As the file has them.
[[nodiscard]] Needs needs_of(const Workflow& workflow);

/// Without the need of `job` for `needed`: it still waits for all that `needed`
/// waits for, and what waits for it still waits for `needed`.
[[nodiscard]] Needs without(Needs needs, std::size_t job, std::size_t needed);

/// One variant of a job that ran. Times are counted from the start of the run.
struct Stretch {
  const PastJob* past = nullptr;   ///< Of the run, which outlives it.
  std::optional<std::size_t> job;  ///< In the workflow, if that still has it.
  Duration ready{0};
  Duration start{0};
  Duration end{0};

  /// The last time that each of its steps ran, in order.
  [[nodiscard]] std::vector<const PastStep*> steps() const;
  /// How long it was ready and did not run, or its steps waited for a slot.
  [[nodiscard]] Duration waited() const;
};

class Timeline {
 public:
  /// `run` and `workflow` outlive it.
  Timeline(const Workflow& workflow, const PastRun& run);

  [[nodiscard]] const std::vector<Stretch>& stretches() const {
    return stretches_;
  }
  [[nodiscard]] Duration length() const { return length_; }

  /// Indices of stretches, in the order of time: the last is the one that ended
  /// last, and before each is the one whose end it had waited for, of all that
  /// it needs.
  [[nodiscard]] std::vector<std::size_t> critical_path() const;

  /// How long the stretches take with these needs and as many places as the run
  /// had, each as long as `length_of` says. What starts first is decided as in
  /// Plan, whose groups and concurrency are left out.
  [[nodiscard]] Duration simulate(
      const Needs& needs,
      const std::function<Duration(const Stretch&)>& length_of) const;

 private:
  /// Of those that a job needs, the stretch that ended last; passes through
  /// jobs that did not run.
  [[nodiscard]] std::optional<std::size_t> last_of_needs(std::size_t job) const;

  const Workflow& workflow_;
  std::size_t places_;
  std::vector<Stretch> stretches_;
  std::vector<std::vector<std::size_t>> of_job_;  ///< Of each job.
  Needs needs_;
  Duration length_{0};
};

}  // namespace troupe::workflow
