// What a node makes of a run: jobs of the queue, and the same once more after
// a restart.
#include "run_core.hpp"

#include <troupe/base/assert.hpp>
#include <troupe/queue/job_spec.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::node {
namespace {

using actors::OutcomeKind;
using store::JobId;
using store::RunId;
using store::RunState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using workflow::JobState;

RunSpec spec_of(std::string text) {
  RunSpec spec;
  spec.file = "/home/ada/etl.yaml";
  spec.text = std::move(text);
  spec.folder = "/home/ada";
  spec.environment = {{"HOME", "/home/ada"}, {"TROUPE_OUTPUT", "/old"}};
  return spec;
}

/// A run, with all that was recorded of it.
class Driven {
 public:
  explicit Driven(std::string text) : Driven{spec_of(std::move(text))} {}
  explicit Driven(RunSpec spec)
      : spec_{std::move(spec)}, core{made(RunCore::make(RunId{7}, spec_))} {
    tell(RunBegun{});
  }

  /// Submits what is to be submitted; false if it was no news.
  bool tell(const RunNews& news) {
    now_ += 1s;
    const auto decision = core.apply(news, now_);
    EXPECT_TRUE(decision) << (decision ? "" : decision.error().what);
    if (!decision || !*decision)
      return false;
    events.push_back({events.size(), encode(news), now_});
    EXPECT_EQ(core.events(), events.size());
    for (const StepKey& step : (*decision)->submit) {
      started.push_back(line_of(step));
      core.on_submitted(step, JobId{++jobs_});
    }
    for (const StepKey& step : (*decision)->cancel)
      cancelled.push_back(line_of(step));
    return true;
  }

  /// Ends the step that runs this line.
  void end(const std::string& line, OutcomeKind kind,
           workflow::Outputs outputs = {}) {
    for (const auto& [key, step] : core.running()) {
      if (step.start.line != line)
        continue;
      RunStepEnded ended{.step = key, .job = step.job, .kind = kind};
      ended.exit_status = kind == OutcomeKind::success ? 0 : 3;
      ended.attempts = 1;
      ended.outputs = std::move(outputs);
      tell(ended);
      return;
    }
    FAIL() << line << " does not run";
  }
  void succeed(const std::string& line, workflow::Outputs outputs = {}) {
    end(line, OutcomeKind::success, std::move(outputs));
  }
  /// As if the news had come that much later.
  void succeed_before(const std::string& line, Duration ago) {
    for (const auto& [key, step] : core.running()) {
      if (step.start.line != line)
        continue;
      tell(RunStepEnded{
          .step = key,
          .job = step.job,
          .ended =
              now_ + 1s - std::chrono::duration_cast<WallTime::duration>(ago)});
      return;
    }
    FAIL() << line << " does not run";
  }
  void fail(const std::string& line) { end(line, OutcomeKind::failed); }

  /// The same run after a restart of the node.
  [[nodiscard]] RunCore again() const {
    auto made = RunCore::make(RunId{7}, spec_);
    EXPECT_TRUE(made);
    const auto replayed = made->replay(events);
    EXPECT_TRUE(replayed) << (replayed ? "" : replayed.error().what);
    return std::move(*made);
  }

  [[nodiscard]] std::vector<std::string> lines_running() const {
    std::vector<std::string> lines;
    for (const auto& [key, step] : core.running())
      lines.push_back(line_of(key));
    return lines;
  }
  [[nodiscard]] std::string line_of(const StepKey& step) const {
    return step.is_of_services() ? "services"
                                 : core.running().at(step).start.line;
  }
  [[nodiscard]] JobState state(std::size_t instance) const {
    return core.instances()[instance].state;
  }

 private:
  static RunCore made(Result<RunCore> core) {
    // Without one there is nothing to test.
    TROUPE_ASSERT(core);
    return std::move(*core);
  }

  RunSpec spec_;
  WallTime now_{std::chrono::hours{1000}};
  std::uint64_t jobs_ = 100;

 public:
  RunCore core;
  std::vector<store::RunEvent> events;
  std::vector<std::string> started;
  std::vector<std::string> cancelled;
};

constexpr const char* chain = R"(
jobs:
  a: { run: make a }
  b: { needs: [a], run: make b }
  c: { needs: [b], run: make c }
)";

/// What can be seen of a run.
std::string text_of(const RunCore& core) {
  std::string text = fmt::format("{} {}/{}\n", to_string(core.state()),
                                 core.counts().ended, core.counts().failed);
  for (const InstanceView& instance : core.instances()) {
    text +=
        fmt::format("{}: {} {} {}\n", instance.label, to_string(instance.state),
                    instance.reason, instance.steps.size());
    for (const StepView& step : instance.steps)
      text += fmt::format("  {} {} {} {}\n", step.name,
                          step.outcome ? to_string(*step.outcome) : "runs",
                          step.reason, step.exit_status);
  }
  for (const auto& [key, step] : core.running())
    text += fmt::format("runs {} {}\n", request_id_of(core.run(), key),
                        step.is_cancelled);
  return text;
}

TEST(RunCore, SubmitsWhatCanStartAndThenWhatFollows) {
  Driven run{chain};
  EXPECT_THAT(run.started, ElementsAre("make a"));
  run.succeed("make a");
  run.succeed("make b");
  run.succeed("make c");
  EXPECT_THAT(run.started, ElementsAre("make a", "make b", "make c"));
  EXPECT_EQ(run.core.state(), RunState::succeeded);
  EXPECT_EQ(run.core.counts(), (store::RunCounts{3, 3, 0}));
}

TEST(RunCore, TheSameEventsLeadToTheSamePlace) {
  Driven run{R"(
jobs:
  a:
    strategy: { matrix: { n: [1, 2, 3] }, fail-fast: false }
    steps:
      - { id: one, run: "one ${{ matrix.n }}" }
      - { run: "two ${{ steps.one.outputs.x }}" }
  b: { needs: [{ job: a, when: finished }], run: echo b, group: g }
groups: { g: { strategy: one_for_one, intensity: 1 } }
)"};
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  run.succeed("one 1", {{"x", "it's"}});
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  run.fail("one 2");
  run.succeed("one 3", {{"x", "\n"}});
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  run.succeed("two 'it'\\''s'");
  run.tell(RunStepEnded{.step = run.core.running().begin()->first,
                        .job = JobId{5},
                        .kind = OutcomeKind::success});
  run.fail("echo b");
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  EXPECT_EQ(run.core.running().begin()->first.restarts, 1U);
  run.fail("echo b");
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  EXPECT_EQ(run.core.state(), RunState::failed);
}

TEST(RunCore, AStepHasEndedWhenItDidHoweverLateThatIsKnown) {
  Driven run{chain};
  run.succeed_before("make a", 500ms);
  const WallTime heard = run.core.last_event();
  const InstanceView& a = run.core.instances()[0];
  EXPECT_EQ(a.steps[0].ended, heard - 500ms);
  EXPECT_EQ(a.ended, heard - 500ms);
  // Clocks of nodes differ: not before it was started, and not in the future.
  run.succeed_before("make b", 1h);
  const InstanceView& b = run.core.instances()[1];
  EXPECT_EQ(b.steps[0].ended, b.steps[0].started);
  EXPECT_EQ(b.ended, b.started);
  run.succeed_before("make c", -1h);
  EXPECT_EQ(run.core.instances()[2].ended, run.core.last_event());
}

TEST(RunCore, WhatIsNoNewsIsNotRecorded) {
  Driven run{chain};
  const StepKey step = run.core.running().begin()->first;
  run.succeed("make a");
  EXPECT_FALSE(run.tell(RunStepEnded{.step = step}));
  EXPECT_FALSE(run.tell(RunTimePassed{}));
  EXPECT_FALSE(run.tell(RunBegun{}));
  EXPECT_EQ(run.events.size(), 2U);
}

TEST(RunCore, AnEventThatCannotHaveHappenedIsAnError) {
  Driven run{chain};
  run.succeed("make a");
  auto other = RunCore::make(RunId{7}, spec_of("jobs: { x: { run: x } }"));
  ASSERT_TRUE(other);
  std::vector<store::RunEvent> events = run.events;
  events[1].what = encode(RunStepEnded{.step = {0, 9, 0, 0}});
  const auto replayed = other->replay(events);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().code, Errc::corrupt);
}

TEST(RunCore, AStepBecomesAJobThatIsKnownByItsPlace) {
  Driven run{R"(
env: { LEVEL: high }
jobs:
  a:
    steps:
      - run: "make \"it's\" | tee log"
        working-directory: sub
        timeout: 2m
        retry: { attempts: 3, delay: 5s, jitter: 0 }
)"};
  const StepKey step = run.core.running().begin()->first;
  const store::NewJob job = run.core.job_for(step, {});
  EXPECT_EQ(job.request_id, "run/7/0/1/0/0");
  EXPECT_EQ(job.run, RunId{7});
  EXPECT_EQ(job.name, "a");
  const auto spec = queue::decode(job.spec);
  ASSERT_TRUE(spec) << spec.error().what;
  EXPECT_TRUE(spec->has_outputs);
  EXPECT_EQ(spec->request.retry.attempts, 3U);
  EXPECT_EQ(spec->request.spec.time_limit, 2min);
  EXPECT_EQ(spec->request.spec.working_directory, "/home/ada/sub");
  EXPECT_TRUE(spec->request.spec.clear_env);
  EXPECT_THAT(spec->request.spec.env,
              ElementsAre(Pair("HOME", "/home/ada"), Pair("LEVEL", "high"),
                          Pair("TROUPE_RUN", "r7")));
  EXPECT_EQ(queue::text_of(*spec), "make \"it's\" | tee log");
}

TEST(RunCore, ACancelledRunStopsWhatRunsAndStartsNothingMore) {
  Driven run{chain};
  run.tell(RunCancelled{});
  EXPECT_THAT(run.cancelled, ElementsAre("make a"));
  EXPECT_TRUE(run.again().running().begin()->second.is_cancelled);
  run.end("make a", OutcomeKind::cancelled);
  EXPECT_EQ(run.core.state(), RunState::cancelled);
  EXPECT_THAT(run.started, ElementsAre("make a"));
  EXPECT_EQ(run.core.apply(RunCancelled{}, {}).error().what, "it has ended");
}

TEST(RunCore, ARetryStartsWhatHasNotSucceeded) {
  Driven run{R"(
jobs:
  a:
    steps:
      - { id: s, run: make a }
    outputs: { v: "${{ steps.s.outputs.v }}" }
  b: { needs: [a], run: "make b ${{ needs.a.outputs.v }}" }
  c: { needs: [b], run: make c }
)"};
  run.succeed("make a", {{"v", "1"}});
  run.fail("make b 1");
  EXPECT_EQ(run.core.state(), RunState::failed);
  EXPECT_EQ(run.state(2), JobState::skipped);
  run.started.clear();
  EXPECT_TRUE(run.tell(RunRetried{}));
  EXPECT_THAT(run.started, ElementsAre("make b 1"));
  EXPECT_EQ(run.core.running().begin()->first.round, 1U);
  EXPECT_EQ(run.state(0), JobState::succeeded);
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  run.succeed("make b 1");
  run.succeed("make c");
  EXPECT_EQ(run.core.state(), RunState::succeeded);
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  // Each of its attempts is still there.
  EXPECT_EQ(run.core.instances()[1].steps.size(), 2U);
  EXPECT_EQ(run.core.instances()[1].steps[0].exit_status, 3);
}

TEST(RunCore, ARetryFromAJobStartsItAndAllAfterIt) {
  Driven run{chain};
  run.succeed("make a");
  run.succeed("make b");
  run.succeed("make c");
  EXPECT_THAT(run.core.apply(RunRetried{}, {}).error().what,
              HasSubstr("all its jobs have succeeded"));
  EXPECT_THAT(run.core.apply(RunRetried{"bb"}, {}).error().what,
              HasSubstr("it has no job \"bb\""));
  run.started.clear();
  EXPECT_TRUE(run.tell(RunRetried{"b"}));
  run.succeed("make b");
  EXPECT_THAT(run.started, ElementsAre("make b", "make c"));
  EXPECT_EQ(run.core.state(), RunState::running);
  EXPECT_THAT(run.core.apply(RunRetried{}, {}).error().what,
              HasSubstr("it has not ended"));
}

TEST(RunCore, TheClockOfALimitIsTheCalendar) {
  Driven run{"jobs: { a: { run: x, timeout: { total: 1h } } }"};
  const auto deadline = run.core.next_deadline();
  ASSERT_TRUE(deadline);
  EXPECT_EQ(*deadline, run.events[0].at + 1h);
  EXPECT_EQ(run.again().next_deadline(), deadline);
  const auto late = run.core.apply(RunTimePassed{}, *deadline);
  ASSERT_TRUE(late && *late);
  EXPECT_THAT((*late)->cancel, ElementsAre(StepKey{0, 1, 0, 0}));
}

/// A run of one of several nodes.
RunSpec shared_spec(std::string text) {
  RunSpec spec = spec_of(std::move(text));
  spec.home = "node-a";
  return spec;
}

class Placed : public ::testing::Test {
 protected:
  /// The job of the one step that runs, as it is submitted.
  store::NewJob job() {
    EXPECT_EQ(run->core.running().size(), 1U);
    return run->core.job_for(
        run->core.running().begin()->first,
        {.program = "/bin/troupe", .folder = "/c", .run = {}, .socket = "/s"});
  }
  queue::JobSpec spec() { return *queue::decode(job().spec); }
  StepKey step() { return run->core.running().begin()->first; }
  /// Ends it, at that node.
  void end_at(const std::string& node,
              OutcomeKind kind = OutcomeKind::success) {
    RunStepEnded ended{.step = step(),
                       .job = JobId{7},
                       .kind = kind,
                       .attempts = 2,
                       .node = node,
                       .home = "node-" + node};
    run->tell(ended);
  }
  std::optional<Driven> run;
};

TEST_F(Placed, AJobGoesToItsLabelsAndStaysWhereItHasBegun) {
  run.emplace(
      shared_spec("jobs:\n"
                  "  a:\n"
                  "    runs-on: [gpu, \"${{ 'ssd' }}\"]\n"
                  "    resources: { cpu: 2 }\n"
                  "    steps: [{ run: x }, { run: y }]\n"
                  "  b: { needs: [a], run: z }\n"));
  EXPECT_TRUE(run->core.is_placed(step()));
  EXPECT_EQ(job().resources, "cpu=2,on-gpu=0.001,on-ssd=0.001");
  EXPECT_EQ(run->core.bound_to(step()).home, "");
  end_at("b");
  EXPECT_EQ(job().resources, "cpu=2,node-b=0.001");
  EXPECT_EQ(run->core.bound_to(step()).node, "b");
  // The same after a restart.
  EXPECT_EQ(run->again().bound_to(step()).home, "node-b");
  end_at("b");
  EXPECT_FALSE(run->core.is_placed(step()));
  EXPECT_EQ(job().resources, "node-a=1");
}

TEST_F(Placed, ANodeIsToEndTheJobsThatHaveBegunThere) {
  run.emplace(
      shared_spec("jobs:\n"
                  "  a:\n"
                  "    runs-on: gpu\n"
                  "    steps: [{ run: x }, { run: y }]\n"
                  "  b:\n"
                  "    needs: [a]\n"
                  "    steps: [{ run: x }, { run: y }]\n"));
  const auto begun = [&](const std::string& node) {
    const auto there = run->core.begun_at("node-" + node);
    return std::pair{there.jobs, there.maybe.size()};
  };
  using Begun = std::pair<std::size_t, std::size_t>;
  // Any node may have begun it.
  EXPECT_EQ(begun("a"), (Begun{0, 1}));
  EXPECT_EQ(begun("b"), (Begun{0, 1}));
  end_at("b");
  EXPECT_EQ(begun("a"), (Begun{0, 0}));
  EXPECT_EQ(begun("b"), (Begun{1, 0}));
  end_at("b");
  EXPECT_EQ(begun("a"), (Begun{0, 1}));
  EXPECT_EQ(begun("b"), (Begun{0, 0}));
  end_at("a");
  EXPECT_EQ(job().resources, "node-a=0.001");
  EXPECT_EQ(begun("a"), (Begun{1, 0}));
  end_at("a");
  EXPECT_EQ(run->core.begun_at("node-a").jobs, 0U);
}

TEST_F(Placed, AVariantThatIsSpreadKnowsWhichOneItIsUntilItHasBegun) {
  run.emplace(shared_spec(
      "jobs:\n"
      "  a:\n"
      "    strategy: { matrix: { n: [1, 2, 3] }, max-parallel: 1 }\n"
      "    placement: { spread: true }\n"
      "    steps: [{ run: x }, { run: y }]\n"));
  for (std::size_t variant = 0; variant < 3; ++variant) {
    EXPECT_TRUE(run->core.is_placed(step()));
    EXPECT_EQ(job().resources, "");
    EXPECT_EQ(run->core.preference_of(step()),
              (RunCore::Preference{
                  .spread = "r7/a", .variant = variant, .variants = 3}));
    end_at("b");
    EXPECT_EQ(run->core.preference_of(step()), std::nullopt);
    EXPECT_EQ(job().resources, "node-b=0.001");
    EXPECT_EQ(run->again().bound_to(step()).home, "node-b");
    end_at("b");
  }
}

TEST_F(Placed, AJobWithAKeyGoesWhereTheKeyIs) {
  run.emplace(
      shared_spec("jobs:\n"
                  "  a: { placement: { key: \"${{ 'we' }}st\" }, run: x }\n"));
  EXPECT_TRUE(run->core.is_placed(step()));
  EXPECT_EQ(job().resources, "");
  EXPECT_EQ(run->core.preference_of(step()),
            (RunCore::Preference{.key = "west"}));
  run.emplace("jobs: { a: { placement: { key: west }, run: x } }");
  EXPECT_EQ(run->core.preference_of(step()), std::nullopt);
}

TEST_F(Placed, VariantsWithAKeyAreSpreadByTheKey) {
  run.emplace(
      shared_spec("jobs:\n"
                  "  a:\n"
                  "    strategy: { matrix: { n: [1, 2] }, max-parallel: 1 }\n"
                  "    placement: { key: west, spread: true }\n"
                  "    run: x\n"));
  EXPECT_EQ(run->core.preference_of(step()),
            (RunCore::Preference{
                .key = "west", .spread = "r7/a", .variant = 0, .variants = 2}));
}

TEST_F(Placed, ANodeByItselfHasAllLabels) {
  run.emplace("jobs: { a: { runs-on: moon.base, run: x } }");
  EXPECT_FALSE(run->core.is_placed(step()));
  EXPECT_EQ(job().resources, "");
  EXPECT_EQ(run->core.refusal_of(step()), "");
}

TEST_F(Placed, ALabelThatNoNodeCanHaveIsRefused) {
  run.emplace(
      shared_spec("jobs: { a: { runs-on: \"${{ 'moon.base' }}\", run: x } }"));
  EXPECT_THAT(run->core.refusal_of(step()),
              HasSubstr("runs-on: expected a label of up to 29 letters"));
}

TEST_F(Placed, AnotherStartOfAJobGoesWhereItCan) {
  run.emplace(
      shared_spec("jobs:\n"
                  "  a:\n"
                  "    runs-on: gpu\n"
                  "    retry: { attempts: 2, delay: 1s }\n"
                  "    steps: [{ run: x }, { run: y }]\n"));
  end_at("b");
  end_at("b", OutcomeKind::failed);
  for (int seconds = 0; seconds < 9 && run->core.running().empty(); ++seconds)
    run->tell(RunTimePassed{});
  EXPECT_EQ(run->core.bound_to(step()).home, "");
  EXPECT_EQ(job().resources, "on-gpu=0.001");
}

TEST_F(Placed, ADownloadKnowsWhereWhatWasUploadedIs) {
  run.emplace(
      shared_spec("jobs:\n"
                  "  a:\n"
                  "    run: x\n"
                  "    artifacts: { upload: { out: o.txt } }\n"
                  "  b:\n"
                  "    needs: [a]\n"
                  "    artifacts: { download: a.out }\n"
                  "    run: y\n"));
  EXPECT_THAT(spec().node_words, IsEmpty());
  end_at("n1");
  EXPECT_THAT(
      spec().argv,
      ElementsAre("/bin/troupe", "artifact", "put", "--store=/c", "--version=1",
                  "--retention=30d", "--", "r7", "a.out", "o.txt"));
  EXPECT_THAT(spec().node_words,
              ElementsAre(Pair(0, "program"), Pair(3, "store")));
  end_at("n1");
  EXPECT_THAT(
      spec().argv,
      ElementsAre("/bin/troupe", "artifact", "get", "--store=/c", "--socket=/s",
                  "--from=n1:1:7.2:", "--", "r7", "a.out"));
  EXPECT_THAT(
      spec().node_words,
      ElementsAre(Pair(0, "program"), Pair(3, "store"), Pair(4, "socket")));
  // Another round makes another version, wherever it runs.
  end_at("n2");
  end_at("n2");
  ASSERT_EQ(run->core.state(), RunState::succeeded);
  run->tell(RunRetried{"a"});
  end_at("n3");
  EXPECT_THAT(spec().argv, ::testing::Contains("--version=2"));
  end_at("n3");
  EXPECT_THAT(spec().argv, ::testing::Contains("--from=n3:2:7.2:"));
}

TEST_F(Placed, AStepWithACacheKnowsWhoMayHaveItsResult) {
  run.emplace(
      shared_spec("jobs:\n"
                  "  a: { run: x }\n"
                  "  b: { needs: [a], run: y, cache: { key: k } }\n"));
  end_at("n2");
  EXPECT_THAT(spec().argv,
              ElementsAre("/bin/troupe", "cached", "--store=/c", "--socket=/s",
                          "--from=n2", "--key=k", "--", "y"));
}

TEST(RunCore, ASecretIsAPlaceholderUntilItsStepStarts) {
  RunSpec spec = spec_of(
      "secrets: { K: {}, F: { from: file, key: f }, N: {} }\n"
      "jobs:\n"
      "  a: { run: x, env: { U: \"me:${{ secrets.K }}\", V: 1 } }\n"
      "  b: { run: x, env: { U: \"${{ secrets.F }}\" } }\n"
      "  c: { run: x }\n");
  spec.nonce = "n";
  auto core = RunCore::make(RunId{1}, spec);
  ASSERT_TRUE(core) << core.error().what;
  const auto begun = core->apply(RunBegun{}, WallTime{});
  ASSERT_TRUE(begun && *begun);
  const workflow::ContentUse content{.program = "/bin/troupe"};
  const auto spec_for = [&](std::size_t step) {
    return *queue::decode(
        core->job_for((*begun)->submit.at(step), content).spec);
  };
  const auto variable = [](const queue::JobSpec& job, std::string_view name) {
    for (const auto& [known, value] : job.request.spec.env) {
      if (known == name)
        return value;
    }
    return std::string{"none"};
  };
  const queue::JobSpec a = spec_for(0);
  EXPECT_THAT(a.argv, ElementsAre("/bin/troupe", "with-secrets", "x"));
  EXPECT_THAT(a.node_words, ElementsAre(Pair(0, "program")));
  EXPECT_EQ(variable(a, "U"), "me:\x02n:0\x03");
  EXPECT_THAT(a.node_variables,
              ElementsAre(::testing::Pair("TROUPE_SECRET_0", "K")));
  const auto told = decode_step_secrets(variable(a, "TROUPE_SECRETS"));
  ASSERT_TRUE(told);
  EXPECT_THAT(*told, ::testing::SizeIs(1));
  const queue::JobSpec b = spec_for(1);
  EXPECT_THAT(b.node_variables, ::testing::IsEmpty());
  EXPECT_EQ(
      decode_step_secrets(variable(b, "TROUPE_SECRETS"))->at(0).workflow_path,
      "/home/ada/etl.yaml");
  EXPECT_THAT(spec_for(2).argv, ElementsAre("x"));
}

TEST(RunCore, WhatANodeCannotRunIsRefused) {
  const auto refusal = [](const char* text) {
    const auto made = RunCore::make(RunId{1}, spec_of(text));
    return made ? "" : made.error().what;
  };
  EXPECT_THAT(refusal("secrets: { K: {} }\njobs: { a: { run: x, env: { L: "
                      "\"${{ format('{0}', secrets.K) }}\" } } }"),
              HasSubstr("job a: L: on a node, a secret can only be put in as "
                        "it is: ${{ secrets.NAME }}"));
  EXPECT_THAT(refusal("jobs: { a: { runn: x } }"),
              HasSubstr("/home/ada/etl.yaml:1"));
  EXPECT_THAT(refusal("jobs: { a: { run: \"${{ inputs.x }}\" } }"),
              HasSubstr("no value for the input \"x\""));
}

TEST(RunCore, ARunMayBeNamedByItsNumber) {
  const RunSpec spec =
      spec_of("run-name: night ${{ run.id }}\njobs: { a: { run: x } }");
  EXPECT_EQ(RunCore::make(RunId{7}, spec)->title(), "night r7");
  const std::string before = RunCore::make(RunId{}, spec)->title();
  EXPECT_EQ(store::with_number(before, RunId{7}), "night r7");
}

TEST(RunCore, ADayIsThatOfTheSubmission) {
  RunSpec spec = spec_of(
      "on: { dispatch: { inputs: { day: { type: date, default: yesterday } } } "
      "}\njobs: { a: { run: \"load ${{ inputs.day }}\" } }");
  spec.today = "2024-03-01";
  auto core = RunCore::make(RunId{1}, spec);
  ASSERT_TRUE(core);
  const auto decision = core->apply(RunBegun{}, WallTime{});
  ASSERT_TRUE(decision && *decision);
  const auto job = core->job_for((*decision)->submit.at(0), {});
  EXPECT_THAT(job.spec, HasSubstr("load 2024-02-29"));
}

TEST(RunCore, TheVariantsOfAComputedMatrixAreThoseOfItsReplay) {
  Driven run{
      "jobs:\n"
      "  a:\n"
      "    run: make a\n"
      "    outputs: { list: \"${{ steps.run.outputs.list }}\" }\n"
      "  b:\n"
      "    needs: a\n"
      "    strategy: { matrix: { n: \"${{ fromJSON(needs.a.outputs.list) }}\" "
      "} }\n"
      "    run: make ${{ matrix.n }}\n"};
  run.succeed("make a", {{"list", "[1, 2]"}});
  EXPECT_THAT(run.started, ElementsAre("make a", "make 1", "make 2"));
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  run.succeed("make 1");
  run.fail("make 2");
  ASSERT_TRUE(run.tell(RunRetried{}));
  EXPECT_THAT(run.lines_running(), ElementsAre("make 2"));
  ASSERT_EQ(run.core.instances().size(), 3U);
  EXPECT_EQ(run.core.instances()[1].steps.size(), 1U);
  EXPECT_EQ(run.core.instances()[2].steps.size(), 2U);
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
}

TEST(RunCore, HooksAreNoJobsAndRunAgainInEachRound) {
  Driven run{
      "jobs: { a: { run: make a }, b: { needs: [a], run: make b } }\n"
      "hooks:\n"
      "  on-start: announce\n"
      "  on-failure: page ${{ run.failed-job }}\n"
      "  on-exit: release\n"};
  EXPECT_THAT(run.started, ElementsAre("announce"));
  EXPECT_EQ(run.core.counts(), (store::RunCounts{2, 0, 0}));
  run.succeed("announce");
  run.succeed("make a");
  run.fail("make b");
  EXPECT_EQ(run.core.state(), RunState::running);
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  run.succeed("page b");
  run.fail("release");
  EXPECT_EQ(run.core.state(), RunState::failed);
  EXPECT_EQ(run.core.counts(), (store::RunCounts{2, 2, 1}));
  EXPECT_THAT(run.core.apply(RunRetried{"hooks.on-exit"}, {}).error().what,
              HasSubstr("it has no job \"hooks.on-exit\""));
  run.started.clear();
  run.tell(RunRetried{});
  run.succeed("announce");
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  run.succeed("make b");
  run.succeed("release");
  EXPECT_THAT(run.started, ElementsAre("announce", "make b", "release"));
  EXPECT_EQ(run.core.state(), RunState::succeeded);
  EXPECT_THAT(run.core.apply(RunRetried{}, {}).error().what,
              HasSubstr("all its jobs have succeeded"));
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
}

constexpr const char* approved_load =
    "jobs:\n"
    "  a: { run: make a }\n"
    "  load:\n"
    "    needs: [a]\n"
    "    approval: { prompt: \"sure?\", inputs: { t: { required: true } }, "
    "timeout: 1h }\n"
    "    run: load ${{ approval.t }} ${{ approval.by }}\n";

TEST(RunCore, AnApprovalIsAnEventLikeOthers) {
  Driven run{approved_load};
  run.succeed("make a");
  EXPECT_EQ(run.state(1), JobState::awaiting);
  EXPECT_EQ(run.core.awaiting(), 1U);
  EXPECT_EQ(run.again().next_deadline(), run.core.next_deadline());
  EXPECT_THAT(
      run.core.apply(RunAnswered{"load", {.who = "ada"}}, {}).error().what,
      HasSubstr("input \"t\": it is required"));
  EXPECT_TRUE(run.tell(RunAnswered{
      "load", {.approved = true, .who = "ada", .inputs = {{"t", "7"}}}}));
  EXPECT_THAT(run.lines_running(), ElementsAre("load 7 ada"));
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
  const auto& approval = run.core.instances()[1].approval;
  ASSERT_TRUE(approval && approval->answer);
  EXPECT_EQ(approval->prompt, "sure?");
  EXPECT_EQ(approval->answer->who, "ada");
}

TEST(RunCore, AnApprovalHoldsForRetriesAndARejectionDoesNot) {
  Driven run{approved_load};
  run.succeed("make a");
  run.tell(RunAnswered{"load", {.approved = false, .who = "bob"}});
  EXPECT_EQ(run.core.state(), RunState::failed);
  run.tell(RunRetried{});
  EXPECT_EQ(run.state(1), JobState::awaiting);
  run.tell(RunAnswered{
      "load", {.approved = true, .who = "ada", .inputs = {{"t", "7"}}}});
  run.fail("load 7 ada");
  run.tell(RunRetried{"a"});
  run.succeed("make a");
  EXPECT_THAT(run.lines_running(), ElementsAre("load 7 ada"));
  EXPECT_EQ(text_of(run.again()), text_of(run.core));
}

/// What is to be told by the news.
std::vector<std::string> told(RunCore& core, const RunNews& news) {
  const auto decision = core.apply(news, core.last_event() + 1s);
  std::vector<std::string> kinds;
  if (!decision || !*decision)
    return {"nothing has happened"};
  for (const workflow::NoticeOrder& order : (*decision)->notices)
    kinds.push_back(fmt::format(
        "{} {}{}", order.rule, to_string(order.notice.kind),
        order.condition == workflow::NoticeOrder::If::always ? "" : "?"));
  return kinds;
}

TEST(RunCore, WhatPeopleWantToHearIsAJobOfItsOwn) {
  auto made = RunCore::make(
      RunId{7},
      spec_of("name: etl\n"
              "jobs: { load: { approval: {}, run: x } }\n"
              "notify:\n"
              "  - { on: [start, approval], command: tell me }\n"
              "  - { on: [success, recovered], mail: a@b }\n"
              "  - { on: failure, webhook: 'http://chat:8080/x' }\n"));
  ASSERT_TRUE(made) << made.error().what;
  RunCore& core = *made;
  EXPECT_THAT(told(core, RunBegun{}), ElementsAre("0 start", "0 approval"));
  EXPECT_THAT(told(core, RunAnswered{"load", {.who = "ada"}}), IsEmpty());
  const StepKey step = core.running().begin()->first;
  const auto failed = core.apply(
      RunStepEnded{.step = step, .kind = OutcomeKind::failed}, WallTime{});
  ASSERT_TRUE(failed && *failed);
  ASSERT_EQ((*failed)->notices.size(), 1U);
  const auto notice = core.notice_job((*failed)->notices[0], 2, 0, "/bin/t");
  EXPECT_EQ(notice.job.request_id, "run/7/notify/2/0");
  const auto spec = queue::decode(notice.job.spec);
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->argv, ElementsAre("/bin/t", "deliver-notice", "webhook"));
  EXPECT_GT(spec->request.retry.attempts, 1U);
  EXPECT_EQ(spec->request.spec.time_limit, 10s);
  const std::map<std::string, std::string> variables{
      spec->request.spec.env.begin(), spec->request.spec.env.end()};
  EXPECT_EQ(variables.at("TROUPE_NOTICE_TO"), "http://chat:8080/x");
  const Json json = Json::parse(variables.at("TROUPE_NOTICE"));
  EXPECT_EQ(json["event"], "failure");
  EXPECT_EQ(json["failed_job"], "load");
  EXPECT_EQ(json["text"], "run r7 of etl has failed: load");
  // What it was approved for before, it is not asked for again.
  EXPECT_THAT(told(core, RunRetried{}), ElementsAre("0 start"));
  EXPECT_THAT(told(core, RunStepEnded{.step = core.running().begin()->first}),
              ElementsAre("1 recovered"));
}

TEST(RunCore, ARecoveryDependsOnTheRunBefore) {
  auto made = RunCore::make(
      RunId{7}, spec_of("jobs: { a: { run: x } }\n"
                        "notify: [{ on: [success, recovered], command: x }, "
                        "{ on: success, command: y }]\n"));
  ASSERT_TRUE(made) << made.error().what;
  EXPECT_THAT(told(*made, RunBegun{}), IsEmpty());
  EXPECT_THAT(told(*made, RunStepEnded{.step = {0, 1, 0, 0}}),
              ElementsAre("0 recovered?", "0 success?", "1 success"));
}

TEST(RunSpec, IsTheSameAfterTheStore) {
  RunSpec spec = spec_of(chain);
  spec.inputs = {{"b", "1"}, {"a", "2"}};
  spec.only_job = "b";
  spec.max_parallel = 3;
  spec.group = "night";
  spec.today = "2024-05-01";
  spec.priority = store::Priority::high;
  spec.is_fresh = true;
  spec.actor = "ada";
  spec.dotenv = {{"A", "1"}, {"B", ""}};
  spec.file_hashes = {{{"a", "b/**"}, "00ff"}, {{"c"}, ""}};
  EXPECT_EQ(decode_run_spec(encode(spec)), spec);
  EXPECT_EQ(decode_run_spec("{}").error().code, Errc::corrupt);
}

TEST(RunNews, AreTheSameAfterTheStore) {
  const RunNews all[] = {
      RunBegun{},
      RunStepEnded{
          .step = {1, 2, 3, 4},
          .job = JobId{5},
          .kind = OutcomeKind::timed_out,
          .exit_status = 124,
          .attempts = 2,
          .took = 1500ms,
          .ended = WallTime{std::chrono::hours{7}},
          .why = "took too long",
          .causes = {{actors::CauseKind::exit_code, 3, "exited with 3"},
                     {actors::CauseKind::silence, 0, "was silent"}},
          .outputs = {{"b", "1\n"}, {"a", ""}}},
      RunTimePassed{},
      RunCancelled{},
      RunRetried{},
      RunRetried{"job"},
      RunAnswered{"load", {true, "ada", "", {{"ticket", "T 1"}}}},
      RunAnswered{"load", {false, "bob", "not today", {}}}};
  for (const RunNews& news : all)
    EXPECT_EQ(decode_run_news(encode(news)), news);
  EXPECT_EQ(decode_run_news("{\"event\":\"other\"}").error().code,
            Errc::corrupt);
}

TEST(RunSubmission, WhatIsUnknownOrMissingIsNamed) {
  const auto refusal = [](const char* text) {
    const auto read = run_from_json(Json::parse(text));
    return read ? "" : read.error().what;
  };
  EXPECT_THAT(refusal(R"({"request_id":"a"})"), HasSubstr("text: is missing"));
  EXPECT_THAT(refusal(R"({"request_id":"a","text":"x","inptus":{}})"),
              HasSubstr("did you mean \"inputs\"?"));
  EXPECT_THAT(refusal(R"({"text":"x"})"), HasSubstr("request id"));
  EXPECT_EQ(refusal(R"({"request_id":"a","text":"x","inputs":{"a":"b"}})"), "");
}

// -- Jobs that call other files -----------------------------------------------

RunSpec with_calls() {
  RunSpec spec = spec_of(
      "include: {lib: ./lib.yaml}\n"
      "jobs:\n"
      "  first: {run: first}\n"
      "  each: {needs: first, uses: lib, strategy: {matrix: {n: [1, 2]}}, "
      "with: {n: \"${{ matrix.n }}\"}}\n"
      "  last: {needs: each, run: last}\n");
  spec.files["/home/ada/lib.yaml"] =
      "jobs:\n"
      "  pull: {run: \"pull ${{ inputs.n }}\", outputs: {x: {from: stdout}}}\n"
      "  load: {needs: pull, run: \"load ${{ inputs.n }}\"}\n";
  return spec;
}

std::vector<std::string> labels(const RunCore& core) {
  std::vector<std::string> all;
  for (const InstanceView& instance : core.instances())
    all.push_back(instance.label);
  return all;
}

TEST(RunCoreCalls, TextsOfAllFilesAreKept) {
  const RunSpec spec = with_calls();
  const auto again = decode_run_spec(encode(spec));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, spec);
  RunSpec without = spec;
  without.files.clear();
  const auto core = RunCore::make(RunId{7}, without);
  ASSERT_FALSE(core);
  EXPECT_THAT(core.error().what,
              HasSubstr("etl.yaml:1:16: cannot read \"/home/ada/lib.yaml\": it "
                        "was not submitted with the run"));
}

TEST(RunCoreCalls, WhatANodeCannotDoIsRefusedInThemToo) {
  RunSpec spec = with_calls();
  spec.files["/home/ada/lib.yaml"] +=
      "secrets: { K: {} }\nenv: { K: \"${{ format('{0}', secrets.K) }}\" }\n";
  const auto core = RunCore::make(RunId{7}, spec);
  ASSERT_FALSE(core);
  EXPECT_EQ(core.error().code, Errc::unsupported);
}

TEST(RunCoreCalls, JobsThatAreCalledAreInstancesWithNeeds) {
  Driven run{with_calls()};
  run.succeed("first");
  EXPECT_THAT(
      labels(run.core),
      ElementsAre("first", "each (1)", "each (2)", "last", "each (1)/pull",
                  "each (1)/load", "each (2)/pull", "each (2)/load"));
  EXPECT_THAT(run.core.instances()[5].needs, ElementsAre("each/pull"));
  EXPECT_EQ(run.core.instances()[5].job, "each/load");
  run.succeed("pull 1");
  run.succeed("load 1");
  run.succeed("pull 2");
  EXPECT_EQ(labels(run.again()), labels(run.core));
  EXPECT_THAT(run.lines_running(), ElementsAre("load 2"));
  run.succeed("load 2");
  run.succeed("last");
  EXPECT_EQ(run.core.state(), RunState::succeeded);
}

TEST(RunCoreCalls, ARetryRunsInThemWhatHasNotSucceeded) {
  Driven run{with_calls()};
  run.succeed("first");
  run.succeed("pull 1");
  run.succeed("load 1");
  run.succeed("pull 2");
  run.fail("load 2");
  EXPECT_EQ(run.core.state(), RunState::failed);
  run.started.clear();
  ASSERT_TRUE(run.tell(RunRetried{}));
  EXPECT_THAT(run.started, ElementsAre("load 2"));
  run.succeed("load 2");
  run.succeed("last");
  EXPECT_EQ(run.core.state(), RunState::succeeded);
  EXPECT_EQ(run.again().state(), RunState::succeeded);
}

TEST(RunCoreCalls, ARetryFromAJobInThemRunsItAndWhatComesAfter) {
  Driven run{with_calls()};
  for (const char* const line :
       {"first", "pull 1", "load 1", "pull 2", "load 2", "last"})
    run.succeed(line);
  run.started.clear();
  ASSERT_TRUE(run.tell(RunRetried{"each/load"}));
  EXPECT_THAT(run.started, ElementsAre("load 1", "load 2"));
  run.succeed("load 1");
  run.succeed("load 2");
  run.succeed("last");
  run.started.clear();
  ASSERT_TRUE(run.tell(RunRetried{"each"}));
  EXPECT_THAT(run.started, ElementsAre("pull 1", "pull 2"));
  EXPECT_EQ(labels(run.again()), labels(run.core));
}

// -- Services ----------------------------------------------------------------

using service::Availability;

constexpr const char* with_services = R"(
services:
  children:
    db: { run: postgres, ready: { log: ready } }
    web: { run: "serve ${{ port.http }}" }
    unused: { run: sleep 9 }
jobs:
  a: { run: make a }
  b: { needs: [a, services.db], run: make b }
  c: { needs: [a, services.db, services.web], run: "make c ${{ port.http }}" }
)";

RunServicesTold told(std::uint64_t from,
                     std::vector<service::AvailabilityChange> changes,
                     std::uint32_t attempt = 1) {
  return {0, JobId{101}, attempt, from, std::move(changes)};
}

service::AvailabilityChange up(const char* service) {
  return {service, Availability::up, {}};
}

class DrivenWithServices : public Driven {
 public:
  explicit DrivenWithServices(std::string text = with_services)
      : Driven{[&] {
          RunSpec spec = spec_of(std::move(text));
          spec.ports = {{"http", "4711"}};
          return spec;
        }()} {}

  /// That of the queue which runs the services is over.
  void end_services(const char* why) {
    const StepKey key = StepKey::of_services(0);
    tell(RunStepEnded{.step = key,
                      .job = core.running().at(key).job,
                      .kind = OutcomeKind::failed,
                      .exit_status = 1,
                      .attempts = 1,
                      .why = why});
  }
};

TEST(ServicesOfARun, StartWithTheFirstJobThatNeedsThem) {
  DrivenWithServices run;
  EXPECT_FALSE(run.core.services());
  run.succeed("make a");
  ASSERT_TRUE(run.core.services());
  EXPECT_THAT(run.core.services()->states,
              ElementsAre(Pair("db", ::testing::_), Pair("web", ::testing::_)));
  EXPECT_THAT(run.lines_running(), ElementsAre("services"));
}

TEST(ServicesOfARun, AreRunByAJobInAGroupOfTheirOwn) {
  DrivenWithServices run;
  run.succeed("make a");
  const store::NewJob job =
      run.core.services_job("/usr/bin/troupe", "/run/node.sock", "/srv/logs");
  EXPECT_EQ(job.group, services_group);
  EXPECT_EQ(job.run, RunId{7});
  const auto spec = queue::decode(job.spec);
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->argv, ElementsAre("/usr/bin/troupe", "run-services", "r7",
                                      "0", "/srv/logs/r7"));
  EXPECT_THAT(spec->request.spec.env,
              ::testing::Contains(Pair("TROUPE_SOCKET", "/run/node.sock")));
}

TEST(ServicesOfARun, LetJobsStartOnceTheyAreUp) {
  DrivenWithServices run;
  run.succeed("make a");
  EXPECT_TRUE(run.tell(told(0, {up("db")})));
  EXPECT_THAT(run.lines_running(), ElementsAre("services", "make b"));
  EXPECT_TRUE(run.tell(told(1, {up("web")})));
  EXPECT_THAT(run.lines_running(),
              ElementsAre("services", "make b", "make c 4711"));
}

TEST(ServicesOfARun, TellTheSameTwiceWithoutAnEffect) {
  DrivenWithServices run;
  run.succeed("make a");
  EXPECT_TRUE(run.tell(told(0, {up("db")})));
  EXPECT_FALSE(run.tell(told(0, {up("db")})));
  // What comes behind it is new.
  EXPECT_TRUE(run.tell(told(0, {up("db"), up("web")})));
  EXPECT_THAT(run.lines_running(),
              ElementsAre("services", "make b", "make c 4711"));
}

TEST(ServicesOfARun, LeaveNoChangeOut) {
  DrivenWithServices run;
  run.succeed("make a");
  EXPECT_FALSE(run.core.apply(told(1, {up("web")}), {}));
}

TEST(ServicesOfARun, AreDownAgainWithAnotherAttempt) {
  DrivenWithServices run;
  run.succeed("make a");
  run.tell(told(0, {up("db"), up("web")}));
  run.tell(told(0, {up("web")}, 2));
  EXPECT_EQ(run.core.services()->states.at("db").state, Availability::down);
  EXPECT_EQ(run.core.services()->states.at("web").state, Availability::up);
  // What the attempt before says late is of no interest.
  EXPECT_FALSE(run.core.apply(told(2, {up("db")}), {}));
}

TEST(ServicesOfARun, AreTheSameAfterARestartOfTheNode) {
  DrivenWithServices run;
  run.succeed("make a");
  run.tell(told(0, {up("db")}));
  const RunCore again = run.again();
  EXPECT_EQ(again.services()->told, 1U);
  EXPECT_EQ(again.services()->states.at("db").state, Availability::up);
  EXPECT_TRUE(again.running().contains(StepKey::of_services(0)));
}

TEST(ServicesOfARun, EndWithIt) {
  DrivenWithServices run;
  run.succeed("make a");
  run.tell(told(0, {up("db"), up("web")}));
  run.succeed("make b");
  EXPECT_THAT(run.cancelled, IsEmpty());
  run.succeed("make c 4711");
  EXPECT_THAT(run.cancelled, ElementsAre("services"));
  EXPECT_EQ(run.core.state(), RunState::succeeded);
  EXPECT_THAT(run.lines_running(), IsEmpty());
  EXPECT_FALSE(run.core.apply(told(2, {up("db")}), {}));
}

TEST(ServicesOfARun, FailTheJobsThatNeedThemWhenTheyAreLost) {
  DrivenWithServices run;
  run.succeed("make a");
  run.tell(told(0, {up("db"), up("web")}));
  run.tell(told(2, {{"web", Availability::lost, "it has given up"}}));
  EXPECT_THAT(run.cancelled, ElementsAre("make c 4711"));
  run.end("make c 4711", OutcomeKind::cancelled);
  EXPECT_EQ(run.state(2), JobState::failed);
  EXPECT_THAT(run.core.instances()[2].reason, HasSubstr("it has given up"));
  run.succeed("make b");
  EXPECT_EQ(run.core.state(), RunState::failed);
}

TEST(ServicesOfARun, AreLostWithWhatRunsThem) {
  DrivenWithServices run;
  run.succeed("make a");
  run.tell(told(0, {{"web", Availability::lost, "no disk"}}));
  EXPECT_THAT(run.core.instances()[2].reason, HasSubstr("no disk"));
  run.end_services("exited with 1");
  EXPECT_EQ(run.state(1), JobState::failed);
  EXPECT_THAT(run.core.instances()[1].reason,
              HasSubstr("what has run the services: exited with 1"));
  EXPECT_EQ(run.core.state(), RunState::failed);
}

TEST(ServicesOfARun, StartAnewWithARetry) {
  DrivenWithServices run;
  run.succeed("make a");
  run.end_services("exited with 1");
  ASSERT_EQ(run.core.state(), RunState::failed);
  run.tell(RunRetried{});
  EXPECT_THAT(run.lines_running(), ElementsAre("services"));
  EXPECT_EQ(run.core.services()->key, StepKey::of_services(1));
  EXPECT_FALSE(run.core.apply(told(0, {up("db")}), {}));
  EXPECT_TRUE(run.tell(RunServicesTold{1, JobId{9}, 1, 0, {up("db")}}));
  EXPECT_THAT(run.lines_running(), ElementsAre("services", "make b"));
}

TEST(ServicesOfARun, ThatNoJobNeedsAreNotStarted) {
  DrivenWithServices run{R"(
services: { children: { db: { run: postgres } } }
jobs: { a: { run: make a } }
)"};
  run.succeed("make a");
  EXPECT_FALSE(run.core.services());
  EXPECT_EQ(run.core.state(), RunState::succeeded);
}

TEST(ServicesOfARun, AreToldAsJson) {
  const RunServicesTold said{
      2,
      JobId{9},
      3,
      4,
      {up("db"), {"web", Availability::lost, "no \"disk\""}}};
  const auto read = services_from_json(to_json(said));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(*read, said);
  const auto news = decode_run_news(encode(RunNews{said}));
  ASSERT_TRUE(news);
  EXPECT_EQ(std::get<RunServicesTold>(*news), said);
}

TEST(ServicesOfARun, AreNotReadFromSomethingElse) {
  const auto wrong = [](const char* text) {
    const auto read = services_from_json(Json::parse(text));
    return read ? std::string{} : read.error().what;
  };
  EXPECT_EQ(wrong(R"({"round":0,"from":0,"changes":[]})"),
            "attempt: is missing");
  EXPECT_EQ(wrong(R"({"attempt":1,"changes":{}})"), "changes: expected a list");
  EXPECT_EQ(
      wrong(R"({"attempt":1,"changes":[{"service":"db","state":"ready"}]})"),
      "changes.state: expected down, up or lost");
}

}  // namespace
}  // namespace troupe::node
