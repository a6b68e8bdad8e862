#pragma once

/// Start here. A supervisor starts its children in order, restarts those that
/// fail by the rules of OTP, stops them in reverse order, and gives up upwards
/// when it restarts too often (docs/design/supervision.md).
///
///   child_spec.hpp       ChildSpec and SupervisorSpec: what to supervise, how
///   start.hpp            StartContext and StartResult, for start functions
///   messages.hpp         StartChild, TerminateChild, .. and their answers
///   child_handle.hpp     one handle for all incarnations of a child
///   supervisor_core.hpp  the decisions, without actors
///   handle_core.hpp      those of a handle
///   restart_window.hpp   how often is too often
///   backoff_span.hpp     how long waits before restarts are together
#include <troupe/actors/caf.hpp>
#include <troupe/base/error.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/supervisor/messages.hpp>
#include <troupe/supervisor/start.hpp>
#include <troupe/supervisor/supervisor_core.hpp>

#include <functional>
#include <string>

namespace troupe::supervisor {

/// Starts a supervisor that has no supervisor above it; its children start in
/// its own actor, after this has returned. `report_to`, if given, gets every
/// Report of it and of the supervisors below it: `started` when all children
/// are up, `gave_up` before it ends because of too many restarts.
///
/// It ends, after its children, when it is asked to stop (stop(supervisor)),
/// gives up, or a significant child ends; a monitor sees ExitKind::shutdown
/// for all of these, with text unless it was asked to. A supervisor that is
/// killed stops its children politely and kills them when their time is up.
/// It lives until then even if nobody holds a handle of it: whoever starts one
/// also ends it.
///
/// Errors: invalid_argument, as check(spec).
[[nodiscard]] Result<actors::ActorRef> spawn_supervisor(
    actors::ActorSystem& system, SupervisorSpec spec,
    actors::ActorRef report_to = {});

/// The same, as a child of another supervisor: permanent, waits for its own
/// children when it is stopped, and has started when all of them have.
[[nodiscard]] ChildSpec supervisor_child(std::string id, SupervisorSpec spec);

/// The same with a spec that is made anew for each start, in the supervisor
/// above: for children whose number changes. Must not block.
[[nodiscard]] ChildSpec supervisor_child(
    std::string id, std::function<SupervisorSpec()> make_spec);

}  // namespace troupe::supervisor
