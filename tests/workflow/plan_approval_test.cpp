// Jobs that wait until somebody agrees, and what is made of the answer.
#include "load_text.hpp"
#include "plan_script.hpp"

#include <gmock/gmock.h>

namespace troupe::workflow {
namespace {

using actors::OutcomeKind;
using ::testing::HasSubstr;

constexpr const char* two_jobs =
    "jobs:\n"
    "  build: {run: make}\n"
    "  load:\n"
    "    needs: [build]\n"
    "    approval:\n"
    "      prompt: Load ${{ inputs.day }}?\n"
    "      approvers: [ada, ops]\n"
    "      inputs: {ticket: {required: true}, rows: {type: number, default: "
    "5}}\n"
    "      timeout: 4h\n"
    "    env: {TICKET: \"${{ approval.ticket }}\"}\n"
    "    run: load --rows ${{ approval.rows }} --by ${{ approval.by }}\n"
    "  tell:\n"
    "    needs: [load]\n"
    "    run: tell ${{ jobs.load.approval.ticket }}\n";

Script waiting() {
  Script run{two_jobs, {.inputs = {{"day", "monday"}}}};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0),
            "build/0=success build:succeeded load:awaiting load(Load monday?)");
  EXPECT_EQ(run.reasons.back(), "waits for approval by ada, ops: Load monday?");
  return run;
}

TEST(PlanApproval, AJobRunsOnceSomebodyHasAgreed) {
  Script run = waiting();
  EXPECT_EQ(run.answer("load", {.who = "ada", .inputs = {{"ticket", "T-1"}}}),
            "load:ready load:running +load/0");
  EXPECT_EQ(run.started.back().line, "load --rows 5 --by ada");
  EXPECT_EQ(run.started.back().env.back(),
            (std::pair<std::string, std::string>{"TICKET", "T-1"}));
  (void)run.end(2, 0);
  EXPECT_EQ(run.started.back().line, "tell T-1");
  EXPECT_THAT(run.answer("load", {.who = "ada"}),
              HasSubstr("does not wait for approval: it is succeeded"));
}

TEST(PlanApproval, WhatIsWrongWithAnAnswerChangesNothing) {
  Script run = waiting();
  EXPECT_EQ(run.answer("load", {.who = "ada"}),
            "error: input \"ticket\": it is required; give it with --input "
            "ticket=VALUE");
  EXPECT_THAT(run.answer("load", {.who = "ada", .inputs = {{"tikcet", "1"}}}),
              HasSubstr("did you mean \"ticket\""));
  EXPECT_THAT(run.answer("load", {.who = "ada",
                                  .inputs = {{"ticket", "1"}, {"rows", "x"}}}),
              HasSubstr("input \"rows\": must be a number"));
  EXPECT_EQ(run.answer("build", {.who = "ada"}),
            "error: job \"build\" needs no approval");
  EXPECT_THAT(run.answer("laod", {.who = "ada"}),
              HasSubstr("no job \"laod\"; did you mean \"load\""));
  EXPECT_EQ(run.plan().instances()[1].state, JobState::awaiting);
}

TEST(PlanApproval, ARejectionFailsTheJob) {
  Script run = waiting();
  EXPECT_EQ(
      run.answer("load",
                 {.approved = false, .who = "ada", .reason = "not today"}),
      "load:failed tell:skipped run:failure");
  EXPECT_EQ(run.reasons[run.reasons.size() - 2], "rejected by ada: not today");
}

TEST(PlanApproval, NobodyInTimeFailsTheJob) {
  Script run = waiting();
  EXPECT_EQ(run.plan().next_deadline(), run.now + 4h);
  EXPECT_EQ(run.wait(4h - 1ms), "");
  EXPECT_EQ(run.wait(1ms), "load:timed_out tell:skipped run:failure");
  EXPECT_EQ(run.reasons[run.reasons.size() - 2],
            "nobody approved it within 4h");
}

TEST(PlanApproval, AnAnswerInTimeEndsTheWait) {
  Script run = waiting();
  (void)run.answer("load", {.who = "ada", .inputs = {{"ticket", "1"}}});
  EXPECT_EQ(run.wait(5h), "");
}

TEST(PlanApproval, IsOnlyAskedForAJobThatShouldRun) {
  Script run{"jobs: {a: {if: \"false\", approval: {}, run: x}}"};
  EXPECT_EQ(run.start(), "a:skipped run:success");
}

TEST(PlanApproval, OneAnswerIsForAllVariants) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    strategy: {matrix: {n: [1, 2]}}\n"
      "    approval: {prompt: \"run ${{ matrix.n }}\"}\n"
      "    run: x\n"};
  EXPECT_EQ(run.start(),
            "a (1):awaiting a (1)(run 1) a (2):awaiting a (2)(run 2)");
  EXPECT_EQ(run.answer("a", {.who = "ada"}),
            "a (1):ready a (2):ready a (1):running +a (1)/0 a (2):running "
            "+a (2)/0");
}

TEST(PlanApproval, HoldsWhenTheJobStartsAgain) {
  Script run{
      "jobs: {a: {approval: {}, group: g, run: x}}\n"
      "groups: {g: {intensity: 1}}\n"};
  (void)run.start();
  (void)run.answer("a", {.who = "ada"});
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed g?a a:pending a:ready a:running +a/0");
}

TEST(PlanApproval, ARejectedJobDoesNotStartAgainWithItsGroup) {
  Script run{
      "jobs: {a: {approval: {}, group: g, run: x}}\n"
      "groups: {g: {intensity: 1}}\n"};
  (void)run.start();
  EXPECT_EQ(run.answer("a", {.approved = false, .who = "ada"}),
            "a:failed run:failure");
}

TEST(PlanApproval, TakesNoPlaceOfTheRun) {
  Script run{"jobs: {a: {approval: {}, run: x}, b: {run: y}}",
             {.max_parallel = 1}};
  EXPECT_EQ(run.start(), "a:awaiting a() b:ready b:running +b/0");
  EXPECT_EQ(run.answer("a", {.who = "ada"}), "a:ready");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded a:running +a/0");
}

TEST(PlanApproval, EndsWithTheRun) {
  Script run = waiting();
  EXPECT_EQ(run.cancel(), "load:cancelled tell:cancelled run:cancelled");
  Script other = waiting();
  EXPECT_EQ(other.stop_starting(),
            "load:cancelled tell:cancelled run:cancelled");
}

TEST(PlanApproval, IsCheckedWhenTheFileIsRead) {
  EXPECT_THAT(problems_of("jobs: {a: {run: \"x ${{ approval.by }}\"}}"),
              HasSubstr("this job has no \"approval\""));
  EXPECT_THAT(
      problems_of("jobs: {a: {approval: {inputs: {t: {}}}, run: \"x ${{ "
                  "approval.u }}\"}}"),
      HasSubstr("unknown input of an approval \"u\""));
  EXPECT_THAT(problems_of("jobs: {a: {approval: {inputs: {by: {}}}, run: x}}"),
              HasSubstr("choose another name"));
  EXPECT_THAT(problems_of("jobs: {a: {approval: {timeout: 0s}, run: x}}"),
              HasSubstr("must be more than nothing"));
  EXPECT_THAT(problems_of("jobs: {a: {approval: {prompts: x}, run: x}}"),
              HasSubstr("did you mean \"prompt\""));
  EXPECT_THAT(
      problems_of("jobs:\n  a: {approval: {}, run: x}\n  b: {needs: [a], "
                  "run: \"x ${{ jobs.a.approval.by }}\"}\n"),
      "");
}

}  // namespace
}  // namespace troupe::workflow
