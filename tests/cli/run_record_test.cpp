// What RunRecord writes is history that can be read.
#include "run_record.hpp"

#include "run_events.hpp"
#include "run_json.hpp"

#include <gtest/gtest.h>
#include <string>

namespace troupe::cli {
namespace {

using workflow::JobState;
using workflow::RunResult;
using workflow::StepOutcome;

constexpr const char* path = "/home/ada/etl.yaml";

WallTime moment(Duration since_start) { return at(since_start, Notice{}).at; }

std::string record_text() {
  RunRecord record;
  record.apply(at(0s, run_started()));
  record.apply(at(0s, JobChanged{build, JobState::ready, {}}));
  record.apply(at(1s, JobChanged{build, JobState::running, {}}));
  record.apply(at(1s, StepStarted{compile, "cc -c x.c", 2}));
  record.apply(at(2s, failed_attempt(1, 1s)));
  auto attempt = std::make_shared<actors::Attempt>();
  attempt->number = 2;
  attempt->report.emplace().wall = 2500ms;
  record.apply(at(5s, AttemptEnded{compile, 2, attempt, std::nullopt, "x"}));
  record.apply(at(5s, StepFinished{.step = compile, .took = 4s}));
  record.apply(at(5s, JobChanged{build, JobState::succeeded, {}}));
  record.apply(at(5s, JobChanged{check, JobState::skipped, "so"}));
  record.apply(at(6s, RunEnded{RunResult::success}));
  return record.text();
}

TEST(RunRecordReading, GivesTheRunBackThatWasWritten) {
  const auto run = past_run_from_record(record_text(), path);
  ASSERT_TRUE(run) << run.error().what;
  EXPECT_EQ(run->id, "20231114-221320-abcd");
  EXPECT_EQ(run->result, RunResult::success);
  EXPECT_EQ(run->start, moment(0s));
  EXPECT_EQ(run->end, moment(6s));
  EXPECT_EQ(run->max_parallel, 2u);
  ASSERT_EQ(run->jobs.size(), 3u);
  const auto& job = run->jobs[0];
  EXPECT_EQ(job.job, "build");
  EXPECT_EQ(job.label, "build (eu)");
  EXPECT_EQ(job.state, JobState::succeeded);
  EXPECT_EQ(job.ready, moment(0s));
  EXPECT_EQ(job.start, moment(1s));
  EXPECT_EQ(job.end, moment(5s));
  ASSERT_EQ(job.steps.size(), 1u);
  EXPECT_EQ(job.steps[0].step, "compile");
  EXPECT_EQ(job.steps[0].outcome, StepOutcome::success);
  EXPECT_EQ(job.steps[0].command, "cc -c x.c");
  EXPECT_EQ(job.steps[0].attempts, 2u);
  EXPECT_EQ(job.steps[0].took, 4s);
  EXPECT_EQ(job.steps[0].last_attempt, 2500ms);
  EXPECT_EQ(run->jobs[1].state, JobState::skipped);
  EXPECT_EQ(run->jobs[1].start, std::nullopt);
}

TEST(RunRecordReading, TellsRunsOfOtherWorkflowsApart) {
  const std::string text = record_text();
  EXPECT_TRUE(may_be_of(text, path));
  EXPECT_FALSE(may_be_of(text, "/home/ada/other.yaml"));
  const auto run = past_run_from_record(text, "/home/ada/other.yaml");
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code, Errc::not_found);
}

TEST(RunRecordReading, RefusesWhatIsNoRecord) {
  for (const std::string text :
       {"", "{", "[]", "7", R"({"path": "/home/ada/etl.yaml"})",
        R"({"path": "/home/ada/etl.yaml", "result": "success", "start": 3})"}) {
    const auto run = past_run_from_record(text, path);
    ASSERT_FALSE(run) << text;
    EXPECT_EQ(run.error().code, Errc::corrupt) << text;
  }
}

}  // namespace
}  // namespace troupe::cli
