#pragma once

#include <troupe/base/time.hpp>
#include <troupe/supervisor/child_spec.hpp>

#include <cstdint>

namespace troupe::supervisor {

/// The least and the most that something takes. Duration::max(), 292 years,
/// stands for all that is longer.
struct DurationRange {
  Duration shortest{0};
  Duration longest{0};

  friend bool operator==(const DurationRange&, const DurationRange&) = default;
};

/// How long the wait before restart number `step` (from 0) in a row is:
/// between which bounds backoff_delay() answers.
[[nodiscard]] DurationRange backoff_wait(const Backoff& backoff,
                                         std::uint64_t step);

/// How long the first `restarts` waits in a row are together, exact to one
/// nanosecond per wait. Costs the same for any number.
[[nodiscard]] DurationRange backoff_span(const Backoff& backoff,
                                         std::uint64_t restarts);

/// How many failures of one child can fall into `period` (edges included) if it
/// waits so before each restart, however long it is up in between. Counts up to
/// `limit`, which is positive; may be too high where reset-after is below a
/// 64th of `period`, never too low.
[[nodiscard]] std::uint64_t most_failures_within(const Backoff& backoff,
                                                 Duration period,
                                                 std::uint64_t limit);

}  // namespace troupe::supervisor
