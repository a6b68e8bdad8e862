#include <troupe/base/overload.hpp>
#include <troupe/workflow/load.hpp>
#include <troupe/workflow/plan.hpp>

#include <chrono>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// Jobs that run the jobs of another file.
namespace troupe::workflow {
namespace {

using actors::OutcomeKind;
using Files = std::map<std::string, std::string>;

Result<std::shared_ptr<const Workflow>> load_files(const Files& files) {
  return load_workflow("main.yaml", files.at("main.yaml"),
                       [&](const std::string& path) -> Result<std::string> {
                         const auto file = files.find(path);
                         if (file == files.end())
                           return failure(Errc::not_found, "no such file");
                         return file->second;
                       });
}

std::string call_problems(const Files& files) {
  const auto workflow = load_files(files);
  return workflow ? "" : workflow.error().what;
}

/// A run by hand: what its plan does is written down, "+report/load" for a
/// step that starts, "!report/load" for one that is to be stopped, and
/// "report:failed" for the state of a job.
class Staged {
 public:
  explicit Staged(const Files& files, PlanOptions options = {}) {
    auto workflow = load_files(files);
    EXPECT_TRUE(workflow) << workflow.error().what;
    auto plan = Plan::make(*workflow, std::move(options));
    EXPECT_TRUE(plan) << plan.error().what;
    plan_ = std::make_unique<Plan>(std::move(*plan));
  }

  std::string start() { return note(plan_->start(now)); }
  std::string cancel() { return note(plan_->cancel(now)); }
  std::string stop_starting() { return note(plan_->stop_starting(now)); }
  std::string wait(Duration time) {
    now += time;
    return note(plan_->on_time(now));
  }

  std::string end(const std::string& label, Outputs outputs = {},
                  std::size_t step = 0) {
    return tell(label, step, {OutcomeKind::success, 0, std::move(outputs), {}});
  }
  std::string fail(const std::string& label, int code = 1) {
    return tell(label, 0,
                {OutcomeKind::failed,
                 code,
                 {},
                 {{actors::CauseKind::exit_code, code, "exited"}}});
  }
  std::string stopped(const std::string& label) {
    return tell(label, 0, {OutcomeKind::cancelled, 0, {}, {}});
  }

  [[nodiscard]] const StartStep& last(const std::string& label) const {
    return started.at(label);
  }
  [[nodiscard]] std::string reason(const std::string& label) const {
    const auto found = reasons.find(label);
    return found == reasons.end() ? "" : found->second;
  }
  [[nodiscard]] std::vector<std::string> labels() const {
    std::vector<std::string> all;
    for (const Plan::Instance& instance : plan_->instances())
      all.push_back(instance.label);
    return all;
  }
  [[nodiscard]] const Plan& plan() const { return *plan_; }

  TimePoint now{};
  std::map<std::string, StartStep> started;
  std::map<std::string, std::string> reasons;

 private:
  std::string tell(const std::string& label, std::size_t step,
                   StepResult result) {
    for (const Plan::Instance& instance : plan_->instances()) {
      if (instance.label == label)
        return note(
            plan_->on_step_finished(instance.id, step, std::move(result), now));
    }
    ADD_FAILURE() << "no job " << label;
    return {};
  }

  [[nodiscard]] const std::string& label(InstanceId id) const {
    return plan_->instances()[static_cast<std::size_t>(id.value - 1)].label;
  }

  std::string note(const Actions& actions) {
    std::string out;
    const auto add = [&](const std::string& word) {
      out += (out.empty() ? "" : " ") + word;
    };
    for (const Action& action : actions)
      std::visit(
          Overload{[&](const StartStep& a) {
                     EXPECT_EQ(a.label, label(a.instance));
                     started.insert_or_assign(a.label, a);
                     add("+" + a.label);
                   },
                   [&](const CancelStep& a) { add("!" + label(a.instance)); },
                   [&](const JobStateChanged& a) {
                     reasons[label(a.instance)] = a.reason;
                     if (a.state != JobState::ready &&
                         a.state != JobState::running)
                       add(fmt::format("{}:{}", label(a.instance),
                                       to_string(a.state)));
                   },
                   [&](const RunFinished& a) {
                     add(fmt::format("run:{}", to_string(a.result)));
                   },
                   [](const auto&) {}},
          action);
    return out;
  }

  std::unique_ptr<Plan> plan_;
};

const char* const lib =
    "on:\n"
    "  call:\n"
    "    inputs: {day: {type: date, default: today}, n: {type: number}}\n"
    "    outputs: {rows: \"${{ jobs.load.outputs.rows }}\"}\n"
    "env: {WHERE: lib}\n"
    "defaults: {working-directory: /lib}\n"
    "jobs:\n"
    "  pull: {run: \"./pull ${{ inputs.day }} ${{ inputs.n }}\"}\n"
    "  load:\n"
    "    needs: pull\n"
    "    run: ./load\n"
    "    outputs: {rows: \"${{ steps.run.outputs.rows }}\"}\n"
    "  other: {run: ./other}\n";

TEST(Calls, RunAllJobsOfTheOtherFileAndHandOnItsOutputs) {
  Staged run{
      {{"main.yaml",
        "include: {lib: ./sub/lib.yaml}\n"
        "env: {WHERE: main}\n"
        "jobs:\n"
        "  first: {run: ./first}\n"
        "  report: {needs: first, uses: lib, with: {day: 2024-05-01, n: 7}}\n"
        "  last:\n"
        "    needs: report\n"
        "    run: ./last ${{ jobs.report.outputs.rows }}\n"},
       {"sub/lib.yaml", lib}}};
  EXPECT_EQ(run.start(), "+first");
  EXPECT_EQ(run.end("first"), "first:succeeded +report/pull +report/other");
  EXPECT_EQ(run.last("report/pull").line, "./pull 2024-05-01 7");
  EXPECT_EQ(run.last("report/pull").working_directory, "/lib");
  EXPECT_EQ(
      run.last("report/pull").env,
      (std::vector<std::pair<std::string, std::string>>{{"WHERE", "lib"}}));
  EXPECT_EQ(run.end("report/pull"), "report/pull:succeeded +report/load");
  EXPECT_EQ(run.end("report/load", {{"rows", "42"}}), "report/load:succeeded");
  EXPECT_EQ(run.end("report/other"),
            "report/other:succeeded report:succeeded +last");
  EXPECT_EQ(run.last("last").line, "./last 42");
  EXPECT_EQ(run.end("last"), "last:succeeded run:success");
  EXPECT_EQ(run.labels(),
            (std::vector<std::string>{"first", "report", "last", "report/pull",
                                      "report/load", "report/other"}));
  const Plan::Instance& inner = run.plan().instances()[4];
  EXPECT_EQ(inner.job, "report/load");
  EXPECT_EQ(inner.caller, InstanceId{2});
  EXPECT_EQ(inner.definition->id, "load");
}

TEST(Calls, RunOneJobWithWhatItNeeds) {
  Staged run{{{"main.yaml",
               "include: {lib: lib.yaml}\n"
               "jobs:\n"
               "  report: {uses: lib.load}\n"
               "  last: {needs: report, run: \"./last ${{ "
               "needs.report.outputs.rows }}\"}\n"},
              {"lib.yaml", lib}},
             {.surroundings = {.today = std::chrono::year{2024} / 5 / 2}}};
  EXPECT_EQ(run.start(), "+report/pull");
  EXPECT_EQ(run.last("report/pull").line, "./pull 2024-05-02 ''");
  EXPECT_EQ(run.end("report/pull"), "report/pull:succeeded +report/load");
  EXPECT_EQ(run.end("report/load", {{"rows", "3"}}),
            "report/load:succeeded report:succeeded +last");
  EXPECT_EQ(run.last("last").line, "./last 3");
}

TEST(Calls, GiveValuesAsDataAndNeverAsText) {
  const Files files{
      {"main.yaml",
       "on: {dispatch: {inputs: {x: {}}}}\n"
       "jobs: {a: {uses: ./lib.yaml, with: {x: \"${{ inputs.x }}\"}}}\n"},
      {"lib.yaml",
       "on: {call: {inputs: {x: {}}}}\n"
       "jobs:\n"
       "  j: {shell: bash, run: \"echo ${{ inputs.x }} \\\"${{ inputs.x "
       "}}\\\"\"}\n"}};
  Staged run{files, {.inputs = {{"x", "'\"; $(boom) `boom`\n${{ run.id }}"}}}};
  EXPECT_EQ(run.start(), "+a/j");
  EXPECT_EQ(run.last("a/j").line,
            "echo ''\\''\"; $(boom) `boom`\n${{ run.id }}' "
            "\"'\\\"; \\$(boom) \\`boom\\`\n\\${{ run.id }}\"");
}

TEST(Calls, FailIfAValueIsWrongWhenItIsKnown) {
  Staged run{{{"main.yaml",
               "jobs:\n"
               "  a: {run: ./a, outputs: {n: \"${{ steps.run.outputs.n }}\"}}\n"
               "  b: {needs: a, uses: ./lib.yaml, with: {n: \"${{ "
               "jobs.a.outputs.n }}\"}}\n"},
              {"lib.yaml", lib}}};
  EXPECT_EQ(run.start(), "+a");
  EXPECT_EQ(run.end("a", {{"n", "many"}}), "a:succeeded b:failed run:failure");
  EXPECT_EQ(run.reason("b"), "with: n: must be a number, not \"many\"");
}

const char* const two =
    "jobs: {x: {run: ./x}, y: {run: ./y}, z: {needs: [x, y], run: ./z}}\n";

TEST(Calls, FailWithTheJobThatFails) {
  Staged run{{{"main.yaml",
               "jobs:\n"
               "  a: {uses: ./lib.yaml}\n"
               "  b: {needs: a, run: ./b}\n"
               "  c: {needs: {job: a, when: failed}, run: ./c}\n"},
              {"lib.yaml", two}}};
  EXPECT_EQ(run.start(), "+a/x +a/y");
  EXPECT_EQ(run.fail("a/x"), "a/x:failed");
  EXPECT_EQ(run.end("a/y"), "a/y:succeeded a/z:skipped a:failed b:skipped +c");
  EXPECT_EQ(run.reason("a"), "job a/x failed");
  EXPECT_EQ(run.end("c"), "c:succeeded run:failure");
}

TEST(Calls, AreForgivenAsAWhole) {
  const Files files{{"main.yaml",
                     "jobs:\n"
                     "  a: {uses: ./lib.yaml, continue-on-error: [exit:3]}\n"
                     "  b: {needs: a, run: ./b}\n"},
                    {"lib.yaml", "jobs: {x: {run: ./x}}\n"}};
  Staged forgiven{files};
  EXPECT_EQ(forgiven.start(), "+a/x");
  EXPECT_EQ(forgiven.fail("a/x", 3), "a/x:failed a:failed +b");
  EXPECT_EQ(forgiven.end("b"), "b:succeeded run:success");
  Staged other{files};
  EXPECT_EQ(other.start(), "+a/x");
  EXPECT_EQ(other.fail("a/x", 4), "a/x:failed a:failed b:skipped run:failure");
}

TEST(Calls, HaveOneInstanceForEachCombinationOfTheMatrix) {
  Staged run{
      {{"main.yaml",
        "jobs:\n"
        "  a:\n"
        "    uses: ./lib.yaml\n"
        "    strategy: {matrix: {r: [eu, us]}, max-parallel: 1}\n"
        "    with: {r: \"${{ matrix.r }}\"}\n"},
       {"lib.yaml",
        "jobs: {x: {run: \"./x ${{ inputs.r }}\", strategy: {matrix: {k: "
        "[1, 2]}}}}\n"}}};
  EXPECT_EQ(run.start(), "+a (eu)/x (1) +a (eu)/x (2)");
  EXPECT_EQ(run.last("a (eu)/x (2)").line, "./x eu");
  EXPECT_EQ(run.end("a (eu)/x (1)"), "a (eu)/x (1):succeeded");
  EXPECT_EQ(run.end("a (eu)/x (2)"),
            "a (eu)/x (2):succeeded a (eu):succeeded +a (us)/x (1) +a (us)/x "
            "(2)");
}

TEST(Calls, EndTheOthersOfTheirMatrixWhenOneFails) {
  Staged run{
      {{"main.yaml",
        "jobs: {a: {uses: ./lib.yaml, strategy: {matrix: {r: [1, 2]}}}}\n"},
       {"lib.yaml",
        "jobs:\n"
        "  x: {run: ./x}\n"
        "  tidy: {needs: x, if: always(), run: ./tidy}\n"}}};
  EXPECT_EQ(run.start(), "+a (1)/x +a (2)/x");
  EXPECT_EQ(run.fail("a (1)/x"), "a (1)/x:failed +a (1)/tidy");
  EXPECT_EQ(run.end("a (1)/tidy"),
            "a (1)/tidy:succeeded a (1):failed !a (2)/x");
  EXPECT_EQ(run.stopped("a (2)/x"), "a (2)/x:cancelled +a (2)/tidy");
  EXPECT_EQ(run.end("a (2)/tidy"),
            "a (2)/tidy:succeeded a (2):cancelled run:failure");
}

TEST(Calls, MayHaveAMatrixThatIsComputed) {
  Staged run{
      {{"main.yaml",
        "jobs:\n"
        "  a: {run: ./a, outputs: {l: \"${{ steps.run.outputs.l }}\"}}\n"
        "  b:\n"
        "    needs: a\n"
        "    uses: ./lib.yaml\n"
        "    strategy: {matrix: {r: \"${{ fromJSON(jobs.a.outputs.l) }}\"}}\n"},
       {"lib.yaml", "jobs: {x: {run: ./x}}\n"}}};
  EXPECT_EQ(run.start(), "+a");
  EXPECT_EQ(run.end("a", {{"l", "[7,8]"}}), "a:succeeded +b (7)/x +b (8)/x");
  EXPECT_EQ(run.end("b (7)/x"), "b (7)/x:succeeded b (7):succeeded");
  EXPECT_EQ(run.end("b (8)/x"),
            "b (8)/x:succeeded b (8):succeeded run:success");
}

TEST(Calls, TakeNoPlaceBesidesThoseOfTheirJobs) {
  Staged run{{{"main.yaml",
               "jobs:\n"
               "  a: {uses: ./lib.yaml}\n"
               "  b: {run: ./b, priority: high}\n"
               "  c: {uses: ./lib.yaml, priority: critical}\n"},
              {"lib.yaml", two}},
             {.max_parallel = 1}};
  EXPECT_EQ(run.start(), "+c/x");
  EXPECT_EQ(run.end("c/x"), "c/x:succeeded +c/y");
  EXPECT_EQ(run.end("c/y"), "c/y:succeeded +c/z");
  EXPECT_EQ(run.end("c/z"), "c/z:succeeded c:succeeded +b");
  EXPECT_EQ(run.end("b"), "b:succeeded +a/x");
}

TEST(Calls, ArePassedOverByTheirCondition) {
  Staged run{{{"main.yaml", "jobs: {a: {uses: ./lib.yaml, if: \"false\"}}\n"},
              {"lib.yaml", two}}};
  EXPECT_EQ(run.start(), "a:skipped run:success");
}

TEST(Calls, AreCancelledWithTheRunInOrder) {
  Staged run{{{"main.yaml", "jobs: {a: {uses: ./lib.yaml}}\n"},
              {"lib.yaml",
               "jobs: {x: {run: ./x}, tidy: {needs: x, if: always(), run: "
               "./tidy}}\n"}}};
  EXPECT_EQ(run.start(), "+a/x");
  EXPECT_EQ(run.cancel(), "!a/x");
  EXPECT_EQ(run.stopped("a/x"), "a/x:cancelled +a/tidy");
  EXPECT_EQ(run.cancel(), "!a/tidy");
  EXPECT_EQ(run.stopped("a/tidy"),
            "a/tidy:cancelled a:cancelled run:cancelled");
}

TEST(Calls, StartNothingMoreWhenNothingIsToStart) {
  Staged run{
      {{"main.yaml", "jobs: {a: {uses: ./lib.yaml}}\n"}, {"lib.yaml", two}}};
  EXPECT_EQ(run.start(), "+a/x +a/y");
  EXPECT_EQ(run.stop_starting(), "");
  EXPECT_EQ(run.end("a/x"), "a/x:succeeded");
  EXPECT_EQ(run.end("a/y"),
            "a/y:succeeded a/z:cancelled a:cancelled run:cancelled");
}

TEST(Calls, TakeNoLongerThanTheirLimit) {
  Staged run{
      {{"main.yaml", "jobs: {a: {uses: ./lib.yaml, timeout: {total: 5m}}}\n"},
       {"lib.yaml",
        "jobs: {x: {run: ./x}, tidy: {needs: x, if: always(), run: "
        "./tidy}}\n"}}};
  EXPECT_EQ(run.start(), "+a/x");
  EXPECT_EQ(run.wait(4min), "");
  EXPECT_EQ(run.wait(1min), "!a/x a/tidy:cancelled");
  EXPECT_EQ(run.stopped("a/x"), "a/x:cancelled a:timed_out run:failure");
  EXPECT_EQ(run.reason("a"), "it took longer than 5m");
}

TEST(Calls, WatchTheLimitsOfTheirJobs) {
  Staged run{{{"main.yaml", "jobs: {a: {uses: ./lib.yaml}}\n"},
              {"lib.yaml", "jobs: {x: {run: ./x, timeout: {total: 1m}}}\n"}}};
  EXPECT_EQ(run.start(), "+a/x");
  EXPECT_EQ(run.plan().next_deadline(), run.now + 1min);
  EXPECT_EQ(run.wait(1min), "!a/x");
  EXPECT_EQ(run.stopped("a/x"), "a/x:timed_out a:timed_out run:failure");
  EXPECT_EQ(run.reason("a"), "job a/x took too long");
}

TEST(Calls, AreTriedAgainAsAWhole) {
  Staged run{
      {{"main.yaml",
        "jobs: {a: {uses: ./lib.yaml, retry: {attempts: 2, delay: 1s, "
        "jitter: 0, if: [exit:75]}}}\n"},
       {"lib.yaml", "jobs: {x: {run: ./x}, y: {needs: x, run: ./y}}\n"}}};
  EXPECT_EQ(run.start(), "+a/x");
  EXPECT_EQ(run.end("a/x"), "a/x:succeeded +a/y");
  EXPECT_EQ(run.last("a/x").restarts, 0U);
  EXPECT_EQ(run.fail("a/y", 75), "a/y:failed a:pending");
  EXPECT_EQ(run.wait(1s), "a/x:pending a/y:pending +a/x");
  EXPECT_EQ(run.last("a/x").restarts, 1U);
  EXPECT_EQ(run.end("a/x"), "a/x:succeeded +a/y");
  EXPECT_EQ(run.fail("a/y", 75), "a/y:failed a:failed run:failure");
  EXPECT_EQ(run.labels(), (std::vector<std::string>{"a", "a/x", "a/y"}));
}

TEST(Calls, StartAgainWithTheirGroup) {
  Staged run{{{"main.yaml",
               "groups: {g: {strategy: one_for_all, intensity: 1}}\n"
               "jobs:\n"
               "  a: {uses: ./lib.yaml, group: g}\n"
               "  b: {run: ./b, group: g}\n"},
              {"lib.yaml",
               "jobs: {x: {run: ./x, retry: {attempts: 1}}, y: {needs: x, if: "
               "always(), run: ./y}}\n"}}};
  EXPECT_EQ(run.start(), "+a/x +b");
  EXPECT_EQ(run.fail("b"), "b:failed b:pending !a/x");
  EXPECT_EQ(run.stopped("a/x"), "a/x:cancelled +a/y");
  EXPECT_EQ(run.end("a/y"),
            "a/y:succeeded a:pending a/x:pending a/y:pending +a/x +b");
  EXPECT_EQ(run.last("a/x").restarts, 1U);
  EXPECT_EQ(run.end("b"), "b:succeeded");
  EXPECT_EQ(run.end("a/x"), "a/x:succeeded +a/y");
  EXPECT_EQ(run.end("a/y"), "a/y:succeeded a:succeeded run:success");
}

TEST(Calls, WaitForTheirConcurrencyGroup) {
  Staged run{{{"main.yaml",
               "jobs:\n"
               "  a: {uses: ./lib.yaml, concurrency: one}\n"
               "  b: {uses: ./lib.yaml, concurrency: one}\n"},
              {"lib.yaml", "jobs: {x: {run: ./x}}\n"}}};
  EXPECT_EQ(run.start(), "+a/x");
  EXPECT_EQ(run.end("a/x"), "a/x:succeeded a:succeeded +b/x");
}

TEST(Calls, MayCallFurther) {
  Staged run{
      {{"main.yaml", "jobs: {a: {uses: ./sub/one.yaml, with: {n: 1}}}\n"},
       {"sub/one.yaml",
        "on: {call: {inputs: {n: {type: number}}, outputs: {o: \"${{ "
        "jobs.b.outputs.o }}\"}}}\n"
        "jobs: {b: {uses: ../two.yaml, with: {n: \"${{ inputs.n }}2\"}}}\n"},
       {"two.yaml",
        "on: {call: {outputs: {o: \"${{ jobs.c.outputs.o }}\"}}}\n"
        "jobs: {c: {run: \"./c ${{ inputs.n }}\", outputs: {o: \"${{ "
        "steps.run.outputs.o }}\"}}}\n"}}};
  EXPECT_EQ(run.start(), "+a/b/c");
  EXPECT_EQ(run.last("a/b/c").line, "./c 12");
  EXPECT_EQ(run.plan().instances()[2].caller, InstanceId{2});
  EXPECT_EQ(run.plan().instances()[1].caller, InstanceId{1});
  EXPECT_EQ(run.end("a/b/c", {{"o", "x"}}),
            "a/b/c:succeeded a/b:succeeded a:succeeded run:success");
}

TEST(Calls, GiveOnlyTheSecretsThatTheySay) {
  const std::string caller =
      "secrets: {A: {}, B: {}}\n"
      "jobs:\n"
      "  all: {uses: ./lib.yaml, secrets: inherit}\n"
      "  one: {uses: ./lib.yaml, secrets: {A: \"${{ secrets.B }}\"}}\n"
      "  none: {uses: ./lib.yaml}\n";
  const Files files{
      {"main.yaml", caller},
      {"lib.yaml",
       "secrets: {A: {from: file, key: a}}\n"
       "jobs: {x: {run: ./x, env: {T: \"${{ secrets.A }}\"}}}\n"}};
  PlanOptions options;
  options.secrets = {{"A", "alpha"}, {"B", "beta"}};
  options.included["lib.yaml"].secrets = {{"A", "own"}};
  Staged run{files, options};
  EXPECT_EQ(run.start(), "+all/x +one/x +none/x");
  const auto token = [&](const std::string& label) {
    return run.last(label).env.at(0).second;
  };
  EXPECT_EQ(token("all/x"), "alpha");
  EXPECT_EQ(token("one/x"), "beta");
  EXPECT_EQ(token("none/x"), "own");
  const Workflow& main = run.plan().workflow();
  const Workflow& called = *main.includes.at(0);
  EXPECT_TRUE(main.secrets[0].is_used);
  EXPECT_TRUE(main.secrets[1].is_used);
  EXPECT_TRUE(needs_source(main, called, called.secrets[0]));
}

TEST(Calls, NeedNoSourceForASecretThatEachOfThemGives) {
  const auto workflow =
      load_files({{"main.yaml",
                   "secrets: {A: {}}\n"
                   "jobs: {all: {uses: ./lib.yaml, secrets: inherit}}\n"},
                  {"lib.yaml",
                   "secrets: {A: {from: file, key: a}}\n"
                   "jobs: {x: {run: ./x, env: {T: \"${{ secrets.A }}\"}}}\n"}});
  ASSERT_TRUE(workflow) << workflow.error().what;
  const Workflow& called = *(*workflow)->includes.at(0);
  EXPECT_FALSE(needs_source(**workflow, called, called.secrets[0]));
}

TEST(Calls, HaveTheVariablesOfTheirOwnFiles) {
  PlanOptions options;
  options.dotenv = {{"A", "main"}};
  options.included["lib.yaml"].dotenv = {{"B", "lib"}};
  Staged run{{{"main.yaml", "jobs: {a: {uses: ./lib.yaml}}\n"},
              {"lib.yaml", "jobs: {x: {run: ./x}}\n"}},
             options};
  EXPECT_EQ(run.start(), "+a/x");
  EXPECT_EQ(run.last("a/x").env,
            (std::vector<std::pair<std::string, std::string>>{{"B", "lib"}}));
}

// -- Mistakes -----------------------------------------------------------------

TEST(Calls, ShowAMistakeInItsFileAndTheWayToIt) {
  EXPECT_EQ(call_problems({{"main.yaml",
                            "include: {lib: ./a.yaml}\njobs: {j: {run: ls}}\n"},
                           {"a.yaml", "jobs: {j: {uses: ./b.yaml}}\n"},
                           {"b.yaml", "jobs:\n  j: {ruin: ls}\n"}}),
            "b.yaml:2:3: the job \"j\" needs \"run\", \"steps\" or \"uses\"\n"
            "  j: {ruin: ls}\n"
            "  ^\n"
            "b.yaml:2:7: unknown key \"ruin\" in a job; did you mean \"run\"?\n"
            "  j: {ruin: ls}\n"
            "      ^~~~\n"
            "a.yaml:1:18: called here\n"
            "jobs: {j: {uses: ./b.yaml}}\n"
            "                 ^~~~~~~~\n"
            "main.yaml:1:16: included here\n"
            "include: {lib: ./a.yaml}\n"
            "               ^~~~~~~~");
}

TEST(Calls, RefuseFilesThatCannotBeRead) {
  EXPECT_EQ(call_problems({{"main.yaml", "jobs: {j: {uses: ./b.yaml}}\n"}}),
            "main.yaml:1:18: cannot read \"b.yaml\": no such file\n"
            "jobs: {j: {uses: ./b.yaml}}\n"
            "                 ^~~~~~~~");
  const auto alone = load_workflow("w.yaml", "jobs: {j: {uses: ./b.yaml}}\n");
  ASSERT_FALSE(alone);
  EXPECT_TRUE(alone.error().what.starts_with(
      "w.yaml:1:18: other files cannot be read here"));
}

TEST(Calls, RefuseFilesThatIncludeEachOther) {
  EXPECT_EQ(call_problems({{"main.yaml", "jobs: {j: {uses: ./b.yaml}}\n"},
                           {"b.yaml", "jobs: {j: {uses: ./main.yaml}}\n"}}),
            "b.yaml:1:18: files include each other in a circle: main.yaml -> "
            "b.yaml -> main.yaml\n"
            "jobs: {j: {uses: ./main.yaml}}\n"
            "                 ^~~~~~~~~~~\n"
            "main.yaml:1:18: called here\n"
            "jobs: {j: {uses: ./b.yaml}}\n"
            "                 ^~~~~~~~");
}

TEST(Calls, RefuseFilesThatAreTooDeep) {
  Files files;
  for (std::size_t n = 1; n <= deepest_files; ++n)
    files[n == 1 ? "main.yaml" : fmt::format("{}.yaml", n)] =
        fmt::format("jobs: {{j: {{uses: ./{}.yaml}}}}\n", n + 1);
  files["9.yaml"] = "jobs: {j: {run: ls}}\n";
  EXPECT_TRUE(call_problems(files).starts_with(
      "8.yaml:1:18: files include each other more than 8 deep: main.yaml -> "
      "2.yaml -> 3.yaml -> 4.yaml -> 5.yaml -> 6.yaml -> 7.yaml -> 8.yaml -> "
      "9.yaml"))
      << call_problems(files);
  // The same by a shorter way first.
  files["main.yaml"] = "jobs: {a: {uses: ./3.yaml}, j: {uses: ./2.yaml}}\n";
  EXPECT_NE(call_problems(files).find("more than 8 deep"), std::string::npos);
  files["8.yaml"] = "jobs: {j: {run: ls}}\n";
  EXPECT_EQ(call_problems(files), "");
}

TEST(Calls, RefuseMoreJobsThanARunCanHave) {
  Files files;
  const auto calls = [](int next) {
    return fmt::format(
        "jobs: {{j: {{uses: ./{}.yaml, strategy: {{matrix: {{a: [1, 2, 3, 4, "
        "5, 6, 7, 8, 9, 10]}}}}}}}}\n",
        next);
  };
  for (int n = 2; n <= 5; ++n)
    files[fmt::format("{}.yaml", n)] = calls(n + 1);
  files["6.yaml"] = "jobs: {j: {run: ls}}\n";
  files["main.yaml"] = "jobs: {j: {uses: ./3.yaml}}\n";
  EXPECT_EQ(call_problems(files), "");
  files["main.yaml"] = "jobs: {j: {uses: ./2.yaml}}\n";
  EXPECT_TRUE(call_problems(files).starts_with(
      "2.yaml:1:8: with what this job calls the workflow has more than 10000 "
      "jobs\n"))
      << call_problems(files);
}

TEST(Calls, CheckWhatTheyGive) {
  const auto with = [](const std::string& call) {
    const std::string text = call_problems(
        {{"main.yaml",
          "include: {lib: lib.yaml}\nsecrets: {A: {}}\njobs:\n  j: {" + call +
              "}\n"},
         {"lib.yaml",
          "on: {call: {inputs: {day: {type: date, required: true}, n: {type: "
          "number}, e: {type: choice, options: [staging, prod]}}}}\n"
          "secrets: {TOKEN: {}}\n"
          "jobs: {load: {run: ls}}\n"}});
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(with("uses: lib, with: {day: 2024-05-01, n: 3, e: prod}"), "");
  EXPECT_EQ(with("uses: lib, with: {dya: 2024-05-01, day: today}"),
            "main.yaml:4:25: unknown input \"dya\" of \"lib.yaml\"; did you "
            "mean \"day\"?");
  EXPECT_EQ(with("uses: lib"),
            "main.yaml:4:13: no value for the input \"day\" of \"lib.yaml\"; "
            "give it: with: {day: ...}");
  EXPECT_EQ(with("uses: lib, with: {day: May}"),
            "main.yaml:4:30: day: must be a date such as 2024-05-01, today or "
            "yesterday, not \"May\"");
  EXPECT_EQ(with("uses: lib, with: {day: today, n: x}"),
            "main.yaml:4:40: n: must be a number, not \"x\"");
  EXPECT_EQ(with("uses: lib, with: {day: today, e: dev}"),
            "main.yaml:4:40: e: must be one of staging, prod, not \"dev\"");
  EXPECT_EQ(
      with("uses: lib.laod, with: {day: today}"),
      "main.yaml:4:13: unknown job \"laod\" of \"lib.yaml\"; did you mean "
      "\"load\"?");
  EXPECT_EQ(with("uses: lob, with: {day: today}"),
            "main.yaml:4:13: \"lob\" is no file of \"include\"; did you mean "
            "\"lib\"?");
  EXPECT_EQ(with("uses: lib, with: {day: today}, secrets: {TOKN: x}"),
            "main.yaml:4:48: \"lib.yaml\" declares no secret \"TOKN\"; did you "
            "mean \"TOKEN\"?");
  EXPECT_EQ(with("uses: lib, with: {day: \"${{ secrets.A }}\"}"),
            "main.yaml:4:43: secrets can only be used in \"env\"; env: {A: "
            "\"${{ secrets.A }}\"}, and \"$A\" in the command");
  EXPECT_EQ(with("uses: lib, with: {day: \"${{ matrix.x }}\"}"),
            "main.yaml:4:35: this job has no matrix");
}

TEST(Calls, RefuseWhatBelongsInTheOtherFile) {
  const auto with = [](const std::string& job) {
    const std::string text = call_problems(
        {{"main.yaml", "jobs:\n  j: {" + job + "}\n"},
         {"lib.yaml", "jobs: {load: {run: ls}}\n"},
         {"stack.yaml", "services: {children: {a: {run: ls}}}\n"}});
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(with("uses: ./lib.yaml, run: ls"),
            "main.yaml:2:25: \"run\" has no meaning next to \"uses\"; it "
            "belongs in the file that is called");
  EXPECT_EQ(with("uses: ./lib.yaml, env: {A: b}"),
            "main.yaml:2:25: \"env\" has no meaning next to \"uses\"; it "
            "belongs in the file that is called");
  EXPECT_EQ(with("uses: ./lib.yaml, timeout: {silence: 1m}"),
            "main.yaml:2:44: \"silence\" belongs on the jobs of the file that "
            "is called");
  EXPECT_EQ(with("run: ls, with: {a: b}"),
            "main.yaml:2:16: \"with\" goes with \"uses\"");
  EXPECT_EQ(with("uses: ./stack.yaml"),
            "main.yaml:2:13: \"stack.yaml\" has services, so no job can call "
            "it");
  EXPECT_EQ(with("uses: \"\""),
            "main.yaml:2:13: uses: expected the name of an included file, "
            "NAME.JOB or a path, got the text \"\"");
}

TEST(Calls, KnowTheOutputsOfWhatTheyCall) {
  const std::string text = call_problems(
      {{"main.yaml",
        "jobs:\n"
        "  j: {uses: ./lib.yaml}\n"
        "  k: {needs: j, run: \"echo ${{ jobs.j.outputs.rosw }}\"}\n"},
       {"lib.yaml", lib}});
  EXPECT_EQ(
      text.substr(0, text.find('\n')),
      "main.yaml:3:47: unknown output \"rosw\" of job \"j\"; did you mean "
      "\"rows\"?");
}

TEST(Calls, CheckTheOutputsThatTheyDeclare) {
  const std::string text = call_problems(
      {{"main.yaml",
        "on: {call: {outputs: {a: \"${{ jobs.laod.outputs.b }}\"}}}\n"
        "jobs: {load: {run: ls}}\n"}});
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "main.yaml:1:36: unknown job \"laod\"; did you mean \"load\"?");
}

}  // namespace
}  // namespace troupe::workflow
