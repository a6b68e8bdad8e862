#pragma once

/// Start here. `schedule` says when something is to happen that is written as
/// in a crontab. It knows the calendar and time zones, and neither what happens
/// nor what time it is.
///
///   cron.hpp       the five or six fields, and which local times they mean
///   time_zone.hpp  local time over the year
///   next_fire.hpp  both together: the next moment, also when clocks change
