#include "plan_machine.hpp"

#include <troupe/actors/command_core.hpp>
#include <troupe/base/quantity.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {

bool Plan::Machine::restart_group(std::size_t failed_job) {
  const Job& job = workflow_->jobs[failed_job];
  if (!job.group || is_ending() || jobs_[failed_job].is_refused)
    return false;
  const JobGroup& spec = workflow_->groups[*job.group];
  GroupProgress& group = groups_[*job.group];
  const std::size_t used = group.window.used(now_);
  const bool again = group.window.allow(now_);
  actions_.push_back(GroupDecided{.group = spec.id,
                                  .job = job.id,
                                  .gave_up = !again,
                                  .restarts_used = again ? used + 1 : used,
                                  .intensity = spec.intensity,
                                  .period = spec.period});
  if (!again)
    return false;
  switch (spec.strategy) {
    case supervisor::Strategy::one_for_one:
    case supervisor::Strategy::simple_one_for_one:
      restart_job(failed_job, /*all_of_it=*/false);
      break;
    case supervisor::Strategy::rest_for_one:
    case supervisor::Strategy::one_for_all:
      for (const std::size_t member : group.jobs) {
        if (spec.strategy == supervisor::Strategy::one_for_all ||
            member >= failed_job)
          restart_job(member, /*all_of_it=*/true);
      }
      break;
  }
  return true;
}

void Plan::Machine::restart_job(std::size_t job_index, bool all_of_it) {
  for (const std::size_t i : jobs_[job_index].instances) {
    Progress& progress = progress_[i];
    switch (instances_[i].state) {
      case JobState::pending:
        break;
      case JobState::awaiting:
      case JobState::ready:
        // What it needs may be among those that start again.
        leave_concurrency(i);
        change(i, JobState::pending, {});
        break;
      case JobState::running:
        if (std::exchange(progress.restarts_at_end, true))
          break;
        if (groups_[*job_of(i).group].stopping++ == 0)
          update_group(*job_of(i).group);
        progress.cancelled = true;
        stop_running(i, /*hard=*/false);
        break;
      case JobState::succeeded:
      case JobState::skipped:
        if (all_of_it)
          open_again(i);
        break;
      case JobState::failed:
      case JobState::timed_out:
      case JobState::cancelled:
        open_again(i);
        break;
    }
  }
}

void Plan::Machine::open_again(std::size_t i) {
  clear_deadlines(i);
  renew(i);
  progress_[i].retries = 0;
  progress_[i].first_start.reset();
  JobProgress& job = jobs_[progress_[i].job];
  ++job.left;
  change(i, JobState::pending, "starts again with its group");
  if (!std::exchange(job.has_ended, false))
    return;
  job.has_started = false;
  for (const auto* const jobs : {&job.needed_by, &job.awaited_by}) {
    for (const std::size_t next : *jobs) {
      ++jobs_[next].needs_left;
      wait_again(next);
    }
  }
}

void Plan::Machine::renew(std::size_t i) {
  Progress& old = progress_[i];
  Progress fresh;
  fresh.job = old.job;
  fresh.matrix = std::move(old.matrix);
  fresh.restarts = old.restarts + 1;
  fresh.retries = old.retries;
  fresh.first_start = old.first_start;
  old = std::move(fresh);
}

bool Plan::Machine::try_again(std::size_t i, JobState state,
                              const std::string& reason) {
  const actors::RetryPolicy& retry = job_of(i).retry;
  Progress& progress = progress_[i];
  if (progress.retries + 1 >= retry.attempts || is_ending() ||
      progress.cancelled || actors::covers(retry.unless, progress.causes) ||
      (!retry.only_if.empty() &&
       !actors::covers(retry.only_if, progress.causes)))
    return false;
  const Duration delay =
      actors::delay_after(retry, progress.retries + 1, random_);
  if (retry.max_elapsed > Duration{0} &&
      now_ + delay > *progress.first_start + retry.max_elapsed)
    return false;
  free_place(i);
  leave_concurrency(i);
  clear_deadlines(i);
  auto causes = std::move(progress.causes);
  renew(i);
  progress.causes = std::move(causes);
  ++progress.retries;
  progress.waits_to_retry = true;
  progress.last_state = state;
  progress.reason = reason;
  deadlines_.set({i, Deadlines::Kind::retry}, now_ + delay);
  change(i, JobState::pending,
         fmt::format("{}; attempt {} of {} in {}", reason, progress.retries + 1,
                     retry.attempts, format_duration(delay)));
  return true;
}

void Plan::Machine::give_up_retry(std::size_t i) {
  end_instance(i, progress_[i].last_state, std::string{progress_[i].reason});
}

void Plan::Machine::fail_instance(std::size_t i, JobState state,
                                  std::string reason) {
  if (!try_again(i, state, reason))
    end_instance(i, state, std::move(reason));
}

void Plan::Machine::wait_again(std::size_t job_index) {
  const auto& all = jobs_[job_index].instances;
  if (!std::all_of(all.begin(), all.end(), [this](std::size_t i) {
        return instances_[i].state == JobState::ready ||
               instances_[i].state == JobState::awaiting;
      }))
    return;
  for (const std::size_t i : all) {
    leave_concurrency(i);
    change(i, JobState::pending, {});
  }
}

void Plan::Machine::stopped_for_group(std::size_t group) {
  if (--groups_[group].stopping == 0)
    update_group(group);
}

void Plan::Machine::update_group(std::size_t group) {
  for (const std::size_t job : groups_[group].jobs) {
    update_place(job);
    due_.insert(job);
  }
}

}  // namespace troupe::workflow
