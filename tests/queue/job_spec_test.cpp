#include <troupe/queue/job_spec.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::queue {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

JobSpec read(const char* json) {
  auto spec = command_from_json(Json::parse(json));
  EXPECT_TRUE(spec) << (spec ? "" : spec.error().what);
  return spec.value_or(JobSpec{});
}

std::string refusal(const char* json) {
  const auto spec = command_from_json(Json::parse(json));
  return spec ? "" : spec.error().what;
}

TEST(JobSpec, IsTheSameAfterTheStore) {
  JobSpec spec = read(R"({"words":["a","b c"],"cwd":"/tmp","env":{"A":"1"},
    "stdin":"x","timeout_ms":1500,"grace_ms":3000,"retries":3,
    "retry_delay_ms":10,"retry_backoff":1.5,"retry_max_delay_ms":99,
    "success_codes":[0,2],"limits":{"memory":1048576,"cpu_ms":2000,
    "open_files":10,"file_size":5},"output_limit":7,"nice":3})");
  spec.array = ArrayRange{5, 2};
  spec.key = "k";
  spec.argv = {"one word"};
  spec.has_outputs = true;
  spec.node_variables = {{"A", "B"}};
  spec.node_words = {{0, "program"}};
  spec.printed = "[]";
  spec.request.retry.jitter = 0.5;
  spec.request.retry.max_elapsed = 9s;
  spec.request.success.max_duration = 2s;
  spec.request.spec.silence_limit = 3s;
  spec.request.success.output_contains = {"done"};
  spec.request.success.output_not_contains = {"ERROR", "it's"};
  spec.request.retry.only_if = {*actors::parse_cause_rule("exit:75"),
                                *actors::parse_cause_rule("timeout")};
  spec.request.retry.unless = {*actors::parse_cause_rule("exit:1-3")};
  EXPECT_EQ(decode(encode(spec)), spec);
  EXPECT_EQ(spec.request.retry.attempts, 4U);
  EXPECT_EQ(spec.request.spec.time_limit, 1500ms);
}

TEST(JobSpec, WhatIsUnknownOrWrongIsNamed) {
  EXPECT_THAT(refusal(R"({"words":["a"],"tiemout_ms":1})"),
              HasSubstr("did you mean \"timeout_ms\"?"));
  EXPECT_THAT(refusal(R"({"words":["a"],"retries":-1})"),
              HasSubstr("command.retries: expected a whole number"));
  EXPECT_THAT(refusal(R"({"words":[]})"), HasSubstr("there are no words"));
  EXPECT_THAT(refusal(R"({"words":["a"],"limits":{"cpu":1}})"),
              HasSubstr("limits.cpu"));
  EXPECT_THAT(refusal(R"({"words":["a"],"env":{"A=B":"1"}})"),
              HasSubstr("command.env"));
  EXPECT_THAT(refusal(R"({"words":["a"],"lease_loss":"go"})"),
              HasSubstr("command.lease_loss: expected end or keep"));
  EXPECT_THAT(refusal(R"([])"), HasSubstr("expected an object"));
}

TEST(JobSpec, WhatTheStoreCannotHaveWrittenIsCorrupt) {
  EXPECT_EQ(decode("").error().code, Errc::corrupt);
  EXPECT_EQ(decode("{}").error().code, Errc::corrupt);
  EXPECT_EQ(decode(R"({"command":{"words":["a"]},"retry_if":["exit:no"]})")
                .error()
                .code,
            Errc::corrupt);
  for (const char* const wrong :
       {R"("retry_if":"at_most_once")", R"("argv":1)", R"("key":[])",
        R"("array":[])", R"("output_contains":{})", R"("silence_ms":"x")"}) {
    const std::string kept =
        fmt::format(R"({{"command":{{"words":["a"]}},{}}})", wrong);
    EXPECT_EQ(decode(kept).error().code, Errc::corrupt) << wrong;
  }
}

TEST(JobCommand, OneWordIsShellTextAndSeveralAreNot) {
  const auto argv = [](const char* json) {
    return JobCommand::make(read(json))
        ->command_for({{store::JobId{1}, 0}, 1}, "")
        ->argv;
  };
  EXPECT_THAT(argv(R"({"words":["a | b"]})"),
              ElementsAre("/bin/sh", "-c", "a | b"));
  EXPECT_THAT(argv(R"({"words":["gzip x"]})"), ElementsAre("gzip", "x"));
  EXPECT_THAT(argv(R"({"words":["find",".","{}","a|b"]})"),
              ElementsAre("find", ".", "{}", "a|b"));
}

TEST(JobCommand, WhatIsToBeExecutedIsNotReadAsShellText) {
  JobSpec spec = read(R"({"words":["for people"]})");
  spec.argv = {"/a program; rm"};
  const auto command =
      JobCommand::make(spec)->command_for({{store::JobId{7}, 0}, 1}, "");
  EXPECT_THAT(command->argv, ElementsAre("/a program; rm"));
}

TEST(JobCommand, TheArgumentOfATaskStandsForItsReplacementString) {
  JobSpec spec = read(R"({"words":["gzip","{}"]})");
  spec.has_arguments = true;
  const auto command =
      JobCommand::make(spec)->command_for({{store::JobId{7}, 3}, 2}, "a b;c");
  EXPECT_THAT(command->argv, ElementsAre("gzip", "a b;c"));
  EXPECT_THAT(command->env, Contains(Pair("TROUPE_JOB", "7")));
  EXPECT_THAT(command->env, Contains(Pair("TROUPE_TASK", "3")));
  EXPECT_THAT(command->env, Contains(Pair("TROUPE_ATTEMPT", "2")));
  EXPECT_THAT(command->env, Contains(Pair("TROUPE_ARGUMENT", "a b;c")));
}

TEST(JobCommand, TheArgumentOfAnArrayIsItsNumber) {
  JobSpec spec = read(R"({"words":["sim","{}"]})");
  spec.array = ArrayRange{10, 5};
  EXPECT_THAT(
      JobCommand::make(spec)->command_for({{store::JobId{1}, 2}, 1}, "")->argv,
      ElementsAre("sim", "20"));
}

TEST(JobCommand, AnArrayWithoutReplacementStringIsTheSameForEachTask) {
  const auto argv = [](const char* json) {
    JobSpec spec = read(json);
    spec.array = ArrayRange{10, 5};
    return JobCommand::make(spec)
        ->command_for({{store::JobId{1}, 2}, 1}, "")
        ->argv;
  };
  EXPECT_THAT(argv(R"({"words":["sleep 0.05"]})"),
              ElementsAre("sleep", "0.05"));
  EXPECT_THAT(argv(R"({"words":["sim","x"]})"), ElementsAre("sim", "x"));
  EXPECT_THAT(argv(R"({"words":["a & b"]})"),
              ElementsAre("/bin/sh", "-c", "a & b"));
}

TEST(JobCommand, AReplacementStringThatNoTaskHasIsRefused) {
  JobSpec spec = read(R"({"words":["sim","{2}"]})");
  spec.has_arguments = true;
  EXPECT_FALSE(JobCommand::make(spec));
}

}  // namespace
}  // namespace troupe::queue
