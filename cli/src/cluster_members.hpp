#pragma once

/// Of troupe cluster what asks a node: who is there, who looks first for what,
/// and that a node is to leave.
#include "queue_context.hpp"

#include <string>

namespace troupe::cli {

/// Who is in the cluster of the node that is asked.
int show_members(const QueueContext& context, const NodeOptions& node);

/// What each of them has for tasks.
int show_nodes(const QueueContext& context, const NodeOptions& node);

/// How many shards each of them looks at first.
int show_ring(const QueueContext& context, const NodeOptions& node);

/// In which shard jobs with `key` wait, and which node looks there first.
int show_owner(const QueueContext& context, const NodeOptions& node,
               const std::string& key);

/// Whether the cluster of the node that is asked is as it should be.
/// `certificate_until` is that of this host, see diagnose(): not_found if it
/// has none, another error if it is of no use. exit_failed if something is bad.
int examine_cluster(const QueueContext& context, const NodeOptions& node,
                    const Result<WallTime>& certificate_until);

/// Lets the node that is asked evict as many others as are gone, for a while;
/// `within` is empty for what is usual.
int consent_to_evictions(const QueueContext& context, const NodeOptions& node,
                         const std::string& within);

/// Lets `name` leave, or the node that is asked if it is empty. That one may be
/// told how long what runs may take at most; `within` is empty for no limit.
int drain_member(const QueueContext& context, const NodeOptions& node,
                 const std::string& name, const std::string& within);

}  // namespace troupe::cli
