#include "load_text.hpp"

#include <troupe/workflow/history.hpp>
#include <troupe/workflow/load.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace troupe::workflow {
namespace {

using Durations = std::vector<Duration>;

PastStep step(std::string name, Duration took,
              StepOutcome outcome = StepOutcome::success) {
  return {.step = std::move(name),
          .outcome = outcome,
          .attempts = 1,
          .took = took + 1s,
          .last_attempt = took};
}

PastJob job(std::string name, std::vector<PastStep> steps) {
  PastJob job;
  job.job = name;
  job.label = std::move(name);
  job.state = JobState::succeeded;
  job.steps = std::move(steps);
  return job;
}

PastRun run(std::vector<PastJob> jobs) {
  PastRun run;
  run.jobs = std::move(jobs);
  return run;
}

TEST(RobustEstimate, IsTheMiddleOfWhatIsKnown) {
  EXPECT_EQ(robust_estimate({}), 0s);
  EXPECT_EQ(robust_estimate(Durations{4s}), 4s);
  EXPECT_EQ(robust_estimate(Durations{4s, 5s, 3s, 6s, 2s}), 4s);
}

TEST(RobustEstimate, IsNotMovedByOneOrTwoThatAreFarOff) {
  Durations past(20, 4s);
  past[0] = 1h;
  EXPECT_EQ(robust_estimate(past), 4s);
  past[1] = 2h;
  EXPECT_EQ(robust_estimate(past), 4s);
}

TEST(RobustEstimate, BelievesAChangeAfterThreeRuns) {
  Durations past(20, 4s);
  for (std::size_t i = 0; i < 3; ++i)
    past[i] = 40s;
  EXPECT_EQ(robust_estimate(past), 40s);
}

TEST(Estimates, ComeFromTheAttemptsThatSucceeded) {
  const auto known = learn(std::vector<PastRun>{
      run({job("a", {step("run", 9s, StepOutcome::failure)})}),
      run({job("a", {step("run", 1s)}),
           job("b", {step("pull", 3s), step("step-2", 2s)})}),
      run({job("a", {step("run", 30s, StepOutcome::cancelled)})}),
  });
  EXPECT_EQ(known.of("a", "run"), StepEstimate{1s});
  EXPECT_EQ(known.of("b", "pull"), StepEstimate{3s});
  EXPECT_EQ(known.of("b", "step-2"), StepEstimate{2s});
  EXPECT_EQ(known.of("c", "run"), StepEstimate{});
  EXPECT_EQ(known.steps().size(), 3u);
}

TEST(Estimates, CountOnlyTheLastSuccessOfAJobThatStartedAgain) {
  const auto known = learn(std::vector<PastRun>{
      run({job("a", {step("run", 9s), step("run", 2s)})})});
  EXPECT_EQ(known.of("a", "run"), StepEstimate{2s});
}

TEST(Estimates, CountOneRunOnceHoweverManyVariantsItHas) {
  const auto known = learn(std::vector<PastRun>{
      run({job("a", {step("run", 1s)}), job("a", {step("run", 5s)})})});
  EXPECT_EQ(known.of("a", "run"), (StepEstimate{3s, 5s}));
}

TEST(Estimates, LeaveOutWhatIsTooOld) {
  std::vector<PastRun> past(most_durations, run({job("a", {step("run", 1s)})}));
  const auto before = learn(past);
  past.insert(past.end(), 1000, run({job("a", {step("run", 1h)})}));
  EXPECT_EQ(learn(past).of("a", "run"), before.of("a", "run"));
}

TEST(Estimates, AreNoFunctionWhileNothingIsKnown) {
  EXPECT_FALSE(learn({}).function());
  const auto known =
      learn(std::vector<PastRun>{run({job("a", {step("run", 1s)})})});
  EXPECT_EQ(known.function()("a", "run"), StepEstimate{1s});
}

TEST(PastStep, WaitedForWhatItsOnlyAttemptDidNotTake) {
  const auto waited = [](PastStep step) {
    note_waiting(step);
    return step.waited;
  };
  EXPECT_EQ(waited({.attempts = 1, .took = 3s, .last_attempt = 1s}), 2s);
  EXPECT_EQ(waited({.attempts = 1, .took = 1049ms, .last_attempt = 1s}), 0s);
  EXPECT_EQ(waited({.attempts = 2, .took = 3s, .last_attempt = 1s}), 0s);
  EXPECT_EQ(waited({.attempts = 1, .took = 3s}), 0s);
}

TEST(JobTime, IsThatOfTheSlowestVariantOrOfAllInTurns) {
  const auto workflow = load(
      "jobs:\n"
      "  a: {run: x, strategy: {matrix: {n: [1, 2, 3, 4]}, max-parallel: "
      "2}}\n");
  ASSERT_TRUE(workflow);
  const Job& a = workflow->jobs[0];
  const auto takes = [](StepEstimate estimate) {
    return
        [estimate](const std::string&, const std::string&) { return estimate; };
  };
  EXPECT_EQ(job_time(a, takes({1s, 9s}), 100), 9s);
  EXPECT_EQ(job_time(a, takes({6s, 9s}), 100), 12s);
  EXPECT_EQ(job_time(a, takes({6s, 9s}), 1), 24s);
  EXPECT_EQ(variant_time(a, takes({6s, 9s})), 6s);
  EXPECT_EQ(job_time(a, {}, 1), 0s);
}

TEST(CriticalPathOfEstimates, IsTheLongestWayThroughTheJobs) {
  const auto workflow = load(
      "jobs:\n"
      "  report: {run: x, needs: [load, lint]}\n"
      "  pull: {run: x}\n"
      "  lint: {run: x}\n"
      "  load: {run: x, needs: pull}\n");
  ASSERT_TRUE(workflow);
  const EstimateFunction estimate = [](const std::string& name,
                                       const std::string&) {
    return name == "lint" ? Duration{3s} : Duration{2s};
  };
  const auto path = critical_path(*workflow, estimate, 4);
  EXPECT_EQ(path.length, 6s);
  EXPECT_EQ(path.jobs, (std::vector<std::size_t>{1, 3, 0}));
  const auto part =
      critical_path(*workflow, estimate, 4, {false, false, true, false});
  EXPECT_EQ(part.length, 3s);
  EXPECT_EQ(part.jobs, (std::vector<std::size_t>{2}));
  EXPECT_TRUE(critical_path(*workflow, {}, 4).jobs.empty());
}

}  // namespace
}  // namespace troupe::workflow
