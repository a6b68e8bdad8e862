#include "schedule_text.hpp"

#include <gtest/gtest.h>

namespace troupe::schedule {
namespace {

using std::chrono::local_seconds;

/// "5:3 message; hint"
std::string problem(const std::string& text) {
  const auto parsed = Cron::parse(text);
  if (parsed)
    return "none";
  const CronProblem& p = parsed.error();
  return fmt::format("{}:{} {}{}", p.offset, p.length, p.message,
                     p.hint.empty() ? "" : "; " + p.hint);
}

local_seconds local(const std::string& text) {
  return local_seconds{utc(text).time_since_epoch()};
}

/// The first `count` times from `from` on.
std::string times(const std::string& text, const std::string& from, int count) {
  const Cron parsed = cron(text);
  std::string all;
  local_seconds at = local(from);
  for (int i = 0; i < count; ++i) {
    const auto next = parsed.next(at, at + std::chrono::years{9});
    if (!next)
      return all + "never";
    all += text_of(std::chrono::sys_seconds{next->time_since_epoch()}) + "\n";
    at = *next + std::chrono::seconds{1};
  }
  return all;
}

TEST(Cron, MeansMinutesHoursDaysMonthsAndWeekdays) {
  EXPECT_EQ(times("15 2 * * *", "2026-05-01 00:00:00", 2),
            "2026-05-01 02:15:00\n2026-05-02 02:15:00\n");
  EXPECT_EQ(times("*/20 8-9 * * *", "2026-05-01 08:30:00", 4),
            "2026-05-01 08:40:00\n2026-05-01 09:00:00\n"
            "2026-05-01 09:20:00\n2026-05-01 09:40:00\n");
  EXPECT_EQ(times("0 0 1 jan,JUL *", "2026-05-01 00:00:00", 2),
            "2026-07-01 00:00:00\n2027-01-01 00:00:00\n");
  EXPECT_EQ(times("0 12 * * mon-Friday", "2026-05-01 13:00:00", 2),
            "2026-05-04 12:00:00\n2026-05-05 12:00:00\n");
}

TEST(Cron, TakesSecondsAsTheFirstOfSixFields) {
  EXPECT_EQ(times("*/30 59 23 * * *", "2026-05-01 00:00:00", 3),
            "2026-05-01 23:59:00\n2026-05-01 23:59:30\n"
            "2026-05-02 23:59:00\n");
}

TEST(Cron, CountsAStepFromAValueToTheEndOfTheField) {
  EXPECT_EQ(times("5/25 3 * * *", "2026-05-01 00:00:00", 4),
            "2026-05-01 03:05:00\n2026-05-01 03:30:00\n"
            "2026-05-01 03:55:00\n2026-05-02 03:05:00\n");
}

TEST(Cron, HasTwoNumbersForSunday) {
  for (const char* const text :
       {"0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "@weekly"})
    EXPECT_EQ(times(text, "2026-05-01 00:00:00", 1), "2026-05-03 00:00:00\n")
        << text;
  EXPECT_EQ(times("0 0 * * fri-sun", "2026-05-03 00:00:00", 2),
            "2026-05-03 00:00:00\n2026-05-08 00:00:00\n");
  EXPECT_EQ(times("0 0 * * 6-7", "2026-05-03 00:00:00", 2),
            "2026-05-03 00:00:00\n2026-05-09 00:00:00\n");
}

TEST(Cron, TakesEitherDayIfBothAreRestricted) {
  EXPECT_EQ(times("0 0 13 * fri", "2026-05-01 00:00:00", 4),
            "2026-05-01 00:00:00\n2026-05-08 00:00:00\n"
            "2026-05-13 00:00:00\n2026-05-15 00:00:00\n");
}

TEST(Cron, TakesBothDaysIfOneBeginsWithAStar) {
  EXPECT_EQ(times("0 0 */2 * fri", "2026-05-01 00:00:00", 2),
            "2026-05-01 00:00:00\n2026-05-15 00:00:00\n");
}

TEST(Cron, KnowsLeapYears) {
  EXPECT_EQ(times("0 0 29 2 *", "2026-05-01 00:00:00", 2),
            "2028-02-29 00:00:00\n2032-02-29 00:00:00\n");
}

TEST(Cron, IsInEveryHourIfAllHoursAreMeant) {
  EXPECT_TRUE(cron("*/15 * * * *").is_in_every_hour());
  EXPECT_TRUE(cron("@hourly").is_in_every_hour());
  EXPECT_TRUE(cron("0 0-23 * * *").is_in_every_hour());
  EXPECT_FALSE(cron("0 */2 * * *").is_in_every_hour());
}

TEST(Cron, SaysWhereAFieldIsWrong) {
  EXPECT_EQ(problem("61 2 * * *"), "0:2 the minute: expected 0 to 59, got 61");
  EXPECT_EQ(problem("0  24 * * *"), "3:2 the hour: expected 0 to 23, got 24");
  EXPECT_EQ(problem("0 2 1-32 * *"),
            "6:2 the day of the month: expected 1 to 31, got 32");
  EXPECT_EQ(problem("0 2 * * mno"),
            "8:3 the day of the week: expected 0 to 7 or a name, got \"mno\"; "
            "did you mean \"mon\"?");
  EXPECT_EQ(problem("0 2 * foo *"),
            "6:3 the month: expected 1 to 12 or a name, got \"foo\"");
  EXPECT_EQ(problem("1,,2 * * * *"), "2:1 the minute: expected a number");
  EXPECT_EQ(problem("0 0 ? * mon"),
            "4:1 the day of the month: expected 1 to 31, got \"?\"; write *");
  EXPECT_EQ(problem("-5 * * * *"), "0:1 the minute: expected a number");
}

TEST(Cron, SaysWhatIsWrongWithRangesAndSteps) {
  EXPECT_EQ(problem("0 22-2 * * *"),
            "2:4 the hour: the range ends before it begins; write two: "
            "22-23,0-2");
  EXPECT_EQ(problem("0 1-2-3 * * *"), "2:5 the hour: expected one range");
  EXPECT_EQ(problem("*/0 * * * *"),
            "2:1 the minute: expected a step such as */5, got \"0\"");
  EXPECT_EQ(problem("*/ * * * *"),
            "2:1 the minute: expected a step, such as */5");
  EXPECT_EQ(problem("*/90 * * * *"),
            "2:2 the minute: a step of 90 goes beyond 59; a step counts "
            "within its field only");
  EXPECT_EQ(problem("*/2/3 * * * *"), "0:5 the minute: more than one step");
}

TEST(Cron, SaysHowManyFieldsItExpects) {
  const std::string such_as = "; such as 15 2 * * * for each day at 2:15";
  EXPECT_EQ(problem(""),
            "0:1 expected 5 fields, or 6 with seconds first, got 0" + such_as);
  EXPECT_EQ(problem("0 2 * *"),
            "0:7 expected 5 fields, or 6 with seconds first, got 4" + such_as);
  EXPECT_EQ(problem("0 0 2 * * * 2026"),
            "0:16 expected 5 fields, or 6 with seconds first, got 7; a year "
            "cannot be given");
  EXPECT_EQ(problem("CRON_TZ=UTC 0 2 * * * *"),
            "0:23 expected 5 fields, or 6 with seconds first, got 7; a year "
            "cannot be given");
}

TEST(Cron, RefusesSchedulesThatItDoesNotKnow) {
  EXPECT_EQ(problem("@dayly"),
            "0:6 unknown schedule \"@dayly\"; did you mean \"@daily\"?");
  EXPECT_EQ(problem("@every"),
            "0:6 unknown schedule \"@every\"; use a step, such as */15 * * * "
            "*");
  EXPECT_EQ(problem("@reboot"),
            "0:7 unknown schedule \"@reboot\"; use one of @yearly, @monthly, "
            "@weekly, @daily, @hourly");
}

TEST(Cron, RefusesDaysThatNeverCome) {
  EXPECT_EQ(problem("0 0 30 2 *"),
            "4:2 it never fires: no month of it has such a day");
  EXPECT_EQ(problem("0 0 31 feb,apr *"),
            "4:2 it never fires: no month of it has such a day");
  EXPECT_EQ(problem("0 0 30 2 mon"), "none");
}

}  // namespace
}  // namespace troupe::schedule
