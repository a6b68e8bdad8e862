#pragma once

#include <troupe/store/store.hpp>

#include <functional>
#include <memory>
#include <string>

namespace troupe::store {

/// The store in a SQLite file: write-ahead log, every commit synced to the disk
/// before the call returns. The file belongs to this process alone.
class SqliteStore : public Store {
 public:
  /// Opens or makes the file and checks it as a whole, which takes about a
  /// second per GiB. An older schema is brought up to date. Blocks.
  ///
  /// Errors: corrupt (damaged, or not a store), unsupported (of a newer
  /// version), unavailable (in use by another process), permission_denied,
  /// overloaded (no space). The file is as it was then.
  [[nodiscard]] static Result<std::unique_ptr<SqliteStore>> open(
      const std::string& path);

  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  /// Runs the calls that `work` makes as one transaction: one sync for all of
  /// them. A call that fails takes back what it did itself and nothing else.
  /// Not to be nested.
  ///
  /// Errors: of the commit. Then none of the calls has happened, whatever they
  /// answered.
  [[nodiscard]] Result<void> batch(const std::function<void()>& work);

  Result<Submitted> open_job(const NewJob& job, WallTime now) override;
  Result<void> append(JobId job, std::uint64_t chunk,
                      std::span<const std::string> arguments) override;
  Result<void> append_range(JobId job, std::uint64_t chunk,
                            std::uint64_t count) override;
  Result<void> seal(JobId job, WallTime now) override;
  Result<void> open_session(const SessionId& session) override;
  Result<SessionEnd> end_session(const SessionId& session,
                                 WallTime now) override;
  Result<std::vector<Claim>> claim(const SessionId& session,
                                   const std::string& group,
                                   std::uint32_t limit) override;
  Result<std::vector<bool>> start(
      const SessionId& session, std::span<const AttemptRef> attempts) override;
  Result<std::vector<Recorded>> complete(
      const SessionId& session, std::span<const Completion> completions,
      WallTime now) override;
  Result<void> release(const SessionId& session,
                       std::span<const AttemptRef> attempts) override;
  Result<std::vector<AttemptRef>> claimed_by(const SessionId& session) override;
  Result<std::uint64_t> wake(WallTime now, std::uint32_t limit) override;
  Result<std::optional<WallTime>> next_wake() override;
  Result<std::vector<AttemptRef>> cancel(JobId job, WallTime now) override;
  Result<void> hold(JobId job, bool is_held) override;
  Result<std::uint64_t> retry(JobId job) override;
  Result<void> forget(JobId job) override;
  Result<void> set_group(const Group& group) override;
  Result<JobInfo> job(JobId job) override;
  Result<std::vector<JobInfo>> jobs(const JobFilter& filter,
                                    std::uint32_t limit) override;
  Result<std::vector<TaskResult>> results(JobId job, std::uint64_t from,
                                          std::uint32_t limit) override;
  Result<std::vector<Group>> groups() override;
  Result<std::vector<std::string>> groups_with_work() override;

 private:
  class Tables;
  explicit SqliteStore(std::unique_ptr<Tables> tables);
  std::unique_ptr<Tables> tables_;
};

}  // namespace troupe::store
