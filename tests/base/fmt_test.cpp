// The library for formatting is compiled once, with what is used of it
// (base/src/fmt.cpp). What is missing there is found by the linker, but for the
// optimised build only, which users make and CI does not.
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <locale>

namespace troupe {
namespace {

TEST(Fmt, FormatsTimesAndNumbersByALocale) {
  std::tm day{};
  day.tm_year = 126;
  day.tm_mday = 1;
  EXPECT_EQ(fmt::format(std::locale::classic(), "{:%Y-%m-%d %B}", day),
            "2026-01-01 January");
  EXPECT_EQ(fmt::format(std::locale::classic(), "{:L}", 1234), "1234");
}

}  // namespace
}  // namespace troupe
