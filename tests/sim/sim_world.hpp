#pragma once

#include "checkers.hpp"
#include "defects.hpp"
#include "event_queue.hpp"
#include "faults.hpp"
#include "sim_store.hpp"
#include "trace.hpp"

#include <troupe/base/random.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::sim {

class SimClient;
class SimHost;
class SimRunClient;

struct SimConfig {
  std::uint64_t seed = 1;
  FaultSet allowed = all_faults;
  Defect defect = Defect::none;
  bool is_verbose = false;
};

struct SimResult {
  std::uint64_t trace_hash = 0;
  Duration virtual_time{0};
  Duration settled_after{0};  ///< When all was done, after the last fault.
  std::uint64_t tasks = 0;
  Checkers::Counts counts;
  FaultSet faults = 0;
  std::uint32_t nodes = 0;
  std::optional<Violation> violation;
  std::string last_events;
};

/// Of a message that arrives in any case.
struct Lateness {
  Duration request{0};
  Duration answer{0};
};

/// A cluster in one thread: its hosts, the store, the network between them, the
/// time and all chance, which follow from the seed alone.
class SimWorld {
 public:
  explicit SimWorld(const SimConfig& config);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  /// Ten minutes or so with faults, then none until all is done.
  SimResult run();

  // For whoever is in it.

  using Call = EventQueue::Call;
  /// A transaction; what it answers is to be called where it was asked for.
  using Transaction = std::function<Call()>;

  /// Asks the store. Request and answer may be late, lost or come twice; so
  /// many nodes have links of their own, and then comes that of the client.
  void ask_store(std::uint32_t link, Transaction transaction,
                 const Lateness& late = {});
  /// A message between nodes.
  void send(Call call);
  /// The node is at it, and what lies in wait for that happens; so late is the
  /// message of this moment.
  Lateness reach(Moment moment, std::uint32_t node);
  /// Of a word of a warden to its agent.
  [[nodiscard]] Duration report_delay();

  void at(Duration time, Call call) { events_.at(time, std::move(call)); }
  void after(Duration pause, Call call) {
    events_.at(now() + pause, std::move(call));
  }
  [[nodiscard]] Duration now() const { return events_.now(); }
  [[nodiscard]] Random& random() { return random_; }
  [[nodiscard]] Duration up_to(Duration most);
  [[nodiscard]] bool one_in(std::uint64_t odds) {
    return random_.next() % odds == 0;
  }
  [[nodiscard]] bool is_faulty() const { return is_faulty_; }
  [[nodiscard]] SimStore& store() { return *store_; }
  [[nodiscard]] Checkers& checkers() { return checkers_; }
  [[nodiscard]] Defect defect() const { return config_.defect; }
  [[nodiscard]] const std::vector<std::unique_ptr<SimHost>>& hosts() const {
    return hosts_;
  }
  void note(std::string_view what, std::uint32_t node, std::uint64_t a = 0,
            std::uint64_t b = 0) {
    trace_.note(now(), what, node, a, b);
  }

 private:
  struct Link {
    Duration requests_lost_until{0};
    Duration answers_lost_until{0};
  };

  void run_until(Duration end);
  void break_something();
  void lie_in_wait(const Ambush& ambush, std::uint32_t node);
  void apply(Fault fault, std::uint32_t node, Duration length,
             std::uint64_t chance);
  /// The store.
  void be_gone(Duration length);
  void stop_faults();
  [[nodiscard]] bool happens(Fault fault);
  [[nodiscard]] Duration usual_delay();
  [[nodiscard]] Duration delay();
  void set_time();
  [[nodiscard]] std::optional<std::string> unfinished();

  SimConfig config_;
  Random random_;
  FaultPlan plan_;
  Trace trace_;
  Checkers checkers_;
  EventQueue events_;
  bool is_faulty_ = true;
  std::vector<Link> links_;
  std::vector<std::vector<Ambush>> ambushes_;  ///< By node.
  std::vector<Duration> beset_until_;          ///< By one of them.
  Duration store_gone_until_{0};
  Duration clock_offset_{0};
  Duration furthest_clock_{0};
  std::uint64_t audited_ = 0;
  std::unique_ptr<SimStore> store_;
  std::vector<std::unique_ptr<SimHost>> hosts_;
  std::unique_ptr<SimClient> client_;
  std::unique_ptr<SimRunClient> run_client_;
};

/// Runs a seed that fails again, with one kind of fault less at a time, as long
/// as the same invariant is violated.
[[nodiscard]] SimConfig shrink(const SimConfig& config);

/// All that a person needs to see it again.
[[nodiscard]] std::string report(const SimConfig& config,
                                 const SimResult& result);

}  // namespace troupe::sim
