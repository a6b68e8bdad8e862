#pragma once

/// The thread that owns the store of a node.
#include <troupe/queue/store_access.hpp>
#include <troupe/store/sqlite_store.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace troupe::node {

/// Makes all calls on a store, in the order in which they were posted, on a
/// thread of its own. What has been posted while the disk was busy is one
/// transaction: the more there is to do, the less each call costs (group
/// commit, Gray and Reuter 1993), and a single one waits for nobody.
class StoreWriter : public queue::StoreAccess {
 public:
  /// Calls that wait; more are refused as `overloaded`.
  static constexpr std::size_t most_waiting = 10'000;
  /// Calls in one transaction.
  static constexpr std::size_t most_in_batch = 500;

  explicit StoreWriter(std::unique_ptr<store::SqliteStore> store);
  /// Makes the calls that wait, and ends the thread.
  ~StoreWriter() override;
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  void post(Work work, Done done) override;

  /// As SqliteStore::tidy(), in its turn; `done` as in post().
  void tidy(std::uint32_t rows, std::function<void(Result<bool>)> done);

  /// Calls that wait at this moment; from any thread.
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  struct Call {
    Work work;
    Done done;
  };

  void add(Call call);
  void commit();

  std::unique_ptr<store::SqliteStore> store_;
  std::atomic<std::size_t> waiting_{0};
  std::vector<Call> batch_;  ///< Of the thread.
  bool is_commit_posted_ = false;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      keep_running_{io_.get_executor()};
  std::thread thread_;
};

}  // namespace troupe::node
