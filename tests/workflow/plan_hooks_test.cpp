// Hooks: what runs before and after all jobs, and what it is told.
#include "load_text.hpp"
#include "plan_script.hpp"

#include <gmock/gmock.h>

namespace troupe::workflow {
namespace {

using actors::OutcomeKind;
using ::testing::HasSubstr;

constexpr const char* all_of_them =
    "jobs:\n"
    "  a: {run: work}\n"
    "  b: {needs: [a], run: more}\n"
    "hooks:\n"
    "  on-start: announce\n"
    "  on-success: tag\n"
    "  on-failure: page ${{ run.failed-job }}\n"
    "  on-cancel: sweep\n"
    "  on-exit: {run: release, timeout: 1m}\n";

TEST(PlanHooks, RunAroundTheJobsOfARunThatSucceeds) {
  Script run{all_of_them};
  EXPECT_EQ(run.start(),
            "hooks.on-start:ready hooks.on-start:running +hooks.on-start/0");
  EXPECT_EQ(run.end(3, 0),
            "hooks.on-start/0=success hooks.on-start:succeeded "
            "a:ready a:running +a/0");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded b:ready b:running +b/0");
  EXPECT_EQ(run.end(2, 0),
            "b/0=success b:succeeded hooks.on-success*1 "
            "hooks.on-success:ready hooks.on-success:running "
            "+hooks.on-success/0");
  EXPECT_EQ(run.plan().result(), std::nullopt);
  EXPECT_EQ(run.end(4, 0),
            "hooks.on-success/0=success hooks.on-success:succeeded "
            "hooks.on-exit*1 hooks.on-exit:ready hooks.on-exit:running "
            "+hooks.on-exit/0");
  EXPECT_EQ(run.started.back().timeout, 1min);
  EXPECT_EQ(run.end(5, 0),
            "hooks.on-exit/0=success hooks.on-exit:succeeded run:success");
}

TEST(PlanHooks, OfAFailedRunAreToldWhatFailedFirst) {
  Script run{
      "jobs:\n"
      "  a: {run: work}\n"
      "  b:\n"
      "    strategy: {matrix: {n: [7, 8]}, fail-fast: false}\n"
      "    steps: [{run: fine}, {id: check, run: wrong}]\n"
      "hooks:\n"
      "  on-failure: page ${{ run.result }} ${{ run.failed-job }}"
      " ${{ run.blame }} ${{ jobs.a.result }}\n"};
  (void)run.start();
  (void)run.end(2, 0);
  (void)run.end(3, 0);
  (void)run.end(3, 1, OutcomeKind::failed);
  (void)run.end(1, 0, OutcomeKind::failed);
  (void)run.end(2, 1, OutcomeKind::failed);
  EXPECT_EQ(run.started.back().line,
            "page failed 'b (8)' 'b (8) > check' failure");
  EXPECT_EQ(run.end(4, 0),
            "hooks.on-failure/0=success hooks.on-failure:succeeded "
            "run:failure");
}

TEST(PlanHooks, AreNotToldOfAFailureThatCountsAsSuccess) {
  Script run{
      "jobs:\n"
      "  a: {continue-on-error: true, run: work}\n"
      "  b: {needs: [a], run: more}\n"
      "hooks: {on-exit: \"echo ${{ run.result }} is ${{ run.blame }}\"}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::failed);
  (void)run.end(2, 0);
  EXPECT_EQ(run.started.back().line, "echo succeeded is ''");
}

TEST(PlanHooks, DoNotChangeHowTheRunEnds) {
  Script run{
      "jobs: {a: {run: work}}\n"
      "hooks: {on-success: tag, on-exit: release}\n"};
  (void)run.start();
  (void)run.end(1, 0);
  EXPECT_EQ(run.end(2, 0, OutcomeKind::failed),
            "hooks.on-success/0=failure hooks.on-success:failed "
            "hooks.on-exit*1 hooks.on-exit:ready hooks.on-exit:running "
            "+hooks.on-exit/0");
  EXPECT_EQ(run.end(3, 0, OutcomeKind::failed),
            "hooks.on-exit/0=failure hooks.on-exit:failed run:success");
}

TEST(PlanHooks, LetNoJobStartIfTheFirstOfThemFails) {
  Script run{
      "jobs:\n"
      "  a: {run: work}\n"
      "  b: {needs: [a], if: always(), run: sweep}\n"
      "hooks:\n"
      "  on-start: announce\n"
      "  on-failure: page ${{ run.failed-job }}\n"
      "  on-exit: release\n"};
  (void)run.start();
  EXPECT_EQ(run.end(3, 0, OutcomeKind::failed),
            "hooks.on-start/0=failure hooks.on-start:failed a:skipped "
            "b:skipped hooks.on-failure*1 hooks.on-failure:ready "
            "hooks.on-failure:running +hooks.on-failure/0");
  EXPECT_EQ(run.started.back().line, "page hooks.on-start");
  EXPECT_EQ(run.reasons.back(), "hook on-start failed");
  EXPECT_THAT(run.end(4, 0), HasSubstr("+hooks.on-exit/0"));
  EXPECT_THAT(run.end(5, 0), HasSubstr("run:failure"));
}

TEST(PlanHooks, RunAfterACancel) {
  Script run{all_of_them};
  (void)run.start();
  (void)run.end(3, 0);
  EXPECT_EQ(run.cancel(), "!a/0");
  EXPECT_THAT(run.end(1, 0, OutcomeKind::cancelled),
              HasSubstr("b:cancelled hooks.on-cancel*1"));
  EXPECT_EQ(run.started.back().line, "sweep");
  EXPECT_THAT(run.end(4, 0), HasSubstr("+hooks.on-exit/0"));
  EXPECT_THAT(run.end(5, 0), HasSubstr("run:cancelled"));
}

TEST(PlanHooks, AreLeftOutByASecondCancel) {
  Script run{all_of_them};
  (void)run.start();
  (void)run.end(3, 0);
  (void)run.cancel();
  (void)run.end(1, 0, OutcomeKind::cancelled);
  EXPECT_EQ(run.cancel(), "!hooks.on-cancel/0");
  EXPECT_EQ(run.end(4, 0, OutcomeKind::cancelled),
            "hooks.on-cancel/0=cancelled hooks.on-cancel:cancelled "
            "hooks.on-exit*1 hooks.on-exit:cancelled run:cancelled");
}

TEST(PlanHooks, GoOnIfTheRunIsCancelledAfterItsJobs) {
  Script run{"jobs: {a: {run: work}}\nhooks: {on-exit: release}\n"};
  (void)run.start();
  (void)run.end(1, 0);
  EXPECT_EQ(run.cancel(), "");
  EXPECT_THAT(run.end(2, 0), HasSubstr("run:success"));
}

TEST(PlanHooks, LetNoJobStartIfTheRunIsCancelledBefore) {
  Script run{
      "jobs: {a: {if: always(), run: work}}\n"
      "hooks: {on-start: announce, on-cancel: sweep}\n"};
  (void)run.start();
  EXPECT_EQ(run.cancel(), "!hooks.on-start/0");
  EXPECT_THAT(run.end(2, 0, OutcomeKind::cancelled),
              HasSubstr("hooks.on-start:cancelled a:cancelled "
                        "hooks.on-cancel*1"));
}

TEST(PlanHooks, RunToTheEndWhenNothingNewIsToStart) {
  Script run{all_of_them};
  (void)run.start();
  (void)run.end(3, 0);
  EXPECT_EQ(run.stop_starting(), "");
  EXPECT_THAT(run.end(1, 0), HasSubstr("+hooks.on-cancel/0"));
}

TEST(PlanHooks, BelongToARunOfOneJobToo) {
  Script run{all_of_them, {.only_job = "a"}};
  (void)run.start();
  (void)run.end(2, 0);
  EXPECT_THAT(run.end(1, 0), HasSubstr("+hooks.on-success/0"));
}

TEST(PlanHooks, SeeTheOutputsOfAllJobs) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    run: work\n"
      "    outputs: {rows: \"${{ steps.run.outputs.rows }}\"}\n"
      "hooks: {on-success: \"tag ${{ jobs.a.outputs.rows }}\"}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::success, {{"rows", "7"}});
  EXPECT_EQ(run.started.back().line, "tag 7");
}

TEST(PlanHooks, AreCheckedLikeSteps) {
  EXPECT_THAT(problems_of("jobs: {a: {run: x}}\nhooks: {on-faliure: x}\n"),
              HasSubstr("did you mean \"on-failure\""));
  EXPECT_THAT(problems_of("jobs: {a: {run: x}}\nhooks: {on-exit: {name: x}}\n"),
              HasSubstr("a step needs \"run\""));
  EXPECT_THAT(
      problems_of("jobs: {a: {run: \"echo ${{ run.result }}\"}}\n"),
      HasSubstr("\"run.result\" is only known in the hooks that come after"));
  EXPECT_THAT(problems_of("jobs: {a: {run: x}}\n"
                          "hooks: {on-start: \"echo ${{ run.blame }}\"}\n"),
              HasSubstr("only known in the hooks that come after"));
  EXPECT_THAT(problems_of("jobs: {a: {run: x, needs: hooks.on-start}}\n"
                          "hooks: {on-start: x}\n"),
              HasSubstr("unknown job \"hooks.on-start\""));
  EXPECT_THAT(problems_of("services: {children: {a: {run: x}}}\n"
                          "hooks: {on-start: x}\n"),
              HasSubstr("\"hooks\" belong to a run of \"jobs\""));
}

}  // namespace
}  // namespace troupe::workflow
