#pragma once

#include "sim_store.hpp"

#include <troupe/distributed/lease_core.hpp>
#include <troupe/flow_control/resources.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace troupe::sim {

class SimHost;

/// The parent of all commands of a host. Lives on when the agent is dead or
/// stands still, and kills at the time that it was told before.
///
/// It starts nothing for a session without a right: between the agent's look at
/// the clock and its word to the warden there may be any time.
class SimWarden {
 public:
  explicit SimWarden(SimHost& host) : host_{host} {}

  /// False if the right of the session has ended here.
  bool start(const std::string& session, const GrantedTask& task);

  void guard(const std::string& session, distributed::BootTime kill_at,
             distributed::BootTime gone_by);
  void forget_guard();
  void kill(distributed::LeaseCore::Kill which, distributed::BootTime gone_by);

  /// Calls it once no command is alive.
  void when_empty(std::function<void()> call);

  [[nodiscard]] bool is_empty() const { return commands_.empty(); }
  /// Whether there is a long command that must not outlive its session.
  [[nodiscard]] bool has_much_to_kill() const;
  /// What runs for `session`.
  [[nodiscard]] std::vector<GrantedTask> commands_of(
      const std::string& session) const;

 private:
  struct Command {
    GrantedTask task;
    std::string session;
  };

  [[nodiscard]] flow_control::Resources free() const;
  void end(std::uint64_t id, bool is_killed);
  void on_guard(std::uint64_t turn);

  SimHost& host_;
  std::map<std::uint64_t, Command> commands_;
  std::uint64_t last_command_ = 0;
  std::string guarded_;
  distributed::BootTime kill_at_{};
  distributed::BootTime gone_by_{};
  std::uint64_t guard_turn_ = 0;
  std::vector<std::function<void()>> waiters_;
};

}  // namespace troupe::sim
