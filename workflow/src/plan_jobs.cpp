#include "plan_machine.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

bool holds_at_end(When when, Verdict verdict) {
  switch (when) {
    case When::succeeded:
      return verdict == Verdict::success;
    case When::finished:
      return true;
    case When::failed:
      return verdict == Verdict::failure;
    case When::started:
      return false;  // Not by its end.
  }
  return false;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::success:
      return "success";
    case Verdict::failure:
      return "failure";
    case Verdict::cancelled:
      return "cancelled";
    case Verdict::skipped:
      return "skipped";
  }
  return "skipped";
}

void Plan::Machine::pump(TimePoint now) {
  now_ = now;
  settle();
  // One in another plan is asked by that.
  if (given_)
    return;
  while (totals_->running < std::max<std::size_t>(1, options_.max_parallel) &&
         start_next())
    settle();
}

void Plan::Machine::settle() {
  for (;;) {
    if (!unheard_.empty())
      hear(unheard_.extract(unheard_.begin()).value());
    else if (!due_.empty())
      judge_job(due_.extract(due_.begin()).value());
    else if (unfinished_ != 0 || result_ || !open_next_hook())
      break;
  }
  if (unfinished_ == 0 && !result_) {
    result_ = outcome_;
    const auto failure = first_failure();
    actions_.push_back(RunFinished{
        .result = *result_,
        .failed_job = failure ? instances_[*failure].label : std::string{},
        .blame = failure ? blame(*failure) : std::string{}});
  }
}

bool Plan::Machine::start_next() {
  const auto next = ready_->best();
  if (!next)
    return false;
  const auto called = called_.find(*next);
  if (called == called_.end())
    run(*next, now_);
  else
    note(*next, called->second.machine->start_one(now_));
  return true;
}

Actions Plan::Machine::start_one(TimePoint now) {
  now_ = now;
  start_next();
  settle();
  return take_actions();
}

bool Plan::Machine::awaits_group(std::size_t job_index) const {
  const auto group = workflow_->jobs[job_index].group;
  return group && groups_[*group].stopping > 0;
}

void Plan::Machine::update_place(std::size_t job_index) {
  ready_->set_open(
      own_line(job_index),
      jobs_[job_index].running < workflow_->jobs[job_index].max_parallel &&
          !awaits_group(job_index) && jobs_[job_index].services_missing == 0);
}

void Plan::Machine::judge_job(std::size_t job_index) {
  const JobProgress& job = jobs_[job_index];
  if (job.needs_left != 0 || awaits_group(job_index))
    return;
  if (workflow_->jobs[job_index].computed_matrix && !expand(job_index))
    return;
  for (const std::size_t i : job.instances) {
    if (instances_[i].state == JobState::pending &&
        !progress_[i].waits_to_retry)
      judge(i);
  }
  forget_needs(job_index);
}

void Plan::Machine::learn_needs(std::size_t job_index) {
  JobProgress& job = jobs_[job_index];
  if (!std::exchange(job.knows_needs, true))
    job.needs = needs_value(workflow_->jobs[job_index]);
}

void Plan::Machine::forget_needs(std::size_t job_index) {
  JobProgress& job = jobs_[job_index];
  if (job.running > 0)
    return;
  job.knows_needs = false;
  job.needs = {};
}

void Plan::Machine::judge(std::size_t i) {
  const auto wanted = wants_to_run(i);
  if (!wanted)
    end_instance(i, JobState::failed, wanted.error().what);
  else if (*wanted)
    admit(i);
  else if (is_ending())
    end_instance(i, JobState::cancelled, reason_to_cancel());
  else
    end_instance(i, JobState::skipped, reason_to_skip(i));
}

bool Plan::Machine::holds(const Need& need) const {
  return need.when == When::started
             ? jobs_[need.job].has_started
             : holds_at_end(need.when, jobs_[need.job].verdict);
}

std::string Plan::Machine::reason_to_skip(std::size_t i) const {
  for (const Need& need : job_of(i).needs) {
    if (!holds(need) && need.when == When::started)
      return fmt::format("job \"{}\" has not started",
                         workflow_->jobs[need.job].id);
    if (!holds(need))
      return fmt::format("job \"{}\" ended with {}",
                         workflow_->jobs[need.job].id,
                         to_string(jobs_[need.job].verdict));
  }
  return "its condition is false";
}

bool Plan::Machine::is_ending() const { return cancelled_ || stopping_; }

std::string Plan::Machine::reason_to_cancel() const {
  if (!cancelled_)
    return "no further jobs are started";
  return given_ ? "the job that has called it was cancelled"
                : "the run was cancelled";
}

Result<bool> Plan::Machine::wants_to_run(std::size_t i) {
  const Job& job = job_of(i);
  if (is_end_hook(progress_[i].job))
    return !cancelled_twice_;
  bool good = !is_ending();
  bool failed = false;
  for (const Need& need : job.needs) {
    good = good && holds(need);
    failed =
        failed || (need.when != When::started && jobs_[need.job].failed_before);
  }
  if (!job.condition)
    return good;
  Environment environment = environment_before(i);
  environment.success = good;
  environment.failure = failed && !is_ending();
  environment.cancelled = is_ending();
  return is_true(*job.condition, environment);
}

Result<bool> Plan::Machine::is_true(const Condition& condition,
                                    const Environment& environment) {
  if (!condition.expression.asks_for_status() && !environment.success)
    return false;
  auto value = evaluate(condition.expression, environment);
  if (!value)
    return tl::unexpected{std::move(value.error()).within("if")};
  return value->is_true();
}

Value Plan::Machine::needs_value(const Job& job) const {
  Value::Object needs;
  const auto add = [&](std::size_t other) {
    const JobProgress& end = jobs_[other];
    Value::Object known{
        {"result", Value{end.has_ended ? to_string(end.verdict) : "running"}},
        {"outputs", end.outputs}};
    if (workflow_->jobs[other].approval != nullptr)
      known.emplace_back("approval", end.approval);
    needs.emplace_back(workflow_->jobs[other].id, Value{std::move(known)});
  };
  for (const Need& need : job.needs)
    add(need.job);
  for (std::size_t i = 0; outcome_ && i < jobs_.size(); ++i) {
    if (!workflow_->jobs[i].hook)
      add(i);
  }
  return Value{std::move(needs)};
}

void Plan::Machine::change(std::size_t i, JobState state, std::string reason) {
  const JobState old = std::exchange(instances_[i].state, state);
  const std::size_t job = progress_[i].job;
  if (old == JobState::ready) {
    ready_->remove(own_line(job), i);
    deadlines_.clear({i, Deadlines::Kind::queue});
  }
  if (old == JobState::awaiting)
    deadlines_.clear({i, Deadlines::Kind::approval});
  if (state == JobState::ready) {
    if (!progress_[i].waits_for_group)
      ready_->add(own_line(job), i);
    if (const Duration limit = job_of(i).queue_limit; limit > Duration{0})
      deadlines_.set({i, Deadlines::Kind::queue}, now_ + limit);
  }
  if (state == JobState::pending)
    due_.insert(job);
  if (has_ended(old) && !has_ended(state))
    ++unfinished_;
  if (!has_ended(old) && has_ended(state))
    --unfinished_;
  actions_.push_back(
      JobStateChanged{instances_[i].id, state, std::move(reason)});
}

void Plan::Machine::end_instance(std::size_t i, JobState state,
                                 std::string reason) {
  Progress& progress = progress_[i];
  JobProgress& end = jobs_[progress.job];
  free_place(i);
  leave_concurrency(i);
  --end.left;
  if (progress.restarts_at_end) {
    stopped_for_group(*job_of(i).group);
    if (!is_ending()) {
      open_again(i);
      return;
    }
  }
  clear_deadlines(i);
  progress.waits_to_retry = false;
  progress.reason = reason;
  progress.ended_as = ++ends_;
  change(i, state, std::move(reason));
  progress.env = {};
  progress.steps_so_far = {};
  const bool failed = state == JobState::failed || state == JobState::timed_out;
  progress.forgiven =
      failed && job_of(i).continue_on_error.covers(progress.causes);
  if (end.left == 0)
    end_job(progress.job);
  else if (failed && job_of(i).fail_fast && !progress.forgiven)
    fail_fast(i);
}

void Plan::Machine::free_place(std::size_t i) {
  if (instances_[i].state != JobState::running)
    return;
  const std::size_t job = progress_[i].job;
  if (!job_of(i).call)
    --totals_->running;
  --jobs_[job].running;
  if (jobs_[job].kind != 0) {
    free_.give_back(kinds_[jobs_[job].kind]);
    update_kinds();
  }
  update_place(job);
  forget_needs(job);
}

void Plan::Machine::fail_fast(std::size_t failed) {
  const JobProgress& end = jobs_[progress_[failed].job];
  const std::uint32_t restarts = progress_[failed].restarts;
  for (const std::size_t i : end.instances) {
    // The last one to end may make the group start all of them again.
    if (progress_[failed].restarts != restarts)
      return;
    if (has_ended(instances_[i].state) || progress_[i].cancelled)
      continue;
    progress_[i].cancelled = true;
    if (instances_[i].state != JobState::running)
      end_instance(i, JobState::cancelled,
                   fmt::format("{} failed", instances_[failed].label));
    else
      stop_running(i, /*hard=*/false);
  }
}

void Plan::Machine::end_job(std::size_t job_index) {
  const Job& job = workflow_->jobs[job_index];
  JobProgress& end = jobs_[job_index];
  bool all_skipped = true;
  bool failed = false;
  bool forgiven = false;
  bool stopped = false;
  for (const std::size_t i : end.instances) {
    const JobState state = instances_[i].state;
    all_skipped = all_skipped && state == JobState::skipped;
    if (state == JobState::failed || state == JobState::timed_out)
      (progress_[i].forgiven ? forgiven : failed) = true;
    stopped = stopped || state == JobState::cancelled;
  }
  if (failed && restart_group(job_index))
    return;
  Value::Object outputs;
  for (const std::size_t i : end.instances)
    collect_outputs(progress_[i], outputs);
  end.has_ended = true;
  if (failed)
    end.verdict = Verdict::failure;
  else if (forgiven)
    end.verdict = Verdict::success;
  else if (stopped)
    end.verdict = Verdict::cancelled;
  else
    end.verdict = all_skipped ? Verdict::skipped : Verdict::success;
  end.outputs = Value{std::move(outputs)};
  end.failed_before = end.verdict == Verdict::failure;
  for (const Need& need : job.needs)
    end.failed_before = end.failed_before || (need.when != When::started &&
                                              jobs_[need.job].failed_before);
  const auto count_down = [this](const std::vector<std::size_t>& jobs) {
    for (const std::size_t next : jobs) {
      if (--jobs_[next].needs_left == 0)
        due_.insert(next);
    }
  };
  count_down(end.needed_by);
  if (!end.has_started)
    count_down(end.awaited_by);
  if (job.hook == Hook::on_start)
    end_on_start();
}

void Plan::Machine::collect_outputs(Progress& progress, Value::Object& all) {
  auto* const own = std::get_if<Value::Object>(&progress.outputs.data);
  if (own == nullptr)
    return;
  for (auto& [name, value] : *own) {
    if (value.is_true())
      put(all, name, std::move(value));
  }
  progress.outputs = {};
}

}  // namespace troupe::workflow
