#include "run_json.hpp"

#include <troupe/base/wall_time.hpp>

#include <utility>

namespace troupe::node {
namespace {

double ms(Duration value) {
  return std::chrono::duration<double, std::milli>(value).count();
}

Json step_json(const StepView& step) {
  Json json{{"step", step.key.step},
            {"id", step.id},
            {"name", step.name},
            {"command", step.command},
            {"round", step.key.round},
            {"restarts", step.key.restarts},
            {"state", step.outcome ? to_string(*step.outcome) : "running"},
            {"reason", step.reason},
            {"job", step.job ? Json(step.job.value) : Json()},
            {"attempts", step.attempts},
            {"exit_status", step.exit_status},
            {"wall_ms", ms(step.took)},
            {"started", format_wall_time(step.started)},
            {"ended", time_or_null(step.ended)}};
  return json;
}

Json input_json(const workflow::Input& input) {
  return {{"name", input.name},
          {"type", workflow::to_string(input.type)},
          {"required", input.required},
          {"default", input.fallback ? Json(*input.fallback) : Json()},
          {"options", input.options},
          {"description", input.description}};
}

Json approval_json(const std::optional<ApprovalView>& seen,
                   const workflow::Approval& approval) {
  Json inputs = Json::array();
  for (const workflow::Input& input : approval.inputs)
    inputs.push_back(input_json(input));
  Json json{{"prompt", seen ? seen->prompt : ""},
            {"approvers", approval.approvers},
            {"inputs", std::move(inputs)},
            {"answer", nullptr}};
  if (!seen || !seen->answer)
    return json;
  Json given = Json::object();
  for (const auto& [name, value] : seen->answer->inputs)
    given[name] = value;
  json["answer"] = {{"approved", seen->answer->approved},
                    {"who", seen->answer->who},
                    {"at", format_wall_time(seen->answered)},
                    {"reason", seen->answer->reason},
                    {"inputs", std::move(given)}};
  return json;
}

Json services_json(const std::optional<ServicesView>& services) {
  if (!services)
    return nullptr;
  Json states = Json::array();
  for (const auto& [path, change] : services->states)
    states.push_back({{"service", path},
                      {"state", to_string(change.state)},
                      {"reason", change.why}});
  return {{"job", services->job ? Json(services->job.value) : Json()},
          {"has_ended", services->is_over},
          {"states", std::move(states)}};
}

Json instance_json(const InstanceView& instance,
                   const workflow::Workflow& workflow) {
  Json approval;
  for (const workflow::Job& job : workflow.jobs) {
    if (job.id == instance.job && job.approval != nullptr)
      approval = approval_json(instance.approval, *job.approval);
  }
  Json steps = Json::array();
  for (const StepView& step : instance.steps)
    steps.push_back(step_json(step));
  return {{"job", instance.job},
          {"label", instance.label},
          {"needs", instance.needs},
          {"state", workflow::to_string(instance.state)},
          {"reason", instance.reason},
          {"ready", time_or_null(instance.ready)},
          {"started", time_or_null(instance.started)},
          {"ended", time_or_null(instance.ended)},
          {"approval", std::move(approval)},
          {"steps", std::move(steps)}};
}

}  // namespace

Json to_json(const store::RunInfo& run) {
  return {{"run", run.id.value},
          {"name", run.run.name},
          {"state", store::to_string(run.state)},
          {"jobs", run.counts.jobs},
          {"ended_jobs", run.counts.ended},
          {"failed_jobs", run.counts.failed},
          {"events", run.events},
          {"submitted", format_wall_time(run.submitted)},
          {"ended", time_or_null(run.ended)}};
}

Json to_json(const store::RunInfo& run, const RunCore& core,
             const InstancePage& page) {
  store::RunInfo now = run;
  now.state = core.state();
  now.counts = core.counts();
  now.events = core.events();
  now.ended =
      has_ended(now.state) ? std::optional{core.last_event()} : std::nullopt;
  Json json = to_json(now);
  json["awaiting_jobs"] = core.awaiting();
  json["file"] = core.spec().file;
  json["group"] = core.spec().group;
  json["max_parallel"] = core.spec().max_parallel;
  json["inputs"] = Json::object();
  for (const auto& [name, value] : core.spec().inputs)
    json["inputs"][name] = value;
  Json instances = Json::array();
  const auto all = core.instances();
  for (std::uint64_t i = page.from;
       i < all.size() && instances.size() < page.limit; ++i)
    instances.push_back(
        instance_json(all[static_cast<std::size_t>(i)], core.workflow()));
  json["instances"] = std::move(instances);
  json["services"] = services_json(core.services());
  Json notes = Json::array();
  for (const auto& [at, what] : core.notes())
    notes.push_back({{"at", format_wall_time(at)}, {"what", what}});
  json["notes"] = std::move(notes);
  return json;
}

std::optional<store::RunSet> run_set(std::string_view name) {
  for (const auto& [known, set] :
       {std::pair{"all", store::RunSet::all},
        std::pair{"unended", store::RunSet::unended},
        std::pair{"ended", store::RunSet::ended},
        std::pair{"failed", store::RunSet::failed}}) {
    if (name == known)
      return set;
  }
  return std::nullopt;
}

}  // namespace troupe::node
