#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/schedule/time_zone.hpp>

#include <algorithm>
#include <date/tz.h>
#include <exception>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace troupe::schedule {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

const date::time_zone* as_zone(const void* zone) {
  return static_cast<const date::time_zone*>(zone);
}

/// The zone, or null.
const date::time_zone* look_up(std::string_view name) {
  try {
    return date::locate_zone(std::string{name});
  } catch (const std::exception&) {
    return nullptr;
  }
}

Error unknown(std::string_view name) {
  std::string hint;
  try {
    const auto& zones = date::get_tzdb().zones;
    std::vector<std::string_view> names;
    names.reserve(zones.size());
    for (const date::time_zone& zone : zones)
      names.emplace_back(zone.name());
    if (const auto meant = suggest(name, names))
      hint = fmt::format("; did you mean \"{}\"?", *meant);
  } catch (const std::exception& error) {
    return {Errc::unavailable,
            fmt::format("there is no time zone database (is the package "
                        "tzdata installed?): {}",
                        printable(error.what()))};
  }
  return {Errc::not_found, fmt::format("no time zone \"{}\"{}",
                                       ellipsize(printable(name), 60), hint)};
}

}  // namespace

Result<TimeZone> TimeZone::find(std::string_view name) {
  const date::time_zone* const zone = look_up(name);
  if (zone == nullptr && name != "UTC")
    return tl::unexpected{unknown(name)};
  return TimeZone{zone};
}

Result<TimeZone> TimeZone::local(const char* variable) {
  if (variable != nullptr) {
    std::string_view name = variable;
    if (name.starts_with(':'))
      name.remove_prefix(1);
    if (name.empty())
      return utc();
    auto zone = find(name);
    if (!zone)
      return tl::unexpected{std::move(zone.error()).within("TZ")};
    return zone;
  }
  try {
    return TimeZone{date::current_zone()};
  } catch (const std::exception&) {
    // As the C library has it.
    return utc();
  }
}

TimeZone TimeZone::utc() { return TimeZone{look_up("UTC")}; }

const std::string& TimeZone::name() const {
  static const std::string utc_name{"UTC"};
  return zone_ == nullptr ? utc_name : as_zone(zone_)->name();
}

ZonePeriod TimeZone::period_at(sys_seconds time) const {
  // Far enough in the past and the future, and safe to add to.
  constexpr sys_seconds first{
      std::chrono::sys_days{std::chrono::year{1} / 1 / 1}};
  constexpr sys_seconds last{
      std::chrono::sys_days{std::chrono::year{9999} / 1 / 1}};
  ZonePeriod period{first, last, seconds{0}, first, seconds{0}};
  if (zone_ == nullptr)
    return period;
  try {
    const date::sys_info info = as_zone(zone_)->get_info(time);
    period.begin = std::max(first, sys_seconds{info.begin});
    period.end = std::min(last, sys_seconds{info.end});
    period.offset = period.offset_before = info.offset;
    period.begin_before = period.begin;
    if (period.begin == first)
      return period;
    const date::sys_info before =
        as_zone(zone_)->get_info(period.begin - seconds{1});
    period.begin_before = std::max(first, sys_seconds{before.begin});
    period.offset_before = before.offset;
  } catch (const std::exception&) {
    // The file of the zone is read when it is first asked; without it UTC is
    // the best that there is.
  }
  return period;
}

}  // namespace troupe::schedule
