#pragma once

/// Start here. `queue` hands out the tasks of jobs that wait in a store: which
/// may start now, how their commands are made of what was submitted, what the
/// end of an attempt means, and why something waits. A job goes through these
/// headers:
///
///   job_spec.hpp          what was submitted, to and from JSON
///   dispatch_core.hpp     DispatchCore: who is next (pure)
///   shard_look_core.hpp   ShardLookCore: where, if others share the store
///   (pure) attempt_end.hpp       how an attempt ended, as the store records it
///   (pure) store_access.hpp      StoreAccess: calls on the store from other
///   threads dispatcher_actor.hpp  the actor that claims, starts, records and
///   adopts
///
/// The store keeps the truth; all that is here can be lost at any moment and is
/// found again by asking the store and the runner.
#include <troupe/queue/attempt_end.hpp>
#include <troupe/queue/dispatch_core.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/queue/store_access.hpp>
