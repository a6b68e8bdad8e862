#include "plan_script.hpp"

#include <troupe/workflow/load.hpp>
#include <troupe/workflow/plan.hpp>
#include <troupe/workflow/services.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace troupe::workflow {
namespace {

using actors::OutcomeKind;

/// Services db, api, loaders/l and loaders/m before `jobs`.
std::string file(const std::string& jobs) {
  return "services:\n"
         "  children:\n"
         "    db: {run: ./db}\n"
         "    api: {run: \"./api ${{ port.http }}\", depends-on: db}\n"
         "    loaders: {children: {l: {run: ./l}, m: {run: ./m}}}\n"
         "jobs:\n" +
         jobs;
}

std::shared_ptr<const Workflow> load_needed(const std::string& jobs) {
  auto workflow = load_workflow("etl.yaml", file(jobs));
  EXPECT_TRUE(workflow) << workflow.error().what;
  return workflow.value_or(nullptr);
}

std::string first_problem(const std::string& text) {
  const auto workflow = load_workflow("etl.yaml", text);
  if (workflow)
    return "";
  return workflow.error().what.substr(0, workflow.error().what.find('\n'));
}

/// A plan with those services.
struct NeededScript : Script {
  explicit NeededScript(const std::string& jobs, PlanOptions options = {})
      : Script{file(jobs), std::move(options)} {}
};

TEST(NeededServices, AreAskedForByTheFirstJobThatCouldRun) {
  NeededScript run{"  a: {run: x}\n  b: {run: x, needs: [a, services.db]}\n"};
  EXPECT_EQ(run.plan().services(), std::vector<std::string>{"db"});
  EXPECT_EQ(run.start(), "a:ready a:running +a/0");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded services b:ready");
  EXPECT_EQ(run.reasons.back(), "waits for service db");
  EXPECT_EQ(run.up("db"), "b:running +b/0");
  EXPECT_EQ(run.end(2, 0), "b/0=success b:succeeded run:success");
}

TEST(NeededServices, AreNotAskedForByAJobThatIsSkipped) {
  NeededScript run{"  a: {run: x, needs: services.db, if: \"false\"}\n"};
  EXPECT_EQ(run.start(), "a:skipped run:success");
}

TEST(NeededServices, MustAllBeUpBeforeAJobStarts) {
  NeededScript run{
      "  a: {run: x, needs: [services.db, {job: services.loaders, when: "
      "ready}]}\n"};
  EXPECT_EQ(run.plan().services(),
            (std::vector<std::string>{"db", "loaders/l", "loaders/m"}));
  EXPECT_EQ(run.start(), "services a:ready");
  EXPECT_EQ(run.up("db"), "");
  EXPECT_EQ(run.up("loaders/l"), "");
  EXPECT_EQ(run.down("db"), "");
  EXPECT_EQ(run.up("loaders/m"), "");
  EXPECT_EQ(run.up("db"), "a:running +a/0");
}

TEST(NeededServices, MayRestartWhileAJobRuns) {
  NeededScript run{
      "  a: {run: x, needs: services.db}\n"
      "  b: {run: x, needs: [a, services.db]}\n"};
  (void)run.start();
  (void)run.up("db");
  EXPECT_EQ(run.down("db"), "");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded b:ready");
  EXPECT_EQ(run.up("db"), "b:running +b/0");
}

TEST(NeededServices, HaveTheirJobsStartedAgainByTheGroupIfThereIsOne) {
  NeededScript run{
      "  a: {run: x, needs: services.db, group: g, retries: 3}\n"
      "groups: {g: {intensity: 1}}\n"};
  (void)run.start();
  (void)run.up("db");
  EXPECT_EQ(run.down("db"), "!a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::cancelled),
            "a/0=failure a:failed g?a a:pending a:ready");
  EXPECT_EQ(run.up("db"), "a:running +a/0");
  // One that has succeeded all the same has.
  EXPECT_EQ(run.down("db"), "!a/0");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded run:success");
}

TEST(NeededServices, FailTheJobsThatNeedThemWhenTheyAreLost) {
  PlanOptions options;
  options.max_parallel = 1;
  NeededScript run{
      "  a: {run: x, needs: services.db, retries: 3}\n"
      "  b: {run: x, needs: services.db, priority: low}\n"
      "  c: {run: x, needs: [{job: a, when: finished}, services.db]}\n"
      "  d: {run: x, needs: [{job: a, when: finished}]}\n",
      options};
  EXPECT_EQ(run.start(), "services a:ready b:ready");
  EXPECT_EQ(run.up("db"), "a:running +a/0");
  EXPECT_EQ(run.lose("db"), "!a/0 b:failed");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::cancelled),
            "a/0=failure a:failed c:failed d:ready d:running +d/0");
  EXPECT_EQ(run.reasons, (std::vector<std::string>{
                             "waits for service db", "waits for service db",
                             "it needs service db: db gave up",
                             "it needs service db: db gave up",
                             "it needs service db: db gave up",
                             "it needs service db: db gave up"}));
  EXPECT_EQ(run.end(4, 0), "d/0=success d:succeeded run:failure");
}

TEST(NeededServices, LetStepsLookAfterTheFailureThatTheirLossIs) {
  NeededScript run{
      "  a:\n"
      "    needs: services.db\n"
      "    retries: 2\n"
      "    steps:\n"
      "      - {run: x, continue-on-error: true}\n"
      "      - run: y\n"
      "      - {run: z, if: failure()}\n"};
  (void)run.start();
  (void)run.up("db");
  EXPECT_EQ(run.lose("db"), "!a/0");
  EXPECT_EQ(run.end(1, 0, OutcomeKind::failed), "a/0=failure a/1=skipped +a/2");
  EXPECT_EQ(run.end(1, 2), "a/2=success a:failed run:failure");
}

TEST(NeededServices, AreNoReasonToFailForAJobThatSucceedsAllTheSame) {
  NeededScript run{"  a: {run: x, needs: services.db}\n"};
  (void)run.start();
  (void)run.up("db");
  EXPECT_EQ(run.lose("db"), "!a/0");
  EXPECT_EQ(run.end(1, 0), "a/0=success a:succeeded run:success");
}

TEST(NeededServices, AreWaitedForAsLongAsTheLimitOfTheQueue) {
  NeededScript run{"  a: {run: x, needs: services.db, timeout: {queue: 5s}}\n"};
  EXPECT_EQ(run.start(), "services a:ready");
  EXPECT_EQ(run.wait(5s), "a:timed_out run:failure");
}

TEST(NeededServices, DoNotHoldUpTheEndOfACancelledRun) {
  NeededScript run{"  a: {run: x, needs: services.db}\n"};
  (void)run.start();
  EXPECT_EQ(run.cancel(), "a:cancelled run:cancelled");
  EXPECT_EQ(run.up("db"), "");
}

TEST(NeededServices, TellTheirPortsToJobs) {
  PlanOptions options;
  options.ports = {{"http", "8123"}};
  NeededScript run{"  a: {run: \"curl localhost:${{ port.http }}\"}\n",
                   options};
  EXPECT_EQ(run.start(), "a:ready a:running +a/0");
  EXPECT_EQ(run.started.front().line, "curl localhost:8123");
}

TEST(NeededServices, AreThoseOfTheJobsOfTheRunAlone) {
  const auto workflow = load_needed(
      "  a: {run: x, needs: services.loaders/l}\n"
      "  b: {run: x, needs: services.api}\n");
  PlanOptions options;
  options.only_job = "a";
  const auto plan = Plan::make(workflow, options);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->services(), std::vector<std::string>{"loaders/l"});
}

std::string tree(const service::GroupNode& group) {
  std::string out;
  for (const service::TreeNode& node : group.children) {
    out += (out.empty() ? "" : " ") + node.id;
    if (const auto* nested = std::get_if<service::GroupNode>(&node.what))
      out += "(" + tree(*nested) + ")";
  }
  return out;
}

TEST(NeededServices, ComeWithWhatTheyDependOnAndNothingElse) {
  const auto workflow = load_needed("  a: {run: x}\n");
  const ServiceSurroundings surroundings{
      .port_of = [](const std::string&) -> Result<std::uint16_t> {
        return std::uint16_t{1};
      },
      .read_file = [](const std::string&) -> Result<std::string> {
        return std::string{};
      }};
  const auto planned = [&](std::vector<std::string> only) {
    return tree(*plan_services(*workflow, surroundings, &only));
  };
  EXPECT_EQ(planned({"db"}), "db");
  EXPECT_EQ(planned({"api"}), "db api");
  EXPECT_EQ(planned({"loaders/m"}), "loaders(m)");
  EXPECT_EQ(planned({"loaders/m", "api"}), "db api loaders(m)");
}

TEST(NeededServices, AreRefusedUnderNamesThatThereAreNot) {
  EXPECT_EQ(first_problem(file("  a: {run: x, needs: services.ap}\n")),
            "etl.yaml:7:22: unknown service \"ap\" in the needs of \"a\"; did "
            "you mean \"services.api\"?");
  EXPECT_EQ(first_problem("jobs: {a: {run: x, needs: services.db}}"),
            "etl.yaml:1:27: unknown service \"db\" in the needs of \"a\"; the "
            "file has no \"services\"");
  EXPECT_EQ(first_problem(file("  a: {run: x, needs: [{job: services.db, when: "
                               "finished}]}\n")),
            "etl.yaml:7:48: \"services.db\" is a service, which is waited for "
            "until it is ready and not for its end");
  EXPECT_EQ(
      first_problem(file("  a: {run: x}\n"
                         "  b: {run: x, needs: [{job: a, when: ready}]}\n")),
      "etl.yaml:8:38: \"a\" is a job, which is never \"ready\"; a "
      "service is named services.NAME");
  EXPECT_EQ(first_problem(file("  a: {run: \"x ${{ port.htp }}\"}\n")),
            "etl.yaml:7:24: unknown port \"htp\"; no service uses it; did you "
            "mean \"http\"?");
}

}  // namespace
}  // namespace troupe::workflow
