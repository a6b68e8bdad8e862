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
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace troupe::node {

struct SeenJob;

/// On the I/O thread, but for changed(). Changes are gathered for a while, so
/// that a job of a million tasks is not told a million times.
class JobWatch : public std::enable_shared_from_this<JobWatch> {
 public:
  /// `also` is told of each change, too; on any thread, must not block. If
  /// other nodes change jobs as well, it is looked every `look_every` whether
  /// they have; zero for never.
  JobWatch(boost::asio::io_context& io, queue::StoreAccess& store,
           actors::ActorRef dispatcher, std::function<void(store::JobId)> also,
           Duration look_every = Duration{0})
      : io_{io},
        store_{store},
        dispatcher_{std::move(dispatcher)},
        also_{std::move(also)},
        look_every_{look_every},
        timer_{io},
        look_timer_{io} {}

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
    /// What was told last of each of `unended`, to tell no job twice as it is.
    std::map<store::JobId, std::size_t> told{};
  };
  struct Seen;

  void note(store::JobId job);
  void look_later();
  void flush_later();
  void flush();
  void look_up(const std::shared_ptr<Seen>& seen, std::set<store::JobId> jobs);
  void tell(Watcher& watcher, const SeenJob& job);
  void deliver(const Seen& seen);
  void ask_again(const Seen& seen);

  boost::asio::io_context& io_;
  queue::StoreAccess& store_;
  actors::ActorRef dispatcher_;
  std::function<void(store::JobId)> also_;
  Duration look_every_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer look_timer_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  std::atomic<bool> has_watchers_{false};
  bool is_flush_set_ = false;
  bool is_look_set_ = false;
  TimePoint last_flush_{};
};

}  // namespace troupe::node
