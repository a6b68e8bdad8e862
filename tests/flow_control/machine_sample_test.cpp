#include <troupe/flow_control/machine_sample.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <string>

namespace troupe::flow_control {
namespace {

TEST(ParseMeminfo, ReadsTotalAndAvailable) {
  EXPECT_EQ(parse_meminfo("MemTotal:       24684092 kB\n"
                          "MemFree:        24064228 kB\n"
                          "MemAvailable:   24293488 kB\n"
                          "HugePages_Total:       0\n"),
            (MemoryInfo{.total_bytes = 24684092ULL * 1024,
                        .available_bytes = 24293488ULL * 1024}));
}

TEST(ParseMeminfo, IsUnknownIfAnythingNeededIsMissing) {
  for (const char* text :
       {"", "MemTotal: 5 kB\n", "MemTotal: 5 kB\nMemAvailable: x kB\n",
        "MemTotal: 5 kB\nMemAvailable: 5 MB\n", "MemTotal\nMemAvailable\n",
        "MemTotal: -5 kB\nMemAvailable: 5 kB\n",
        "MemTotal: 5 kB\nMemAvailable: 18446744073709551615 kB\n"})
    EXPECT_EQ(parse_meminfo(text), std::nullopt) << text;
}

TEST(ParsePressure, ReadsTheTenSecondAverages) {
  EXPECT_EQ(
      parse_pressure("some avg10=0.71 avg60=0.81 avg300=0.39 total=8970133\n"
                     "full avg10=12.00 avg60=0.00 avg300=0.00 total=0\n"),
      (Pressure{.some_avg10 = 0.71, .full_avg10 = 12}));
}

TEST(ParsePressure, TakesAMissingFullLineForZero) {
  EXPECT_EQ(parse_pressure("some avg10=99.50 avg60=1.00 avg300=0.39 total=8\n"),
            (Pressure{.some_avg10 = 99.5, .full_avg10 = 0}));
}

TEST(ParsePressure, IsUnknownOnAKernelWithoutIt) {
  for (const char* text :
       {"", "\n", "full avg10=1.00\n", "some avg10=\n", "some avg60=1.00\n",
        "some avg10=-1.00\n", "some avg10=nan\n", "some avg10=inf\n",
        "some avg10=1.00x\n", "some avg10=1.00\nfull\n"})
    EXPECT_EQ(parse_pressure(text), std::nullopt) << text;
}

TEST(ParseLoadavg, ReadsTheLastMinuteAndWhatIsRunnableNow) {
  EXPECT_EQ(parse_loadavg("0.33 0.17 0.06 2/89 8839\n"),
            (LoadAverage{.one_minute = 0.33, .runnable = 2}));
}

TEST(ParseLoadavg, IsUnknownIfItMakesNoSense) {
  for (const char* text :
       {"", "x", "0.33", "0.33 0.17 0.06", "0.33 0.17 0.06 x/89 1",
        "-1.00 0.17 0.06 2/89 8839"})
    EXPECT_EQ(parse_loadavg(text), std::nullopt) << text;
}

TEST(MachineSampleProperty, ParsersSurviveAnyText) {
  EXPECT_TRUE(rc::check("no text is too strange", [](const std::string& text) {
    for (const char* start : {"", "MemTotal:", "some ", "some avg10="}) {
      (void)parse_meminfo(start + text);
      const auto pressure = parse_pressure(start + text);
      RC_ASSERT(!pressure || pressure->some_avg10 >= 0);
      const auto load = parse_loadavg(start + text);
      RC_ASSERT(!load || load->one_minute >= 0);
    }
  }));
}

}  // namespace
}  // namespace troupe::flow_control
