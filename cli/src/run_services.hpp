#pragma once

/// The services that the jobs of a run need: started by it when the first of
/// these jobs could run, and ended with it.
#include "stack_host.hpp"
#include "stack_plan.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/base/time.hpp>
#include <troupe/node/engine.hpp>
#include <troupe/service/availability.hpp>
#include <troupe/workflow/plan.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::cli {

/// To the actor of a run: something has happened in its services.
struct ServicesNews {
  StackNews what;
};
/// To the actor of a run: nothing of its services runs any more.
struct ServicesOver {
  StackEnd end;
};

/// The folder of their logs in that of a run.
inline constexpr const char* service_log_folder = "services";

/// Outlives the engine. What it does, it does on the I/O thread.
class RunServices {
 public:
  /// Plans those of `workflow` that are in `only`. Adds the ports to `options`
  /// that are not there, and takes inputs and the like from it. Null if `only`
  /// is empty; ports are there for all jobs. `notes` gets what the user should
  /// know. Blocks: for main().
  ///
  /// Errors: as plan_stack() and check_limits().
  [[nodiscard]] static Result<std::shared_ptr<RunServices>> make(
      const workflow::Workflow& workflow, const std::vector<std::string>& only,
      workflow::PlanOptions& options, std::vector<std::string>& notes);

  explicit RunServices(service::GroupNode root, service::FreePorts ports);

  [[nodiscard]] const service::GroupNode& root() const { return *root_; }

  /// Makes the folder of their logs in that of the run. What they print is also
  /// printed, if `shows_output`. Blocks.
  ///
  /// Errors: those of the system, naming what is missing.
  [[nodiscard]] Result<void> prepare(const std::string& run_folder,
                                     bool shows_output = false);

  // For the actor of the run, from its thread.

  /// Starts them; `listener` gets the messages above, the last one included.
  void start(node::Engine& engine, const actors::ActorRef& printer,
             const actors::ActorRef& listener);
  /// Passes a message of a batch, or one to a stack, on to them.
  template <class M>
  void pass_on(M message) {
    post([this, message = std::move(message)] {
      if (host_.stack())
        actors::send(host_.stack(), message);
    });
  }
  /// The file of a service's log.
  [[nodiscard]] std::string log_of(const std::string& service) const;

 private:
  void post(std::function<void()> what);

  std::shared_ptr<const service::GroupNode> root_;
  service::FreePorts ports_;
  StackHost::Options places_;
  node::Engine* engine_ = nullptr;
  StackHost host_;
};

/// What has changed by the news for those who need a service.
[[nodiscard]] service::AvailabilityCore::Changes note_news(
    service::AvailabilityCore& core, const StackNews& news);

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::ServicesNews)
TROUPE_LOCAL_MESSAGE(troupe::cli::ServicesOver)
