#pragma once

/// What people see of the queue: jobs, tasks, groups and why something waits.
/// Pure; `now` decides what ages are shown.
#include "job_json.hpp"
#include "text_table.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

/// "1/1", "3/10, 1 failed": how many tasks have ended.
[[nodiscard]] std::string describe_progress(const QueueJob& job);

/// One line for each job and a head.
[[nodiscard]] std::string render_jobs(const std::vector<QueueJob>& jobs,
                                      WallTime now, const TableStyle& style);

[[nodiscard]] std::string render_groups(const std::vector<QueueGroup>& groups,
                                        const TableStyle& style);

/// "job 17: queued (1 task, synced to disk)", without a line break; `answer` is
/// that of submit_job.
[[nodiscard]] std::string describe_submitted(
    const nlohmann::ordered_json& answer, std::uint64_t tasks);

/// "cpu 2, mem 1 GiB".
[[nodiscard]] std::string describe_resources(
    const nlohmann::ordered_json& resources);

/// All of a job: why it does not run if that is known, and the tasks of
/// `failures`, which failed.
[[nodiscard]] std::string describe_job(const QueueJob& job,
                                       const WhyAnswer& why,
                                       const std::vector<TaskAttempt>& failures,
                                       WallTime now);

/// A task with all its attempts.
[[nodiscard]] std::string describe_task(std::uint64_t job,
                                        const QueueTask& task, WallTime now);

/// "job 17 is queued: .." and what else keeps it, a line for each.
[[nodiscard]] std::string describe_why(std::uint64_t job, const WhyAnswer& why,
                                       WallTime now);

/// Each number of `stats` on a line of its own; nested names have a dot.
[[nodiscard]] std::string describe_stats(const nlohmann::ordered_json& stats);

/// What `top` shows at one moment.
struct QueueSnapshot {
  NodeState node;
  std::vector<QueueGroup> groups;
  std::vector<QueueJob> jobs;  ///< That have not ended.
};

/// A line for the node, the groups, and the jobs, those that run first; no more
/// than `rows` lines, zero for all.
[[nodiscard]] std::vector<std::string> render_top(const QueueSnapshot& snapshot,
                                                  WallTime now,
                                                  const TableStyle& style,
                                                  std::size_t rows);

}  // namespace troupe::cli
