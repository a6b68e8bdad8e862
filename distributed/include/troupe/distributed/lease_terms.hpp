#pragma once

/// How long a session has its right without being renewed, and all that follows
/// from that. The same for all nodes of a cluster: a janitor counts on it that
/// the others keep them.
#include <troupe/base/boot_time.hpp>
#include <troupe/base/error.hpp>

namespace troupe::distributed {

/// A session whose host has slept has lost its right like any other.
using troupe::BootTime;

struct LeaseTerms {
  /// The right ends so long after a renewal was *sent* that was answered. Long
  /// enough for a fail-over of the store; the price is that commands of a host
  /// that is gone start again this much later.
  Duration ttl = 60s;
  /// So long before the end what must not outlive it begins to be killed, and
  /// so long before the end it is gone. The time between is for grace; the rest
  /// for clocks that differ by 1 % and for what dies slowly.
  Duration kill_before = 8s;
  Duration gone_before = 3s;
  /// How much longer than ttl a janitor sees a session stand still.
  Duration eviction_margin = 2s;
  /// The longest pause between tries while the store cannot be reached.
  Duration longest_pause = 30s;

  /// Five tries may fail before anything is killed.
  [[nodiscard]] Duration renew_every() const { return ttl / 6; }
  /// A renewal that is not answered by then is given up.
  [[nodiscard]] Duration answer_within() const { return ttl / 10; }
};

/// Whether at least one renewal fits in before the killing begins, and all else
/// is in its order.
///
/// Errors: invalid_argument.
[[nodiscard]] Result<void> check(const LeaseTerms& terms);

}  // namespace troupe::distributed
