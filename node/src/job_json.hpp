#pragma once

/// Jobs as docs/openapi.yaml has them, to and from JSON. Pure.
#include <troupe/base/error.hpp>
#include <troupe/base/time.hpp>
#include <troupe/queue/attempt_end.hpp>
#include <troupe/queue/dispatch_core.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/queue/json_fields.hpp>
#include <troupe/queue/spread.hpp>
#include <troupe/store/store.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace troupe::node {

using queue::Json;

/// What somebody submits.
struct Submission {
  store::NewJob job;
  std::uint64_t count = 1;             ///< Tasks whose argument is empty.
  std::vector<std::string> arguments;  ///< Or one task for each of these.
  bool has_arguments = false;
  bool is_open = false;  ///< More arguments follow.
  std::string key;       ///< Tasks with one key stay together.
  bool spread = false;   ///< Tasks go to as many nodes as there are.
};

/// What request ids of jobs of runs begin with, and no others.
inline constexpr std::string_view run_request_prefix = "run/";

/// Of the resources of a job, as they are kept: whether it is spread, and what
/// it takes beside that. What cannot be read takes nothing.
[[nodiscard]] queue::SpreadAndRest spread_in(const std::string& resources);

/// Errors of all that read: invalid_argument, naming the key.
[[nodiscard]] Result<Submission> submission_from_json(const Json& json,
                                                      WallTime now);

/// `before` is what the job runs now, `resources` what it takes.
[[nodiscard]] Result<store::JobEdit> edit_from_json(
    const Json& json, const queue::JobSpec& before,
    const std::string& resources);

/// `before` is the group as it is, or a new one.
[[nodiscard]] Result<store::Group> group_from_json(const Json& json,
                                                   store::Group before);

struct Chunk {
  std::uint64_t number = 0;
  std::vector<std::string> arguments;
};
[[nodiscard]] Result<Chunk> chunk_from_json(const Json& json);

/// A job as people are to see it.
struct SeenJob {
  store::JobInfo info;       ///< What is claimed and has not started waits.
  std::uint64_t paused = 0;  ///< Tasks of those that run.
};

/// With what is at hand, which the dispatcher knows. All that is told of jobs
/// and groups comes from these, so that no two answers differ.
[[nodiscard]] SeenJob as_it_looks(
    store::JobInfo job,
    const std::map<store::JobId, queue::TasksAtHand>& at_hand);
[[nodiscard]] store::GroupInfo as_it_looks(
    store::GroupInfo group,
    const std::map<std::string, queue::TasksAtHand>& at_hand);

[[nodiscard]] Json time_or_null(const std::optional<WallTime>& time);

[[nodiscard]] Json to_json(const SeenJob& job, bool with_command);
/// Of an attempt that nobody has said anything of, for its session had ended:
/// what is known for people, and the name of its node, if that is known.
struct UnknownEnd {
  std::string why;
  std::string node;
};
[[nodiscard]] std::optional<UnknownEnd> unknown_end(
    const store::TaskResult& result);

[[nodiscard]] Json to_json(const store::TaskResult& result);
[[nodiscard]] Json to_json(const store::TaskInfo& task,
                           const std::vector<store::TaskResult>& attempts);
[[nodiscard]] Json to_json(const store::GroupInfo& group,
                           flow_control::BreakerState breaker);
[[nodiscard]] Json to_json(const flow_control::Resources& resources);

[[nodiscard]] std::string_view to_string(store::Priority priority);
/// The value of `priority`, if there is one.
void read_priority(queue::JsonFields& fields, store::Priority& out);
[[nodiscard]] std::string_view to_string(store::When when);
[[nodiscard]] std::optional<store::JobSet> job_set(std::string_view name);

/// What is known of why a job does not run (more).
/// Of a job of a cluster.
struct Placement {
  std::string key;
  std::uint64_t shards = 0;
  std::uint32_t first_shard = 0;
  std::vector<std::string> owners;   ///< Of these shards, by name.
  std::set<std::string> zones{};     ///< Of these nodes.
  std::vector<std::string> fitting;  ///< Nodes that have what it takes.
  /// Those with slots of its group, if all share these.
  std::vector<std::string> slot_holders;
  /// What the node that was asked has heard of an owner.
  enum class Standing : std::uint8_t {
    unsaid,    ///< Nothing, or it is that node itself.
    unlinked,  ///< It cannot hear anything.
    full,      ///< Something waits there that it has no room for.
    held,      ///< Likewise, since it is to start nothing.
    unfit,     ///< It does not have what a task takes.
  };
  std::map<std::string, Standing> standings;
};

/// Where tasks of a job have run, or do.
struct Ran {
  std::string node;  ///< By its name.
  std::optional<queue::FromAbroad> from;
  std::uint64_t tasks = 0;

  friend bool operator==(const Ran&, const Ran&) = default;
};

struct Circumstances {
  store::JobInfo job;  ///< As it looks; likewise the needed ones.
  std::uint64_t paused = 0;
  struct Needed {
    store::Need need;
    std::optional<store::JobState> state;  ///< None: it is forgotten.
  };
  std::vector<Needed> needs;
  std::optional<WallTime> next_due;  ///< Of tasks that back off.
  store::GroupInfo group;
  std::optional<store::JobId> ahead;  ///< A job before it in its queue.
  std::optional<queue::Obstacle> obstacle;
  std::optional<Placement> places;  ///< If other nodes share the store.
  /// Who has how many slots of its group, if all nodes share these.
  std::map<store::SessionId, std::uint64_t> claims;
  /// Of the first tasks that have ended, which may not be all.
  std::vector<Ran> ran{};
  /// Who has its only task, which runs.
  store::SessionId runs_in{};
  std::optional<Ran> runs{};  ///< The same, for people.
  /// For how long that node has not been heard of, if that is for too long.
  std::optional<Duration> silent_for{};
};

/// Adds one more task, from the detail of its result; nothing if that does not
/// say where it has run.
void add_to(std::vector<Ran>& ran, const std::string& detail);

/// The answer of /v1/jobs/{job}/why. `now` and `steady_now` are one moment.
[[nodiscard]] Json explain(const Circumstances& seen, WallTime now,
                           TimePoint steady_now);

}  // namespace troupe::node
