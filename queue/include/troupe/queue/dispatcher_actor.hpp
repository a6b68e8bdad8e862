#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/base/boot_time.hpp>
#include <troupe/base/time.hpp>
#include <troupe/flow_control/machine_sample.hpp>
#include <troupe/flow_control/memory_governor.hpp>
#include <troupe/process/command_runner.hpp>
#include <troupe/queue/attempt_end.hpp>
#include <troupe/queue/dispatch_core.hpp>
#include <troupe/queue/store_access.hpp>
#include <troupe/store/job.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace troupe::queue {

/// What an attempt has left behind.
struct EndFiles {
  std::string record;   ///< Where its output was recorded.
  std::string outputs;  ///< JobSpec::has_outputs: where; empty without.
  std::string printed;  ///< JobSpec::printed.
};

/// What is different if other nodes work on the same jobs: nothing is claimed
/// or started before MayWork, or looked for in other shards than OwnShards, but
/// for what has waited there for a while and nobody has taken.
///
/// The slots of a group are for all of them together (is_of_all_nodes()).
struct MemberDeps {
  std::string node;         ///< Its name, for results.
  std::string home{};       ///< The resource that only it has, likewise.
  std::uint32_t slots = 1;  ///< Of the group "default", on this node.
  /// How often to look for what others have submitted, or cancelled.
  Duration look_every = 1s;
  /// A dispatcher has begun, and is to be told MayWork and OwnShards; on any
  /// thread, must not block.
  std::function<void()> on_begin;
  /// Who looks first into a shard, by its name; empty if nobody knows. In a
  /// turn of the dispatcher.
  std::function<std::string(std::uint32_t shard)> owner_of{};
  /// What it has found when it looked for work.
  struct Look {
    bool is_hungry = false;  ///< It has nothing to do, and nothing is near.
    /// Else in which shards something waits that it has no room for.
    std::vector<std::uint32_t> spare{};
    bool is_held = false;  ///< It is to start nothing.
  };
  /// On any thread, must not block.
  std::function<void(Look look)> on_look;
  /// Reads the end of what was recorded, and what the attempt hands on. Must
  /// not block; `done` is called on any thread.
  std::function<void(const EndFiles& files, std::function<void(EndRead)> done)>
      read_end;
};

/// What a dispatcher is given. Outlives it and those that replace it.
struct DispatcherDeps {
  StoreAccess& store;
  process::CommandRunner& runner;
  store::SessionId session;  ///< Open; nobody else claims with it.
  DispatchCore::Config dispatch;
  flow_control::GovernorConfig governor;
  std::string output_folder;       ///< Is there; what is in it is ours.
  std::uint64_t output_limit = 0;  ///< Bytes kept per attempt; 0 for all.
  /// Of commands whose jobs came without one.
  std::vector<std::pair<std::string, std::string>> environment{};
  std::uint64_t seed = 0;
  /// Of results that come one after the other so many are recorded together,
  /// and so is what is claimed ahead: each transaction costs a sync of the
  /// disk. What comes alone is recorded at once. Until then the runner
  /// remembers it.
  Duration store_pace = 20ms;
  /// How often to list what the session has claimed; 0 for never. A claim is
  /// found so that nobody waits for any more: the store was told of it, and did
  /// it long after that, or when whoever had asked was gone.
  Duration list_every{0};
  /// What of this session the runner knew before any dispatcher began: adopted.
  std::set<process::AttemptId> adopted;
  /// Whether a dispatcher of this process has taken over what there was. From
  /// then on the runner knows all that runs.
  std::shared_ptr<std::atomic<bool>> has_taken_over =
      std::make_shared<std::atomic<bool>>(false);
  /// Something of a job has changed; on any thread, must not block.
  std::function<void(store::JobId)> on_change;
  /// An attempt has ended and its record is complete; likewise.
  std::function<void(const store::AttemptRef&)> on_recorded;
  /// Tells, of each text, whether it is in the output that was recorded there,
  /// in one stream; all are missing in one that cannot be read. Must not block;
  /// `done` is called on any thread.
  std::function<void(const std::string& record_path,
                     std::vector<std::string> texts,
                     std::function<void(std::vector<bool>)> done)>
      find_texts;
  std::function<flow_control::MachineSample()> sample;
  std::function<bool()> has_disk_space;  ///< To start something new.
  std::function<WallTime()> wall_now;
  /// The clock of the ends that the runner tells of.
  std::function<BootTime()> boot_now;
  /// Of this node, by the names that JobSpec::node_words has.
  std::map<std::string, std::string> words{};
  /// For one of several nodes that share the store.
  std::optional<MemberDeps> member{};
};

/// Whether the slots of this group are, in a cluster, those of all nodes
/// together: of each but "default", which has on each node as many as that node
/// can work on.
[[nodiscard]] bool is_of_all_nodes(const std::string& group);

/// Where the output of an attempt is recorded.
[[nodiscard]] std::string record_path(const std::string& output_folder,
                                      const store::AttemptRef& attempt);
/// Where an attempt hands on what others are to use; see JobSpec::has_outputs.
[[nodiscard]] std::string outputs_path(const std::string& output_folder,
                                       const store::AttemptRef& attempt);
/// The folder of all output of a job.
[[nodiscard]] std::string record_folder(const std::string& output_folder,
                                        store::JobId job);

/// The name of a task's attempt for a runner, and back. Tasks count to
/// store::most_tasks and jobs to 2^40.
[[nodiscard]] process::AttemptId to_attempt_id(const store::AttemptRef& ref);
[[nodiscard]] store::AttemptRef to_attempt_ref(const process::AttemptId& id);

// To the dispatcher.

/// The store has, or may have, something new to start.
struct WorkArrived {
  /// Where, if this node may take it whoever owns these shards, and how it came
  /// to know.
  std::vector<std::uint32_t> shards{};
  Found found = Found::submitted;
};

/// To that of a member: whether its session has the right to run commands. It
/// has none at first.
struct MayWork {
  bool may = false;
  /// If not, whether it may still run what goes on with a job that has begun
  /// here (goes_on_at()): it leaves the cluster.
  bool may_go_on = false;
};

/// To that of a member: which shards it is to look at, ascending.
struct OwnShards {
  std::shared_ptr<const std::vector<std::uint32_t>> shards;
  std::uint32_t all = 1;  ///< How many there are.
};

/// A job was cancelled: these were claimed then.
struct StopTasks {
  std::vector<store::AttemptRef> attempts;
};

/// A job was held or edited: what was claimed of it and has not started goes
/// back.
struct JobChanged {
  store::JobId job;
};

/// The same for a group.
struct GroupChanged {
  std::string group;
};

struct HoldNode {
  bool is_held = false;
};

/// What runs is to stand still with the clocks of its limits, or to go on: of
/// a job, of a group, or all. What has begun to end ends.
struct PauseTasks {
  bool is_paused = false;
  std::optional<store::JobId> job{};
  std::optional<std::string> group{};
};

struct CloseBreaker {
  std::string group;
};

/// What keeps tasks of this queue from starting?
struct AskObstacle {
  store::QueueId queue;
  std::function<void(Obstacle)> done;  ///< On any thread.
};

struct RunningTask {
  store::AttemptRef attempt;
  int pid = 0;  ///< Zero if it is about to start.
  WallTime started;
  bool is_paused = false;
  std::optional<FromAbroad> from{};
};

struct DispatcherSnapshot {
  std::vector<RunningTask> running;  ///< At most 1,000, in order.
  std::uint32_t running_count = 0;
  std::uint32_t claimed_ahead = 0;
  std::map<store::JobId, TasksAtHand> jobs;
  std::map<std::string, TasksAtHand> groups;
  std::map<std::string, flow_control::BreakerState> breakers;
  flow_control::Resources capacity;
  flow_control::Resources free;
  bool is_held = false;
  bool has_store_trouble = false;
  std::uint64_t started = 0;  ///< Attempts, since this dispatcher began.
  std::uint64_t ended = 0;
};

struct AskSnapshot {
  std::function<void(DispatcherSnapshot)> done;  ///< On any thread.
};

/// Start nothing more. With `keep` what runs goes on; with `waits` it may end
/// by itself, but for what is of the group `ended_group`, which is lost, to be
/// tried again; without either it is ended and waits again. `done` is called
/// when all that is to be recorded is, or when the store has failed several
/// times: what it was not told stays known to the runner, and the next
/// dispatcher of this session tells it.
struct EndWork {
  bool keep = false;
  bool waits = false;
  std::string ended_group{};
  /// On any thread; with how many tasks are left to the next one.
  std::function<void(std::size_t left)> done;
};

/// Starts the dispatcher: it claims what the core lets start, runs it, and
/// records how it ended. It begins with what its session has claimed already:
/// it takes over what runs, whether another dispatcher or another node has
/// started it.
[[nodiscard]] actors::ActorRef spawn_dispatcher(
    actors::Actor* parent, std::shared_ptr<const DispatcherDeps> deps);

}  // namespace troupe::queue

TROUPE_LOCAL_MESSAGE(troupe::queue::WorkArrived)
TROUPE_LOCAL_MESSAGE(troupe::queue::MayWork)
TROUPE_LOCAL_MESSAGE(troupe::queue::OwnShards)
TROUPE_LOCAL_MESSAGE(troupe::queue::StopTasks)
TROUPE_LOCAL_MESSAGE(troupe::queue::JobChanged)
TROUPE_LOCAL_MESSAGE(troupe::queue::GroupChanged)
TROUPE_LOCAL_MESSAGE(troupe::queue::HoldNode)
TROUPE_LOCAL_MESSAGE(troupe::queue::PauseTasks)
TROUPE_LOCAL_MESSAGE(troupe::queue::CloseBreaker)
TROUPE_LOCAL_MESSAGE(troupe::queue::AskObstacle)
TROUPE_LOCAL_MESSAGE(troupe::queue::AskSnapshot)
TROUPE_LOCAL_MESSAGE(troupe::queue::EndWork)
