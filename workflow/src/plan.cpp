#include "plan_machine.hpp"

#include <algorithm>
#include <utility>

namespace troupe::workflow {

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::pending:
      return "pending";
    case JobState::ready:
      return "ready";
    case JobState::running:
      return "running";
    case JobState::succeeded:
      return "succeeded";
    case JobState::failed:
      return "failed";
    case JobState::timed_out:
      return "timed_out";
    case JobState::cancelled:
      return "cancelled";
    case JobState::skipped:
      return "skipped";
    case JobState::awaiting:
      return "awaiting";
  }
  return "unknown";
}

bool has_ended(JobState state) {
  switch (state) {
    case JobState::pending:
    case JobState::ready:
    case JobState::running:
    case JobState::awaiting:
      return false;
    case JobState::succeeded:
    case JobState::failed:
    case JobState::timed_out:
    case JobState::cancelled:
    case JobState::skipped:
      return true;
  }
  return true;
}

std::string_view to_string(StepOutcome outcome) {
  switch (outcome) {
    case StepOutcome::success:
      return "success";
    case StepOutcome::failure:
      return "failure";
    case StepOutcome::cancelled:
      return "cancelled";
    case StepOutcome::skipped:
      return "skipped";
  }
  return "unknown";
}

std::string_view to_string(RunResult result) {
  switch (result) {
    case RunResult::success:
      return "success";
    case RunResult::failure:
      return "failure";
    case RunResult::cancelled:
      return "cancelled";
  }
  return "unknown";
}

Duration variant_time(const Job& job, const EstimateFunction& estimate) {
  Duration sum{0};
  for (std::size_t s = 0; estimate && s < job.steps.size(); ++s)
    sum += estimate(job.id, step_key(job, s)).typical;
  return sum;
}

Duration job_time(const Job& job, const EstimateFunction& estimate,
                  std::size_t max_parallel) {
  Duration longest{0};
  for (std::size_t s = 0; estimate && s < job.steps.size(); ++s)
    longest += estimate(job.id, step_key(job, s)).longest;
  const std::size_t count = std::max<std::size_t>(1, job.matrix.size());
  const std::size_t at_a_time = std::max<std::size_t>(
      1, std::min({count, std::size_t{job.max_parallel}, max_parallel}));
  const std::size_t turns = (count + at_a_time - 1) / at_a_time;
  return std::max(
      longest, variant_time(job, estimate) * static_cast<Duration::rep>(turns));
}

Plan::Plan(std::unique_ptr<Machine> machine) : machine_{std::move(machine)} {}
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;
Plan::~Plan() = default;

Result<Plan> Plan::make(std::shared_ptr<const Workflow> workflow,
                        PlanOptions options) {
  auto machine =
      std::make_unique<Machine>(std::move(workflow), std::move(options));
  if (auto ready = machine->set_up(); !ready)
    return tl::unexpected{std::move(ready.error())};
  return Plan{std::move(machine)};
}

Actions Plan::start(TimePoint now) { return machine_->start(now); }

Actions Plan::on_step_finished(InstanceId instance, std::size_t step,
                               StepResult result, TimePoint now) {
  return machine_->on_step_finished(instance, step, std::move(result), now);
}

Actions Plan::on_service(const service::AvailabilityChange& change,
                         TimePoint now) {
  return machine_->on_service(change, now);
}

std::vector<std::string> Plan::services() const { return machine_->services(); }

Actions Plan::on_time(TimePoint now) { return machine_->on_time(now); }

std::optional<TimePoint> Plan::next_deadline() const {
  return machine_->next_deadline();
}

Actions Plan::cancel(TimePoint now) { return machine_->cancel(now); }

Actions Plan::refuse(TimePoint now) { return machine_->refuse(now); }

Result<Actions> Plan::answer(const std::string& job,
                             const ApprovalAnswer& answer, TimePoint now) {
  return machine_->answer(job, answer, now);
}

Actions Plan::stop_starting(TimePoint now) {
  return machine_->stop_starting(now);
}

const std::string& Plan::title() const { return machine_->title(); }

const Workflow& Plan::workflow() const { return machine_->workflow(); }

std::span<const Plan::Instance> Plan::instances() const {
  return machine_->instances();
}

std::optional<RunResult> Plan::result() const { return machine_->result(); }

}  // namespace troupe::workflow
