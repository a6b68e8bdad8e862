#include "ready_queue.hpp"

#include <troupe/base/assert.hpp>

#include <algorithm>
#include <utility>

namespace troupe::workflow {

ReadyQueue::ReadyQueue(const std::vector<JobRank>& ranks) {
  lines_.reserve(ranks.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    lines_.push_back({.key = {ranks[i].priority, ranks[i].path, i},
                      .kind = ranks[i].kind,
                      .waiting = {}});
    kinds_.resize(std::max(kinds_.size(), ranks[i].kind + 1));
  }
}

void ReadyQueue::add(std::size_t job, std::size_t instance) {
  Line& line = lines_.at(job);
  line.waiting.insert(instance);
  offer(line);
}

void ReadyQueue::remove(std::size_t job, std::size_t instance) {
  Line& line = lines_.at(job);
  line.waiting.erase(instance);
  offer(line);
}

void ReadyQueue::set_open(std::size_t job, bool open) {
  Line& line = lines_.at(job);
  line.open = open;
  offer(line);
}

void ReadyQueue::set_kind_open(std::size_t kind, bool open) {
  kinds_.at(kind).open = open;
}

void ReadyQueue::offer(Line& line) {
  const bool wanted = line.open && !line.waiting.empty();
  if (std::exchange(line.offered, wanted) == wanted)
    return;
  auto& offers = kinds_[line.kind].offers;
  if (wanted)
    offers.insert(line.key);
  else
    offers.erase(line.key);
}

std::optional<std::size_t> ReadyQueue::best() const {
  const Key* best = nullptr;
  for (const Kind& kind : kinds_) {
    if (kind.open && !kind.offers.empty() &&
        (best == nullptr || *kind.offers.begin() < *best))
      best = &*kind.offers.begin();
  }
  if (best == nullptr)
    return std::nullopt;
  return *lines_[best->job].waiting.begin();
}

std::vector<Duration> longest_paths(
    const std::vector<std::vector<std::size_t>>& needs,
    const std::vector<Duration>& durations) {
  // Backwards from the jobs that no other needs.
  std::vector<std::size_t> needed(needs.size(), 0);
  for (const auto& of_job : needs) {
    for (const std::size_t need : of_job)
      ++needed[need];
  }
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < needed.size(); ++i) {
    if (needed[i] == 0)
      open.push_back(i);
  }
  std::vector<Duration> paths = durations;
  while (!open.empty()) {
    const std::size_t i = open.back();
    open.pop_back();
    for (const std::size_t need : needs[i]) {
      paths[need] = std::max(paths[need], durations[need] + paths[i]);
      if (--needed[need] == 0)
        open.push_back(need);
    }
  }
  return paths;
}

std::vector<Duration> longest_paths(const Workflow& workflow,
                                    const std::vector<Duration>& durations) {
  std::vector<std::vector<std::size_t>> needs(workflow.jobs.size());
  for (std::size_t i = 0; i < workflow.jobs.size(); ++i) {
    for (const Need& need : workflow.jobs[i].needs)
      needs[i].push_back(need.job);
  }
  return longest_paths(needs, durations);
}

}  // namespace troupe::workflow
