#pragma once

#include "sim_host.hpp"
#include "sim_store.hpp"
#include "sim_world.hpp"

#include <troupe/distributed/eviction_core.hpp>
#include <troupe/distributed/lease_core.hpp>
#include <troupe/distributed/shard_claims_core.hpp>
#include <troupe/distributed/view_core.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace troupe::sim {

/// One life of an agent: the cores as they are, and a shell that does what they
/// say. What the shell adds is what a real one has to add:
///
/// - A claim is known by its number from when it was taken up, from its answer
///   or from a list, for good. One that was given back is never taken up again,
///   however old the list is that has it. One that comes while an earlier claim
///   of its task is still here is not taken up yet, and so not known.
/// - What is given back is given back until that is answered.
/// - An agent that takes a session over gives back what the warden does not
///   run; its predecessor may have done so, and that may arrive late.
/// - Before a start it looks at the clock, and the warden looks once more.
class SimNode {
 public:
  using Call = SimHost::Call;

  SimNode(SimHost& host, std::uint64_t life);

  void begin(bool adopts);
  /// All that reaches the agent does so through here.
  void run(const Call& call);

  void on_drain(distributed::BootTime kill_at);
  void on_hint(std::uint32_t shard);
  void on_command_ended(const GrantedTask& task);
  void on_load(const distributed::PeerLoad& load);
  void on_peer_asks(const distributed::NodeId& peer);
  void on_offer(const distributed::NodeId& peer,
                const std::vector<std::uint32_t>& shards);

  [[nodiscard]] bool has_right() const {
    return lease_.phase() == distributed::LeasePhase::held;
  }
  [[nodiscard]] distributed::LeasePhase phase() const { return lease_.phase(); }

 private:
  enum class Stage : std::uint8_t { waiting, starting, running };
  struct Held {
    GrantedTask task;
    Stage stage = Stage::waiting;
  };
  struct Listed {
    std::vector<distributed::SessionRow> rows;
    std::shared_ptr<const distributed::View> view;
  };

  template <class Do, class Then>
  void ask(Do what, Then then, Call failed = {}, const Lateness& late = {});

  void obey(const distributed::LeaseCore::Actions& actions);
  void obey(const distributed::EvictionCore::Actions& actions);
  void obey(const distributed::ShardClaimsCore::Actions& actions);
  void obey_registration(const distributed::LeaseCore::Register& action);
  void obey_renewal(const distributed::LeaseCore::Renew& action);
  void confirm(std::uint64_t number);
  void forget_commands();
  void fence(distributed::LeaseCore::Loss loss);
  void read_sessions(std::uint64_t number);
  void on_sessions(std::uint64_t number, const Listed& answer);
  void evict(const distributed::EvictionCore::Evict& action);
  void learn(const distributed::View& view);
  void propose();
  void look(const distributed::ShardClaimsCore::Look& action);
  void claim(const distributed::ShardClaimsCore::Claim& action);
  std::vector<distributed::ClaimedTask> accept(
      const std::vector<GrantedTask>& tasks);
  void list_claims();
  void on_listed(const std::vector<GrantedTask>& tasks);

  void start_tasks();
  void record_start(std::uint64_t task, std::uint64_t claim);
  void start_command(std::uint64_t task, std::uint64_t claim);
  void on_start_told(const GrantedTask& task, bool has_started);
  Held* held(std::uint64_t task, std::uint64_t claim);
  void drop(std::uint64_t task, bool gives_back);
  void give_back(const GrantedTask& task);

  void tick();
  void tell_results();
  void tell_loads();
  void leave_if_idle();
  void plan();
  void wake_at(std::size_t core, std::optional<distributed::BootTime> time,
               Call call);

  [[nodiscard]] distributed::BootTime clock() const { return host_.clock(); }
  [[nodiscard]] TimePoint monotonic() const { return host_.monotonic(); }
  [[nodiscard]] bool has(Defect defect) const {
    return world_.defect() == defect;
  }

  SimHost& host_;
  SimWorld& world_;
  std::uint64_t life_;
  distributed::LeaseCore lease_;
  distributed::EvictionCore janitor_;
  distributed::ViewCore views_;
  distributed::ShardClaimsCore claims_;
  std::array<std::optional<Duration>, 4> planned_;
  std::uint64_t last_renewal_ = 0;
  Listed last_listed_;
  std::vector<std::uint32_t> own_shards_;
  std::map<std::uint64_t, Held> held_;  ///< By task.
  std::deque<std::uint64_t> waiting_;   ///< Of those, in order.
  std::uint32_t busy_ = 0;              ///< Slots.
  std::set<store::AttemptRef> known_claims_;
  std::map<store::AttemptRef, SpooledResult> returns_;  ///< Until answered.
  bool gives_back_unknown_ = false;
  bool gives_all_back_ = false;  ///< It drains.
  std::map<distributed::NodeId, distributed::PeerLoad> loads_;
  std::uint64_t ticks_ = 0;
};

}  // namespace troupe::sim
