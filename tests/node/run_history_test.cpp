// What a run that a node has kept tells the next one.
#include "run_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <utility>

namespace troupe::node {
namespace {

using actors::OutcomeKind;
using store::RunId;
using ::testing::ElementsAre;
using workflow::StepEstimate;

constexpr const char* forked = R"(
jobs:
  short: { run: make short }
  long: { run: make long }
  end: { needs: [short, long], run: make end }
)";

RunSpec one_at_a_time(std::string text) {
  RunSpec spec;
  spec.file = "/home/ada/etl.yaml";
  spec.text = std::move(text);
  spec.max_parallel = 1;
  return spec;
}

WallTime moment(Duration since_start) {
  return WallTime{} +
         std::chrono::duration_cast<WallTime::duration>(1000h + since_start);
}

/// A run whose commands take as long as `takes` says and succeed.
KeptRun run_through(const RunSpec& spec,
                    const std::map<std::string, Duration>& takes) {
  KeptRun kept;
  kept.info.id = RunId{7};
  kept.info.submitted = moment(0s);
  kept.info.run.spec = encode(spec);
  auto core = RunCore::make(RunId{7}, spec);
  EXPECT_TRUE(core);
  Duration now{0};
  const auto tell = [&](const RunNews& news) {
    EXPECT_TRUE(core->apply(news, moment(now)));
    kept.events.push_back({kept.events.size(), encode(news), moment(now)});
  };
  tell(RunBegun{});
  while (!core->running().empty()) {
    const auto& [key, step] = *core->running().begin();
    const Duration took = takes.at(step.start.line);
    now += took + 1s;  // The queue is busy.
    tell(RunStepEnded{.step = key,
                      .kind = OutcomeKind::success,
                      .attempts = 1,
                      .took = took});
  }
  return kept;
}

const std::map<std::string, Duration> times{
    {"make short", 2s}, {"make long", 1min}, {"make end", 3s}};

TEST(RunHistory, HasTheStepsOfJobsThatWereCalled) {
  RunSpec spec = one_at_a_time("jobs: { a: { uses: ./lib.yaml } }");
  spec.files = {{"/home/ada/lib.yaml", "jobs: { b: { run: make long } }"}};
  KeptRun kept = run_through(spec, times);
  const auto core = make_core(kept);
  ASSERT_TRUE(core) << core.error().what;
  const auto run = past_run(*core, kept.info.submitted);
  ASSERT_EQ(run.jobs.size(), 2u);
  EXPECT_EQ(run.jobs[1].job, "a/b");
  ASSERT_EQ(run.jobs[1].steps.size(), 1u);
  EXPECT_EQ(run.jobs[1].steps[0].last_attempt, 1min);
}

TEST(RunHistory, HasTheTimesOfARunThatHasEnded) {
  KeptRun kept = run_through(one_at_a_time(forked), times);
  const auto core = make_core(kept);
  ASSERT_TRUE(core);
  const auto run = past_run(*core, kept.info.submitted);
  EXPECT_EQ(run.id, "r7");
  EXPECT_EQ(run.result, workflow::RunResult::success);
  EXPECT_EQ(run.start, moment(0s));
  EXPECT_EQ(run.end, moment(68s));
  EXPECT_EQ(run.max_parallel, 1u);
  EXPECT_FALSE(run.was_retried);
  ASSERT_EQ(run.jobs.size(), 3u);
  const auto& second = run.jobs[1];
  EXPECT_EQ(second.label, "long");
  EXPECT_EQ(second.ready, moment(0s));
  EXPECT_EQ(second.start, moment(3s));
  EXPECT_EQ(second.end, moment(64s));
  ASSERT_EQ(second.steps.size(), 1u);
  EXPECT_EQ(second.steps[0].step, "run");
  EXPECT_EQ(second.steps[0].command, "make long");
  EXPECT_EQ(second.steps[0].outcome, workflow::StepOutcome::success);
  EXPECT_EQ(second.steps[0].took, 61s);
  EXPECT_EQ(second.steps[0].waited, 1s);
  EXPECT_EQ(second.steps[0].last_attempt, 1min);
}

TEST(RunHistory, IsLearnedFromForTheSameFileOnly) {
  RunSpec other = one_at_a_time(forked);
  other.file = "/home/ada/other.yaml";
  std::vector<KeptRun> earlier{
      run_through(other,
                  {{"make short", 9h}, {"make long", 9h}, {"make end", 9h}}),
      run_through(one_at_a_time(forked), times)};
  const auto known = learn_from(earlier, "/home/ada/etl.yaml");
  EXPECT_EQ(known.of("long", "run"), StepEstimate{1min});
  EXPECT_TRUE(learn_from(earlier, "-").empty());
  EXPECT_TRUE(learn_from(earlier, "/home/ada/third.yaml").empty());
}

TEST(RunHistory, IsFoundByTheFileThatASpecBeginsWith) {
  RunSpec spec = one_at_a_time(forked);
  spec.file = "/home/ada/\"x\".yaml";
  EXPECT_TRUE(is_spec_of(encode(spec), spec.file));
  EXPECT_FALSE(is_spec_of(encode(spec), "/home/ada/x.yaml"));
  spec.file = "-";
  EXPECT_FALSE(is_spec_of(encode(spec), spec.file));
}

TEST(RunHistory, PassesOverWhatIsNotUnderstood) {
  KeptRun broken = run_through(one_at_a_time(forked), times);
  broken.events[1].what = "{\"event\":\"new\"}";
  KeptRun nothing;
  const auto known =
      learn_from({nothing, broken, run_through(one_at_a_time(forked), times)},
                 "/home/ada/etl.yaml");
  EXPECT_EQ(known.of("short", "run"), StepEstimate{2s});
}

TEST(RunHistory, DecidesTheOrderOfTheNextRunAlsoWhenThatIsToldAgain) {
  RunSpec spec = one_at_a_time(forked);
  const auto first = [](const RunSpec& of) {
    auto core = RunCore::make(RunId{8}, of);
    EXPECT_TRUE(core->apply(RunBegun{}, moment(0s)));
    return core->running().begin()->second.start.line;
  };
  EXPECT_EQ(first(spec), "make short");
  spec.estimates = learn_from({run_through(spec, times)}, spec.file);
  EXPECT_EQ(first(spec), "make long");
  const auto kept = decode_run_spec(encode(spec));
  ASSERT_TRUE(kept);
  EXPECT_EQ(*kept, spec);
  EXPECT_EQ(first(*kept), "make long");
}

}  // namespace
}  // namespace troupe::node
