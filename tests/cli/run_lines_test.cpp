#include "run_lines.hpp"

#include "run_events.hpp"

#include <gtest/gtest.h>
#include <string>

namespace troupe::cli {
namespace {

using workflow::JobState;
using workflow::StepOutcome;

template <class What>
std::string line(What what) {
  return line_of(at(0s, std::move(what)), "12:03:04");
}

TEST(RunLines, TellEveryChangeInOneLine) {
  EXPECT_EQ(line(run_started()),
            "12:03:04 run 20231114-221320-abcd of etl: 3 jobs\n");
  EXPECT_EQ(line(JobChanged{build, JobState::running, {}}),
            "12:03:04 job build (eu): started\n");
  EXPECT_EQ(line(StepStarted{compile, "cc x.c", 3}),
            "12:03:04 job build (eu): step \"compile all\" started\n");
  EXPECT_EQ(line(failed_attempt(1, 2s)),
            "12:03:04 job build (eu): step \"compile all\": attempt 1 of 3 "
            "exited with 1, next in 2s\n");
  EXPECT_EQ(line(StepFinished{.step = compile, .took = 1234ms}),
            "12:03:04 job build (eu): step \"compile all\" succeeded in "
            "1.2s\n");
  EXPECT_EQ(line(StepFinished{.step = compile,
                              .outcome = StepOutcome::failure,
                              .reason = "exited with 1",
                              .took = 12ms}),
            "12:03:04 job build (eu): step \"compile all\" failed after 12ms: "
            "exited with 1\n");
  EXPECT_EQ(line(StepFinished{.step = compile,
                              .outcome = StepOutcome::failure,
                              .forgiven = true,
                              .reason = "exited with 1"}),
            "12:03:04 job build (eu): step \"compile all\" failed after 0ms "
            "(continue-on-error): exited with 1\n");
  EXPECT_EQ(line(StepFinished{.step = compile,
                              .outcome = StepOutcome::skipped,
                              .reason = "its condition is false"}),
            "12:03:04 job build (eu): step \"compile all\" skipped: its "
            "condition is false\n");
  EXPECT_EQ(line(JobChanged{ship, JobState::timed_out, "it took too long"}),
            "12:03:04 job ship: timed out: it took too long\n");
  EXPECT_EQ(line(Notice{"stopping"}), "12:03:04 stopping\n");
}

TEST(RunLines, LeaveOutWhatAnotherLineSays) {
  EXPECT_EQ(line(JobChanged{build, JobState::ready, {}}), "");
  EXPECT_EQ(line(AttemptStarted{compile, 1}), "");
  EXPECT_EQ(line(failed_attempt(3, std::nullopt)), "");
  EXPECT_EQ(line(RunEnded{}), "");
}

TEST(RunLines, NeverPassControlCharactersOn) {
  StepRef step = compile;
  step.name = "a\x1b[2J\nb";
  EXPECT_EQ(line(StepStarted{step, "x", 1}),
            "12:03:04 job build (eu): step \"a\\x1b[2J\\nb\" started\n");
}

TEST(RunLines, RoundLengthsOfTime) {
  EXPECT_EQ(brief_duration(999us), "0ms");
  EXPECT_EQ(brief_duration(12ms), "12ms");
  EXPECT_EQ(brief_duration(1250ms), "1.3s");
  EXPECT_EQ(brief_duration(59940ms), "59.9s");
  EXPECT_EQ(brief_duration(64600ms), "1m5s");
  EXPECT_EQ(brief_duration(2h + 300ms), "2h");
}

}  // namespace
}  // namespace troupe::cli
