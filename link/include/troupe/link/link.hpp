#pragma once

/// Start here. `link` is how two nodes of a cluster talk: what they may say,
/// how much of it may be under way, and when a link is up, drained or over; and
/// who belongs to a cluster. Everything that goes over a link is a hint or
/// output of commands, so that a link that is down costs time and never
/// correctness (docs/design/cluster.md).
///
///   links.hpp           all links of a node, over TLS
///   link_core.hpp       what one link does, over all its connections
///   message.hpp         what can be said, the allow list, and the envelope
///   stream_windows.hpp  credits for the output of commands
///   link_address.hpp    where others connect
///   roster.hpp          who belongs to the cluster, with which key
///   certificate.hpp     keys and certificates
///   authority.hpp       who signs them, on one host
///   enrolments.hpp      what the authority knows: tokens and nodes
///   cluster_folder.hpp  what a node proves by who it is
#include <troupe/link/authority.hpp>
#include <troupe/link/certificate.hpp>
#include <troupe/link/cluster_folder.hpp>
#include <troupe/link/enrolments.hpp>
#include <troupe/link/link_address.hpp>
#include <troupe/link/link_core.hpp>
#include <troupe/link/links.hpp>
#include <troupe/link/message.hpp>
#include <troupe/link/roster.hpp>
#include <troupe/link/stream_windows.hpp>
