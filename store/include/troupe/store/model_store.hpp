#pragma once

#include <troupe/store/cluster_store.hpp>
#include <troupe/store/store.hpp>

#include <map>
#include <string>
#include <vector>

namespace troupe::store {

/// What Store and ClusterStore mean, put down as plainly as possible: every
/// task is there by itself, everything is found by looking at everything. For
/// tests of other stores and of those who use one; it never fails and keeps
/// nothing on disk.
class ModelStore : public Store, public ClusterStore {
 public:
  ModelStore() { groups_["default"] = {.name = "default"}; }

  Result<Submitted> open_job(const NewJob& job, WallTime now) override;
  Result<std::optional<Submitted>> known(
      const std::string& request_id) override;
  Result<void> append(JobId job, std::uint64_t chunk,
                      std::span<const std::string> arguments) override;
  Result<void> append_range(JobId job, std::uint64_t chunk,
                            std::uint64_t count) override;
  Result<void> seal(JobId job, WallTime now) override;
  Result<void> open_session(const SessionId& session) override;
  Result<SessionEnd> end_session(const SessionId& session,
                                 WallTime now) override;
  Result<std::vector<Claim>> claim(const SessionId& session,
                                   const QueueId& queue,
                                   std::uint32_t limit) override;
  Result<std::vector<Claim>> claim_within_slots(const SessionId& session,
                                                const QueueId& queue,
                                                std::uint32_t limit) override;
  Result<std::vector<bool>> start(
      const SessionId& session, std::span<const AttemptRef> attempts) override;
  Result<std::vector<Recorded>> complete(
      const SessionId& session, std::span<const Completion> completions,
      WallTime now) override;
  Result<void> keep_late(const SessionId& session,
                         std::span<const LateResult> results) override;
  Result<void> release(const SessionId& session,
                       std::span<const AttemptRef> attempts) override;
  Result<std::vector<Claim>> claimed_by(const SessionId& session) override;
  Result<std::vector<SessionId>> open_sessions() override;
  Result<std::uint64_t> wake(WallTime now, std::uint32_t limit) override;
  Result<std::optional<WallTime>> next_wake() override;
  Result<std::vector<AttemptRef>> cancel(JobId job, WallTime now) override;
  Result<void> hold(JobId job, bool is_held) override;
  Result<void> edit(JobId job, const JobEdit& edit, WallTime now) override;
  Result<std::uint64_t> retry(JobId job, Retry which) override;
  Result<void> forget(JobId job) override;
  Result<void> set_group(const Group& group) override;
  Result<void> remove_group(const std::string& name) override;
  Result<SubmittedRun> open_run(const NewRun& run, WallTime now) override;
  Result<bool> add_event(RunId run, const RunEvent& event, RunState state,
                         const RunCounts& counts) override;
  Result<std::vector<JobId>> forget_run(RunId run) override;
  Result<RunInfo> run(RunId run) override;
  Result<std::vector<RunInfo>> runs(const RunFilter& filter,
                                    std::uint32_t limit) override;
  Result<std::vector<RunEvent>> events(RunId run, std::uint64_t from,
                                       std::uint32_t limit) override;
  Result<std::vector<RunInfo>> oldest_ended_runs(std::uint32_t limit) override;
  Result<std::uint64_t> count_ended_runs() override;
  Result<JobInfo> job(JobId job) override;
  Result<std::vector<JobInfo>> jobs(const JobFilter& filter,
                                    std::uint32_t limit) override;
  Result<std::vector<TaskResult>> results(JobId job, std::uint64_t from,
                                          std::uint32_t limit) override;
  Result<std::vector<std::uint64_t>> tried(JobId job, std::uint64_t from,
                                           std::uint32_t limit) override;
  Result<TaskInfo> task(const TaskRef& task) override;
  Result<std::vector<TaskResult>> attempts(const TaskRef& task) override;
  Result<std::optional<WallTime>> next_due(JobId job) override;
  Result<std::vector<GroupInfo>> groups() override;
  Result<std::map<SessionId, std::uint64_t>> claims_in(
      const std::string& group) override;
  Result<std::vector<QueueHead>> queues() override;
  Result<std::vector<JobId>> oldest_ended(JobSet set,
                                          std::uint32_t limit) override;
  Result<std::uint64_t> count_ended() override;
  Result<std::vector<JobId>> forgotten(std::span<const JobId> jobs) override;
  Result<std::vector<RunId>> forgotten_runs(
      std::span<const RunId> runs) override;
  Result<Registered> register_session(const NewSession& session,
                                      WallTime now) override;
  Result<Renewal> renew(const SessionId& session, bool is_draining,
                        WallTime now) override;
  Result<std::vector<SessionInfo>> sessions() override;
  Result<std::optional<SessionEnd>> evict(const SessionId& session,
                                          std::uint64_t counter,
                                          WallTime now) override;
  Result<AgreedView> view() override { return view_; }
  Result<AgreedView> propose(const AgreedView& next) override;
  Result<std::optional<KnownRoster>> roster_after(std::uint64_t known) override;
  Result<void> set_roster(const KnownRoster& next) override;
  Result<std::vector<QueueHead>> queues_of(
      std::span<const std::uint32_t> shards) override;
  Result<std::vector<QueueHead>> queues_from(std::uint32_t shard,
                                             std::uint32_t limit) override;

 private:
  struct Task {
    std::string argument;
    TaskState state = TaskState::waiting;
    bool was_claimed = false;
    std::uint32_t attempt = 0;
    std::uint64_t claim = 0;  ///< The last one.
    SessionId session;        ///< That has, or had, the attempt.
    WallTime due;
    TaskResult result;
    std::vector<TaskResult> history;  ///< Of attempts that were not the last.
    std::size_t forgiven = 0;  ///< So many of them do not count any more.
  };
  struct Job {
    NewJob job;
    std::vector<Task> tasks;
    std::uint64_t chunks = 0;
    std::vector<Need> needs;  ///< That have not ended.
    bool is_doomed = false;   ///< A need has not ended as it should.
    bool is_sealed = false;
    bool is_due = false;
    bool is_held = false;
    bool is_cancelled = false;
    WallTime submitted;
    std::optional<WallTime> ended;
  };
  struct Run {
    RunInfo info;
    std::vector<RunEvent> events;
  };
  struct Session {
    SessionInfo info;  ///< Without a node if nobody has registered it.
    bool is_open = true;
  };
  using Jobs = std::map<JobId, Job>;
  using Runs = std::map<RunId, Run>;

  Result<Jobs::iterator> find(JobId job);
  Result<Runs::iterator> find(RunId run);
  Result<void> add(JobId job, std::uint64_t chunk,
                   std::span<const std::string> arguments);
  Task* held_by(const SessionId& session, const AttemptRef& attempt);
  [[nodiscard]] bool was_of(const SessionId& session,
                            const AttemptRef& attempt) const;
  [[nodiscard]] static std::vector<QueueId> waits_in(const Job& job);
  [[nodiscard]] bool is_open(const SessionId& session) const;
  [[nodiscard]] static bool is_told(const Task& task);
  [[nodiscard]] static Claim claim_of(TaskRef ref, const Task& task);
  [[nodiscard]] bool may_be_claimed(const Job& job) const;
  [[nodiscard]] static JobCounts count(const Job& job);
  [[nodiscard]] static JobInfo info(JobId id, const Job& job);
  static void end_task(TaskRef ref, Task& task, Outcome outcome, WallTime now);
  static void end_waiting(JobId id, Job& job, Outcome outcome, WallTime now);
  void end_if_done(JobId id, WallTime now);
  void end_if_done(JobId id, WallTime now, WallTime at);
  SessionEnd end(const SessionId& session, WallTime now);

  Jobs jobs_;
  std::uint64_t last_job_ = 0;
  Runs runs_;
  std::uint64_t last_run_ = 0;
  std::map<std::string, Group> groups_;
  std::uint64_t last_claim_ = 0;
  std::map<SessionId, Session> sessions_;
  AgreedView view_;
  KnownRoster roster_;
};

}  // namespace troupe::store
