#pragma once

#include <tl/expected.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::schedule {

/// What is wrong with a cron expression, and where in its text, in bytes.
struct CronProblem {
  std::size_t offset = 0;
  std::size_t length = 1;
  std::string message;  ///< A lower-case phrase without a full stop.
  std::string hint;     ///< What to write instead, or empty.

  friend bool operator==(const CronProblem&, const CronProblem&) = default;
};

/// A set of local times, written as in crontab(5): minute, hour, day of the
/// month, month and day of the week, with seconds before them if there are six
/// fields. A field is a list of values, ranges (1-5) and steps (*/15, 8-18/2,
/// 5/20 for 5-59/20); months and days have names, Sunday is 0 and 7. Instead of
/// the fields: @yearly, @annually, @monthly, @weekly, @daily, @midnight and
/// @hourly.
///
/// If the day of the month and the day of the week are both restricted, a day
/// that either of them means counts; a field that begins with * is not
/// restricted, as cron(8) has it. A value; immutable.
class Cron {
 public:
  [[nodiscard]] static tl::expected<Cron, CronProblem> parse(
      std::string_view text);

  [[nodiscard]] bool matches(std::chrono::local_seconds time) const;

  /// The first of its times that is not before `from`, if that is before
  /// `until`.
  [[nodiscard]] std::optional<std::chrono::local_seconds> next(
      std::chrono::local_seconds from, std::chrono::local_seconds until) const;

  /// Whether it means times in every hour of its days: an interval rather than
  /// a time of the day.
  [[nodiscard]] bool is_in_every_hour() const;

 private:
  Cron() = default;

  [[nodiscard]] bool matches_day(std::chrono::local_days day) const;
  [[nodiscard]] std::optional<std::chrono::seconds> next_in_day(
      std::chrono::seconds from) const;

  // A bit for each value.
  std::uint64_t seconds_ = 1;
  std::uint64_t minutes_ = 0;
  std::uint64_t hours_ = 0;
  std::uint64_t days_ = 0;
  std::uint64_t months_ = 0;
  std::uint64_t weekdays_ = 0;  ///< Sunday is 0.
  bool has_any_day_ = false;
  bool has_any_weekday_ = false;

  friend class CronParser;
};

}  // namespace troupe::schedule
