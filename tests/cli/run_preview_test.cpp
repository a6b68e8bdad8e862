#include "run_preview.hpp"

#include <troupe/workflow/load.hpp>

#include <gtest/gtest.h>
#include <string>

namespace troupe::cli {
namespace {

std::string preview(std::string text, workflow::PlanOptions options) {
  const auto workflow = workflow::load_workflow("etl.yaml", std::move(text));
  if (!workflow)
    return workflow.error().what;
  const auto plan = workflow::Plan::make(*workflow, options);
  return plan ? describe_plan(*plan, options) : plan.error().what;
}

TEST(RunPreview, ResolvesWhatIsKnownAndLeavesTheRest) {
  EXPECT_EQ(
      preview("name: etl\n"
              "env: {DAY: \"${{ inputs.day }}\"}\n"
              "jobs:\n"
              "  load:\n"
              "    needs: [pull, {job: note, when: finished}]\n"
              "    if: inputs.day != ''\n"
              "    env: {ROWS: \"${{ needs.pull.outputs.rows }}\"}\n"
              "    steps:\n"
              "      - run: ./load ${{ env.DAY }} ${{ env.ROWS }}\n"
              "      - {id: end, if: always(), shell: bash, run: \"true\"}\n"
              "  pull:\n"
              "    strategy: {matrix: {region: [eu, us]}}\n"
              "    retries: 2\n"
              "    timeout: {attempt: 5m, total: 10m}\n"
              "    working-directory: /srv/${{ matrix.region }}\n"
              "    run: ./pull ${{ matrix.region }} ${{ env.DAY }}\n"
              "    outputs: {rows: 1}\n"
              "  note:\n"
              "    steps:\n"
              "      - name: Note ${{ run.name }}\n"
              "        run: |\n"
              "          a=1\n"
              "          echo $a\n",
              {.inputs = {{"day", "a b"}}, .max_parallel = 2}),
      "etl: 4 jobs, at most 2 at a time; nothing was started\n"
      "\n"
      "wave 1\n"
      "  job pull (eu)\n"
      "    run (without a shell in /srv/eu, up to 3 attempts, at most 5m, at "
      "most 10m in all)\n"
      "      $ ./pull eu 'a b'\n"
      "  job pull (us)\n"
      "    run (without a shell in /srv/us, up to 3 attempts, at most 5m, at "
      "most 10m in all)\n"
      "      $ ./pull us 'a b'\n"
      "  job note\n"
      "    step-1 (by sh -e): Note etl\n"
      "      | a=1\n"
      "      | echo $a\n"
      "\n"
      "wave 2\n"
      "  job load after pull, note (however it ends)\n"
      "    if inputs.day != ''\n"
      "    step-1 (by sh -e if it needs a shell)\n"
      "      | ./load 'a b' ${{ env.ROWS }}\n"
      "    end (by bash)\n"
      "      if always()\n"
      "      | true\n");
}

TEST(RunPreview, HasOnlyTheJobsOfTheRun) {
  EXPECT_EQ(preview("{name: x, jobs: {a: {run: ls}, b: {run: ls, needs: a}, "
                    "c: {run: ls}}}",
                    {.max_parallel = 1, .only_job = "a"}),
            "x: 1 job, at most 1 at a time; nothing was started\n"
            "\n"
            "wave 1\n"
            "  job a\n"
            "    run (without a shell)\n"
            "      $ ls\n");
}

TEST(RunPreview, LeavesValuesOfAComputedMatrix) {
  EXPECT_EQ(preview("name: etl\n"
                    "jobs:\n"
                    "  a: {run: x, outputs: {s: x}}\n"
                    "  b:\n"
                    "    needs: a\n"
                    "    strategy:\n"
                    "      matrix: ${{ fromJSON(needs.a.outputs.s) }}\n"
                    "    run: y ${{ matrix.s }}\n",
                    {.max_parallel = 2}),
            "etl: 2 jobs, at most 2 at a time; nothing was started\n"
            "\n"
            "wave 1\n"
            "  job a\n"
            "    run (without a shell)\n"
            "      $ x\n"
            "\n"
            "wave 2\n"
            "  job b after a\n"
            "    its matrix is computed when the jobs before it have ended\n"
            "    run (by sh -e if it needs a shell)\n"
            "      | y ${{ matrix.s }}\n");
}

TEST(RunPreview, TellsHowLongJobsMayTake) {
  workflow::PlanOptions options{.max_parallel = 2};
  options.estimate = [](const std::string& job, const std::string&) {
    return job == "b" ? Duration{90s} : Duration{0};
  };
  EXPECT_EQ(preview("name: etl\n"
                    "jobs: {a: {run: x}, b: {run: x, needs: a}, c: {run: x}}\n",
                    options),
            "etl: 3 jobs, at most 2 at a time; nothing was started\n"
            "\n"
            "wave 1\n"
            "  job a, about 0s, 1m30s to the end of the run\n"
            "    run (without a shell)\n"
            "      $ x\n"
            "  job c\n"
            "    run (without a shell)\n"
            "      $ x\n"
            "\n"
            "wave 2\n"
            "  job b after a, about 1m30s, 1m30s to the end of the run\n"
            "    run (without a shell, about 1m30s)\n"
            "      $ x\n"
            "\n"
            "critical path, about 1m30s: a, b\n"
            "  without what is not known yet: run of a\n");
}

TEST(RunPreview, TellsTheCriticalPathOfTheJobsOfTheRun) {
  workflow::PlanOptions options{.max_parallel = 2, .only_job = "a"};
  options.estimate = [](const std::string&, const std::string& step) {
    return step == "one" ? Duration{1234567us} : Duration{3s};
  };
  EXPECT_EQ(preview("name: etl\n"
                    "jobs:\n"
                    "  a: {steps: [{id: one, run: x}, {run: x}]}\n"
                    "  b: {run: x, needs: a}\n",
                    options),
            "etl: 1 job, at most 2 at a time; nothing was started\n"
            "\n"
            "wave 1\n"
            "  job a, about 4.235s, 4.235s to the end of the run\n"
            "    one (without a shell, about 1.235s)\n"
            "      $ x\n"
            "    step-2 (without a shell, about 3s)\n"
            "      $ x\n"
            "\n"
            "critical path, about 4.235s: a\n");
}

}  // namespace
}  // namespace troupe::cli
