#include "schedule_text.hpp"

#include <gtest/gtest.h>

namespace troupe::schedule {
namespace {

/// The first `count` moments after `after`, in UTC.
std::string fires(const std::string& text, const std::string& zone_name,
                  const std::string& after, int count) {
  std::string all;
  auto at = utc(after);
  for (int i = 0; i < count; ++i) {
    const auto next = next_fire(cron(text), zone(zone_name), at);
    if (!next)
      return all + "never";
    all += text_of(*next) + "\n";
    at = *next;
  }
  return all;
}

TEST(NextFire, IsInTheTimeOfTheZone) {
  EXPECT_EQ(fires("15 2 * * *", "Europe/Rome", "2026-06-01 00:15:00", 1),
            "2026-06-02 00:15:00\n");
  EXPECT_EQ(fires("15 2 * * *", "Asia/Kathmandu", "2026-06-01 00:00:00", 1),
            "2026-06-01 20:30:00\n");
}

TEST(NextFire, MakesUpForATimeThatThereIsNot) {
  // 2:00 to 3:00 is left out on 29 March.
  EXPECT_EQ(fires("30 2 * * *", "Europe/Rome", "2026-03-28 00:00:00", 3),
            "2026-03-28 01:30:00\n2026-03-29 01:00:00\n"
            "2026-03-30 00:30:00\n");
}

TEST(NextFire, MakesUpForSeveralTimesAtOnce) {
  EXPECT_EQ(fires("*/20 2 * * *", "Europe/Rome", "2026-03-28 12:00:00", 2),
            "2026-03-29 01:00:00\n2026-03-30 00:00:00\n");
}

TEST(NextFire, IsOnceIfTheFirstMomentAfterTheGapIsMeantAsWell) {
  EXPECT_EQ(fires("0 2,3 * * *", "Europe/Rome", "2026-03-28 12:00:00", 2),
            "2026-03-29 01:00:00\n2026-03-30 00:00:00\n");
}

TEST(NextFire, IsTheFirstOfATimeThatThereIsTwice) {
  // 2:00 to 3:00 comes twice on 25 October.
  EXPECT_EQ(fires("30 2 * * *", "Europe/Rome", "2026-10-24 12:00:00", 2),
            "2026-10-25 00:30:00\n2026-10-26 01:30:00\n");
  EXPECT_EQ(fires("0 3 * * *", "Europe/Rome", "2026-10-24 12:00:00", 2),
            "2026-10-25 02:00:00\n2026-10-26 02:00:00\n");
}

TEST(NextFire, GoesOnThroughBothIfItIsAnInterval) {
  EXPECT_EQ(fires("*/30 * * * *", "Europe/Rome", "2026-10-25 00:00:00", 5),
            "2026-10-25 00:30:00\n2026-10-25 01:00:00\n"
            "2026-10-25 01:30:00\n2026-10-25 02:00:00\n"
            "2026-10-25 02:30:00\n");
  EXPECT_EQ(fires("30 * * * *", "Europe/Rome", "2026-03-29 00:00:00", 2),
            "2026-03-29 00:30:00\n2026-03-29 01:30:00\n");
}

TEST(NextFire, MakesUpForAWholeDay) {
  // Samoa went over the date line and had no 30 December.
  EXPECT_EQ(fires("0 9 * * *", "Pacific/Apia", "2011-12-29 12:00:00", 3),
            "2011-12-29 19:00:00\n2011-12-30 10:00:00\n"
            "2011-12-30 19:00:00\n");
}

TEST(NextFire, KnowsHalfHours) {
  // Lord Howe puts clocks forward by half an hour, from 2:00 to 2:30.
  EXPECT_EQ(
      fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00:00", 2),
      "2026-10-03 15:30:00\n2026-10-04 15:15:00\n");
}

TEST(NextFire, IsNothingIfThereIsNoneForFiftyYears) {
  EXPECT_EQ(fires("0 0 29 2 */7", "UTC", "2026-01-01 00:00:00", 2),
            "2032-02-29 00:00:00\n2060-02-29 00:00:00\n");
  EXPECT_EQ(fires("0 0 31 12 */7", "UTC", "9990-01-01 00:00:00", 1).size(),
            20U);
}

TEST(LastFire, IsTheLastOfThoseThatWereMissed) {
  const auto last = [](const std::string& text, const std::string& after,
                       const std::string& until) -> std::string {
    const auto found =
        last_fire(cron(text), zone("UTC"), utc(after), utc(until));
    return found ? text_of(*found) : "none";
  };
  EXPECT_EQ(last("0 * * * *", "2026-05-01 00:00:00", "2026-05-03 05:30:00"),
            "2026-05-03 05:00:00");
  EXPECT_EQ(last("0 * * * *", "2026-05-01 00:00:00", "2026-05-01 01:00:00"),
            "2026-05-01 01:00:00");
  EXPECT_EQ(last("0 * * * *", "2026-05-01 01:00:00", "2026-05-01 01:59:59"),
            "none");
  EXPECT_EQ(last("* * * * * *", "2025-05-01 01:00:00", "2026-05-01 01:59:59"),
            "2026-05-01 01:59:59");
}

}  // namespace
}  // namespace troupe::schedule
