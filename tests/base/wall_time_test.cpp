#include <troupe/base/wall_time.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe {
namespace {

TEST(WallTime, IsReadAsItIsWritten) {
  EXPECT_TRUE(rc::check([] {
    const auto ms = *rc::gen::inRange<std::int64_t>(0, 7'000'000'000'000);
    const WallTime time{std::chrono::milliseconds{ms}};
    RC_ASSERT(parse_wall_time(format_wall_time(time)) == time);
  }));
}

TEST(WallTime, IsWrittenInUtcWithMilliseconds) {
  EXPECT_EQ(format_wall_time(WallTime{}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_wall_time(WallTime{1769860800123ms}),
            "2026-01-31T12:00:00.123Z");
}

TEST(WallTime, OffsetsAndFractionsAreUnderstood) {
  const WallTime noon = parse_wall_time("2026-01-31T12:00:00Z").value();
  EXPECT_EQ(format_wall_time(noon), "2026-01-31T12:00:00.000Z");
  EXPECT_EQ(parse_wall_time("2026-01-31 13:30:00+01:30"), noon);
  EXPECT_EQ(parse_wall_time("2026-01-31t11:00:00-01:00"), noon);
  EXPECT_EQ(format_wall_time(*parse_wall_time("2026-12-31T23:30:00.25-01:00")),
            "2027-01-01T00:30:00.250Z");
  EXPECT_EQ(parse_wall_time("2026-01-31T12:00:00.000000001Z"),
            noon + std::chrono::nanoseconds{1});
}

TEST(WallTime, WhatIsNoTimeIsRefused) {
  for (const char* const text :
       {"", "soon", "2026-01-31", "2026-13-01T00:00:00Z",
        "2026-02-30T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:00",
        "2026-01-31T12:00:00.Z", "2026-01-31T12:00Z", "2026-01-31T12:00:00Z ",
        "1969-12-31T23:59:59Z", "2026-01-31T12:00:00.1234567890Z",
        "2026-01-31T12:00:00+1:00"})
    EXPECT_FALSE(parse_wall_time(text)) << text;
}

}  // namespace
}  // namespace troupe
