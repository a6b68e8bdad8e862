#include "lone_command.hpp"

#include "fake_command_runner.hpp"

#include <csignal>
#include <gmock/gmock.h>
#include <optional>

namespace troupe::cli {
namespace {

using actors::OutcomeKind;
using process::AttemptId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

AttemptId attempt(std::uint32_t number) { return {CommandId{1}, number}; }

class LoneCommandTest : public ::testing::Test {
 protected:
  LoneCommandTest() {
    request->retry.delay = Duration{1};
    request->retry.jitter = 0;
  }

  void start(std::uint32_t attempts) {
    request->retry.attempts = attempts;
    command.emplace(LoneCommand::Deps{
        .io = io,
        .runner = runner,
        .request = request,
        .sink = nullptr,
        .on_attempt_ended =
            [this](const actors::Attempt& ended) {
              seen.push_back(ended.number);
            },
        .on_finished =
            [this](actors::Outcome how) { outcome = std::move(how); }});
    command->start();
    work();
  }

  void work() {
    io.restart();
    io.poll();
  }

  void exit(std::uint32_t number, int code) {
    runner.exit(attempt(number), code);
    work();
  }

  boost::asio::io_context io;
  process::FakeCommandRunner runner;
  std::shared_ptr<actors::CommandRequest> request =
      std::make_shared<actors::CommandRequest>();
  std::optional<LoneCommand> command;
  std::vector<std::uint32_t> seen;
  std::optional<actors::Outcome> outcome;
};

TEST_F(LoneCommandTest, EndsAsItsAttemptHasEnded) {
  start(1);
  EXPECT_EQ(outcome, std::nullopt);
  exit(1, 3);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, OutcomeKind::failed);
  EXPECT_EQ(outcome->exit_status, 3);
  EXPECT_THAT(runner.forgotten, ElementsAre(attempt(1)));
}

TEST_F(LoneCommandTest, TriesAgainAfterTheWait) {
  start(2);
  exit(1, 1);
  io.restart();
  io.run_one();  // The wait, of a nanosecond.
  EXPECT_THAT(runner.started, ElementsAre(attempt(1), attempt(2)));
  exit(2, 0);
  EXPECT_THAT(seen, ElementsAre(1, 2));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, OutcomeKind::success);
}

TEST_F(LoneCommandTest, ACancelledOneIsToldASignalAndNotTriedAgain) {
  start(5);
  command->cancel();
  command->tell(SIGTERM);
  EXPECT_THAT(runner.stopped, IsEmpty());
  EXPECT_THAT(runner.signalled,
              ElementsAre(std::pair{attempt(1), int{SIGTERM}}));
  exit(1, 7);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, OutcomeKind::cancelled);
  EXPECT_THAT(runner.started, ElementsAre(attempt(1)));
}

TEST_F(LoneCommandTest, ThatIsCancelledWhileItWaitsHasEnded) {
  request->retry.delay = std::chrono::hours{1};
  request->retry.max_delay = std::chrono::hours{1};
  start(2);
  exit(1, 1);
  EXPECT_EQ(outcome, std::nullopt);
  command->cancel();
  work();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, OutcomeKind::cancelled);
  io.restart();
  EXPECT_EQ(io.run(), 0U) << "no timer is left";
}

}  // namespace
}  // namespace troupe::cli
