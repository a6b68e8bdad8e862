#include <troupe/service/availability.hpp>

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace troupe::service {
namespace {

using supervisor::OnGiveUp;
using supervisor::Presence;
using supervisor::Report;
using supervisor::ReportKind;
using supervisor::Restart;

TreeNode service_at(std::string path, Restart restart = Restart::permanent) {
  TreeNode node;
  node.id = path.substr(path.rfind('/') + 1);
  node.restart = restart;
  ServiceSpec spec;
  spec.name = std::move(path);
  node.what = ServiceNode{std::make_shared<const ServiceSpec>(spec), {}, {}};
  return node;
}

TreeNode group_at(std::string path, std::vector<TreeNode> children,
                  Restart restart = Restart::permanent,
                  OnGiveUp on_give_up = OnGiveUp::escalate) {
  TreeNode node;
  node.id = path;
  node.restart = restart;
  GroupNode inside;
  inside.name = std::move(path);
  inside.on_give_up = on_give_up;
  inside.children = std::move(children);
  node.what = std::move(inside);
  return node;
}

GroupNode root(std::vector<TreeNode> children) {
  GroupNode out;
  out.children = std::move(children);
  return out;
}

ServiceEnd crash() {
  return {.cause = {actors::CauseKind::exit_code, 1, "exited with 1"}};
}

ServiceEnd success() {
  return {.cause = {actors::CauseKind::exit_code, 0, "exited with 0"},
          .clean = true,
          .report = process::ExitReport{}};
}

ServiceEnd stop() {
  ServiceEnd end = success();
  end.report->stopped = true;
  return end;
}

std::string text(const AvailabilityCore::Changes& changes) {
  std::string out;
  for (const AvailabilityChange& change : changes) {
    out += out.empty() ? "" : " ";
    out += change.service + ":" + std::string{to_string(change.state)};
    if (!change.why.empty())
      out += "(" + change.why + ")";
  }
  return out;
}

Report report(ReportKind kind, std::string supervisor) {
  return {.kind = kind, .supervisor = std::move(supervisor)};
}

TEST(Availability, IsUpFromReadyToTheEndAndDownWhileItIsStartedAgain) {
  AvailabilityCore core{root({service_at("db")})};
  EXPECT_EQ(text(core.on_presence("db", Presence::up)), "db:up");
  core.on_end("db", crash());
  EXPECT_EQ(text(core.on_presence("db", Presence::away)), "db:down");
  EXPECT_EQ(text(core.on_presence("db", Presence::up)), "db:up");
}

TEST(Availability, CountsOnAPreparationThatHasFinished) {
  AvailabilityCore core{root({service_at("migrate", Restart::transient)})};
  EXPECT_EQ(text(core.on_presence("migrate", Presence::up)), "migrate:up");
  core.on_end("migrate", success());
  EXPECT_EQ(text(core.on_presence("migrate", Presence::gone)), "");
}

TEST(Availability, LosesATemporaryServiceThatHasFailed) {
  AvailabilityCore core{root({service_at("a", Restart::temporary)})};
  (void)core.on_presence("a", Presence::up);
  core.on_end("a", crash());
  EXPECT_EQ(text(core.on_presence("a", Presence::gone)),
            "a:lost(a exited with 1, and is not started again)");
}

TEST(Availability, LosesNothingBeforeTheLastSupervisorHasGivenUp) {
  AvailabilityCore core{
      root({group_at("g", {service_at("g/a"), service_at("g/b")})})};
  (void)core.on_presence("g/a", Presence::up);
  (void)core.on_presence("g/b", Presence::up);
  (void)core.on_presence("g", Presence::up);
  core.on_end("g/a", crash());
  // Its supervisor has used up its budget, which it tells next.
  EXPECT_EQ(text(core.on_presence("g/a", Presence::gone)), "g/a:down");
  core.on_blame("g", "g/a exited with 1 -> g gave up");
  EXPECT_EQ(text(core.on_report(report(ReportKind::gave_up, "g"))), "");
  core.on_end("g/b", stop());
  EXPECT_EQ(text(core.on_presence("g/b", Presence::gone)), "g/b:down");
  // The one above starts it again,
  EXPECT_EQ(text(core.on_presence("g", Presence::away)), "");
  EXPECT_EQ(text(core.on_presence("g/a", Presence::up)), "g/a:up");
  EXPECT_EQ(text(core.on_presence("g/b", Presence::up)), "g/b:up");
  EXPECT_EQ(text(core.on_report(report(ReportKind::started, "g"))), "");
  EXPECT_EQ(text(core.on_presence("g", Presence::up)), "");
  // .. and the second time gives up, too.
  (void)core.on_presence("g/a", Presence::gone);
  (void)core.on_report(report(ReportKind::gave_up, "g"));
  (void)core.on_presence("g/b", Presence::gone);
  EXPECT_EQ(text(core.on_presence("g", Presence::gone)), "");
  EXPECT_EQ(text(core.on_tree_ended("the stack gave up")),
            "g/a:lost(the stack gave up) g/b:lost(the stack gave up)");
}

TEST(Availability, LosesAGroupThatIsNotStartedAgainAfterGivingUp) {
  AvailabilityCore core{
      root({group_at("g", {service_at("g/a")}, Restart::transient),
            service_at("b")})};
  (void)core.on_presence("g/a", Presence::up);
  (void)core.on_presence("g", Presence::up);
  (void)core.on_presence("b", Presence::up);
  (void)core.on_presence("g/a", Presence::gone);
  core.on_blame("g", "g/a exited with 1 -> g gave up");
  (void)core.on_report(report(ReportKind::gave_up, "g"));
  // Giving up is a clean end, after which it is not started again. That it has
  // ended by giving up is over and done with.
  EXPECT_EQ(text(core.on_presence("g", Presence::gone)),
            "g/a:lost(g/a exited with 1 -> g gave up)");
}

TEST(Availability, WaitsForAGroupOnHoldButNotForOneThatIsStopped) {
  AvailabilityCore core{root(
      {group_at("h", {service_at("h/a")}, Restart::permanent, OnGiveUp::hold),
       group_at("s", {service_at("s/a")}, Restart::permanent,
                OnGiveUp::stop)})};
  for (const char* const path : {"h/a", "h", "s/a", "s"})
    (void)core.on_presence(path, Presence::up);
  EXPECT_EQ(text(core.on_presence("h/a", Presence::gone)), "h/a:down");
  core.on_blame("h", "h is held");
  EXPECT_EQ(text(core.on_report(report(ReportKind::held, "h"))), "");
  EXPECT_EQ(text(core.on_report(report(ReportKind::released, "h"))), "");
  EXPECT_EQ(text(core.on_presence("h/a", Presence::up)), "h/a:up");
  EXPECT_EQ(text(core.on_presence("s/a", Presence::gone)), "s/a:down");
  core.on_blame("s", "s/a exited with 1 -> s is held");
  EXPECT_EQ(text(core.on_report(report(ReportKind::held, "s"))),
            "s/a:lost(s/a exited with 1 -> s is held)");
}

TEST(Availability, LosesAllThatHasNeverBeenReadyWithTheTree) {
  AvailabilityCore core{root({service_at("a"), service_at("b")})};
  (void)core.on_presence("a", Presence::up);
  EXPECT_EQ(text(core.on_tree_ended("start of b failed")),
            "a:lost(start of b failed) b:lost(start of b failed)");
  EXPECT_EQ(text(core.on_tree_ended("start of b failed")), "");
}

TEST(Availability, TakesATemporaryServiceForDownWhileItsGroupIsStartedAgain) {
  AvailabilityCore core{
      root({group_at("g", {service_at("g/a", Restart::temporary)})})};
  (void)core.on_presence("g/a", Presence::up);
  (void)core.on_presence("g", Presence::up);
  EXPECT_EQ(text(core.on_presence("g", Presence::away)), "");
  core.on_end("g/a", stop());
  EXPECT_EQ(text(core.on_presence("g/a", Presence::gone)), "g/a:down");
  EXPECT_EQ(text(core.on_presence("g/a", Presence::up)), "g/a:up");
  EXPECT_EQ(text(core.on_presence("g", Presence::up)), "");
}

}  // namespace
}  // namespace troupe::service
