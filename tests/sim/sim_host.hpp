#pragma once

#include "sim_store.hpp"
#include "sim_warden.hpp"

#include <troupe/distributed/lease_terms.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/flow_control/resources.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::sim {

class SimNode;
class SimWorld;

/// How a command has ended, as the warden knows it until it is told to forget
/// it.
struct SpooledResult {
  std::string session;
  GrantedTask task;
  bool is_given_back = false;  ///< Killed, and may be executed once more.
  store::Completion completion{};
};

/// A machine: its clock, its disk, the warden, and the agent when there is one.
class SimHost {
 public:
  using Call = std::function<void()>;

  SimHost(SimWorld& world, std::uint32_t index);
  ~SimHost();
  SimHost(const SimHost&) = delete;
  SimHost& operator=(const SimHost&) = delete;

  void boot_after(Duration pause);

  // What goes wrong.
  void crash(Duration length);
  void pause(Duration until);
  void freeze(Duration until);
  void drain();
  /// For good, with all that runs there.
  void be_gone();
  void stop_faults();

  /// Does it when the host, or the agent with this number, does not stand
  /// still. One that has died hears nothing any more.
  void on_host(Call call);
  void on_agent(std::uint64_t life, Call call);
  /// Likewise, of its dispatcher: nobody has looked at the clock before that.
  void on_dispatcher(std::uint64_t life, Call call);
  /// Does what the agent with this number has sent to its warden, if that is
  /// still listening to it; whether the agent stands still by now is no matter.
  void on_warden(std::uint64_t life, Call call);
  /// For whichever agent is there when it arrives.
  void deliver(std::function<void(SimNode&)> call);

  /// Has the warden run it, which may know it already; false if the right of
  /// the session has ended here.
  bool start(const std::string& session, const GrantedTask& task);
  /// Whether it runs, or has ended and was not forgotten.
  [[nodiscard]] bool knows(const std::string& session,
                           const store::AttemptRef& attempt) const;
  void forget(const store::AttemptRef& attempt);
  void on_command_ended(const std::string& session, const GrantedTask& task,
                        bool is_killed);
  void on_agent_quit(std::uint64_t life);

  /// Under a name and a number that were never used.
  void begin_session();

  [[nodiscard]] distributed::BootTime clock() const;
  [[nodiscard]] TimePoint monotonic() const {
    return TimePoint{clock().time_since_epoch()};
  }
  /// When the clock of the host shows `time`.
  [[nodiscard]] Duration when(distributed::BootTime time) const;

  [[nodiscard]] SimWorld& world() { return world_; }
  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] const distributed::NodeId& id() const { return id_; }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  [[nodiscard]] bool is_gone() const { return is_gone_; }
  /// As node::RunSpec::home.
  [[nodiscard]] std::string home() const;
  /// What it has, and what its dispatcher believes it has.
  [[nodiscard]] flow_control::Resources capacity() const;
  [[nodiscard]] flow_control::Resources believed_capacity() const;
  [[nodiscard]] SimWarden& warden() { return warden_; }
  [[nodiscard]] const SimNode* agent() const { return agent_.get(); }
  [[nodiscard]] const std::string& session() const { return session_; }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
  [[nodiscard]] std::map<store::AttemptRef, SpooledResult>& spool() {
    return spool_;
  }

 private:
  struct WaitingCall {
    std::uint64_t life = 0;
    Call call;
    bool is_of_dispatcher = false;
  };

  void go_on();
  void on_agent(WaitingCall call);

  SimWorld& world_;
  std::uint32_t index_;
  distributed::NodeId id_;
  std::int64_t pace_;  ///< Of its clock, in thousandths.
  Duration start_;     ///< What it shows at first.
  std::uint32_t slots_;
  Duration frozen_until_{0};
  Duration paused_until_{0};
  bool is_gone_ = false;
  /// What waits for the end of that, in order.
  std::vector<Call> waiting_for_host_;
  std::vector<WaitingCall> waiting_for_agent_;
  std::string session_;
  std::uint64_t incarnation_ = 0;
  std::map<store::AttemptRef, SpooledResult> spool_;
  SimWarden warden_;
  std::uint64_t life_ = 0;
  std::unique_ptr<SimNode> agent_;
};

}  // namespace troupe::sim
