#include <troupe/store/cluster_store.hpp>
#include <troupe/store/store.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::store {
namespace {

constexpr std::size_t longest_name = 1000;

Result<void> check_length(std::string_view what, const std::string& text,
                          std::size_t least, std::size_t most) {
  if (text.size() >= least && text.size() <= most)
    return {};
  return failure(Errc::invalid_argument,
                 fmt::format("{} has {} bytes; {} to {} are allowed", what,
                             text.size(), least, most));
}

Result<void> check_shards(std::vector<std::uint32_t> shards) {
  if (shards.size() > most_shards)
    return failure(Errc::invalid_argument,
                   fmt::format("more than {} shards", most_shards));
  std::sort(shards.begin(), shards.end());
  const auto twice = std::adjacent_find(shards.begin(), shards.end());
  if (twice != shards.end())
    return failure(Errc::invalid_argument,
                   fmt::format("shard {} is named twice", *twice));
  return {};
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::success:
      return "success";
    case Outcome::failed:
      return "failed";
    case Outcome::timed_out:
      return "timed_out";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::lost:
      return "lost";
    case Outcome::skipped:
      return "skipped";
  }
  return "unknown";
}

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::open:
      return "open";
    case JobState::blocked:
      return "blocked";
    case JobState::delayed:
      return "delayed";
    case JobState::held:
      return "held";
    case JobState::queued:
      return "queued";
    case JobState::running:
      return "running";
    case JobState::succeeded:
      return "succeeded";
    case JobState::failed:
      return "failed";
    case JobState::cancelled:
      return "cancelled";
    case JobState::skipped:
      return "skipped";
  }
  return "unknown";
}

std::string_view to_string(TaskState state) {
  switch (state) {
    case TaskState::waiting:
      return "waiting";
    case TaskState::backing_off:
      return "backing_off";
    case TaskState::claimed:
      return "claimed";
    case TaskState::started:
      return "started";
    case TaskState::ended:
      return "ended";
  }
  return "unknown";
}

bool has_ended(JobState state) {
  switch (state) {
    case JobState::open:
    case JobState::blocked:
    case JobState::delayed:
    case JobState::held:
    case JobState::queued:
    case JobState::running:
      return false;
    case JobState::succeeded:
    case JobState::failed:
    case JobState::cancelled:
    case JobState::skipped:
      return true;
  }
  return true;
}

std::string_view to_string(RunState state) {
  switch (state) {
    case RunState::running:
      return "running";
    case RunState::succeeded:
      return "succeeded";
    case RunState::failed:
      return "failed";
    case RunState::cancelled:
      return "cancelled";
  }
  return "unknown";
}

bool has_ended(RunState state) { return state != RunState::running; }

bool is_in(RunState state, RunSet set) {
  switch (set) {
    case RunSet::all:
      return true;
    case RunSet::unended:
      return !has_ended(state);
    case RunSet::ended:
      return has_ended(state);
    case RunSet::failed:
      return state == RunState::failed;
  }
  return true;
}

JobState state_of_ended(const JobCounts& counts) {
  if (counts.failed + counts.timed_out + counts.lost > 0)
    return JobState::failed;
  if (counts.cancelled > 0)
    return JobState::cancelled;
  return counts.skipped > 0 ? JobState::skipped : JobState::succeeded;
}

bool satisfies(JobState state, When when) {
  switch (when) {
    case When::succeeded:
      return state == JobState::succeeded;
    case When::finished:
      return true;
    case When::failed:
      return state == JobState::failed;
  }
  return false;
}

Result<void> check(const NewJob& job) {
  if (auto r = check_length("the request id", job.request_id, 1, longest_id);
      !r)
    return r;
  if (auto r = check(JobEdit{.name = job.name,
                             .tags = job.tags,
                             .group = job.group,
                             .resources = job.resources,
                             .spec = job.spec});
      !r)
    return r;
  if (auto r = check_shards(job.shards); !r)
    return r;
  if (job.needs.size() > most_needs)
    return failure(Errc::invalid_argument,
                   fmt::format("more than {} needs", most_needs));
  std::vector<JobId> needed;
  for (const Need& need : job.needs)
    needed.push_back(need.job);
  std::sort(needed.begin(), needed.end());
  const auto twice = std::adjacent_find(needed.begin(), needed.end());
  if (twice != needed.end())
    return failure(Errc::invalid_argument,
                   fmt::format("job {} is needed twice", twice->value));
  return {};
}

Result<void> check(const JobEdit& edit) {
  const auto length = [](std::string_view what,
                         const std::optional<std::string>& text,
                         std::size_t least, std::size_t most) -> Result<void> {
    return text ? check_length(what, *text, least, most) : Result<void>{};
  };
  if (auto r = length("the name", edit.name, 0, longest_name); !r)
    return r;
  if (auto r = length("the group", edit.group, 1, longest_id); !r)
    return r;
  if (auto r = length("the resources", edit.resources, 0, longest_resources);
      !r)
    return r;
  if (auto r = length("the spec", edit.spec, 0, largest_spec); !r)
    return r;
  if (!edit.tags)
    return {};
  if (edit.tags->size() > most_tags)
    return failure(Errc::invalid_argument,
                   fmt::format("more than {} tags", most_tags));
  for (const std::string& tag : *edit.tags) {
    if (auto r = check_length("a tag", tag, 1, longest_id); !r)
      return r;
  }
  return {};
}

Result<void> check(const NewRun& run) {
  if (auto r = check_length("the request id", run.request_id, 1, longest_id);
      !r)
    return r;
  if (auto r = check_length("the name", run.name, 0, longest_name); !r)
    return r;
  return check_length("the spec", run.spec, 0, largest_run_spec);
}

std::string with_number(std::string name, RunId run) {
  const std::string number = fmt::format("{}", run.value);
  for (std::size_t at = name.find(run_number_mark); at != std::string::npos;
       at = name.find(run_number_mark, at))
    name.replace(at, run_number_mark.size(), number);
  return name;
}

Result<void> check(const RunEvent& event) {
  if (event.number >= most_events)
    return failure(Errc::invalid_argument,
                   fmt::format("more than {} events", most_events));
  return check_length("an event", event.what, 0, largest_event);
}

Result<void> check(const Group& group) {
  if (group.slots == 0)
    return failure(Errc::invalid_argument, "a group needs at least one slot");
  if (group.weight == 0)
    return failure(Errc::invalid_argument, "a group needs a weight");
  return check_length("the name of a group", group.name, 1, longest_id);
}

WallTime end_of(const Completion& completion, WallTime now) {
  return std::min(completion.ended.value_or(now), now);
}

Result<void> check(const SessionId& session) {
  return check_length("the session", session.value, 1, longest_id);
}

Result<void> check(const NewSession& session) {
  if (auto r = check(session.session); !r)
    return r;
  if (auto r = check_length("the node", session.node, 1, longest_id); !r)
    return r;
  if (session.incarnation == 0)
    return failure(Errc::invalid_argument, "sessions of a node count from 1");
  return check_length("what a session tells of itself", session.detail, 0,
                      largest_session_detail);
}

Result<void> check(const AgreedView& view) {
  return check_length("the view", view.what, 0, largest_view);
}

Result<void> check(const KnownRoster& roster) {
  return check_length("the roster", roster.what, 0, largest_roster);
}

}  // namespace troupe::store
