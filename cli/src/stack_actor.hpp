#pragma once

/// The dispatcher of `troupe up`: owns the root of the services' tree, does
/// what people ask of it, and says what happens.
#include "stack_view.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/base/error.hpp>
#include <troupe/service/service_actor.hpp>
#include <troupe/service/service_tree.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::cli {

/// To the stack: calls `done` with how all services are, on any thread, within
/// about a second. `pid`, `file`, `log` and what /proc knows are left out.
struct TakeSnapshot {
  std::function<void(StackSnapshot)> done;
};

/// To the stack: what somebody wants of a service or group. `done` is called
/// once, on any thread.
struct StackRequest {
  enum class Kind : std::uint8_t { restart, stop, start, scale };
  Kind kind = Kind::restart;
  std::string name;
  std::uint32_t replicas = 0;  ///< For scale.
  std::function<void(Result<void>)> done;
};

/// To the stack: files have changed that these services are restarted for. It
/// restarts those that run or wait for a restart, once more if they are being
/// restarted for this reason, and tries those again that this has failed for.
struct FilesChanged {
  std::vector<std::string> services;
  std::string path;  ///< What has changed, for people; may be empty.
};

/// To the stack: end all services, in reverse order.
struct TakeDown {};

/// How a stack ended.
struct StackEnd {
  bool failed = false;  ///< Nobody asked for it.
  std::string why;      ///< The blame path; empty if somebody asked.
};

struct StackOrder {
  std::shared_ptr<const service::GroupNode> root;
  /// `listener` is set by the stack; all of it outlives the stack.
  service::ServiceDeps& deps;
  service::Scales& scales;
  service::SuspendedTime& suspended;
  std::function<void()> on_up;  ///< All services are ready; any thread.
  std::function<void(StackEnd)> on_end;  ///< Once; any thread.
};

/// Starts the services, and the actor that takes the messages above and those
/// of a batch (batch.hpp). What happens is said on standard error.
[[nodiscard]] actors::ActorRef spawn_stack(actors::ActorSystem& system,
                                           StackOrder order,
                                           actors::ActorRef printer);

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::TakeSnapshot)
TROUPE_LOCAL_MESSAGE(troupe::cli::StackRequest)
TROUPE_LOCAL_MESSAGE(troupe::cli::FilesChanged)
TROUPE_LOCAL_MESSAGE(troupe::cli::TakeDown)
