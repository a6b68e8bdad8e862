#pragma once

/// What has to be clear before a node takes part in a cluster.
#include "member.hpp"

#include <troupe/base/error.hpp>
#include <troupe/link/certificate.hpp>
#include <troupe/link/cluster_folder.hpp>
#include <troupe/link/roster.hpp>
#include <troupe/node/node_config.hpp>
#include <troupe/store/sql_store.hpp>

#include <string>
#include <vector>

namespace troupe::node {

/// The terms of a cluster whose sessions have their right for `lease_time`:
/// shorter ones leave less time to kill in.
[[nodiscard]] distributed::LeaseTerms lease_terms(Duration lease_time);

/// All that tasks can take on this node, with its labels.
[[nodiscard]] flow_control::Resources capacity_of(const NodeConfig& config);

/// Whether the session is in the store and has not ended.
///
/// Errors: those of the store.
[[nodiscard]] Result<bool> is_live(store::ClusterStore& store,
                                   const std::string& session);

/// Whether this node may be in its cluster, as far as `roster` says.
///
/// Errors: permission_denied (it was revoked; with what to do).
[[nodiscard]] Result<void> check_not_revoked(const link::Roster& roster,
                                             const distributed::NodeId& self);

/// The newest one of the store and of `folder`, which the store gets, so that
/// all others hear of it. One that cannot be read is none.
///
/// Errors: those of the store.
[[nodiscard]] Result<link::Roster> newest_roster(
    store::ClusterStore& store, const link::ClusterFolder& folder);

/// Ends what earlier sessions of this node have left on this host, and what
/// nodes that were no members have left in the store, and says who this node is
/// now: `session` is that of its warden. Blocks: if another host, or this one
/// before it was started again, has a session of this node, until that has
/// stood still for as long as its right may last.
///
/// Errors: already_exists (it does not stand still: another host has the same
/// identity), invalid_argument (the others have another lease time),
/// unavailable (what is left cannot be ended), and those of the store.
[[nodiscard]] Result<MemberOptions> prepare_member(
    store::SqlStore& store, const NodeConfig& config,
    const link::Identity& identity, const std::string& session,
    const std::string& version);

/// Those of the newest view, which are fixed for the life of a cluster as far
/// as jobs are placed by them.
///
/// Errors: those of the store; corrupt, unsupported (the view).
[[nodiscard]] Result<distributed::RingParameters> ring_parameters(
    store::ClusterStore& store);

/// Ends what the last warden in this folder has left, if that was killed: the
/// others may have ended its session meanwhile, and then no store has it.
/// Before the next warden begins there.
///
/// Errors: unavailable (it cannot be ended), and those of the folder.
[[nodiscard]] Result<void> end_what_is_left(const std::string& folder);

/// Ends the sessions of `sessions` that have left commands on this host.
///
/// Errors: unavailable (they cannot be ended), and those of the store.
[[nodiscard]] Result<void> end_sessions(
    store::Store& store, const std::vector<store::SessionId>& sessions);

}  // namespace troupe::node
