#include <troupe/base/log.hpp>

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace troupe {
namespace {

/// TROUPE_LOG is read once, so each case needs a process of its own: the
/// statement runs in a child, and what it prints is compared.
void log_all(const char* level) {
  ::setenv("TROUPE_LOG", level, 1);
  log(LogLevel::debug, "started n=1");
  log(LogLevel::info, "started n=2");
  log(LogLevel::warn, "lost {} n=3");
  log(LogLevel::error, "failed n=4");
  std::exit(is_logged(LogLevel::info) ? 0 : 1);
}

constexpr const char* time = "[0-9T:.-]{23} ";

TEST(LogDeathTest, PrintsWarningsAndErrorsUnlessToldOtherwise) {
  const std::string expected = std::string{"^"} + time +
                               "warning lost \\{\\} n=3\n" + time +
                               "error failed n=4\n$";
  EXPECT_EXIT(log_all(""), ::testing::ExitedWithCode(1), expected);
  EXPECT_EXIT(log_all("nonsense"), ::testing::ExitedWithCode(1), expected);
}

TEST(LogDeathTest, PrintsFromTheLevelOnThatIsAskedFor) {
  EXPECT_EXIT(log_all("debug"), ::testing::ExitedWithCode(0),
              "debug started n=1\n.*info started n=2\n");
  EXPECT_EXIT(log_all("error"), ::testing::ExitedWithCode(1),
              std::string{"^"} + time + "error failed n=4\n$");
  EXPECT_EXIT(log_all("off"), ::testing::ExitedWithCode(1), "^$");
}

}  // namespace
}  // namespace troupe
