#include <troupe/actors/cause_rule.hpp>

#include <csignal>
#include <gtest/gtest.h>
#include <string>

namespace troupe::actors {
namespace {

std::string again(std::string_view text) {
  const auto rule = parse_cause_rule(text);
  return rule ? to_text(*rule) : rule.error().what;
}

bool is_about(std::string_view text, CauseKind kind, int number) {
  const std::vector<CauseRule> rules{parse_cause_rule(text).value()};
  return covers(rules, {{kind, number, "x"}});
}

TEST(CauseRule, ReadsWhatPeopleWrite) {
  for (const std::string text :
       {"exit", "exit:75", "exit:1-3", "signal", "signal:SIGKILL", "timeout",
        "silence", "node-lost", "spawn", "spawn:127", "output", "duration",
        "memory", "crash"})
    EXPECT_EQ(again(text), text);
  EXPECT_EQ(again("signal:kill"), "signal:SIGKILL");
  EXPECT_EQ(again("signal:9"), "signal:SIGKILL");
}

TEST(CauseRule, RefusesTheRestAndSaysWhatThereIs) {
  EXPECT_EQ(again("exit:3-1"),
            "expected a cause such as exit:75, exit:1-3, signal:SIGKILL, "
            "timeout, silence, node-lost, spawn, output, duration, memory or "
            "crash, got \"exit:3-1\"");
  for (const std::string text : {"", "75", "exit:", "exit:256", "exit:-1",
                                 "exit:1-", "signal:NONE", "timeout:3", "Exit"})
    EXPECT_TRUE(again(text).starts_with("expected a cause")) << text;
}

TEST(CauseRule, CoversItsRangeAndNothingElse) {
  EXPECT_TRUE(is_about("exit:1-3", CauseKind::exit_code, 1));
  EXPECT_TRUE(is_about("exit:1-3", CauseKind::exit_code, 3));
  EXPECT_FALSE(is_about("exit:1-3", CauseKind::exit_code, 4));
  EXPECT_FALSE(is_about("exit:1-3", CauseKind::exit_code, 0));
  EXPECT_FALSE(is_about("exit:1-3", CauseKind::signal, 2));
  EXPECT_TRUE(is_about("exit", CauseKind::exit_code, 255));
  EXPECT_TRUE(is_about("signal:KILL", CauseKind::signal, SIGKILL));
  EXPECT_FALSE(is_about("signal:KILL", CauseKind::signal, SIGTERM));
  EXPECT_TRUE(is_about("node-lost", CauseKind::warden_lost, 0));
}

TEST(CauseRule, CoversWithAnyRuleAnyCause) {
  const std::vector<CauseRule> rules{parse_cause_rule("exit:3").value(),
                                     parse_cause_rule("timeout").value()};
  EXPECT_TRUE(covers(
      rules, {{CauseKind::signal, 15, "x"}, {CauseKind::timeout, 0, "x"}}));
  EXPECT_FALSE(covers(rules, {}));
  EXPECT_FALSE(covers({}, {{CauseKind::timeout, 0, "x"}}));
}

}  // namespace
}  // namespace troupe::actors
