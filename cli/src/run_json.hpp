#pragma once

/// A run as JSON: docs/guide/json.md has the shapes.
#include "run_event.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace troupe::cli {

/// The event as one object, or nothing if it is not told as JSON.
[[nodiscard]] std::optional<nlohmann::ordered_json> to_json(
    const RunEvent& event);

/// What is kept of a run once it has ended, in run.json of its folder. Fed with
/// the events; pure.
class RunRecord {
 public:
  void apply(const RunEvent& event);
  [[nodiscard]] std::string text() const;

 private:
  nlohmann::ordered_json& job(const JobRef& job);
  void add_job(const JobRef& ref);

  nlohmann::ordered_json run_;
  nlohmann::ordered_json jobs_ = nlohmann::ordered_json::array();
  /// Attempts of the steps that run, by instance: a job runs one at a time.
  std::map<workflow::InstanceId, nlohmann::ordered_json> attempts_;
  std::map<workflow::InstanceId, std::string> commands_;    ///< Likewise.
  std::map<std::string, nlohmann::ordered_json> services_;  ///< By path.
};

}  // namespace troupe::cli
