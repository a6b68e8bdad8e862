#pragma once

/// Start here. `distributed` decides what each node of a cluster does, when
/// many work off one store. The store's rows are the truth; all that is decided
/// here is a hint about who asks for which of them, and until when a node may
/// go on without asking. So what is stale costs time and never correctness.
/// Nothing but cores, which are told the time: docs/design/cluster.md.
///
///   node_id.hpp            who a node is, for as long as its host lives
///   stable_hash.hpp        XXH3-64: the same number on each machine and build
///   ring.hpp               which node owns which shard
///   spread.hpp             where tasks wait that many nodes are to share
///   view.hpp               who is in the cluster, as all agree on it
///   view_core.hpp          when this node proposes the next view, and what
///   lease_terms.hpp        how long a session has its right, and the clock
///   lease_core.hpp         this node's session and its right to run commands
///   eviction_core.hpp      the janitor: which sessions of others are over
#include <troupe/distributed/eviction_core.hpp>
#include <troupe/distributed/lease_core.hpp>
#include <troupe/distributed/lease_terms.hpp>
#include <troupe/distributed/node_id.hpp>
#include <troupe/distributed/ring.hpp>
#include <troupe/distributed/spread.hpp>
#include <troupe/distributed/stable_hash.hpp>
#include <troupe/distributed/view.hpp>
#include <troupe/distributed/view_core.hpp>
