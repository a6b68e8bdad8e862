#pragma once

/// What people type about jobs of the queue: 17, 17.3, 5:finished, 1-100:2,
/// cpu=2,mem=1GiB, 03:30. Pure.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// "17" is all of a job, "17.3" the task 3 of it.
struct TaskName {
  std::uint64_t job = 0;
  std::optional<std::uint64_t> task;

  friend bool operator==(const TaskName&, const TaskName&) = default;
};

/// Errors: invalid_argument, "expected a job such as 17 or a task such as 17.3,
/// got "x"".
[[nodiscard]] Result<TaskName> parse_task_name(std::string_view text);

/// Errors: invalid_argument, "expected a job such as 17, got "x"".
[[nodiscard]] Result<std::uint64_t> parse_job(std::string_view text);

/// Each of them by parse_job. Errors: as that; invalid_argument if there is
/// none, "no job given".
[[nodiscard]] Result<std::vector<std::uint64_t>> parse_jobs(
    const std::vector<std::string>& texts);

/// What has to have become of another job.
struct JobNeed {
  std::uint64_t job = 0;
  std::string when;  ///< "succeeded", "finished" or "failed".

  friend bool operator==(const JobNeed&, const JobNeed&) = default;
};

/// "5", "5:finished" or "5,6:failed,7"; without a word it is "succeeded".
///
/// Errors: invalid_argument, with a suggestion.
[[nodiscard]] Result<std::vector<JobNeed>> parse_needs(std::string_view text);

/// Checks "low", "normal", "high" or "critical".
///
/// Errors: invalid_argument, with a suggestion.
[[nodiscard]] Result<std::string> parse_priority(std::string_view text);

/// Numbers from `from` to `to`, both included.
struct NumberRange {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint64_t step = 1;

  [[nodiscard]] std::uint64_t size() const { return (to - from) / step + 1; }
  friend bool operator==(const NumberRange&, const NumberRange&) = default;
};

/// "1-1000" or "0-100:10".
///
/// Errors: invalid_argument.
[[nodiscard]] Result<NumberRange> parse_range(std::string_view text);

/// "cpu=2,mem=1GiB,gpu=1" as {"cpu": 2, "mem": 1073741824, "gpu": 1}: `mem` is
/// a size, others are numbers with at most three digits after the point.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<nlohmann::ordered_json> parse_resources(
    std::string_view text);

/// "end" or "keep": what becomes of a command whose node may not run it any
/// more.
///
/// Errors: invalid_argument, with "did you mean".
[[nodiscard]] Result<std::string> parse_lease_loss(std::string_view text);

/// "gpu,ssd" as ["gpu", "ssd"]: labels of nodes.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<nlohmann::ordered_json> parse_labels(
    std::string_view text);

/// "0,3": exit codes from 0 to 255.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<std::vector<int>> parse_exit_codes(std::string_view text);

/// "2026-05-01T03:30:00Z", with any offset, or "03:30": the next time that the
/// clock on the wall shows this, after `now`.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<WallTime> parse_start_time(std::string_view text,
                                                WallTime now);

}  // namespace troupe::cli
