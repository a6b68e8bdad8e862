#include "job_words.hpp"

#include <troupe/base/wall_time.hpp>

#include <cstdlib>
#include <ctime>
#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

const WallTime noon = *parse_wall_time("2026-05-01T12:00:00Z");

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "" : result.error().what;
}

TEST(TaskName, IsAJobOrOneOfItsTasks) {
  EXPECT_EQ(parse_task_name("17"), (TaskName{17, std::nullopt}));
  EXPECT_EQ(parse_task_name("17.0"), (TaskName{17, 0}));
  EXPECT_EQ(parse_task_name("17.123"), (TaskName{17, 123}));
}

TEST(TaskName, RefusesWhatIsNone) {
  for (const char* text : {"", "0", "x", "-1", "17.", ".3", "17.x", "1.2.3",
                           " 17", "99999999999999999999"})
    EXPECT_EQ(error_of(parse_task_name(text)),
              std::string{"expected a job such as 17 or a task such as 17.3, "
                          "got \""} +
                  text + "\"");
}

TEST(JobNumbers, AreReadOnceEach) {
  EXPECT_EQ(parse_jobs({"3", "1", "3"}).value(),
            (std::vector<std::uint64_t>{3, 1}));
  EXPECT_EQ(error_of(parse_jobs({})), "no job given");
  EXPECT_EQ(error_of(parse_jobs({"3", "17.3"})),
            "expected a job such as 17, got \"17.3\"");
}

TEST(JobNeeds, AreSuccessUnlessTheySaySomethingElse) {
  EXPECT_EQ(
      parse_needs("5,6:failed,7:finished").value(),
      (std::vector<JobNeed>{{5, "succeeded"}, {6, "failed"}, {7, "finished"}}));
  EXPECT_EQ(error_of(parse_needs("5:finishd")),
            "expected succeeded, finished or failed, got \"finishd\"; did you "
            "mean \"finished\"?");
  EXPECT_EQ(error_of(parse_needs("5,")), "expected a job such as 17, got \"\"");
}

TEST(Priority, IsOneOfFour) {
  EXPECT_EQ(parse_priority("high").value(), "high");
  EXPECT_EQ(error_of(parse_priority("hihg")),
            "expected low, normal, high or critical, got \"hihg\"; did you "
            "mean \"high\"?");
}

TEST(NumberRange, HasBothEndsAndAStep) {
  EXPECT_EQ(parse_range("1-1000").value(), (NumberRange{1, 1000, 1}));
  EXPECT_EQ(parse_range("0-100:10").value(), (NumberRange{0, 100, 10}));
  EXPECT_EQ(parse_range("0-100:10")->size(), 11U);
  EXPECT_EQ(parse_range("7-7")->size(), 1U);
  for (const char* text : {"", "5", "5-", "-5", "9-1", "1-9:0", "1-9:", "1-x"})
    EXPECT_EQ(error_of(parse_range(text)),
              std::string{"expected numbers such as 1-1000 or 0-100:10, got "
                          "\""} +
                  text + "\"");
}

TEST(Resources, AreNumbersAndMemoryASize) {
  EXPECT_EQ(parse_resources("cpu=0.5,mem=1GiB,gpu=2")->dump(),
            R"({"cpu":0.5,"mem":1073741824,"gpu":2})");
  for (const char* text :
       {"cpu", "cpu=", "=2", "cpu=-1", "cpu=0", "cpu=0.0001", "mem=much"})
    EXPECT_EQ(error_of(parse_resources(text)),
              std::string{"expected amounts such as cpu=2,mem=1GiB,gpu=1, got "
                          "\""} +
                  text + "\"");
}

TEST(ExitCodes, AreBytes) {
  EXPECT_EQ(parse_exit_codes("0,3").value(), (std::vector<int>{0, 3}));
  EXPECT_EQ(error_of(parse_exit_codes("0,256")),
            "expected exit codes such as 0,3, got \"256\"");
}

TEST(StartTime, OfAClockIsTheNextOne) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const auto shown = [](const char* text) {
    const auto time = parse_start_time(text, noon);
    return time ? format_wall_time(*time) : time.error().what;
  };
  EXPECT_EQ(shown("12:01"), "2026-05-01T12:01:00.000Z");
  EXPECT_EQ(shown("12:00"), "2026-05-02T12:00:00.000Z");
  EXPECT_EQ(shown("03:30:15"), "2026-05-02T03:30:15.000Z");
  EXPECT_EQ(shown("2026-05-01T00:00:00Z"), "2026-05-01T00:00:00.000Z");
  EXPECT_EQ(shown("soon"),
            "expected a time such as 03:30 or 2026-05-01T03:30:00Z, got "
            "\"soon\"");
  ::unsetenv("TZ");
}

}  // namespace
}  // namespace troupe::cli
