#include "plan_machine.hpp"

#include <troupe/base/assert.hpp>

#include <fmt/format.h>

namespace troupe::workflow {
namespace {

Hook hook_for(RunResult result) {
  switch (result) {
    case RunResult::success:
      return Hook::on_success;
    case RunResult::failure:
      return Hook::on_failure;
    case RunResult::cancelled:
      return Hook::on_cancel;
  }
  return Hook::on_exit;
}

/// `run.result`, in the words of the states of a run.
std::string_view word_of(RunResult result) {
  switch (result) {
    case RunResult::success:
      return "succeeded";
    case RunResult::failure:
      return "failed";
    case RunResult::cancelled:
      return "cancelled";
  }
  return "failed";
}

}  // namespace

bool Plan::Machine::is_end_hook(std::size_t job_index) const {
  const auto& hook = workflow_->jobs[job_index].hook;
  return hook && *hook != Hook::on_start;
}

void Plan::Machine::open_jobs() {
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    if (!workflow_->jobs[i].hook && !jobs_[i].instances.empty())
      due_.insert(i);
  }
}

void Plan::Machine::end_on_start() {
  const std::size_t hook = *workflow_->find(Hook::on_start);
  if (jobs_[hook].verdict == Verdict::success) {
    open_jobs();
    return;
  }
  const bool failed = jobs_[hook].verdict == Verdict::failure;
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    if (has_ended(instances_[i].state))
      continue;
    if (failed)
      end_instance(i, JobState::skipped, "hook on-start failed");
    else
      end_instance(i, JobState::cancelled, reason_to_cancel());
  }
}

bool Plan::Machine::open_next_hook() {
  if (!outcome_) {
    outcome_ = verdict();
    auto& run = std::get<Value::Object>(run_.data);
    const auto failure = first_failure();
    put(run, "result", Value{word_of(*outcome_)});
    put(run, "failed-job",
        Value{failure ? instances_[*failure].label : std::string{}});
    put(run, "blame", Value{failure ? blame(*failure) : std::string{}});
    for (const Hook hook : {hook_for(*outcome_), Hook::on_exit}) {
      if (const auto job = workflow_->find(hook); job && !given_)
        hooks_left_.push_back(*job);
    }
  }
  if (hooks_left_.empty())
    return false;
  const std::size_t job = hooks_left_.front();
  hooks_left_.pop_front();
  const auto added = add_instance(job, {});
  TROUPE_ASSERT(added);
  actions_.push_back(JobExpanded{.job = workflow_->jobs[job].id,
                                 .instances = {instances_[*added].id}});
  due_.insert(job);
  return true;
}

std::optional<std::size_t> Plan::Machine::first_failure() const {
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < instances_.size(); ++i) {
    const JobState state = instances_[i].state;
    const bool failed =
        (state == JobState::failed || state == JobState::timed_out) &&
        !progress_[i].caller && !progress_[i].forgiven &&
        !is_end_hook(progress_[i].job);
    if (failed &&
        (!first || progress_[i].ended_as < progress_[*first].ended_as))
      first = i;
  }
  return first;
}

std::string Plan::Machine::blame(std::size_t i) const {
  const std::string& label = instances_[i].label;
  const auto& steps = progress_[i].steps;
  if (job_of(i).steps.size() < 2)
    return label;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    if (steps[s].conclusion == StepOutcome::failure)
      return fmt::format("{} > {}", label, step_key(job_of(i), s));
  }
  return label;
}

}  // namespace troupe::workflow
