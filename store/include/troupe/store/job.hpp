#pragma once

#include <troupe/base/ids.hpp>
#include <troupe/base/time.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace troupe::store {

/// What somebody has submitted: one command, or one for each of many arguments.
/// Counts from 1 in the order of submission, and is what people type.
using JobId = Id<struct JobTag>;

/// One execution of a workflow: jobs that are submitted one after the other, as
/// its events lead to them. Counts from 1.
using RunId = Id<struct RunTag>;

/// One command of a job. Its tasks count from 0.
struct TaskRef {
  JobId job;
  std::uint64_t index = 0;

  friend auto operator<=>(const TaskRef&, const TaskRef&) = default;
};

/// One try at a task. Together with a session it is the fencing token: results
/// are taken from the session that has claimed this attempt and from nobody
/// else.
struct AttemptRef {
  TaskRef task;
  std::uint32_t attempt = 1;
  /// The number of the claim, which never comes again: what was given back is
  /// tried under the same `attempt`, maybe by the same session, and what that
  /// session has said before, and comes late, must not count. Zero for one that
  /// is only named.
  std::uint64_t claim = 0;

  friend auto operator<=>(const AttemptRef&, const AttemptRef&) = default;
};

/// One life of a node: random, never used twice. 1 to 64 bytes.
struct SessionId {
  std::string value;

  friend auto operator<=>(const SessionId&, const SessionId&) = default;
};

// Stored: append only, never renumber.

enum class Priority : std::uint8_t {
  low = 1,
  normal = 2,
  high = 3,
  critical = 4
};

enum class Delivery : std::uint8_t {
  at_least_once = 1,  ///< Lost attempts are repeated.
  at_most_once = 2,   ///< What may have been started is never started again.
};

enum class Outcome : std::uint8_t {
  success = 1,
  failed = 2,
  timed_out = 3,
  cancelled = 4,
  lost = 5,     ///< Nobody knows how it ended.
  skipped = 6,  ///< A job that it needs has not ended as it should.
};

/// "timed_out".
[[nodiscard]] std::string_view to_string(Outcome outcome);

enum class JobState : std::uint8_t {
  open = 1,       ///< Its arguments are still being added.
  blocked = 2,    ///< Needs jobs that have not ended.
  delayed = 3,    ///< Its time has not come.
  held = 4,       ///< Somebody has told it to wait.
  queued = 5,     ///< Nothing of it runs.
  running = 6,    ///< Something of it runs or waits for its next attempt.
  succeeded = 7,  ///< All tasks.
  failed = 8,     ///< At least one task failed, timed out or was lost.
  cancelled = 9,  ///< At least one task, and none failed.
  skipped = 10,   ///< All tasks.
};

/// "succeeded".
[[nodiscard]] std::string_view to_string(JobState state);

[[nodiscard]] bool has_ended(JobState state);

/// When the end of one job lets another one start.
enum class When : std::uint8_t { succeeded = 1, finished = 2, failed = 3 };

struct Need {
  JobId job;
  When when = When::succeeded;

  friend bool operator==(const Need&, const Need&) = default;
};

/// What is to be submitted.
struct NewJob {
  /// Chosen by whoever submits, 1 to 64 bytes. A job with the same one is the
  /// same job: to submit it again changes nothing.
  std::string request_id{};
  std::string name{};
  std::vector<std::string> tags{};
  std::string group = "default";  ///< Has to be there.
  /// What a task takes of a node while it runs, as whoever claims writes it:
  /// tasks that take the same stand in one queue.
  std::string resources{};
  Priority priority = Priority::normal;
  Delivery delivery = Delivery::at_least_once;
  std::string spec{};         ///< What all tasks have in common; any bytes.
  std::vector<Need> needs{};  ///< Jobs that are there; each once.
  WallTime not_before{};
  RunId run{};  ///< That it is a part of; zero for none.
  /// Where its tasks wait, each once; none for shard 0 alone, which is what a
  /// node by itself uses. Whoever asks for one of them gets the next task of
  /// the job: an array in several is worked off by the owners of all of them.
  std::vector<std::uint32_t> shards{};

  friend bool operator==(const NewJob&, const NewJob&) = default;
};

struct JobCounts {
  std::uint64_t tasks = 0;
  std::uint64_t waiting = 0;   ///< For their first attempt.
  std::uint64_t retrying = 0;  ///< Wait for another one.
  std::uint64_t running = 0;   ///< Claimed or started.
  std::uint64_t success = 0;
  std::uint64_t failed = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t lost = 0;
  std::uint64_t skipped = 0;

  [[nodiscard]] std::uint64_t ended() const {
    return success + failed + timed_out + cancelled + lost + skipped;
  }
  friend bool operator==(const JobCounts&, const JobCounts&) = default;
};

struct JobInfo {
  JobId id;
  NewJob job;
  JobState state = JobState::open;
  JobCounts counts;
  std::uint64_t needs_left = 0;  ///< Jobs that it waits for.
  bool is_held = false;          ///< See Store::hold().
  bool is_cancelled = false;     ///< See Store::cancel().
  WallTime submitted;
  /// When its only task ended, or the last result of several was recorded.
  std::optional<WallTime> ended;

  friend bool operator==(const JobInfo&, const JobInfo&) = default;
};

/// What can be changed of a job that has not ended; nullopt leaves it.
struct JobEdit {
  std::optional<std::string> name{};
  std::optional<std::vector<std::string>> tags{};
  std::optional<std::string> group{};
  std::optional<std::string> resources{};
  std::optional<Priority> priority{};
  std::optional<std::string> spec{};  ///< For attempts that come.
  std::optional<WallTime> not_before{};
};

/// Of an attempt whose session ended before it: nobody had said how it ended.
inline constexpr int unknown_exit_status = -1;

/// How a task, or one attempt of it, has ended.
struct TaskResult {
  TaskRef task;
  std::uint32_t attempt = 0;  ///< Zero if there was none.
  Outcome outcome = Outcome::success;
  int exit_status = 0;
  std::string detail{};               ///< For people and programs; any bytes.
  WallTime at;                        ///< When it ended.
  std::optional<WallTime> started{};  ///< Of one that was not the last.

  friend bool operator==(const TaskResult&, const TaskResult&) = default;
};

// Stored: append only, never renumber.
enum class TaskState : std::uint8_t {
  waiting = 1,      ///< To be claimed.
  backing_off = 2,  ///< Until its next attempt is due.
  claimed = 3,
  started = 4,
  ended = 5,
};

/// "backing_off".
[[nodiscard]] std::string_view to_string(TaskState state);

struct TaskInfo {
  TaskRef task;
  TaskState state = TaskState::waiting;
  std::string argument{};
  std::uint32_t attempt = 0;      ///< That runs, or was the last; zero if none.
  std::optional<WallTime> due{};  ///< Of the next attempt, backing off.
  std::optional<TaskResult> result{};  ///< If it has ended.
  SessionId session{};                 ///< That has claimed it; empty if none.

  friend bool operator==(const TaskInfo&, const TaskInfo&) = default;
};

/// Work that a session has got.
struct Claim {
  AttemptRef attempt;
  std::string argument{};
  bool is_started = false;  ///< It may have had effects, see Store::start().
  /// Of its earlier attempts, since it was submitted or retried by hand: those
  /// that failed or timed out, and those that were lost.
  std::uint32_t failures = 0;
  std::uint32_t losses = 0;
  /// When the first of these was started, as far as their completions say.
  std::optional<WallTime> first_started{};

  friend bool operator==(const Claim&, const Claim&) = default;
};

/// How an attempt has ended.
struct Completion {
  AttemptRef attempt;
  Outcome outcome = Outcome::success;  ///< Never skipped.
  int exit_status = 0;
  std::string detail{};
  /// If the task is to be tried again: when. Not for what was started at most
  /// once.
  std::optional<WallTime> retry_at{};
  std::optional<WallTime> started{};  ///< Kept if it is tried again.
  /// When it was over, which may be long before it is recorded; none for then.
  std::optional<WallTime> ended{};
};

/// What is kept as its end: never later than it is recorded.
[[nodiscard]] WallTime end_of(const Completion& completion, WallTime now);

enum class Recorded : std::uint8_t {
  yes = 1,
  already = 2,  ///< By this very session: the answer was lost, say.
  fenced = 3,   ///< The attempt is not this session's any more.
};

/// What is known of an attempt whose result came too late to count.
struct LateResult {
  AttemptRef attempt;
  std::string detail;  ///< Not empty.
};

/// Jobs that share slots and a pace. "default" is always there.
struct Group {
  std::string name;
  std::uint32_t slots = 1;   ///< Tasks that run at once; at least 1.
  bool is_held = false;      ///< Nothing of it is claimed.
  std::uint32_t weight = 1;  ///< Its share beside other groups; at least 1.
  std::uint32_t starts_per_minute = 0;  ///< Zero for as many as there are.
  /// Failures in a row after which it pauses for `break_pause` and then tries
  /// one task; zero for never.
  std::uint32_t break_after = 0;
  Duration break_pause = 30s;

  friend bool operator==(const Group&, const Group&) = default;
};

/// What of a group has not ended.
struct GroupCounts {
  std::uint64_t jobs = 0;
  std::uint64_t waiting = 0;   ///< Tasks, as in JobCounts.
  std::uint64_t retrying = 0;  ///< Likewise.
  std::uint64_t running = 0;   ///< Likewise.

  friend bool operator==(const GroupCounts&, const GroupCounts&) = default;
};

struct GroupInfo {
  Group group;
  GroupCounts counts;

  friend bool operator==(const GroupInfo&, const GroupInfo&) = default;
};

/// Tasks that are alike to whoever hands them out wait in one queue. Those of a
/// shard come before those of the next one.
struct QueueId {
  std::string group;
  std::string resources{};
  std::uint32_t shard = 0;

  friend bool operator==(const QueueId&, const QueueId&) = default;
  friend std::strong_ordering operator<=>(const QueueId& a, const QueueId& b) {
    return std::tie(a.shard, a.group, a.resources) <=>
           std::tie(b.shard, b.group, b.resources);
  }
};

/// The job that comes next in a queue.
struct QueueHead {
  QueueId queue;
  Priority priority = Priority::normal;
  JobId job;

  friend bool operator==(const QueueHead&, const QueueHead&) = default;
};

// -- Runs ---------------------------------------------------------------------

// Stored: append only, never renumber.
enum class RunState : std::uint8_t {
  running = 1,
  succeeded = 2,
  failed = 3,
  cancelled = 4,
};

/// "succeeded".
[[nodiscard]] std::string_view to_string(RunState state);

[[nodiscard]] bool has_ended(RunState state);

/// What is to be run.
/// Stands in the name of a run that has no number yet for "7", each time.
inline constexpr std::string_view run_number_mark = "{run-number}";

struct NewRun {
  /// As that of a job.
  std::string request_id{};
  std::string name{};  ///< May have run_number_mark in it.
  std::string spec{};  ///< All that is needed to begin it again; any bytes.

  friend bool operator==(const NewRun&, const NewRun&) = default;
};

/// How far it is, for lists: whoever drives it says so.
struct RunCounts {
  std::uint64_t jobs = 0;    ///< Of the workflow, not of the queue.
  std::uint64_t ended = 0;   ///< Of these.
  std::uint64_t failed = 0;  ///< Likewise.

  friend bool operator==(const RunCounts&, const RunCounts&) = default;
};

struct RunInfo {
  RunId id;
  NewRun run;  ///< In lists without `spec`.
  RunState state = RunState::running;
  RunCounts counts;
  std::uint64_t events = 0;
  WallTime submitted;
  std::optional<WallTime> ended;

  friend bool operator==(const RunInfo&, const RunInfo&) = default;
};

/// One thing that has happened to a run. What has happened in this order is all
/// that there is to know of it.
struct RunEvent {
  std::uint64_t number = 0;  ///< Counts from 0.
  std::string what{};        ///< Any bytes.
  WallTime at;

  friend bool operator==(const RunEvent&, const RunEvent&) = default;
};

}  // namespace troupe::store
