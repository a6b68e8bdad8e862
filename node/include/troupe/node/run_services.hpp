#pragma once

/// The services of durable runs: a command of the queue runs them, so that they
/// go on while the node does not, and tells the node how they are
/// (docs/adr/0017-services-of-durable-runs.md).
#include <troupe/base/error.hpp>
#include <troupe/service/availability.hpp>
#include <troupe/store/job.hpp>
#include <troupe/workflow/model.hpp>
#include <troupe/workflow/plan.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::node {

/// The command: `troupe run-services RUN ROUND FOLDER`.
inline constexpr std::string_view run_services_command = "run-services";

/// What runs the services of a run says how they are. It may say the same
/// twice; each attempt of it begins with all of them down.
struct RunServicesTold {
  std::uint32_t round = 0;
  store::JobId job;           ///< Of the queue: what runs them.
  std::uint32_t attempt = 0;  ///< Of that; from 1.
  std::uint64_t from = 0;     ///< Changes that this attempt has told before.
  std::vector<service::AvailabilityChange> changes;

  friend bool operator==(const RunServicesTold&,
                         const RunServicesTold&) = default;
};

/// The body of the request that tells of services (docs/openapi.yaml).
///
/// Errors of reading: invalid_argument, naming the key that is unknown or
/// wrong.
[[nodiscard]] nlohmann::ordered_json to_json(const RunServicesTold& told);
[[nodiscard]] Result<RunServicesTold> services_from_json(
    const nlohmann::ordered_json& json);

/// What a run is, for whoever runs its services.
struct ServicesOfRun {
  std::shared_ptr<const workflow::Workflow> workflow;
  workflow::PlanOptions options;
  std::vector<std::string> needed;  ///< Paths of the services.
};

/// Reads the answer of the node. `run` is "r7".
///
/// Errors: corrupt (another version has written it); those of reading the
/// workflow.
[[nodiscard]] Result<ServicesOfRun> services_of_run(
    const std::string& run, const nlohmann::ordered_json& answer);

}  // namespace troupe::node
