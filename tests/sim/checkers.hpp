#pragma once

#include "node_cores.hpp"
#include "trace.hpp"

#include <troupe/store/model_store.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace troupe::sim {

struct Violation {
  std::string invariant;  ///< "I5".
  std::string what;
};

/// A command that runs, as seen from outside: what nobody in the cluster can
/// know.
struct RunningCommand {
  std::uint64_t id = 0;
  std::uint32_t node = 0;
  store::AttemptRef attempt;
  std::string session;
  store::Delivery delivery = store::Delivery::at_least_once;
  bool is_kept = false;           ///< Marked to outlive the lease.
  bool was_frozen = false;        ///< Its host stood still while it ran.
  bool has_what_it_takes = true;  ///< Its host, beside all that runs there.
};

/// Knows what is true, and compares. The first violation is kept. The names are
/// those of the invariants in docs/design/cluster.md.
class Checkers {
 public:
  struct Counts {
    std::uint64_t commands = 0;
    std::uint64_t evictions = 0;
    std::uint64_t takeovers = 0;  ///< Of a session, by the next agent.
    std::uint64_t ambushes = 0;   ///< Faults at the moment they waited for.
    std::uint64_t results = 0;
    std::uint64_t fenced = 0;           ///< Results that came too late.
    std::uint64_t frozen_overlaps = 0;  ///< What time cannot prevent.
    std::uint64_t kept_overlaps = 0;    ///< What somebody has asked for.
    std::uint64_t events = 0;           ///< Of runs.
    std::uint64_t moves = 0;            ///< Of runs, to other nodes.
    std::uint64_t runs_ended = 0;       ///< Once more after each retry.
    std::uint64_t lost_steps = 0;       ///< Begun on a node that was gone.
  };

  explicit Checkers(Trace& trace) : trace_{trace} {}

  void set_time(Duration now) { now_ = now; }

  // What whoever submits knows.
  void submits(const std::string& request, std::uint64_t tasks);
  void acknowledged(const std::string& request, store::ModelStore& store);
  /// One at a time of those with the same group; empty for none.
  void submits_run(const std::string& request, const std::string& group);
  void run_acknowledged(const std::string& request, store::RunId run,
                        store::ModelStore& store);

  // What the store has committed.
  void opened(const std::string& request, store::JobId job);
  void registered(std::uint32_t node, const std::string& session);
  /// Whoever evicts it asked for that at `asked_at`.
  void evicted(const std::string& session, Duration asked_at);
  void ended(const std::string& session);
  void claimed(const std::string& session, const store::AttemptRef& attempt);
  /// So many tasks of a group are claimed by all sessions together.
  void claimed_of(const std::string& group, std::uint64_t claimed,
                  std::uint64_t slots);
  void recorded(const std::string& session, const store::Completion& completion,
                bool is_retried);
  void fenced() { ++counts_.fenced; }
  /// A job of a run, whether there is one for this step or not.
  void step_submitted(store::RunId run, const std::string& request,
                      store::JobId job);
  void event_recorded(store::RunId run, const store::RunEvent& event,
                      store::RunState state, store::ModelStore& store);
  /// A call of the store that has recorded events is over.
  void runs_changed(store::ModelStore& store);
  void view_committed(std::uint64_t number, std::uint64_t ring_hash);
  /// What is committed from now on may be lost.
  void keep();
  /// It is.
  void take_back();

  // What the nodes do.
  void ring_used(std::uint32_t node, std::uint64_t number,
                 std::uint64_t ring_hash);
  void started(const RunningCommand& command);
  void stopped(std::uint64_t command);
  void took_over() { ++counts_.takeovers; }
  void frozen(std::uint32_t node);
  void ambushed() { ++counts_.ambushes; }
  void outage(Duration from, Duration until);
  void outages_over();

  /// Looks at every task.
  void audit(store::ModelStore& store);
  /// Tells every run once more what has happened to it.
  void audit_runs(store::ModelStore& store);
  /// Faults have stopped long ago.
  void not_done(const std::string& what) { violate("I7", what); }

  [[nodiscard]] const std::optional<Violation>& violation() const {
    return violation_;
  }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Submission {
    std::uint64_t tasks = 0;
    bool is_acknowledged = false;
  };
  struct Recorded {
    store::Outcome outcome;
    std::uint32_t attempt = 0;
  };
  struct Run {
    std::string group;
    std::uint64_t events = 0;
    store::RunState state = store::RunState::running;
    bool has_begun = false;
  };
  struct Committed {
    std::map<std::string, std::set<store::JobId>> jobs;   ///< By request.
    std::map<std::string, std::set<store::JobId>> steps;  ///< Likewise.
    std::map<store::RunId, Run> runs;
    std::map<store::TaskRef, Recorded> results;
    std::set<std::string> ended;
  };

  void violate(std::string invariant, std::string what);
  void check_step_end(store::RunId run, const node::RunStepEnded& ended,
                      store::ModelStore& store);
  void check_group(store::RunId run, const Run& entering);
  void audit_job(const std::string& request, const Submission& submission,
                 store::JobId job, store::ModelStore& store);

  Trace& trace_;
  Duration now_{0};
  std::map<std::string, Submission> submissions_;
  std::map<std::string, std::string> groups_of_runs_;  ///< By request.
  std::map<std::string, store::RunId> acknowledged_runs_;
  Committed committed_;
  Committed kept_;
  std::map<std::uint64_t, RunningCommand> running_;
  std::set<store::TaskRef> executed_;  ///< Of those at most once.
  std::map<std::uint64_t, std::uint64_t> ring_of_view_;
  std::vector<std::pair<Duration, Duration>> outages_;
  std::optional<Violation> violation_;
  Counts counts_;
};

}  // namespace troupe::sim
