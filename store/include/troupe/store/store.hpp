#pragma once

/// Start here. `store` keeps jobs, what became of their tasks, and who works on
/// them, so that nothing that was acknowledged is lost and nothing is recorded
/// twice. It knows no commands, no processes and no clock: specs, arguments and
/// details are bytes, and the time comes with each call.
///
///   job.hpp           jobs, tasks, attempts, results: the words
///   store.hpp         Store: all that can be done with them
///   cluster_store.hpp  ClusterStore: what several nodes need besides
///   sql_store.hpp     in tables, by statements
///   sqlite_store.hpp  in a file
///   postgres_store.hpp  in a database that several nodes share
///   model_store.hpp   in memory, as plainly as possible: what Store means
///
/// A job is a range of tasks with a cursor: the tasks before it have been
/// claimed at least once. A task has a row of its own only once something has
/// happened to it, so an array of a million tasks costs as much to submit,
/// cancel or hold as a single one (docs/adr/0007-store.md).
///
///            +-------------------------- retry_at ---------------------+
///            v                                                         |
///   waiting (range) --claim--> running: claimed --start--> started ----+-->
///   result
///            ^                    |                            |
///            +----- release ------+---- end of the session ----+
///            (at_most_once:
///                                                                 result lost)
#include <troupe/base/error.hpp>
#include <troupe/store/job.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::store {

inline constexpr std::size_t longest_id = 64;  ///< Of sessions and requests.
inline constexpr std::size_t most_tags = 64;
inline constexpr std::size_t most_needs = 1000;
inline constexpr std::size_t most_shards = 64;  ///< Of one job.
inline constexpr std::size_t largest_spec = 1 << 20;
inline constexpr std::size_t longest_resources = 256;
inline constexpr std::uint64_t most_tasks = 10'000'000;  ///< Of one job.
inline constexpr std::size_t largest_run_spec = 8 << 20;
inline constexpr std::size_t largest_event = 8 << 20;
inline constexpr std::uint64_t most_events = 1'000'000;  ///< Of one run.

struct Submitted {
  JobId job;
  bool is_new = false;     ///< Else it was there already.
  bool is_sealed = false;  ///< Nothing is left to be added.

  friend bool operator==(const Submitted&, const Submitted&) = default;
};

/// Which tasks of a job that has ended are to wait again.
enum class Retry : std::uint8_t {
  not_succeeded,  ///< All that did not succeed.
  failed,         ///< Those that failed, timed out or were lost.
};

struct SubmittedRun {
  RunId run;
  bool is_new = false;  ///< Else it was there already.

  friend bool operator==(const SubmittedRun&, const SubmittedRun&) = default;
};

/// What the end of a session led to.
struct SessionEnd {
  std::uint64_t queued_again = 0;
  std::uint64_t lost = 0;

  friend bool operator==(const SessionEnd&, const SessionEnd&) = default;
};

enum class JobSet : std::uint8_t {
  all,
  unended,
  active,  ///< Something of it runs or waits for its next attempt.
  ended,
  failed,   ///< Ended as JobState::failed: the box of dead letters.
  settled,  ///< Ended otherwise.
};

/// Which jobs are listed; all that is given has to hold.
struct JobFilter {
  std::optional<std::string> group{};
  std::optional<std::string> tag{};
  JobSet set = JobSet::all;
  JobId before{};  ///< Only older ones; zero for all.
  /// Only jobs of this run; zero for those of none.
  std::optional<RunId> run{};
};

enum class RunSet : std::uint8_t { all, unended, ended, failed };

struct RunFilter {
  RunSet set = RunSet::all;
  RunId before{};  ///< Only older ones; zero for all.
};

/// The truth about jobs. Each call is one transaction: it happens as a whole or
/// not at all. Each may be repeated without harm, since a reply may be lost. To
/// be used by one thread at a time; calls may block on a disk.
///
/// Errors of every call: unavailable, overloaded (no space) and corrupt, from
/// what is below; nothing has changed then.
class Store {
 public:
  virtual ~Store() = default;

  // -- Submitting ------------------------------------------------------------

  /// Begins a job without tasks. It is the same job for the same request_id,
  /// whatever else is in `job`.
  ///
  /// Errors: invalid_argument (a bound, or a need twice), not_found (a group, a
  /// needed job or the run).
  virtual Result<Submitted> open_job(const NewJob& job, WallTime now) = 0;

  /// What open_job() would answer to this request if the job is there.
  virtual Result<std::optional<Submitted>> known(
      const std::string& request_id) = 0;

  /// Adds one task per argument to a job that is open. `chunk` counts from 0;
  /// one that was added before is ignored.
  ///
  /// Errors: not_found; invalid_argument (a chunk before it is missing, the job
  /// is sealed, or it would have more than most_tasks).
  virtual Result<void> append(JobId job, std::uint64_t chunk,
                              std::span<const std::string> arguments) = 0;

  /// Adds `count` tasks whose arguments are empty.
  virtual Result<void> append_range(JobId job, std::uint64_t chunk,
                                    std::uint64_t count) = 0;

  /// The job is complete and may start. A job without tasks ends at once.
  ///
  /// Errors: not_found.
  virtual Result<void> seal(JobId job, WallTime now) = 0;

  // -- Working ---------------------------------------------------------------

  /// Errors: invalid_argument (a bound), already_exists (it has ended).
  virtual Result<void> open_session(const SessionId& session) = 0;

  /// What the session has claimed waits again, with its attempt counted; what
  /// it has started at most once is lost, and what was cancelled has ended as
  /// that. Nothing that it says later counts. These attempts have an
  /// unknown_exit_status, and as their detail what the session told of itself.
  /// To end one that is unknown makes it unable to begin.
  virtual Result<SessionEnd> end_session(const SessionId& session,
                                         WallTime now) = 0;

  /// Up to `limit` tasks of `queue` that may start, by priority and then in the
  /// order of submission; those that are tried again come first in their job.
  /// None from a group that is held. Call wake() before. What a call has
  /// claimed whose answer was lost is told by claimed_by().
  ///
  /// Errors: not_found (the group), permission_denied (no such session).
  virtual Result<std::vector<Claim>> claim(const SessionId& session,
                                           const QueueId& queue,
                                           std::uint32_t limit) = 0;

  /// As claim(), of a group whose slots are for all sessions together: no more
  /// than leaves all of them with as many of its tasks as it has slots. What
  /// other calls of claim() have got counts as well, and is not bounded.
  virtual Result<std::vector<Claim>> claim_within_slots(
      const SessionId& session, const QueueId& queue, std::uint32_t limit) = 0;

  /// From now on these may have side effects. False for what the session does
  /// not hold: it must not start that.
  virtual Result<std::vector<bool>> start(
      const SessionId& session, std::span<const AttemptRef> attempts) = 0;

  /// Records how attempts have ended. For each, in order, whether it counts.
  ///
  /// Errors: invalid_argument (skipped, or a retry of what was started at most
  /// once); then none is recorded.
  virtual Result<std::vector<Recorded>> complete(
      const SessionId& session, std::span<const Completion> completions,
      WallTime now) = 0;

  /// Keeps what a session that has ended says of attempts that were lost with
  /// it: as their detail, of each what came first, with an exit status of zero.
  /// Nothing else of them changes; what is not there, or is known, stays as it
  /// is.
  virtual Result<void> keep_late(const SessionId& session,
                                 std::span<const LateResult> results) = 0;

  /// Gives back what was claimed, and was never executed or may be once more,
  /// whatever start() has said before. The attempt does not count.
  virtual Result<void> release(const SessionId& session,
                               std::span<const AttemptRef> attempts) = 0;

  /// What `session` has claimed, in order.
  virtual Result<std::vector<Claim>> claimed_by(const SessionId& session) = 0;

  /// Those that have begun and not ended, by name.
  virtual Result<std::vector<SessionId>> open_sessions() = 0;

  // -- Time ------------------------------------------------------------------

  /// Lets jobs and retries whose time has come be claimed, up to `limit` of
  /// them. Answers how many.
  virtual Result<std::uint64_t> wake(WallTime now, std::uint32_t limit) = 0;

  /// When wake() has something to do; nullopt if never.
  virtual Result<std::optional<WallTime>> next_wake() = 0;

  // -- Changing --------------------------------------------------------------

  /// All tasks that wait are cancelled at once. Answers what runs, for whoever
  /// runs it to stop; how that ends is recorded as usual. A job that has ended
  /// stays as it is.
  ///
  /// Errors: not_found.
  virtual Result<std::vector<AttemptRef>> cancel(JobId job, WallTime now) = 0;

  /// Keeps tasks of a job from being claimed, or lets them.
  ///
  /// Errors: not_found.
  virtual Result<void> hold(JobId job, bool is_held) = 0;

  /// Errors: not_found (the job, or a group); invalid_argument (it has ended,
  /// or a bound).
  virtual Result<void> edit(JobId job, const JobEdit& edit, WallTime now) = 0;

  /// Tasks of a job that has ended wait again. Answers how many. Jobs that need
  /// it are not looked at again.
  ///
  /// Errors: not_found (the job, or its group); invalid_argument (it has not
  /// ended, or is of a run: that has counted on its end).
  virtual Result<std::uint64_t> retry(JobId job, Retry which) = 0;

  /// Forgets a job that has ended, with its results. Its request_id is free.
  ///
  /// Errors: not_found; invalid_argument (it has not ended, or is of a run,
  /// which is forgotten as a whole).
  virtual Result<void> forget(JobId job) = 0;

  /// Adds or changes a group.
  ///
  /// Errors: invalid_argument (no slots, no weight, or a name that is empty or
  /// longer than longest_id).
  virtual Result<void> set_group(const Group& group) = 0;

  /// Errors: not_found; invalid_argument (it has jobs that have not ended, or
  /// is "default").
  virtual Result<void> remove_group(const std::string& name) = 0;

  // -- Runs ------------------------------------------------------------------

  /// Begins a run without events. It is the same run for the same request_id,
  /// whatever else is in `run`.
  ///
  /// Errors: invalid_argument (a bound).
  virtual Result<SubmittedRun> open_run(const NewRun& run, WallTime now) = 0;

  /// Records what has happened to a run, and how it is after that; an end that
  /// is not the last word takes it back. False, and nothing changes, for an
  /// event that was recorded before.
  ///
  /// Errors: not_found; invalid_argument (a bound, or one before it is
  /// missing).
  virtual Result<bool> add_event(RunId run, const RunEvent& event,
                                 RunState state, const RunCounts& counts) = 0;

  /// Forgets a run that has ended with all its jobs, which it answers. Its
  /// request_id and theirs are free.
  ///
  /// Errors: not_found; invalid_argument (it has not ended, or a job of it has
  /// not).
  virtual Result<std::vector<JobId>> forget_run(RunId run) = 0;

  /// Errors: not_found.
  virtual Result<RunInfo> run(RunId run) = 0;

  /// The newest first, without what they run.
  virtual Result<std::vector<RunInfo>> runs(const RunFilter& filter,
                                            std::uint32_t limit) = 0;

  /// In order, from the number `from` on.
  ///
  /// Errors: not_found.
  virtual Result<std::vector<RunEvent>> events(RunId run, std::uint64_t from,
                                               std::uint32_t limit) = 0;

  /// Those that have ended, the longest ago first, without what they run.
  virtual Result<std::vector<RunInfo>> oldest_ended_runs(
      std::uint32_t limit) = 0;

  /// How many those are.
  virtual Result<std::uint64_t> count_ended_runs() = 0;

  // -- Looking ---------------------------------------------------------------

  /// Errors: not_found.
  virtual Result<JobInfo> job(JobId job) = 0;

  /// The newest first.
  virtual Result<std::vector<JobInfo>> jobs(const JobFilter& filter,
                                            std::uint32_t limit) = 0;

  /// In order of their index, from `from` on.
  ///
  /// Errors: not_found.
  virtual Result<std::vector<TaskResult>> results(JobId job, std::uint64_t from,
                                                  std::uint32_t limit) = 0;

  /// The indices of tasks that have, or had, an attempt, in order, from `from`
  /// on: what never ran costs nothing.
  ///
  /// Errors: not_found.
  virtual Result<std::vector<std::uint64_t>> tried(JobId job,
                                                   std::uint64_t from,
                                                   std::uint32_t limit) = 0;

  /// Errors: not_found (the job, or the task).
  virtual Result<TaskInfo> task(const TaskRef& task) = 0;

  /// How its attempts have ended, in order; not the one that runs. One whose
  /// session has ended is `lost` here, whatever came after that.
  ///
  /// Errors: not_found (the job).
  virtual Result<std::vector<TaskResult>> attempts(const TaskRef& task) = 0;

  /// When the first of its tasks that back off is due; nullopt if none does.
  ///
  /// Errors: not_found.
  virtual Result<std::optional<WallTime>> next_due(JobId job) = 0;

  /// By name.
  virtual Result<std::vector<GroupInfo>> groups() = 0;

  /// How many tasks of a group each session has claimed, if it has any. None of
  /// a group that there is not.
  virtual Result<std::map<SessionId, std::uint64_t>> claims_in(
      const std::string& group) = 0;

  /// Queues with something that may be claimed, in order; of all shards. None
  /// of groups that are held.
  virtual Result<std::vector<QueueHead>> queues() = 0;

  /// Those of queues() in these shards, which are given once each.
  virtual Result<std::vector<QueueHead>> queues_of(
      std::span<const std::uint32_t> shards) = 0;

  /// Those of queues() from this shard on, up to `limit`.
  virtual Result<std::vector<QueueHead>> queues_from(std::uint32_t shard,
                                                     std::uint32_t limit) = 0;

  /// Those of `set` that have ended and are of no run, the longest ago first.
  virtual Result<std::vector<JobId>> oldest_ended(JobSet set,
                                                  std::uint32_t limit) = 0;

  /// How many those are.
  virtual Result<std::uint64_t> count_ended() = 0;

  /// Those of `jobs`, given in order, that are not there although a newer one
  /// is. What is newer than all that is there may be news to this look.
  virtual Result<std::vector<JobId>> forgotten(std::span<const JobId> jobs) = 0;

  /// The same of runs.
  virtual Result<std::vector<RunId>> forgotten_runs(
      std::span<const RunId> runs) = 0;
};

/// Whether `job` keeps the bounds; not whether what it names is there.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check(const NewJob& job);
[[nodiscard]] Result<void> check(const JobEdit& edit);
[[nodiscard]] Result<void> check(const NewRun& run);

/// `name` with the number of the run for each run_number_mark.
[[nodiscard]] std::string with_number(std::string name, RunId run);

[[nodiscard]] Result<void> check(const RunEvent& event);
[[nodiscard]] Result<void> check(const Group& group);
[[nodiscard]] Result<void> check(const SessionId& session);

/// What the counts of a job that has no task left to do make of it.
[[nodiscard]] JobState state_of_ended(const JobCounts& counts);

/// Whether a run is in `set`.
[[nodiscard]] bool is_in(RunState state, RunSet set);

/// Whether a job that ended as `state` is what somebody has waited for.
[[nodiscard]] bool satisfies(JobState state, When when);

}  // namespace troupe::store
