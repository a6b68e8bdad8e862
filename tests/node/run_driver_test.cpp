// The actor that drives runs: what it does to the store, and what is left of
// that when it dies.
#include "actor_test.hpp"
#include "fake_store_access.hpp"
#include "run_driver_actor.hpp"
#include "temp_dir.hpp"

#include <troupe/process/output_record.hpp>
#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/queue/spread.hpp>
#include <troupe/store/model_store.hpp>

#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <set>

namespace troupe::node {
namespace {

struct Bear {
  std::function<actors::ActorRef(actors::Actor*)> make;
};
struct Born {
  actors::ActorRef actor;
};

}  // namespace
}  // namespace troupe::node

TROUPE_LOCAL_MESSAGE(troupe::node::Bear)
TROUPE_LOCAL_MESSAGE(troupe::node::Born)

namespace troupe::node {
namespace {

using store::JobId;
using store::RunId;
using store::RunState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Nursery {
 public:
  explicit Nursery(actors::Actor* self) : self_{self} {}
  actors::Behavior make_behavior() {
    return {[this](const Bear& m) {
      send(self_, sender_of(self_), Born{m.make(self_)});
    }};
  }

 private:
  actors::Actor* self_;
};

/// Remembers what a dispatcher is told.
struct Told {
  int work = 0;
  std::vector<store::AttemptRef> stopped;
};

constexpr const char* chain = R"(
name: chain
jobs:
  a: { run: make a }
  b: { needs: [a], run: make b }
)";

class RunDriverTest : public actors::ActorTest {
 protected:
  RunDriverTest() {
    EXPECT_TRUE(access.store.open_session(session));
    EXPECT_TRUE(access.store.set_group({.name = "default", .slots = 100}));
    nursery = spawn<Nursery>();
  }
  ~RunDriverTest() override { nursery = nullptr; }

  actors::ActorRef start() {
    const auto deps = std::make_shared<const RunDriverDeps>(RunDriverDeps{
        .store = access,
        .output_folder = folder.path(),
        .on_work = [this] { ++told.work; },
        .stop_tasks =
            [this](const std::vector<store::AttemptRef>& attempts) {
              told.stopped.insert(told.stopped.end(), attempts.begin(),
                                  attempts.end());
            },
        .on_change = [](JobId) {},
        .on_recorded = [this] { ++recorded; },
        .on_outputs_read = [this](const std::string& p) { read.push_back(p); },
        .on_runs_expired =
            [this](const std::vector<RunId>& runs) {
              expired.insert(expired.end(), runs.begin(), runs.end());
            },
        .wall_now = [this] { return wall_now(); },
        .socket = socket,
        .home = home,
        .session = session});
    const Bear bear{[deps](actors::Actor* parent) {
      return spawn_run_driver(parent, deps, RunThread::shared);
    }};
    return adopt(ask<Born>(nursery, bear)->actor);
  }

  Result<Json> submit(const actors::ActorRef& driver, const char* text,
                      const std::string& request = "r") {
    auto submission = std::make_shared<RunSubmission>();
    submission->run.request_id = request;
    submission->spec.file = "/w.yaml";
    submission->spec.text = text;
    submission->spec.folder = "/";
    Result<Json> answer = failure(Errc::internal, "no answer");
    tell(driver, SubmitRun{submission, [&](Result<Json> json) {
                             answer = std::move(json);
                           }});
    return answer;
  }

  Result<void> change(const actors::ActorRef& driver, const RunNews& news,
                      RunId which = RunId{1}) {
    Result<void> answer = failure(Errc::internal, "no answer");
    tell(driver, ChangeRun{which, news,
                           [&](Result<void> did) { answer = std::move(did); }});
    return answer;
  }

  Json show(const actors::ActorRef& driver) { return show(driver, run); }
  Json show(const actors::ActorRef& driver, RunId which) {
    Result<Json> answer = failure(Errc::internal, "no answer");
    tell(driver, AskRun{which, {}, [&](Result<Json> json) {
                          answer = std::move(json);
                        }});
    EXPECT_TRUE(answer) << answer.error().what;
    return answer.value_or(Json());
  }

  /// Ends the job as a dispatcher does.
  void end(JobId job, store::Outcome outcome) {
    const std::string resources = access.store.job(job)->job.resources;
    const auto claims =
        access.store.claim(session, {"default", resources}, 100);
    for (const store::Claim& claim : *claims)
      claimed[claim.attempt.task.job] = claim.attempt;
    const store::Completion completion{.attempt = claimed.at(job),
                                       .outcome = outcome};
    EXPECT_TRUE(access.store.complete(session, {&completion, 1}, wall_now()));
  }
  void end(const actors::ActorRef& driver, JobId job, store::Outcome outcome) {
    end(job, outcome);
    tell(driver, RunJobChanged{job});
  }

  [[nodiscard]] std::vector<std::string> jobs() {
    std::vector<std::string> names;
    const auto found = access.store.jobs({.run = run}, 100);
    for (const store::JobInfo& job : *found)
      names.insert(names.begin(), job.job.name);
    return names;
  }
  RunState state() { return state(run); }
  RunState state(RunId which) { return access.store.run(which)->state; }
  [[nodiscard]] bool has_begun(RunId which) {
    return access.store.run(which)->events != 0;
  }

  testing::TempDir folder;
  queue::FakeStoreAccess access;
  const store::SessionId session{"mine"};
  const RunId run{1};
  Told told;
  actors::ActorRef nursery;
  std::map<JobId, store::AttemptRef> claimed;
  std::string home;    ///< Of drivers that are started.
  std::string socket;  ///< Likewise.
  int recorded = 0;
  std::vector<std::string> read;
  std::vector<RunId> expired;
};

TEST_F(RunDriverTest, StepsBecomeJobsOneAfterTheOther) {
  const auto driver = start();
  const auto submitted = submit(driver, chain);
  ASSERT_TRUE(submitted) << submitted.error().what;
  EXPECT_EQ((*submitted)["run"], 1);
  EXPECT_THAT(jobs(), ElementsAre("a"));
  EXPECT_EQ(told.work, 1);
  end(driver, JobId{1}, store::Outcome::success);
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  end(driver, JobId{2}, store::Outcome::success);
  EXPECT_EQ(state(), RunState::succeeded);
  EXPECT_EQ(recorded, 3);
  EXPECT_EQ(access.store.run(run)->counts, (store::RunCounts{2, 2, 0}));
}

TEST_F(RunDriverTest, ARunKeepsWhatEarlierRunsOfItsFileHaveTaught) {
  const auto driver = start();
  ASSERT_TRUE(submit(driver, chain));
  advance(5s);
  end(driver, JobId{1}, store::Outcome::success);
  end(driver, JobId{2}, store::Outcome::failed);
  EXPECT_TRUE(
      decode_run_spec(access.store.run(run)->run.spec)->estimates.empty());
  ASSERT_TRUE(submit(driver, chain, "again"));
  const auto spec = decode_run_spec(access.store.run(RunId{2})->run.spec);
  ASSERT_TRUE(spec);
  EXPECT_THAT(spec->estimates.steps(),
              ElementsAre(::testing::Pair(workflow::Estimates::Key{"a", "run"},
                                          workflow::StepEstimate{5s})));
}

TEST_F(RunDriverTest, ASuccessorGoesOnAndSubmitsNothingTwice) {
  auto driver = start();
  ASSERT_TRUE(submit(driver, chain));
  actors::kill(driver);
  settle();
  // It ends while nobody looks.
  end(JobId{1}, store::Outcome::success);
  driver = start();
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  actors::kill(driver);
  settle();
  driver = start();
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  end(driver, JobId{2}, store::Outcome::failed);
  EXPECT_EQ(state(), RunState::failed);
  EXPECT_THAT(*access.store.events(run, 0, 9), SizeIs(3));
}

TEST_F(RunDriverTest, ARunThatWasKeptAndNotBegunBegins) {
  auto driver = start();
  ASSERT_TRUE(submit(driver, chain));
  const auto kept = access.store.run(run)->run;
  actors::kill(driver);
  settle();
  ASSERT_TRUE(access.store.open_run(
      {.request_id = "other", .name = "n", .spec = kept.spec}, wall_now()));
  driver = start();
  EXPECT_EQ(access.store.run(RunId{2})->events, 1U);
}

TEST_F(RunDriverTest, WhatTheStoreCannotTakeIsTriedAgain) {
  const auto driver = start();
  ASSERT_TRUE(submit(driver, chain));
  end(JobId{1}, store::Outcome::success);
  access.is_broken = true;
  tell(driver, RunJobChanged{JobId{1}});
  advance(2s);
  EXPECT_THAT(jobs(), ElementsAre("a"));
  access.is_broken = false;
  advance(1100ms);
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
}

TEST_F(RunDriverTest, ACancelledRunEndsItsJobs) {
  const auto driver = start();
  ASSERT_TRUE(submit(driver, R"(
jobs:
  a: { run: make a }
  b: { needs: [a], if: always(), run: make b }
)"));
  const auto claims = access.store.claim(session, {"default"}, 1);
  EXPECT_TRUE(change(driver, RunCancelled{}));
  EXPECT_THAT(told.stopped, ElementsAre((*claims)[0].attempt));
  claimed[JobId{1}] = (*claims)[0].attempt;
  end(driver, JobId{1}, store::Outcome::cancelled);
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  // Nobody has claimed this one: its end comes with the second request.
  EXPECT_TRUE(change(driver, RunCancelled{}));
  EXPECT_EQ(state(), RunState::cancelled);
  EXPECT_EQ(change(driver, RunCancelled{}).error().what,
            "run r1: it has ended");
}

TEST_F(RunDriverTest, AStepThatCannotBeSubmittedHasFailed) {
  const auto driver = start();
  EXPECT_TRUE(access.store.set_group({.name = "g"}));
  auto submission = std::make_shared<RunSubmission>();
  submission->run.request_id = "r";
  submission->spec.text = chain;
  submission->spec.group = "g";
  tell(driver, SubmitRun{submission, [](const Result<Json>&) {}});
  const auto claims = access.store.claim(session, {"g"}, 1);
  claimed[JobId{1}] = (*claims)[0].attempt;
  end(JobId{1}, store::Outcome::success);
  EXPECT_TRUE(access.store.remove_group("g"));
  tell(driver, RunJobChanged{JobId{1}});
  EXPECT_EQ(state(), RunState::failed);
  EXPECT_EQ(show(driver)["instances"][1]["steps"][0]["reason"],
            "cannot be submitted: no group g");
}

TEST_F(RunDriverTest, AnEndedRunIsShownAndRetried) {
  const auto driver = start();
  ASSERT_TRUE(submit(driver, chain));
  end(driver, JobId{1}, store::Outcome::success);
  end(driver, JobId{2}, store::Outcome::failed);
  EXPECT_EQ(show(driver)["state"], "failed");
  EXPECT_TRUE(change(driver, RunRetried{}));
  EXPECT_EQ(state(), RunState::running);
  EXPECT_THAT(jobs(), ElementsAre("a", "b", "b"));
  end(driver, JobId{3}, store::Outcome::success);
  EXPECT_EQ(state(), RunState::succeeded);
  EXPECT_EQ(show(driver)["instances"][1]["steps"].size(), 2U);
}

TEST_F(RunDriverTest, OutputsAreReadBeforeTheirFileIsGivenUp) {
  const auto driver = start();
  ASSERT_TRUE(submit(driver, R"(
jobs:
  a:
    steps:
      - { id: s, run: make a }
      - { run: "echo ${{ steps.s.outputs.x }}" }
)"));
  const std::string path =
      queue::outputs_path(folder.path(), {{JobId{1}, 0}, 1});
  std::filesystem::create_directories(
      std::filesystem::path{path}.parent_path());
  folder.write(path.substr(folder.path().size() + 1), "x=it's\n");
  end(driver, JobId{1}, store::Outcome::success);
  EXPECT_THAT(read, ElementsAre(path));
  EXPECT_EQ(show(driver)["instances"][0]["steps"][1]["name"],
            "echo 'it'\\''s'");
}

TEST_F(RunDriverTest, WhatIsPrintedIsReadFromTheRecord) {
  const auto driver = start();
  ASSERT_TRUE(submit(driver, R"(
jobs:
  a: { run: make a, outputs: { x: { json: .x } } }
  b: { needs: a, run: "echo ${{ jobs.a.outputs.x }}" }
)"));
  const std::string path =
      queue::record_path(folder.path(), {{JobId{1}, 0}, 1});
  std::filesystem::create_directories(
      std::filesystem::path{path}.parent_path());
  std::string record = process::record_header();
  const auto add = [&](process::RecordKind kind, std::string_view bytes) {
    const process::RecordFrame frame{.kind = kind, .bytes = bytes};
    record += process::record_frame_header(frame);
    record += bytes;
  };
  add(process::RecordKind::out, "{\"x\": ");
  add(process::RecordKind::err, "noise\n");
  add(process::RecordKind::out, "\"it's\"}\n");
  folder.write(path.substr(folder.path().size() + 1), record);
  end(driver, JobId{1}, store::Outcome::success);
  EXPECT_EQ(show(driver)["instances"][1]["steps"][0]["name"],
            "echo 'it'\\''s'");
}

TEST_F(RunDriverTest, ALimitPassesByTheCalendar) {
  const auto driver = start();
  ASSERT_TRUE(
      submit(driver, "jobs: { a: { run: x, timeout: { total: 1h } } }"));
  const auto claims = access.store.claim(session, {"default"}, 1);
  advance(59min);
  EXPECT_THAT(told.stopped, IsEmpty());
  advance(2min);
  EXPECT_THAT(told.stopped, ElementsAre((*claims)[0].attempt));
}

TEST_F(RunDriverTest, ARunThatThisVersionDoesNotUnderstandCanBeCancelled) {
  auto driver = start();
  ASSERT_TRUE(submit(driver, chain));
  actors::kill(driver);
  settle();
  EXPECT_TRUE(access.store.add_event(run, {1, "{\"event\":\"new\"}", {}},
                                     RunState::running, {2, 0, 0}));
  driver = start();
  EXPECT_EQ(change(driver, RunRetried{}).error().code, Errc::corrupt);
  EXPECT_EQ(state(), RunState::running);
  EXPECT_TRUE(change(driver, RunCancelled{}));
  EXPECT_EQ(state(), RunState::cancelled);
  EXPECT_EQ(access.store.job(JobId{1})->state, store::JobState::cancelled);
}

constexpr const char* alone = R"(
concurrency: { group: etl, limit: 1, queue: 2 }
jobs: { a: { run: make a } }
hooks: { on-exit: make tidy }
)";

TEST_F(RunDriverTest, ARunWaitsForItsConcurrencyGroupAlsoAcrossDrivers) {
  auto driver = start();
  for (const char* const request : {"r1", "r2", "r3"})
    ASSERT_TRUE(submit(driver, alone, request));
  EXPECT_TRUE(has_begun(RunId{1}));
  EXPECT_FALSE(has_begun(RunId{2}));
  actors::kill(driver);
  settle();
  driver = start();
  EXPECT_FALSE(has_begun(RunId{2}));
  // The queue is full.
  ASSERT_TRUE(submit(driver, alone, "r4"));
  EXPECT_EQ(state(RunId{4}), RunState::failed);
  // Who waits may go, and its hooks do not run.
  EXPECT_TRUE(change(driver, RunCancelled{}, RunId{2}));
  EXPECT_EQ(state(RunId{2}), RunState::cancelled);
  EXPECT_THAT(jobs(), ElementsAre("a"));
  EXPECT_FALSE(has_begun(RunId{3}));
  end(driver, JobId{1}, store::Outcome::success);
  end(driver, JobId{2}, store::Outcome::success);
  EXPECT_EQ(state(RunId{1}), RunState::succeeded);
  EXPECT_TRUE(has_begun(RunId{3}));
  // A retry does not push in.
  const auto retried = change(driver, RunRetried{"a"});
  ASSERT_FALSE(retried);
  EXPECT_EQ(retried.error().what,
            "run r1: concurrency group \"etl\" is in use");
}

TEST_F(RunDriverTest, AGroupMaySkipFailOrReplaceRuns) {
  const auto driver = start();
  const auto with = [](const char* what) {
    return fmt::format(
        "concurrency: {{ group: g, on-conflict: {} }}\n"
        "jobs: {{ a: {{ run: make a }} }}",
        what);
  };
  ASSERT_TRUE(submit(driver, with("skip").c_str(), "r1"));
  ASSERT_TRUE(submit(driver, with("skip").c_str(), "r2"));
  EXPECT_EQ(state(RunId{2}), RunState::cancelled);
  ASSERT_TRUE(submit(driver, with("fail").c_str(), "r3"));
  EXPECT_EQ(state(RunId{3}), RunState::failed);
  ASSERT_TRUE(submit(driver, with("cancel-running").c_str(), "r4"));
  EXPECT_EQ(state(RunId{1}), RunState::cancelled);
  EXPECT_TRUE(has_begun(RunId{4}));
}

TEST_F(RunDriverTest, RunsThatTheWorkflowDoesNotKeepExpire) {
  const auto driver = start();
  for (const std::uint64_t number : {1U, 2U, 3U}) {
    ASSERT_TRUE(submit(driver,
                       "retention: { runs: 2 }\njobs: { a: { run: make a } }",
                       fmt::format("r{}", number)));
    EXPECT_THAT(expired, IsEmpty());
    end(driver, JobId{number}, store::Outcome::success);
  }
  EXPECT_THAT(expired, ElementsAre(RunId{1}));
}

TEST_F(RunDriverTest, AMistakeIsToldAndNothingIsKept) {
  const auto driver = start();
  EXPECT_EQ(submit(driver, "jobs: 7").error().code, Errc::invalid_argument);
  EXPECT_THAT(*access.store.runs({}, 9), IsEmpty());
}

constexpr const char* single =
    "concurrency: { group: g }\njobs: { a: { run: make a } }";

class SharedRunsTest : public RunDriverTest {
 protected:
  actors::ActorRef start_at(const std::string& node) {
    home = node;
    return start();
  }
  void see(const actors::ActorRef& driver, std::set<std::string> live,
           bool falls_to_it = true,
           std::map<std::string, std::string> unaware = {}) {
    tell(driver, HomesSeen{std::move(live),
                           [falls_to_it](RunId) { return falls_to_it; },
                           std::move(unaware)});
  }
  std::size_t awaiting(const actors::ActorRef& driver) {
    std::size_t count = 0;
    tell(driver, AskAwaiting{{{run, access.store.run(run)->events}},
                             [&](const std::map<RunId, std::size_t>& counts) {
                               count = counts.at(run);
                             }});
    return count;
  }
  std::string resources(JobId job) {
    return access.store.job(job)->job.resources;
  }
  /// Ends the job at another node, which tells nobody.
  void end_at(const std::string& node, JobId job,
              const std::string& handed_on = R"({"outputs":[]})") {
    const std::string wanted = resources(job);
    const auto claims = access.store.claim(session, {"default", wanted}, 1);
    ASSERT_THAT(*claims, SizeIs(1));
    const store::Completion completion{
        .attempt = claims->front().attempt,
        .outcome = store::Outcome::success,
        .detail =
            fmt::format(R"({{"node":"{0}","home":"node-{0}","handed_on":{1}}})",
                        node, handed_on)};
    EXPECT_TRUE(access.store.complete(session, {&completion, 1}, wall_now()));
  }
};

constexpr const char* placed = R"(
jobs:
  a:
    runs-on: gpu
    steps:
      - { id: one, run: make a }
      - { run: "make b ${{ steps.one.outputs.x }}" }
)";

TEST_F(SharedRunsTest, AJobWithLabelsRunsElsewhereAndHandsOnWhatItHas) {
  const auto a = start_at("node-a");
  ASSERT_TRUE(submit(a, placed));
  EXPECT_EQ(resources(JobId{1}), "on-gpu=0.001");
  end_at("b", JobId{1}, R"({"outputs":[["x","7"]]})");
  EXPECT_THAT(jobs(), SizeIs(1));
  advance(1s);
  ASSERT_THAT(jobs(), SizeIs(2));
  EXPECT_EQ(resources(JobId{2}), "node-b=0.001");
  EXPECT_EQ(
      queue::text_of(*queue::decode(access.store.job(JobId{2})->job.spec)),
      "make b 7");
  end_at("b", JobId{2});
  advance(1s);
  EXPECT_EQ(state(), RunState::succeeded);
}

TEST_F(SharedRunsTest, VariantsThatAreSpreadWaitAtOneNodeEach) {
  const auto a = start_at("node-a");
  tell(a, PlacementSeen{.spreading =
                            [](const std::string& key, const auto& takes,
                               std::size_t most) {
                              EXPECT_EQ(key, "r1/a");
                              EXPECT_EQ(takes.text(), "cpu=1");
                              EXPECT_EQ(most, 3U);
                              return std::vector<std::uint32_t>{70, 9};
                            },
                        .shard_of =
                            [](const std::string& key) {
                              EXPECT_EQ(key, "west");
                              return 5U;
                            }});
  ASSERT_TRUE(submit(a,
                     "jobs:\n"
                     "  a:\n"
                     "    strategy: { matrix: { n: [1, 2, 3] } }\n"
                     "    placement: { spread: true }\n"
                     "    resources: { cpu: 1 }\n"
                     "    run: make a\n"
                     "  b: { placement: { key: west }, run: make b }\n"));
  std::vector<std::vector<std::uint32_t>> shards;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    const auto info = access.store.job(JobId{id});
    ASSERT_TRUE(info);
    shards.push_back(info->job.shards);
    const auto split = queue::split_spread(
        *flow_control::Resources::parse(info->job.resources));
    EXPECT_EQ(split.share, id < 4 ? 2U : 0U);
  }
  EXPECT_EQ(shards,
            (std::vector<std::vector<std::uint32_t>>{{70}, {9}, {70}, {5}}));
}

TEST_F(SharedRunsTest, SpreadVariantsWithOneKeyStayTogether) {
  const auto a = start_at("node-a");
  tell(a, PlacementSeen{.spreading = [](const auto&, const auto&, std::size_t) {
         return std::vector<std::uint32_t>{70, 9, 3};
       }});
  ASSERT_TRUE(submit(a,
                     "jobs:\n"
                     "  a:\n"
                     "    strategy: { matrix: { n: [1, 2, 3] } }\n"
                     "    placement: { key: west, spread: true }\n"
                     "    run: make a\n"));
  const auto shards = [this](std::uint64_t id) {
    return access.store.job(JobId{id})->job.shards;
  };
  EXPECT_THAT(shards(1), SizeIs(1));
  EXPECT_EQ(shards(1), shards(2));
  EXPECT_EQ(shards(1), shards(3));
  EXPECT_EQ(resources(JobId{1}), "");
}

TEST_F(SharedRunsTest, WhileNobodyKnowsWhoIsThereTheyWaitWhereAllLook) {
  const auto a = start_at("node-a");
  ASSERT_TRUE(
      submit(a, "jobs: { a: { placement: { spread: true }, run: make a } }\n"));
  EXPECT_THAT(access.store.job(JobId{1})->job.shards, ::testing::IsEmpty());
  EXPECT_EQ(resources(JobId{1}), "");
}

TEST_F(SharedRunsTest, WhatItHandsOnThatIsWrongFailsTheStep) {
  const auto a = start_at("node-a");
  ASSERT_TRUE(submit(a, placed));
  end_at("b", JobId{1}, R"({"error":"line 1: expected name=value"})");
  advance(1s);
  EXPECT_EQ(state(), RunState::failed);
  EXPECT_THAT(show(a).dump(),
              ::testing::HasSubstr("its outputs: line 1: expected name=value"));
}

TEST_F(SharedRunsTest, ANodeKnowsWhatHasBegunThere) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  const auto c = start_at("node-c");
  const auto begun = [this](const actors::ActorRef& driver) {
    Result<std::size_t> jobs = failure(Errc::internal, "no answer");
    tell(driver, AskBegun{[&](Result<std::size_t> n) { jobs = std::move(n); }});
    EXPECT_TRUE(jobs) << jobs.error().what;
    return jobs.value_or(99);
  };
  ASSERT_TRUE(submit(a, placed));
  EXPECT_EQ(begun(b), 0U);
  // It has ended there, and the home has not looked.
  end_at("b", JobId{1});
  EXPECT_EQ(begun(a), 0U);
  EXPECT_EQ(begun(b), 1U);
  EXPECT_EQ(begun(c), 0U);
  advance(1s);
  ASSERT_EQ(resources(JobId{2}), "node-b=0.001");
  // With what waits for it.
  EXPECT_EQ(begun(b), 2U);
  EXPECT_EQ(begun(a), 0U);
  see(b, {"node-a", "node-b"}, true, {{"node-a", "n1"}});
  EXPECT_EQ(begun(b), 1U) << "it cannot say what goes on";
  see(b, {"node-a", "node-b"});
  end_at("b", JobId{2});
  advance(1s);
  EXPECT_EQ(state(), RunState::succeeded);
  EXPECT_EQ(begun(b), 0U);
}

TEST_F(SharedRunsTest, AHomeKnowsWhatHasBegunThere) {
  const auto a = start_at("node-a");
  const auto begun = [&] {
    std::size_t jobs = 99;
    tell(a, AskBegun{[&](const Result<std::size_t>& n) { jobs = *n; }});
    return jobs;
  };
  ASSERT_TRUE(submit(a, R"(
jobs:
  a: { steps: [{ run: x }, { run: y }] }
  b: { needs: [a], run: z }
)"));
  EXPECT_EQ(begun(), 0U);
  const auto claims = access.store.claim(session, {"default", "node-a=1"}, 1);
  EXPECT_EQ(begun(), 1U);
  const store::Completion done{.attempt = claims->front().attempt,
                               .detail = R"({"home":"node-a"})"};
  EXPECT_TRUE(access.store.complete(session, {&done, 1}, wall_now()));
  EXPECT_EQ(begun(), 1U);
  tell(a, RunJobChanged{JobId{1}});
  EXPECT_EQ(begun(), 2U);
  end(a, JobId{2}, store::Outcome::success);
  // The next one has not begun, and may do so elsewhere.
  EXPECT_EQ(resources(JobId{3}), "node-a=1");
  EXPECT_EQ(begun(), 0U);
}

TEST_F(SharedRunsTest, ARunThatHasMovedIsTakenOverFromItsNewNode) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  const auto c = start_at("node-c");
  ASSERT_TRUE(submit(a, "jobs: { a: { run: make a } }"));
  see(c, {"node-a", "node-b", "node-c"});
  see(b, {"node-b", "node-c"});
  see(b, {"node-b", "node-c"});
  ASSERT_EQ(resources(JobId{1}), "node-b=1");
  // Its first node is back, and the second one is gone.
  see(c, {"node-a", "node-c"});
  EXPECT_EQ(resources(JobId{1}), "node-c=1");
}

TEST_F(SharedRunsTest, AJobThatEndsWithTheSessionBeforeEndsItsRun) {
  const store::SessionId before{"before"};
  ASSERT_TRUE(access.store.open_session(before));
  auto a = start_at("node-a");
  ASSERT_TRUE(submit(a, "jobs: { a: { run: make a } }"));
  ASSERT_THAT(*access.store.claim(before, {"default", "node-a=1"}, 1),
              SizeIs(1));
  actors::kill(a);
  a = start_at("node-a");
  EXPECT_TRUE(change(a, RunCancelled{}));
  EXPECT_EQ(state(), RunState::running);
  // As the node registers, and no dispatcher has had it.
  EXPECT_TRUE(access.store.end_session(before, wall_now()));
  advance(1s);
  EXPECT_EQ(state(), RunState::cancelled);
}

TEST_F(SharedRunsTest, AJobWhoseNodeIsGoneIsLostAfterAWhile) {
  const auto a = start_at("node-a");
  ASSERT_TRUE(submit(a, placed));
  see(a, {"node-a", "node-b"});
  end_at("b", JobId{1});
  advance(1s);
  ASSERT_EQ(resources(JobId{2}), "node-b=0.001");
  see(a, {"node-a"});
  advance(30s);
  see(a, {"node-a", "node-b"});  // It was started again.
  advance(50s);
  see(a, {"node-a"});
  advance(50s);
  see(a, {"node-a"});
  EXPECT_EQ(state(), RunState::running);
  advance(10s);
  see(a, {"node-a"});
  EXPECT_EQ(state(), RunState::failed);
  EXPECT_TRUE(access.store.job(JobId{2})->is_cancelled);
  EXPECT_THAT(show(a).dump(),
              ::testing::HasSubstr("its job has begun on b, which is gone"));
}

TEST_F(SharedRunsTest, AJobThatRunsElsewhereDoesNotMoveWithItsRun) {
  auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, placed));
  end_at("a", JobId{1});
  advance(1s);
  ASSERT_EQ(resources(JobId{2}), "node-a=0.001");
  actors::kill(a);
  settle();
  for (int looks = 0; looks < 3; ++looks)
    see(b, {"node-b"});
  EXPECT_EQ(resources(JobId{2}), "node-a=0.001");
  advance(1min);
  see(b, {"node-b"});
  EXPECT_EQ(state(), RunState::failed);
}

TEST_F(SharedRunsTest, ServicesOfARunThatMovesReachTheNodeThatGoesOn) {
  const char* const text =
      "services: { children: { db: { run: x } } }\n"
      "jobs: { a: { needs: [services.db], run: make a } }\n";
  socket = "/a.sock";
  auto a = start_at("node-a");
  socket = "/b.sock";
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, text));
  const auto spec = [this] { return access.store.job(JobId{1})->job.spec; };
  EXPECT_THAT(spec(), ::testing::HasSubstr("/a.sock"));
  actors::kill(a);
  settle();
  see(b, {"node-a", "node-b"});
  see(b, {"node-b"});
  EXPECT_EQ(resources(JobId{1}), "node-b=1");
  EXPECT_THAT(spec(), ::testing::HasSubstr("/b.sock"));
  EXPECT_THAT(spec(), ::testing::Not(::testing::HasSubstr("/a.sock")));
}

TEST_F(SharedRunsTest, WhatCannotRunElsewhereIsRefused) {
  const char* const text =
      "services: { children: { db: { run: x } } }\n"
      "jobs:\n"
      "  a: { needs: [services.db], runs-on: gpu, run: x }\n";
  const auto a = start_at("node-a");
  const auto refused = submit(a, text);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what,
              ::testing::HasSubstr("w.yaml:3:39: the job \"a\" uses services"));
  EXPECT_THAT(*access.store.runs({}, 9), IsEmpty());
  const auto alone = start_at("");
  EXPECT_TRUE(submit(alone, text));
}

TEST_F(SharedRunsTest, AComputedLabelThatIsNoneFailsItsJob) {
  const auto a = start_at("node-a");
  ASSERT_TRUE(
      submit(a, "jobs: { a: { runs-on: \"${{ 'a b' }}\", run: make a } }"));
  EXPECT_EQ(state(), RunState::failed);
  EXPECT_THAT(show(a).dump(),
              ::testing::HasSubstr("runs-on: expected a label"));
}

TEST_F(SharedRunsTest, ARunAndItsJobsStayWithTheNodeThatItWasSubmittedTo) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, chain));
  EXPECT_EQ(resources(JobId{1}), "node-a=1");
  see(b, {"node-a", "node-b"});
  end(JobId{1}, store::Outcome::success);
  tell(b, RunJobChanged{JobId{1}});
  EXPECT_THAT(jobs(), ElementsAre("a"));
  EXPECT_EQ(show(b)["state"], "running");
  tell(a, RunJobChanged{JobId{1}});
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  EXPECT_EQ(show(b)["state"], "running");
}

TEST_F(SharedRunsTest, ARunWhoseNodeIsGoneGoesOnElsewhere) {
  auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, chain));
  actors::kill(a);
  settle();
  see(b, {"node-a", "node-b"});
  see(b, {"node-b"}, /*falls_to_it=*/false);
  EXPECT_EQ(resources(JobId{1}), "node-a=1");
  see(b, {"node-b"});
  EXPECT_EQ(resources(JobId{1}), "node-b=1");
  end(b, JobId{1}, store::Outcome::success);
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  EXPECT_EQ(resources(JobId{2}), "node-b=1");
  // That one comes back, and leaves it alone.
  a = start_at("node-a");
  end(JobId{2}, store::Outcome::success);
  tell(a, RunJobChanged{JobId{2}});
  EXPECT_EQ(state(), RunState::running);
  tell(b, RunJobChanged{JobId{2}});
  EXPECT_EQ(state(), RunState::succeeded);
}

TEST_F(SharedRunsTest, WhatTheNodeBeforeHasBegunIsHeardOfWhenItEnds) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, chain));
  // It was evicted, and is back and at work before its run has moved.
  const auto claims = access.store.claim(session, {"default", "node-a=1"}, 1);
  ASSERT_THAT(*claims, SizeIs(1));
  see(b, {"node-a", "node-b"});
  see(b, {"node-b"});
  EXPECT_EQ(show(b)["state"], "running");
  const store::Completion completion{.attempt = claims->front().attempt,
                                     .outcome = store::Outcome::success};
  EXPECT_TRUE(access.store.complete(session, {&completion, 1}, wall_now()));
  tell(a, RunJobChanged{JobId{1}});
  EXPECT_THAT(jobs(), ElementsAre("a"));
  advance(2s);
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
}

TEST_F(SharedRunsTest, OneThatWasOvertakenLetsGo) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, chain));
  see(b, {"node-a", "node-b"});
  see(b, {"node-b"});  // What it cannot know: the other one is only cut off.
  end(JobId{1}, store::Outcome::success);
  tell(a, RunJobChanged{JobId{1}});
  EXPECT_THAT(jobs(), ElementsAre("a"));
  tell(b, RunJobChanged{JobId{1}});
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  EXPECT_THAT(*access.store.events(run, 0, 9), SizeIs(3));
  end(b, JobId{2}, store::Outcome::success);
  tell(a, RunJobChanged{JobId{2}});
  EXPECT_EQ(state(), RunState::succeeded);
}

TEST_F(SharedRunsTest, AConcurrencyGroupHoldsOverAllNodes) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, alone, "r1"));
  ASSERT_TRUE(submit(b, alone, "r2"));
  ASSERT_TRUE(submit(a, alone, "r3"));
  EXPECT_TRUE(has_begun(RunId{1}));
  EXPECT_FALSE(has_begun(RunId{2}));
  EXPECT_EQ(show(b, RunId{2})["awaits"],
            "waits for concurrency group \"etl\", which r1 is in");
  // The queue is full, wherever they wait.
  ASSERT_TRUE(submit(b, alone, "r4"));
  EXPECT_EQ(state(RunId{4}), RunState::failed);
  end(a, JobId{1}, store::Outcome::success);
  end(a, JobId{2}, store::Outcome::success);
  EXPECT_EQ(state(RunId{1}), RunState::succeeded);
  // It is not its turn, and the other node has not looked.
  EXPECT_FALSE(has_begun(RunId{2}));
  EXPECT_FALSE(has_begun(RunId{3}));
  advance(2s);
  EXPECT_TRUE(has_begun(RunId{2}));
  EXPECT_FALSE(has_begun(RunId{3}));
  const auto retried = change(a, RunRetried{"a"});
  ASSERT_FALSE(retried);
  EXPECT_EQ(retried.error().what,
            "run r1: concurrency group \"etl\" is in use");
  EXPECT_TRUE(change(a, RunCancelled{}, RunId{3}));
  end(b, JobId{3}, store::Outcome::success);
  end(b, JobId{4}, store::Outcome::success);
  EXPECT_EQ(state(RunId{2}), RunState::succeeded);
  // What was so long ago does not count.
  EXPECT_TRUE(change(a, RunRetried{"a"}));
}

class PlaceTakenTest : public SharedRunsTest,
                       public ::testing::WithParamInterface<int> {};

/// Another node lets a run begin after any number of calls of this one.
TEST_P(PlaceTakenTest, OneThatHasBegunMeanwhileKeepsItsPlace) {
  const auto a = start_at("node-a");
  access.is_slow = true;
  auto submission = std::make_shared<RunSubmission>();
  submission->run.request_id = "r1";
  submission->spec.file = "/w.yaml";
  submission->spec.text = single;
  submission->spec.folder = "/";
  tell(a, SubmitRun{submission, [](const Result<Json>&) {}});
  const auto pass = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      access.make_calls();
      settle();
    }
  };
  pass(GetParam());
  RunSpec theirs = submission->spec;
  theirs.home = "node-b";
  const RunId other =
      access.store
          .open_run({.request_id = "r2", .name = "w", .spec = encode(theirs)},
                    wall_now())
          ->run;
  const RunId ours{3 - other.value};
  const bool was_first = other != RunId{1} && has_begun(ours);
  EXPECT_TRUE(*access.store.add_event(
      other, {0, encode(RunNews{RunBegun{}}), wall_now()}, RunState::running,
      {}));
  pass(20);
  access.is_slow = false;
  advance(3s);
  EXPECT_EQ(has_begun(ours), was_first);
  if (was_first)
    return;
  EXPECT_EQ(show(a, ours)["awaits"],
            fmt::format("waits for concurrency group \"g\", which r{} is in",
                        other.value));
  EXPECT_TRUE(*access.store.add_event(
      other, {1, encode(RunNews{RunCancelled{}}), wall_now()},
      RunState::cancelled, {}));
  advance(2s);
  EXPECT_TRUE(has_begun(ours));
}
INSTANTIATE_TEST_SUITE_P(Calls, PlaceTakenTest, ::testing::Range(0, 9));

TEST_F(SharedRunsTest, ARunReplacesOneOfAnotherNode) {
  constexpr const char* replacing =
      "concurrency: { group: g, on-conflict: cancel-running }\n"
      "jobs: { a: { run: make a } }";
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, replacing, "r1"));
  ASSERT_TRUE(submit(b, replacing, "r2"));
  EXPECT_FALSE(has_begun(RunId{2}));
  advance(4s);
  EXPECT_EQ(state(RunId{1}), RunState::cancelled);
  EXPECT_TRUE(has_begun(RunId{2}));
  EXPECT_EQ(state(RunId{2}), RunState::running);
}

TEST_F(SharedRunsTest, OneThatWaitsForItsGroupBeginsElsewhereIfItsNodeIsGone) {
  auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(b, single, "r1"));
  ASSERT_TRUE(submit(a, single, "r2"));
  actors::kill(a);
  settle();
  see(b, {"node-a", "node-b"});
  see(b, {"node-b"});
  advance(2s);
  EXPECT_EQ(show(b, RunId{2})["awaits"],
            "waits for concurrency group \"g\", which r1 is in");
  EXPECT_TRUE(change(b, RunCancelled{}, RunId{1}));
  advance(2s);
  EXPECT_EQ(access.store.run(RunId{2})->events, 2U);
  EXPECT_EQ(show(b, RunId{2})["awaits"], "");
}

TEST_F(SharedRunsTest, ARunIsCancelledAtANodeThatDoesNotDriveIt) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, R"(
jobs:
  a: { run: make a }
  b: { needs: [a], if: always(), run: make b }
)"));
  const auto claims =
      access.store.claim(session, {"default", resources(JobId{1})}, 1);
  claimed[JobId{1}] = claims->front().attempt;
  ASSERT_TRUE(change(b, RunCancelled{}));
  // It is recorded, and who drives it has not looked.
  EXPECT_EQ(access.store.run(run)->events, 2U);
  EXPECT_THAT(told.stopped, IsEmpty());
  advance(1s);
  EXPECT_THAT(told.stopped, ElementsAre(claims->front().attempt));
  end(a, JobId{1}, store::Outcome::cancelled);
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  EXPECT_EQ(resources(JobId{2}), "node-a=1");
  ASSERT_TRUE(change(b, RunCancelled{}));
  advance(1s);
  EXPECT_EQ(state(), RunState::cancelled);
  EXPECT_EQ(change(b, RunCancelled{}).error().what, "run r1: it has ended");
}

TEST_F(SharedRunsTest, ARunThatIsCancelledElsewhereBeforeItBeginsIsOver) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, single, "r1"));
  ASSERT_TRUE(submit(a, single, "r2"));
  ASSERT_TRUE(submit(a, single, "r3"));
  ASSERT_TRUE(change(b, RunCancelled{}, RunId{2}));
  EXPECT_EQ(state(RunId{2}), RunState::cancelled);
  ASSERT_TRUE(change(b, RunCancelled{}, RunId{1}));
  // Its job waits, and is ended by the node that drives it.
  EXPECT_EQ(state(RunId{1}), RunState::running);
  advance(2s);
  EXPECT_EQ(state(RunId{1}), RunState::cancelled);
  EXPECT_TRUE(has_begun(RunId{3}));
}

TEST_F(SharedRunsTest, ARunIsRetriedAtANodeThatDoesNotDriveIt) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, chain));
  end(a, JobId{1}, store::Outcome::success);
  end(a, JobId{2}, store::Outcome::failed);
  ASSERT_EQ(state(), RunState::failed);
  advance(2s);
  ASSERT_TRUE(change(b, RunRetried{}));
  EXPECT_EQ(state(), RunState::running);
  EXPECT_EQ(change(b, RunRetried{}).error().what, "run r1: it has not ended");
  EXPECT_THAT(jobs(), ElementsAre("a", "b"));
  advance(1s);
  EXPECT_THAT(jobs(), ElementsAre("a", "b", "b"));
  EXPECT_EQ(resources(JobId{3}), "node-a=1");
  end(a, JobId{3}, store::Outcome::success);
  EXPECT_EQ(state(), RunState::succeeded);
}

TEST_F(SharedRunsTest, ARetryAtAnotherNodeTakesAPlaceInItsGroup) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, single, "r1"));
  end(a, JobId{1}, store::Outcome::failed);
  ASSERT_TRUE(change(b, RunRetried{}));
  advance(1s);
  EXPECT_EQ(state(), RunState::running);
  ASSERT_TRUE(submit(b, single, "r2"));
  EXPECT_FALSE(has_begun(RunId{2}));
  end(a, JobId{2}, store::Outcome::failed);
  EXPECT_EQ(state(), RunState::failed);
  advance(2s);
  ASSERT_TRUE(has_begun(RunId{2}));
  EXPECT_EQ(change(b, RunRetried{}).error().what,
            "run r1: concurrency group \"g\" is in use");
  advance(2s);
  EXPECT_EQ(state(), RunState::failed);
}

constexpr const char* asking = R"(
jobs:
  a: { approval: { prompt: sure }, run: make a }
)";

TEST_F(SharedRunsTest, ARunIsApprovedAtANodeThatDoesNotDriveIt) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, asking));
  EXPECT_EQ(awaiting(a), 1U);
  EXPECT_EQ(awaiting(b), 1U);
  const RunAnswered yes{"a", {.approved = true, .who = "ann"}};
  Result<void> answer = failure(Errc::internal, "no answer");
  const auto ask_b = [&](bool is_allowed) {
    tell(b, ChangeRun{run, RunAnswered{"a", {.approved = true}},
                      [&](Result<void> did) { answer = std::move(did); },
                      [=](const RunCore& core, RunNews& news) -> Result<void> {
                        EXPECT_EQ(core.workflow().jobs.size(), 1U);
                        std::get<RunAnswered>(news).answer.who = "ann";
                        if (is_allowed)
                          return {};
                        return failure(Errc::permission_denied, "not she");
                      }});
  };
  ask_b(false);
  EXPECT_EQ(answer.error().what, "not she");
  ask_b(true);
  ASSERT_TRUE(answer) << answer.error().what;
  // Nobody can say anything else any more, wherever.
  EXPECT_FALSE(change(b, RunAnswered{"a", {.approved = false, .who = "bob"}}));
  EXPECT_FALSE(change(a, RunAnswered{"a", {.approved = false, .who = "bob"}}));
  advance(1s);
  EXPECT_THAT(jobs(), ElementsAre("a"));
  EXPECT_EQ(resources(JobId{1}), "node-a=1");
  EXPECT_EQ(awaiting(a), 0U);
  EXPECT_EQ(awaiting(b), 0U);
  EXPECT_EQ(show(a)["instances"][0]["approval"]["answer"]["who"], "ann");
}

TEST_F(SharedRunsTest, WhatIsAskedAtTwoNodesAtOnceIsBothDone) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, R"(
jobs:
  a: { approval: { prompt: sure }, run: make a }
  b: { approval: { prompt: sure }, run: make b }
)"));
  advance(1s);
  access.is_slow = true;
  int done = 0;
  const auto answer = [&](const actors::ActorRef& driver, const char* job) {
    tell(driver,
         ChangeRun{run, RunAnswered{job, {.approved = true, .who = "ann"}},
                   [&](const Result<void>& did) {
                     ++done;
                     EXPECT_TRUE(did) << did.error().what;
                   }});
  };
  answer(b, "b");  // Is loaded there, and
  access.make_calls();
  settle();
  answer(a, "a");  // here it is at hand: whose event is first has its number.
  for (int i = 0; i < 10; ++i) {
    access.make_calls();
    settle();
  }
  access.is_slow = false;
  advance(2s);
  EXPECT_EQ(done, 2);
  EXPECT_THAT(jobs(), ::testing::UnorderedElementsAre("a", "b"));
  EXPECT_EQ(access.store.run(run)->events, 3U);
}

TEST_F(SharedRunsTest, WhoseNodeDoesNotLookIsToBeAskedThere) {
  const auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, chain));
  see(b, {"node-a", "node-b"}, true, {{"node-a", "n1"}});
  EXPECT_EQ(change(b, RunCancelled{}).error().what,
            "run r1: n1 drives it, whose version does not see what is asked at "
            "other nodes; ask that one, or upgrade it");
  EXPECT_EQ(access.store.run(run)->events, 1U);
}

TEST_F(SharedRunsTest, ARunOfANodeThatIsGoneIsChangedAtAnyOther) {
  auto a = start_at("node-a");
  const auto b = start_at("node-b");
  ASSERT_TRUE(submit(a, chain));
  end(a, JobId{1}, store::Outcome::failed);
  ASSERT_EQ(state(), RunState::failed);
  actors::kill(a);
  settle();
  see(b, {"node-b"}, /*falls_to_it=*/false);
  ASSERT_TRUE(change(b, RunRetried{}));
  EXPECT_THAT(jobs(), ElementsAre("a", "a"));
  EXPECT_EQ(resources(JobId{2}), "node-b=1");
  ASSERT_TRUE(change(b, RunCancelled{}));
}

}  // namespace
}  // namespace troupe::node
