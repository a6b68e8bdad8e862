#pragma once

#include "node_cores.hpp"
#include "sim_actor.hpp"

#include <troupe/queue/store_access.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::sim {

/// The driver of runs of one session on one agent: that of a node, as it is,
/// with its turns and its way to the store.
class SimDriver : public SimActor,
                  private node::RunDriverHost,
                  private queue::StoreAccess {
 public:
  /// What the rest of the node hears.
  struct Told {
    std::function<void()> on_work;
    std::function<void(const std::vector<std::uint32_t>&)> tell_owners;
  };

  SimDriver(SimHost& host, std::uint64_t life, Told told);
  ~SimDriver() override;

  /// For the turns of the dispatcher.
  [[nodiscard]] node::RunDriver& driver() { return *driver_; }
  /// Has it look at a job. The dispatcher and the driver of a node share a way
  /// to the store, on which answers stay in order: so that of the driver's call
  /// comes first.
  void on_change(store::JobId job);

 private:
  struct Asked {
    Work work;
    Done done;
  };

  std::function<void(Turn)> door() override;
  void after(Duration pause, Turn turn) override;
  void post(Work work, Done done) override;
  void ask_next();

  std::deque<Asked> asked_;
  std::vector<store::JobId> changed_;  ///< Since it has asked.
  bool is_asking_ = false;             ///< The first of them: one at a time.
  std::unique_ptr<node::RunDriver> driver_;
};

}  // namespace troupe::sim
