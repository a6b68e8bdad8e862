#include "run_view.hpp"

#include "run_events.hpp"

#include <troupe/base/text.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace troupe::cli {
namespace {

using workflow::JobState;
using workflow::RunResult;
using workflow::StepOutcome;

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines)
    out += line + "\n";
  return out;
}

/// A run in which build is at its second attempt.
RunView started_view() {
  RunView view;
  view.apply(at(0s, run_started()));
  view.apply(at(0s, JobChanged{build, JobState::running, {}}));
  view.apply(at(0s, StepStarted{compile, "cc x.c", 3}));
  view.apply(at(0s, AttemptStarted{compile, 1}));
  view.apply(at(1s, failed_attempt(1, 2s)));
  view.apply(at(3s, AttemptStarted{compile, 2}));
  return view;
}

RunView failed_view() {
  RunView view = started_view();
  view.apply(at(4s, StepFinished{.step = compile,
                                 .outcome = StepOutcome::failure,
                                 .reason = "exited with 1, gave up after 3 "
                                           "attempts",
                                 .took = 4s,
                                 .log = "/state/compile.3.log",
                                 .tail = "one\ntwo \x1b[2J\r\n"}));
  view.apply(at(4s, JobChanged{build, JobState::failed, "its command failed"}));
  view.apply(at(4s, JobChanged{check, JobState::failed, "env: too long"}));
  view.apply(
      at(4s, JobChanged{ship, JobState::skipped, "job \"build\" failed"}));
  view.apply(at(4500ms, RunEnded{RunResult::failure}));
  return view;
}

TEST(RunView, ShowsEachJobWithItsStepAndAttempt) {
  EXPECT_EQ(joined(started_view().frame({.columns = 60}, TimePoint{} + 75s)),
            "etl 1m15s: 1 running, 2 pending\n"
            "● build (eu)           1m15s     compile all (attempt 2 of …\n"
            "· check\n"
            "· ship\n");
}

TEST(RunView, ShowsHowJobsEnded) {
  EXPECT_EQ(
      joined(failed_view().frame({.columns = 70}, TimePoint{} + 9s)),
      "etl failed in 4.5s: 2 failed, 1 skipped\n"
      "✗ build (eu)              4s        failed: its command failed\n"
      "✗ check                             failed: env: too long\n"
      "- ship                              skipped: job \"build\" failed\n");
}

TEST(RunView, ColoursOnlyTheSymbols) {
  const auto lines =
      failed_view().frame({.columns = 70, .colour = true}, TimePoint{} + 9s);
  EXPECT_EQ(lines[1],
            "\x1b[31m✗\x1b[0m build (eu)              4s        failed: its "
            "command failed");
}

TEST(RunView, FitsIntoAnyTerminal) {
  RunView view;
  RunStarted start = run_started();
  start.jobs.clear();
  for (std::uint64_t i = 1; i <= 50; ++i)
    start.jobs.push_back({workflow::InstanceId{i}, "job",
                          fmt::format("jöb with a long näme {}", i)});
  view.apply(at(0s, start));
  for (std::size_t columns = 1; columns < 100; ++columns) {
    for (const std::size_t rows : {1U, 2U, 5U, 24U, 100U}) {
      const auto lines =
          view.frame({.columns = columns, .rows = rows}, TimePoint{} + 9s);
      EXPECT_LE(lines.size(), std::max<std::size_t>(rows - 1, 3));
      for (const std::string& line : lines)
        EXPECT_LE(display_width(line), std::max<std::size_t>(columns, 2));
    }
  }
}

TEST(RunView, ShowsWhatRunsWhereNotAllFits) {
  RunView view;
  RunStarted start = run_started();
  start.jobs.clear();
  for (std::uint64_t i = 1; i <= 9; ++i)
    start.jobs.push_back(
        {workflow::InstanceId{i}, "job", fmt::format("job {}", i)});
  view.apply(at(0s, start));
  view.apply(at(0s, JobChanged{start.jobs[7], JobState::running, {}}));
  view.apply(at(0s, JobChanged{start.jobs[2], JobState::failed, "bad"}));
  EXPECT_EQ(joined(view.frame({.columns = 40, .rows = 6}, TimePoint{})),
            "etl 0s: 1 running, 1 failed, 7 pending\n"
            "· job 1\n"
            "✗ job 3                   failed: bad\n"
            "● job 8         0s\n"
            "  and 6 more\n");
}

TEST(RunView, SumsUpAFailedRun) {
  EXPECT_EQ(
      failed_view().summary(),
      "\n"
      "job check failed: env: too long\n"
      "\n"
      "job build (eu), step \"compile all\": exited with 1, gave up after "
      "3 attempts\n"
      "    one\n"
      "    two \\x1b[2J\n"
      "  log: /state/compile.3.log\n"
      "\n"
      "run 20231114-221320-abcd failed in 4.5s: 2 failed, 1 skipped\n"
      "logs: /state/runs/20231114-221320-abcd\n");
}

TEST(RunView, SumsUpASuccessfulRunInOneLine) {
  RunView view = started_view();
  view.apply(at(4s, StepFinished{.step = compile,
                                 .outcome = StepOutcome::failure,
                                 .forgiven = true,
                                 .reason = "exited with 1"}));
  for (const JobRef& job : {build, check, ship})
    view.apply(at(4s, JobChanged{job, JobState::succeeded, {}}));
  view.apply(at(65s, RunEnded{RunResult::success}));
  EXPECT_EQ(view.summary(),
            "run 20231114-221320-abcd succeeded in 1m5s: 3 succeeded\n");
}

TEST(RunView, QuotesTheLastTwentyLines) {
  RunView view = started_view();
  std::string tail;
  for (int i = 1; i <= 30; ++i)
    tail += fmt::format("line {}\n", i);
  view.apply(at(4s, StepFinished{.step = compile,
                                 .outcome = StepOutcome::failure,
                                 .reason = "bad",
                                 .tail = tail}));
  const std::string text = view.summary();
  EXPECT_EQ(text.find("line 10\n"), std::string::npos);
  EXPECT_NE(text.find("    line 11\n    line 12\n"), std::string::npos);
}

TEST(FramePainter, DrawsOverTheLastFrameInOnePiece) {
  FramePainter painter;
  EXPECT_EQ(painter.draw({"a", "b"}), "\x1b[?25l\ra\x1b[K\n\rb\x1b[K\n");
  EXPECT_EQ(painter.draw({"a", "b"}), "");
  EXPECT_EQ(painter.draw({"c"}), "\x1b[2A\rc\x1b[K\n\x1b[J");
  EXPECT_EQ(painter.erase(), "\x1b[1A\r\x1b[J");
  EXPECT_EQ(painter.erase(), "");
  EXPECT_EQ(painter.draw({"c"}), "\rc\x1b[K\n");
  EXPECT_EQ(painter.finish(), "\x1b[?25h");
  EXPECT_EQ(painter.finish(), "");
}

TEST(RunView, ShowsJobsBelowThatWhichHasCalledThem) {
  RunView view = started_view();
  const JobRef pull{workflow::InstanceId{4}, "check/pull", "check/pull",
                    check.instance};
  const JobRef get{workflow::InstanceId{5}, "check/pull/get", "check/pull/get",
                   pull.instance};
  const JobRef load{workflow::InstanceId{6}, "check/load", "check/load",
                    check.instance};
  view.apply(at(4s, JobExpanded{"check/pull", {pull}, true}));
  view.apply(at(4s, JobExpanded{"check/pull/get", {get}, true}));
  view.apply(at(4s, JobExpanded{"check/load", {load}, true}));
  view.apply(at(4s, JobChanged{load, JobState::running, {}}));
  EXPECT_EQ(joined(view.frame({.columns = 60}, TimePoint{} + 75s)),
            "etl 1m15s: 2 running, 4 pending\n"
            "● build (eu)           1m15s     compile all (attempt 2 of …\n"
            "· check\n"
            "· check/pull\n"
            "· check/pull/get\n"
            "● check/load           1m11s\n"
            "· ship\n");
}

TEST(RunView, ShowsServicesBelowTheJobsInAThirdOfTheRoom) {
  using State = ServiceChanged::State;
  RunView view = started_view();
  for (const char* const name : {"db", "api"})
    view.apply(at(3s, ServiceChanged{name, State::starting, 7, {}, {}}));
  view.apply(at(4s, ServiceChanged{"db", State::ended, 0, "died", {}}));
  view.apply(at(4s, ServiceChanged{"db", State::starting, 8, {}, {}}));
  view.apply(at(5s, ServiceChanged{"db", State::ready, 0, {}, {}}));
  view.apply(at(6s, ServiceChanged{"api", State::lost, 0, "gone", {}}));
  const auto lines = view.frame({.columns = 60}, TimePoint{} + 75s);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[4], "✗ api                            service, lost: gone");
  EXPECT_EQ(lines[5],
            "◆ db                   1m10s     service, ready (start 2)");
  EXPECT_EQ(view.frame({.columns = 60, .rows = 8}, TimePoint{} + 75s).size(),
            5U);
}

}  // namespace
}  // namespace troupe::cli
