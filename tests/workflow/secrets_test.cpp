#include <troupe/workflow/load.hpp>
#include <troupe/workflow/plan.hpp>

#include <gtest/gtest.h>
#include <string>

namespace troupe::workflow {
namespace {

constexpr std::string_view declared =
    "secrets: {KEY: {from: file, key: /k}, TOKEN: {}}\n";

std::string problem_of(const std::string& text) {
  const auto workflow = load_workflow("f.yaml", std::string{declared} + text);
  if (workflow)
    return {};
  const std::string& all = workflow.error().what;
  return all.substr(0, all.find('\n'));
}

TEST(Secrets, ComeFromAFileAVariableOrACommand) {
  const auto workflow = load_workflow(
      "f.yaml",
      "secrets:\n  A: {}\n  B: {from: env, key: X}\n  C: {from: file, key: "
      "/k}\n  D: {from: command, key: pass db}\n"
      "jobs: {a: {run: x, env: {V: \"${{ secrets.C }}\"}}}");
  ASSERT_TRUE(workflow) << workflow.error().what;
  const auto& secrets = (*workflow)->secrets;
  ASSERT_EQ(secrets.size(), 4U);
  EXPECT_EQ(secrets[0].source, SecretSource::environment);
  EXPECT_EQ(secrets[0].key, "A");
  EXPECT_EQ(secrets[1].key, "X");
  EXPECT_EQ(secrets[2].source, SecretSource::file);
  EXPECT_EQ(secrets[3].source, SecretSource::command);
  EXPECT_EQ(secrets[3].key, "pass db");
  EXPECT_FALSE(secrets[0].is_used);
  EXPECT_TRUE(secrets[2].is_used);
}

TEST(Secrets, MayBeUsedInVariables) {
  EXPECT_EQ(
      problem_of("env: {A: \"${{ secrets.KEY }}\"}\n"
                 "jobs:\n  a:\n"
                 "    env: {B: \"x${{ env.A }}\"}\n"
                 "    steps:\n"
                 "      - {env: {C: \"${{ env.B }}\"}, run: 'f \"$C\"'}\n"),
      "");
}

TEST(Secrets, MayNotBeUsedWhereTheyCouldBeSeen) {
  const std::string why =
      "secrets can only be used in \"env\"; env: {KEY: \"${{ secrets.KEY "
      "}}\"}, and \"$KEY\" in the command";
  EXPECT_EQ(problem_of("jobs: {a: {run: \"x ${{ secrets.KEY }}\"}}"),
            "f.yaml:2:32: " + why);
  EXPECT_EQ(problem_of("jobs: {a: {run: \"${{ raw(secrets.KEY) }}\"}}"),
            "f.yaml:2:34: " + why);
  EXPECT_EQ(problem_of("jobs: {a: {run: x, name: \"${{ secrets.KEY }}\"}}"),
            "f.yaml:2:39: " + why);
  EXPECT_EQ(problem_of("jobs: {a: {run: x, if: secrets.KEY != ''}}"),
            "f.yaml:2:32: " + why);
  EXPECT_EQ(
      problem_of("jobs: {a: {run: x, working-directory: \"${{ secrets.KEY "
                 "}}\"}}"),
      "f.yaml:2:52: " + why);
  EXPECT_EQ(
      problem_of("jobs: {a: {run: x, outputs: {o: \"${{ secrets.KEY }}\"}}}"),
      "f.yaml:2:46: " + why);
  EXPECT_EQ(problem_of("run-name: ${{ secrets.KEY }}\njobs: {a: {run: x}}"),
            "f.yaml:2:23: " + why);
}

TEST(Secrets, MayNotBeSeenByWayOfAVariable) {
  const std::string why =
      "the variable \"A\" has a secret in it; a command gets it as \"$A\"";
  EXPECT_EQ(problem_of("env: {A: \"${{ secrets.KEY }}\"}\n"
                       "jobs: {a: {run: \"x ${{ env.A }}\"}}"),
            "f.yaml:3:28: " + why);
  EXPECT_EQ(problem_of("env: {B: \"${{ secrets.KEY }}\"}\n"
                       "jobs: {a: {env: {A: \"${{ env.B }}\"}, run: \"x ${{ "
                       "env.A }}\"}}"),
            "f.yaml:3:54: " + why);
  EXPECT_EQ(problem_of("jobs: {a: {steps: [{env: {A: \"${{ secrets.KEY }}\"}, "
                       "run: \"${{ env['A'] }}\"}]}}"),
            "f.yaml:2:67: " + why);
}

TEST(Secrets, AVariableThatIsSetAnewIsNoSecretAnyMore) {
  EXPECT_EQ(problem_of("env: {A: \"${{ secrets.KEY }}\"}\n"
                       "jobs: {a: {env: {A: plain}, run: \"x ${{ env.A }}\"}}"),
            "");
  EXPECT_EQ(problem_of("env: {A: plain}\n"
                       "jobs:\n  a:\n    steps:\n"
                       "      - {env: {A: \"${{ secrets.KEY }}\"}, run: x}\n"
                       "      - run: x ${{ env.A }}\n"),
            "");
}

TEST(Secrets, MayNotBeTakenAllTogether) {
  EXPECT_EQ(
      problem_of("jobs: {a: {run: x, env: {A: \"${{ toJSON(secrets) }}\"}}}"),
      "f.yaml:2:41: \"secrets\" as a whole has secrets in it; name one of "
      "them");
  EXPECT_EQ(problem_of("env: {A: \"${{ secrets.KEY }}\"}\n"
                       "jobs: {a: {run: \"x ${{ toJSON(env) }}\"}}"),
            "f.yaml:3:31: \"env\" as a whole has secrets in it; name one of "
            "them");
  EXPECT_EQ(problem_of("env: {A: \"${{ secrets.KEY }}\"}\n"
                       "jobs: {a: {run: \"x ${{ env[format('A')] }}\"}}"),
            "f.yaml:3:24: \"env\" as a whole has secrets in it; name one of "
            "them");
}

TEST(Secrets, MistakesInTheirDeclarationAreTold) {
  EXPECT_EQ(
      problem_of("jobs: {a: {run: x, env: {A: \"${{ secrets.TOKN }}\"}}}"),
      "f.yaml:2:42: unknown secret \"TOKN\"; did you mean \"TOKEN\"?");
  const auto refused = [](std::string text) {
    const auto workflow = load_workflow("f.yaml", std::move(text));
    return workflow ? std::string{}
                    : workflow.error().what.substr(
                          0, workflow.error().what.find('\n'));
  };
  EXPECT_EQ(refused("secrets: {A: {from: file}}\njobs: {a: {run: x}}"),
            "f.yaml:1:11: the secret \"A\" needs \"key\"");
  EXPECT_EQ(refused("secrets: {A: {from: vault}}\njobs: {a: {run: x}}"),
            "f.yaml:1:21: from: expected env, file or command, got \"vault\"");
  EXPECT_EQ(refused("secrets: [A]\njobs: {a: {run: x}}"),
            "f.yaml:1:10: secrets: expected a map such as {TOKEN: {from: "
            "env}}, got a list");
}

TEST(Secrets, GetIntoTheEnvironmentAndNotIntoTheCommandLine) {
  const auto workflow = load_workflow(
      "f.yaml", std::string{declared} +
                    "env: {A: \"${{ secrets.KEY }}\"}\n"
                    "jobs: {a: {env: {B: \"<${{ env.A }}>\"}, run: f}}");
  ASSERT_TRUE(workflow) << workflow.error().what;
  PlanOptions options;
  options.secrets = {{"KEY", "canary"}};
  options.dotenv = {{"A", "hidden"}, {"D", "1"}};
  auto plan = Plan::make(*workflow, options);
  ASSERT_TRUE(plan) << plan.error().what;
  const Actions actions = plan->start(TimePoint{});
  const StartStep* start = nullptr;
  for (const Action& action : actions) {
    if (const auto* const found = std::get_if<StartStep>(&action))
      start = found;
  }
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(start->argv, std::vector<std::string>{"f"});
  using Variables = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(start->env,
            (Variables{{"D", "1"}, {"A", "canary"}, {"B", "<canary>"}}));
}

TEST(RunName, IsMadeFromWhatIsKnownAtTheStart) {
  const auto workflow = load_workflow(
      "f.yaml",
      "run-name: ETL ${{ inputs.x }} by ${{ run.actor }} (${{ run.trigger "
      "}})\njobs: {a: {run: f}}");
  ASSERT_TRUE(workflow) << workflow.error().what;
  PlanOptions options;
  options.inputs = {{"x", "today"}};
  options.actor = "ana";
  const auto plan = Plan::make(*workflow, options);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->title(), "ETL today by ana (dispatch)");
}

TEST(Placement, IsAcceptedAndItsNamesAreChecked) {
  const auto refused = [](std::string text) {
    const auto workflow = load_workflow("f.yaml", std::move(text));
    return workflow ? std::string{}
                    : workflow.error().what.substr(
                          0, workflow.error().what.find('\n'));
  };
  EXPECT_EQ(refused("defaults: {runs-on: linux}\n"
                    "jobs: {a: {run: x, runs-on: [linux, big-disk], strategy: "
                    "{matrix: {r: [eu]}}, placement: {key: \"${{ matrix.r "
                    "}}\"}}, b: {run: x, placement: {spread: true}}}"),
            "");
  EXPECT_EQ(refused("jobs: {a: {run: x, placement: {key: k, spread: true}}}"),
            "");
  EXPECT_EQ(
      refused("jobs: {a: {run: x, placement: {key: \"${{ matrix.r }}\"}}}"),
      "f.yaml:1:42: this job has no matrix");
}

}  // namespace
}  // namespace troupe::workflow
