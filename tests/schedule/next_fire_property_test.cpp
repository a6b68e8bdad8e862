#include "schedule_text.hpp"

#include <array>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <set>
#include <vector>

namespace troupe::schedule {
namespace {

using std::chrono::hours;
using std::chrono::local_seconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_seconds;

/// What a field means, said as plainly as possible.
struct PlainField {
  std::string text;
  std::set<unsigned> values;
};

rc::Gen<PlainField> field(unsigned least, unsigned most) {
  return rc::gen::exec([=] {
    PlainField field;
    const int kind = *rc::gen::inRange(0, 4);
    if (kind == 0) {
      field.text = "*";
      for (unsigned v = least; v <= most; ++v)
        field.values.insert(v);
      return field;
    }
    const auto by = *rc::gen::inRange(1U, most - least);
    const auto low = *rc::gen::inRange(least, most + 1);
    if (kind == 1) {
      field.text = fmt::format("*/{}", by);
      for (unsigned v = least; v <= most; v += by)
        field.values.insert(v);
      return field;
    }
    const auto high = *rc::gen::inRange(low, most + 1);
    if (kind == 2) {
      field.text = fmt::format("{}-{}/{}", low, high, by);
      for (unsigned v = low; v <= high; v += by)
        field.values.insert(v);
      return field;
    }
    field.text = fmt::format("{},{}", low, high);
    field.values = {low, high};
    return field;
  });
}

struct PlainCron {
  PlainField minute, hour, day, month, weekday;

  [[nodiscard]] std::string text() const {
    return fmt::format("{} {} {} {} {}", minute.text, hour.text, day.text,
                       month.text, weekday.text);
  }
  [[nodiscard]] bool is_interval() const { return hour.values.size() == 24; }

  [[nodiscard]] bool matches(local_seconds time) const {
    const auto date_part = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{date_part};
    const std::chrono::hh_mm_ss clock{time - date_part};
    const bool is_day = day.values.contains(static_cast<unsigned>(date.day()));
    const bool is_weekday =
        weekday.values.contains(std::chrono::weekday{date_part}.c_encoding());
    const bool needs_both = day.text[0] == '*' || weekday.text[0] == '*';
    return month.values.contains(static_cast<unsigned>(date.month())) &&
           (needs_both ? is_day && is_weekday : is_day || is_weekday) &&
           hour.values.contains(static_cast<unsigned>(clock.hours().count())) &&
           minute.values.contains(
               static_cast<unsigned>(clock.minutes().count())) &&
           clock.seconds().count() == 0;
  }
};

rc::Gen<PlainCron> plain_cron() {
  return rc::gen::exec([] {
    return PlainCron{*field(0, 59), *field(0, 23), *field(1, 31), *field(1, 12),
                     *field(0, 6)};
  });
}

/// Minute by minute, with nothing but the offset of each: a minute fires if its
/// local time is meant and was not there before, or if the clock jumps over one
/// that is.
std::vector<sys_seconds> by_minutes(const PlainCron& plain,
                                    const TimeZone& zone, sys_seconds from,
                                    sys_seconds until) {
  const auto local_at = [&](sys_seconds t) {
    return local_seconds{t.time_since_epoch() + zone.period_at(t).offset};
  };
  std::vector<sys_seconds> fires;
  std::set<local_seconds> seen;
  // Clocks are put back by less than two hours, apart from date lines.
  for (sys_seconds t = from - hours{3}; t < from; t += minutes{1})
    seen.insert(local_at(t));
  local_seconds before = local_at(from - minutes{1});
  for (sys_seconds t = from; t < until; t += minutes{1}) {
    const local_seconds now = local_at(t);
    bool is_due =
        plain.matches(now) && (plain.is_interval() || !seen.contains(now));
    for (local_seconds gone = before + minutes{1};
         gone < now && !plain.is_interval(); gone += minutes{1})
      is_due = is_due || plain.matches(gone);
    if (is_due)
      fires.push_back(t);
    seen.insert(now);
    before = now;
  }
  return fires;
}

/// Two days around a change of clocks.
struct Change {
  const char* zone;
  const char* around;
};
constexpr std::array<Change, 12> changes{{
    {"Europe/Rome", "2026-03-29 01:00:00"},
    {"Europe/Rome", "2026-10-25 01:00:00"},
    {"America/New_York", "2026-03-08 07:00:00"},
    {"America/New_York", "2026-11-01 06:00:00"},
    {"Australia/Lord_Howe", "2026-10-03 15:30:00"},
    {"Australia/Lord_Howe", "2026-04-04 15:00:00"},
    {"Africa/Casablanca", "2026-02-15 02:00:00"},
    {"Africa/Casablanca", "2026-03-22 02:00:00"},
    {"America/St_Johns", "2010-11-07 02:31:00"},
    {"Pacific/Apia", "2011-12-30 10:00:00"},
    {"Asia/Kathmandu", "2026-01-01 00:00:00"},
    {"UTC", "2028-02-29 00:00:00"},
}};

RC_GTEST_PROP(NextFire, AgreesWithAWalkOverTheMinutes, ()) {
  const PlainCron plain = *plain_cron();
  const Change change =
      *rc::gen::elementOf(std::vector<Change>{changes.begin(), changes.end()});
  const TimeZone there = zone(change.zone);
  const sys_seconds from = utc(change.around) - hours{24};
  const sys_seconds until = from + hours{48};
  const auto parsed = Cron::parse(plain.text());
  if (!parsed)
    RC_DISCARD("it never fires");
  std::vector<sys_seconds> fires;
  auto at = from - seconds{1};
  while (const auto next = next_fire(*parsed, there, at)) {
    if (*next >= until)
      break;
    fires.push_back(*next);
    at = *next;
  }
  if (fires != by_minutes(plain, there, from, until)) {
    std::string all;
    for (const auto& [name, list] :
         {std::pair{"got", fires},
          std::pair{"expected", by_minutes(plain, there, from, until)}}) {
      all += fmt::format("{}:\n", name);
      for (const sys_seconds t : list)
        all += text_of(t) + "\n";
    }
    RC_FAIL(fmt::format("{} in {}\n{}", plain.text(), change.zone, all));
  }
}

RC_GTEST_PROP(LastFire, IsTheLastThatNextFireFinds, ()) {
  const PlainCron plain = *plain_cron();
  const auto parsed = Cron::parse(plain.text());
  if (!parsed)
    RC_DISCARD("it never fires");
  const TimeZone there = zone("Europe/Rome");
  const sys_seconds after =
      utc("2026-03-27 00:00:00") + seconds{*rc::gen::inRange(0, 200'000)};
  const sys_seconds until = after + seconds{*rc::gen::inRange(0, 200'000)};
  std::optional<sys_seconds> last;
  auto at = after;
  while (const auto next = next_fire(*parsed, there, at)) {
    if (*next > until)
      break;
    last = at = *next;
  }
  RC_ASSERT(last_fire(*parsed, there, after, until) == last);
}

}  // namespace
}  // namespace troupe::schedule
