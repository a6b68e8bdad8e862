#include <troupe/base/quantity.hpp>

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(ParseDuration, ReadsEveryUnitDecimalsAndSums) {
  EXPECT_EQ(parse_duration("500ms"), Duration{500ms});
  EXPECT_EQ(parse_duration("30s"), Duration{30s});
  EXPECT_EQ(parse_duration("5m"), Duration{5min});
  EXPECT_EQ(parse_duration("2h"), Duration{2h});
  EXPECT_EQ(parse_duration("1d"), Duration{24h});
  EXPECT_EQ(parse_duration("1.5s"), Duration{1500ms});
  EXPECT_EQ(parse_duration("1h30m"), Duration{90min});
  EXPECT_EQ(parse_duration("0"), Duration{0});
}

TEST(ParseDuration, RefusesWhatHasNoUnitOrMakesNoSense) {
  for (const char* bad : {"", "5", "soon", "-1s", "s", "1s1s", "1m1h", "1 s",
                          "1e9s", "0x1s", "1.s.", "inf", "nan", "101d5y"})
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  EXPECT_EQ(parse_duration("soon").error().what,
            "expected a duration such as 500ms, 30s, 5m, 2h or 1d, got "
            "\"soon\"");
  EXPECT_EQ(parse_duration("99999999d").error().what,
            "expected a duration of at most 100 years, got \"99999999d\"");
}

TEST(RoughDuration, HasAboutThreeDigitsThatMatter) {
  EXPECT_EQ(rough_duration(0s), "0s");
  EXPECT_EQ(rough_duration(1499us), "1ms");
  EXPECT_EQ(rough_duration(9123456us), "9.123s");
  EXPECT_EQ(rough_duration(12345ms), "12.3s");
  EXPECT_EQ(rough_duration(61499ms), "1m1s");
  EXPECT_EQ(rough_duration(2h + 29s), "2h");
  EXPECT_EQ(rough_duration(2h + 31s), "2h1m");
  EXPECT_EQ(rough_duration(-12345ms), "-12.3s");
}

TEST(FormatDuration, GivesTheShortestFormThatParsesBack) {
  for (const char* text :
       {"0s", "500ms", "1s", "1.5s", "2m30s", "1h", "1h30m", "1d", "1d2h"})
    EXPECT_EQ(format_duration(parse_duration(text).value()), text);
}

TEST(ParseSize, TellsBinaryFromDecimalUnits) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("64KiB"), 65536U);
  EXPECT_EQ(parse_size("64K"), 65536U);
  EXPECT_EQ(parse_size("1.5GiB"), 1610612736U);
  EXPECT_EQ(parse_size("10MB"), 10000000U);
}

TEST(ParseSize, RefusesNonsense) {
  for (const char* bad : {"", "x", "-1", "1 GiB", "1Q", "1G1M", "99999TiB9"})
    EXPECT_FALSE(parse_size(bad).has_value()) << bad;
}

TEST(FormatSize, KeepsThreeSignificantDigits) {
  EXPECT_EQ(format_size(17), "17 B");
  EXPECT_EQ(format_size(1536), "1.50 KiB");
  EXPECT_EQ(format_size(1610612736), "1.50 GiB");
}

TEST(ParseCount, RefusesSignsSpacesAndOverflow) {
  EXPECT_EQ(parse_count("42"), 42U);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "9999999999999999999"})
    EXPECT_FALSE(parse_count(bad).has_value()) << bad;
}

}  // namespace
}  // namespace troupe
