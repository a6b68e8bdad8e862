#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::supervisor {

// Requests to a supervisor. Each but the last two is answered by exactly one
// ChildReply that repeats `token`; a supervisor that dies of a crash or kill
// answers nothing, so whoever must know monitors it.

/// Adds a child behind the others and starts it.
struct StartChild {
  ChildSpec spec;
  std::uint64_t token = 0;
};

/// Starts one more child of a simple_one_for_one supervisor. `arguments` go to
/// its start function, now and at every restart.
struct StartDynamicChild {
  actors::Message arguments;
  std::uint64_t token = 0;
};

/// Stops a child and keeps its spec, unless it is temporary.
struct TerminateChild {
  std::string id;
  std::uint64_t token = 0;
};

/// Stops a child of a simple_one_for_one supervisor for good.
struct TerminateDynamicChild {
  ChildKey key;
  std::uint64_t token = 0;
};

/// Starts a stopped child.
struct RestartChild {
  std::string id;
  std::uint64_t token = 0;
};

/// Starts all stopped children in order; ends a hold. The answer comes before
/// they have started.
struct StartAll {
  std::uint64_t token = 0;
};

/// Forgets a stopped child.
struct DeleteChild {
  std::string id;
  std::uint64_t token = 0;
};

/// Answered by a ChildList; costs time by the number of children.
struct WhichChildren {};

/// Answered by a ChildCounts.
struct CountChildren {};

/// How a request ended.
struct ChildReply {
  std::uint64_t token = 0;
  ReplyCode code = ReplyCode::ok;
  ChildKey key{};            ///< Of a successful start; stays over restarts.
  actors::ActorRef actor{};  ///< Of a successful start that was not ignored.
  std::string what{};        ///< Why it failed, on start_failed and
                             ///< invalid_spec.
};

struct ChildEntry {
  ChildInfo info;
  actors::ActorRef actor;  ///< Empty if it has no process.
};

/// A supervisor and all its children in start order.
struct ChildList {
  SupervisorInfo supervisor;
  std::vector<ChildEntry> children;
};

/// From a child whose start function returned Starting to its supervisor.
struct ChildReady {
  ChildRef child;
};

}  // namespace troupe::supervisor

TROUPE_LOCAL_MESSAGE(troupe::supervisor::StartChild)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::StartDynamicChild)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::TerminateChild)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::TerminateDynamicChild)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::RestartChild)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::StartAll)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::DeleteChild)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::WhichChildren)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::CountChildren)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::ChildReply)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::ChildList)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::ChildCounts)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::ChildReady)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::Report)
