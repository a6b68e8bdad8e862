#include "insights_view.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using workflow::Finding;
using workflow::Insights;

Insights some() {
  Insights insights;
  insights.runs = 13;
  insights.succeeded = 11;
  insights.failed = 1;
  insights.cancelled = 1;
  insights.timed = 11;
  insights.median = 130s;
  insights.ninetieth = 182s;
  insights.path = {
      {.job = "pull", .step = "run", .runs = 11, .mean = 62s, .share = 0.476},
      {.job = "load", .step = "", .runs = 3, .mean = 1234ms, .share = 0.01},
      {.job = "load", .step = "copy", .runs = 11, .mean = 66s, .share = 0.5}};
  insights.has_enough_runs = true;
  insights.findings = {
      {20s, workflow::Unneeded{.job = "load", .need = "lint"}},
      {12s,
       workflow::Repeated{
           .job = "pull", .step = "run", .times = 11, .total = 682s}},
      {11s, workflow::Outlier{.job = "load",
                              .label = "load (eu)",
                              .step = "copy",
                              .took = 16s,
                              .typical = 5s,
                              .runs = 10}},
      {2s,
       workflow::Queueing{
           .job = "lint", .of_job = 10s, .of_all = 12s, .runs = 1}},
      {1s, workflow::Flaky{.job = "test",
                           .step = "unit",
                           .tries = 16,
                           .failures = 2,
                           .recovered = 1,
                           .changes = 2}}};
  return insights;
}

TEST(InsightsView, TellsWhatWasFoundWithTheNumbersItRestsOn) {
  EXPECT_EQ(
      describe_insights({.file = "etl.yaml", .records = 9, .of_node = 4},
                        some()),
      "etl.yaml: 13 runs (9 of troupe run and 4 of the node)\n"
      "  11 succeeded (85%), 1 failed, 1 cancelled\n"
      "  half of them took at most 2m10s, nine of ten 3m2s\n"
      "\n"
      "what decided when they ended, in the mean of 11 runs\n"
      "  SHARE TIME      RUNS  STEP\n"
      "   48%  1m2s      11    pull\n"
      "    1%  1.234s    3     load: waiting for a place\n"
      "   50%  1m6s      11    load/copy\n"
      "\n"
      "what would make runs end earlier, and by how much at most\n"
      "  20s       load waits for lint and uses no output of it: unless it "
      "needs the files of lint, both can run at the same time\n"
      "  12s       pull succeeded 11 times with one and the same command, "
      "which "
      "took 11m22s in all: if it reads the same files, too, its result can be "
      "kept\n"
      "  11s       load (eu)/copy took 16s in the last run, 5s in the 10 runs "
      "before (median)\n"
      "  2s        jobs were ready and waited for a place in 1 run: 12s a run "
      "in all, 10s of it lint\n"
      "  1s        test/unit is flaky: 2 of 16 attempts failed (13%); in 1 run "
      "it failed first and then succeeded; from run to run the same command "
      "changed 2 times between success and failure\n");
}

TEST(InsightsView, SaysWhenThereIsTooLittleToFindAnything) {
  EXPECT_EQ(describe_insights({.file = "etl.yaml"}, {}),
            "etl.yaml: 0 runs (0 of troupe run; no node answers)\n");
  Insights two;
  two.runs = 2;
  two.failed = 2;
  EXPECT_EQ(describe_insights({.file = "etl.yaml", .records = 2}, two),
            "etl.yaml: 2 runs (2 of troupe run; no node answers)\n"
            "  0 succeeded (0%), 2 failed\n"
            "\n"
            "to find more takes at least 3 runs\n");
  two.has_enough_runs = true;
  two.runs = 3;
  EXPECT_EQ(describe_insights({.file = "etl.yaml", .records = 3}, two),
            "etl.yaml: 3 runs (3 of troupe run; no node answers)\n"
            "  0 succeeded (0%), 2 failed\n"
            "\n"
            "nothing was found that would make runs end earlier\n");
}

TEST(InsightsView, HasAnObjectForPrograms) {
  const auto json =
      insights_to_json({.file = "etl.yaml", .records = 13}, some());
  EXPECT_EQ(json["runs"], 13);
  EXPECT_EQ(json["runs_of_troupe_run"], 13);
  EXPECT_EQ(json["runs_of_node"], nullptr);
  EXPECT_EQ(json["median_s"], 130);
  EXPECT_EQ(json["critical_path"][1]["step"], nullptr);
  EXPECT_EQ(json["critical_path"][2]["step"], "copy");
  ASSERT_EQ(json["findings"].size(), 5u);
  EXPECT_EQ(json["findings"][0]["kind"], "parallel");
  EXPECT_EQ(json["findings"][0]["saves_s"], 20);
  EXPECT_EQ(json["findings"][0]["need"], "lint");
  EXPECT_EQ(json["findings"][1]["kind"], "cache");
  EXPECT_EQ(json["findings"][1]["total_s"], 682);
  EXPECT_EQ(json["findings"][2]["kind"], "outlier");
  EXPECT_EQ(json["findings"][2]["median_s"], 5);
  EXPECT_EQ(json["findings"][3]["kind"], "queueing");
  EXPECT_EQ(json["findings"][3]["all_s"], 12);
  EXPECT_EQ(json["findings"][4]["kind"], "flaky");
  EXPECT_EQ(json["findings"][4]["failures"], 2);
  EXPECT_EQ(json["findings"][4]["text"].get<std::string>().substr(0, 18),
            "test/unit is flaky");
}

}  // namespace
}  // namespace troupe::cli
