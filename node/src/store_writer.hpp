#pragma once

/// The thread that owns the store of a node.
#include "store_outage_core.hpp"

#include <troupe/queue/store_access.hpp>
#include <troupe/store/sql_store.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace troupe::node {

/// Makes all calls on a store, in the order in which they were posted, on a
/// thread of its own. What has been posted while the disk was busy is one
/// transaction: the more there is to do, the less each call costs (group
/// commit, Gray and Reuter 1993), and a single one waits for nobody.
///
/// A store behind a connection may be gone. Calls wait for it for as long as
/// `patience` says and are refused as `unavailable` then. To ask it again is
/// the business of the first of those that wait (StoreOutageCore), alone: if it
/// is the call that makes the store fail, the others do not pay for it.
class StoreWriter : public queue::StoreAccess {
 public:
  /// Calls that wait; more are refused as `overloaded`.
  static constexpr std::size_t most_waiting = 10'000;
  /// Calls in one transaction.
  static constexpr std::size_t most_in_batch = 500;
  /// What comes after so much time is for the next one.
  static constexpr Duration longest_batch = 1s;

  /// `patience` is 0 for a store that is never gone, such as a file.
  explicit StoreWriter(std::unique_ptr<store::SqlStore> store,
                       Duration patience = Duration{0});
  /// Makes the calls that wait, or refuses them as `cancelled` if the store is
  /// gone, and ends the thread.
  ~StoreWriter() override;
  StoreWriter(const StoreWriter&) = delete;
  StoreWriter& operator=(const StoreWriter&) = delete;

  /// As StoreAccess::post(). `work` is run again if the store was gone before
  /// the commit, or refused a transaction with others.
  ///
  /// Errors, by `done`, beside those: unavailable and timed_out (the store is
  /// gone; what it says of calls whose end is not known says so).
  void post(Work work, Done done) override;

  /// The same for what only nodes of a cluster ask.
  void post_to_cluster(std::function<void(store::ClusterStore&)> work,
                       Done done);

  /// As SqlStore::tidy(), in its turn; `done` as in post().
  void tidy(std::uint32_t rows, std::function<void(Result<bool>)> done);

  /// Of the store; from any thread.
  [[nodiscard]] const store::StoreFacts& facts() const { return facts_; }
  [[nodiscard]] std::string_view durability() const {
    return store::to_string(facts_.durability);
  }

  /// Calls that wait at this moment; from any thread.
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

  /// Whether the store did not answer when it was asked last; from any thread.
  [[nodiscard]] bool is_gone() const { return is_gone_; }

 private:
  struct Call {
    Work work;
    Done done;
    TimePoint made;
  };
  using Calls = std::deque<Call>;

  // On the thread.
  void add(Call call);
  void turn_later();
  void turn();
  void commit(Duration patience);
  void put_back(Calls calls);
  void answer(Call& call, const Result<void>& result);
  void refuse_all(const Error& error);
  void on_silence(const Error& error);
  void on_answer();

  std::unique_ptr<store::SqlStore> store_;
  const store::StoreFacts facts_;
  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> is_gone_{false};
  // Of the thread.
  StoreOutageCore outage_;
  std::string last_silence_;  ///< What the store, or who asked, said.
  Calls calls_;
  std::size_t alone_ = 0;  ///< So many of the first share no transaction.
  bool is_turn_posted_ = false;
  bool is_closing_ = false;
  boost::asio::io_context io_{1};
  boost::asio::steady_timer timer_{io_};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      keep_running_{io_.get_executor()};
  std::thread thread_;
};

}  // namespace troupe::node
