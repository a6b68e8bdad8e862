#pragma once

/// The actor that starts runs by itself: those of the workflows in a folder
/// that have triggers.
#include "job_json.hpp"
#include "webhook_server.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/base/time.hpp>
#include <troupe/queue/store_access.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace troupe::node {

/// What the actor is given. Outlives it and those that replace it.
struct TriggerDeps {
  boost::asio::io_context& io;  ///< Where files are watched.
  queue::StoreAccess& store;
  actors::ActorRef run_driver;  ///< A handle.
  std::string workflow_folder;
  std::string state_file;
  std::string webhook_address;  ///< Empty if nobody listens for them.
  /// What commands of its runs start with.
  std::map<std::string, std::string> environment;
  std::function<WallTime()> wall_now;
  /// Whether there is room for another run.
  std::function<Result<void>()> check_space;
  /// For the record of who has changed what: "trigger" or "webhook", what was
  /// done, and to which run.
  std::function<void(const char* by, std::string what, store::RunId run)>
      on_change;
  /// Whether it wants to hear of RunsMoved.
  std::shared_ptr<std::atomic<bool>> waits_for_runs =
      std::make_shared<std::atomic<bool>>(false);
};

// To the actor.

/// Looks at the folder again.
struct ReloadTriggers {};

/// Something has happened to some run.
struct RunsMoved {};

/// Somebody asks for a run. `done` is called once, on any thread.
struct TakeWebhook {
  std::shared_ptr<const WebhookRequest> request;
  WebhookServer::Done done;
};

/// All that there is to show, as docs/openapi.yaml describes it, with so many
/// times of each. `done` is called once, on any thread.
struct AskTriggers {
  std::size_t times = 1;
  std::function<void(Json)> done;
};

/// Starts it, with a thread of its own: it reads and writes files. What was
/// under way goes on where the one before has left it.
[[nodiscard]] actors::ActorRef spawn_triggers(
    actors::Actor* parent, std::shared_ptr<const TriggerDeps> deps);

}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::ReloadTriggers)
TROUPE_LOCAL_MESSAGE(troupe::node::RunsMoved)
TROUPE_LOCAL_MESSAGE(troupe::node::TakeWebhook)
TROUPE_LOCAL_MESSAGE(troupe::node::AskTriggers)
