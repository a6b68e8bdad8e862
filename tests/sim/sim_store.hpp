#pragma once

#include "checkers.hpp"
#include "defects.hpp"
#include "trace.hpp"

#include <troupe/distributed/eviction_core.hpp>
#include <troupe/distributed/lease_core.hpp>
#include <troupe/distributed/view.hpp>
#include <troupe/queue/shard_look_core.hpp>
#include <troupe/store/model_store.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace troupe::sim {

/// What a command is like; stands for the spec of its job.
struct CommandSpec {
  std::vector<std::uint32_t> shards{0};
  std::string group = "default";
  std::string resources{};
  store::Delivery delivery = store::Delivery::at_least_once;
  bool is_kept = false;  ///< lease_loss: keep.
  bool is_long = false;
};

struct GrantedTask {
  store::AttemptRef attempt;  ///< With the number of the claim.
  CommandSpec spec;
  bool is_started = false;
  std::uint32_t losses = 0;
};

/// What a dispatcher sees when it looks for work.
struct StoreLook {
  std::vector<store::GroupInfo> groups;
  std::vector<store::QueueHead> heads;
  std::vector<store::QueueHead> abroad;
  std::optional<WallTime> next_wake;
};

/// So many tasks, from the first of these queues that has them.
struct ClaimRequest {
  std::vector<store::QueueId> queues;
  std::uint32_t count = 0;
  bool is_shared = false;  ///< The slots of the group are for all nodes.
};

/// The model as drivers of runs use it, within a call: what they add is told to
/// the checkers.
class SimModel : public store::ModelStore {
 public:
  SimModel(Defect defect, Checkers& checkers)
      : defect_{defect}, checkers_{&checkers} {}

  Result<store::Submitted> open_job(const store::NewJob& job,
                                    WallTime now) override;
  Result<bool> add_event(store::RunId run, const store::RunEvent& event,
                         store::RunState state,
                         const store::RunCounts& counts) override;
  Result<void> edit(store::JobId job, const store::JobEdit& edit,
                    WallTime now) override;
  Result<std::vector<store::TaskResult>> results(store::JobId job,
                                                 std::uint64_t from,
                                                 std::uint32_t limit) override;
  Result<std::vector<store::RunEvent>> events(store::RunId run,
                                              std::uint64_t from,
                                              std::uint32_t limit) override;
  Result<std::vector<store::RunInfo>> runs(const store::RunFilter& filter,
                                           std::uint32_t limit) override;

 private:
  Defect defect_;
  Checkers* checkers_;
  std::uint64_t last_copy_ = 0;
};

/// The store of the cluster: ModelStore, which the other stores are compared
/// with. Each call is a transaction, and they happen one after the other. Here
/// is only what the simulation needs around it: the clock of the store, what
/// the checkers are told of each commit, and the defects of a store.
class SimStore {
 public:
  SimStore(Defect defect, Checkers& checkers, Trace& trace,
           const distributed::View& first);

  /// The true time and what the clock of the store shows.
  void set_time(Duration now, Duration clock_offset) {
    now_ = now;
    clock_offset_ = clock_offset;
  }

  // The disk. A call of the store changes something that others see at once,
  // and is answered when that is on the disk; this is what comes between.

  /// Nothing gets there any more.
  void stop_syncing();
  /// It goes on as if nothing had been.
  void sync();
  /// What had not got there is gone, if there is something.
  bool lose_power();
  void begin_call() { waits_for_sync_ = false; }
  /// Of the call at hand.
  [[nodiscard]] bool may_answer() const;
  [[nodiscard]] bool is_synced() const { return !synced_; }

  // Submitting.
  store::JobId open(const std::string& request, const CommandSpec& spec);
  void append(store::JobId job, std::uint64_t chunk, std::uint64_t tasks);
  void seal(store::JobId job);

  // Sessions.
  distributed::LeaseCore::Registered register_session(
      std::uint32_t node, const distributed::NodeId& id,
      const std::string& session, std::uint64_t incarnation);
  distributed::LeaseCore::Renewed renew(const std::string& session,
                                        bool is_draining);
  std::vector<distributed::SessionRow> sessions();
  void evict(const std::string& session, std::uint64_t counter,
             Duration asked_at);
  void retire(const std::string& session);

  // Working. Nothing is answered to a session that has ended, if it is an
  // error to ask for that.
  StoreLook look(const queue::ShardLookCore::Where& where);
  /// `own` are the shards of the node, for a defect.
  std::optional<std::vector<GrantedTask>> claim(
      const std::string& session, const std::vector<ClaimRequest>& requests,
      const std::vector<std::uint32_t>& own);
  std::optional<std::vector<bool>> start(
      const std::string& session,
      const std::vector<store::AttemptRef>& attempts);
  std::vector<store::Recorded> complete(
      const std::string& session,
      const std::vector<store::Completion>& completions);
  void release(const std::string& session,
               const std::vector<store::AttemptRef>& attempts);
  std::vector<GrantedTask> claimed_by(const std::string& session);

  // Runs.
  /// One transaction of a driver, whatever that does.
  void transact(std::uint32_t node,
                const std::function<void(store::Store&)>& work);

  // Views.
  void propose(const distributed::View& view);
  [[nodiscard]] const std::shared_ptr<const distributed::View>& view() const {
    return view_;
  }

  [[nodiscard]] SimModel& model() { return model_; }
  [[nodiscard]] WallTime clock() const {
    return WallTime{} + 24h +
           std::chrono::duration_cast<WallTime::duration>(now_ + clock_offset_);
  }
  [[nodiscard]] std::uint64_t commits() const { return commits_; }

 private:
  using Seen = std::vector<store::SessionInfo>;
  using Rows = std::tuple<SimModel, std::map<std::string, std::uint32_t>,
                          std::map<store::JobId, CommandSpec>,
                          std::map<store::JobId, std::uint64_t>, std::uint64_t,
                          std::set<std::string>>;

  auto rows() {
    return std::tie(model_, nodes_, specs_, chunks_, last_copy_, gone_);
  }
  /// The call at hand changes something.
  void act() { waits_for_sync_ = true; }
  /// Likewise, and nobody sees it before it is on the disk. False if it never
  /// will be.
  bool act_alone() {
    act();
    return !synced_;
  }

  void commit(std::string_view what, std::uint32_t node, std::uint64_t a = 0,
              std::uint64_t b = 0);
  /// Those that a client of the store sees.
  Seen live();
  std::optional<store::SessionInfo> live(const std::string& session);
  void ended(const std::string& session);
  /// Before it ends, and it is told what has ended by that.
  void before_end(const std::string& session);
  void end(const std::string& session);
  std::uint32_t node_of(const std::string& session);
  std::optional<store::Claim> claim_of(const store::SessionId& session,
                                       const store::TaskRef& task);
  Result<std::vector<store::Claim>> claim_from(const std::string& session,
                                               const store::QueueId& queue,
                                               std::uint32_t limit,
                                               bool is_shared);
  void check_slots(const std::string& group);
  [[nodiscard]] GrantedTask granted(const store::Claim& claim);
  [[nodiscard]] CommandSpec spec_of(store::JobId job);

  // What defects need.
  store::SessionId in_model(const std::string& session);
  void end_by_hand(const distributed::NodeId& id, const std::string& session);
  void take_from_peers(const std::string& session, const store::QueueId& queue);
  store::SessionId pretend_to_hold(const std::string& session,
                                   store::Completion& completion);

  Defect defect_;
  Checkers& checkers_;
  Trace& trace_;
  SimModel model_;
  Duration now_{0};
  Duration clock_offset_{0};
  std::uint64_t commits_ = 0;
  bool waits_for_sync_ = false;
  std::optional<Rows> synced_;                  ///< What a crash would leave.
  std::map<std::string, std::uint32_t> nodes_;  ///< By session.
  std::map<store::JobId, CommandSpec> specs_;
  std::map<store::JobId, std::uint64_t> chunks_;
  std::uint64_t last_copy_ = 0;
  /// A defect: these have ended, and the model does not know it.
  std::set<std::string> gone_;
  std::shared_ptr<const distributed::View> view_;
};

/// The owners of all shards as a number.
[[nodiscard]] std::uint64_t hash_of(const distributed::Ring& ring);

[[nodiscard]] constexpr std::uint64_t number_of(const store::TaskRef& task) {
  return task.job.value << 16 | task.index;
}

}  // namespace troupe::sim
