#include "running_engine.hpp"
#include "temp_dir.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::node {
namespace {

using actors::OutcomeKind;
using testing::wait_until;

constexpr Duration engine_deadline = 60s;

/// Commands that leave a line in a file of their own and then wait until the
/// test lets them go.
class Crowd {
 public:
  Crowd() {
    EXPECT_EQ(::mkfifo(gate().c_str(), 0600), 0);
    gate_ = ::open(gate().c_str(), O_RDWR | O_CLOEXEC);
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() { ::close(gate_); }

  void submit(RunningEngine& running, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      const auto id = running.submit(
          shell(fmt::format("echo x >> {}; read line < {}",
                            dir_.path(std::to_string(i)), gate())));
      ASSERT_TRUE(id.has_value());
    }
    size_ = size;
    ASSERT_TRUE(
        wait_until([&] { return running.tally->commands_started() == size; },
                   engine_deadline));
  }

  /// Each takes one line of the pipe.
  void let_go() const {
    const std::string lines(size_, '\n');
    EXPECT_EQ(::write(gate_, lines.data(), lines.size()),
              static_cast<ssize_t>(lines.size()));
  }

  void expect_each_ran_once() const {
    for (std::size_t i = 0; i < size_; ++i)
      EXPECT_EQ(dir_.read(std::to_string(i)), "x\n");
  }

 private:
  [[nodiscard]] std::string gate() const { return dir_.path("gate"); }

  testing::TempDir dir_;
  int gate_ = -1;
  std::size_t size_ = 0;
};

void expect_one_outcome_each(const Tally& tally, std::size_t commands,
                             OutcomeKind kind) {
  const auto all = tally.outcomes();
  EXPECT_EQ(all.size(), commands);
  for (const auto& [id, outcomes] : all) {
    EXPECT_EQ(outcomes.size(), 1U) << "command " << id.value;
    EXPECT_EQ(outcomes.front()->kind, kind)
        << "command " << id.value << ": " << describe(outcomes.front()->causes);
  }
}

bool all_finished(const RunningEngine& running, std::size_t commands) {
  return wait_until(
      [&] { return running.tally->commands_finished() >= commands; },
      engine_deadline);
}

TEST(Engine, RunsAThousandCommands) {
  constexpr std::size_t commands = 1000;
  RunningEngine running;
  for (std::size_t i = 0; i < commands; ++i) {
    actors::CommandRequest request;
    request.spec.argv = {"true"};
    ASSERT_TRUE(running.submit(request).has_value());
  }
  EXPECT_TRUE(all_finished(running, commands));
  EXPECT_TRUE(running.shutdown());
  expect_one_outcome_each(*running.tally, commands, OutcomeKind::success);
}

TEST(Engine, RefusesMoreThanItMayHoldAndTakesMoreWhenOneHasEnded) {
  RunningEngine running{{.max_commands = 1}};
  Crowd crowd;
  crowd.submit(running, 1);
  const auto refused = running.submit(shell("true"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(),
            (Error{Errc::overloaded, "too many commands at once"}));
  crowd.let_go();
  EXPECT_TRUE(
      wait_until([&] { return running.submit(shell("true")).has_value(); },
                 engine_deadline));
  EXPECT_TRUE(all_finished(running, 2));
}

TEST(Engine, CommandsOutliveTheirActors) {
  constexpr std::size_t commands = 200;
  RunningEngine running;
  Crowd crowd;
  crowd.submit(running, commands);
  for (std::uint64_t id = 1; id <= commands; ++id)
    actors::send(running.engine->commands(), actors::CrashCommand{{id}});
  crowd.let_go();
  ASSERT_TRUE(all_finished(running, commands));
  EXPECT_TRUE(running.shutdown());
  expect_one_outcome_each(*running.tally, commands, OutcomeKind::success);
  crowd.expect_each_ran_once();
}

TEST(Engine, CrashOfAnActorIsAnIncidentOfTheOutcome) {
  RunningEngine running{{.crashes = 2}};
  ASSERT_TRUE(running.submit(shell("exit 3")).has_value());
  ASSERT_TRUE(all_finished(running, 1));
  const auto outcome = running.tally->outcomes().begin()->second.front();
  EXPECT_EQ(outcome->exit_status, 3);
  EXPECT_EQ(outcome->incidents.size(), 2U);
}

class EngineKillTest : public ::testing::TestWithParam<const char*> {};

TEST_P(EngineKillTest, RunningCommandsAreAdopted) {
  constexpr std::size_t commands = 200;
  RunningEngine running;
  Crowd crowd;
  crowd.submit(running, commands);
  actors::kill(running.child(GetParam()));
  crowd.let_go();
  ASSERT_TRUE(all_finished(running, commands));
  EXPECT_TRUE(running.shutdown());
  expect_one_outcome_each(*running.tally, commands, OutcomeKind::success);
  crowd.expect_each_ran_once();
}

TEST_P(EngineKillTest, SubmissionsGoOn) {
  constexpr std::size_t commands = 200;
  RunningEngine running;
  for (std::size_t i = 0; i < commands; ++i) {
    if (i % 50 == 25)
      actors::kill(running.child(GetParam()));
    ASSERT_TRUE(running.submit(shell("exit 0")).has_value());
  }
  ASSERT_TRUE(all_finished(running, commands));
  EXPECT_TRUE(running.shutdown());
  expect_one_outcome_each(*running.tally, commands, OutcomeKind::success);
}

INSTANTIATE_TEST_SUITE_P(Children, EngineKillTest,
                         ::testing::Values("store", "commands", "pool"),
                         [](const auto& param) {
                           return std::string{param.param};
                         });

TEST(Engine, AnswersForEveryCommandWhenItGivesUp) {
  constexpr std::size_t commands = 20;
  RunningEngine running;
  Crowd crowd;
  crowd.submit(running, commands);
  actors::ActorRef store;
  for (int death = 0; death < 6; ++death) {
    actors::ActorRef next;
    ASSERT_TRUE(wait_until(
        [&] {
          next = running.child("store");
          return next && next != store;
        },
        engine_deadline));
    store = next;
    actors::kill(store);
  }
  ASSERT_TRUE(all_finished(running, commands));
  const auto late = running.submit(shell("true"));
  ASSERT_TRUE(late.has_value());
  ASSERT_TRUE(all_finished(running, commands + 1));
  EXPECT_TRUE(running.shutdown());
  expect_one_outcome_each(*running.tally, commands + 1, OutcomeKind::crashed);
}

TEST(Engine, ReportsAWardenThatIsNotThere) {
  ::setenv("TROUPE_WARDEN", "/no/such/warden", 1);
  sigset_t mask;
  sigemptyset(&mask);
  const auto engine = Engine::start({.signal_mask = mask});
  ::unsetenv("TROUPE_WARDEN");
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error(),
            (Error{Errc::not_found,
                   "cannot start /no/such/warden: no such file or directory"}));
}

}  // namespace
}  // namespace troupe::node
