#include "outcome_json.hpp"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using actors::Attempt;
using actors::CauseKind;
using actors::Outcome;
using actors::OutcomeKind;

WallTime at(Duration since_epoch) {
  return WallTime{std::chrono::duration_cast<WallTime::duration>(since_epoch)};
}

TEST(OutcomeJson, TellsTheWholeStory) {
  process::ExitReport report;
  report.exit_code = 3;
  report.wall = 1500ms;
  report.user = 250ms;
  report.max_rss_bytes = 4096;
  report.stdout_bytes = 5;
  report.leftovers = 1;
  Attempt attempt;
  attempt.kind = OutcomeKind::failed;
  attempt.started = at(1700000000s);
  attempt.ended = at(1700000001500ms);
  attempt.report = report;
  attempt.causes = {{CauseKind::exit_code, 3, "exited with 3"}};
  attempt.notes = {"killed 1 process that it left behind"};
  attempt.stdout_tail = "hello";
  Outcome outcome;
  outcome.kind = OutcomeKind::failed;
  outcome.exit_status = 3;
  outcome.attempts = {attempt};
  outcome.causes = attempt.causes;

  const auto expected = nlohmann::ordered_json::parse(R"({
    "outcome": "failed", "exit_status": 3, "exit_code": 3, "signal": null,
    "cause": "exited with 3",
    "causes": [{"kind": "exit_code", "number": 3, "what": "exited with 3"}],
    "attempts": [{
      "number": 1, "outcome": "failed", "exit_code": 3, "signal": null,
      "start": "2023-11-14T22:13:20.000Z", "end": "2023-11-14T22:13:21.500Z",
      "wall_s": 1.5, "user_s": 0.25, "system_s": 0.0, "max_rss_bytes": 4096,
      "stdout_bytes": 5, "stderr_bytes": 0, "killed": false,
      "leftovers_killed": 1,
      "causes": [{"kind": "exit_code", "number": 3, "what": "exited with 3"}],
      "notes": ["killed 1 process that it left behind"],
      "stdout_tail": "hello", "stderr_tail": ""}],
    "incidents": []})");
  EXPECT_EQ(to_json(outcome).dump(1), expected.dump(1));
}

TEST(OutcomeJson, HasNullForWhatThereIsNot) {
  Outcome outcome;
  outcome.kind = OutcomeKind::lost;
  outcome.attempts = {Attempt{.kind = OutcomeKind::lost}};
  const auto json = to_json(outcome);
  EXPECT_TRUE(json["exit_code"].is_null());
  EXPECT_TRUE(json["signal"].is_null());
  EXPECT_TRUE(json["cause"].is_null());
  EXPECT_FALSE(json["attempts"][0].contains("wall_s"));
}

TEST(OutcomeJson, TellsASignalFromAnExitCode) {
  process::ExitReport report;
  report.signal = 9;
  Outcome outcome;
  outcome.attempts = {Attempt{.report = report}};
  const auto json = to_json(outcome);
  EXPECT_TRUE(json["exit_code"].is_null());
  EXPECT_EQ(json["signal"], 9);
}

TEST(OutcomeJson, StaysJsonWhateverACommandPrints) {
  Outcome outcome;
  outcome.attempts = {Attempt{.stdout_tail = "a\xff\x01\"b"}};
  EXPECT_EQ(to_json(outcome)["attempts"][0]["stdout_tail"].dump(),
            "\"a\xef\xbf\xbd\\u0001\\\"b\"");
}

}  // namespace
}  // namespace troupe::cli
