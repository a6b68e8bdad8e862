#include "schedule_text.hpp"

#include <gtest/gtest.h>

namespace troupe::schedule {
namespace {

TEST(TimeZone, IsFoundByItsName) {
  EXPECT_EQ(zone("Europe/Rome").name(), "Europe/Rome");
  EXPECT_EQ(zone("UTC").period_at(utc("2026-07-01 00:00:00")).offset,
            std::chrono::seconds{0});
}

TEST(TimeZone, KnowsWhenClocksChange) {
  const ZonePeriod summer =
      zone("Europe/Rome").period_at(utc("2026-07-01 00:00:00"));
  EXPECT_EQ(text_of(summer.begin), "2026-03-29 01:00:00");
  EXPECT_EQ(text_of(summer.end), "2026-10-25 01:00:00");
  EXPECT_EQ(summer.offset, std::chrono::hours{2});
  EXPECT_EQ(summer.offset_before, std::chrono::hours{1});
  EXPECT_EQ(text_of(summer.begin_before), "2025-10-26 01:00:00");
}

TEST(TimeZone, SuggestsTheNameThatWasMeant) {
  EXPECT_EQ(TimeZone::find("Europe/Rmoe").error().what,
            "no time zone \"Europe/Rmoe\"; did you mean \"Europe/Rome\"?");
  EXPECT_EQ(TimeZone::find("../../etc/passwd").error().what,
            "no time zone \"../../etc/passwd\"");
}

TEST(TimeZone, OfTheMachineCanBeAnotherOne) {
  EXPECT_EQ(TimeZone::local("Asia/Tokyo")->name(), "Asia/Tokyo");
  EXPECT_EQ(TimeZone::local(":Asia/Tokyo")->name(), "Asia/Tokyo");
  EXPECT_EQ(*TimeZone::local(""), TimeZone::utc());
  EXPECT_EQ(TimeZone::local("nonsense").error().what,
            "TZ: no time zone \"nonsense\"");
}

}  // namespace
}  // namespace troupe::schedule
