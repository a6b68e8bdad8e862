#pragma once

/// Drives runs of workflows over the queue: knows of each run of this node what
/// RunCore makes of it, records what happens, and submits what follows. It has
/// no thread, no clock and no timers of its own, so that the simulation of a
/// cluster runs it as it is; run_driver_actor.hpp is where a node has it run.
#include "run_core.hpp"
#include "run_json.hpp"

#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/distributed/ring.hpp>
#include <troupe/flow_control/resources.hpp>
#include <troupe/queue/store_access.hpp>
#include <troupe/store/job.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe::node {

/// Gives a driver its turns: one after the other, and none after its end.
class RunDriverHost {
 public:
  using Turn = std::function<void()>;

  virtual ~RunDriverHost() = default;

  /// To be called in a turn. What it returns asks for a further turn, from any
  /// thread, and can be kept as long as a call of the store takes.
  [[nodiscard]] virtual std::function<void(Turn)> door() = 0;
  virtual void after(Duration pause, Turn turn) = 0;
};

/// Which node takes over a run whose own one is gone; none without a ring.
[[nodiscard]] std::optional<distributed::NodeId> owner_of_run(
    const distributed::Ring* ring, store::RunId run);

/// What a driver is given. Outlives it and those that replace it.
struct RunDriverDeps {
  queue::StoreAccess& store;
  std::string output_folder;  ///< Of the dispatcher.
  /// Something has been submitted, and these tasks are to end, for the
  /// dispatcher; on any thread, must not block.
  std::function<void()> on_work;
  std::function<void(std::vector<store::AttemptRef>)> stop_tasks;
  /// A job has been cancelled; on any thread, must not block.
  std::function<void(store::JobId)> on_change;
  /// An event has been recorded; on the store's thread, before anything else
  /// comes of it. May end the process, for tests.
  std::function<void()> on_recorded;
  /// A file of outputs has been read and is of no use any more; on any thread.
  std::function<void(const std::string& path)> on_outputs_read;
  /// These runs are not to be kept any longer; on any thread.
  std::function<void(const std::vector<store::RunId>&)> on_runs_expired;
  std::function<WallTime()> wall_now;
  /// For caches, artifacts and notices of all runs.
  workflow::ContentUse content;
  /// Where commands reach the node, and where the services of runs have their
  /// logs.
  std::string socket{};
  std::string services_folder{};
  std::string durability = "synced";  ///< Of what is acknowledged.
  /// If other nodes share the store: the resource that only this one has. Runs
  /// that are submitted here are driven here, and their jobs run here.
  std::string home{};
  store::SessionId session{};  ///< Of this node, likewise.
  /// Something waits in these shards, which others look at first; on any
  /// thread, must not block.
  std::function<void(const std::vector<std::uint32_t>&)> tell_owners{};
  /// Whether any run goes on: only then it wants to know of jobs.
  std::shared_ptr<std::atomic<bool>> has_runs =
      std::make_shared<std::atomic<bool>>(true);
};

// What a driver is told, and asked. `done` is called once, on any thread.

struct SubmitRun {
  std::shared_ptr<const RunSubmission> submission;
  /// With the answer of submit_run.
  std::function<void(Result<Json>)> done;
};

/// Cancels a run, or retries it, or answers what it asks.
struct ChangeRun {
  store::RunId run;
  RunNews news;
  /// When it is recorded.
  std::function<void(Result<void>)> done;
  /// Whether whoever asks may do so, and who that is; null if there is nothing
  /// to ask. May block.
  std::function<Result<void>(const RunCore&, RunNews&)> check{};
  /// How often something else has happened to the run first.
  std::uint32_t tries = 0;
};

/// All that there is to show of a run.
struct AskRun {
  store::RunId run;
  InstancePage page;
  std::function<void(Result<Json>)> done;
};

/// How many jobs of these runs wait for approval. Each comes with the number of
/// its events, as the store has it.
struct AskAwaiting {
  std::map<store::RunId, std::uint64_t> runs;
  std::function<void(const std::map<store::RunId, std::size_t>&)> done;
};

/// How many jobs of runs have begun on this node, of several, and go on: other
/// steps of theirs run nowhere else. With what tells people of runs.
struct AskBegun {
  /// Errors: those of the store.
  std::function<void(Result<std::size_t>)> done;
};

/// Something of a job has changed.
struct RunJobChanged {
  store::JobId job;
};

/// Which nodes have a session, by RunSpec::home, and of which runs this one is
/// to take care if nobody else does. Told now and then.
struct HomesSeen {
  std::set<std::string> live{};
  std::function<bool(store::RunId)> falls_to_us{};
  /// Those among them, with their names, that do not look for what others have
  /// recorded of their runs.
  std::map<std::string, std::string> unaware{};
};

/// Where jobs wait that are spread, and those with a key; see
/// Member::spreading(). Told whenever that is another place.
struct PlacementSeen {
  std::function<std::vector<std::uint32_t>(const std::string& key,
                                           const flow_control::Resources& takes,
                                           std::size_t most)>
      spreading{};
  std::function<std::uint32_t(const std::string& key)> shard_of{};
};

/// All of it only in turns.
class RunDriver {
 public:
  virtual ~RunDriver() = default;

  /// The first turn. It begins with the runs that have not ended: each is made
  /// anew from what the store knows of it, and what was to be done is done once
  /// more, which changes nothing where it was done before.
  virtual void begin() = 0;

  virtual void submit(const SubmitRun& run) = 0;
  virtual void change(const ChangeRun& asked) = 0;
  virtual void show(const AskRun& asked) = 0;
  virtual void count_awaiting(const AskAwaiting& asked) = 0;
  virtual void look_for_begun(const AskBegun& asked) = 0;
  virtual void look_at(const RunJobChanged& changed) = 0;
  /// Takes over the runs of nodes that are gone, if they fall to this one.
  virtual void see_homes(const HomesSeen& seen) = 0;
  virtual void see_placement(const PlacementSeen& seen) = 0;
};

/// `host` outlives it.
[[nodiscard]] std::unique_ptr<RunDriver> make_run_driver(
    RunDriverHost& host, std::shared_ptr<const RunDriverDeps> deps);

}  // namespace troupe::node
