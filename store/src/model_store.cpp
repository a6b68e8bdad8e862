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

bool waits(auto state) {
  using State = decltype(state);
  return state == State::fresh || state == State::again ||
         state == State::sleeping;
}

}  // namespace

Result<ModelStore::Jobs::iterator> ModelStore::find(JobId job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end())
    return no_job(job);
  return it;
}

// -- Submitting --------------------------------------------------------------

Result<Submitted> ModelStore::open_job(const NewJob& job, WallTime now) {
  if (auto r = check(job); !r)
    return tl::unexpected(std::move(r.error()));
  for (const auto& [id, known] : jobs_) {
    if (known.job.request_id == job.request_id)
      return Submitted{id, false, known.is_sealed};
  }
  if (!groups_.contains(job.group))
    return failure(Errc::not_found, fmt::format("no group {}", job.group));
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
  if (ended_.contains(session))
    return failure(Errc::already_exists, "the session has ended");
  open_.insert(session);
  return {};
}

Result<SessionEnd> ModelStore::end_session(const SessionId& session,
                                           WallTime now) {
  if (auto r = check(session); !r)
    return tl::unexpected(std::move(r.error()));
  open_.erase(session);
  ended_.insert(session);
  SessionEnd end;
  std::vector<JobId> touched;
  for (auto& [id, job] : jobs_) {
    for (std::size_t i = 0; i < job.tasks.size(); ++i) {
      Task& task = job.tasks[i];
      if (task.session != session || (task.state != TaskState::claimed &&
                                      task.state != TaskState::started))
        continue;
      touched.push_back(id);
      task.session = {};
      if (task.state == TaskState::started &&
          job.job.delivery == Delivery::at_most_once) {
        end_task({id, i}, task, Outcome::lost, now);
        ++end.lost;
      } else if (job.is_cancelled) {
        end_task({id, i}, task, Outcome::cancelled, now);
      } else {
        task.state = TaskState::again;
        ++end.queued_again;
      }
    }
  }
  for (const JobId id : touched)
    end_if_done(id, now);
  return end;
}

bool ModelStore::may_be_claimed(const Job& job) const {
  return job.is_sealed && !job.ended && job.is_due && !job.is_held &&
         job.needs.empty() && !groups_.at(job.job.group).is_held;
}

Result<std::vector<Claim>> ModelStore::claim(const SessionId& session,
                                             const std::string& group,
                                             std::uint32_t limit) {
  if (!open_.contains(session))
    return failure(Errc::permission_denied, "no such session");
  if (!groups_.contains(group))
    return failure(Errc::not_found, fmt::format("no group {}", group));
  std::vector<std::tuple<int, JobId>> order;
  for (const auto& [id, job] : jobs_) {
    if (job.job.group == group && may_be_claimed(job))
      order.emplace_back(-static_cast<int>(job.job.priority), id);
  }
  std::sort(order.begin(), order.end());
  std::vector<Claim> claims;
  for (const auto& [rank, id] : order) {
    auto& tasks = jobs_.at(id).tasks;
    for (const TaskState wanted : {TaskState::again, TaskState::fresh}) {
      for (std::size_t i = 0; i < tasks.size() && claims.size() < limit; ++i) {
        if (tasks[i].state != wanted)
          continue;
        tasks[i].state = TaskState::claimed;
        tasks[i].was_claimed = true;
        tasks[i].session = session;
        claims.push_back({{{id, i}, ++tasks[i].attempt}, tasks[i].argument});
      }
    }
  }
  return claims;
}

/// The task, if the session holds this attempt of it.
ModelStore::Task* ModelStore::held_by(const SessionId& session,
                                      const AttemptRef& attempt) {
  const auto job = jobs_.find(attempt.task.job);
  if (job == jobs_.end() || attempt.task.index >= job->second.tasks.size())
    return nullptr;
  Task& task = job->second.tasks[attempt.task.index];
  const bool holds =
      (task.state == TaskState::claimed || task.state == TaskState::started) &&
      task.session == session && task.attempt == attempt.attempt;
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
    if (completion.outcome == Outcome::lost ||
        completion.outcome == Outcome::skipped ||
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
      const auto job = jobs_.find(ref.job);
      const bool was_it =
          job != jobs_.end() && ref.index < job->second.tasks.size() &&
          job->second.tasks[ref.index].session == session &&
          job->second.tasks[ref.index].attempt == completion.attempt.attempt;
      recorded.push_back(was_it ? Recorded::already : Recorded::fenced);
      continue;
    }
    recorded.push_back(Recorded::yes);
    Job& job = jobs_.at(ref.job);
    if (completion.retry_at && !job.is_cancelled) {
      task->state = TaskState::sleeping;
      task->due = *completion.retry_at;
      continue;
    }
    end_task(ref, *task,
             completion.retry_at ? Outcome::cancelled : completion.outcome,
             now);
    task->result.exit_status = completion.exit_status;
    task->result.detail = completion.detail;
    end_if_done(ref.job, now);
  }
  return recorded;
}

Result<void> ModelStore::release(const SessionId& session,
                                 std::span<const AttemptRef> attempts) {
  for (const AttemptRef& attempt : attempts) {
    Task* const task = held_by(session, attempt);
    if (task == nullptr || task->state == TaskState::started)
      continue;
    --task->attempt;
    task->session = {};
    task->state = TaskState::again;
  }
  return {};
}

Result<std::vector<AttemptRef>> ModelStore::claimed_by(
    const SessionId& session) {
  std::vector<AttemptRef> held;
  for (const auto& [id, job] : jobs_) {
    for (std::size_t i = 0; i < job.tasks.size(); ++i) {
      const AttemptRef attempt{{id, i}, job.tasks[i].attempt};
      if (held_by(session, attempt) != nullptr)
        held.push_back(attempt);
    }
  }
  return held;
}

// -- Time --------------------------------------------------------------------

Result<std::uint64_t> ModelStore::wake(WallTime now, std::uint32_t limit) {
  /// By time, then job, then index; the job itself before its tasks.
  std::vector<std::tuple<WallTime, JobId, std::int64_t>> due;
  for (const auto& [id, job] : jobs_) {
    if (job.is_sealed && !job.ended && !job.is_due && job.job.not_before <= now)
      due.emplace_back(job.job.not_before, id, -1);
    for (std::size_t i = 0; i < job.tasks.size(); ++i) {
      if (job.tasks[i].state == TaskState::sleeping && job.tasks[i].due <= now)
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
      job.tasks[static_cast<std::size_t>(index)].state = TaskState::again;
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
      if (task.state == TaskState::sleeping)
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
    if (task.state == TaskState::claimed || task.state == TaskState::started)
      running.push_back({{job, i}, task.attempt});
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

Result<std::uint64_t> ModelStore::retry(JobId job) {
  const auto found = find(job);
  if (!found)
    return tl::unexpected(found.error());
  Job& again = (*found)->second;
  if (!again.ended)
    return failure(Errc::invalid_argument, "it has not ended");
  std::uint64_t count = 0;
  for (Task& task : again.tasks) {
    if (task.result.outcome == Outcome::success)
      continue;
    task.state = task.was_claimed ? TaskState::again : TaskState::fresh;
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
  jobs_.erase(*found);
  return {};
}

Result<void> ModelStore::set_group(const Group& group) {
  if (auto r = check(group); !r)
    return r;
  groups_[group.name] = group;
  return {};
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
    if (task.state != TaskState::ended) {
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
        (filter.tag &&
         std::find(tags.begin(), tags.end(), *filter.tag) == tags.end()) ||
        (filter.only_unended && job.ended))
      continue;
    found.push_back(info(id, job));
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

Result<std::vector<Group>> ModelStore::groups() {
  std::vector<Group> all;
  for (const auto& [name, group] : groups_)
    all.push_back(group);
  return all;
}

Result<std::vector<std::string>> ModelStore::groups_with_work() {
  std::set<std::string> names;
  for (const auto& [id, job] : jobs_) {
    const bool has_some =
        std::any_of(job.tasks.begin(), job.tasks.end(), [](const Task& task) {
          return task.state == TaskState::again ||
                 task.state == TaskState::fresh;
        });
    if (has_some && may_be_claimed(job))
      names.insert(job.job.group);
  }
  return std::vector<std::string>{names.begin(), names.end()};
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
  std::deque<JobId> open{id};
  while (!open.empty()) {
    const JobId next = open.front();
    open.pop_front();
    Job& job = jobs_.at(next);
    const JobCounts counts = count(job);
    if (!job.is_sealed || job.ended || counts.ended() < counts.tasks)
      continue;
    job.ended = now;
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
