#include <troupe/actors/command_core.hpp>

#include <gtest/gtest.h>

namespace troupe::actors {
namespace {

using process::ExitReport;
using process::RunnerLost;
using process::SpawnFailure;
using process::SpawnStage;

constexpr WallTime noon{};

std::shared_ptr<const CommandRequest> request(std::uint32_t attempts,
                                              SuccessCriteria success = {}) {
  CommandRequest made;
  made.spec.argv = {"x"};
  made.spec.time_limit = 5s;
  made.retry = {.attempts = attempts,
                .delay = 1s,
                .backoff = 2,
                .max_delay = 3s,
                .jitter = 0};
  made.success = std::move(success);
  return std::make_shared<const CommandRequest>(made);
}

AttemptSeen exited(int code) {
  ExitReport report;
  report.exit_code = code;
  return {.end = report, .ended = noon};
}

AttemptSeen ended(process::AttemptEnd end) {
  return {.end = std::move(end), .ended = noon};
}

/// The one action of this kind; fails the test if it is not there.
template <class A>
A only(const CommandCore::Actions& actions) {
  std::optional<A> found;
  for (const auto& action : actions) {
    if (const auto* a = std::get_if<A>(&action))
      found = *a;
  }
  EXPECT_TRUE(found.has_value());
  return found.value();
}

template <class A>
bool has(const CommandCore::Actions& actions) {
  for (const auto& action : actions) {
    if (std::holds_alternative<A>(action))
      return true;
  }
  return false;
}

Outcome outcome_of(std::shared_ptr<const CommandRequest> asked,
                   AttemptSeen seen) {
  CommandCore core{std::move(asked), {}, 1};
  (void)core.on_start(noon);
  return only<CommandCore::Finish>(core.on_attempt_ended(std::move(seen)))
      .outcome;
}

TEST(CommandCore, SucceedsOnAnExpectedExitCode) {
  const Outcome zero = outcome_of(request(1), exited(0));
  EXPECT_EQ(zero.kind, OutcomeKind::success);
  EXPECT_EQ(zero.exit_status, 0);
  const Outcome three =
      outcome_of(request(1, {.exit_codes = {0, 3}}), exited(3));
  EXPECT_EQ(three.kind, OutcomeKind::success);
  EXPECT_EQ(three.exit_status, 3);
}

TEST(CommandCore, RetriesAfterAGrowingDelayUpToItsMaximum) {
  CommandCore core{request(4), {}, 1};
  EXPECT_EQ(only<CommandCore::StartAttempt>(core.on_start(noon)).number, 1U);
  for (const Duration expected : {Duration{1s}, Duration{2s}, Duration{3s}}) {
    const auto wait = only<CommandCore::Wait>(core.on_attempt_ended(exited(1)));
    EXPECT_EQ(wait.delay, expected);
    (void)core.on_wait_over(wait.token, noon);
  }
  const auto outcome =
      only<CommandCore::Finish>(core.on_attempt_ended(exited(1))).outcome;
  EXPECT_EQ(outcome.kind, OutcomeKind::failed);
  EXPECT_EQ(outcome.attempts.size(), 4U);
  EXPECT_EQ(describe(outcome.causes),
            "exited with 1, gave up after 4 attempts");
}

TEST(CommandCore, KeepsJitterWithinItsShare) {
  auto jittery = *request(2);
  jittery.retry.jitter = 0.25;
  const auto shared = std::make_shared<const CommandRequest>(jittery);
  bool varied = false;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CommandCore core{shared, {}, seed};
    (void)core.on_start(noon);
    const auto delay =
        only<CommandCore::Wait>(core.on_attempt_ended(exited(1))).delay;
    EXPECT_GE(delay, 750ms);
    EXPECT_LE(delay, 1250ms);
    varied = varied || delay != 1s;
  }
  EXPECT_TRUE(varied);
}

TEST(CommandCore, IgnoresAWaitThatIsOutOfDate) {
  CommandCore core{request(2), {}, 1};
  (void)core.on_start(noon);
  const auto wait = only<CommandCore::Wait>(core.on_attempt_ended(exited(1)));
  EXPECT_TRUE(core.on_wait_over(wait.token + 1, noon).empty());
  EXPECT_FALSE(core.on_wait_over(wait.token, noon).empty());
  EXPECT_TRUE(core.on_wait_over(wait.token, noon).empty());
}

TEST(CommandCore, TellsTimeOutsSignalsAndLossesApart) {
  ExitReport timed_out;
  timed_out.timed_out = true;
  timed_out.killed = true;
  timed_out.signal = SIGKILL;
  const Outcome late = outcome_of(request(1), ended(timed_out));
  EXPECT_EQ(late.kind, OutcomeKind::timed_out);
  EXPECT_EQ(late.exit_status, 124);
  EXPECT_EQ(describe(late.causes), "timed out after 5s and had to be killed");

  ExitReport segv;
  segv.signal = SIGSEGV;
  segv.core_dumped = true;
  const Outcome crashed = outcome_of(request(1), ended(segv));
  EXPECT_EQ(crashed.kind, OutcomeKind::failed);
  EXPECT_EQ(crashed.exit_status, 139);
  EXPECT_EQ(describe(crashed.causes), "killed by SIGSEGV (core dumped)");

  const Outcome lost = outcome_of(request(1), ended(RunnerLost{}));
  EXPECT_EQ(lost.kind, OutcomeKind::lost);
  EXPECT_EQ(lost.exit_status, 125);
}

TEST(CommandCore, DoesNotRetryAProgramThatIsNotThere) {
  const SpawnFailure missing{SpawnStage::exec, {Errc::not_found, "x: gone"}};
  const Outcome outcome = outcome_of(request(5), ended(missing));
  EXPECT_EQ(outcome.exit_status, 127);
  EXPECT_EQ(outcome.attempts.size(), 1U);
  EXPECT_EQ(describe(outcome.causes), "x: gone");
}

TEST(CommandCore, MapsFailuresToStartToTheStatusOfAShell) {
  const auto status = [](SpawnStage stage, Errc code) {
    return outcome_of(request(1), ended(SpawnFailure{stage, {code, ""}}))
        .exit_status;
  };
  EXPECT_EQ(status(SpawnStage::exec, Errc::permission_denied), 126);
  EXPECT_EQ(status(SpawnStage::working_directory, Errc::not_found), 125);
}

TEST(CommandCore, RetriesWhenTheHostWasOutOfProcesses) {
  CommandCore core{request(2), {}, 1};
  (void)core.on_start(noon);
  EXPECT_TRUE(has<CommandCore::Wait>(core.on_attempt_ended(
      ended(SpawnFailure{SpawnStage::resources, {Errc::overloaded, ""}}))));
}

TEST(CommandCore, JudgesTheOutput) {
  const SuccessCriteria wants{.output_contains = {"ok"},
                              .output_not_contains = {"warn"}};
  AttemptSeen both = exited(0);
  both.texts_found = {true, false};
  EXPECT_EQ(outcome_of(request(1, wants), both).kind, OutcomeKind::success);
  AttemptSeen missing = exited(0);
  missing.texts_found = {false, false};
  const Outcome lacks = outcome_of(request(1, wants), missing);
  EXPECT_EQ(describe(lacks.causes), "its output does not contain \"ok\"");
  EXPECT_EQ(lacks.exit_status, 1);
  AttemptSeen warned = exited(0);
  warned.texts_found = {true, true};
  EXPECT_EQ(describe(outcome_of(request(1, wants), warned).causes),
            "its output contains \"warn\"");
}

TEST(CommandCore, FailsWhatIsSlowerThanItsMaximum) {
  ExitReport slow;
  slow.wall = 2s;
  const Outcome outcome =
      outcome_of(request(1, {.max_duration = 1s}), ended(slow));
  EXPECT_EQ(outcome.kind, OutcomeKind::failed);
  EXPECT_EQ(describe(outcome.causes), "took 2s, more than 1s");
}

TEST(CommandCore, ACancelledAttemptIsNotRetried) {
  CommandCore core{request(5), {}, 1};
  (void)core.on_start(noon);
  const auto stop = only<CommandCore::StopAttempt>(
      core.on_cancel(process::StopRequest{SIGINT, 1s}));
  EXPECT_EQ(stop.request.signal, SIGINT);
  ExitReport stopped;
  stopped.stopped = true;
  stopped.signal = SIGINT;
  const auto outcome =
      only<CommandCore::Finish>(core.on_attempt_ended(ended(stopped))).outcome;
  EXPECT_EQ(outcome.kind, OutcomeKind::cancelled);
  EXPECT_EQ(outcome.exit_status, 130);
  EXPECT_EQ(describe(outcome.causes), "killed by SIGINT, was cancelled");
}

TEST(CommandCore, CancellingTheWaitEndsTheCommandAtOnce) {
  CommandCore core{request(5), {}, 1};
  (void)core.on_start(noon);
  const auto wait = only<CommandCore::Wait>(core.on_attempt_ended(exited(1)));
  const auto outcome =
      only<CommandCore::Finish>(core.on_cancel(std::nullopt)).outcome;
  EXPECT_EQ(outcome.kind, OutcomeKind::cancelled);
  EXPECT_TRUE(core.on_wait_over(wait.token, noon).empty());
  EXPECT_TRUE(core.on_cancel(std::nullopt).empty());
}

TEST(CommandCore, ASuccessThatOvertookTheCancellationStaysASuccess) {
  CommandCore core{request(1), {}, 1};
  (void)core.on_start(noon);
  (void)core.on_cancel(std::nullopt);
  EXPECT_EQ(
      only<CommandCore::Finish>(core.on_attempt_ended(exited(0))).outcome.kind,
      OutcomeKind::success);
}

TEST(CommandCore, TakesOverWhereTheHistoryEnds) {
  CommandHistory history;
  history.attempts.push_back(judge(*request(3), 1, noon, exited(1), false));
  CommandCore second{request(3), history, 1};
  EXPECT_EQ(only<CommandCore::StartAttempt>(second.on_start(noon)).number, 2U);

  CommandCore exhausted{request(1), history, 1};
  EXPECT_EQ(only<CommandCore::Finish>(exhausted.on_start(noon)).outcome.kind,
            OutcomeKind::failed);

  CommandHistory cancelled;
  cancelled.cancelled = true;
  CommandCore never{request(1), cancelled, 1};
  EXPECT_EQ(only<CommandCore::Finish>(never.on_start(noon)).outcome.kind,
            OutcomeKind::cancelled);
}

TEST(CommandCore, TakesOverWhatIsLeftOfTheBackOff) {
  CommandHistory history;
  history.attempts.push_back(judge(*request(3), 1, noon, exited(1), false));
  history.attempts.back().ended = noon;
  history.back_off = 10s;
  CommandCore early{request(3), history, 1};
  const auto wait = only<CommandCore::Wait>(early.on_start(noon + 4s));
  EXPECT_EQ(wait.delay, 6s);
  EXPECT_EQ(only<CommandCore::StartAttempt>(
                early.on_wait_over(wait.token, noon + 10s))
                .number,
            2U);

  CommandCore late{request(3), history, 1};
  EXPECT_EQ(only<CommandCore::StartAttempt>(late.on_start(noon + 10s)).number,
            2U);

  CommandCore after_a_clock_went_back{request(3), history, 1};
  EXPECT_EQ(only<CommandCore::Wait>(after_a_clock_went_back.on_start(noon - 1h))
                .delay,
            10s);
}

TEST(CommandCore, RemarksOnWhatWasLeftBehind) {
  ExitReport report;
  report.leftovers = 2;
  report.output_held = true;
  EXPECT_EQ(outcome_of(request(1), ended(report)).attempts[0].notes,
            std::vector<std::string>{"killed 2 processes that it left behind "
                                     "and that held its output open"});
}

TEST(CommandCore, DoesNotRemarkOnTheProcessesOfACommandThatHadToBeKilled) {
  ExitReport report;
  report.timed_out = true;
  report.killed = true;
  report.leftovers = 2;
  EXPECT_TRUE(outcome_of(request(1), ended(report)).attempts[0].notes.empty());
}

CommandRequest with_rules(std::string_view only_if, std::string_view unless) {
  CommandRequest made = *request(5);
  if (!only_if.empty())
    made.retry.only_if = {parse_cause_rule(only_if).value()};
  if (!unless.empty())
    made.retry.unless = {parse_cause_rule(unless).value()};
  return made;
}

/// Whether another attempt follows one that ended so.
bool tries_again(const CommandRequest& asked, AttemptSeen seen) {
  CommandCore core{std::make_shared<const CommandRequest>(asked), {}, 1};
  (void)core.on_start(noon);
  return has<CommandCore::Wait>(core.on_attempt_ended(std::move(seen)));
}

TEST(CommandCore, AsksItsRulesWhetherToTryAgain) {
  EXPECT_TRUE(tries_again(with_rules("exit:75", ""), exited(75)));
  EXPECT_FALSE(tries_again(with_rules("exit:75", ""), exited(1)));
  EXPECT_FALSE(tries_again(with_rules("", "exit:2"), exited(2)));
  EXPECT_TRUE(tries_again(with_rules("", "exit:2"), exited(1)));
  EXPECT_FALSE(tries_again(with_rules("exit:1-3", "exit:2"), exited(2)));
  EXPECT_TRUE(tries_again(with_rules("node-lost", ""), ended(RunnerLost{})));
  EXPECT_FALSE(tries_again(with_rules("exit", ""), exited(0)));
}

TEST(CommandCore, TriesAProgramAgainThatIsNotThereIfItsRulesSaySo) {
  const SpawnFailure gone{SpawnStage::exec, {Errc::not_found, "x: gone"}};
  EXPECT_FALSE(tries_again(with_rules("", ""), ended(gone)));
  EXPECT_TRUE(tries_again(with_rules("spawn", ""), ended(gone)));
}

TEST(CommandCore, StartsNoAttemptLaterThanMaxElapsed) {
  CommandRequest asked = *request(5);
  asked.retry.max_elapsed = 4s;
  CommandCore core{std::make_shared<const CommandRequest>(asked), {}, 1};
  (void)core.on_start(noon);
  AttemptSeen first = exited(1);
  first.ended = noon + 1s;
  const auto wait = only<CommandCore::Wait>(core.on_attempt_ended(first));
  (void)core.on_wait_over(wait.token, noon + 2s);
  AttemptSeen second = exited(1);
  second.ended = noon + 3s;
  const auto actions = core.on_attempt_ended(second);
  EXPECT_FALSE(has<CommandCore::Wait>(actions));
  EXPECT_EQ(
      describe(only<CommandCore::Finish>(actions).outcome.causes),
      "exited with 1, gave up after 2 attempts, since another would start "
      "later than 4s after the first");
}

TEST(CommandCore, TellsSilenceFromTheTimeLimit) {
  CommandRequest asked = *request(1);
  asked.spec.silence_limit = 90s;
  ExitReport report;
  report.timed_out = true;
  report.silent = true;
  const Outcome outcome =
      outcome_of(std::make_shared<const CommandRequest>(asked), ended(report));
  EXPECT_EQ(outcome.kind, OutcomeKind::timed_out);
  EXPECT_EQ(outcome.exit_status, 124);
  EXPECT_EQ(
      outcome.causes,
      (std::vector<Cause>{{CauseKind::silence, 0, "no output for 1m30s"}}));
}

}  // namespace
}  // namespace troupe::actors
