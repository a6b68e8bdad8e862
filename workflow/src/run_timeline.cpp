#include "run_timeline.hpp"

#include "ready_queue.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <queue>
#include <set>
#include <string_view>
#include <utility>

namespace troupe::workflow {
namespace {

bool ran(const PastJob& job) {
  return job.state != JobState::skipped && job.start && job.end &&
         *job.end >= *job.start;
}

void add_once(std::vector<std::size_t>& list, std::size_t item) {
  if (std::find(list.begin(), list.end(), item) == list.end())
    list.push_back(item);
}

}  // namespace

Needs needs_of(const Workflow& workflow) {
  Needs needs(workflow.jobs.size());
  for (std::size_t i = 0; i < workflow.jobs.size(); ++i) {
    for (const Need& need : workflow.jobs[i].needs)
      add_once(needs[i], need.job);
  }
  return needs;
}

Needs without(Needs needs, std::size_t job, std::size_t needed) {
  for (auto& of_job : needs) {
    if (std::find(of_job.begin(), of_job.end(), job) != of_job.end())
      add_once(of_job, needed);
  }
  std::erase(needs[job], needed);
  const std::vector<std::size_t> before = needs[needed];
  for (const std::size_t need : before)
    add_once(needs[job], need);
  return needs;
}

std::vector<const PastStep*> Stretch::steps() const {
  std::vector<const PastStep*> last;
  for (const PastStep& step : past->steps) {
    std::erase_if(last, [&](const PastStep* const before) {
      return before->step == step.step;
    });
    if (step.outcome != StepOutcome::skipped)
      last.push_back(&step);
  }
  return last;
}

Duration Stretch::waited() const {
  Duration sum = start - ready >= start_cost ? start - ready : Duration{0};
  for (const PastStep* const step : steps())
    sum += step->waited;
  return sum;
}

Timeline::Timeline(const Workflow& workflow, const PastRun& run)
    : workflow_{workflow},
      places_{run.max_parallel == 0 ? std::numeric_limits<std::size_t>::max()
                                    : run.max_parallel},
      of_job_(workflow.jobs.size()),
      needs_{needs_of(workflow)},
      length_{std::max<Duration>(Duration{0}, run.end - run.start)} {
  std::map<std::string_view, std::size_t> jobs;
  for (std::size_t i = 0; i < workflow.jobs.size(); ++i)
    jobs.emplace(workflow.jobs[i].id, i);
  for (const PastJob& past : run.jobs) {
    if (!ran(past))
      continue;
    Stretch stretch;
    stretch.past = &past;
    stretch.start = *past.start - run.start;
    stretch.end = *past.end - run.start;
    stretch.ready = std::min<Duration>(
        stretch.start, past.ready ? *past.ready - run.start : stretch.start);
    if (const auto job = jobs.find(past.job); job != jobs.end()) {
      stretch.job = job->second;
      of_job_[job->second].push_back(stretches_.size());
    }
    stretches_.push_back(stretch);
  }
}

std::optional<std::size_t> Timeline::last_of_needs(std::size_t job) const {
  std::optional<std::size_t> last;
  std::vector<std::size_t> open = needs_[job];
  std::set<std::size_t> seen;
  while (!open.empty()) {
    const std::size_t need = open.back();
    open.pop_back();
    if (!seen.insert(need).second)
      continue;
    for (const std::size_t i : of_job_[need]) {
      if (!last || stretches_[i].end > stretches_[*last].end)
        last = i;
    }
    if (of_job_[need].empty())
      open.insert(open.end(), needs_[need].begin(), needs_[need].end());
  }
  return last;
}

std::vector<std::size_t> Timeline::critical_path() const {
  std::optional<std::size_t> at;
  for (std::size_t i = 0; i < stretches_.size(); ++i) {
    if (!at || stretches_[i].end > stretches_[*at].end)
      at = i;
  }
  std::vector<std::size_t> path;
  while (at) {
    path.push_back(*at);
    const auto& job = stretches_[*at].job;
    at = job ? last_of_needs(*job) : std::nullopt;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

Duration Timeline::simulate(
    const Needs& needs,
    const std::function<Duration(const Stretch&)>& length_of) const {
  const std::size_t count = workflow_.jobs.size();
  std::vector<Duration> lengths;
  std::vector<Duration> longest(count, Duration{0});
  for (const Stretch& stretch : stretches_) {
    lengths.push_back(std::max(Duration{0}, length_of(stretch)));
    if (stretch.job)
      longest[*stretch.job] = std::max(longest[*stretch.job], lengths.back());
  }
  const auto paths = longest_paths(needs, longest);
  std::vector<JobRank> ranks;
  for (std::size_t i = 0; i < count; ++i)
    ranks.push_back({workflow_.jobs[i].priority, paths[i]});
  ReadyQueue ready{ranks};

  std::vector<std::vector<std::size_t>> needed_by(count);
  std::vector<std::size_t> waits_for(count);
  std::vector<std::size_t> left(count);     // Stretches that have not ended.
  std::vector<std::size_t> running(count);  // Stretches.
  std::vector<std::size_t> free_jobs;       // All that they need has ended.
  for (std::size_t i = 0; i < count; ++i) {
    for (const std::size_t need : needs[i])
      needed_by[need].push_back(i);
    waits_for[i] = needs[i].size();
    left[i] = of_job_[i].size();
    if (waits_for[i] == 0)
      free_jobs.push_back(i);
  }
  const auto end_job = [&](std::size_t job) {
    for (const std::size_t next : needed_by[job]) {
      if (--waits_for[next] == 0)
        free_jobs.push_back(next);
    }
  };
  using End = std::pair<Duration, std::size_t>;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends;
  Duration now{0};
  for (;;) {
    while (!free_jobs.empty()) {
      const std::size_t job = free_jobs.back();
      free_jobs.pop_back();
      if (left[job] == 0)
        end_job(job);
      for (const std::size_t i : of_job_[job])
        ready.add(job, i);
    }
    while (ends.size() < places_) {
      const auto next = ready.best();
      if (!next)
        break;
      const std::size_t job = *stretches_[*next].job;
      ready.remove(job, *next);
      ready.set_open(job, ++running[job] < workflow_.jobs[job].max_parallel);
      ends.emplace(now + lengths[*next], *next);
    }
    if (ends.empty())
      return now;
    const auto [end, ended] = ends.top();
    ends.pop();
    now = end;
    const std::size_t job = *stretches_[ended].job;
    ready.set_open(job, --running[job] < workflow_.jobs[job].max_parallel);
    if (--left[job] == 0)
      end_job(job);
  }
}

}  // namespace troupe::workflow
