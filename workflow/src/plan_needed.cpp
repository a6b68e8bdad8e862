#include "plan_machine.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace troupe::workflow {
namespace {

using service::Availability;

constexpr std::size_t most_named_services = 3;

}  // namespace

void Plan::Machine::add_services(std::size_t job_index) {
  const auto& needed = workflow_->jobs[job_index].services;
  for (const std::string& service : needed)
    services_[service].jobs.push_back(job_index);
  jobs_[job_index].services_missing = needed.size();
}

std::vector<std::string> Plan::Machine::services() const {
  std::vector<std::string> out;
  for (const auto& [service, progress] : services_)
    out.push_back(service);
  return out;
}

void Plan::Machine::ask_for_services(const Job& job) {
  if (!job.services.empty() && !std::exchange(services_asked_, true))
    actions_.push_back(StartServices{});
}

std::string Plan::Machine::lost_service_of(const Job& job) const {
  for (const std::string& service : job.services) {
    const ServiceProgress& progress = services_.at(service);
    if (progress.state == Availability::lost)
      return fmt::format("it needs service {}: {}", service, progress.why);
  }
  return {};
}

std::string Plan::Machine::missing_services_of(const Job& job) const {
  std::string names;
  std::size_t count = 0;
  for (const std::string& service : job.services) {
    if (services_.at(service).state == Availability::up ||
        ++count > most_named_services)
      continue;
    names += (names.empty() ? "" : ", ") + service;
  }
  if (count == 0)
    return {};
  return fmt::format(
      "waits for service{} {}{}", count == 1 ? "" : "s", names,
      count > most_named_services
          ? fmt::format(" and {} more", count - most_named_services)
          : "");
}

Actions Plan::Machine::on_service(const service::AvailabilityChange& change,
                                  TimePoint now) {
  const auto found = services_.find(change.service);
  if (found == services_.end() || result_)
    return {};
  now_ = now;
  ServiceProgress& progress = found->second;
  const Availability before = std::exchange(progress.state, change.state);
  progress.why = change.why;
  for (const std::size_t job : progress.jobs) {
    if (before == Availability::up && change.state != Availability::up)
      ++jobs_[job].services_missing;
    if (before != Availability::up && change.state == Availability::up)
      --jobs_[job].services_missing;
    update_place(job);
    if (change.state == Availability::lost)
      lose_service(job);
    else if (before == Availability::up && change.state == Availability::down &&
             workflow_->jobs[job].group)
      stop_for_service(
          job, fmt::format("service {} had to start again", change.service));
  }
  pump(now);
  return take_actions();
}

void Plan::Machine::lose_service(std::size_t job_index) {
  const std::string why = lost_service_of(workflow_->jobs[job_index]);
  stop_for_service(job_index, why);
  const auto instances = jobs_[job_index].instances;
  for (const std::size_t i : instances) {
    if (instances_[i].state == JobState::ready)
      end_instance(i, JobState::failed, why);
    else if (progress_[i].waits_to_retry)
      give_up_retry(i);
  }
}

void Plan::Machine::stop_for_service(std::size_t job_index,
                                     const std::string& why) {
  const auto instances = jobs_[job_index].instances;
  for (const std::size_t i : instances) {
    if (instances_[i].state != JobState::running ||
        !progress_[i].lost_service.empty())
      continue;
    progress_[i].lost_service = why;
    progress_[i].stopped_for_service =
        progress_[i].step_runs && !progress_[i].stop_asked;
    if (called_.contains(i))
      stop_running(i, /*hard=*/false);
    else
      stop_step(i);
  }
}

}  // namespace troupe::workflow
