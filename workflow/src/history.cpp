#include "ready_queue.hpp"

#include <troupe/workflow/history.hpp>

#include <algorithm>
#include <cmath>
#include <memory>

namespace troupe::workflow {
namespace {

/// So many runs later a duration counts half as much.
constexpr double half_life = 3;

/// Of one run: what each step took in the variants in which it has succeeded.
std::map<Estimates::Key, std::vector<Duration>> successes_of(
    const PastRun& run) {
  std::map<Estimates::Key, std::vector<Duration>> all;
  for (const PastJob& job : run.jobs) {
    std::map<std::string, Duration> last;  // Of several tries.
    for (const PastStep& step : job.steps) {
      const Duration took =
          step.last_attempt > Duration{0} ? step.last_attempt : step.took;
      if (step.outcome == StepOutcome::success && took > Duration{0})
        last[step.step] = took;
    }
    for (const auto& [step, took] : last)
      all[{job.job, step}].push_back(took);
  }
  return all;
}

Duration mean(const std::vector<Duration>& durations) {
  Duration sum{0};
  for (const Duration duration : durations)
    sum += duration;
  return sum / static_cast<Duration::rep>(durations.size());
}

}  // namespace

Duration robust_estimate(std::span<const Duration> newest_first) {
  std::vector<std::pair<Duration, double>> weighted;
  double all = 0;
  for (std::size_t i = 0; i < newest_first.size(); ++i) {
    const double weight = std::exp2(-static_cast<double>(i) / half_life);
    weighted.emplace_back(newest_first[i], weight);
    all += weight;
  }
  std::sort(weighted.begin(), weighted.end());
  double below = 0;
  for (const auto& [duration, weight] : weighted) {
    below += weight;
    if (below >= all / 2)
      return duration;
  }
  return Duration{0};
}

void note_waiting(PastStep& step) {
  const Duration rest = step.took - step.last_attempt;
  if (step.attempts == 1 && step.last_attempt > Duration{0} &&
      rest >= start_cost)
    step.waited = rest;
}

StepEstimate Estimates::of(const std::string& job,
                           const std::string& step) const {
  const auto found = steps_.find({job, step});
  return found == steps_.end() ? StepEstimate{} : found->second;
}

EstimateFunction Estimates::function() const {
  if (empty())
    return {};
  return [all = std::make_shared<const Estimates>(*this)](
             const std::string& job, const std::string& step) {
    return all->of(job, step);
  };
}

Estimates learn(std::span<const PastRun> newest_first) {
  struct Known {
    std::vector<Duration> typical;
    std::vector<Duration> longest;
  };
  std::map<Estimates::Key, Known> known;
  for (const PastRun& run : newest_first) {
    for (const auto& [step, durations] : successes_of(run)) {
      Known& of_step = known[step];
      if (of_step.typical.size() == most_durations)
        continue;
      of_step.typical.push_back(mean(durations));
      of_step.longest.push_back(
          *std::max_element(durations.begin(), durations.end()));
    }
  }
  std::map<Estimates::Key, StepEstimate> steps;
  for (const auto& [step, durations] : known)
    steps[step] = {robust_estimate(durations.typical),
                   robust_estimate(durations.longest)};
  return Estimates{std::move(steps)};
}

CriticalPath critical_path(const Workflow& workflow,
                           const EstimateFunction& estimate,
                           std::size_t max_parallel,
                           const std::vector<bool>& wanted) {
  CriticalPath path;
  if (!estimate)
    return path;
  const auto& jobs = workflow.jobs;
  std::vector<Duration> durations;
  for (std::size_t i = 0; i < jobs.size(); ++i)
    durations.push_back(wanted.empty() || wanted[i]
                            ? job_time(jobs[i], estimate, max_parallel)
                            : Duration{0});
  const auto paths = longest_paths(workflow, durations);
  std::vector<std::vector<std::size_t>> needed_by(jobs.size());
  std::vector<std::size_t> next;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    for (const Need& need : jobs[i].needs)
      needed_by[need.job].push_back(i);
    if (jobs[i].needs.empty())
      next.push_back(i);
  }
  // From the job with the longest way to the end, always on along it.
  while (!next.empty()) {
    const std::size_t longest = *std::max_element(
        next.begin(), next.end(), [&](std::size_t a, std::size_t b) {
          return paths[a] != paths[b] ? paths[a] < paths[b] : a > b;
        });
    if (paths[longest] == Duration{0})
      break;
    if (path.jobs.empty())
      path.length = paths[longest];
    path.jobs.push_back(longest);
    next = needed_by[longest];
  }
  return path;
}

}  // namespace troupe::workflow
