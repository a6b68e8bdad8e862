#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/schedule/time_zone.hpp>

#include <absl/time/time.h>
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <system_error>
#include <utility>
#include <vector>

namespace troupe::schedule {

struct TimeZone::Zone {
  std::string name;
  absl::TimeZone rules;
};

namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::string_view database = "/usr/share/zoneinfo";

/// Not "posix/", "right/" and the tables.
bool could_be_zone(std::string_view name) {
  return !name.empty() && name.front() >= 'A' && name.front() <= 'Z' &&
         name.find('.') == std::string_view::npos;
}

bool is_there(std::string_view name) {
  std::error_code error;
  return could_be_zone(name) &&
         fs::is_regular_file(fs::path{database} / name, error);
}

std::vector<std::string> names_of_zones() {
  std::vector<std::string> names;
  std::error_code error;
  const fs::path root{database};
  auto entry = fs::recursive_directory_iterator{root, error};
  for (; !error && entry != fs::recursive_directory_iterator{};
       entry.increment(error)) {
    std::string name = entry->path().lexically_relative(root).string();
    if (!could_be_zone(name))
      entry.disable_recursion_pending();
    else if (entry->is_regular_file(error))
      names.push_back(std::move(name));
  }
  return names;
}

Error unknown(std::string_view name) {
  const std::vector<std::string> names = names_of_zones();
  if (names.empty())
    return {Errc::unavailable,
            fmt::format("there is no time zone database in {} (is the package "
                        "tzdata installed?)",
                        database)};
  const auto meant =
      suggest(name, std::vector<std::string_view>{names.begin(), names.end()});
  return {
      Errc::not_found,
      fmt::format("no time zone \"{}\"{}", ellipsize(printable(name), 60),
                  meant ? fmt::format("; did you mean \"{}\"?", *meant) : "")};
}

/// "Europe/Rome", of a machine that is there; empty if it does not say.
std::string name_of_local_zone() {
  std::error_code error;
  const std::string file = fs::canonical("/etc/localtime", error).string();
  const std::string folder = "/zoneinfo/";
  const std::size_t place = file.find(folder);
  return place == std::string::npos ? std::string{}
                                    : file.substr(place + folder.size());
}

absl::Time as_time(sys_seconds time) {
  return absl::FromUnixSeconds(time.time_since_epoch().count());
}

/// The moment of a change of clocks.
sys_seconds moment_of(const absl::TimeZone& rules,
                      const absl::TimeZone::CivilTransition& change) {
  return sys_seconds{seconds{absl::ToUnixSeconds(rules.At(change.to).trans)}};
}

}  // namespace

Result<TimeZone> TimeZone::find(std::string_view name) {
  if (name == "UTC")
    return utc();
  auto zone = std::make_shared<Zone>();
  zone->name = name;
  if (!is_there(name) || !absl::LoadTimeZone(zone->name, &zone->rules))
    return tl::unexpected{unknown(name)};
  return TimeZone{std::move(zone)};
}

Result<TimeZone> TimeZone::local(const char* variable) {
  if (variable == nullptr)  // As the C library has it, UTC if all else fails.
    return find(name_of_local_zone()).value_or(utc());
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

TimeZone TimeZone::utc() {
  return TimeZone{
      std::make_shared<const Zone>(Zone{"UTC", absl::UTCTimeZone()})};
}

const std::string& TimeZone::name() const { return zone_->name; }

ZonePeriod TimeZone::period_at(sys_seconds time) const {
  // Far enough in the past and the future, and safe to add to.
  constexpr sys_seconds first{
      std::chrono::sys_days{std::chrono::year{1} / 1 / 1}};
  constexpr sys_seconds last{
      std::chrono::sys_days{std::chrono::year{9999} / 1 / 1}};
  const absl::TimeZone& rules = zone_->rules;
  const auto offset_at = [&](sys_seconds at) {
    return seconds{rules.At(as_time(at)).offset};
  };
  /// The last change before `at`, or `first`.
  const auto change_before = [&](sys_seconds at) {
    absl::TimeZone::CivilTransition change;
    return rules.PrevTransition(as_time(at), &change)
               ? std::max(first, moment_of(rules, change))
               : first;
  };
  const seconds offset = offset_at(time);
  ZonePeriod period{first, last, offset, first, offset};
  absl::TimeZone::CivilTransition change;
  if (rules.NextTransition(as_time(time), &change))
    period.end = std::min(last, moment_of(rules, change));
  period.begin = change_before(time + seconds{1});
  if (period.begin == first)
    return period;
  period.offset_before = offset_at(period.begin - seconds{1});
  period.begin_before = change_before(period.begin);
  return period;
}

bool operator==(const TimeZone& one, const TimeZone& other) {
  return one.name() == other.name();
}

}  // namespace troupe::schedule
