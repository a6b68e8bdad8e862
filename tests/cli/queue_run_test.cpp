// What people see of runs of workflows.
#include "queue_run.hpp"

#include <troupe/workflow/load.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

const WallTime now{
    std::chrono::seconds{1'777'637'000}};  // 2026-05-01T12:03:20Z

QueueRun read(const char* json) {
  const auto run = run_from_json(Json::parse(json));
  EXPECT_TRUE(run) << (run ? "" : run.error().what);
  return run.value_or(QueueRun{});
}

QueueRun etl() {
  return read(R"json({"run":7,"name":"etl","state":"running","jobs":4,
    "ended_jobs":2,"failed_jobs":1,"file":"/etl.yaml","group":"default",
    "inputs":{"date":"today"},"submitted":"2026-05-01T12:03:00.000Z",
    "instances":[
      {"job":"pull","label":"pull (eu)","state":"succeeded",
       "started":"2026-05-01T12:03:00Z","ended":"2026-05-01T12:03:02Z","steps":[
        {"step":0,"id":"get","name":"./get","state":"success","job":1,
         "attempts":2,"wall_ms":1500.0,"ended":"2026-05-01T12:03:02Z"},
        {"step":1,"id":"","name":"./check","state":"skipped",
         "reason":"its condition is false","ended":"2026-05-01T12:03:02Z"}]},
      {"job":"lint","label":"lint","state":"failed",
       "reason":"its command failed","started":"2026-05-01T12:03:00Z",
       "ended":"2026-05-01T12:03:01Z","steps":[
        {"step":0,"id":"run","name":"./lint","state":"failure","job":2,
         "attempts":1,"exit_status":3,"reason":"exited with 3",
         "ended":"2026-05-01T12:03:01Z"}]},
      {"job":"load","label":"load","state":"running",
       "started":"2026-05-01T12:03:10Z","steps":[
        {"step":0,"id":"run","name":"./load","state":"queued","job":3}]},
      {"job":"report","label":"report","needs":["load","lint"],
       "state":"pending","steps":[]}],
    "notes":[{"at":"2026-05-01T12:03:01Z","what":"group \"g\" gives up"}]
})json");
}

TEST(QueueRun, IsShownAsATree) {
  EXPECT_EQ(describe_run(etl(), now),
            R"(run r7: etl, running (2/4, 1 failed)
  file        /etl.yaml
  inputs      date=today
  group       default
  submitted   2026-05-01T12:03:00.000Z, 20s ago
jobs:
  pull (eu)  succeeded    2s
    get      success    1.5s  job 1, 2 attempts
    ./check  skipped          its condition is false
  lint       failed       1s  job 2, exit status 3: exited with 3
  load       queued      10s  job 3
  report     pending          waits for load, lint
group "g" gives up
)");
}

TEST(QueueRun, IsALineInAList) {
  EXPECT_EQ(render_runs({etl()}, now, {}),
            "ID  NAME  STATE    JOBS           AGE\n"
            "r7  etl   running  2/4, 1 failed  20s\n");
}

TEST(QueueRun, HasANameOfItsOwn) {
  EXPECT_EQ(run_number("r7"), 7U);
  EXPECT_EQ(run_number("7"), std::nullopt);
  EXPECT_EQ(run_number("report"), std::nullopt);
  EXPECT_EQ(run_number("r7.1"), std::nullopt);
  EXPECT_EQ(run_text(7), "r7");
  EXPECT_EQ(parse_runs({"r1", "2"}).error().what,
            "expected a run such as r7, got \"2\"");
}

TEST(QueueRun, LogsAreFoundByJobAndStep) {
  const auto jobs_of = [](const std::string& job, const std::string& step) {
    std::vector<std::uint64_t> jobs;
    const auto logs = logs_of(etl(), job, step);
    EXPECT_TRUE(logs) << (logs ? "" : logs.error().what);
    for (const RunLog& log : logs.value_or(std::vector<RunLog>{}))
      jobs.push_back(log.job);
    return jobs;
  };
  EXPECT_EQ(jobs_of("", ""), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(jobs_of("pull", ""), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(jobs_of("pull (eu)", "get"), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(jobs_of("pull", "1"), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(logs_of(etl(), "laod", "").error().what,
            "run r7 has no job \"laod\"; did you mean \"load\"?");
  EXPECT_EQ(logs_of(etl(), "pull", "gett").error().what,
            "run r7 has no step that was started \"gett\"; did you mean "
            "\"get\"?");
}

TEST(QueueRun, ItsServicesAreShownWithTheirLog) {
  const QueueRun run = read(R"json({"run":7,"name":"etl","state":"running",
    "instances":[{"job":"load","label":"load","state":"running"}],
    "services":{"job":4,"has_ended":false,"states":[
      {"service":"db","state":"up","reason":""},
      {"service":"mq","state":"down","reason":""},
      {"service":"web","state":"lost","reason":"it has given up"}]}})json");
  EXPECT_THAT(describe_run(run, now),
              ::testing::HasSubstr(R"(services (troupe logs r7 services):
  db   up
  mq   not ready
  web  lost         it has given up
)"));
  const auto logs = logs_of(run, "services", "");
  ASSERT_TRUE(logs);
  EXPECT_EQ(logs->at(0).job, 4U);
  // They go on for as long as the run.
  EXPECT_TRUE(logs_of(run, "", "")->empty());
  EXPECT_FALSE(logs_of(etl(), "services", ""));
}

TEST(QueueRun, WhatIsNoRunIsCorrupt) {
  EXPECT_EQ(run_from_json(Json{{"job", 1}}).error().code, Errc::corrupt);
  EXPECT_EQ(runs_from_json(Json::object()).error().code, Errc::corrupt);
}

TEST(Graph, NamesAreQuotedForWhoeverDraws) {
  const auto workflow = workflow::load_workflow("w.yaml", R"(
name: a "b"
jobs:
  pull:
    strategy: { matrix: { r: [eu, us] } }
    run: x
  lint: { run: x }
  load: { needs: [pull, { job: lint, when: failed }], run: x }
)");
  ASSERT_TRUE(workflow) << workflow.error().what;
  EXPECT_EQ(render_graph(**workflow, GraphFormat::dot, {}),
            R"(digraph "a \"b\"" {
  rankdir=LR;
  node [shape=box, style=rounded];
  j0 [label="pull x2"];
  j1 [label="lint"];
  j2 [label="load"];
  j0 -> j2;
  j1 -> j2 [label=failed];
}
)");
  EXPECT_EQ(render_graph(**workflow, GraphFormat::mermaid, etl()),
            R"(flowchart LR
  j0["pull x2<br/>succeeded"]:::succeeded
  j1["lint<br/>failed"]:::failed
  j2["load<br/>running"]:::running
  j0 --> j2
  j1 -->|failed| j2
  classDef failed fill:lightcoral
  classDef running fill:lightskyblue
  classDef succeeded fill:palegreen
)");
}

TEST(Graph, HasTheJobsThatAreCalled) {
  const auto workflow = workflow::load_workflow(
      "w.yaml", "jobs: {a: {uses: ./l.yaml}, b: {needs: a, uses: ./l.yaml}}\n",
      [](const std::string&) -> Result<std::string> {
        return std::string{
            "jobs: {pull: {run: x}, load: {needs: pull, run: x}}\n"};
      });
  ASSERT_TRUE(workflow) << workflow.error().what;
  EXPECT_EQ(render_graph(**workflow, GraphFormat::dot, {}),
            R"(digraph "w.yaml" {
  rankdir=LR;
  node [shape=box, style=rounded];
  j0 [label="a"];
  subgraph cluster_j0 {
    label="a";
    j0_0 [label="a/pull"];
    j0_1 [label="a/load"];
    j0_0 -> j0_1;
  }
  j0 -> j0_0 [style=dotted];
  j1 [label="b"];
  subgraph cluster_j1 {
    label="b";
    j1_0 [label="b/pull"];
    j1_1 [label="b/load"];
    j1_0 -> j1_1;
  }
  j1 -> j1_0 [style=dotted];
  j0 -> j1;
}
)");
}

TEST(Graph, HasTheTimesThatAreKnownAndTheCriticalPath) {
  const auto workflow = workflow::load_workflow("etl.yaml", R"(
jobs:
  pull: { run: x }
  lint: { run: x }
  load: { needs: [lint, { job: pull, when: finished }], run: x }
)");
  ASSERT_TRUE(workflow) << workflow.error().what;
  const workflow::EstimateFunction estimate = [](const std::string& job,
                                                 const std::string&) {
    if (job == "lint")
      return Duration{0};
    return job == "pull" ? Duration{90s} : Duration{1s};
  };
  EXPECT_EQ(render_graph(**workflow, GraphFormat::dot, {}, estimate),
            R"(digraph "etl.yaml" {
  rankdir=LR;
  node [shape=box, style=rounded];
  j0 [label="pull\nabout 1m30s"];
  j1 [label="lint"];
  j2 [label="load\nabout 1s"];
  j1 -> j2;
  j0 -> j2 [label=finished, style=bold];
}
)");
  EXPECT_EQ(render_graph(**workflow, GraphFormat::mermaid, {}, estimate),
            R"(flowchart LR
  j0["pull<br/>about 1m30s"]
  j1["lint"]
  j2["load<br/>about 1s"]
  j1 --> j2
  j0 ==>|finished| j2
)");
}

}  // namespace
}  // namespace troupe::cli
