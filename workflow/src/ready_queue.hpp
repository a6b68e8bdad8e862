#pragma once

/// The order in which jobs that could start do.
#include <troupe/base/time.hpp>
#include <troupe/workflow/model.hpp>

#include <compare>
#include <cstddef>
#include <optional>
#include <set>
#include <vector>

namespace troupe::workflow {

/// What makes a job go before another: its priority, then the longest path
/// from it to the end of the run, then its place in the file.
struct JobRank {
  Priority priority = Priority::normal;
  Duration path{0};
  std::size_t kind = 0;  ///< Jobs of one kind take the same; small.
};

/// Instances that wait for a place, best first. Each change costs the logarithm
/// of the number of jobs, each question the number of kinds. Owned by one
/// plan.
class ReadyQueue {
 public:
  /// With a rank per job, in the order of the file. All jobs and kinds are
  /// open.
  explicit ReadyQueue(const std::vector<JobRank>& ranks);

  /// Instance `instance` of `job` waits. Those of one job go in the order of
  /// their numbers.
  void add(std::size_t job, std::size_t instance);

  /// It waits no more; nothing happens if it did not.
  void remove(std::size_t job, std::size_t instance);

  /// Whether instances of `job` may start, as far as its own limits go.
  void set_open(std::size_t job, bool open);

  /// Whether there is room for jobs of this kind.
  void set_kind_open(std::size_t kind, bool open);

  /// Which instance should start next; nothing if none may.
  [[nodiscard]] std::optional<std::size_t> best() const;

 private:
  struct Key {
    Priority priority;
    Duration path;
    std::size_t job;

    friend bool operator<(const Key& a, const Key& b) {
      if (a.priority != b.priority)
        return a.priority > b.priority;
      if (a.path != b.path)
        return a.path > b.path;
      return a.job < b.job;
    }
  };

  struct Line {
    Key key;
    std::size_t kind = 0;
    std::set<std::size_t> waiting;  ///< Instances.
    bool open = true;
    bool offered = false;  ///< Whether its key is in the offers of its kind.
  };

  struct Kind {
    std::set<Key> offers;  ///< Jobs with an instance that may start.
    bool open = true;
  };

  void offer(Line& line);

  std::vector<Line> lines_;  ///< Of each job.
  std::vector<Kind> kinds_;
};

/// For each job, the longest path from its start to the end of the run, if
/// each takes as long as `durations` says.
[[nodiscard]] std::vector<Duration> longest_paths(
    const Workflow& workflow, const std::vector<Duration>& durations);

/// The same if each job needs the jobs whose indices are in `needs`.
[[nodiscard]] std::vector<Duration> longest_paths(
    const std::vector<std::vector<std::size_t>>& needs,
    const std::vector<Duration>& durations);

}  // namespace troupe::workflow
