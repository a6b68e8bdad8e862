#include "plan_machine.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/config/diagnostics.hpp>

#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

constexpr std::size_t longest_reason = 500;  ///< Of what somebody types.

std::string by_whom(const Approval& approval) {
  return approval.approvers.empty()
             ? std::string{}
             : fmt::format(" by {}", fmt::join(approval.approvers, ", "));
}

/// Nobody but the circumstances may have said no.
std::string reason_of(const ApprovalAnswer& rejection) {
  const std::string why =
      ellipsize(printable(rejection.reason), longest_reason);
  if (rejection.who.empty())
    return why;
  return fmt::format("rejected by {}{}{}", printable(rejection.who),
                     why.empty() ? "" : ": ", why);
}

}  // namespace

void Plan::Machine::await_approval(std::size_t i) {
  const Approval& approval = *job_of(i).approval;
  auto prompt = resolve(approval.prompt, environment_before(i));
  if (!prompt) {
    end_instance(i, JobState::failed,
                 std::move(prompt.error()).within("approval").what);
    return;
  }
  if (approval.timeout > Duration{0})
    deadlines_.set({i, Deadlines::Kind::approval}, now_ + approval.timeout);
  jobs_[progress_[i].job].is_refused = false;
  change(i, JobState::awaiting,
         fmt::format("waits for approval{}{}{}", by_whom(approval),
                     prompt->empty() ? "" : ": ", *prompt));
  actions_.push_back(ApprovalWanted{instances_[i].id, std::move(*prompt)});
}

Result<std::size_t> Plan::Machine::job_to_answer(const std::string& job) const {
  std::vector<std::string_view> names;
  for (std::size_t j = 0; j < jobs_.size(); ++j) {
    const Job& candidate = workflow_->jobs[j];
    if (candidate.hook || jobs_[j].instances.empty())
      continue;
    names.push_back(candidate.id);
    if (candidate.id != job)
      continue;
    if (candidate.approval == nullptr)
      return failure(Errc::invalid_argument,
                     fmt::format("job \"{}\" needs no approval", job));
    std::string_view state;
    for (const std::size_t i : jobs_[j].instances) {
      if (instances_[i].state == JobState::awaiting)
        return j;
      state = to_string(instances_[i].state);
    }
    return failure(
        Errc::invalid_argument,
        fmt::format("job \"{}\" does not wait for approval: it is {}", job,
                    state));
  }
  const std::string meant = config::did_you_mean(job, names);
  return failure(Errc::invalid_argument,
                 fmt::format("no job \"{}\"{}{}", ellipsize(printable(job), 60),
                             meant.empty() ? "" : "; ", meant));
}

Result<Actions> Plan::Machine::answer(const std::string& job,
                                      const ApprovalAnswer& answer,
                                      TimePoint now) {
  now_ = now;
  if (const std::size_t slash = job.find('/'); slash != std::string::npos) {
    const std::string_view path{job};
    if (auto answered = answer_in_call(path.substr(0, slash),
                                       path.substr(slash + 1), answer);
        !answered)
      return tl::unexpected{std::move(answered.error())};
    pump(now);
    return take_actions();
  }
  const auto found = job_to_answer(job);
  if (!found)
    return tl::unexpected{found.error()};
  JobProgress& progress = jobs_[*found];
  if (answer.approved) {
    auto value = resolve_approval(*workflow_->jobs[*found].approval, answer,
                                  options_.surroundings);
    if (!value)
      return tl::unexpected{std::move(value.error())};
    progress.approval = std::move(*value);
  } else {
    progress.is_refused = true;
  }
  const auto all = progress.instances;
  for (const std::size_t i : all) {
    if (instances_[i].state != JobState::awaiting)
      continue;
    if (answer.approved)
      admit(i);
    else
      end_instance(i, JobState::failed, reason_of(answer));
  }
  forget_needs(*found);
  pump(now);
  return take_actions();
}

void Plan::Machine::end_approval(std::size_t i) {
  jobs_[progress_[i].job].is_refused = true;
  end_instance(i, JobState::timed_out,
               fmt::format("nobody approved it within {}",
                           format_duration(job_of(i).approval->timeout)));
}

}  // namespace troupe::workflow
