#include "plan_script.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace troupe::workflow {
namespace {

using actors::OutcomeKind;

TEST(Plan, RunsTheSmallestWorkflow) {
  Script run{"jobs: {hello: {run: ls -l}}"};
  EXPECT_EQ(run.start(), "hello:ready hello:running +hello/0");
  EXPECT_EQ(run.plan().result(), std::nullopt);
  EXPECT_EQ(run.end(1, 0), "hello/0=success hello:succeeded run:success");
  EXPECT_EQ(run.plan().result(), RunResult::success);
  EXPECT_EQ(run.end(1, 0), "");
  EXPECT_EQ(run.cancel(), "");
}

TEST(Plan, ResolvesACommandCompletely) {
  Script run{
      "name: etl\n"
      "env: {A: w, B: w, D: \"${{ inputs.date }}\"}\n"
      "jobs:\n"
      "  a:\n"
      "    env: {B: j, C: \"${{ env.A }}-${{ matrix.n }}\"}\n"
      "    strategy: {matrix: {n: [7]}}\n"
      "    steps:\n"
      "      - name: Pull ${{ env.C }}\n"
      "        env: {C: s}\n"
      "        working-directory: /srv/${{ run.name }}/${{ run.id }}\n"
      "        timeout: {attempt: 5m, total: 10m}\n"
      "        grace: 1s\n"
      "        retries: 2\n"
      "        success-exit-codes: 3\n"
      "        run: |\n"
      "          echo ${{ env.B }} \"${{ env.D }}\"\n",
      {"42", {{"date", "a b"}}}};
  EXPECT_EQ(run.start(), "a (7):ready a (7):running +a (7)/0");
  ASSERT_EQ(run.started.size(), 1U);
  const StartStep& step = run.started[0];
  EXPECT_EQ(step.label, "a (7)");
  EXPECT_EQ(step.name, "Pull s");
  EXPECT_EQ(step.line, "echo j \"a b\"\n");
  EXPECT_EQ(step.argv,
            (std::vector<std::string>{"sh", "-e", "-c", "echo j \"a b\"\n"}));
  EXPECT_EQ(step.env, (std::vector<std::pair<std::string, std::string>>{
                          {"A", "w"}, {"B", "j"}, {"D", "a b"}, {"C", "s"}}));
  EXPECT_EQ(step.working_directory, "/srv/etl/42");
  EXPECT_EQ(step.timeout, 5min);
  EXPECT_EQ(step.grace, 1s);
  EXPECT_EQ(step.retry.attempts, 3U);
  EXPECT_EQ(step.success.exit_codes, std::vector<int>{3});
  EXPECT_EQ(run.plan().next_deadline(), run.now + 10min);
}

TEST(Plan, LeavesTheDefaultShellOutWhereItChangesNothing) {
  Script run{
      "jobs:\n"
      "  a: {run: \"make 'x y' ${{ inputs.x }}\"}\n"
      "  b: {run: make, shell: bash -eu}\n",
      {"1", {{"x", "$(id)"}}}};
  (void)run.start();
  ASSERT_EQ(run.started.size(), 2U);
  EXPECT_EQ(run.started[0].argv,
            (std::vector<std::string>{"make", "x y", "$(id)"}));
  EXPECT_EQ(run.started[1].argv,
            (std::vector<std::string>{"bash", "-eu", "-c", "make"}));
}

TEST(Plan, WaitsForNeedsAndSkipsWhatCannotRun) {
  Script run{
      "jobs:\n"
      "  d: {run: x, needs: [c]}\n"
      "  a: {run: x}\n"
      "  b: {run: x}\n"
      "  c: {run: x, needs: [a, b]}\n"};
  EXPECT_EQ(run.start(), "a:ready b:ready a:running +a/0 b:running +b/0");
  EXPECT_EQ(run.end(2, 0), "a/0=success a:succeeded");
  EXPECT_EQ(run.end(3, 0, OutcomeKind::failed),
            "b/0=failure b:failed c:skipped d:skipped run:failure");
  EXPECT_EQ(run.reasons,
            (std::vector<std::string>{"its command failed",
                                      "job \"b\" ended with failure",
                                      "job \"c\" ended with skipped"}));
}

TEST(Plan, StartsAJobWhenAnotherHasStarted) {
  Script run{
      "jobs:\n"
      "  db: {run: x}\n"
      "  off: {run: x, if: false}\n"
      "  use: {run: \"echo ${{ needs.db.result }}\",\n"
      "        needs: {job: db, when: started}}\n"
      "  idle: {run: x, needs: {job: off, when: started}}\n"
      "  end: {run: x, needs: [db, use]}\n"};
  EXPECT_EQ(run.start(),
            "db:ready off:skipped idle:skipped db:running +db/0 use:ready "
            "use:running +use/0");
  EXPECT_EQ(run.started.at(1).line, "echo running");
  EXPECT_EQ(run.end(3, 0), "use/0=success use:succeeded");
  EXPECT_EQ(run.end(1, 0),
            "db/0=success db:succeeded end:ready end:running +end/0");
  EXPECT_EQ(run.reasons.at(1), "job \"off\" has not started");
}

TEST(Plan, KeepsJobsBackThatTakeMoreThanIsLeft) {
  const std::string text =
      "jobs:\n"
      "  a: {run: x, resources: {cpu: 1.5}}\n"
      "  b: {run: x, resources: {cpu: 1, memory: 1KiB}}\n"
      "  c: {run: x, resources: {cpu: 0.5}}\n"
      "  d: {run: x}\n";
  PlanOptions options;
  options.capacity = *flow_control::Resources::parse("cpu=2,mem=1KiB");
  Script run{text, options};
  EXPECT_EQ(run.start(),
            "a:ready b:ready c:ready d:ready a:running +a/0 c:running +c/0 "
            "d:running +d/0");
  EXPECT_EQ(run.end(3, 0), "c/0=success c:succeeded");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded b:running +b/0");
  EXPECT_EQ(run.started.at(3).resources.text(), "cpu=1,mem=1024");

  options.capacity = *flow_control::Resources::parse("cpu=1,mem=1KiB");
  const auto refused = Plan::make(*load_workflow("etl.yaml", text), options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().what.substr(0, refused.error().what.find('\n')),
            "etl.yaml:2:3: job a takes 1.5 of cpu, and there is 1; troupe run "
            "--resources cpu=... says how much there is");
}

TEST(Plan, ARefusedRunEndsWithoutItsHooks) {
  Script run{
      "jobs: {a: {run: x}, b: {run: x, if: always()}}\n"
      "hooks: {on-start: x, on-exit: x}\n"};
  EXPECT_EQ(run.refuse(),
            "a:cancelled b:cancelled hooks.on-start:cancelled hooks.on-exit*1 "
            "hooks.on-exit:cancelled run:cancelled");
}

TEST(Plan, RunsCleanUpJobsAfterFailure) {
  Script run{
      "jobs:\n"
      "  a: {run: x}\n"
      "  b: {run: x, needs: a}\n"
      "  c: {run: x, needs: b, if: failure()}\n"
      "  d: {run: \"echo ${{ needs.b.result }}\", needs: b, if: always()}\n"
      "  e: {run: x, needs: {job: a, when: finished}}\n"
      "  f: {run: x, needs: {job: a, when: failed}}\n"
      "  g: {run: x, needs: a, if: needs.a.result == 'failure'}\n"};
  (void)run.start();
  EXPECT_EQ(
      run.end(1, 0, OutcomeKind::timed_out),
      "a/0=failure a:timed_out b:skipped c:ready d:ready e:ready f:ready "
      "g:skipped c:running +c/0 d:running +d/0 e:running +e/0 f:running +f/0");
  EXPECT_EQ(run.started[2].line, "echo skipped");
}

TEST(Plan, EvaluatesConditionsOfJobs) {
  Script run{
      "jobs:\n"
      "  a: {run: x, if: inputs.env == 'prod'}\n"
      "  b: {run: x, if: \"${{ inputs.env != 'prod' }}\"}\n"
      "  c: {run: x, if: false}\n",
      {"1", {{"env", "prod"}}}};
  EXPECT_EQ(run.start(), "a:ready b:skipped c:skipped a:running +a/0");
  EXPECT_EQ(run.reasons, (std::vector<std::string>{"its condition is false",
                                                   "its condition is false"}));
}

TEST(Plan, PassesOverStepsAfterAFailure) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    steps:\n"
      "      - {id: one, run: x, continue-on-error: true}\n"
      "      - {run: \"echo ${{ steps.one.outcome }} ${{ "
      "steps.one.conclusion }}\"}\n"
      "      - {run: x}\n"
      "      - {run: x, if: failure()}\n"
      "      - {run: x, if: always()}\n"
      "      - {run: x, if: true}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed), "a/0=failure +a/1");
  EXPECT_EQ(run.started[1].line, "echo failure success");
  EXPECT_EQ(run.end(1, 1, OutcomeKind::crashed),
            "a/1=failure a/2=skipped +a/3");
  EXPECT_EQ(run.end(1, 3), "a/3=success +a/4");
  EXPECT_EQ(run.end(1, 4), "a/4=success a/5=skipped a:failed run:failure");
  EXPECT_EQ(run.reasons, (std::vector<std::string>{"a step before it failed",
                                                   "a step before it failed",
                                                   "step 2 failed"}));
}

TEST(Plan, HandsOutputsFromStepToStepAndJobToJob) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    steps:\n"
      "      - {id: s, run: x}\n"
      "      - {run: \"echo ${{ steps.s.outputs.v }}\"}\n"
      "    outputs: {r: \"<${{ steps.s.outputs.v }}>\", none: \"\"}\n"
      "  b: {run: \"echo ${{ needs.a.outputs.r }}${{ jobs.a.outputs.none "
      "}}\", needs: a}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::success, {{"v", "1 2"}});
  EXPECT_EQ(run.started[1].line, "echo '1 2'");
  (void)run.end(1, 1);
  EXPECT_EQ(run.started[2].line, "echo '<1 2>'''");
}

TEST(Plan, KeepsAForgivenJobFromFailingTheRun) {
  Script run{
      "jobs:\n"
      "  a: {run: x, continue-on-error: true}\n"
      "  b: {run: \"echo ${{ needs.a.result }}\", needs: a}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed b:ready b:running +b/0");
  EXPECT_EQ(run.started[1].line, "echo success");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded run:success");
}

TEST(Plan, KeepsTheLimitsOnParallelJobs) {
  Script run{
      "jobs:\n"
      "  a: {run: x, strategy: {matrix: {n: [1, 2, 3]}, max-parallel: 2}}\n"
      "  b: {run: x}\n"
      "  c: {run: x}\n",
      {"1", {}, 3}};
  EXPECT_EQ(run.start(),
            "a (1):ready a (2):ready a (3):ready b:ready c:ready a (1):running "
            "+a (1)/0 a (2):running +a (2)/0 b:running +b/0");
  EXPECT_EQ(run.end(4, 0), "b/0=success b:succeeded c:running +c/0");
  EXPECT_EQ(run.end(2, 0),
            "a (2)/0=success a (2):succeeded a (3):running +a (3)/0");
}

TEST(Plan, FailsFastWithinAMatrixOnly) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    strategy: {matrix: {n: [1, 2, 3]}, max-parallel: 2}\n"
      "    steps: [{run: x}, {run: clean, if: always()}]\n"
      "  b: {run: x}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed), "a (1)/0=failure +a (1)/1");
  EXPECT_EQ(run.end(1, 1),
            "a (1)/1=success a (1):failed !a (2)/0 a (3):cancelled");
  EXPECT_EQ(run.reasons,
            (std::vector<std::string>{"step 1 failed", "a (1) failed"}));
  EXPECT_EQ(run.end(2, 0, OutcomeKind::cancelled),
            "a (2)/0=cancelled +a (2)/1");
  EXPECT_EQ(run.end(2, 1), "a (2)/1=success a (2):cancelled");
  EXPECT_EQ(run.end(4, 0), "b/0=success b:succeeded run:failure");
}

TEST(Plan, GoesOnWithoutFailFast) {
  Script run{
      "jobs:\n"
      "  a: {run: x, strategy: {matrix: {n: [1, 2]}, fail-fast: false}}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::lost), "a (1)/0=failure a (1):failed");
  EXPECT_EQ(run.end(2, 0), "a (2)/0=success a (2):succeeded run:failure");
}

TEST(Plan, CancelsInAnOrderlyWayAndThenForGood) {
  const char* const text =
      "jobs:\n"
      "  a: {steps: [{run: x}, {run: y}, {run: clean, if: always()}]}\n"
      "  b: {run: x, needs: a}\n"
      "  c: {run: x, needs: a, if: always()}\n";
  Script run{text};
  (void)run.start();
  EXPECT_EQ(run.cancel(), "!a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::cancelled),
            "a/0=cancelled a/1=skipped +a/2");
  EXPECT_EQ(run.end(1, 2),
            "a/2=success a:cancelled b:cancelled c:ready c:running +c/0");
  EXPECT_EQ(run.end(3, 0), "c/0=success c:succeeded run:cancelled");

  Script forced{text};
  (void)forced.start();
  (void)forced.cancel();
  (void)forced.end(1, 0, OutcomeKind::cancelled);
  EXPECT_EQ(forced.cancel(), "!a/2 b:cancelled c:cancelled");
  EXPECT_EQ(forced.cancel(), "");
  EXPECT_EQ(forced.end(1, 2, OutcomeKind::cancelled),
            "a/2=cancelled a:cancelled run:cancelled");
}

TEST(Plan, LetsRunningJobsFinishWhenNoMoreAreStarted) {
  Script run{
      "jobs:\n"
      "  a: {steps: [{run: x}, {run: y}]}\n"
      "  b: {run: x, needs: a}\n"};
  (void)run.start();
  EXPECT_EQ(run.stop_starting(), "");
  EXPECT_EQ(run.end(1, 0), "a/0=success +a/1");
  EXPECT_EQ(run.end(1, 1), "a/1=success a:succeeded b:cancelled run:cancelled");
}

TEST(Plan, StillCleansUpWhenItStartsNothingElse) {
  Script run{
      "jobs:\n"
      "  server: {run: x}\n"
      "  test: {run: x, needs: server}\n"
      "  tear-down: {run: x, needs: test, if: always()}\n"};
  (void)run.start();
  EXPECT_EQ(run.stop_starting(), "");
  EXPECT_EQ(run.end(1, 0),
            "server/0=success server:succeeded test:cancelled "
            "tear-down:ready tear-down:running +tear-down/0");
  EXPECT_EQ(run.end(3, 0),
            "tear-down/0=success tear-down:succeeded run:cancelled");
}

TEST(Plan, EndsJobsAndStepsThatTakeTooLong) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    timeout: 10s\n"
      "    steps: [{run: x}, {run: y, if: always()}]\n"
      "  b: {run: x, timeout: {total: 4s}}\n"};
  (void)run.start();
  EXPECT_EQ(run.plan().next_deadline(), run.now + 4s);
  EXPECT_EQ(run.wait(3999ms), "");
  EXPECT_EQ(run.wait(1ms), "!b/0");
  EXPECT_EQ(run.plan().next_deadline(), run.now + 6s);
  EXPECT_EQ(run.end(2, 0, OutcomeKind::cancelled), "b/0=failure b:timed_out");
  EXPECT_EQ(run.wait(6s), "!a/0");
  EXPECT_EQ(run.plan().next_deadline(), std::nullopt);
  EXPECT_EQ(run.end(1, 0, OutcomeKind::cancelled),
            "a/0=failure a:timed_out run:failure");
  EXPECT_EQ(run.reasons, (std::vector<std::string>{"its command took too long",
                                                   "it took longer than 10s"}));
}

TEST(Plan, FailsAStepWhoseTextGetsTooLong) {
  Script run{
      "jobs:\n"
      "  a: {steps: [{id: s, run: x}, {run: \"echo ${{ steps.s.outputs.v }}"
      "${{ steps.s.outputs.v }}\"}]}\n"};
  (void)run.start();
  EXPECT_EQ(
      run.end(1, 0, OutcomeKind::success, {{"v", std::string(600'000, 'x')}}),
      "a/0=success a/1=failure a:failed run:failure");
  EXPECT_EQ(run.reasons[0], "run: a text of more than 1.00 MiB");
}

TEST(Plan, IgnoresNewsAboutWhatDoesNotRun) {
  Script run{"jobs: {a: {steps: [{run: x}, {run: y}]}, b: {run: x, needs: a}}"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 1), "");
  EXPECT_EQ(run.end(2, 0), "");
  EXPECT_EQ(run.end(0, 0), "");
  EXPECT_EQ(run.end(99, 0), "");
  EXPECT_EQ(run.end(1, 0), "a/0=success +a/1");
}

TEST(Plan, WantsExactlyTheInputsOfTheWorkflow) {
  const auto workflow =
      load_workflow("etl.yaml", "jobs: {a: {run: \"x ${{ inputs.date }}\"}}");
  ASSERT_TRUE(workflow);
  EXPECT_EQ(Plan::make(*workflow, {}).error().what,
            "etl.yaml:1:31: no value for the input \"date\"; give it with "
            "--input date=VALUE\n"
            "jobs: {a: {run: \"x ${{ inputs.date }}\"}}\n"
            "                              ^~~~");
  EXPECT_EQ(
      Plan::make(*workflow, {"1", {{"date", "x"}, {"dat", "x"}}}).error().what,
      "etl.yaml: unknown input \"dat\"; did you mean \"date\"?");
  EXPECT_TRUE(Plan::make(*workflow, {"1", {{"date", "x"}}}));
}

TEST(Plan, RunsOneJobWithWhatItNeeds) {
  const std::string text =
      "jobs:\n"
      "  a: {run: x}\n"
      "  b: {run: x, needs: a, strategy: {matrix: {n: [1, 2]}}}\n"
      "  c: {run: x, needs: b}\n"
      "  d: {run: x}\n";
  Script run{text, {.only_job = "b"}};
  EXPECT_EQ(run.start(), "a:ready a:running +a/0");
  EXPECT_EQ(run.end(1, 0),
            "a/0=success a:succeeded b (1):ready b (2):ready b (1):running +b "
            "(1)/0 b (2):running +b (2)/0");
  EXPECT_EQ(run.end(2, 0), "b (1)/0=success b (1):succeeded");
  EXPECT_EQ(run.end(3, 0), "b (2)/0=success b (2):succeeded run:success");
  EXPECT_EQ(run.plan().instances().size(), 3u);

  const auto workflow = load_workflow("etl.yaml", text);
  ASSERT_TRUE(workflow);
  const auto unknown = Plan::make(*workflow, {.only_job = "bb"});
  EXPECT_EQ(unknown.error().what,
            "etl.yaml: no job \"bb\"; did you mean \"b\"?");
}

TEST(Plan, StartsWhatHasPriorityFirst) {
  Script run{
      "jobs:\n"
      "  low: {run: x, priority: low}\n"
      "  a: {run: x}\n"
      "  high: {run: x, priority: high}\n"
      "  b: {run: x}\n"
      "  critical: {run: x, priority: critical, needs: a}\n",
      {.max_parallel = 1}};
  EXPECT_EQ(run.start(),
            "low:ready a:ready high:ready b:ready high:running +high/0");
  EXPECT_EQ(run.end(3, 0), "high/0=success high:succeeded a:running +a/0");
  EXPECT_EQ(run.end(2, 0),
            "a/0=success a:succeeded critical:ready critical:running "
            "+critical/0");
  (void)run.end(5, 0);
  EXPECT_EQ(run.end(4, 0), "b/0=success b:succeeded low:running +low/0");
}

TEST(Plan, StartsTheLongestPathFirst) {
  PlanOptions options{.max_parallel = 1};
  options.estimate = [](const std::string& job, const std::string& step) {
    if (job == "long")
      return step == "step-2" ? Duration{3s} : Duration{4s};
    return job == "after" ? Duration{8s} : Duration{1s};
  };
  Script run{
      "jobs:\n"
      "  short: {run: x}\n"
      "  long: {steps: [{run: x, id: one}, {run: x}]}\n"
      "  before: {run: x}\n"
      "  after: {run: x, needs: before}\n"
      "  many: {run: x, strategy: {matrix: {n: [1, 2]}, max-parallel: 1}}\n",
      options};
  EXPECT_EQ(run.start(),
            "short:ready long:ready before:ready many (1):ready "
            "many (2):ready before:running +before/0");
  EXPECT_EQ(run.end(3, 0),
            "before/0=success before:succeeded after:ready after:running "
            "+after/0");
  EXPECT_EQ(run.end(4, 0),
            "after/0=success after:succeeded long:running +long/0");
  (void)run.end(2, 0);
  EXPECT_EQ(run.end(2, 1),
            "long/1=success long:succeeded many (1):running +many (1)/0");
  const auto all = run.plan().instances();
  EXPECT_EQ(all[1].estimate, 7s);
  EXPECT_EQ(all[2].path, 9s);
  EXPECT_EQ(all[4].estimate, 1s);
  EXPECT_EQ(all[4].path, 2s);
}

TEST(Plan, FailsAJobWhoseConditionCannotBeEvaluated) {
  Script run{
      "jobs:\n"
      "  a: {run: x, outputs: {v: \"${{ steps.run.outputs.v }}\"}}\n"
      "  b: {run: x, needs: a, if: fromJSON(needs.a.outputs.v)}\n"
      "  c: {steps: [{run: x, if: \"fromJSON('x')\"}]}\n"};
  EXPECT_EQ(run.start(),
            "a:ready c:ready a:running +a/0 c:running c/0=failure c:failed");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::success, {{"v", "["}}),
            "a/0=success a:succeeded b:failed run:failure");
  EXPECT_EQ(run.reasons,
            (std::vector<std::string>{"if: fromJSON(): no JSON at byte 1",
                                      "its command failed",
                                      "if: fromJSON(): no JSON at byte 2"}));
}

// -- Retries of a job, causes, limits -----------------------------------------

TEST(PlanRetry, TriesAJobWithStepsAgainFromItsFirstStep) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    retry: {attempts: 3, delay: 2s, backoff: 2, jitter: 0}\n"
      "    steps: [{id: one, run: x}, {run: \"y ${{ steps.one.outputs.v "
      "}}\"}]\n"
      "  b: {run: x, needs: a}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::success, {{"v", "old"}});
  EXPECT_EQ(run.end(1, 1, OutcomeKind::failed), "a/1=failure a:pending");
  EXPECT_EQ(run.reasons.back(), "step 2 failed; attempt 2 of 3 in 2s");
  EXPECT_EQ(run.plan().next_deadline(), run.now + 2s);
  EXPECT_EQ(run.wait(1999ms), "");
  EXPECT_EQ(run.wait(1ms), "a:ready a:running +a/0");
  EXPECT_EQ(run.started.back().restarts, 1U);
  EXPECT_EQ(run.end(1, 0, OutcomeKind::timed_out),
            "a/0=failure a/1=skipped a:pending");
  EXPECT_EQ(run.wait(4s), "a:ready a:running +a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a/1=skipped a:failed b:skipped run:failure");
}

TEST(PlanRetry, GivesItsPlaceToOthersWhileItWaits) {
  Script run{
      "jobs:\n"
      "  a: {retry: {attempts: 2, delay: 2s, jitter: 0}, steps: [{run: x}]}\n"
      "  b: {run: x}\n",
      {.max_parallel = 1}};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:pending b:running +b/0");
  EXPECT_EQ(run.wait(2s), "a:ready");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded a:running +a/0");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded run:success");
}

TEST(PlanRetry, AsksItsRulesAboutTheCause) {
  const char* const text =
      "jobs:\n"
      "  a: {retry: {attempts: 9, if: [exit:1-3], unless: exit:2}, "
      "steps: [{run: x}]}\n";
  Script third{text};
  (void)third.start();
  EXPECT_EQ(third.exit(1, 0, 3), "a/0=failure a:pending");
  Script second{text};
  (void)second.start();
  EXPECT_EQ(second.exit(1, 0, 2), "a/0=failure a:failed run:failure");
  Script fourth{text};
  (void)fourth.start();
  EXPECT_EQ(fourth.exit(1, 0, 4), "a/0=failure a:failed run:failure");
}

TEST(PlanRetry, StartsNoAttemptLaterThanMaxElapsed) {
  Script run{
      "jobs:\n"
      "  a: {retry: {attempts: 9, delay: 2s, backoff: 1, jitter: 0, "
      "max-elapsed: 5s}, steps: [{run: x}]}\n"};
  (void)run.start();
  run.now += 1s;
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed), "a/0=failure a:pending");
  (void)run.wait(2s);
  run.now += 1s;
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed run:failure");
}

TEST(PlanRetry, TheLastFailureStandsOnceTheRunIsEnding) {
  const char* const text =
      "jobs: {a: {retry: {attempts: 2}, steps: [{run: x}]}}\n";
  Script cancelled{text};
  (void)cancelled.start();
  (void)cancelled.end(1, 0, OutcomeKind::failed);
  EXPECT_EQ(cancelled.cancel(), "a:failed run:cancelled");
  EXPECT_EQ(cancelled.reasons.back(), "its command failed");
  Script stopped{text};
  (void)stopped.start();
  (void)stopped.end(1, 0, OutcomeKind::timed_out);
  EXPECT_EQ(stopped.stop_starting(), "a:timed_out run:failure");
}

TEST(PlanRetry, ComesBeforeTheGroup) {
  Script run{
      "groups: {g: {}}\n"
      "jobs: {a: {group: g, retry: {attempts: 2, delay: 0s}, "
      "steps: [{run: x}]}}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed), "a/0=failure a:pending");
  EXPECT_EQ(run.wait(0s), "a:ready a:running +a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed g?a a:pending a:ready a:running +a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed), "a/0=failure a:pending");
}

TEST(Plan, ForgivesByCause) {
  Script run{
      "jobs:\n"
      "  a: {steps: [{run: x, continue-on-error: [exit:3]}, {run: y}]}\n"
      "  b: {steps: [{run: x, continue-on-error: [exit:3]}, {run: y}]}\n"
      "  c: {run: x, continue-on-error: [timeout, exit:3]}\n"
      "  d: {run: x, continue-on-error: [timeout]}\n"};
  (void)run.start();
  EXPECT_EQ(run.exit(1, 0, 3), "a/0=failure +a/1");
  EXPECT_EQ(run.exit(2, 0, 4), "b/0=failure b/1=skipped b:failed");
  EXPECT_EQ(run.exit(3, 0, 3), "c/0=failure c:failed");
  (void)run.end(1, 1);
  EXPECT_EQ(run.exit(4, 0, 3), "d/0=failure d:failed run:failure");
}

TEST(Plan, ForgivesAJobThatOnlyFailedByItsCauses) {
  Script run{
      "jobs:\n"
      "  a: {run: x, continue-on-error: [exit:3]}\n"
      "  b: {run: x, needs: a}\n"};
  (void)run.start();
  EXPECT_EQ(run.exit(1, 0, 3), "a/0=failure a:failed b:ready b:running +b/0");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded run:success");
}

TEST(Plan, EndsAJobThatWaitsTooLongForAPlace) {
  Script run{
      "jobs:\n"
      "  a: {run: x}\n"
      "  b: {run: x, timeout: {queue: 5m}}\n"
      "  c: {run: x, needs: b}\n",
      {.max_parallel = 1}};
  EXPECT_EQ(run.start(), "a:ready b:ready a:running +a/0");
  EXPECT_EQ(run.plan().next_deadline(), run.now + 5min);
  EXPECT_EQ(run.wait(5min), "b:timed_out c:skipped");
  EXPECT_EQ(run.reasons[0], "it waited longer than 5m for a place");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded run:failure");
}

TEST(Plan, DoesNotCountTheWaitForAPlaceOnceItRuns) {
  Script run{"jobs: {a: {run: x, timeout: {queue: 5m, silence: 90s}}}"};
  (void)run.start();
  EXPECT_EQ(run.plan().next_deadline(), std::nullopt);
  EXPECT_EQ(run.started.back().silence, 90s);
}

// -- Computed matrices -------------------------------------------------------

/// A job x with the output y, and a job "a" with `matrix`.
std::string computed(const std::string& matrix, const std::string& more = "") {
  return "jobs:\n"
         "  x: {run: x, outputs: {y: \"${{ steps.run.outputs.y }}\"}}\n"
         "  a:\n"
         "    needs: x\n"
         "    strategy: {matrix: " +
         matrix + ", fail-fast: false}\n" + more +
         "    run: echo ${{ matrix.s }}\n"
         "  z: {run: x, needs: a}\n";
}

TEST(PlanMatrix, IsComputedFromOutputsOnceTheNeedsHaveEnded) {
  Script run{computed("\"${{ fromJSON(needs.x.outputs.y) }}\"")};
  EXPECT_EQ(run.start(), "x:ready x:running +x/0");
  EXPECT_EQ(run.plan().instances().size(), 3U);
  EXPECT_EQ(run.end(1, 0, OutcomeKind::success,
                    {{"y", "{\"s\": [\"p q\", 2], \"exclude\": []}"}}),
            "x/0=success x:succeeded a*2 a (p q):ready a (2):ready "
            "a (p q):running +a (p q)/0 a (2):running +a (2)/0");
  EXPECT_EQ(run.started[1].line, "echo 'p q'");
  EXPECT_EQ(run.started[2].line, "echo 2");
  EXPECT_EQ(run.started[2].instance.value, 4U);
  (void)run.end(2, 0);
  EXPECT_EQ(run.end(4, 0),
            "a (2)/0=success a (2):succeeded z:ready z:running +z/0");
}

TEST(PlanMatrix, CanBeAListOfCombinationsOrOneListOfSeveral) {
  Script whole{computed("\"${{ fromJSON(needs.x.outputs.y) }}\"")};
  (void)whole.start();
  EXPECT_EQ(whole.end(1, 0, OutcomeKind::success,
                      {{"y", "[{\"s\": 1}, {\"s\": 2, \"t\": 3}]"}}),
            "x/0=success x:succeeded a*2 a (1):ready a (2, 3):ready "
            "a (1):running +a (1)/0 a (2, 3):running +a (2, 3)/0");
  Script part{
      computed("{s: \"${{ fromJSON(needs.x.outputs.y) }}\", k: [a, b], "
               "exclude: [{s: 1, k: b}]}")};
  (void)part.start();
  EXPECT_EQ(part.end(1, 0, OutcomeKind::success, {{"y", "[1]"}}),
            "x/0=success x:succeeded a*1 a (1, a):ready a (1, a):running "
            "+a (1, a)/0");
}

TEST(PlanMatrix, FailsItsJobWithAReasonIfItCannotBeComputed) {
  const auto reason = [](const std::string& value) {
    Script run{computed("\"${{ fromJSON(needs.x.outputs.y) }}\"")};
    (void)run.start();
    EXPECT_EQ(run.end(1, 0, OutcomeKind::success, {{"y", value}}),
              "x/0=success x:succeeded a:failed z:skipped run:failure");
    return run.reasons.front();
  };
  EXPECT_EQ(reason("{"), "matrix: fromJSON(): no JSON at byte 2");
  EXPECT_EQ(reason("7"),
            "matrix: expected an object of lists or a list of objects, got 7");
  EXPECT_EQ(reason("{\"s\": 7}"), "matrix: s: expected a list, got 7");
  EXPECT_EQ(reason("[7]"),
            "matrix: a list as a matrix: expected an object of at most 32 "
            "values, got 7");
  EXPECT_EQ(reason("{\"s\": [1], \"exclude\": [{\"t\": 1}]}"),
            "matrix: exclude: unknown matrix key \"t\"");
  std::string many = "{\"s\": [0";
  for (int i = 0; i < 1024; ++i)
    many += ",0";
  EXPECT_EQ(reason(many + "]}"),
            "matrix: the matrix has more than 1024 combinations");
  EXPECT_EQ(reason("{\"s\": [\"" + std::string(2000, 'x') + "\"]}"),
            "matrix: a matrix value of more than 1 KiB");
}

TEST(PlanMatrix, WithoutACombinationHasItsJobSkipped) {
  Script run{computed("{s: \"${{ fromJSON(needs.x.outputs.y) }}\"}")};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::success, {{"y", "[]"}}),
            "x/0=success x:succeeded a:skipped z:skipped run:success");
  EXPECT_EQ(run.reasons.front(), "its matrix has no combination");
}

TEST(PlanMatrix, IsNotComputedForAJobThatIsSkipped) {
  Script run{computed("\"${{ fromJSON(needs.x.outputs.y) }}\"")};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "x/0=failure x:failed a:skipped z:skipped run:failure");
  EXPECT_EQ(run.reasons[1], "job \"x\" ended with failure");
  Script off{computed("\"${{ fromJSON(needs.x.outputs.y) }}\"",
                      "    if: needs.x.outputs.y != ''\n")};
  (void)off.start();
  EXPECT_EQ(off.end(1, 0),
            "x/0=success x:succeeded a:skipped z:skipped run:success");
}

TEST(PlanMatrix, LetsAConditionAskForItsValues) {
  Script run{computed("\"${{ fromJSON(needs.x.outputs.y) }}\"",
                      "    if: matrix.s > 1\n")};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::success, {{"y", "{\"s\": [1, 2]}"}}),
            "x/0=success x:succeeded a*2 a (1):skipped a (2):ready "
            "a (2):running +a (2)/0");
}

TEST(PlanMatrix, IsComputedAgainForANewTryOfItsGroup) {
  Script run{
      "groups: {g: {strategy: one_for_all, intensity: 2}}\n"
      "jobs:\n"
      "  x: {run: x, group: g, outputs: {y: \"${{ steps.run.outputs.y }}\"}}\n"
      "  a:\n"
      "    group: g\n"
      "    needs: x\n"
      "    strategy: {matrix: {s: \"${{ fromJSON(needs.x.outputs.y) }}\"}}\n"
      "    run: echo ${{ matrix.s }}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::success, {{"y", "[1, 2]"}});
  (void)run.end(2, 0, OutcomeKind::failed);
  EXPECT_EQ(run.end(3, 0, OutcomeKind::cancelled),
            "a (2)/0=cancelled a (2):cancelled g?a x:pending a (1):pending "
            "a (2):pending x:ready x:running +x/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::success, {{"y", "[9]"}}),
            "x/0=success x:succeeded a*1 a (2):skipped a (9):ready "
            "a (9):running +a (9)/0");
  EXPECT_EQ(run.end(2, 0), "a (9)/0=success a (9):succeeded run:success");
}

// -- Concurrency -------------------------------------------------------------

TEST(PlanConcurrency, LetsOneJobOfAGroupRunAtATime) {
  Script run{
      "jobs:\n"
      "  a: {run: x, concurrency: db}\n"
      "  b: {run: x, concurrency: db}\n"
      "  c: {run: x}\n"};
  EXPECT_EQ(run.start(),
            "a:ready b:ready c:ready a:running +a/0 c:running +c/0");
  EXPECT_EQ(run.reasons.back(), "waits for concurrency group \"db\"");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed b:running +b/0");
  (void)run.end(2, 0);
  EXPECT_EQ(run.end(3, 0), "c/0=success c:succeeded run:failure");
}

TEST(PlanConcurrency, HasAGroupForEachValueOfItsName) {
  Script run{
      "jobs:\n"
      "  a:\n"
      "    strategy: {matrix: {n: [1, 2], k: [x, y]}}\n"
      "    concurrency: {group: \"db-${{ matrix.n }}\", limit: 1}\n"
      "    run: x\n"};
  EXPECT_EQ(run.start(),
            "a (1, x):ready a (1, y):ready a (2, x):ready a (2, y):ready "
            "a (1, x):running +a (1, x)/0 a (2, x):running +a (2, x)/0");
  EXPECT_EQ(run.end(3, 0),
            "a (2, x)/0=success a (2, x):succeeded a (2, y):running "
            "+a (2, y)/0");
}

TEST(PlanConcurrency, SkipsFailsOrRefusesWhatHasNoPlace) {
  Script run{
      "jobs:\n"
      "  a: {run: x, concurrency: g}\n"
      "  b: {run: x, concurrency: {group: g, on-conflict: skip}}\n"
      "  c: {run: x, concurrency: {group: g, on-conflict: fail}}\n"
      "  d: {run: x, concurrency: {group: g, queue: 1}}\n"
      "  e: {run: x, concurrency: {group: g, queue: 1}}\n"};
  EXPECT_EQ(run.start(),
            "a:ready b:skipped c:failed d:ready e:failed a:running +a/0");
  EXPECT_EQ(run.reasons,
            (std::vector<std::string>{
                "concurrency group \"g\" is in use",
                "concurrency group \"g\" is in use",
                "waits for concurrency group \"g\"",
                "concurrency group \"g\" has no room for one more: 1 wait"}));
}

TEST(PlanConcurrency, CancelsWhatRunsIfThatIsWanted) {
  Script run{
      "jobs:\n"
      "  a: {run: x, concurrency: g}\n"
      "  x: {run: x}\n"
      "  b: {run: x, needs: x, concurrency: {group: g, "
      "cancel-in-progress: true}}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(2, 0), "x/0=success x:succeeded b:ready !a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::cancelled),
            "a/0=cancelled a:cancelled b:running +b/0");
}

TEST(PlanConcurrency, IsNotHeldByAJobThatWaitsForItsNextAttempt) {
  Script run{
      "jobs:\n"
      "  a: {concurrency: g, retry: {attempts: 2, delay: 5s, jitter: 0}, "
      "steps: [{run: x}]}\n"
      "  b: {run: x, concurrency: g}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:pending b:running +b/0");
  EXPECT_EQ(run.wait(5s), "a:ready");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded a:running +a/0");
}

TEST(PlanConcurrency, IsLeftWhenTheRunIsCancelled) {
  Script run{
      "jobs:\n"
      "  a: {run: x, concurrency: g}\n"
      "  b: {run: x, concurrency: g}\n"
      "  c: {run: x, concurrency: g, if: always()}\n"};
  (void)run.start();
  EXPECT_EQ(run.cancel(), "!a/0 b:cancelled");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::cancelled),
            "a/0=cancelled a:cancelled c:running +c/0");
  EXPECT_EQ(run.end(3, 0), "c/0=success c:succeeded run:cancelled");
}

// -- Groups ------------------------------------------------------------------

TEST(PlanGroup, StartsAFailedJobAgainWithinItsBudget) {
  Script run{
      "groups: {g: {intensity: 2}}\n"
      "jobs:\n"
      "  a: {run: x, group: g}\n"
      "  b: {run: x, needs: a}\n"};
  EXPECT_EQ(run.start(), "a:ready a:running +a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed g?a a:pending a:ready a:running +a/0");
  EXPECT_EQ(run.started.back().restarts, 1U);
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded b:ready b:running +b/0");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded run:success");
}

TEST(PlanGroup, GivesUpAfterTooManyRestarts) {
  Script run{
      "groups: {g: {intensity: 1, period: 1h}}\n"
      "jobs:\n"
      "  a: {run: x, group: g}\n"
      "  b: {run: x, needs: a}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::failed);
  EXPECT_EQ(run.end(1, 0, OutcomeKind::timed_out),
            "a/0=failure a:timed_out g!a b:skipped run:failure");
}

TEST(PlanGroup, CountsTheRestartsOfItsPeriodOnly) {
  Script run{
      "groups: {g: {intensity: 1, period: 1h}}\n"
      "jobs: {a: {run: x, group: g}}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::failed);
  (void)run.wait(1h + 1ns);
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed g?a a:pending a:ready a:running +a/0");
}

TEST(PlanGroup, OneForOneLeavesTheOthersAlone) {
  Script run{
      "groups: {g: {}}\n"
      "jobs: {a: {run: x, group: g}, b: {run: x, group: g}}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed g?a a:pending a:ready a:running +a/0");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded");
}

TEST(PlanGroup, OneForOneKeepsWhatSucceededOfAMatrix) {
  Script run{
      "groups: {g: {}}\n"
      "jobs: {a: {run: x, group: g, strategy: {matrix: {n: [1, 2, 3]}}}}\n"};
  (void)run.start();
  (void)run.end(1, 0);
  // The third is stopped by fail-fast.
  EXPECT_EQ(run.end(2, 0, OutcomeKind::failed),
            "a (2)/0=failure a (2):failed !a (3)/0");
  EXPECT_EQ(
      run.end(3, 0, OutcomeKind::cancelled),
      "a (3)/0=cancelled a (3):cancelled g?a a (2):pending a (3):pending a "
      "(2):ready a (3):ready a (2):running +a (2)/0 a (3):running +a (3)/0");
  (void)run.end(2, 0);
  EXPECT_EQ(run.end(3, 0), "a (3)/0=success a (3):succeeded run:success");
}

TEST(PlanGroup, FailFastOfJobsThatWaitDoesNotStopTheNextTry) {
  Script run{
      "groups: {g: {}}\n"
      "jobs: {a: {run: x, group: g, strategy: {max-parallel: 1, "
      "matrix: {n: [1, 2]}}}}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a (1)/0=failure a (1):failed a (2):cancelled g?a a (1):pending a "
            "(2):pending a (1):ready a (2):ready a (1):running +a (1)/0");
}

TEST(PlanGroup, OneForAllStopsTheOthersAndStartsAllOnceTheyHaveEnded) {
  Script run{
      "groups: {g: {strategy: one_for_all}}\n"
      "jobs:\n"
      "  a: {run: x, group: g}\n"
      "  b: {run: x, group: g}\n"
      "  c: {run: x, group: g}\n"
      "  d: {run: x}\n"};
  (void)run.start();
  (void)run.end(1, 0);
  EXPECT_EQ(run.end(2, 0, OutcomeKind::failed),
            "b/0=failure b:failed g?b a:pending b:pending !c/0");
  EXPECT_EQ(run.end(3, 0, OutcomeKind::cancelled),
            "c/0=cancelled c:pending a:ready b:ready c:ready a:running +a/0 "
            "b:running +b/0 c:running +c/0");
}

TEST(PlanGroup, RestForOneStartsTheLaterOnesAgainAndNotTheEarlierOnes) {
  Script run{
      "groups: {g: {strategy: rest_for_one}}\n"
      "jobs:\n"
      "  a: {run: x, group: g}\n"
      "  b: {run: x, group: g}\n"
      "  c: {run: x, group: g}\n"};
  (void)run.start();
  (void)run.end(1, 0);
  (void)run.end(3, 0);
  EXPECT_EQ(run.end(2, 0, OutcomeKind::failed),
            "b/0=failure b:failed g?b b:pending c:pending b:ready c:ready "
            "b:running +b/0 c:running +c/0");
}

TEST(PlanGroup, WhatFollowsInTheGroupWaitsForTheNextTry) {
  Script run{
      "groups: {g: {strategy: one_for_all}}\n"
      "jobs:\n"
      "  a: {run: x, group: g}\n"
      "  b: {run: x, group: g, needs: a}\n"
      "  after: {run: x, needs: [a, b]}\n"};
  (void)run.start();
  (void)run.end(1, 0);
  EXPECT_EQ(run.end(2, 0, OutcomeKind::failed),
            "b/0=failure b:failed g?b a:pending b:pending a:ready a:running "
            "+a/0");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded b:ready b:running +b/0");
  EXPECT_EQ(run.end(2, 0),
            "b/0=success b:succeeded after:ready after:running +after/0");
  EXPECT_EQ(run.end(3, 0), "after/0=success after:succeeded run:success");
}

TEST(PlanGroup, AJobThatWasAboutToStartWaitsForTheNewOutputs) {
  Script run{
      "groups: {g: {strategy: one_for_all}}\n"
      "jobs:\n"
      "  a: {run: x, group: g, outputs: {v: \"${{ steps.run.outputs.v }}\"}}\n"
      "  b: {run: x, group: g}\n"
      "  c: {run: \"echo ${{ needs.a.outputs.v }}\", needs: a}\n",
      {.max_parallel = 2}};
  EXPECT_EQ(run.start(), "a:ready b:ready a:running +a/0 b:running +b/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::success, {{"v", "old"}}),
            "a/0=success a:succeeded c:ready c:running +c/0");
  (void)run.end(3, 0);
  EXPECT_EQ(run.end(2, 0, OutcomeKind::failed),
            "b/0=failure b:failed g?b a:pending b:pending a:ready b:ready "
            "a:running +a/0 b:running +b/0");

  Script late{
      "groups: {g: {strategy: one_for_all}}\n"
      "jobs:\n"
      "  a: {run: x, group: g, outputs: {v: \"${{ steps.run.outputs.v }}\"}}\n"
      "  b: {run: x, group: g}\n"
      "  other: {run: x}\n"
      "  c: {run: \"echo ${{ needs.a.outputs.v }}\", needs: a}\n",
      {.max_parallel = 3}};
  (void)late.start();
  (void)late.end(3, 0);
  EXPECT_EQ(late.end(1, 0, OutcomeKind::success, {{"v", "old"}}),
            "a/0=success a:succeeded c:ready c:running +c/0");
}

TEST(PlanGroup, AJobThatHasNotStartedGetsWhatTheLastTryGave) {
  Script run{
      "groups: {g: {strategy: one_for_all}}\n"
      "jobs:\n"
      "  a: {run: x, group: g, outputs: {v: \"${{ steps.run.outputs.v }}\"}}\n"
      "  b: {run: x, group: g}\n"
      "  x: {run: x}\n"
      "  c: {run: \"echo ${{ needs.a.outputs.v }}\", needs: [a, x]}\n"};
  (void)run.start();
  (void)run.end(1, 0, OutcomeKind::success, {{"v", "old"}});
  (void)run.end(2, 0, OutcomeKind::failed);
  (void)run.end(1, 0, OutcomeKind::success, {{"v", "new"}});
  EXPECT_EQ(run.end(3, 0), "x/0=success x:succeeded c:ready c:running +c/0");
  EXPECT_EQ(run.started.back().line, "echo new");
}

TEST(PlanGroup, IsNotAskedOnceTheRunIsCancelled) {
  Script run{
      "groups: {g: {}}\n"
      "jobs: {a: {run: x, group: g}}\n"};
  (void)run.start();
  (void)run.cancel();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed run:cancelled");
}

TEST(PlanGroup, ARunThatIsCancelledAmidARestartEnds) {
  Script run{
      "groups: {g: {strategy: one_for_all}}\n"
      "jobs: {a: {run: x, group: g}, b: {run: x, group: g}}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed g?a a:pending !b/0");
  EXPECT_EQ(run.cancel(), "");
  EXPECT_EQ(run.end(2, 0, OutcomeKind::cancelled),
            "b/0=cancelled b:cancelled a:cancelled run:cancelled");
}

TEST(PlanGroup, DoesNotAskForAFailureThatIsForgiven) {
  Script run{
      "groups: {g: {}}\n"
      "jobs: {a: {run: x, group: g, continue-on-error: true}}\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed run:success");
}

TEST(PlanGroup, LetsAJobThatIsToldToStopCleanUpFirst) {
  Script run{
      "groups: {g: {strategy: one_for_all}}\n"
      "jobs:\n"
      "  a: {run: x, group: g}\n"
      "  b:\n"
      "    group: g\n"
      "    steps: [{run: x}, {run: y, if: always()}]\n"};
  (void)run.start();
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed),
            "a/0=failure a:failed g?a a:pending !b/0");
  EXPECT_EQ(run.end(2, 0, OutcomeKind::cancelled), "b/0=cancelled +b/1");
  EXPECT_EQ(
      run.end(2, 1),
      "b/1=success b:pending a:ready b:ready a:running +a/0 b:running +b/0");
}

}  // namespace
}  // namespace troupe::workflow
