#pragma once

/// Start here. `flow_control` keeps Troupe within bounds: nothing in the tree
/// queues, starts or calls without asking one of these. All of it decides and
/// does nothing: no thread, clock, file or actor; the time and what the machine
/// says are passed in. docs/design/flow-control.md follows an item through it.
///
///   budget.hpp                permits: the bound of a mailbox or buffer
///   bounded_queue.hpp         a queue with a policy when full
///   drain_rate.hpp            when a refused sender should come back
///   token_bucket.hpp          so many per second, and a burst
///   concurrency_limiter.hpp   so many at once, learnt from how calls end
///   circuit_breaker.hpp       no calls to what keeps failing
///   machine_sample.hpp        what /proc says about memory, pressure and load
///   memory_governor.hpp       no starts when the machine is short of memory
///   resources.hpp             what work takes and a machine has, by name
///   adaptive_parallelism.hpp  how many commands at once: `-j auto`
#include <troupe/flow_control/adaptive_parallelism.hpp>
#include <troupe/flow_control/bounded_queue.hpp>
#include <troupe/flow_control/budget.hpp>
#include <troupe/flow_control/circuit_breaker.hpp>
#include <troupe/flow_control/concurrency_limiter.hpp>
#include <troupe/flow_control/drain_rate.hpp>
#include <troupe/flow_control/machine_sample.hpp>
#include <troupe/flow_control/memory_governor.hpp>
#include <troupe/flow_control/resources.hpp>
#include <troupe/flow_control/token_bucket.hpp>
