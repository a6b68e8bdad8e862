// What histories that are made up show of a workflow.
#include "data_use.hpp"
#include "load_text.hpp"
#include "run_timeline.hpp"

#include <troupe/workflow/insights.hpp>
#include <troupe/workflow/load.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>

namespace troupe::workflow {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

WallTime moment(Duration since_start) {
  return WallTime{} +
         std::chrono::duration_cast<WallTime::duration>(1000h + since_start);
}

/// A run, job by job.
class OneRun {
 public:
  explicit OneRun(RunResult result = RunResult::success) {
    run_.result = result;
    run_.start = moment(0s);
    run_.end = moment(0s);
  }

  /// A job of one step, "run", that was ready at once.
  OneRun& job(const std::string& name, Duration start, Duration end) {
    return waiting_job(name, start, start, end);
  }
  OneRun& waiting_job(const std::string& name, Duration ready, Duration start,
                      Duration end) {
    PastJob job;
    job.job = name;
    job.label = name;
    job.state = JobState::succeeded;
    job.ready = moment(ready);
    job.start = moment(start);
    job.end = moment(end);
    job.steps = {{.step = "run",
                  .outcome = StepOutcome::success,
                  .attempts = 1,
                  .took = end - start,
                  .last_attempt = end - start}};
    run_.end = std::max(run_.end, *job.end);
    run_.jobs.push_back(std::move(job));
    return *this;
  }
  OneRun& steps(std::vector<PastStep> steps) {
    run_.jobs.back().steps = std::move(steps);
    return *this;
  }
  OneRun& ran(std::string command) {
    run_.jobs.back().steps.back().command = std::move(command);
    return *this;
  }
  OneRun& failed() {
    run_.jobs.back().state = JobState::failed;
    run_.jobs.back().steps.back().outcome = StepOutcome::failure;
    return *this;
  }
  OneRun& places(std::size_t count) {
    run_.max_parallel = count;
    return *this;
  }
  OneRun& retried() {
    run_.was_retried = true;
    return *this;
  }
  // NOLINTNEXTLINE(google-explicit-constructor): it is one.
  operator PastRun() const { return run_; }

 private:
  PastRun run_;
};

std::vector<PastRun> times(std::size_t count, const PastRun& run) {
  return std::vector<PastRun>(count, run);
}

template <class Kind>
std::vector<std::pair<Duration, Kind>> found(const Insights& insights) {
  std::vector<std::pair<Duration, Kind>> all;
  for (const Finding& finding : insights.findings) {
    if (const auto* const one = std::get_if<Kind>(&finding.what))
      all.emplace_back(finding.saves, *one);
  }
  return all;
}

constexpr const char* diamond =
    "jobs:\n"
    "  pull: {run: x, outputs: {n: \"${{ steps.run.outputs.n }}\"}}\n"
    "  lint: {run: x}\n"
    "  load: {run: \"x ${{ needs.pull.outputs.n }}\", needs: pull}\n"
    "  report: {run: x, needs: [load, lint]}\n";

OneRun a_run() {
  return OneRun{}
      .job("pull", 0s, 10s)
      .job("lint", 0s, 3s)
      .job("load", 10s, 15s)
      .job("report", 15s, 20s);
}

TEST(Insights, CountRunsAndHowLongThoseTookThatSucceeded) {
  std::vector<PastRun> runs;
  for (int i = 1; i <= 10; ++i)
    runs.push_back(OneRun{}.job("pull", 0s, std::chrono::seconds{i}));
  runs.push_back(OneRun{RunResult::failure}.job("pull", 0s, 100s));
  runs.push_back(OneRun{RunResult::cancelled}.job("pull", 0s, 100s));
  runs.push_back(OneRun{}.job("pull", 0s, 100s).retried());
  const auto insights = look_into(*load(diamond), runs);
  EXPECT_EQ(insights.runs, 13u);
  EXPECT_EQ(insights.succeeded, 11u);
  EXPECT_EQ(insights.failed, 1u);
  EXPECT_EQ(insights.cancelled, 1u);
  EXPECT_EQ(insights.timed, 10u);
  EXPECT_EQ(insights.median, 5s);
  EXPECT_EQ(insights.ninetieth, 9s);
}

TEST(Insights, FindNothingInTooFewRuns) {
  const auto none = look_into(*load(diamond), {});
  EXPECT_FALSE(none.has_enough_runs);
  EXPECT_EQ(none.median, std::nullopt);
  const auto two = look_into(
      *load(diamond), times(2, OneRun{}.waiting_job("pull", 0s, 9s, 10s)));
  EXPECT_FALSE(two.has_enough_runs);
  EXPECT_THAT(two.findings, IsEmpty());
  EXPECT_EQ(two.median, 10s);
  EXPECT_THAT(two.path, SizeIs(2));
}

TEST(Insights, FollowTheJobsThatDecidedWhenTheRunEnded) {
  const auto insights = look_into(
      *load(diamond), std::vector<PastRun>{a_run(), a_run(),
                                           OneRun{}
                                               .job("pull", 0s, 1s)
                                               .job("lint", 0s, 15s)
                                               .job("load", 1s, 2s)
                                               .job("report", 15s, 20s)});
  ASSERT_THAT(insights.path, SizeIs(4));
  const auto text = [](const PathPart& part) {
    return part.job + "/" + part.step;
  };
  EXPECT_EQ(text(insights.path[0]), "lint/run");
  EXPECT_EQ(text(insights.path[1]), "pull/run");
  EXPECT_EQ(text(insights.path[2]), "load/run");
  EXPECT_EQ(text(insights.path[3]), "report/run");
  EXPECT_EQ(insights.path[0].runs, 1u);
  EXPECT_EQ(insights.path[0].mean, 5s);
  EXPECT_DOUBLE_EQ(insights.path[0].share, 0.25);
  EXPECT_EQ(insights.path[1].runs, 2u);
  EXPECT_EQ(insights.path[3].mean, 5s);
}

TEST(Insights, TellTheStepsOfAPathAndWhatTheyWaitedFor) {
  const auto insights =
      look_into(*load("jobs: {a: {steps: [{run: x, id: one}, {run: x}]}}"),
                times(3, OneRun{}
                             .waiting_job("a", 1s, 2s, 10s)
                             .steps({{.step = "one",
                                      .outcome = StepOutcome::success,
                                      .attempts = 1,
                                      .took = 3s,
                                      .waited = 2s,
                                      .last_attempt = 1s},
                                     {.step = "step-2",
                                      .outcome = StepOutcome::success,
                                      .attempts = 1,
                                      .took = 5s,
                                      .last_attempt = 5s}})));
  ASSERT_THAT(insights.path, SizeIs(3));
  EXPECT_EQ(insights.path[0].step, "");
  EXPECT_EQ(insights.path[0].mean, 3s);
  EXPECT_EQ(insights.path[1].step, "one");
  EXPECT_EQ(insights.path[1].mean, 1s);
  EXPECT_EQ(insights.path[2].mean, 5s);
}

TEST(Insights, PassThroughJobsThatWereSkipped) {
  PastRun run = OneRun{}.job("a", 0s, 5s).job("c", 5s, 9s);
  PastJob skipped;
  skipped.job = "b";
  skipped.state = JobState::skipped;
  run.jobs.push_back(skipped);
  const auto insights =
      look_into(*load("jobs:\n"
                      "  a: {run: x}\n"
                      "  b: {run: x, needs: a, if: false}\n"
                      "  c: {run: x, needs: [{job: b, when: finished}]}\n"),
                times(3, run));
  ASSERT_THAT(insights.path, SizeIs(2));
  EXPECT_EQ(insights.path[0].job, "a");
}

TEST(Insights, TellTheTimeThatIsLostToQueueing) {
  const auto run = OneRun{}
                       .job("pull", 0s, 10s)
                       .waiting_job("lint", 0s, 10s, 12s)
                       .waiting_job("load", 10s, 12s, 15s)
                       .job("report", 15s, 20s);
  const auto all = found<Queueing>(look_into(*load(diamond), times(4, run)));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].first, 2s);
  EXPECT_EQ(all[0].second.job, "lint");
  EXPECT_EQ(all[0].second.of_job, 10s);
  EXPECT_EQ(all[0].second.of_all, 12s);
  EXPECT_EQ(all[0].second.runs, 4u);
}

TEST(Insights, DoNotTakeTheCostOfAStartForQueueing) {
  const auto run = OneRun{}.waiting_job("pull", 0s, 49ms, 100ms);
  EXPECT_THAT(found<Queueing>(look_into(*load(diamond), times(3, run))),
              IsEmpty());
}

TEST(Insights, CallAStepFlakyThatFailedAndThenSucceeded) {
  auto runs = times(5, a_run());
  runs[1] = OneRun{}
                .job("pull", 0s, 10s)
                .steps({{.step = "run",
                         .outcome = StepOutcome::success,
                         .attempts = 3,
                         .took = 10s,
                         .last_attempt = 4s}});
  const auto all = found<Flaky>(look_into(*load(diamond), runs));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].second.job, "pull");
  EXPECT_EQ(all[0].second.step, "run");
  EXPECT_EQ(all[0].second.tries, 7u);
  EXPECT_EQ(all[0].second.failures, 2u);
  EXPECT_EQ(all[0].second.recovered, 1u);
  EXPECT_EQ(all[0].second.changes, 0u);
  EXPECT_EQ(all[0].first, 1200ms);
}

TEST(Insights, CallAStepFlakyThatSucceededWhenItsGroupStartedItAgain) {
  auto runs = times(3, a_run());
  runs[0] = OneRun{}
                .job("pull", 0s, 10s)
                .steps({{.step = "run",
                         .outcome = StepOutcome::failure,
                         .attempts = 1,
                         .took = 6s,
                         .last_attempt = 6s},
                        {.step = "run",
                         .outcome = StepOutcome::success,
                         .attempts = 1,
                         .took = 4s,
                         .last_attempt = 4s}});
  const auto all = found<Flaky>(look_into(*load(diamond), runs));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].second.recovered, 1u);
  EXPECT_EQ(all[0].first, 2s);
}

TEST(Insights, CallACommandFlakyThatFailsNowAndThen) {
  const PastRun good = OneRun{}.job("pull", 0s, 4s).ran("make");
  const PastRun bad =
      OneRun{RunResult::failure}.job("pull", 0s, 8s).ran("make").failed();
  const auto all = found<Flaky>(look_into(
      *load(diamond), std::vector<PastRun>{good, bad, good, good, good}));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].second.changes, 2u);
  EXPECT_EQ(all[0].second.failures, 1u);
  EXPECT_EQ(all[0].second.tries, 5u);
  EXPECT_EQ(all[0].first, 1600ms);
}

TEST(Insights, DoNotCallADefectFlakyThatCameOrWasRepaired) {
  const PastRun good = OneRun{}.job("pull", 0s, 4s).ran("make");
  const PastRun bad =
      OneRun{RunResult::failure}.job("pull", 0s, 8s).ran("make").failed();
  const PastRun other =
      OneRun{RunResult::failure}.job("pull", 0s, 8s).ran("mkae").failed();
  const auto workflow = load(diamond);
  for (const auto& runs : {std::vector<PastRun>{good, good, bad, bad},
                           std::vector<PastRun>{bad, bad, good, good},
                           std::vector<PastRun>{bad, bad, bad},
                           std::vector<PastRun>{good, other, good}})
    EXPECT_THAT(found<Flaky>(look_into(*workflow, runs)), IsEmpty());
}

constexpr const char* chain =
    "jobs:\n"
    "  build: {run: x}\n"
    "  test: {run: x, needs: build}\n"
    "  pack: {run: x, needs: test}\n"
    "  ship: {run: x, needs: pack}\n";

OneRun chain_run() {
  return OneRun{}
      .job("build", 0s, 10s)
      .job("test", 10s, 40s)
      .job("pack", 40s, 60s)
      .job("ship", 60s, 62s);
}

TEST(Insights, TellWhichJobsNeedNotWaitForEachOther) {
  const auto all =
      found<Unneeded>(look_into(*load(chain), times(3, chain_run())));
  ASSERT_THAT(all, SizeIs(3));
  // Next to test, after build; ship still waits for both.
  EXPECT_EQ(all[0].second.job, "pack");
  EXPECT_EQ(all[0].second.need, "test");
  EXPECT_EQ(all[0].first, 20s);
  EXPECT_EQ(all[1].second.job, "test");
  EXPECT_EQ(all[1].first, 10s);
  EXPECT_EQ(all[2].second.job, "ship");
  EXPECT_EQ(all[2].first, 2s);
}

TEST(Insights, KnowThatJobsWaitForPlacesAnyway) {
  EXPECT_THAT(
      found<Unneeded>(look_into(*load(chain), times(3, chain_run().places(1)))),
      IsEmpty());
}

TEST(Insights, LeaveNeedsAloneWhoseDataIsUsed) {
  const auto uses = [](const std::string& job) {
    const auto workflow = load(
        "jobs:\n"
        "  a: {run: x, outputs: {n: x, m: \"[]\"}}\n"
        "  c: {run: x}\n"
        "  b: {needs: [a, c], " +
        job + "}\n");
    return uses_what_is_handed_on(workflow->jobs[2], workflow->jobs[0]);
  };
  EXPECT_FALSE(uses("run: x"));
  EXPECT_FALSE(uses("run: \"x ${{ needs.c.result }}\""));
  EXPECT_FALSE(uses("run: x, if: \"run.id != ''\""));
  EXPECT_TRUE(uses("run: \"x ${{ needs.a.outputs.n }}\""));
  EXPECT_TRUE(uses("run: \"x ${{ jobs.a.outputs.n }}\""));
  EXPECT_TRUE(uses("run: \"x ${{ toJSON(needs) }}\""));
  EXPECT_TRUE(uses("run: x, if: needs.a.outputs.n == '1'"));
  EXPECT_TRUE(uses("run: x, if: always()"));
  EXPECT_TRUE(uses("run: x, env: {N: \"${{ needs.a.outputs.n }}\"}"));
  EXPECT_TRUE(uses("steps: [{run: x, if: \"needs.a.outputs.n == '1'\"}]"));
  EXPECT_TRUE(uses("run: x, outputs: {n: \"${{ needs.a.outputs.n }}\"}"));
  EXPECT_TRUE(uses(
      "run: x, strategy: {matrix: \"${{ fromJSON(needs.a.outputs.m) }}\"}"));
}

TEST(Insights, LeaveNeedsAloneThatAreAboutHowAJobEnds) {
  const auto insights =
      look_into(*load("jobs:\n"
                      "  a: {run: x}\n"
                      "  b: {run: x, needs: [{job: a, when: finished}]}\n"),
                times(3, OneRun{}.job("a", 0s, 5s).job("b", 5s, 9s)));
  EXPECT_THAT(found<Unneeded>(insights), IsEmpty());
}

TEST(Needs, KeepTheOrderOfAllOthersWithoutOne) {
  const auto needs = needs_of(*load(chain));
  EXPECT_EQ(without(needs, 2, 1), (Needs{{}, {0}, {0}, {2, 1}}));
}

TEST(Insights, TellWhichStepsDoTheSameAgainAndAgain) {
  const auto run = OneRun{}
                       .job("pull", 0s, 10s)
                       .ran("./pull all")
                       .job("lint", 0s, 3s)
                       .ran("./lint")
                       .job("load", 10s, 15s)
                       .ran("./load");
  auto runs = times(4, run);
  runs[3] = OneRun{}.job("pull", 0s, 99s).ran("./pull some");
  const auto all = found<Repeated>(look_into(*load(diamond), runs));
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].second.job, "pull");
  EXPECT_EQ(all[0].second.times, 3u);
  EXPECT_EQ(all[0].second.total, 30s);
  // The fourth run has pulled something else.
  EXPECT_EQ(all[0].first, 7500ms);
  EXPECT_EQ(all[1].second.job, "load");
}

TEST(Insights, DoNotOfferToCacheWhatEachRunDoesOtherwise) {
  std::vector<PastRun> runs;
  for (const std::string day : {"1", "2", "3", "4"})
    runs.push_back(OneRun{}.job("pull", 0s, 10s).ran("./pull " + day));
  EXPECT_THAT(found<Repeated>(look_into(*load(diamond), runs)), IsEmpty());
}

TEST(Insights, TellWhatTookMuchLongerInTheLastRun) {
  auto runs = times(4, a_run());
  runs[0] = OneRun{}.job("pull", 0s, 10s).job("load", 10s, 26s);
  const auto all = found<Outlier>(look_into(*load(diamond), runs));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].first, 11s);
  EXPECT_EQ(all[0].second.job, "load");
  EXPECT_EQ(all[0].second.took, 16s);
  EXPECT_EQ(all[0].second.typical, 5s);
  EXPECT_EQ(all[0].second.runs, 3u);
  runs[0] = OneRun{}.job("pull", 0s, 10s).job("load", 10s, 25s);
  EXPECT_THAT(found<Outlier>(look_into(*load(diamond), runs)), IsEmpty());
}

TEST(Insights, BeginWithWhatCouldSaveMost) {
  auto runs = times(4, chain_run());
  runs[0] = chain_run().job("other", 0s, 1h);
  const auto insights = look_into(*load(chain), runs);
  ASSERT_THAT(insights.findings, SizeIs(::testing::Ge(2u)));
  for (std::size_t i = 1; i < insights.findings.size(); ++i)
    EXPECT_GE(insights.findings[i - 1].saves, insights.findings[i].saves);
}

}  // namespace
}  // namespace troupe::workflow
