#pragma once

/// A connection to the store for what must not wait behind jobs.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/store/sql_store.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

namespace troupe::node {

/// Makes calls on a store one after the other, each a transaction of its own,
/// on a thread of its own. The right of a session depends on them, so they give
/// up in time rather than wait: a call that comes to its turn too late is not
/// made.
class MemberStore {
 public:
  /// Calls that wait; more are refused as `overloaded`.
  static constexpr std::size_t most_waiting = 64;

  /// Answers are given on `io`, which outlives it.
  MemberStore(boost::asio::io_context& io,
              std::unique_ptr<store::SqlStore> store);
  /// Waits for the call at hand, for its patience at most; no answer comes any
  /// more that has not been posted yet.
  ~MemberStore();
  MemberStore(const MemberStore&) = delete;
  MemberStore& operator=(const MemberStore&) = delete;

  /// Makes `work(store::ClusterStore&)`, a Result<T>, within `patience`, and
  /// then `then(Result<T>)` on the I/O thread. From any thread.
  ///
  /// Errors, beside those of the store: timed_out and overloaded (it was not
  /// made).
  template <class F, class Then>
  void ask(Duration patience, F work, Then then) {
    using Answer = std::invoke_result_t<F, store::ClusterStore&>;
    post(patience, [this, work = std::move(work),
                    then = std::move(then)](const Result<void>& may) mutable {
      auto answer = std::make_shared<Answer>(
          may ? work(*store_) : Answer{tl::unexpected(may.error())});
      boost::asio::post(io_, [answer, then = std::move(then)]() mutable {
        then(std::move(*answer));
      });
    });
  }

 private:
  /// With whether it may be made.
  using Call = std::function<void(const Result<void>& may)>;

  void post(Duration patience, Call call);

  boost::asio::io_context& io_;
  std::unique_ptr<store::SqlStore> store_;
  std::atomic<std::size_t> waiting_{0};
  boost::asio::io_context own_io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      keep_running_{own_io_.get_executor()};
  std::thread thread_;
};

}  // namespace troupe::node
