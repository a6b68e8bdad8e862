#include <troupe/store/model_store.hpp>

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <tuple>

namespace troupe::store {
namespace {

tl::unexpected<Error> no_job(JobId job) {
  return failure(Errc::not_found, fmt::format("no job {}", job.value));
}

tl::unexpected<Error> is_of(RunId run) {
  return failure(
      Errc::invalid_argument,
      fmt::format("it belongs to run r{0}; give r{0} instead", run.value));
}

bool waits(TaskState state) {
  return state == TaskState::waiting || state == TaskState::backing_off;
}

bool is_at_work(TaskState state) {
  return state == TaskState::claimed || state == TaskState::started;
}

tl::unexpected<Error> no_group(const std::string& name) {
  return failure(Errc::not_found, fmt::format("no group {}", name));
}

bool is_job_in(const JobInfo& job, JobSet set) {
  switch (set) {
    case JobSet::all:
      return true;
    case JobSet::unended:
      return !job.ended;
    case JobSet::active:
      return !job.ended && job.counts.running + job.counts.retrying > 0;
    case JobSet::ended:
      return job.ended.has_value();
    case JobSet::failed:
      return job.state == JobState::failed;
    case JobSet::settled:
      return job.ended && job.state != JobState::failed;
  }
  return true;
}

}  // namespace

Result<ModelStore::Jobs::iterator> ModelStore::find(JobId job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end())
    return no_job(job);
  return it;
}

Result<ModelStore::Runs::iterator> ModelStore::find(RunId run) {
  const auto it = runs_.find(run);
  if (it == runs_.end())
    return failure(Errc::not_found, fmt::format("no run r{}", run.value));
  return it;
}

// -- Submitting --------------------------------------------------------------

Result<Submitted> ModelStore::open_job(const NewJob& job, WallTime now) {
  if (auto r = check(job); !r)
    return tl::unexpected(std::move(r.error()));
  if (const auto there = known(job.request_id); *there)
    return **there;
  if (!groups_.contains(job.group))
    return no_group(job.group);
  if (job.run) {
    if (const auto run = find(job.run); !run)
      return tl::unexpected(run.error());
  }
  Job added;
  added.job = job;
  added.submitted = now;
  for (const Need& need : job.needs) {
    const auto needed = jobs_.find(need.job);
    if (needed == jobs_.end())
      return no_job(need.job);
    if (!needed->second.ended)
      added.needs.push_back(need);
    else if (!satisfies(state_of_ended(count(needed->second)), need.when))
      added.is_doomed = true;
  }
  const JobId id{++last_job_};
  jobs_.emplace(id, std::move(added));
  return Submitted{id, true, false};
}

Result<std::optional<Submitted>> ModelStore::known(
    const std::string& request_id) {
  for (const auto& [id, job] : jobs_) {
    if (job.job.request_id == request_id)
      return std::optional{Submitted{id, false, job.is_sealed}};
  }
  return std::optional<Submitted>{};
}

Result<void> ModelStore::append(JobId job, std::uint64_t chunk,
                                std::span<const std::string> arguments) {
  return add(job, chunk, arguments);
}

Result<void> ModelStore::append_range(JobId job, std::uint64_t chunk,
                                      std::uint64_t count) {
  if (count > most_tasks)
    return failure(Errc::invalid_argument, "too many tasks");
  return add(job, chunk, std::vector<std::string>(count));
}

Result<void> ModelStore::add(JobId job, std::uint64_t chunk,
                             std::span<const std::string> arguments) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  Job& changed = (*found)->second;
  if (chunk < changed.chunks)
    return {};
  if (chunk > changed.chunks)
    return failure(Errc::invalid_argument, "a chunk before it is missing");
  if (changed.is_sealed)
    return failure(Errc::invalid_argument, "the job is sealed");
  if (changed.tasks.size() + arguments.size() > most_tasks)
    return failure(Errc::invalid_argument, "too many tasks");
  ++changed.chunks;
  for (const std::string& argument : arguments) {
    Task task;
    task.argument = argument;
    changed.tasks.push_back(std::move(task));
  }
  return {};
}

Result<void> ModelStore::seal(JobId job, WallTime now) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  Job& sealed = (*found)->second;
  if (std::exchange(sealed.is_sealed, true))
    return {};
  sealed.is_due = sealed.job.not_before <= now;
  if (sealed.is_cancelled)
    end_waiting(job, sealed, Outcome::cancelled, now);
  else if (sealed.is_doomed)
    end_waiting(job, sealed, Outcome::skipped, now);
  end_if_done(job, now);
  return {};
}

// -- Working -----------------------------------------------------------------

Result<void> ModelStore::open_session(const SessionId& session) {
  if (auto r = check(session); !r)
    return r;
  if (!sessions_[session].is_open)
    return failure(Errc::already_exists, "the session has ended");
  return {};
}

Result<SessionEnd> ModelStore::end_session(const SessionId& session,
                                           WallTime now) {
  if (auto r = check(session); !r)
    return tl::unexpected(std::move(r.error()));
  return end(session, now);
}

SessionEnd ModelStore::end(const SessionId& session, WallTime now) {
  sessions_[session].is_open = false;
  const std::string& whose = sessions_[session].info.session.detail;
  const auto say = [&whose](TaskResult& result) {
    result.exit_status = unknown_exit_status;
    result.detail = whose;
  };
  SessionEnd end;
  std::vector<JobId> touched;
  for (auto& [id, job] : jobs_) {
    for (std::size_t i = 0; i < job.tasks.size(); ++i) {
      Task& task = job.tasks[i];
      if (task.session != session || !is_at_work(task.state))
        continue;
      touched.push_back(id);
      task.session = {};
      if (task.state == TaskState::started &&
          job.job.delivery == Delivery::at_most_once) {
        end_task({id, i}, task, Outcome::lost, now);
        say(task.result);
        ++end.lost;
      } else if (job.is_cancelled) {
        end_task({id, i}, task, Outcome::cancelled, now);
        say(task.result);
      } else {
        task.state = TaskState::waiting;
        task.history.push_back({.task = {id, i},
                                .attempt = task.attempt,
                                .outcome = Outcome::lost,
                                .at = now});
        say(task.history.back());
        ++end.queued_again;
      }
    }
  }
  for (const JobId id : touched)
    end_if_done(id, now);
  return end;
}

std::vector<QueueId> ModelStore::waits_in(const Job& job) {
  if (job.job.shards.empty())
    return {{job.job.group, job.job.resources}};
  std::vector<QueueId> all;
  for (const std::uint32_t shard : job.job.shards)
    all.push_back({job.job.group, job.job.resources, shard});
  return all;
}

bool ModelStore::is_open(const SessionId& session) const {
  const auto found = sessions_.find(session);
  return found != sessions_.end() && found->second.is_open;
}

/// Whether the end of its last attempt stands in its history already.
bool ModelStore::is_told(const Task& task) {
  return !task.history.empty() && task.history.back().attempt == task.attempt;
}

bool ModelStore::may_be_claimed(const Job& job) const {
  return job.is_sealed && !job.ended && job.is_due && !job.is_held &&
         job.needs.empty() && !groups_.at(job.job.group).is_held;
}

Result<std::vector<Claim>> ModelStore::claim(const SessionId& session,
                                             const QueueId& queue,
                                             std::uint32_t limit) {
  if (!is_open(session))
    return failure(Errc::permission_denied, "no such session");
  if (!groups_.contains(queue.group))
    return no_group(queue.group);
  std::vector<std::tuple<int, JobId>> order;
  for (const auto& [id, job] : jobs_) {
    const auto queues = waits_in(job);
    if (may_be_claimed(job) &&
        std::find(queues.begin(), queues.end(), queue) != queues.end())
      order.emplace_back(-static_cast<int>(job.job.priority), id);
  }
  std::sort(order.begin(), order.end());
  std::vector<Claim> claims;
  for (const auto& [rank, id] : order) {
    auto& tasks = jobs_.at(id).tasks;
    for (const bool again : {true, false}) {
      for (std::size_t i = 0; i < tasks.size() && claims.size() < limit; ++i) {
        if (tasks[i].state != TaskState::waiting ||
            tasks[i].was_claimed != again)
          continue;
        tasks[i].state = TaskState::claimed;
        tasks[i].was_claimed = true;
        tasks[i].session = session;
        tasks[i].claim = last_claim_ + 1;
        ++tasks[i].attempt;
        claims.push_back(claim_of({id, i}, tasks[i]));
      }
    }
  }
  if (!claims.empty())
    ++last_claim_;
  return claims;
}

Result<std::vector<Claim>> ModelStore::claim_within_slots(
    const SessionId& session, const QueueId& queue, std::uint32_t limit) {
  const auto claims = claims_in(queue.group);
  std::uint64_t running = 0;
  for (const auto& [holder, count] : *claims)
    running += count;
  const auto group = groups_.find(queue.group);
  const std::uint64_t slots = group == groups_.end() ? 0 : group->second.slots;
  const std::uint64_t left = slots - std::min(slots, running);
  return claim(
      session, queue,
      static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, left)));
}

Claim ModelStore::claim_of(TaskRef ref, const Task& task) {
  Claim claim{.attempt = {ref, task.attempt, task.claim},
              .argument = task.argument,
              .is_started = task.state == TaskState::started};
  for (std::size_t i = task.forgiven; i < task.history.size(); ++i) {
    const Outcome outcome = task.history[i].outcome;
    if (outcome == Outcome::failed || outcome == Outcome::timed_out)
      ++claim.failures;
    if (outcome == Outcome::lost)
      ++claim.losses;
    const auto started = task.history[i].started;
    if (started && (!claim.first_started || *started < *claim.first_started))
      claim.first_started = started;
  }
  return claim;
}

/// The task, if the session holds this attempt of it.
ModelStore::Task* ModelStore::held_by(const SessionId& session,
                                      const AttemptRef& attempt) {
  const auto job = jobs_.find(attempt.task.job);
  if (job == jobs_.end() || attempt.task.index >= job->second.tasks.size())
    return nullptr;
  Task& task = job->second.tasks[attempt.task.index];
  const bool holds = is_at_work(task.state) && task.session == session &&
                     task.attempt == attempt.attempt &&
                     task.claim == attempt.claim;
  return holds ? &task : nullptr;
}

Result<std::vector<bool>> ModelStore::start(
    const SessionId& session, std::span<const AttemptRef> attempts) {
  std::vector<bool> started;
  for (const AttemptRef& attempt : attempts) {
    Task* const task = held_by(session, attempt);
    if (task != nullptr)
      task->state = TaskState::started;
    started.push_back(task != nullptr);
  }
  return started;
}

Result<std::vector<Recorded>> ModelStore::complete(
    const SessionId& session, std::span<const Completion> completions,
    WallTime now) {
  for (const Completion& completion : completions) {
    const Task* const task = held_by(session, completion.attempt);
    if (completion.outcome == Outcome::skipped ||
        (completion.retry_at && completion.outcome == Outcome::success))
      return failure(Errc::invalid_argument, "an outcome of the store's own");
    if (task != nullptr && completion.retry_at &&
        task->state == TaskState::started &&
        jobs_.at(completion.attempt.task.job).job.delivery ==
            Delivery::at_most_once)
      return failure(Errc::invalid_argument, "started at most once");
  }
  std::vector<Recorded> recorded;
  for (const Completion& completion : completions) {
    const TaskRef ref = completion.attempt.task;
    Task* const task = held_by(session, completion.attempt);
    if (task == nullptr) {
      recorded.push_back(was_of(session, completion.attempt)
                             ? Recorded::already
                             : Recorded::fenced);
      continue;
    }
    recorded.push_back(Recorded::yes);
    const WallTime at = end_of(completion, now);
    Job& job = jobs_.at(ref.job);
    if (completion.retry_at && !job.is_cancelled) {
      task->state = TaskState::backing_off;
      task->due = *completion.retry_at;
      task->history.push_back({.task = ref,
                               .attempt = task->attempt,
                               .outcome = completion.outcome,
                               .exit_status = completion.exit_status,
                               .detail = completion.detail,
                               .at = at,
                               .started = completion.started});
      continue;
    }
    end_task(ref, *task,
             completion.retry_at ? Outcome::cancelled : completion.outcome, at);
    task->result.exit_status = completion.exit_status;
    task->result.detail = completion.detail;
    end_if_done(ref.job, now, at);
  }
  return recorded;
}

/// Whether the session has completed this attempt, and nothing has come after
/// that.
bool ModelStore::was_of(const SessionId& session,
                        const AttemptRef& attempt) const {
  const auto job = jobs_.find(attempt.task.job);
  if (job == jobs_.end() || attempt.task.index >= job->second.tasks.size())
    return false;
  const Task& task = job->second.tasks[attempt.task.index];
  return !is_at_work(task.state) && task.session == session &&
         task.attempt == attempt.attempt;
}

Result<void> ModelStore::keep_late(const SessionId& session,
                                   std::span<const LateResult> results) {
  const auto known = sessions_.find(session);
  if (known == sessions_.end() || known->second.is_open)
    return {};
  const std::string& whose = known->second.info.session.detail;
  for (const LateResult& late : results) {
    const TaskRef& ref = late.attempt.task;
    const auto job = jobs_.find(ref.job);
    if (job == jobs_.end() || ref.index >= job->second.tasks.size())
      continue;
    const auto say = [&](TaskResult& result) {
      if (result.attempt == late.attempt.attempt &&
          result.outcome == Outcome::lost &&
          (result.detail == whose || result.detail.empty()))
        result.detail = late.detail;
    };
    Task& task = job->second.tasks[ref.index];
    std::for_each(task.history.begin(), task.history.end(), say);
    if (task.state == TaskState::ended)
      say(task.result);
  }
  return {};
}

Result<void> ModelStore::release(const SessionId& session,
                                 std::span<const AttemptRef> attempts) {
  for (const AttemptRef& attempt : attempts) {
    Task* const task = held_by(session, attempt);
    if (task == nullptr)
      continue;
    --task->attempt;
    task->session = {};
    task->state = TaskState::waiting;
  }
  return {};
}

Result<std::vector<Claim>> ModelStore::claimed_by(const SessionId& session) {
  std::vector<Claim> held;
  for (const auto& [id, job] : jobs_) {
    for (std::size_t i = 0; i < job.tasks.size(); ++i) {
      const AttemptRef attempt{
          {id, i}, job.tasks[i].attempt, job.tasks[i].claim};
      if (held_by(session, attempt) != nullptr)
        held.push_back(claim_of({id, i}, job.tasks[i]));
    }
  }
  return held;
}

Result<std::vector<SessionId>> ModelStore::open_sessions() {
  std::vector<SessionId> open;
  for (const auto& [id, session] : sessions_) {
    if (session.is_open)
      open.push_back(id);
  }
  return open;
}

// -- Time --------------------------------------------------------------------

Result<std::uint64_t> ModelStore::wake(WallTime now, std::uint32_t limit) {
  /// By time, then job, then index; the job itself before its tasks.
  std::vector<std::tuple<WallTime, JobId, std::int64_t>> due;
  for (const auto& [id, job] : jobs_) {
    if (job.is_sealed && !job.ended && !job.is_due && job.job.not_before <= now)
      due.emplace_back(job.job.not_before, id, -1);
    for (std::size_t i = 0; i < job.tasks.size(); ++i) {
      if (job.tasks[i].state == TaskState::backing_off &&
          job.tasks[i].due <= now)
        due.emplace_back(job.tasks[i].due, id, static_cast<std::int64_t>(i));
    }
  }
  std::sort(due.begin(), due.end());
  due.resize(std::min<std::size_t>(due.size(), limit));
  for (const auto& [time, id, index] : due) {
    Job& job = jobs_.at(id);
    if (index < 0)
      job.is_due = true;
    else
      job.tasks[static_cast<std::size_t>(index)].state = TaskState::waiting;
  }
  return due.size();
}

Result<std::optional<WallTime>> ModelStore::next_wake() {
  std::optional<WallTime> next;
  const auto consider = [&](WallTime time) {
    if (!next || time < *next)
      next = time;
  };
  for (const auto& [id, job] : jobs_) {
    if (job.is_sealed && !job.ended && !job.is_due)
      consider(job.job.not_before);
    for (const Task& task : job.tasks) {
      if (task.state == TaskState::backing_off)
        consider(task.due);
    }
  }
  return next;
}

// -- Changing ----------------------------------------------------------------

Result<std::vector<AttemptRef>> ModelStore::cancel(JobId job, WallTime now) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  Job& cancelled = (*found)->second;
  if (cancelled.ended)
    return std::vector<AttemptRef>{};
  cancelled.is_cancelled = true;
  std::vector<AttemptRef> running;
  for (std::size_t i = 0; i < cancelled.tasks.size(); ++i) {
    const Task& task = cancelled.tasks[i];
    if (is_at_work(task.state))
      running.push_back({{job, i}, task.attempt, task.claim});
  }
  // More may be added to one that is open; sealing it ends them as well.
  if (cancelled.is_sealed)
    end_waiting(job, cancelled, Outcome::cancelled, now);
  end_if_done(job, now);
  return running;
}

Result<void> ModelStore::hold(JobId job, bool is_held) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  if (!(*found)->second.ended)
    (*found)->second.is_held = is_held;
  return {};
}

Result<void> ModelStore::edit(JobId job, const JobEdit& edit, WallTime now) {
  if (auto r = check(edit); !r)
    return r;
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  Job& edited = (*found)->second;
  if (edited.ended)
    return failure(Errc::invalid_argument, "it has ended");
  if (edit.group && !groups_.contains(*edit.group))
    return no_group(*edit.group);
  const auto set = [](auto& field, const auto& value) {
    if (value)
      field = *value;
  };
  set(edited.job.name, edit.name);
  set(edited.job.tags, edit.tags);
  set(edited.job.group, edit.group);
  set(edited.job.resources, edit.resources);
  set(edited.job.priority, edit.priority);
  set(edited.job.spec, edit.spec);
  set(edited.job.not_before, edit.not_before);
  if (edit.not_before && edited.is_sealed)
    edited.is_due = edited.job.not_before <= now;
  return {};
}

Result<std::uint64_t> ModelStore::retry(JobId job, Retry which) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  Job& again = (*found)->second;
  if (!again.ended)
    return failure(Errc::invalid_argument, "it has not ended");
  if (again.job.run)
    return is_of(again.job.run);
  if (!groups_.contains(again.job.group))
    return no_group(again.job.group);
  std::uint64_t count = 0;
  for (Task& task : again.tasks) {
    const Outcome outcome = task.result.outcome;
    if (outcome == Outcome::success ||
        (which == Retry::failed &&
         (outcome == Outcome::cancelled || outcome == Outcome::skipped)))
      continue;
    if (task.result.attempt > 0 && !is_told(task))
      task.history.push_back(task.result);
    task.forgiven = task.history.size();
    task.state = TaskState::waiting;
    task.session = {};
    task.result = {};
    ++count;
  }
  if (count == 0)
    return count;
  again.ended.reset();
  again.is_cancelled = false;
  again.is_doomed = false;
  again.is_held = false;
  again.is_due = true;
  again.needs.clear();
  return count;
}

Result<void> ModelStore::forget(JobId job) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  if (!(*found)->second.ended)
    return failure(Errc::invalid_argument, "it has not ended");
  if ((*found)->second.job.run)
    return is_of((*found)->second.job.run);
  jobs_.erase(*found);
  return {};
}

Result<void> ModelStore::set_group(const Group& group) {
  if (auto r = check(group); !r)
    return r;
  groups_[group.name] = group;
  return {};
}

Result<void> ModelStore::remove_group(const std::string& name) {
  if (!groups_.contains(name))
    return no_group(name);
  if (name == "default")
    return failure(Errc::invalid_argument, "the group default stays");
  for (const auto& [id, job] : jobs_) {
    if (job.job.group == name && !job.ended)
      return failure(Errc::invalid_argument, "it has jobs");
  }
  groups_.erase(name);
  return {};
}

// -- Runs --------------------------------------------------------------------

Result<SubmittedRun> ModelStore::open_run(const NewRun& run, WallTime now) {
  if (auto r = check(run); !r)
    return tl::unexpected(std::move(r.error()));
  for (const auto& [id, known] : runs_) {
    if (known.info.run.request_id == run.request_id)
      return SubmittedRun{id, false};
  }
  const RunId id{++last_run_};
  runs_[id].info = {.id = id, .run = run, .submitted = now};
  runs_[id].info.run.name = with_number(run.name, id);
  return SubmittedRun{id, true};
}

Result<bool> ModelStore::add_event(RunId run, const RunEvent& event,
                                   RunState state, const RunCounts& counts) {
  if (auto r = check(event); !r)
    return tl::unexpected(std::move(r.error()));
  const auto found = find(run);
  if (!found)
    return tl::unexpected(found.error());
  auto& [info, events] = (*found)->second;
  if (event.number < events.size())
    return false;
  if (event.number > events.size())
    return failure(Errc::invalid_argument, "an event before it is missing");
  events.push_back(event);
  info.events = events.size();
  info.state = state;
  info.counts = counts;
  info.ended = has_ended(state) ? std::optional{event.at} : std::nullopt;
  return true;
}

Result<std::vector<JobId>> ModelStore::forget_run(RunId run) {
  const auto found = find(run);
  if (!found)
    return tl::unexpected(found.error());
  if (!(*found)->second.info.ended)
    return failure(Errc::invalid_argument, "it has not ended");
  std::vector<JobId> jobs;
  for (const auto& [id, job] : jobs_) {
    if (job.job.run != run)
      continue;
    if (!job.ended)
      return failure(Errc::invalid_argument,
                     fmt::format("its job {} has not ended", id.value));
    jobs.push_back(id);
  }
  for (const JobId job : jobs)
    jobs_.erase(job);
  runs_.erase(*found);
  return jobs;
}

Result<RunInfo> ModelStore::run(RunId run) {
  const auto found = find(run);
  if (!found)
    return tl::unexpected(found.error());
  return (*found)->second.info;
}

Result<std::vector<RunInfo>> ModelStore::runs(const RunFilter& filter,
                                              std::uint32_t limit) {
  std::vector<RunInfo> found;
  for (auto it = runs_.rbegin(); it != runs_.rend() && found.size() < limit;
       ++it) {
    if ((filter.before && it->first >= filter.before) ||
        !is_in(it->second.info.state, filter.set))
      continue;
    found.push_back(it->second.info);
    found.back().run.spec.clear();
  }
  return found;
}

Result<std::vector<RunEvent>> ModelStore::events(RunId run, std::uint64_t from,
                                                 std::uint32_t limit) {
  const auto found = find(run);
  if (!found)
    return tl::unexpected(found.error());
  const auto& all = (*found)->second.events;
  const auto first = std::min<std::uint64_t>(from, all.size());
  const auto last = std::min<std::uint64_t>(first + limit, all.size());
  return std::vector<RunEvent>{all.begin() + static_cast<std::ptrdiff_t>(first),
                               all.begin() + static_cast<std::ptrdiff_t>(last)};
}

Result<std::vector<RunInfo>> ModelStore::oldest_ended_runs(
    std::uint32_t limit) {
  std::vector<RunInfo> ended;
  for (const auto& [id, run] : runs_) {
    if (run.info.ended)
      ended.push_back(run.info);
  }
  std::sort(ended.begin(), ended.end(), [](const RunInfo& a, const RunInfo& b) {
    return std::tie(*a.ended, a.id) < std::tie(*b.ended, b.id);
  });
  ended.resize(std::min<std::size_t>(ended.size(), limit));
  for (RunInfo& run : ended)
    run.run.spec.clear();
  return ended;
}

Result<std::uint64_t> ModelStore::count_ended_runs() {
  return static_cast<std::uint64_t>(std::count_if(
      runs_.begin(), runs_.end(),
      [](const auto& entry) { return entry.second.info.ended.has_value(); }));
}

// -- Looking -----------------------------------------------------------------

JobCounts ModelStore::count(const Job& job) {
  JobCounts counts;
  counts.tasks = job.tasks.size();
  for (const Task& task : job.tasks) {
    if (waits(task.state)) {
      ++(task.attempt == 0 ? counts.waiting : counts.retrying);
      continue;
    }
    if (is_at_work(task.state)) {
      ++counts.running;
      continue;
    }
    switch (task.result.outcome) {
      case Outcome::success:
        ++counts.success;
        break;
      case Outcome::failed:
        ++counts.failed;
        break;
      case Outcome::timed_out:
        ++counts.timed_out;
        break;
      case Outcome::cancelled:
        ++counts.cancelled;
        break;
      case Outcome::lost:
        ++counts.lost;
        break;
      case Outcome::skipped:
        ++counts.skipped;
        break;
    }
  }
  return counts;
}

JobInfo ModelStore::info(JobId id, const Job& job) {
  JobInfo info{.id = id,
               .job = job.job,
               .counts = count(job),
               .needs_left = job.needs.size(),
               .is_held = job.is_held,
               .is_cancelled = job.is_cancelled,
               .submitted = job.submitted,
               .ended = job.ended};
  if (!job.is_sealed)
    info.state = JobState::open;
  else if (job.ended)
    info.state = state_of_ended(info.counts);
  else if (info.counts.running + info.counts.retrying > 0)
    info.state = JobState::running;
  else if (job.is_held)
    info.state = JobState::held;
  else if (!job.needs.empty())
    info.state = JobState::blocked;
  else if (!job.is_due)
    info.state = JobState::delayed;
  else
    info.state = JobState::queued;
  return info;
}

Result<JobInfo> ModelStore::job(JobId job) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  return info(job, (*found)->second);
}

Result<std::vector<JobInfo>> ModelStore::jobs(const JobFilter& filter,
                                              std::uint32_t limit) {
  std::vector<JobInfo> found;
  for (auto it = jobs_.rbegin(); it != jobs_.rend() && found.size() < limit;
       ++it) {
    const auto& [id, job] = *it;
    const auto& tags = job.job.tags;
    if ((filter.before && id >= filter.before) ||
        (filter.group && job.job.group != *filter.group) ||
        (filter.run && job.job.run != *filter.run) ||
        (filter.tag &&
         std::find(tags.begin(), tags.end(), *filter.tag) == tags.end()))
      continue;
    JobInfo listed = info(id, job);
    if (is_job_in(listed, filter.set))
      found.push_back(std::move(listed));
  }
  return found;
}

Result<std::vector<TaskResult>> ModelStore::results(JobId job,
                                                    std::uint64_t from,
                                                    std::uint32_t limit) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  std::vector<TaskResult> results;
  const auto& tasks = (*found)->second.tasks;
  for (std::uint64_t i = from; i < tasks.size() && results.size() < limit;
       ++i) {
    if (tasks[i].state == TaskState::ended)
      results.push_back(tasks[i].result);
  }
  return results;
}

Result<std::vector<std::uint64_t>> ModelStore::tried(JobId job,
                                                     std::uint64_t from,
                                                     std::uint32_t limit) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  std::vector<std::uint64_t> indices;
  const auto& tasks = (*found)->second.tasks;
  for (std::uint64_t i = from; i < tasks.size() && indices.size() < limit;
       ++i) {
    if (tasks[i].attempt > 0)
      indices.push_back(i);
  }
  return indices;
}

Result<TaskInfo> ModelStore::task(const TaskRef& task) {
  const auto found = find(task.job);
  if (!found)
    return tl::unexpected(found.error());
  const auto& tasks = (*found)->second.tasks;
  if (task.index >= tasks.size())
    return failure(Errc::not_found, "no such task");
  const Task& seen = tasks[task.index];
  TaskInfo info{.task = task,
                .state = seen.state,
                .argument = seen.argument,
                .attempt = seen.attempt};
  if (seen.state == TaskState::backing_off)
    info.due = seen.due;
  if (seen.state == TaskState::ended)
    info.result = seen.result;
  if (seen.state == TaskState::claimed || seen.state == TaskState::started)
    info.session = seen.session;
  return info;
}

Result<std::vector<TaskResult>> ModelStore::attempts(const TaskRef& task) {
  const auto found = find(task.job);
  if (!found)
    return tl::unexpected(found.error());
  const auto& tasks = (*found)->second.tasks;
  if (task.index >= tasks.size())
    return std::vector<TaskResult>{};
  const Task& seen = tasks[task.index];
  std::vector<TaskResult> all = seen.history;
  if (seen.state == TaskState::ended && seen.attempt > 0 && !is_told(seen))
    all.push_back(seen.result);
  return all;
}

Result<std::optional<WallTime>> ModelStore::next_due(JobId job) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  std::optional<WallTime> next;
  for (const Task& task : (*found)->second.tasks) {
    if (task.state == TaskState::backing_off && (!next || task.due < *next))
      next = task.due;
  }
  return next;
}

Result<std::vector<GroupInfo>> ModelStore::groups() {
  std::vector<GroupInfo> all;
  for (const auto& [name, group] : groups_) {
    GroupInfo info{group, {}};
    for (const auto& [id, job] : jobs_) {
      if (job.job.group != name || job.ended)
        continue;
      const JobCounts counts = count(job);
      ++info.counts.jobs;
      info.counts.waiting += counts.waiting;
      info.counts.retrying += counts.retrying;
      info.counts.running += counts.running;
    }
    all.push_back(info);
  }
  return all;
}

Result<std::map<SessionId, std::uint64_t>> ModelStore::claims_in(
    const std::string& group) {
  std::map<SessionId, std::uint64_t> claims;
  for (const auto& [id, job] : jobs_) {
    for (const Task& task : job.tasks) {
      if (job.job.group == group && is_at_work(task.state))
        ++claims[task.session];
    }
  }
  return claims;
}

Result<std::vector<QueueHead>> ModelStore::queues() {
  std::map<QueueId, QueueHead> heads;
  for (const auto& [id, job] : jobs_) {
    const bool has_some = std::any_of(
        job.tasks.begin(), job.tasks.end(),
        [](const Task& task) { return task.state == TaskState::waiting; });
    if (!has_some || !may_be_claimed(job))
      continue;
    for (const QueueId& queue : waits_in(job)) {
      const QueueHead head{queue, job.job.priority, id};
      const auto [known, is_new] = heads.try_emplace(queue, head);
      if (!is_new && head.priority > known->second.priority)
        known->second = head;
    }
  }
  std::vector<QueueHead> all;
  all.reserve(heads.size());
  for (const auto& [queue, head] : heads)
    all.push_back(head);
  return all;
}

Result<std::vector<JobId>> ModelStore::oldest_ended(JobSet set,
                                                    std::uint32_t limit) {
  std::vector<std::pair<WallTime, JobId>> ended;
  for (const auto& [id, job] : jobs_) {
    if (job.ended && !job.job.run && is_job_in(info(id, job), set))
      ended.emplace_back(*job.ended, id);
  }
  std::sort(ended.begin(), ended.end());
  std::vector<JobId> oldest;
  for (const auto& [time, id] : ended) {
    if (oldest.size() < limit)
      oldest.push_back(id);
  }
  return oldest;
}

Result<std::uint64_t> ModelStore::count_ended() {
  return static_cast<std::uint64_t>(
      std::count_if(jobs_.begin(), jobs_.end(), [](const auto& entry) {
        return entry.second.ended.has_value() && !entry.second.job.run;
      }));
}

Result<std::vector<JobId>> ModelStore::forgotten(std::span<const JobId> jobs) {
  std::vector<JobId> forgotten;
  for (const JobId id : jobs) {
    if (!jobs_.empty() && id < jobs_.rbegin()->first && !jobs_.contains(id))
      forgotten.push_back(id);
  }
  return forgotten;
}

Result<std::vector<RunId>> ModelStore::forgotten_runs(
    std::span<const RunId> runs) {
  std::vector<RunId> forgotten;
  for (const RunId id : runs) {
    if (!runs_.empty() && id < runs_.rbegin()->first && !runs_.contains(id))
      forgotten.push_back(id);
  }
  return forgotten;
}

// -- Clusters ----------------------------------------------------------------

Result<Registered> ModelStore::register_session(const NewSession& session,
                                                WallTime now) {
  if (auto r = check(session); !r)
    return tl::unexpected(std::move(r.error()));
  if (const auto known = sessions_.find(session.session);
      known != sessions_.end()) {
    if (!known->second.is_open)
      return Registered::ended;
    known->second.info.session.detail = session.detail;
    return Registered::yes;
  }
  std::vector<SessionId> before;
  for (const auto& [id, other] : sessions_) {
    if (other.info.session.node != session.node)
      continue;
    if (other.info.session.incarnation >= session.incarnation)
      return Registered::late;
    if (other.is_open)
      before.push_back(id);
  }
  for (const SessionId& id : before)
    (void)end(id, now);
  std::erase_if(sessions_, [&](const auto& entry) {
    const Session& other = entry.second;
    return other.info.session.node == session.node && !other.is_open &&
           other.info.seen < now - session_memory;
  });
  sessions_[session.session].info = {.session = session, .seen = now};
  return Registered::yes;
}

Result<Renewal> ModelStore::renew(const SessionId& session, bool is_draining,
                                  WallTime now) {
  if (!is_open(session))
    return Renewal{Renewed::ended, view_.number};
  SessionInfo& info = sessions_.at(session).info;
  ++info.counter;
  info.is_draining = info.is_draining || is_draining;
  info.seen = now;
  return Renewal{info.is_draining ? Renewed::draining : Renewed::live,
                 view_.number};
}

Result<std::vector<SessionInfo>> ModelStore::sessions() {
  std::vector<SessionInfo> all;
  for (const auto& [id, session] : sessions_) {
    if (session.is_open && !session.info.session.node.empty())
      all.push_back(session.info);
  }
  return all;
}

Result<std::optional<SessionEnd>> ModelStore::evict(const SessionId& session,
                                                    std::uint64_t counter,
                                                    WallTime now) {
  if (!is_open(session))
    return std::optional<SessionEnd>{};
  const SessionInfo& info = sessions_.at(session).info;
  if (info.session.node.empty() || info.counter != counter)
    return std::optional<SessionEnd>{};
  return std::optional{end(session, now)};
}

Result<AgreedView> ModelStore::propose(const AgreedView& next) {
  if (auto r = check(next); !r)
    return tl::unexpected(std::move(r.error()));
  if (next.number == view_.number + 1)
    view_ = next;
  return view_;
}

Result<std::optional<KnownRoster>> ModelStore::roster_after(
    std::uint64_t known) {
  return roster_.number > known ? std::optional{roster_} : std::nullopt;
}

Result<void> ModelStore::set_roster(const KnownRoster& next) {
  if (auto r = check(next); !r)
    return r;
  if (next.number > roster_.number)
    roster_ = next;
  return {};
}

Result<std::vector<QueueHead>> ModelStore::queues_of(
    std::span<const std::uint32_t> shards) {
  auto heads = queues();
  std::erase_if(*heads, [&](const QueueHead& head) {
    return std::find(shards.begin(), shards.end(), head.queue.shard) ==
           shards.end();
  });
  return heads;
}

Result<std::vector<QueueHead>> ModelStore::queues_from(std::uint32_t shard,
                                                       std::uint32_t limit) {
  auto heads = queues();
  std::erase_if(
      *heads, [&](const QueueHead& head) { return head.queue.shard < shard; });
  heads->resize(std::min<std::size_t>(heads->size(), limit));
  return heads;
}

// -- Ends --------------------------------------------------------------------

void ModelStore::end_task(TaskRef ref, Task& task, Outcome outcome,
                          WallTime now) {
  task.state = TaskState::ended;
  task.result = {
      .task = ref, .attempt = task.attempt, .outcome = outcome, .at = now};
}

void ModelStore::end_waiting(JobId id, Job& job, Outcome outcome,
                             WallTime now) {
  for (std::size_t i = 0; i < job.tasks.size(); ++i) {
    if (waits(job.tasks[i].state))
      end_task({id, i}, job.tasks[i], outcome, now);
  }
}

/// And what that means for those that need it.
void ModelStore::end_if_done(JobId id, WallTime now) {
  end_if_done(id, now, now);
}

/// Of which a task has ended at that time.
void ModelStore::end_if_done(JobId id, WallTime now, WallTime at) {
  std::deque<JobId> open{id};
  while (!open.empty()) {
    const JobId next = open.front();
    open.pop_front();
    Job& job = jobs_.at(next);
    const JobCounts counts = count(job);
    if (!job.is_sealed || job.ended || counts.ended() < counts.tasks)
      continue;
    job.ended = next == id && counts.tasks == 1 ? at : now;
    for (auto& [other_id, other] : jobs_) {
      const auto need =
          std::find_if(other.needs.begin(), other.needs.end(),
                       [&](const Need& n) { return n.job == next; });
      if (need == other.needs.end())
        continue;
      const bool good = satisfies(state_of_ended(counts), need->when);
      other.needs.erase(need);
      if (good)
        continue;
      other.is_doomed = true;
      if (!other.is_sealed || other.is_cancelled)
        continue;
      end_waiting(other_id, other, Outcome::skipped, now);
      open.push_back(other_id);
    }
  }
}

}  // namespace troupe::store
