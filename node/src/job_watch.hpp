#pragma once

/// Tells clients of jobs that change, over streams of events.
#include <troupe/actors/caf.hpp>
#include <troupe/api/http.hpp>
#include <troupe/base/time.hpp>
#include <troupe/queue/store_access.hpp>
#include <troupe/store/job.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace troupe::node {

/// On the I/O thread, but for changed(). Changes are gathered for a while, so
/// that a job of a million tasks is not told a million times.
class JobWatch : public std::enable_shared_from_this<JobWatch> {
 public:
  /// `also` is told of each change, too; on any thread, must not block.
  JobWatch(boost::asio::io_context& io, queue::StoreAccess& store,
           actors::ActorRef dispatcher, std::function<void(store::JobId)> also)
      : io_{io},
        store_{store},
        dispatcher_{std::move(dispatcher)},
        also_{std::move(also)},
        timer_{io} {}

  /// Something of the job is new. From any thread; cheap while nobody watches.
  void changed(store::JobId job);

  /// Sends one event `job` for each of `jobs` now, and one after each change;
  /// ends the stream when all have ended. Without `jobs`: whatever changes,
  /// until the client goes.
  void watch(const api::HttpStream& stream,
             std::optional<std::set<store::JobId>> jobs);

 private:
  struct Watcher {
    api::HttpStream stream;
    std::optional<std::set<store::JobId>> unended;  ///< None: all there are.
    std::set<store::JobId> news;
    /// Of `unended`, those that need others: the end of these may have them
    /// skipped, one after the other, without a word about each.
    std::set<store::JobId> needy{};
  };
  struct Seen;

  void note(store::JobId job);
  void flush_later();
  void flush();
  void look_up(const std::shared_ptr<Seen>& seen, std::set<store::JobId> jobs);
  void deliver(const Seen& seen);
  void ask_again(const Seen& seen);

  boost::asio::io_context& io_;
  queue::StoreAccess& store_;
  actors::ActorRef dispatcher_;
  std::function<void(store::JobId)> also_;
  boost::asio::steady_timer timer_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  std::atomic<bool> has_watchers_{false};
  bool is_flush_set_ = false;
  TimePoint last_flush_{};
};

}  // namespace troupe::node
