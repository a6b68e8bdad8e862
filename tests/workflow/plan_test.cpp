#include <troupe/workflow/load.hpp>
#include <troupe/workflow/plan.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace troupe::workflow {
namespace {

using actors::OutcomeKind;

/// Runs a plan by hand and writes down what it does, one word per action:
/// "+pull" starts, "!pull" is to be stopped, "pull=failure" is a step's end,
/// "a:failed" a state of a job, "g?a" the decision of a group about a ("g!a" to
/// give up), "run:success" the end.
class Script {
 public:
  explicit Script(std::string text, PlanOptions options = {}) {
    auto workflow = load_workflow("etl.yaml", std::move(text));
    EXPECT_TRUE(workflow) << workflow.error().what;
    auto plan = Plan::make(*workflow, std::move(options));
    EXPECT_TRUE(plan) << plan.error().what;
    plan_ = std::make_unique<Plan>(std::move(*plan));
  }

  std::string start() { return note(plan_->start(now)); }
  std::string cancel() { return note(plan_->cancel(now)); }
  std::string stop_starting() { return note(plan_->stop_starting(now)); }

  std::string end(std::uint64_t instance, std::size_t step,
                  OutcomeKind kind = OutcomeKind::success,
                  Outputs outputs = {}) {
    return note(plan_->on_step_finished(InstanceId{instance}, step,
                                        {kind, 0, std::move(outputs)}, now));
  }

  std::string wait(Duration time) {
    now += time;
    return note(plan_->on_time(now));
  }

  TimePoint now{};
  std::vector<StartStep> started;
  std::vector<std::string> reasons;

  [[nodiscard]] const Plan& plan() const { return *plan_; }

 private:
  std::string title(InstanceId instance, std::size_t step) const {
    const auto& info = plan_->instances()[instance.value - 1];
    return fmt::format("{}/{}", info.label, step);
  }

  std::string note(const Actions& actions) {
    std::string out;
    for (const Action& action : actions) {
      out += out.empty() ? "" : " ";
      if (const auto* const a = std::get_if<StartStep>(&action)) {
        started.push_back(*a);
        out += "+" + title(a->instance, a->step);
      } else if (const auto* const b = std::get_if<CancelStep>(&action)) {
        out += "!" + title(b->instance, b->step);
      } else if (const auto* const c = std::get_if<StepEnded>(&action)) {
        out += fmt::format("{}={}", title(c->instance, c->step),
                           to_string(c->outcome));
        if (!c->reason.empty())
          reasons.push_back(c->reason);
      } else if (const auto* const d = std::get_if<JobStateChanged>(&action)) {
        out += fmt::format("{}:{}",
                           plan_->instances()[d->instance.value - 1].label,
                           to_string(d->state));
        if (!d->reason.empty())
          reasons.push_back(d->reason);
      } else if (const auto* const g = std::get_if<GroupDecided>(&action)) {
        out += fmt::format("{}{}{}", g->group, g->gave_up ? '!' : '?', g->job);
      } else if (const auto* const e = std::get_if<RunFinished>(&action)) {
        out += fmt::format("run:{}", to_string(e->result));
      }
    }
    return out;
  }

  std::unique_ptr<Plan> plan_;
};

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
  EXPECT_EQ(run.start(), "a:ready a:running +a/0 b:ready b:running +b/0");
  EXPECT_EQ(run.end(2, 0), "a/0=success a:succeeded");
  EXPECT_EQ(run.end(3, 0, OutcomeKind::failed),
            "b/0=failure b:failed c:skipped d:skipped run:failure");
  EXPECT_EQ(run.reasons,
            (std::vector<std::string>{"its command failed",
                                      "job \"b\" ended with failure",
                                      "job \"c\" ended with skipped"}));
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
  EXPECT_EQ(run.end(1, 0, OutcomeKind::timed_out),
            "a/0=failure a:timed_out b:skipped c:ready c:running +c/0 "
            "d:ready d:running +d/0 e:ready e:running +e/0 f:ready f:running "
            "+f/0 g:skipped");
  EXPECT_EQ(run.started[2].line, "echo skipped");
}

TEST(Plan, EvaluatesConditionsOfJobs) {
  Script run{
      "jobs:\n"
      "  a: {run: x, if: inputs.env == 'prod'}\n"
      "  b: {run: x, if: \"${{ inputs.env != 'prod' }}\"}\n"
      "  c: {run: x, if: false}\n",
      {"1", {{"env", "prod"}}}};
  EXPECT_EQ(run.start(), "a:ready a:running +a/0 b:skipped c:skipped");
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
            "a (1):ready a (1):running +a (1)/0 a (2):ready a (2):running "
            "+a (2)/0 a (3):ready b:ready b:running +b/0 c:ready");
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
            "a/0=success a:succeeded b (1):ready b (1):running +b (1)/0 "
            "b (2):ready b (2):running +b (2)/0");
  EXPECT_EQ(run.end(2, 0), "b (1)/0=success b (1):succeeded");
  EXPECT_EQ(run.end(3, 0), "b (2)/0=success b (2):succeeded run:success");
  EXPECT_EQ(run.plan().instances().size(), 3u);

  const auto workflow = load_workflow("etl.yaml", text);
  ASSERT_TRUE(workflow);
  const auto unknown = Plan::make(*workflow, {.only_job = "bb"});
  EXPECT_EQ(unknown.error().what,
            "etl.yaml: no job \"bb\"; did you mean \"b\"?");
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
  EXPECT_EQ(run.end(3, 0, OutcomeKind::cancelled),
            "a (3)/0=cancelled a (3):cancelled g?a a (2):pending a (3):pending "
            "a (2):ready a (2):running +a (2)/0 "
            "a (3):ready a (3):running +a (3)/0");
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
            "a (1)/0=failure a (1):failed a (2):cancelled g?a "
            "a (1):pending a (2):pending a (1):ready a (1):running +a (1)/0 "
            "a (2):ready");
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
            "c/0=cancelled c:pending a:ready a:running +a/0 b:ready b:running "
            "+b/0 c:ready c:running +c/0");
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
            "b/0=failure b:failed g?b b:pending c:pending b:ready b:running "
            "+b/0 c:ready c:running +c/0");
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
  EXPECT_EQ(run.start(), "a:ready a:running +a/0 b:ready b:running +b/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::success, {{"v", "old"}}),
            "a/0=success a:succeeded c:ready c:running +c/0");
  (void)run.end(3, 0);
  EXPECT_EQ(run.end(2, 0, OutcomeKind::failed),
            "b/0=failure b:failed g?b a:pending b:pending a:ready a:running "
            "+a/0 b:ready b:running +b/0");

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
  EXPECT_EQ(run.end(2, 1),
            "b/1=success b:pending a:ready a:running +a/0 b:ready b:running "
            "+b/0");
}

}  // namespace
}  // namespace troupe::workflow
