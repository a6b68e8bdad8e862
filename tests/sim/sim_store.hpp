#pragma once

#include "checkers.hpp"
#include "defects.hpp"
#include "trace.hpp"

#include <troupe/distributed/eviction_core.hpp>
#include <troupe/distributed/lease_core.hpp>
#include <troupe/distributed/view.hpp>
#include <troupe/store/model_store.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::sim {

/// What a command is like; stands for the spec of its job.
struct CommandSpec {
  std::uint32_t shard = 0;
  store::Delivery delivery = store::Delivery::at_least_once;
  bool is_kept = false;  ///< lease_loss: keep.
  bool is_long = false;
};

/// What a session has to show to be believed. The number of the claim is not
/// that of the attempt: a task that was given back is tried under the same
/// number, maybe by the same session, and then what that session has sent
/// before, and comes late, must not count.
struct ClaimToken {
  store::AttemptRef attempt;
  std::uint64_t claim = 0;  ///< Never twice.
};

struct GrantedTask {
  ClaimToken token;
  CommandSpec spec;
  bool is_started = false;
};

struct TokenCompletion {
  std::uint64_t claim = 0;
  store::Completion completion;
};

/// The store of a cluster, as plainly as possible: what the real one has to do.
/// Each call is a transaction, and they happen one after the other. Jobs,
/// claims, results and the fence of sessions are those of ModelStore; here is
/// what it does not have yet:
///
///   register    begins a session of a node and ends those before it, unless a
///               later one of that node has begun
///   renew       counts up, and tells whether the session is there
///   evict       ends a session whose counter still is what was read
///   propose     adds the view with the next number
///   claims      have numbers of their own; whoever starts, completes or gives
///               back names them
///   release     gives back what was never executed, or is dead
class SimStore {
 public:
  SimStore(Defect defect, Checkers& checkers, Trace& trace,
           const distributed::View& first);

  /// The true time and what the clock of the store shows.
  void set_time(Duration now, Duration clock_offset) {
    now_ = now;
    clock_ = WallTime{} + 24h +
             std::chrono::duration_cast<WallTime::duration>(now + clock_offset);
  }

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

  // Working.
  std::vector<std::uint32_t> shards_with_work();
  std::vector<GrantedTask> claim(const std::string& session,
                                 std::uint32_t shard, std::uint32_t limit,
                                 bool is_foreign);
  bool start(const std::string& session, const ClaimToken& token);
  std::vector<store::Recorded> complete(
      const std::string& session,
      const std::vector<TokenCompletion>& completions);
  void release(const std::string& session,
               const std::vector<ClaimToken>& tokens);
  std::vector<GrantedTask> claimed_by(const std::string& session);

  // Views.
  void propose(const distributed::View& view);
  [[nodiscard]] const std::shared_ptr<const distributed::View>& view() const {
    return view_;
  }

  [[nodiscard]] store::ModelStore& model() { return model_; }
  [[nodiscard]] WallTime clock() const { return clock_; }
  [[nodiscard]] std::uint64_t commits() const { return commits_; }

 private:
  struct Session {
    std::uint32_t node = 0;
    distributed::NodeId id;
    std::uint64_t counter = 0;
    bool is_draining = false;
    bool is_live = true;
    WallTime seen_at;
  };
  struct Held {
    std::uint64_t claim = 0;
    std::string session;
    std::string name;  ///< Of the session in the model.
    std::uint32_t attempt = 0;
    bool is_started = false;
  };

  void commit(std::string_view what, std::uint32_t node, std::uint64_t a = 0,
              std::uint64_t b = 0);
  void end(const std::string& session);
  Held* held_by(const std::string& session, const ClaimToken& token);
  std::uint32_t node_of(const std::string& session);
  void take_from_peers(const std::string& session, const store::QueueId& queue,
                       std::uint32_t limit, std::vector<store::Claim>& claims);

  Defect defect_;
  Checkers& checkers_;
  Trace& trace_;
  store::ModelStore model_;
  Duration now_{0};
  WallTime clock_;
  std::uint64_t commits_ = 0;
  std::map<std::string, Session> sessions_;
  std::map<std::uint32_t, std::uint64_t> newest_;  ///< Incarnation, by node.
  std::map<store::JobId, CommandSpec> specs_;
  std::map<store::JobId, std::uint64_t> chunks_;
  std::map<store::TaskRef, Held> held_;
  std::uint64_t last_claim_ = 0;
  std::uint64_t last_copy_ = 0;
  std::shared_ptr<const distributed::View> view_;
};

/// The owners of all shards as a number.
[[nodiscard]] std::uint64_t hash_of(const distributed::Ring& ring);

[[nodiscard]] constexpr std::uint64_t number_of(const store::TaskRef& task) {
  return task.job.value << 16 | task.index;
}

}  // namespace troupe::sim
