#include "run_json.hpp"

#include "run_events.hpp"

#include <gtest/gtest.h>
#include <string>

namespace troupe::cli {
namespace {

using workflow::JobState;
using workflow::RunResult;
using workflow::StepOutcome;

template <class What>
std::string json(What what) {
  const auto value = to_json(at(1500ms, std::move(what)));
  return value ? value->dump() : "";
}

TEST(RunJson, HasOneObjectForEachEvent) {
  EXPECT_EQ(
      json(run_started()),
      R"~({"type":"run_started","time":"2023-11-14T22:13:21.500Z",)~"
      R"~("run":"20231114-221320-abcd","workflow":"etl","name":null,"file":"etl.yaml",)~"
      R"~("folder":"/state/runs/20231114-221320-abcd","jobs":[)~"
      R"~({"job":"build","label":"build (eu)"},)~"
      R"~({"job":"check","label":"check"},{"job":"ship","label":"ship"}]})~");
  EXPECT_EQ(json(JobChanged{build, JobState::timed_out, "too long"}),
            R"~({"type":"job_state","time":"2023-11-14T22:13:21.500Z",)~"
            R"~("job":"build","label":"build (eu)","state":"timed_out",)~"
            R"~("reason":"too long"})~");
  EXPECT_EQ(json(StepStarted{compile, "cc \xff", 3}),
            R"~({"type":"step_started","time":"2023-11-14T22:13:21.500Z",)~"
            R"~("job":"build","label":"build (eu)","step":"compile",)~"
            R"~("name":"compile all","command":"cc )~"
            "\xef\xbf\xbd"
            R"~(","attempts":3})~");
  EXPECT_EQ(json(StepFinished{.step = compile,
                              .outcome = StepOutcome::failure,
                              .reason = "exited with 1",
                              .took = 1500ms,
                              .log = "/logs/x",
                              .outputs = {{"rows", "7"}}}),
            R"~({"type":"step_finished","time":"2023-11-14T22:13:21.500Z",)~"
            R"~("job":"build","label":"build (eu)","step":"compile",)~"
            R"~("name":"compile all","outcome":"failure","continued":false,)~"
            R"~("reason":"exited with 1","seconds":1.5,)~"
            R"~("outputs":{"rows":"7"},"log":"/logs/x"})~");
  EXPECT_EQ(json(RunEnded{RunResult::cancelled}),
            R"~({"type":"run_finished","time":"2023-11-14T22:13:21.500Z",)~"
            R"~("result":"cancelled"})~");
  const auto attempt = to_json(at(0s, failed_attempt(2, 1500ms)));
  ASSERT_TRUE(attempt);
  EXPECT_EQ(attempt->at("type"), "attempt_finished");
  EXPECT_EQ(attempt->at("attempt").at("number"), 2);
  EXPECT_EQ(attempt->at("attempt").at("log"), "/logs/compile.log");
  EXPECT_EQ(attempt->at("next_in_s"), 1.5);
  EXPECT_EQ(json(AttemptStarted{compile, 1}), "");
  EXPECT_EQ(json(Notice{"x"}), "");
}

TEST(RunRecord, KeepsWhatBecameOfEachJobAndStep) {
  RunRecord record;
  record.apply(at(0s, run_started()));
  record.apply(at(0s, JobChanged{build, JobState::ready, {}}));
  record.apply(at(250ms, JobChanged{build, JobState::running, {}}));
  record.apply(at(250ms, StepStarted{compile, "cc -c x.c", 2}));
  record.apply(at(1s, failed_attempt(1, 1s)));
  record.apply(at(2s, failed_attempt(2, std::nullopt)));
  record.apply(at(2s, StepFinished{.step = compile,
                                   .outcome = StepOutcome::failure,
                                   .reason = "exited with 1"}));
  record.apply(at(2s, JobChanged{build, JobState::failed, "bad"}));
  record.apply(at(3s, RunEnded{RunResult::failure}));
  const auto whole = nlohmann::json::parse(record.text());
  EXPECT_EQ(whole.at("path"), "/home/ada/etl.yaml");
  EXPECT_EQ(whole.at("max_parallel"), 2);
  EXPECT_EQ(whole.at("result"), "failure");
  EXPECT_EQ(whole.at("end"), "2023-11-14T22:13:23.000Z");
  EXPECT_EQ(whole.at("jobs").size(), 3u);
  const auto& job = whole.at("jobs").at(0);
  EXPECT_EQ(job.at("state"), "failed");
  EXPECT_EQ(job.at("start"), "2023-11-14T22:13:20.250Z");
  EXPECT_EQ(job.at("ready"), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(job.at("end"), "2023-11-14T22:13:22.000Z");
  EXPECT_EQ(job.at("steps").at(0).at("step"), "compile");
  EXPECT_EQ(job.at("steps").at(0).at("command"), "cc -c x.c");
  EXPECT_EQ(job.at("steps").at(0).at("attempts").size(), 2u);
  EXPECT_EQ(whole.at("jobs").at(1).at("state"), "pending");
}

TEST(RunJson, TellsOfServices) {
  using State = ServiceChanged::State;
  EXPECT_EQ(json(ServiceChanged{"db", State::starting, 7, {}, "/l/db.log"}),
            "{\"type\":\"service_state\",\"time\":\"2023-11-14T22:13:21.500Z\","
            "\"service\":\"db\",\"state\":\"starting\",\"pid\":7,"
            "\"reason\":null,\"log\":\"/l/db.log\"}");
  RunRecord record;
  record.apply(at(0s, run_started()));
  EXPECT_FALSE(nlohmann::json::parse(record.text()).contains("services"));
  record.apply(at(0s, ServiceChanged{"db", State::starting, 7, {}, "/l"}));
  record.apply(at(1s, ServiceChanged{"db", State::ended, 0, "died", "/l"}));
  record.apply(at(1s, ServiceChanged{"db", State::starting, 8, {}, "/l"}));
  record.apply(at(2s, ServiceChanged{"db", State::ready, 0, {}, "/l"}));
  EXPECT_EQ(nlohmann::ordered_json::parse(record.text())["services"].dump(),
            "[{\"service\":\"db\",\"state\":\"ready\",\"restarts\":1,"
            "\"reason\":\"died\",\"log\":\"/l\"}]");
}

}  // namespace
}  // namespace troupe::cli
