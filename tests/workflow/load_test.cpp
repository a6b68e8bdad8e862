#include "load_text.hpp"

#include <troupe/workflow/load.hpp>

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sstream>
#include <string>

namespace troupe::workflow {
namespace {

std::string load_errors(std::string text) {
  const auto workflow = load_workflow("etl.yaml", std::move(text));
  return workflow ? "none" : workflow.error().what;
}

TEST(LoadWorkflow, TakesTheSmallestFile) {
  const auto workflow = load("jobs:\n  hello: { run: echo hello }\n");
  ASSERT_NE(workflow, nullptr);
  EXPECT_EQ(workflow->name, "etl.yaml");
  ASSERT_EQ(workflow->jobs.size(), 1U);
  const Job& job = workflow->jobs[0];
  EXPECT_EQ(job.id, "hello");
  ASSERT_EQ(job.steps.size(), 1U);
  const Step& step = job.steps[0];
  EXPECT_EQ(step.id, "run");
  EXPECT_EQ(step.run.text, "echo hello");
  EXPECT_EQ(step.shell, default_shell());
  EXPECT_EQ(step.retry, actors::RetryPolicy{});
  EXPECT_EQ(step.success, actors::SuccessCriteria{});
  EXPECT_EQ(step.timeout, TimeLimits{});
  EXPECT_EQ(step.grace, 2s);
}

TEST(LoadWorkflow, HandsDefaultsDownAndLetsTheNearestWin) {
  const auto workflow = load(
      "defaults: {shell: bash -eu, timeout: 30m, grace: 1s, retries: 2,\n"
      "           working_directory: /srv}\n"
      "jobs:\n"
      "  a:\n"
      "    grace: 5s\n"
      "    timeout: {attempt: 1h, total: 2h}\n"
      "    steps:\n"
      "      - run: x\n"
      "      - run: y\n"
      "        timeout-minutes: 1.5\n"
      "        retry: {delay: 9s, backoff: 3, max-delay: 2m, jitter: 0}\n"
      "        shell: dash\n"
      "        success-exit-codes: [0, 130]\n"
      "        output-contains: done\n"
      "        output-not-contains: [ERROR, PANIC]\n"
      "        max-duration: 3s\n"
      "  b: {run: z, timeout: {attempt: 1s, total: 2s}}\n");
  ASSERT_NE(workflow, nullptr);
  const Job& a = workflow->jobs[0];
  EXPECT_EQ(a.time_limit, 1h);
  EXPECT_EQ(a.steps[0].timeout, (TimeLimits{30min, 0s}));
  EXPECT_EQ(a.steps[0].grace, 5s);
  EXPECT_EQ(a.steps[0].retry.attempts, 3U);
  EXPECT_EQ(a.steps[0].shell, (std::vector<std::string>{"bash", "-eu"}));
  EXPECT_EQ(a.steps[0].working_directory.text, "/srv");
  EXPECT_EQ(a.steps[1].timeout, (TimeLimits{90s, 0s}));
  EXPECT_EQ(a.steps[1].retry, (actors::RetryPolicy{3, 9s, 3.0, 2min, 0.0}));
  EXPECT_EQ(a.steps[1].shell, std::vector<std::string>{"dash"});
  EXPECT_EQ(
      a.steps[1].success,
      (actors::SuccessCriteria{{0, 130}, {"done"}, {"ERROR", "PANIC"}, 3s}));
  const Job& b = workflow->jobs[1];
  EXPECT_EQ(b.steps[0].timeout, (TimeLimits{1s, 2s}));
  EXPECT_EQ(b.time_limit, Duration{0});
}

TEST(LoadWorkflow, ReadsNeedsInEveryForm) {
  const auto workflow = load(
      "jobs:\n"
      "  a: {run: x}\n"
      "  b: {run: x, needs: a}\n"
      "  c: {run: x, needs: [a, {job: b, when: finished}]}\n"
      "  d: {run: x, needs: {job: c, when: failed}}\n");
  ASSERT_NE(workflow, nullptr);
  EXPECT_EQ(workflow->jobs[1].needs[0].job, 0U);
  EXPECT_EQ(workflow->jobs[2].needs[1].job, 1U);
  EXPECT_EQ(workflow->jobs[2].needs[1].when, When::finished);
  EXPECT_EQ(workflow->jobs[3].needs[0].when, When::failed);
}

TEST(LoadWorkflow, ReportsEverythingInOneGo) {
  EXPECT_EQ(load_errors("jobs:\n"
                        "  a:\n"
                        "    run: x\n"
                        "    tiemout: 5m\n"
                        "    needs: [bb]\n"
                        "  b:\n"
                        "    timeout: soon\n"
                        "    run: x\n"
                        "    services: [db]\n"),
            "etl.yaml:4:5: unknown key \"tiemout\" in a job; did you mean "
            "\"timeout\"?\n"
            "    tiemout: 5m\n"
            "    ^~~~~~~\n"
            "etl.yaml:5:13: unknown job \"bb\" in the needs of \"a\"; did you "
            "mean \"b\"?\n"
            "    needs: [bb]\n"
            "            ^~\n"
            "etl.yaml:7:14: timeout: expected a duration such as 500ms, 30s, "
            "5m, 2h or 1d, got \"soon\"\n"
            "    timeout: soon\n"
            "             ^~~~\n"
            "etl.yaml:9:5: \"services\" in a job is not supported yet by this "
            "version\n"
            "    services: [db]\n"
            "    ^~~~~~~~");
}

TEST(LoadWorkflow, ReportsABadMatrixButNotTheUsesOfItsKeys) {
  EXPECT_EQ(
      load_errors("jobs:\n"
                  "  a:\n"
                  "    strategy: {matrix: {os: []}}\n"
                  "    run: x ${{ matrix.os }}\n"),
      "etl.yaml:3:29: os: expected a list with at least one value, got an "
      "empty list\n"
      "    strategy: {matrix: {os: []}}\n"
      "                            ^");
}

TEST(LoadWorkflow, NamesCycles) {
  EXPECT_EQ(load_errors("jobs:\n"
                        "  a: {run: x, needs: [c]}\n"
                        "  b: {run: x, needs: [a]}\n"
                        "  c: {run: x, needs: [b]}\n"),
            "etl.yaml:3:23: jobs need each other in a circle: a -> c -> b -> a"
            "\n  b: {run: x, needs: [a]}\n                      ^");
  EXPECT_EQ(load_errors("jobs:\n  a: {run: x, needs: a}\n"),
            "etl.yaml:2:22: jobs need each other in a circle: a -> a\n"
            "  a: {run: x, needs: a}\n                     ^");
}

struct Case {
  const char* text;
  const char* error;  ///< The first line.
};

TEST(LoadWorkflow, RefusesWhatMakesNoSense) {
  const Case cases[] = {
      {"", "etl.yaml: a workflow must be a map, not nothing"},
      {"name: x",
       "etl.yaml:1:1: a workflow needs \"jobs\" or "
       "\"services\""},
      {"jobs: {}",
       "etl.yaml:1:7: jobs: expected a map with at least one job, got an empty "
       "map"},
      {"jobs: {a: {}}",
       "etl.yaml:1:8: the job \"a\" needs \"run\", \"steps\" or "
       "\"uses\""},
      {"jobs: {a: }", "etl.yaml:1:8: a job must be a map, not nothing"},
      {"jobs: {a: {run: x, steps: []}}",
       "etl.yaml:1:8: the job \"a\" has both \"run\" and \"steps\""},
      {"jobs: {a: {steps: []}}",
       "etl.yaml:1:19: steps: expected a list with at least one step, got an "
       "empty list"},
      {"jobs: {a: {run: ''}}",
       "etl.yaml:1:17: run: expected a command, got "
       "\"\""},
      {"jobs: {a: {steps: [{id: x}]}}", "etl.yaml:1:20: a step needs \"run\""},
      {"jobs: {1a: {run: x}}",
       "etl.yaml:1:8: the name of a job \"1a\" must be letters, digits, _ and "
       "-, start with a letter or _, and have at most 100 characters"},
      {"jobs: {a: {steps: [{run: x, id: b}, {run: x, id: b}]}}",
       "etl.yaml:1:50: two steps with the id \"b\""},
      {"jobs: {a: {run: x, retry: 3}}",
       "etl.yaml:1:27: retry: expected a map such as {attempts: 3}, got \"3\""},
      {"jobs: {a: {run: x, retry: {attempts: 0}}}",
       "etl.yaml:1:38: attempts: expected a whole number from 1 to 1000, got "
       "\"0\""},
      {"jobs: {a: {run: x, retry: {attempts: 2}, retries: 1}}",
       "etl.yaml:1:42: \"retry\" and \"retries\" exclude each other"},
      {"jobs: {a: {run: x, timeout: 1s, timeout-minutes: 1}}",
       "etl.yaml:1:33: \"timeout\" and \"timeout-minutes\" exclude each other"},
      {"jobs: {a: {run: x, retry: {if: exit:x}}}",
       "etl.yaml:1:32: if: expected a cause such as exit:75, exit:1-3, "
       "signal:SIGKILL, timeout, silence, node-lost, spawn, output, duration, "
       "memory or crash, got \"exit:x\""},
      {"jobs: {a: {steps: [{run: x, timeout: {queue: 1s}}]}}",
       "etl.yaml:1:46: \"queue\" belongs on a job: its steps do not wait for "
       "places"},
      {"jobs: {a: {run: x, priority: urgent}}",
       "etl.yaml:1:30: priority: expected low, normal, high or critical, got "
       "\"urgent\""},
      {"jobs: {a: {run: x, concurrency: {limit: 2}}}",
       "etl.yaml:1:33: \"concurrency\" needs \"group\""},
      {"jobs: {a: {run: x, concurrency: {group: g, on-conflict: wait}}}",
       "etl.yaml:1:57: on-conflict: expected queue, cancel-running, skip or "
       "fail, got \"wait\""},
      {"concurrency: {limit: 2}\njobs: {a: {run: x}}",
       "etl.yaml:1:14: \"concurrency\" needs \"group\""},
      {"retention: {runs: 0}\njobs: {a: {run: x}}",
       "etl.yaml:1:19: runs: expected a whole number from 1 to 1000000, got "
       "\"0\""},
      {"jobs: {a: {run: x, resources: 2}}",
       "etl.yaml:1:31: resources: expected names with amounts, such as {cpu: "
       "2, memory: 4GiB}, got \"2\""},
      {"jobs: {a: {run: x, resources: {memory: much}}}",
       "etl.yaml:1:40: expected resources such as cpu=2,mem=1GiB,gpu=0.5, got "
       "\"mem=much\""},
      {"jobs: {a: {run: x, resources: {memory: 1GiB, mem: 1GiB}}}",
       "etl.yaml:1:46: \"mem\" is there twice"},
      {"jobs: {a: {max_duration: 1s, steps: [{run: x}]}}",
       "etl.yaml:1:12: \"max_duration\" belongs on a step, since this job has "
       "several"},
      {"jobs: {a: {run: x, strategy: one_for_one}}",
       "etl.yaml:1:30: \"strategy\" of a job is a map; a restart strategy "
       "belongs to its \"group\""},
      {"jobs: {a: {run: x}, b: {run: x, needs: [a, a]}}",
       "etl.yaml:1:44: \"a\" is needed twice"},
      {"jobs: {a: {run: x}, b: {run: x, needs: {job: a, when: done}}}",
       "etl.yaml:1:55: when: expected succeeded, finished, failed, started or "
       "ready, got "
       "\"done\""},
      {"jobs: {a: {run: x, continue-on-error: [exit]}, "
       "b: {run: x, continue-on-error: [75]}}",
       "etl.yaml:1:80: continue-on-error: expected a cause such as exit:75, "
       "exit:1-3, signal:SIGKILL, timeout, silence, node-lost, spawn, output, "
       "duration, memory or crash, got \"75\""},
      {"jobs: {a: {run: x, env: {a-b: c}}}",
       "etl.yaml:1:26: the name of a variable must be letters, digits and _, "
       "not \"a-b\""},
      {"jobs: {a: {run: x, env: {TROUPE_OUTPUT: c}}}",
       "etl.yaml:1:26: names with TROUPE_ are for troupe's own variables"},
      {"jobs: {a: {run: x, shell: 'bash $x'}}",
       "etl.yaml:1:27: shell: expected a program with plain arguments such as "
       "bash -eu, got the text \"bash $x\""},
      {"on: {schedule: []}\njobs: {a: {run: x}}",
       "etl.yaml:1:16: a list without a schedule; schedule: 15 2 * * *"},
      {"jobs: {a: {run: x, output-contains: '${{ env.X }}'}}",
       "etl.yaml:1:37: expressions in \"output-contains\" are not supported "
       "yet by this version"},
      {"jobs: {a: {run: x, if: true, fail-fast: true}}",
       "etl.yaml:1:30: unknown key \"fail-fast\" in a job"},
  };
  for (const Case& c : cases) {
    const std::string errors = load_errors(c.text);
    EXPECT_EQ(errors.substr(0, errors.find('\n')), c.error) << c.text;
  }
}

TEST(LoadWorkflow, ChecksTheNamesInExpressions) {
  const Case cases[] = {
      {"jobs: {a: {run: \"x ${{ evn.X }}\"}}",
       "etl.yaml:1:24: unknown name \"evn\"; did you mean \"env\"?"},
      {"env: {PATHS: y}\njobs: {a: {run: \"x ${{ env.PATH }}\"}}",
       "etl.yaml:2:28: unknown variable \"PATH\"; did you mean \"PATHS\"?"},
      {"env: {X: \"${{ env.Y }}\"}\njobs: {a: {run: x}}",
       "etl.yaml:1:15: \"env\" has no meaning here"},
      {"jobs: {a: {run: \"x ${{ secrets.X }}\"}}",
       "etl.yaml:1:32: unknown secret \"X\"; the file declares none in "
       "\"secrets\""},
      {"jobs: {a: {run: \"x ${{ run.blame }}\"}}",
       "etl.yaml:1:28: \"run.blame\" is only known in the hooks that come "
       "after the jobs"},
      {"jobs: {a: {run: \"x ${{ matrix.X }}\"}}",
       "etl.yaml:1:24: this job has no matrix"},
      {"jobs: {a: {strategy: {matrix: {os: [a]}}, run: \"x ${{ matrix.so "
       "}}\"}}",
       "etl.yaml:1:62: unknown matrix key \"so\"; did you mean \"os\"?"},
      {"jobs: {a: {strategy: {matrix: {os: [a]}}, run: \"${{ matrix.os.x "
       "}}\"}}",
       "etl.yaml:1:63: \"os\" has no parts"},
      {"jobs: {a: {run: \"x ${{ steps.b.outcome }}\"}}",
       "etl.yaml:1:30: unknown step \"b\""},
      {"jobs: {a: {run: \"x ${{ steps.run.outcome }}\"}}",
       "etl.yaml:1:30: step \"run\" has not run yet at this point"},
      {"jobs: {a: {run: \"x ${{ needs.b.result }}\"}, b: {run: x}}",
       "etl.yaml:1:30: job \"b\" is not in the needs of \"a\""},
      {"jobs: {a: {run: \"x ${{ jobs.bb.result }}\", needs: b}, b: {run: x}}",
       "etl.yaml:1:29: unknown job \"bb\"; did you mean \"b\"?"},
      {"jobs: {a: {run: \"${{ needs.b.outputs.row }}\", needs: b}, b: {run: x, "
       "outputs: {rows: y}}}",
       "etl.yaml:1:38: unknown output \"row\" of job \"b\"; did you mean "
       "\"rows\"?"},
      {"jobs: {a: {run: \"x ${{ success() }}\"}}",
       "etl.yaml:1:24: success(), failure(), always() and cancelled() can only "
       "be used in \"if\""},
      {"jobs: {a: {run: \"x ${{ format(raw('x')) }}\"}}",
       "etl.yaml:1:31: raw() must be the outermost of an expression"},
      {"jobs: {a: {run: x, if: \"steps.run.outcome == 'x'\"}}",
       "etl.yaml:1:25: \"steps\" has no meaning here"},
      {"jobs: {a: {run: x, name: \"${{ needs.b.result }}\", needs: b}, b: "
       "{run: "
       "x}}",
       "etl.yaml:1:31: \"needs\" is not known yet when a job gets its name"},
      {"jobs: {a: {run: \"x ${{ 1 \"}}",
       "etl.yaml:1:20: a \"${{\" without its \"}}\""},
      {"jobs: {a: {shell: python3, run: \"print(${{ inputs.x }})\"}}",
       "etl.yaml:1:43: values cannot be quoted for \"python3\"; pass them "
       "through \"env\", or use raw()"},
      {"jobs: {a: {run: \"echo `ls ${{ inputs.x }}`\"}}",
       "etl.yaml:1:27: a value cannot be quoted safely between backquotes; "
       "pass it through \"env\" instead"},
  };
  for (const Case& c : cases) {
    const std::string errors = load_errors(c.text);
    EXPECT_EQ(errors.substr(0, errors.find('\n')), c.error) << c.text;
  }
}

TEST(LoadWorkflow, FindsPlacesInsideBlocksAndConditions) {
  EXPECT_EQ(load_errors("jobs:\n"
                        "  a:\n"
                        "    if: always() && inputs.x == needs.b.result\n"
                        "    run: |\n"
                        "      echo ${{ inputs.x }}\n"
                        "\n"
                        "      echo ${{ inputs.x }} ${{ matrix.y }}\n"),
            "etl.yaml:3:39: unknown job \"b\"\n"
            "    if: always() && inputs.x == needs.b.result\n"
            "                                      ^\n"
            "etl.yaml:7:32: this job has no matrix\n"
            "      echo ${{ inputs.x }} ${{ matrix.y }}\n"
            "                               ^~~~~~");
}

TEST(LoadWorkflow, NotesTheInputsThatARunNeeds) {
  const auto workflow = load(
      "env: {D: \"${{ inputs.date }}\"}\n"
      "jobs: {a: {run: \"x ${{ inputs.env }} ${{ inputs.date }}\"}}\n");
  ASSERT_NE(workflow, nullptr);
  ASSERT_EQ(workflow->inputs.size(), 2U);
  EXPECT_EQ(workflow->inputs[0].name, "date");
  EXPECT_EQ(workflow->inputs[0].where, (config::Span{1, 22, 4}));
  EXPECT_EQ(workflow->inputs[1].name, "env");
}

TEST(LoadWorkflow, IsBounded) {
  std::string jobs = "jobs:\n";
  for (int i = 0; i <= 10'000; ++i)
    jobs += "  j" + std::to_string(i) + ": {run: x}\n";
  EXPECT_EQ(load_errors(jobs).substr(0, 35),
            "etl.yaml:10002:3: more than 10000 j");
  std::string list = "[0";
  for (int i = 1; i < 1000; ++i)
    list += "," + std::to_string(i);
  std::string big = "jobs:\n";
  for (int i = 0; i <= 10; ++i)
    big += "  j" + std::to_string(i) +
           ": {run: x, strategy: {matrix: {a: " + list + "]}}}\n";
  const std::string errors = load_errors(big);
  EXPECT_EQ(errors.substr(0, errors.find('\n')),
            "etl.yaml:12:3: with this job's matrix the workflow has more than "
            "10000 jobs");
}

TEST(LoadWorkflow, AnswersAnyMutationOfAFileWithAWorkflowOrErrors) {
  const std::string good =
      "env: {A: b}\njobs:\n  a:\n    needs: [b]\n    strategy: {matrix: {x: "
      "[1, 2]}}\n    steps:\n      - id: s\n        run: \"ls ${{ matrix.x "
      "}}\"\n        if: success()\n  b: {run: x, retry: {attempts: 2}}\n";
  ASSERT_EQ(load_errors(good), "none");
  EXPECT_TRUE(rc::check("a workflow or errors", [&] {
    std::string text = good;
    const int edits = *rc::gen::inRange(1, 5);
    for (int i = 0; i < edits; ++i) {
      const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
      const auto length = *rc::gen::inRange<std::size_t>(0, 6);
      const auto piece = *rc::gen::elementOf(std::vector<std::string>{
          "", "[", "}", ": ", "\n", "a", "- ", "${{", "}}", "'", "*a", "&a "});
      text.replace(at, length, piece);
    }
    const auto workflow = load_workflow("etl.yaml", text);
    RC_ASSERT(workflow || !workflow.error().what.empty());
  }));
}

TEST(LoadWorkflow, TakesAllExamples) {
  std::size_t seen = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(TROUPE_EXAMPLES)) {
    if (entry.path().extension() != ".yaml")
      continue;
    ++seen;
    std::stringstream text;
    text << std::ifstream{entry.path()}.rdbuf();
    const auto workflow =
        load_workflow(entry.path().string(), text.str(),
                      [](const std::string& path) -> Result<std::string> {
                        std::stringstream included;
                        included << std::ifstream{path}.rdbuf();
                        return included.str();
                      });
    EXPECT_TRUE(workflow) << workflow.error().what;
  }
  EXPECT_GE(seen, 2U);
}

}  // namespace
}  // namespace troupe::workflow
