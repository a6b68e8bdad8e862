#pragma once

/// What a node answers about its queue (docs/openapi.yaml), as values. What is
/// missing or null is empty: older and newer nodes are understood. Pure.
#include "job_words.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::cli {

/// How many tasks of a job are in which state.
struct JobCounts {
  std::uint64_t waiting = 0;
  std::uint64_t retrying = 0;
  std::uint64_t running = 0;
  std::uint64_t success = 0;
  std::uint64_t failed = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t lost = 0;
  std::uint64_t skipped = 0;

  [[nodiscard]] std::uint64_t ended() const {
    return success + unsuccessful() + cancelled + skipped;
  }
  /// Ended by what somebody may want to look at.
  [[nodiscard]] std::uint64_t unsuccessful() const {
    return failed + timed_out + lost;
  }
};

/// One job of the queue at one moment.
struct QueueJob {
  std::uint64_t number = 0;
  std::string name;
  std::string state;
  std::string group;
  std::string priority;
  std::string delivery;
  std::vector<std::string> tags;
  std::uint64_t tasks = 0;
  JobCounts counts;
  std::uint64_t paused = 0;   ///< Tasks that run and stand still.
  bool is_cancelled = false;  ///< Somebody has asked for its end.
  std::string text;           ///< The command as shell text.
  std::vector<JobNeed> needs;
  nlohmann::ordered_json resources;  ///< Amounts by name.
  std::vector<std::string> runs_on;  ///< Labels.
  bool spread = false;               ///< Over nodes.
  std::optional<WallTime> not_before;
  std::optional<WallTime> submitted;
  std::optional<WallTime> ended;
  std::string folder;  ///< Of the command, if that was told.

  [[nodiscard]] bool has_ended() const;
};

/// How one attempt of a task has ended.
struct TaskAttempt {
  std::uint64_t task = 0;
  std::uint64_t number = 0;
  std::string outcome;
  int exit_status = 0;
  std::optional<WallTime> at;
  std::string cause;
  /// None if nobody has said how it ended.
  std::optional<Duration> wall{};
  Duration cpu{0};
  std::uint64_t max_rss_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::uint64_t unrecorded_bytes = 0;
  std::string node;             ///< That has run it, if it is one of several.
  bool is_end_unknown = false;  ///< For that node was gone before.
  std::uint64_t tail_skipped = 0;  ///< Of its output, what others do not have.
  std::vector<std::string> notes;
};

struct QueueTask {
  std::uint64_t number = 0;
  std::string state;
  std::string argument;
  std::uint64_t attempt = 0;
  std::uint64_t pid = 0;  ///< Zero if it has no process.
  std::string node;       ///< That has it now, if that is one of several.
  /// For how long that node has not been heard of, if that is for too long.
  std::optional<Duration> silent{};
  bool is_cancelled = false;  ///< Somebody has asked for its end.
  std::optional<WallTime> due;
  std::optional<TaskAttempt> result;
  std::vector<TaskAttempt> attempts;
};

/// Why something does not run.
struct WaitReason {
  std::string kind;
  std::string what;
  std::optional<WallTime> until;
};

struct WhyAnswer {
  std::string state;
  std::vector<WaitReason> reasons;  ///< The one that matters first.
};

struct QueueGroup {
  std::string name;
  bool is_held = false;
  std::string breaker;
  std::uint64_t slots = 0;
  std::uint64_t weight = 0;
  std::uint64_t starts_per_minute = 0;  ///< Zero for no limit.
  std::uint64_t jobs = 0;
  std::uint64_t waiting = 0;
  std::uint64_t retrying = 0;
  std::uint64_t running = 0;
};

struct NodeState {
  std::string version;
  std::uint64_t pid = 0;
  std::optional<WallTime> started;
  std::string folder;
  bool is_held = false;
  nlohmann::ordered_json resources;
};

// All of these answer corrupt, "the node answers something else: ..", for what
// is no such thing.

[[nodiscard]] Result<QueueJob> job_from_json(
    const nlohmann::ordered_json& json);
[[nodiscard]] Result<std::vector<QueueJob>> jobs_from_json(
    const nlohmann::ordered_json& json);
[[nodiscard]] Result<QueueTask> task_from_json(
    const nlohmann::ordered_json& json);
/// Of the answer to list_results.
[[nodiscard]] Result<std::vector<TaskAttempt>> results_from_json(
    const nlohmann::ordered_json& json);
/// Of the answer to list_tried.
[[nodiscard]] Result<std::vector<std::uint64_t>> tried_from_json(
    const nlohmann::ordered_json& json);
[[nodiscard]] Result<WhyAnswer> why_from_json(
    const nlohmann::ordered_json& json);
[[nodiscard]] Result<std::vector<QueueGroup>> groups_from_json(
    const nlohmann::ordered_json& json);
[[nodiscard]] Result<NodeState> node_from_json(
    const nlohmann::ordered_json& json);
/// The number under `key`. Errors: also if it is missing.
[[nodiscard]] Result<std::uint64_t> number_from_json(
    const nlohmann::ordered_json& json, const char* key);

}  // namespace troupe::cli
