#pragma once

#include "node_cores.hpp"
#include "sim_dispatcher.hpp"
#include "sim_driver.hpp"
#include "sim_host.hpp"
#include "sim_store.hpp"
#include "sim_world.hpp"

#include <troupe/distributed/eviction_core.hpp>
#include <troupe/distributed/lease_core.hpp>
#include <troupe/distributed/view_core.hpp>
#include <troupe/link/message.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace troupe::sim {

/// One life of an agent: the cores as they are, and a shell that does what they
/// say: the lease, the janitor and the view as node/src/member.cpp does it, and
/// who has too much to do as node/src/cluster_links.cpp. Its dispatcher claims
/// and starts (sim_dispatcher.hpp); there is one for each session.
class SimNode {
 public:
  using Call = SimHost::Call;

  SimNode(SimHost& host, std::uint64_t life);

  void begin(bool adopts);
  /// All that reaches the agent does so through here.
  void run(const Call& call);

  void on_drain(distributed::BootTime kill_at);
  /// Somebody has submitted something here that waits in these shards.
  void on_submitted(const std::vector<std::uint32_t>& shards, bool has_key);
  void on_hint(const std::vector<std::uint32_t>& shards);
  void on_command_ended(const store::AttemptRef& attempt);
  void on_load(const distributed::NodeId& peer, const link::Load& load);
  void on_asked(const distributed::NodeId& peer);
  void submit_run(const node::SubmitRun& run);
  void change_run(const node::ChangeRun& asked);

  [[nodiscard]] bool has_right() const {
    return lease_.phase() == distributed::LeasePhase::held;
  }
  [[nodiscard]] distributed::LeasePhase phase() const { return lease_.phase(); }

 private:
  struct Listed {
    std::vector<distributed::SessionRow> rows;
    std::shared_ptr<const distributed::View> view;
  };

  template <class Do, class Then>
  void ask(Do what, Then then, Call failed = {}, const Lateness& late = {});

  void obey(const distributed::LeaseCore::Actions& actions);
  void obey(const distributed::EvictionCore::Actions& actions);
  void obey_registration(const distributed::LeaseCore::Register& action);
  void obey_renewal(const distributed::LeaseCore::Renew& action);
  void confirm(std::uint64_t number);
  void confirm_if_over();
  void fence(distributed::LeaseCore::Loss loss);
  void read_sessions(std::uint64_t number);
  void on_sessions(std::uint64_t number, const Listed& answer);
  void evict(const distributed::EvictionCore::Evict& action);
  void learn(const distributed::View& view);
  void read_view();
  void propose();

  void begin_dispatcher();
  void set_right(bool is_held);
  void tell_own_shards();
  void see_homes(const std::vector<distributed::SessionRow>& rows);
  void await_begun();
  void end_drain();
  void leave(std::size_t left);
  void send(const distributed::NodeId& peer,
            std::function<void(SimNode&)> message);
  void gossip();

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
  node::StealCore steal_;
  std::shared_ptr<SimDispatcher> dispatcher_;
  std::shared_ptr<SimDriver> driver_;  ///< Comes and goes with it.
  bool is_dispatcher_over_ = false;
  bool has_right_ = false;
  bool may_go_on_ = false;
  bool is_leaving_ = false;
  bool is_drained_ = false;
  bool is_fenced_ = false;                   ///< Its session is over.
  std::optional<std::uint64_t> confirming_;  ///< Waits for the dispatcher.
  std::array<std::optional<Duration>, 3> planned_;
  std::uint64_t last_renewal_ = 0;
  Listed last_listed_;
};

}  // namespace troupe::sim
