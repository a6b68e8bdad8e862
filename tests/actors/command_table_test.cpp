#include <troupe/actors/command_table.hpp>

#include <gtest/gtest.h>

namespace troupe::actors {
namespace {

constexpr CommandId one{1};

CommandTable table_with_one() {
  CommandTable table;
  table.open(one, std::make_shared<const CommandRequest>());
  return table;
}

TEST(CommandTable, KnowsACommandOnceAndForgetsItWhenItEnds) {
  CommandTable table = table_with_one();
  EXPECT_FALSE(table.open(one, nullptr));
  EXPECT_EQ(table.open_commands(), std::vector<CommandId>{one});
  EXPECT_TRUE(table.finish(one, {}).has_value());
  EXPECT_FALSE(table.finish(one, {}).has_value());
  EXPECT_FALSE(table.history(one).has_value());
}

TEST(CommandTable, AddsTheCrashesOfItsActorsToTheOutcome) {
  CommandTable table = table_with_one();
  EXPECT_FALSE(table.on_crash(one, "crashed: bad luck").has_value());
  const Outcome outcome = table.finish(one, {}).value();
  EXPECT_EQ(describe(outcome.incidents),
            "its actor died (crashed: bad luck) and was restarted");
}

TEST(CommandTable, GivesACommandUpThatKeepsKillingItsActors) {
  CommandTable table = table_with_one();
  EXPECT_FALSE(table.on_crash(one, "a").has_value());
  EXPECT_FALSE(table.on_crash(one, "b").has_value());
  const Outcome outcome = table.on_crash(one, "c").value();
  EXPECT_EQ(outcome.kind, OutcomeKind::crashed);
  EXPECT_EQ(outcome.exit_status, 125);
  EXPECT_EQ(outcome.incidents.size(), most_crashes);
  EXPECT_EQ(describe(outcome.causes),
            "its actor died (c), gave up after 3 crashes");
  EXPECT_TRUE(table.open_commands().empty());
}

TEST(CommandTable, CarriesHistoryFromActorToActor) {
  CommandTable table = table_with_one();
  Attempt first;
  first.number = 1;
  table.record(one, first, 3s);
  table.cancel(one);
  const CommandHistory history = table.history(one).value();
  EXPECT_EQ(history.attempts.size(), 1U);
  EXPECT_EQ(history.back_off, 3s);
  EXPECT_TRUE(history.cancelled);
}

}  // namespace
}  // namespace troupe::actors
