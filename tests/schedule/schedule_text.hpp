#pragma once

/// Times as texts, for tests of schedules.
#include <troupe/schedule/next_fire.hpp>

#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <stdexcept>
#include <string>

namespace troupe::schedule {

/// "2026-03-29 01:00:00"
inline std::chrono::sys_seconds utc(const std::string& text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  std::sscanf(text.c_str(), "%d-%u-%u %d:%d:%d", &year, &month, &day, &hour,
              &minute, &second);
  return std::chrono::sys_days{std::chrono::year{year} /
                               std::chrono::month{month} /
                               std::chrono::day{day}} +
         std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second};
}

inline std::string text_of(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return fmt::format(
      "{:04}-{:02}-{:02} {:02}:{:02}:{:02}", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

inline Cron cron(const std::string& text) {
  auto parsed = Cron::parse(text);
  if (!parsed)
    throw std::runtime_error(parsed.error().message);
  return *parsed;
}

inline TimeZone zone(const std::string& name) {
  auto found = TimeZone::find(name);
  if (!found)
    throw std::runtime_error(found.error().what);
  return *found;
}

}  // namespace troupe::schedule
