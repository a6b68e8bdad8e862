#include "fake_command_runner.hpp"

#include <troupe/service/checker.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::service {
namespace {

using process::AttemptId;

/// Also remembers what it was given.
struct RecordingRunner : process::FakeCommandRunner {
  void start(AttemptId id, std::shared_ptr<const process::CommandSpec> command,
             std::shared_ptr<process::OutputSink> output,
             process::AttemptHandler handler) override {
    spec = command;
    sink = output;
    FakeCommandRunner::start(id, std::move(command), std::move(output),
                             std::move(handler));
  }
  std::shared_ptr<const process::CommandSpec> spec;
  std::shared_ptr<process::OutputSink> sink;
};

/// An exec check at a runner that runs nothing, step by step; the limit is so
/// far away that no time plays a part.
class ExecCheckTest : public ::testing::Test {
 protected:
  ExecCheckTest() {
    command.argv = {"pg_isready"};
    checker = make_checker(io, runner, [this] { return CommandId{++last_id}; });
  }
  ~ExecCheckTest() override {
    checker.reset();
    EXPECT_EQ(runner.remembered(), 0U) << "attempts outlived the checker";
  }

  CheckId start() {
    const CheckId id = checker->start(
        ExecCheck{"pg_isready",
                  std::make_shared<const process::CommandSpec>(command)},
        1h, [this](const Result<void>& answer) { answers.push_back(answer); });
    settle();
    return id;
  }

  void settle() {
    io.restart();
    io.poll();
  }

  void print(std::string_view text) const {
    EXPECT_EQ(runner.sink->write(process::Stream::out, text),
              process::SinkState::ready);
  }

  void end(process::AttemptEnd how) {
    runner.end(runner.started.back(), std::move(how));
    settle();
  }
  void exit(int code) { end(process::ExitReport{.exit_code = code}); }

  /// The only answer there is; what it says, "" for all is well.
  std::string answered(std::optional<Errc> code = Errc::unavailable) {
    EXPECT_EQ(answers.size(), 1U);
    if (answers.empty() || answers[0])
      return "";
    EXPECT_EQ(answers[0].error().code, code);
    return answers[0].error().what;
  }

  boost::asio::io_context io{1};
  RecordingRunner runner;
  std::uint64_t last_id = 70;
  process::CommandSpec command;
  std::unique_ptr<Checker> checker;
  std::vector<Result<void>> answers;
};

TEST_F(ExecCheckTest, RunsTheCommandUnderAnIdThatItIsGiven) {
  start();
  EXPECT_EQ(runner.started, (std::vector<AttemptId>{{.command = {71}}}));
  EXPECT_EQ(runner.spec->argv, command.argv);
  EXPECT_TRUE(answers.empty());
}

TEST_F(ExecCheckTest, LimitsTheCommandAndItsGrace) {
  command.grace = 2s;
  start();
  EXPECT_EQ(runner.spec->time_limit, 1h);
  EXPECT_EQ(runner.spec->grace, 1s);
}

TEST_F(ExecCheckTest, LeavesStricterLimitsAsTheyAre) {
  command.time_limit = 2s;
  command.grace = 100ms;
  start();
  EXPECT_EQ(runner.spec->time_limit, 2s);
  EXPECT_EQ(runner.spec->grace, 100ms);
}

TEST_F(ExecCheckTest, IsContentWithACommandThatExitsWithZero) {
  start();
  print("accepting connections\n");
  exit(0);
  EXPECT_EQ(answered(), "");
  EXPECT_EQ(runner.forgotten, runner.started);
}

TEST_F(ExecCheckTest, SaysTheExitCodeAndTheLastLine) {
  start();
  print("first\nsecond: no res");
  print("ponse \n\n");
  exit(2);
  EXPECT_EQ(answered(), "exited with 2: second: no response");
  EXPECT_EQ(runner.forgotten, runner.started);
}

TEST_F(ExecCheckTest, SaysTheExitCodeAloneIfNothingWasPrinted) {
  start();
  exit(1);
  EXPECT_EQ(answered(), "exited with 1");
}

TEST_F(ExecCheckTest, KeepsTheLastLineShortAndSafeToPrint) {
  start();
  print("\x1b[31m" + std::string(100'000, 'x') + "\x1b[0m");
  exit(1);
  EXPECT_EQ(answered(), "exited with 1: " + std::string(199, 'x') + "…");
}

TEST_F(ExecCheckTest, SaysWhichSignalKilledTheCommand) {
  start();
  end(process::ExitReport{.signal = SIGSEGV});
  EXPECT_EQ(answered(), "killed by SIGSEGV");
}

TEST_F(ExecCheckTest, SaysWhyTheCommandCouldNotBeStarted) {
  start();
  end(process::SpawnFailure{
      process::SpawnStage::exec,
      {Errc::not_found, "pg_isready: command not found"}});
  EXPECT_EQ(answered(Errc::not_found), "pg_isready: command not found");
}

TEST_F(ExecCheckTest, SaysThatTheWardenDied) {
  start();
  end(process::RunnerLost{});
  EXPECT_EQ(answered(), "the warden that ran it died");
}

TEST_F(ExecCheckTest, SaysThatTheCommandWasStoppedAtTheLimit) {
  start();
  end(process::ExitReport{.exit_code = 0, .timed_out = true});
  EXPECT_EQ(answered(Errc::timed_out), "no answer within 1h");
}

TEST_F(ExecCheckTest, KillsACommandThatIsGivenUpAndNeverAnswers) {
  const CheckId id = start();
  checker->cancel(id);
  settle();
  EXPECT_EQ(runner.killed, runner.started);
  EXPECT_TRUE(answers.empty());
}

TEST_F(ExecCheckTest, DoesNotAnswerForAnEndThatCameBeforeTheCancel) {
  const CheckId id = start();
  // The end is posted, but has not arrived when the cancel is asked for.
  checker->cancel(id);
  runner.exit(runner.started[0], 0);
  settle();
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(runner.forgotten, runner.started);
}

TEST_F(ExecCheckTest, StartsNothingIfTheCancelComesAtOnce) {
  const CheckId id = checker->start(
      ExecCheck{"true", std::make_shared<const process::CommandSpec>(command)},
      1h, [this](const Result<void>& answer) { answers.push_back(answer); });
  checker->cancel(id);
  settle();
  EXPECT_EQ(runner.killed, runner.started);
  EXPECT_TRUE(answers.empty());
}

TEST_F(ExecCheckTest, IgnoresACancelOfWhatIsUnknownOrFinished) {
  const CheckId id = start();
  checker->cancel(CheckId{id.value + 1});
  settle();
  exit(0);
  checker->cancel(id);
  settle();
  EXPECT_EQ(answered(), "");
  EXPECT_EQ(runner.forgotten, runner.started);
  EXPECT_TRUE(runner.killed.empty());
}

TEST_F(ExecCheckTest, CancelsAllThatRunsWhenItIsDestroyed) {
  start();
  start();
  checker.reset();
  settle();
  EXPECT_EQ(runner.killed, runner.started);
  EXPECT_TRUE(answers.empty());
}

TEST_F(ExecCheckTest, MayBeDestroyedByAnAnswer) {
  checker->start(
      ExecCheck{"true", std::make_shared<const process::CommandSpec>(command)},
      1h, [this](const Result<void>& answer) {
        answers.push_back(answer);
        checker.reset();
      });
  settle();
  start();
  runner.exit(runner.started[0], 0);
  settle();
  EXPECT_EQ(answered(), "");
  EXPECT_EQ(runner.killed, (std::vector<AttemptId>{runner.started[1]}));
}

using CheckerDeathTest = ExecCheckTest;

TEST_F(CheckerDeathTest, RefusesToAskWhatServicesTellByThemselves) {
  const auto ask = [this](const Check& check) {
    checker->start(check, 1s, [](const Result<void>&) {});
  };
  EXPECT_DEATH(ask(LogCheck{"ready"}), "LogCheck");
  EXPECT_DEATH(ask(NotifyCheck{}), "NotifyCheck");
}

}  // namespace
}  // namespace troupe::service
