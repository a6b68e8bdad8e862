#include "drill.hpp"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::cli {
namespace {

using service::GroupNode;
using service::ServiceNode;
using service::ServiceSpec;
using service::TreeNode;
using supervisor::Presence;
using supervisor::Restart;
using supervisor::Strategy;

TreeNode leaf(std::string path, Restart restart = Restart::permanent) {
  TreeNode node;
  node.id = path.substr(path.rfind('/') + 1);
  node.restart = restart;
  ServiceSpec spec;
  spec.name = std::move(path);
  node.what = ServiceNode{std::make_shared<const ServiceSpec>(spec), {}, {}};
  return node;
}

TreeNode nested(GroupNode group) {
  TreeNode node;
  node.id = group.name;
  node.what = std::move(group);
  return node;
}

GroupNode group(std::string name, Strategy strategy,
                std::vector<TreeNode> children) {
  GroupNode node;
  node.name = std::move(name);
  node.strategy = strategy;
  node.children = std::move(children);
  return node;
}

/// a, b and c in a row.
GroupNode row(Strategy strategy) {
  return group("", strategy, {leaf("a"), leaf("b"), leaf("c")});
}

service::ServiceEnd crash() {
  return {.cause = {actors::CauseKind::signal, 9, "killed by SIGKILL"},
          .report = process::ExitReport{}};
}

service::ServiceEnd stop() {
  service::ServiceEnd end{
      .cause = {actors::CauseKind::exit_code, 0, "exited with 0"},
      .clean = true,
      .report = process::ExitReport{}};
  end.report->stopped = true;
  return end;
}

/// A drill under a virtual clock, of services that do as a test says.
class Scene {
 public:
  Scene(GroupNode root, const std::vector<std::string>& kills,
        const std::vector<std::string>& expectations, Duration longest = 10s)
      : root_{std::make_shared<const GroupNode>(std::move(root))} {
    DrillPlan plan;
    for (const std::string& text : kills)
      plan.kills.push_back(parse_kill(text, *root_).value());
    for (const std::string& text : expectations)
      plan.expectations.push_back(parse_expectation(text, *root_).value());
    plan.longest = longest;
    EXPECT_TRUE(complete(plan));
    drill_ = std::make_unique<Drill>(root_, std::move(plan), now);
  }

  void start(const std::string& service) {
    drill_->on_launched(service, now);
    drill_->on_ready(service, now);
    drill_->on_presence(service, Presence::up, now);
  }
  void start_all(const std::vector<std::string>& services) {
    for (const std::string& service : services)
      start(service);
    drill_->on_up(now);
  }
  void die(const std::string& service, Presence then = Presence::away) {
    drill_->on_ended(service, crash(), now);
    drill_->on_presence(service, then, now);
  }
  void end(const std::string& service) {
    drill_->on_presence(service, Presence::away, now);
    drill_->on_ended(service, stop(), now);
  }

  std::vector<std::string> kills() { return drill_->take_kills(now); }
  [[nodiscard]] bool is_over() const { return drill_->is_over(now); }
  Drill& drill() { return *drill_; }

  [[nodiscard]] std::string verdicts() const {
    std::string out;
    for (const DrillVerdict& verdict : drill_->verdicts(now)) {
      out += out.empty() ? "" : "; ";
      out += verdict.passed ? "PASS" : verdict.why;
    }
    return out;
  }

  TimePoint now{};

 private:
  std::shared_ptr<const GroupNode> root_;
  std::unique_ptr<Drill> drill_;
};

TEST(Drill, KillsAtItsTimesAfterAllAreReady) {
  Scene scene{row(Strategy::one_for_one), {"b@3s", "a@1s"}, {"stays up"}};
  scene.now += 5s;
  EXPECT_EQ(scene.kills(), std::vector<std::string>{});
  EXPECT_EQ(scene.drill().next_deadline(), std::nullopt);
  scene.start_all({"a", "b", "c"});
  EXPECT_EQ(scene.kills(), std::vector<std::string>{});
  EXPECT_EQ(scene.drill().next_deadline(), scene.now + 1s);
  scene.now += 1s;
  EXPECT_EQ(scene.kills(), std::vector<std::string>{"a"});
  EXPECT_EQ(scene.kills(), std::vector<std::string>{});
  scene.now += 2s;
  EXPECT_EQ(scene.kills(), std::vector<std::string>{"b"});
}

TEST(Drill, IsOverOnceAllIsAtRestAndNothingIsMissing) {
  Scene scene{row(Strategy::one_for_one), {"b"}, {"restarted b"}};
  scene.start_all({"a", "b", "c"});
  EXPECT_EQ(scene.kills(), std::vector<std::string>{"b"});
  scene.now += 1s;
  EXPECT_FALSE(scene.is_over()) << "nobody has seen it die";
  scene.die("b");
  scene.now += 1s;
  EXPECT_FALSE(scene.is_over());
  scene.start("b");
  EXPECT_FALSE(scene.is_over()) << "something may follow";
  EXPECT_EQ(scene.drill().next_deadline(), scene.now + 500ms);
  scene.now += 500ms;
  EXPECT_TRUE(scene.is_over());
  EXPECT_EQ(scene.verdicts(), "PASS");
}

TEST(Drill, WaitsForWhatIsMissingAsLongAsItMay) {
  Scene scene{row(Strategy::one_for_one), {"b"}, {"gives up"}, 4s};
  scene.start_all({"a", "b", "c"});
  (void)scene.kills();
  scene.die("b");
  scene.start("b");
  scene.now += 3s;
  EXPECT_FALSE(scene.is_over());
  scene.now += 1s;
  EXPECT_TRUE(scene.is_over());
  EXPECT_EQ(scene.verdicts(), "the stack did not give up");
}

TEST(Drill, TellsTheStrategiesApart) {
  const std::vector<std::string> expected{
      "one_for_one b",   "rest_for_one from b", "one_for_all in services",
      "not restarted a", "as predicted",        "ready within 1s"};
  Scene one{row(Strategy::one_for_one), {"b"}, expected};
  one.start_all({"a", "b", "c"});
  (void)one.kills();
  one.die("b");
  one.start("b");
  EXPECT_EQ(one.verdicts(),
            "PASS; c was not started again; a was not started again; PASS; "
            "PASS; PASS");

  Scene rest{row(Strategy::rest_for_one), {"b"}, expected};
  rest.start_all({"a", "b", "c"});
  (void)rest.kills();
  rest.die("b");
  rest.end("c");
  rest.start("b");
  rest.start("c");
  EXPECT_EQ(rest.verdicts(),
            "c was started again; PASS; a was not started again; PASS; PASS; "
            "PASS");

  Scene all{row(Strategy::one_for_all), {"b"}, expected};
  all.start_all({"a", "b", "c"});
  (void)all.kills();
  all.die("b");
  all.end("c");
  all.end("a");
  all.now += 2s;
  for (const char* const service : {"a", "b", "c"})
    all.start(service);
  EXPECT_EQ(all.verdicts(),
            "a was started again; a was started again; PASS; a was started "
            "again; PASS; it took 2s");
}

TEST(Drill, ComparesTheOrderWithTheForecast) {
  Scene scene{row(Strategy::one_for_all), {"b"}, {"as predicted"}};
  scene.start_all({"a", "b", "c"});
  (void)scene.kills();
  scene.die("b");
  scene.end("a");
  scene.end("c");
  EXPECT_EQ(scene.verdicts(), "not all has come to rest");
  for (const char* const service : {"a", "b", "c"})
    scene.start(service);
  EXPECT_EQ(scene.verdicts(), "foreseen was to end c, a, and a, c was ended");
}

TEST(Drill, FollowsAForecastThroughAGroupThatGivesUp) {
  GroupNode inner =
      group("g", Strategy::one_for_one, {leaf("g/a"), leaf("g/b")});
  inner.intensity = 0;
  Scene scene{group("", Strategy::one_for_one, {nested(inner), leaf("c")}),
              {"g/a"},
              {"as predicted", "gives up g", "gives up", "restarted g"}};
  scene.start_all({"g/a", "g/b", "c"});
  scene.drill().on_presence("g", Presence::up, scene.now);
  (void)scene.kills();
  scene.die("g/a", Presence::gone);
  scene.drill().on_blame("g", "g/a died -> g gave up", scene.now);
  scene.drill().on_report(
      {.kind = supervisor::ReportKind::gave_up, .supervisor = "g"}, scene.now);
  scene.drill().on_ended("g/b", stop(), scene.now);
  scene.drill().on_presence("g/b", Presence::gone, scene.now);
  scene.drill().on_presence("g", Presence::away, scene.now);
  scene.start("g/a");
  scene.start("g/b");
  scene.drill().on_presence("g", Presence::up, scene.now);
  EXPECT_EQ(scene.verdicts(), "PASS; PASS; the stack did not give up; PASS");
}

TEST(Drill, EndsWithTheStack) {
  GroupNode root = row(Strategy::one_for_one);
  root.intensity = 0;
  Scene scene{root, {"c"}, {"gives up", "stays up", "as predicted"}};
  scene.start_all({"a", "b", "c"});
  (void)scene.kills();
  scene.die("c", Presence::gone);
  scene.drill().on_blame("", "c died -> the stack gave up", scene.now);
  for (const char* const service : {"b", "a"}) {
    scene.drill().on_ended(service, stop(), scene.now);
    scene.drill().on_presence(service, Presence::gone, scene.now);
  }
  EXPECT_FALSE(scene.is_over());
  scene.drill().on_stack_ended(true, "c died -> the stack gave up", scene.now);
  EXPECT_TRUE(scene.is_over());
  EXPECT_EQ(scene.verdicts(), "PASS; c died -> the stack gave up; PASS");
}

TEST(Drill, FailsAsAWholeIfItDidNotTakePlace) {
  Scene scene{row(Strategy::one_for_one), {"c@1s"}, {"not restarted a"}};
  EXPECT_EQ(scene.verdicts(), "not all were ready at first");
  scene.start_all({"a", "b", "c"});
  EXPECT_EQ(scene.verdicts(), "c was not killed");
  scene.now += 1s;
  (void)scene.kills();
  scene.drill().on_kill_failed("c", "c does not run", scene.now);
  EXPECT_EQ(scene.verdicts(), "c could not be killed: c does not run");
}

TEST(Drill, TellsTheCourseOfEventsAndTheVerdicts) {
  Scene scene{row(Strategy::one_for_one), {"b@2s"}, {"restarted b"}};
  scene.now += 1s;
  scene.start_all({"a", "b", "c"});
  scene.now += 2s;
  (void)scene.kills();
  scene.now += 5ms;
  scene.die("b");
  scene.drill().on_said("b killed by SIGKILL after 2s", scene.now);
  EXPECT_EQ(scene.drill().report(scene.now),
            "    1.000s  a starts\n"
            "    1.000s  b starts\n"
            "    1.000s  c starts\n"
            "    1.000s  all are ready\n"
            "    3.000s  b is killed\n"
            "    3.005s  b killed by SIGKILL after 2s\n"
            "FAIL  restarted b: b was not started again\n");
}

std::string expectation_error(const Result<Expectation>& result) {
  return result ? "" : result.error().what;
}

TEST(Drill, ReadsExpectationsInAnySpelling) {
  const GroupNode root = row(Strategy::one_for_one);
  const auto read = parse_expectation("  rest-for-one  from b ", root);
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(read->kind, Expectation::Kind::rest_for_one);
  EXPECT_EQ(read->text, "rest-for-one from b");
  EXPECT_EQ(read->subject, "b");
  EXPECT_EQ(parse_expectation("ready within 1m30s", root)->limit, 90s);
  EXPECT_EQ(expectation_error(parse_expectation("stay up", root)),
            "unknown expectation \"stay up\"; did you mean \"stays up\"?");
  EXPECT_EQ(expectation_error(parse_expectation("stays up a", root)),
            "expected \"stays up\", got \"stays up a\"");
  EXPECT_EQ(expectation_error(parse_expectation("", root)),
            "unknown expectation \"\"; there are: restarted NAME, not "
            "restarted NAME, one_for_one NAME, rest_for_one from NAME, "
            "one_for_all in GROUP, gives up [GROUP], ready within TIME, stays "
            "up, as predicted");
}

}  // namespace
}  // namespace troupe::cli
