#pragma once

#include <troupe/base/time.hpp>
#include <troupe/store/cluster_store.hpp>
#include <troupe/store/store.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace troupe::store {

class SqlDatabase;

/// What has to go wrong for something that was acknowledged to be lost.
enum class Durability : std::uint8_t {
  buffered,    ///< A crash of the server or its host takes the last moments.
  synced,      ///< A disk.
  replicated,  ///< The disks of two servers.
};

[[nodiscard]] std::string_view to_string(Durability durability);

struct StoreFacts {
  std::string software;  ///< "PostgreSQL 15.14".
  std::string id;        ///< Of a database: no other one has it. Else empty.
  Durability durability = Durability::synced;
  std::string settings;  ///< What that follows from: "fsync=on ..".
};

/// What the stores in tables have in common: SqliteStore and PostgresStore,
/// which say how one is opened, how long a call may take and who else may be
/// there.
class SqlStore : public Store, public ClusterStore {
 public:
  ~SqlStore() override;
  SqlStore(const SqlStore&) = delete;
  SqlStore& operator=(const SqlStore&) = delete;

  /// Whether open() has made the tables.
  [[nodiscard]] bool is_new() const { return is_new_; }

  /// As of when it was opened.
  [[nodiscard]] const StoreFacts& facts() const { return facts_; }

  /// From now on a call takes no longer than `left`, or than the store was
  /// opened with. A file knows no such bound. `left` is what waiting for its
  /// turn has left of `whole`, which the error of a call that is too late
  /// tells.
  void set_patience(Duration left, Duration whole);

  /// Runs the calls that `work` makes as one transaction: one sync for all of
  /// them. A call that fails takes back what it did itself and nothing else.
  /// Not to be nested.
  ///
  /// Errors: of the beginning, and then `work` was not run; of the commit. Then
  /// none of the calls has happened, whatever they answered, unless
  /// may_have_happened().
  [[nodiscard]] Result<void> batch(const std::function<void()>& work);

  /// Whether the batch that has failed last may have happened all the same: the
  /// answer to its commit was lost.
  [[nodiscard]] bool may_have_happened() const;

  /// Deletes up to `rows` rows of what was forgotten, and gives space that is
  /// free back to the disk. Whether there is more to do.
  ///
  /// Errors: as every call.
  [[nodiscard]] Result<bool> tidy(std::uint32_t rows);

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
  Result<AgreedView> view() override;
  Result<AgreedView> propose(const AgreedView& next) override;
  Result<std::optional<KnownRoster>> roster_after(std::uint64_t known) override;
  Result<void> set_roster(const KnownRoster& next) override;
  Result<std::vector<QueueHead>> queues_of(
      std::span<const std::uint32_t> shards) override;
  Result<std::vector<QueueHead>> queues_from(std::uint32_t shard,
                                             std::uint32_t limit) override;

 protected:
  SqlStore(std::unique_ptr<SqlDatabase> database, bool is_new);

 private:
  class Tables;
  std::unique_ptr<Tables> tables_;
  bool is_new_;
  StoreFacts facts_;
};

}  // namespace troupe::store
