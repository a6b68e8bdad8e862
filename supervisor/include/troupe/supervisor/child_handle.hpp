#pragma once

/// A handle that stays the same while the child behind it is restarted.
///
///   auto cache = spawn_handle(system, {.name = "cache"});
///   spec.children.push_back(with_handle(cache_child(), *cache));
///   ..
///   actors::request<Value>(self, *cache, 5s, Lookup{key}, on_value);
///   ..
///   actors::stop(*cache);  // after the supervisor
///
/// A handle is an actor. What is sent to it goes to the incarnation of the
/// child that is up, as if it had been sent there: the child sees who sent it,
/// whether it is a request, and the messages of one sender in their order, over
/// restarts, too. What it sends to the sender goes there directly; the answer
/// to a request passes the handle, which gives it to the client at once.
///
/// - *Up.* From the return of the child's start to the moment at which the
///   handle learns that it has ended or that it is told to stop.
/// - *Away.* From then until the next incarnation is up: while it or its group
///   is stopped and started again, waits in back-off, or is starting. Messages
///   wait and then go to the next incarnation, before all that comes later. The
///   one that does not fit is refused as `overloaded`, with the time after
///   which to come back. What has waited for `answer_within` is refused as
///   `unavailable`.
/// - *Gone.* The child has ended and is not restarted, was stopped by hand, or
///   its supervisor gave up, holds, shuts down or is dead. What waits and what
///   comes is refused as `unavailable`, until the child is started again, by
///   whomever. That its supervisor is going to be restarted, the child's handle
///   does not know: it is gone until then.
///
/// Each request gets exactly one answer, from an incarnation or, as an Error,
/// from the handle. The latter refuses it as above; as `unavailable` ("cache
/// ended before it answered: ..") if the incarnation that it was passed on to
/// has ended, whether it had read it or not, for what it has done is not known;
/// and as `timed_out` if that has not answered within `answer_within`. No
/// request is given to two incarnations, and answers that come later are
/// dropped. A message that was only sent is not answered for: if it is refused,
/// it is counted (HandleStats::rejected), and if it was passed on to an
/// incarnation that ends before it reads it, it is lost, as with any actor.
///
/// Requests are bounded by `max_open`, while the child is up, too; messages
/// that wait, by `capacity`. Other messages to a child that is up are not: as
/// ever, it must keep up.
#include <troupe/actors/caf.hpp>
#include <troupe/base/error.hpp>
#include <troupe/supervisor/child_spec.hpp>
#include <troupe/supervisor/handle_core.hpp>
#include <troupe/supervisor/start.hpp>

namespace troupe::supervisor {

/// Starts a handle; messages wait until a child with it is up. It belongs to
/// the caller, who ends it with actors::stop(handle), best after the supervisor
/// of the child: whatever is not answered by then is refused as `unavailable`.
/// The child does not end with it.
///
/// Errors: invalid_argument, as check(options).
[[nodiscard]] Result<ActorRef> spawn_handle(actors::ActorSystem& system,
                                            HandleOptions options);

/// `spec` such that its incarnations are reached by `handle`: of one child
/// only, and not for simple_one_for_one. The supervisor that it is given to may
/// itself be restarted with it. The start function and the listener that `spec`
/// has are called as before.
[[nodiscard]] ChildSpec with_handle(ChildSpec spec, ActorRef handle);

/// To a handle, which does not pass this on. Answered by a HandleInfo.
struct InspectHandle {};

}  // namespace troupe::supervisor

TROUPE_LOCAL_MESSAGE(troupe::supervisor::InspectHandle)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::HandleInfo)
