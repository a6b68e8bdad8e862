#pragma once

/// How a node hears of the services of a run: from the process that runs them,
/// which outlives the node (docs/adr/0017-services-of-durable-runs.md).
#include "node_client.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/base/time.hpp>
#include <troupe/node/run_services.hpp>
#include <troupe/service/availability.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::cli {

/// What has changed and is not known to the node. Pure.
class ServiceReports {
 public:
  using Changes = service::AvailabilityCore::Changes;

  /// What is told at once, and what is kept for a node that is away.
  static constexpr std::size_t most_told = 1000;
  static constexpr std::size_t most_kept = 10'000;

  /// `who` says whose services they are; nothing is told yet.
  explicit ServiceReports(node::RunServicesTold who) : told_{std::move(who)} {}

  /// When too much is kept, only how each service is now stays.
  void add(const Changes& changes);

  /// The body of the next request; none if the node knows all. The first one
  /// says who is there, and may have no changes. The same once more until it is
  /// acknowledged.
  [[nodiscard]] std::optional<api::Json> next();
  /// The node has what next() gave last.
  void acknowledge();

 private:
  node::RunServicesTold told_;  ///< Without changes.
  Changes pending_;
  std::size_t asked_ = 0;  ///< Of pending_, by the last next().
  bool is_known_ = false;
};

/// To the reporter: this has changed.
struct ReportChanges {
  ServiceReports::Changes changes;
};

/// To the reporter: tell what there is still to tell, for about `patience` at
/// most, and end. `done` is called then, once, on its thread.
struct EndReports {
  Duration patience{0};
  std::function<void()> done;
};

/// To whoever has started it, once: the node does not want to know of these
/// services, and is told nothing more.
struct ReportsRefused {
  Error error;
};

/// Starts an actor with a thread of its own that tells a node at `target`,
/// again and again while the node is away.
[[nodiscard]] actors::ActorRef spawn_services_reporter(
    actors::ActorSystem& system, std::unique_ptr<NodeClient> client,
    std::string target, ServiceReports reports, actors::ActorRef owner);

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::ReportChanges)
TROUPE_LOCAL_MESSAGE(troupe::cli::EndReports)
TROUPE_LOCAL_MESSAGE(troupe::cli::ReportsRefused)
