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
#include <variant>
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

/// To the stack: kill the processes of a service, as if it had crashed. `done`
/// is called once, on any thread: unavailable, if it does not run.
struct CrashChild {
  std::string service;
  std::function<void(Result<void>)> done;
};

/// Why a group gave up or is held: the chain of causes up to it.
struct StackBlame {
  std::string group;  ///< Empty for the root.
  std::string chain;
};
/// What is said to people.
struct StackSaid {
  std::string text;
};
/// What happens in a stack. Of one event, what the services and supervisors
/// tell comes before what is said about it.
using StackNews = std::variant<supervisor::Report, service::ServiceNews,
                               service::PresenceNews, StackBlame, StackSaid>;

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
  /// Gets all that happens, on any thread. If set, nothing is printed.
  std::function<void(const StackNews&)> on_news{};
};

/// Starts the services, and the actor that takes the messages above and those
/// of a batch (batch.hpp). What happens is said on standard error, unless
/// somebody listens.
[[nodiscard]] actors::ActorRef spawn_stack(actors::ActorSystem& system,
                                           StackOrder order,
                                           actors::ActorRef printer);

}  // namespace troupe::cli

TROUPE_LOCAL_MESSAGE(troupe::cli::TakeSnapshot)
TROUPE_LOCAL_MESSAGE(troupe::cli::StackRequest)
TROUPE_LOCAL_MESSAGE(troupe::cli::FilesChanged)
TROUPE_LOCAL_MESSAGE(troupe::cli::CrashChild)
TROUPE_LOCAL_MESSAGE(troupe::cli::TakeDown)
