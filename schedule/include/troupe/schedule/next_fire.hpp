#pragma once

#include <troupe/schedule/cron.hpp>
#include <troupe/schedule/time_zone.hpp>

#include <chrono>
#include <optional>

namespace troupe::schedule {

/// The first moment after `after` at which `cron` fires in `zone`; nothing if
/// there is none in the next 50 years.
///
/// When clocks are put forward, the local times that there are not are made up
/// for by one moment, the first one after them. When they are put back, of the
/// local times that there are twice only the first one counts. Neither holds
/// for an expression with times in every hour, such as */15 * * * *: that is an
/// interval, which goes on through the change.
[[nodiscard]] std::optional<std::chrono::sys_seconds> next_fire(
    const Cron& cron, const TimeZone& zone, std::chrono::sys_seconds after);

/// The last such moment that is not after `until`, if it is after `after`.
[[nodiscard]] std::optional<std::chrono::sys_seconds> last_fire(
    const Cron& cron, const TimeZone& zone, std::chrono::sys_seconds after,
    std::chrono::sys_seconds until);

}  // namespace troupe::schedule
