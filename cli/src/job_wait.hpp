#pragma once

/// Waiting for jobs to end.
#include "job_json.hpp"
#include "node_client.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace troupe::cli {

/// What is still waited for: fed with jobs as they change. Pure.
class JobWait {
 public:
  /// `any`: the first one that ends is enough.
  JobWait(std::vector<std::uint64_t> jobs, bool any);

  void see(const QueueJob& job);

  [[nodiscard]] bool is_over() const;
  /// Whether all that have ended have succeeded.
  [[nodiscard]] bool is_success() const;
  /// As they were last seen, in the order in which they were given; those that
  /// were never seen are not there.
  [[nodiscard]] std::vector<QueueJob> jobs() const;
  /// "17,18": those that have not ended.
  [[nodiscard]] std::string left() const;

 private:
  std::vector<std::uint64_t> wanted_;
  bool any_;
  std::map<std::uint64_t, QueueJob> seen_;
};

/// Feeds `wait` until it is over, across restarts of the node. Blocks.
///
/// Errors: those of the node; unavailable if it stays away.
[[nodiscard]] Result<void> watch_jobs(NodeCalls& calls, JobWait& wait);

/// What a command that waited exits with: that of the task if it was one job of
/// one task, else 0 if all have succeeded and 1 if not. Asks for the task.
[[nodiscard]] Result<int> exit_status_of(NodeCalls& calls, const JobWait& wait);

}  // namespace troupe::cli
