#include "subcommand.hpp"

#include <cstdlib>
#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

class Words : public ::testing::Test {
 protected:
  Words() {
    app.add_option("-j,--jobs", jobs);
    app.add_option("--tag", tag);
    app.add_flag("-k,--keep-order", keep);
    app.add_flag("-q", quiet);
  }
  CLI::App app{"", "troupe map"};
  std::string jobs;
  std::string tag;
  bool keep = false;
  bool quiet = false;
};

TEST_F(Words, KnowsWhichOptionsTakeTheNextWord) {
  for (const char* typed : {"--jobs", "--tag", "-j", "-kj", "-kqj"})
    EXPECT_TRUE(takes_value(app, typed)) << typed;
  for (const char* typed :
       {"--jobs=8", "-j8", "-kj8", "-k", "-kq", "--keep-order", "--other", "-x",
        "-", "--", "word", ""})
    EXPECT_FALSE(takes_value(app, typed)) << typed;
}

TEST_F(Words, GoesOnAfterWhatItUnderstands) {
  EXPECT_EQ(parse(app, {"-k", "--jobs", "8"}), std::nullopt);
  EXPECT_EQ(jobs, "8");
  EXPECT_TRUE(keep);
}

TEST_F(Words, SuggestsTheOptionThatWasMeant) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(parse(app, {"--job=8"}), exit_usage);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "troupe: map: unknown option --job; did you mean --jobs?\n"
            "Try \"troupe map --help\".\n");
}

TEST_F(Words, SaysOfAFlagThatItTakesNoValue) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(parse(app, {"--jobs=8", "--keep-order=foo"}), exit_usage);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "troupe: map: --keep-order takes no value, got \"foo\"\n"
            "Try \"troupe map --help\".\n");
}

TEST(UsageError, PointsToTheHelpOfTheCommandWithTheMistake) {
  CLI::App put{"", "troupe artifact put"};
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(parse(put, {"--foo"}), exit_usage);
  EXPECT_EQ(usage_error("submit", "no command given"), exit_usage);
  EXPECT_EQ(usage_error("unknown command \"exce\""), exit_usage);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "troupe: artifact put: unknown option --foo\n"
            "Try \"troupe artifact put --help\".\n"
            "troupe: submit: no command given\n"
            "Try \"troupe submit --help\".\n"
            "troupe: unknown command \"exce\"\n"
            "Try \"troupe --help\".\n");
}

TEST_F(Words, LooksForNoOptionBehindTheTwoDashes) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(parse(app, {"--", "--job"}), exit_usage);
  EXPECT_EQ(::testing::internal::GetCapturedStderr().find("unknown option"),
            std::string::npos);
}

TEST(CrashesForTest, AreReadFromTheEnvironment) {
  ::unsetenv("TROUPE_TEST_CRASH_ACTORS");
  EXPECT_EQ(crashes_for_test(), 0U);
  ::setenv("TROUPE_TEST_CRASH_ACTORS", "2", 1);
  EXPECT_EQ(crashes_for_test(), 2U);
  ::setenv("TROUPE_TEST_CRASH_ACTORS", "x", 1);
  EXPECT_EQ(crashes_for_test(), 0U);
  ::unsetenv("TROUPE_TEST_CRASH_ACTORS");
  EXPECT_EQ(events_for_test(), 0U);
  ::setenv("TROUPE_TEST_END_AFTER_EVENTS", "3", 1);
  EXPECT_EQ(events_for_test(), 3U);
  ::unsetenv("TROUPE_TEST_END_AFTER_EVENTS");
}

}  // namespace
}  // namespace troupe::cli
