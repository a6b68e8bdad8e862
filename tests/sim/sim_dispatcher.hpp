#pragma once

#include "sim_actor.hpp"

#include <troupe/queue/dispatch_core.hpp>
#include <troupe/queue/shard_look_core.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::sim {

/// The dispatcher of one session on one agent: the cores as they are, and a
/// shell that does what queue/src/dispatcher_actor.cpp does, in the same order.
/// What that has to keep to:
///
/// - It begins with what its session has claimed. What the warden knows of that
///   it takes over, what has begun and the warden does not know is lost, and
///   the rest it gives back.
/// - Before it knows what that is, it does not end.
/// - What it says to the store it says until that is answered, whatever the
///   store has done meanwhile.
/// - A claim whose answer was lost may have happened, and may happen long after
///   that. So it lists what its session has claimed, at once and then
///   regularly, and while nothing of what it knows is on its way.
/// - What it has at hand, is giving back or has to record it does not take from
///   such a list.
/// - The warden forgets an attempt before its claim is given back: the next one
///   has the same name.
/// - Of a group whose slots are those of all nodes it keeps nothing that does
///   not start.
class SimDispatcher : public SimActor {
 public:
  /// Whether it is hungry, and the shards where it has no room for what waits.
  using OnLook = std::function<void(bool, std::vector<std::uint32_t>)>;
  /// Something of the job has been recorded.
  using OnChange = std::function<void(store::JobId)>;

  SimDispatcher(SimHost& host, std::uint64_t life, OnLook on_look,
                OnChange on_change);

  void begin();

  // What it is told.
  void work_arrived(const std::vector<std::uint32_t>& shards);
  void may_work(bool may, bool may_go_on);
  void own_shards(queue::ShardLookCore::Shards own, std::uint32_t all);
  void on_ended(const store::AttemptRef& attempt);
  /// It starts nothing more; `done` is called when what runs has ended and all
  /// is recorded, or the store has failed several times, with how many tasks
  /// are left to the next one.
  void end_work(std::function<void(std::size_t left)> done);

 private:
  using Claims = std::vector<GrantedTask>;
  struct Task {
    GrantedTask claim;
    queue::DispatchCore::Start slot;
    bool is_launched = false;
  };

  [[nodiscard]] bool is_leaving() const { return !may_work_ && may_go_on_; }
  [[nodiscard]] bool may_start_some() const {
    return may_work_ || is_leaving();
  }
  [[nodiscard]] bool may_take(const store::QueueId& queue) const;
  [[nodiscard]] std::vector<store::QueueHead> takeable(
      std::vector<store::QueueHead> heads) const;
  [[nodiscard]] bool is_too_soon(TimePoint last);
  void on_trouble();
  void try_store_again();

  void inherit();
  void take_over(const Claims& claims);
  void adopt(const GrantedTask& claim);

  void list_later();
  void list_when_quiet();
  void reclaim();
  void on_reclaimed(const std::optional<Claims>& claims);
  [[nodiscard]] bool is_ours(const store::AttemptRef& attempt) const;

  void look();
  void on_looked(const std::optional<StoreLook>& look);
  void tell_of_look(const std::vector<store::QueueHead>& near);
  void claim();
  void on_claimed(const std::optional<Claims>& claims);
  void take(const Claims& claims);
  void end_look();
  void set_wake();

  void sample();
  void start_or_sample();
  void start_all();
  void begin_task(const GrantedTask& claim,
                  const queue::DispatchCore::Start& slot);
  void begin_at_most_once();
  void on_begun(const std::vector<store::AttemptRef>& attempts,
                const std::optional<std::vector<bool>>& may_start);
  void launch(Task& task);
  void on_start_told(const store::AttemptRef& attempt, bool has_started);

  void interrupt(Task& task);
  void give_back_task(Task& task);
  void give_back_unbegun();
  void finish(Task& task, store::Completion completion,
              queue::DispatchCore::End how);
  void leave(Task& task,
             queue::DispatchCore::End how = queue::DispatchCore::End::neutral);

  void record();
  void on_recorded(const std::vector<store::Completion>& completions,
                   const std::optional<std::vector<store::Recorded>>& recorded);
  void give_back_group(const std::string& group);
  void give_back_shared();
  void give_back_what_would_begin();
  void give_back_all(const store::QueueId& queue, std::deque<GrantedTask>& all);
  void give_back();
  void end_what_is_here();
  void check_end();

  std::string session_;
  OnLook on_look_;
  OnChange on_change_;
  queue::DispatchCore core_;
  queue::ShardLookCore shards_;
  std::vector<std::uint32_t> own_;
  bool is_sampling_ = false;
  bool may_work_ = false;
  bool may_go_on_ = false;

  std::map<store::QueueId, std::deque<GrantedTask>> ready_;
  std::map<store::AttemptRef, Task> tasks_;  ///< That have left it.
  std::vector<store::AttemptRef> to_begin_;  ///< Of them, at most once.
  std::deque<store::Completion> unrecorded_;
  std::vector<store::AttemptRef> returned_;

  bool is_ready_ = false;  ///< What was claimed before has been taken over.
  bool is_looking_ = false;
  bool look_again_ = false;
  bool is_beginning_ = false;
  bool is_recording_ = false;
  bool is_giving_back_ = false;
  bool has_store_trouble_ = false;
  bool misses_claims_ = false;
  bool is_list_due_ = false;
  bool is_listing_ = false;
  std::vector<queue::DispatchCore::ClaimOrder> orders_;
  std::optional<WallTime> next_wake_;
  std::uint64_t wake_token_ = 0;
  bool is_paced_ = false;
  TimePoint looked_at_{};
  TimePoint recorded_at_{};

  bool is_ending_ = false;
  int failures_at_end_ = 0;
  std::function<void(std::size_t)> on_end_;
};

}  // namespace troupe::sim
