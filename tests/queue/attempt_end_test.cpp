#include <troupe/queue/attempt_end.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::queue {
namespace {

using process::ExitReport;
using process::RunnerLost;
using store::Outcome;
using ::testing::HasSubstr;

class AttemptEnd : public ::testing::Test {
 protected:
  AttemptEnd() {
    spec.words = {"x"};
    spec.request.retry.attempts = 3;
    spec.request.retry.jitter = 0;
  }
  JudgedEnd end_with(const process::AttemptEnd& end) {
    return judge({.spec = spec,
                  .claim = claim,
                  .delivery = delivery,
                  .is_cancelled = is_cancelled,
                  .started = now,
                  .ended = now,
                  .node = node,
                  .home = home,
                  .from = from,
                  .read = {.tail = tail, .handed_on = handed_on}},
                 end, random);
  }

  JobSpec spec;
  store::Claim claim{.attempt = {{store::JobId{1}, 0}, 1}};
  store::Delivery delivery = store::Delivery::at_least_once;
  bool is_cancelled = false;
  std::string node;
  std::string home;
  std::optional<FromAbroad> from;
  OutputTail tail;
  std::optional<std::string> handed_on;
  WallTime now{std::chrono::hours{1000}};
  Random random{1};
};

TEST_F(AttemptEnd, WhatCameFromAbroadSaysHow) {
  node = "n5";
  EXPECT_EQ(from_abroad_in(end_with(ExitReport{}).completion.detail),
            std::nullopt);
  for (const Found found :
       {Found::submitted, Found::hinted, Found::offered, Found::abroad}) {
    from = FromAbroad{812, found, "n3"};
    EXPECT_EQ(from_abroad_in(end_with(ExitReport{}).completion.detail), from);
  }
  for (const char* const other :
       {R"({"from":7})", R"({"from":{}})",
        R"({"from":{"shard":1,"found":"later","owner":"n3"}})", "", "x"})
    EXPECT_EQ(from_abroad_in(other), std::nullopt) << other;
}

TEST_F(AttemptEnd, ASuccessIsRecordedWithWhatItTook) {
  const auto end = end_with(ExitReport{.wall = 5ms, .stdout_bytes = 3});
  EXPECT_EQ(end.completion.outcome, Outcome::success);
  EXPECT_EQ(end.completion.retry_at, std::nullopt);
  EXPECT_EQ(end.completion.detail,
            R"({"wall_ms":5,"user_ms":0,"system_ms":0,"max_rss_bytes":0,)"
            R"("output_bytes":3})");
  EXPECT_EQ(end.for_group, DispatchCore::End::success);
}

TEST_F(AttemptEnd, ACauseDecidesWhetherAFailureIsTriedAgain) {
  spec.request.retry.only_if = {*actors::parse_cause_rule("exit:75")};
  EXPECT_NE(end_with(ExitReport{.exit_code = 75}).completion.retry_at,
            std::nullopt);
  const auto other = end_with(ExitReport{.exit_code = 1});
  EXPECT_EQ(other.completion.retry_at, std::nullopt);
  EXPECT_THAT(other.completion.detail,
              HasSubstr(R"("causes":[{"kind":"exit_code","number":1)"));
  const auto json = Json::parse(other.completion.detail);
  EXPECT_TRUE(json.contains("cause"));
  EXPECT_TRUE(json.contains("wall_ms"));
}

TEST_F(AttemptEnd, AFailureIsTriedAgainAfterAPauseThatGrows) {
  EXPECT_EQ(end_with(ExitReport{.exit_code = 1}).completion.retry_at, now + 1s);
  claim.failures = 1;
  EXPECT_EQ(end_with(ExitReport{.exit_code = 1}).completion.retry_at, now + 2s);
  claim.failures = 2;
  const auto last = end_with(ExitReport{.exit_code = 1});
  EXPECT_EQ(last.completion.retry_at, std::nullopt);
  EXPECT_EQ(last.completion.outcome, Outcome::failed);
  EXPECT_EQ(last.completion.exit_status, 1);
}

TEST_F(AttemptEnd, NothingIsTriedAgainTooLateAfterTheFirstStart) {
  spec.request.retry.max_elapsed = 10s;
  EXPECT_EQ(end_with(ExitReport{.exit_code = 1}).completion.retry_at, now + 1s);
  claim.first_started = now - 9s;
  EXPECT_EQ(end_with(ExitReport{.exit_code = 1}).completion.retry_at, now + 1s);
  claim.first_started = now - 10s;
  EXPECT_EQ(end_with(ExitReport{.exit_code = 1}).completion.retry_at,
            std::nullopt);
}

TEST_F(AttemptEnd, WhatWasLostComesBackAtOnceButNotForEver) {
  EXPECT_EQ(end_with(RunnerLost{}).completion.retry_at, now);
  claim.losses = most_losses - 1;
  EXPECT_EQ(end_with(RunnerLost{}).completion.retry_at, std::nullopt);
  EXPECT_EQ(end_with(RunnerLost{}).completion.outcome, Outcome::lost);
}

TEST_F(AttemptEnd, WhatRunsAtMostOnceIsNeverTriedAgain) {
  delivery = store::Delivery::at_most_once;
  EXPECT_EQ(end_with(RunnerLost{}).completion.retry_at, std::nullopt);
  EXPECT_EQ(end_with(ExitReport{.exit_code = 1}).completion.retry_at,
            std::nullopt);
}

TEST_F(AttemptEnd, WhatWasCancelledEndsAsThat) {
  is_cancelled = true;
  const auto end = end_with(ExitReport{.signal = 15, .stopped = true});
  EXPECT_EQ(end.completion.outcome, Outcome::cancelled);
  EXPECT_EQ(end.completion.retry_at, std::nullopt);
  EXPECT_EQ(end.for_group, DispatchCore::End::neutral);
}

TEST_F(AttemptEnd, SaysWhichOfSeveralNodesHasRunItAndWhatItWroteLast) {
  node = "n\"1";
  tail = {.record = std::string{"\0\xff a", 4}, .skipped = 70'000};
  const auto end = end_with(ExitReport{.exit_code = 1, .wall = 5ms});
  const auto json = Json::parse(end.completion.detail);
  EXPECT_EQ(json.at("node"), "n\"1");
  EXPECT_EQ(json.at("wall_ms"), 5);
  EXPECT_TRUE(json.contains("cause"));
  EXPECT_EQ(tail_in(end.completion.detail), tail);
}

TEST_F(AttemptEnd, WhatCameTooLateSaysHowItHadEnded) {
  node = "n1";
  const auto end = end_with(ExitReport{.exit_code = 1, .wall = 5ms});
  const store::LateResult late = too_late(end.completion);
  EXPECT_EQ(late.attempt, end.completion.attempt);
  const auto json = Json::parse(late.detail);
  EXPECT_EQ(json.at("cause"),
            "was lost with its node; its result came too late to count: "
            "failed, exit status 1");
  EXPECT_EQ(json.at("exit_status"), 125);
  EXPECT_EQ(json.at("late").at("outcome"), "failed");
  EXPECT_EQ(json.at("late").at("exit_status"), 1);
  EXPECT_EQ(json.at("late").at("cause"),
            Json::parse(end.completion.detail).at("cause"));
  EXPECT_EQ(json.at("node"), "n1");
  EXPECT_EQ(json.at("wall_ms"), 5);
}

TEST_F(AttemptEnd, WhatCameTooLateWithoutADetailSaysTheSame) {
  const store::LateResult late = too_late({.outcome = Outcome::success});
  EXPECT_EQ(
      Json::parse(late.detail).at("late"),
      (Json{{"outcome", "success"}, {"exit_status", 0}, {"cause", nullptr}}));
}

TEST_F(AttemptEnd, HandsOnWithItsResultWhatOthersCannotRead) {
  node = "n1";
  home = "node-7";
  handed_on = R"({"outputs":[["a","1"]]})";
  const auto detail = end_with(ExitReport{}).completion.detail;
  EXPECT_EQ(handed_on_in(detail), handed_on);
  EXPECT_EQ(home_in(detail), "node-7");
  handed_on.reset();
  EXPECT_EQ(handed_on_in(end_with(ExitReport{}).completion.detail),
            std::nullopt);
}

TEST_F(AttemptEnd, WithoutOutputItHasNoTail) {
  node = "n1";
  const auto detail = end_with(ExitReport{}).completion.detail;
  EXPECT_EQ(Json::parse(detail).at("node"), "n1");
  EXPECT_EQ(tail_in(detail), std::nullopt);
}

TEST_F(AttemptEnd, WhatIsNoTailIsNone) {
  for (const char* detail :
       {"", "x", "7", "{}", R"({"tail":7})", R"({"tail":"0g"})"})
    EXPECT_EQ(tail_in(detail), std::nullopt) << detail;
}

}  // namespace
}  // namespace troupe::queue
