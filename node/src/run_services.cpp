#include "run_core.hpp"

#include <troupe/node/run_services.hpp>
#include <troupe/queue/json_fields.hpp>

#include <optional>
#include <utility>

namespace troupe::node {
namespace {

std::optional<service::Availability> availability(std::string_view name) {
  using service::Availability;
  for (const auto state :
       {Availability::down, Availability::up, Availability::lost}) {
    if (to_string(state) == name)
      return state;
  }
  return std::nullopt;
}

}  // namespace

Result<RunServicesTold> services_from_json(const Json& json) {
  RunServicesTold told;
  std::int64_t round = 0;
  std::int64_t attempt = 0;
  queue::JsonFields fields{json, ""};
  fields.read("round", round, 0, UINT32_MAX);
  fields.read("job", told.job.value);
  fields.read("attempt", attempt, 1, UINT32_MAX);
  fields.read("from", told.from);
  told.round = static_cast<std::uint32_t>(round);
  told.attempt = static_cast<std::uint32_t>(attempt);
  if (attempt == 0)
    fields.refuse("attempt", "is missing");
  const Json* const changes = fields.take("changes");
  if (changes == nullptr || !changes->is_array()) {
    fields.refuse("changes", "expected a list");
    return tl::unexpected(std::move(fields.finish().error()));
  }
  for (const Json& one : *changes) {
    service::AvailabilityChange change;
    std::string state;
    queue::JsonFields inner{one, "changes"};
    inner.read("service", change.service);
    inner.read("state", state);
    inner.read("why", change.why);
    if (const auto known = availability(state))
      change.state = *known;
    else
      inner.refuse("state", "expected down, up or lost");
    fields.add(inner.finish());
    told.changes.push_back(std::move(change));
  }
  if (auto finished = fields.finish(); !finished)
    return tl::unexpected(std::move(finished.error()));
  return told;
}

Json to_json(const RunServicesTold& told) {
  Json changes = Json::array();
  for (const service::AvailabilityChange& change : told.changes) {
    Json one{{"service", change.service}, {"state", to_string(change.state)}};
    if (!change.why.empty())
      one["why"] = change.why;
    changes.push_back(std::move(one));
  }
  return {{"round", told.round},
          {"job", told.job.value},
          {"attempt", told.attempt},
          {"from", told.from},
          {"changes", std::move(changes)}};
}

Result<ServicesOfRun> services_of_run(const std::string& run,
                                      const Json& answer) {
  const auto spec = decode_run_spec(answer.value("spec", ""));
  if (!spec)
    return tl::unexpected(spec.error());
  const store::RunId id{std::strtoull(run.c_str() + 1, nullptr, 10)};
  const auto core = RunCore::make(id, *spec);
  if (!core)
    return tl::unexpected(core.error());
  return ServicesOfRun{core->shared_workflow(), plan_options(id, *spec),
                       core->needed_services()};
}

}  // namespace troupe::node
