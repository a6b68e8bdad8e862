#include <troupe/schedule/next_fire.hpp>

#include <algorithm>

namespace troupe::schedule {
namespace {

using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

/// 29 February on one day of the week comes every 28 years, over 2100 after 40.
constexpr std::chrono::years horizon{50};

local_seconds local(sys_seconds time, seconds offset) {
  return local_seconds{time.time_since_epoch() + offset};
}

/// The first moment in [from, until), which is within `period`.
std::optional<sys_seconds> first_in(const Cron& cron, const ZonePeriod& period,
                                    sys_seconds from, sys_seconds until) {
  const bool is_interval = cron.is_in_every_hour();
  const local_seconds change = local(period.begin, period.offset);
  const local_seconds before = local(period.begin, period.offset_before);
  if (!is_interval && from == period.begin && before < change &&
      cron.next(before, change))
    return period.begin;
  const auto search = [&](local_seconds begin,
                          local_seconds end) -> std::optional<sys_seconds> {
    const auto found = cron.next(begin, end);
    if (!found)
      return std::nullopt;
    return sys_seconds{found->time_since_epoch() - period.offset};
  };
  local_seconds begin = local(from, period.offset);
  const local_seconds end = local(until, period.offset);
  if (!is_interval && change < before) {
    // Local times from here to `before` were there already, once.
    const local_seconds seen =
        std::max(change, local(period.begin_before, period.offset_before));
    if (const auto found = search(begin, std::min(seen, end)))
      return found;
    begin = std::max(begin, before);
  }
  return search(begin, end);
}

}  // namespace

std::optional<sys_seconds> next_fire(const Cron& cron, const TimeZone& zone,
                                     sys_seconds after) {
  const sys_seconds until = after + horizon;
  sys_seconds from = after + seconds{1};
  while (from < until) {
    const ZonePeriod period = zone.period_at(from);
    const sys_seconds end = std::min(period.end, until);
    if (const auto found = first_in(cron, period, from, end))
      return found;
    // A period without an end is the last one.
    from = std::max(end, from + seconds{1});
  }
  return std::nullopt;
}

std::optional<sys_seconds> last_fire(const Cron& cron, const TimeZone& zone,
                                     sys_seconds after, sys_seconds until) {
  // By halving: whether there is one in the later half costs one question.
  std::optional<sys_seconds> last;
  while (after < until) {
    const sys_seconds middle = after + (until - after) / 2;
    auto found = next_fire(cron, zone, middle);
    if (found && *found <= until) {
      last = found;
      after = *found;
      continue;
    }
    if (middle == after)
      break;
    until = middle;
  }
  return last;
}

}  // namespace troupe::schedule
