#include <troupe/workflow/load.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace troupe::workflow {
namespace {

const std::string jobs = "jobs: {a: {run: x}}\n";

std::shared_ptr<const Workflow> load_triggers(const std::string& text) {
  auto workflow = load_workflow("t.yaml", text + jobs);
  EXPECT_TRUE(workflow) << workflow.error().what;
  return workflow ? *workflow : nullptr;
}

std::string trigger_problems(const std::string& text) {
  const auto workflow = load_workflow("t.yaml", text + jobs);
  return workflow ? "" : workflow.error().what;
}

TEST(Triggers, AreNoneUnlessTheFileHasThem) {
  EXPECT_FALSE(load_triggers("")->triggers.has_automatic());
  EXPECT_FALSE(load_triggers("on: {dispatch: }\n")->triggers.has_automatic());
}

TEST(Triggers, HaveSchedulesWithTheirDefaults) {
  const auto workflow = load_triggers("on: {schedule: 15 2 * * *}\n");
  ASSERT_EQ(workflow->triggers.schedules.size(), 1U);
  const ScheduleTrigger& schedule = workflow->triggers.schedules[0];
  EXPECT_EQ(schedule.text, "15 2 * * *");
  EXPECT_FALSE(schedule.zone);
  EXPECT_EQ(schedule.catch_up, Duration{0});
  EXPECT_EQ(schedule.overlap, Overlap::skip);
}

TEST(Triggers, HaveSeveralSchedules) {
  const auto workflow = load_triggers(
      "on:\n"
      "  schedule:\n"
      "    - '@daily'\n"
      "    - { cron: \"*/5 * * * * *\", timezone: Europe/Rome, catch_up: 6h,\n"
      "        overlap: cancel-running }\n");
  ASSERT_EQ(workflow->triggers.schedules.size(), 2U);
  const ScheduleTrigger& second = workflow->triggers.schedules[1];
  EXPECT_EQ(second.zone->name(), "Europe/Rome");
  EXPECT_EQ(second.catch_up, 6h);
  EXPECT_EQ(second.overlap, Overlap::cancel_running);
}

TEST(Triggers, SayWhereACronExpressionIsWrong) {
  EXPECT_EQ(trigger_problems("on:\n  schedule:\n    - cron: \"15 24 * * *\"\n"),
            "t.yaml:3:17: the hour: expected 0 to 23, got 24\n"
            "    - cron: \"15 24 * * *\"\n"
            "                ^~");
  EXPECT_EQ(trigger_problems("on: {schedule: 0 2 * * mno}\n"),
            "t.yaml:1:24: the day of the week: expected 0 to 7 or a name, got "
            "\"mno\"; did you mean \"mon\"?\n"
            "on: {schedule: 0 2 * * mno}\n"
            "                       ^~~");
}

TEST(Triggers, SayWhatElseOfAScheduleIsWrong) {
  EXPECT_EQ(trigger_problems("on: {schedule: {timezone: UTC}}\n"),
            "t.yaml:1:16: a schedule needs \"cron\"; cron: 15 2 * * *\n"
            "on: {schedule: {timezone: UTC}}\n"
            "               ^");
  EXPECT_EQ(trigger_problems("on: {schedule: {cron: '@daily', timezone: "
                             "Europe/Rmoe}}\n"),
            "t.yaml:1:43: no time zone \"Europe/Rmoe\"; did you mean "
            "\"Europe/Rome\"?\n"
            "on: {schedule: {cron: '@daily', timezone: Europe/Rmoe}}\n"
            "                                          ^~~~~~~~~~~");
  EXPECT_EQ(trigger_problems("on: [schedule]\n"),
            "t.yaml:1:6: \"schedule\" says nothing by its name alone; on: "
            "{schedule: 15 2 * * *}\n"
            "on: [schedule]\n"
            "     ^~~~~~~~");
}

TEST(Triggers, WatchFiles) {
  const auto workflow = load_triggers(
      "on: {watch: {paths: [in/**/*.csv], exclude: '*.tmp', settle: 10s}}\n");
  const WatchTrigger& watch = *workflow->triggers.watch;
  EXPECT_EQ(watch.paths, std::vector<std::string>{"in/**/*.csv"});
  EXPECT_EQ(watch.exclude, std::vector<std::string>{"*.tmp"});
  EXPECT_EQ(watch.debounce, 2s);
  EXPECT_EQ(watch.settle, 10s);
  EXPECT_EQ(trigger_problems("on: {watch: {exclude: x}}\n"),
            "t.yaml:1:6: \"watch\" needs \"paths\"; paths: [in/**/*.csv]\n"
            "on: {watch: {exclude: x}}\n"
            "     ^~~~~");
}

TEST(Triggers, TakeTheTokenOfAWebhookFromASecret) {
  const auto workflow = load_triggers(
      "on: {webhook: {token: \"${{ secrets.HOOK }}\"}}\n"
      "secrets: {HOOK: {from: env}}\n");
  EXPECT_EQ(workflow->triggers.webhook->secret, "HOOK");
  // No command gets it.
  EXPECT_FALSE(workflow->secrets[0].is_used);
  EXPECT_EQ(trigger_problems("on: {webhook: {token: abc}}\n"),
            "t.yaml:1:23: token: expected a secret; token: \"${{ secrets.HOOK "
            "}}\", and in \"secrets\" HOOK: {from: env}\n"
            "on: {webhook: {token: abc}}\n"
            "                      ^~~");
  EXPECT_EQ(trigger_problems("on: {webhook: {token: \"${{ secrets.HOKO }}\"}}\n"
                             "secrets: {HOOK: {from: env}}\n"),
            "t.yaml:1:23: unknown secret \"HOKO\"; did you mean \"HOOK\"?\n"
            "on: {webhook: {token: \"${{ secrets.HOKO }}\"}}\n"
            "                      ^~~~~~~~~~~~~~~~~~~~~");
}

TEST(Triggers, NeedAValueForEachRequiredInput) {
  EXPECT_EQ(trigger_problems("on:\n"
                             "  dispatch: {inputs: {day: {required: true}}}\n"
                             "  schedule: '@daily'\n"),
            "t.yaml:2:23: the input \"day\" is required, and a schedule does "
            "not give it; default: VALUE\n"
            "  dispatch: {inputs: {day: {required: true}}}\n"
            "                      ^~~");
  EXPECT_EQ(trigger_problems("on:\n"
                             "  dispatch: {inputs: {files: {required: true}}}\n"
                             "  watch: {paths: [in]}\n"),
            "");
}

}  // namespace
}  // namespace troupe::workflow
