#include "actor_test.hpp"
#include "fake_command_runner.hpp"
#include "fake_store_access.hpp"
#include "temp_dir.hpp"

#include <troupe/queue/dispatcher_actor.hpp>
#include <troupe/queue/job_spec.hpp>
#include <troupe/store/model_store.hpp>

#include <functional>
#include <gmock/gmock.h>
#include <utility>

namespace troupe::queue {
namespace {

struct Bear {
  std::function<actors::ActorRef(actors::Actor*)> make;
};
struct Born {
  actors::ActorRef actor;
};

}  // namespace
}  // namespace troupe::queue

TROUPE_LOCAL_MESSAGE(troupe::queue::Bear)
TROUPE_LOCAL_MESSAGE(troupe::queue::Born)

namespace troupe::queue {
namespace {

using process::AttemptId;
using store::AttemptRef;
using store::JobId;
using store::Outcome;
using store::TaskState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
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

class DispatcherTest : public actors::ActorTest {
 protected:
  DispatcherTest() {
    EXPECT_TRUE(access.store.open_session(session));
    EXPECT_TRUE(access.store.set_group({.name = "default", .slots = 2}));
    nursery = spawn<Nursery>();
  }

  actors::ActorRef start() {
    const auto deps = std::make_shared<const DispatcherDeps>(DispatcherDeps{
        .store = access,
        .runner = runner,
        .session = session,
        .dispatch = {.capacity = capacity},
        .governor = {.max_running = 100},
        .output_folder = folder.path(),
        .environment = {{"PATH", "/bin"}, {"HOME", "/home/ada"}},
        .store_pace = store_pace,
        .list_every = list_every,
        .adopted = adopted,
        .has_taken_over = has_taken_over,
        .on_change = [](JobId) {},
        .on_recorded = [](const AttemptRef&) {},
        .find_texts =
            [this](const std::string&, const std::vector<std::string>& texts,
                   const std::function<void(std::vector<bool>)>& done) {
              looked_for = texts;
              tell_texts = done;
            },
        .sample =
            [this] {
              ++samples;
              return flow_control::MachineSample{};
            },
        .has_disk_space = [this] { return has_space; },
        .wall_now = [this] { return wall_now(); },
        .boot_now = [this] { return boot_now(); },
        .words = {{"program", "/here/troupe"}},
        .member = member});
    const Bear bear{[deps](actors::Actor* parent) {
      return spawn_dispatcher(parent, deps);
    }};
    return adopt(ask<Born>(nursery, bear)->actor);
  }

  /// Runs with the wall clock.
  BootTime boot_now() { return BootTime{wall_now().time_since_epoch()}; }

  JobId submit(std::uint64_t tasks, const std::string& command = "true",
               store::NewJob job = {}) {
    return submit_spec(
        *command_from_json(Json{{"words", {command}}, {"retries", 1}}), tasks,
        std::move(job));
  }
  JobId submit_spec(const JobSpec& spec, std::uint64_t tasks,
                    store::NewJob job = {}) {
    job.request_id = std::to_string(++requests);
    job.spec = encode(spec);
    const JobId id = access.store.open_job(job, wall_now())->job;
    EXPECT_TRUE(access.store.append_range(id, 0, tasks));
    EXPECT_TRUE(access.store.seal(id, wall_now()));
    return id;
  }
  void submit_to(const actors::ActorRef& dispatcher, std::uint64_t tasks) {
    submit(tasks);
    tell(dispatcher, WorkArrived{});
  }

  /// The dispatcher claims what waits, and does not get the answer.
  void claim_unseen(const actors::ActorRef& dispatcher) {
    access.is_slow = true;
    tell(dispatcher, WorkArrived{});
    access.make_call();
    settle();
    access.loses_answers = true;
    access.make_call();
    settle();
    access.loses_answers = false;
    access.is_slow = false;
  }

  static AttemptId id_of(JobId job, std::uint64_t index,
                         std::uint32_t attempt = 1) {
    return to_attempt_id({{job, index}, attempt});
  }
  void exit(const AttemptId& id, int code) {
    runner.exit(id, code);
    settle();
  }
  store::TaskInfo task(JobId job, std::uint64_t index = 0) {
    return *access.store.task({job, index});
  }
  store::JobState state(JobId job) { return access.store.job(job)->state; }

  testing::TempDir folder;
  FakeStoreAccess access;
  process::FakeCommandRunner runner;
  store::SessionId session{"session"};
  std::set<AttemptId> adopted;
  std::shared_ptr<std::atomic<bool>> has_taken_over =
      std::make_shared<std::atomic<bool>>(false);
  Duration store_pace{0};
  Duration list_every{0};
  bool has_space = true;
  int samples = 0;
  std::vector<std::string> looked_for;
  std::function<void(std::vector<bool>)> tell_texts;
  std::optional<MemberDeps> member;
  flow_control::Resources capacity;
  actors::ActorRef nursery;
  int requests = 0;
};

TEST_F(DispatcherTest, CommandsHaveTheEnvironmentOfTheirJobOrThatForAll) {
  const auto dispatcher = start();
  const JobId silent =
      submit_spec(*command_from_json(Json{{"words", {"true"}}}), 1);
  const JobId own = submit_spec(
      *command_from_json(Json{{"words", {"true"}}, {"env", {{"A", "1"}}}}), 1);
  tell(dispatcher, WorkArrived{});
  const auto names_of = [&](JobId job) {
    const process::CommandSpec& spec = runner.spec_of(id_of(job, 0));
    EXPECT_TRUE(spec.clear_env) << "it would have all of ours";
    std::set<std::string> names;
    for (const auto& [name, value] : spec.env) {
      if (!name.starts_with("TROUPE_"))
        names.insert(name);
    }
    return names;
  };
  EXPECT_THAT(names_of(silent), ElementsAre("HOME", "PATH"));
  EXPECT_THAT(names_of(own), ElementsAre("A"));
}

TEST_F(DispatcherTest, StartsWhatWaitsAndRecordsHowItEnded) {
  const auto dispatcher = start();
  submit_to(dispatcher, 3);
  const JobId job{1};
  EXPECT_THAT(runner.started, ElementsAre(id_of(job, 0), id_of(job, 1)));
  exit(id_of(job, 0), 0);
  EXPECT_EQ(task(job).result->outcome, Outcome::success);
  EXPECT_THAT(runner.started, SizeIs(3));
  exit(id_of(job, 1), 0);
  exit(id_of(job, 2), 0);
  EXPECT_EQ(state(job), store::JobState::succeeded);
  EXPECT_EQ(runner.remembered(), 0U);
}

TEST_F(DispatcherTest, AnEndThatIsRecordedLateHasBeenWhenItWas) {
  submit_to(start(), 1);
  const JobId job{1};
  const WallTime begun = wall_now();
  advance(1s);
  access.is_broken = true;
  process::ExitReport report;
  report.wall = 1s;
  report.ended = boot_now();
  runner.end(id_of(job, 0), report);
  advance(12s);
  access.is_broken = false;
  advance(2s);
  EXPECT_EQ(task(job).result->at, begun + 1s);
  EXPECT_EQ(access.store.job(job)->ended, begun + 1s);
}

TEST_F(DispatcherTest, WhatEndedBeforeItWasAdoptedHasItsOwnTimes) {
  submit(1);
  const JobId job{1};
  EXPECT_THAT(*access.store.claim(session, {"default"}, 1), SizeIs(1));
  runner.start(id_of(job, 0), nullptr, nullptr, [](const auto&) {});
  runner.run(id_of(job, 0));
  adopted.insert(id_of(job, 0));
  const WallTime begun = wall_now();
  advance(3s);
  process::ExitReport report;
  report.exit_code = 1;
  report.wall = 3s;
  report.ended = boot_now();
  runner.end(id_of(job, 0), report);
  advance(1min);
  start();
  settle();
  const auto attempts = access.store.attempts({job, 0});
  ASSERT_THAT(*attempts, SizeIs(1));
  EXPECT_EQ(attempts->front().at, begun + 3s);
  EXPECT_EQ(attempts->front().started, begun);
}

TEST_F(DispatcherTest, AFailureIsTriedAgainWhenItsTimeHasCome) {
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  const JobId job{1};
  exit(id_of(job, 0), 3);
  EXPECT_EQ(task(job).state, TaskState::backing_off);
  advance(899ms);
  EXPECT_THAT(runner.started, SizeIs(1));
  advance(202ms);
  EXPECT_THAT(runner.started, ElementsAre(id_of(job, 0), id_of(job, 0, 2)));
  exit(id_of(job, 0, 2), 3);
  EXPECT_EQ(state(job), store::JobState::failed);
}

TEST_F(DispatcherTest, WhatWasWrittenDecidesIfItIsAskedFor) {
  const auto dispatcher = start();
  JobSpec spec = *command_from_json(Json{{"words", {"true"}}});
  spec.request.success.output_contains = {"done"};
  spec.request.success.output_not_contains = {"ERROR"};
  const JobId job = submit_spec(spec, 2);
  tell(dispatcher, WorkArrived{});
  exit(id_of(job, 0), 0);
  EXPECT_THAT(looked_for, ElementsAre("done", "ERROR"));
  EXPECT_FALSE(task(job).result);
  tell_texts({true, false});
  settle();
  EXPECT_EQ(task(job).result->outcome, Outcome::success);
  exit(id_of(job, 1), 0);
  tell_texts({true, true});
  settle();
  EXPECT_EQ(task(job, 1).result->outcome, Outcome::failed);
}

TEST_F(DispatcherTest, WhatIsCancelledIsStoppedAndRecordedAsThat) {
  const auto dispatcher = start();
  submit_to(dispatcher, 3);
  const JobId job{1};
  tell(dispatcher, StopTasks{*access.store.cancel(job, wall_now())});
  EXPECT_THAT(runner.stopped, SizeIs(2));
  for (const AttemptId& id : runner.running())
    runner.obey(id);
  settle();
  EXPECT_EQ(state(job), store::JobState::cancelled);
  EXPECT_EQ(access.store.job(job)->counts.cancelled, 3U);
}

TEST_F(DispatcherTest, WhatRunsAtMostOnceBeginsInTheStoreFirst) {
  const auto dispatcher = start();
  submit(1, "true", {.delivery = store::Delivery::at_most_once});
  runner.runs_at_once = false;
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, SizeIs(1));
  EXPECT_EQ(task(JobId{1}).state, TaskState::started);
}

TEST_F(DispatcherTest, ACommandGetsTheWordsOfTheNodeThatRunsIt) {
  const auto dispatcher = start();
  JobSpec spec = *command_from_json(Json{{"words", {"for people"}}});
  spec.argv = {"/there/troupe", "artifact", "--store=/there"};
  spec.node_words = {{0, "program"}, {2, "unknown"}, {7, "program"}};
  const JobId job = submit_spec(spec, 1);
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.spec_of(id_of(job, 0)).argv,
              ElementsAre("/here/troupe", "artifact", "--store=/there"));
}

TEST_F(DispatcherTest, OneThatComesAfterACrashTakesOverWhatRuns) {
  const auto first = start();
  submit_to(first, 2);
  const JobId job{1};
  actors::kill(first);
  settle();
  exit(id_of(job, 0), 0);
  const auto second = start();
  EXPECT_THAT(runner.started, SizeIs(2));
  EXPECT_THAT(runner.adopted, SizeIs(2));
  EXPECT_EQ(task(job).result->outcome, Outcome::success);
  exit(id_of(job, 1), 0);
  EXPECT_EQ(state(job), store::JobState::succeeded);
}

TEST_F(DispatcherTest, ANewNodeTakesOverWhatItsWardenRunsAndForgetsTheRest) {
  submit(2);
  const JobId job{1};
  EXPECT_THAT(*access.store.claim(session, {"default"}, 2), SizeIs(2));
  for (const AttemptId& id : {id_of(job, 0), id_of(JobId{7}, 7)}) {
    runner.start(id, nullptr, nullptr, [](const auto&) {});
    adopted.insert(id);
  }
  start();
  EXPECT_THAT(runner.adopted, ElementsAre(id_of(job, 0)));
  EXPECT_THAT(runner.killed, ElementsAre(id_of(JobId{7}, 7)));
  // The other one was claimed and never started.
  EXPECT_THAT(runner.running(), ElementsAre(id_of(job, 0), id_of(job, 1)));
}

TEST_F(DispatcherTest, WhatMayHaveRunOnceIsLostWithItsWarden) {
  submit(1, "true", {.delivery = store::Delivery::at_most_once});
  const auto claims = access.store.claim(session, {"default"}, 1);
  EXPECT_TRUE(access.store.start(session, {{claims->front().attempt}}));
  start();
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_EQ(task(JobId{1}).result->outcome, Outcome::lost);
}

TEST_F(DispatcherTest, WhatRunsAtMostOnceAndWasOnlyClaimedBeginsInTheStore) {
  submit(2, "true", {.delivery = store::Delivery::at_most_once});
  EXPECT_THAT(*access.store.claim(session, {"default"}, 2), SizeIs(2));
  start();
  EXPECT_THAT(runner.started, SizeIs(2));
  // It is not to run again, whatever happens from now on.
  EXPECT_TRUE(access.store.end_session(session, wall_now()));
  EXPECT_EQ(access.store.job(JobId{1})->counts.lost, 2U);
}

TEST_F(DispatcherTest, AResultThatComesTooLateIsKeptAndDoesNotCount) {
  submit_to(start(), 1);
  const JobId job{1};
  EXPECT_TRUE(access.store.end_session(session, wall_now()));
  exit(id_of(job, 0), 0);
  const auto attempts = access.store.attempts({job, 0});
  ASSERT_THAT(*attempts, SizeIs(1));
  EXPECT_EQ(attempts->front().outcome, Outcome::lost);
  EXPECT_EQ(Json::parse(attempts->front().detail).at("late").at("outcome"),
            "success");
  EXPECT_EQ(task(job).state, TaskState::waiting);
}

TEST_F(DispatcherTest, WhatRunsAtMostOnceBeginsInTheStoreAfterACrashAsWell) {
  submit(2, "true", {.delivery = store::Delivery::at_most_once});
  *has_taken_over = true;
  EXPECT_THAT(*access.store.claim(session, {"default"}, 2), SizeIs(2));
  start();
  EXPECT_THAT(runner.started, SizeIs(2));
  EXPECT_TRUE(access.store.end_session(session, wall_now()));
  EXPECT_EQ(access.store.job(JobId{1})->counts.lost, 2U);
}

TEST_F(DispatcherTest, AFirstOneThatDiesEarlyLeavesItsTaskToTheNext) {
  submit(1, "true", {.delivery = store::Delivery::at_most_once});
  const auto claims = access.store.claim(session, {"default"}, 1);
  EXPECT_TRUE(access.store.start(session, {{claims->front().attempt}}));
  access.is_broken = true;
  EXPECT_TRUE(exit_of(start()));
  access.is_broken = false;
  start();
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_EQ(task(JobId{1}).result->outcome, Outcome::lost);
}

TEST_F(DispatcherTest, WhatWasCancelledBeforeTheNodeDiedIsStoppedByTheNext) {
  submit(2);
  const JobId job{1};
  EXPECT_THAT(*access.store.claim(session, {"default"}, 2), SizeIs(2));
  runner.start(id_of(job, 0), nullptr, nullptr, [](const auto&) {});
  adopted.insert(id_of(job, 0));
  EXPECT_TRUE(access.store.cancel(job, wall_now()));
  start();
  EXPECT_THAT(runner.stopped, SizeIs(1));
  runner.obey(id_of(job, 0));
  settle();
  EXPECT_EQ(state(job), store::JobState::cancelled);
}

TEST_F(DispatcherTest, AResultThatCannotBeWrittenIsKeptUntilItCan) {
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  const JobId job{1};
  access.is_broken = true;
  exit(id_of(job, 0), 0);
  advance(3s);
  EXPECT_EQ(task(job).state, TaskState::claimed);
  access.is_broken = false;
  advance(2s);
  EXPECT_EQ(task(job).result->outcome, Outcome::success);
  EXPECT_EQ(runner.remembered(), 0U);
}

TEST_F(DispatcherTest, WhatWasClaimedByACallWhoseAnswerWasLostIsRun) {
  const auto dispatcher = start();
  const JobId job = submit(3);
  claim_unseen(dispatcher);
  EXPECT_THAT(*access.store.claimed_by(session), Not(IsEmpty()));
  EXPECT_THAT(runner.started, IsEmpty());
  advance(2s);
  EXPECT_THAT(runner.started, SizeIs(2));
  for (std::uint64_t i = 0; i < 3; ++i)
    exit(id_of(job, i), 0);
  EXPECT_EQ(state(job), store::JobState::succeeded);
  EXPECT_EQ(task(job, 0).attempt, 1U);
  EXPECT_EQ(task(job, 2).attempt, 1U);
}

TEST_F(DispatcherTest, WhatWasClaimedUnseenAndCancelledIsNotRun) {
  const auto dispatcher = start();
  const JobId job = submit(2);
  claim_unseen(dispatcher);
  EXPECT_THAT(*access.store.cancel(job, wall_now()), SizeIs(2));
  advance(2s);
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_EQ(state(job), store::JobState::cancelled);
}

TEST_F(DispatcherTest, WhatIsClaimedLongAfterThatWasGivenUpIsRun) {
  list_every = 30s;
  start();
  const JobId job = submit(2);
  // The server has heard of it, and not of the end of the connection.
  EXPECT_THAT(*access.store.claim(session, {"default"}, 2), SizeIs(2));
  advance(29s);
  EXPECT_THAT(runner.started, IsEmpty());
  advance(2s);
  EXPECT_THAT(runner.started, ElementsAre(id_of(job, 0), id_of(job, 1)));
}

TEST_F(DispatcherTest, WhatIsBeingToldToTheStoreIsNotTakenForAClaim) {
  list_every = 30s;
  const auto dispatcher = start();
  submit_to(dispatcher, 2);
  const JobId job{1};
  access.is_slow = true;
  exit(id_of(job, 0), 0);
  exit(id_of(job, 1), 0);
  advance(31s);
  access.is_slow = false;
  access.make_calls();
  settle();
  access.make_calls();
  settle();
  EXPECT_THAT(runner.started, SizeIs(2));
  EXPECT_EQ(state(job), store::JobState::succeeded);
  advance(31s);
  EXPECT_THAT(runner.started, SizeIs(2));
}

TEST_F(DispatcherTest, ALookAtClaimsKeepsNobodyFromItsEnd) {
  list_every = 30s;
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  const JobId job{1};
  std::optional<std::size_t> left;
  tell(dispatcher,
       EndWork{.waits = true, .done = [&](std::size_t n) { left = n; }});
  advance(61s);
  exit(id_of(job, 0), 0);
  EXPECT_EQ(state(job), store::JobState::succeeded);
  EXPECT_EQ(left, 0U);
}

TEST_F(DispatcherTest, WhatEndsBesideALookAtClaimsIsNotGivenBackAtTheEnd) {
  list_every = 30s;
  submit(1, "true", {.delivery = store::Delivery::at_most_once});
  const JobId job{1};
  const auto dispatcher = start();
  ASSERT_THAT(runner.started, SizeIs(1));
  access.is_slow = true;
  advance(31s);
  tell(dispatcher, EndWork{.waits = true, .done = [](std::size_t) {}});
  exit(id_of(job, 0), 0);
  access.make_call();
  settle();
  // Its result cannot be written at once.
  access.is_broken = true;
  access.make_call();
  access.is_broken = false;
  access.is_slow = false;
  settle();
  access.make_calls();
  advance(2s);
  EXPECT_EQ(state(job), store::JobState::succeeded);
}

TEST_F(DispatcherTest, WhatIsKnownIsNotTakenForMoreClaims) {
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  const JobId job{1};
  EXPECT_THAT(runner.started, SizeIs(1));
  submit(2);
  access.is_broken = true;
  tell(dispatcher, WorkArrived{});
  advance(3s);
  // It has not happened, and what ran before goes on.
  exit(id_of(job, 0), 0);
  access.is_broken = false;
  advance(2s);
  EXPECT_EQ(task(job).result->outcome, Outcome::success);
  EXPECT_THAT(runner.started, SizeIs(3));
}

TEST_F(DispatcherTest, WithoutSpaceNothingStartsAndTheReasonIsTold) {
  has_space = false;
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  EXPECT_THAT(runner.started, IsEmpty());
  std::optional<Obstacle> seen;
  tell(dispatcher, AskObstacle{{"default"}, [&](Obstacle obstacle) {
                                 seen = std::move(obstacle);
                               }});
  EXPECT_EQ(seen->kind, Hindrance::disk);
  has_space = true;
  advance(2s);
  EXPECT_THAT(runner.started, SizeIs(1));
}

TEST_F(DispatcherTest, ResultsThatComeOneAfterTheOtherAreRecordedTogether) {
  store_pace = 10ms;
  advance(1s);
  const auto dispatcher = start();
  submit_to(dispatcher, 5);
  const JobId job{1};
  exit(id_of(job, 0), 0);
  EXPECT_TRUE(task(job, 0).result);
  exit(id_of(job, 1), 0);
  exit(id_of(job, 2), 0);
  EXPECT_FALSE(task(job, 1).result);
  EXPECT_FALSE(task(job, 2).result);
  advance(10ms);
  EXPECT_TRUE(task(job, 1).result);
  EXPECT_TRUE(task(job, 2).result);
}

TEST_F(DispatcherTest, ClaimsMoreTogetherWithTheNextResults) {
  store_pace = 10ms;
  advance(1s);
  const auto dispatcher = start();
  submit_to(dispatcher, 100);
  const JobId job{1};
  const auto last_claimed = [&] {
    std::uint64_t last = 0;
    const auto claims = access.store.claimed_by(session);
    for (const store::Claim& claim : *claims)
      last = std::max(last, claim.attempt.task.index);
    return last;
  };
  // So many starts that it claims ahead of the slots.
  std::uint64_t next = 0;
  while (next < 10)
    exit(id_of(job, next++), 0);
  advance(10ms);
  const std::uint64_t before = last_claimed();
  ASSERT_GT(before, next + 2) << "some wait here";
  // It looks for more when it records these, and claims that with the next.
  exit(id_of(job, next++), 0);
  advance(10ms);
  EXPECT_EQ(last_claimed(), before);
  exit(id_of(job, next++), 0);
  EXPECT_FALSE(task(job, next - 1).result);
  EXPECT_EQ(last_claimed(), before);
  advance(10ms);
  EXPECT_TRUE(task(job, next - 1).result);
  EXPECT_GT(last_claimed(), before);
}

TEST_F(DispatcherTest, WhatEndsAsTheLastIsRecordedAtOnce) {
  store_pace = 10ms;
  advance(1s);
  const auto dispatcher = start();
  submit_to(dispatcher, 2);
  const JobId job{1};
  exit(id_of(job, 0), 0);
  exit(id_of(job, 1), 0);
  EXPECT_EQ(state(job), store::JobState::succeeded);
}

TEST_F(DispatcherTest, LooksAtTheMachineOnlyWhileThereIsSomethingToDo) {
  const auto dispatcher = start();
  const int at_first = samples;
  advance(10s);
  EXPECT_EQ(samples, at_first);
  submit_to(dispatcher, 1);
  EXPECT_EQ(samples, at_first + 1);
  advance(2s);
  EXPECT_GE(samples, at_first + 3);
  exit(id_of(JobId{1}, 0), 0);
  advance(1s);
  const int at_last = samples;
  advance(10s);
  EXPECT_EQ(samples, at_last);
}

TEST_F(DispatcherTest, AtTheEndWhatRunsWaitsAgainAsIfItHadNotRun) {
  const auto dispatcher = start();
  submit_to(dispatcher, 3);
  const JobId job{1};
  bool is_done = false;
  tell(dispatcher,
       EndWork{.keep = false, .done = [&](std::size_t) { is_done = true; }});
  EXPECT_FALSE(is_done);
  for (const AttemptId& id : runner.running())
    runner.obey(id);
  settle();
  EXPECT_TRUE(is_done);
  EXPECT_EQ(task(job).state, TaskState::waiting);
  EXPECT_EQ(task(job).attempt, 0U);
  EXPECT_THAT(*access.store.claimed_by(session), IsEmpty());
}

TEST_F(DispatcherTest, ItsEndComesAfterItKnowsWhatThereIs) {
  submit(1);
  const JobId job{1};
  EXPECT_THAT(*access.store.claim(session, {"default"}, 1), SizeIs(1));
  runner.start(id_of(job, 0), nullptr, nullptr, [](const auto&) {});
  adopted.insert(id_of(job, 0));
  access.is_slow = true;
  const auto dispatcher = start();
  std::optional<std::size_t> left;
  tell(dispatcher,
       EndWork{.waits = true, .done = [&](std::size_t n) { left = n; }});
  EXPECT_FALSE(left) << "its session would end, and its command goes on";
  access.is_slow = false;
  access.make_calls();
  settle();
  EXPECT_FALSE(left);
  exit(id_of(job, 0), 0);
  EXPECT_EQ(state(job), store::JobState::succeeded);
  EXPECT_EQ(left, 0U);
}

TEST_F(DispatcherTest, AtTheEndALookThatFailsIsNotWaitedFor) {
  const auto dispatcher = start();
  access.is_slow = true;
  tell(dispatcher, WorkArrived{});
  bool is_done = false;
  tell(dispatcher,
       EndWork{.keep = false, .done = [&](std::size_t) { is_done = true; }});
  EXPECT_FALSE(is_done);
  access.is_broken = true;
  access.make_call();
  settle();
  EXPECT_TRUE(is_done);
}

TEST_F(DispatcherTest, AtTheEndWhatCouldNotBeginInTheStoreGoesBack) {
  const auto dispatcher = start();
  submit(1, "true", {.delivery = store::Delivery::at_most_once});
  access.is_slow = true;
  tell(dispatcher, WorkArrived{});
  for (int look_and_claim = 0; look_and_claim < 2; ++look_and_claim) {
    access.make_call();
    settle();
  }
  bool is_done = false;
  tell(dispatcher,
       EndWork{.keep = false, .done = [&](std::size_t) { is_done = true; }});
  access.is_broken = true;
  access.make_call();
  settle();
  access.is_broken = false;
  access.is_slow = false;
  advance(2s);
  EXPECT_TRUE(is_done);
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_EQ(task(JobId{1}).state, TaskState::waiting);
}

TEST_F(DispatcherTest, AtTheEndWhatCannotBeRecordedIsLeftToTheNext) {
  const auto first = start();
  submit_to(first, 2);
  const JobId job{1};
  access.is_broken = true;
  exit(id_of(job, 0), 0);
  std::optional<std::size_t> left;
  tell(first, EndWork{.keep = false, .done = [&](std::size_t n) { left = n; }});
  runner.obey(id_of(job, 1));
  settle();
  EXPECT_FALSE(left);
  advance(4s);
  EXPECT_EQ(left, 2U);
  actors::kill(first);
  settle();
  access.is_broken = false;
  start();
  EXPECT_EQ(task(job).result->outcome, Outcome::success);
  EXPECT_EQ(task(job, 1).attempt, 1U);
}

TEST_F(DispatcherTest, AtTheEndWhatRunsIsKeptIfThatIsWanted) {
  const auto dispatcher = start();
  submit_to(dispatcher, 3);
  bool is_done = false;
  tell(dispatcher,
       EndWork{.keep = true, .done = [&](std::size_t) { is_done = true; }});
  EXPECT_TRUE(is_done);
  EXPECT_THAT(runner.stopped, IsEmpty());
  EXPECT_THAT(*access.store.claimed_by(session), SizeIs(2));
}

TEST_F(DispatcherTest, WhatWaitsHereGoesBackWhenItsJobIsHeld) {
  const auto dispatcher = start();
  tell(dispatcher, HoldNode{true});
  submit_to(dispatcher, 3);
  EXPECT_THAT(runner.started, IsEmpty());
  tell(dispatcher, HoldNode{false});
  EXPECT_THAT(runner.started, SizeIs(2));
  EXPECT_TRUE(access.store.hold(JobId{1}, true));
  tell(dispatcher, JobChanged{JobId{1}});
  exit(id_of(JobId{1}, 0), 0);
  EXPECT_THAT(runner.started, SizeIs(2));
  EXPECT_TRUE(access.store.hold(JobId{1}, false));
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, SizeIs(3));
}

TEST_F(DispatcherTest, WhatRunsOfAJobStandsStillUntilItIsResumed) {
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  submit_to(dispatcher, 1);
  tell(dispatcher, PauseTasks{.is_paused = true, .job = JobId{1}});
  EXPECT_THAT(runner.paused, ElementsAre(id_of(JobId{1}, 0)));
  tell(dispatcher, PauseTasks{.is_paused = false, .job = JobId{1}});
  EXPECT_THAT(runner.paused, IsEmpty());
}

TEST_F(DispatcherTest, WhatRunsOfAGroupStandsStillUntilAllIsResumed) {
  const auto dispatcher = start();
  EXPECT_TRUE(access.store.set_group({.name = "mail", .slots = 2}));
  submit_to(dispatcher, 1);
  const JobId mail = submit(1, "true", {.group = "mail"});
  tell(dispatcher, WorkArrived{});
  tell(dispatcher, PauseTasks{.is_paused = true, .group = "mail"});
  EXPECT_THAT(runner.paused, ElementsAre(id_of(mail, 0)));
  tell(dispatcher, PauseTasks{.is_paused = false});
  EXPECT_THAT(runner.paused, IsEmpty());
}

TEST_F(DispatcherTest, WhatStoodStillForTheNodeBeforeStillDoes) {
  const JobId job = submit(1);
  const auto claims = access.store.claim(session, {"default", ""}, 1);
  ASSERT_THAT(*claims, SizeIs(1));
  const AttemptId id = id_of(job, 0);
  adopted = {id};
  runner.runs_at_once = false;
  runner.start(id, nullptr, nullptr, [](const process::AttemptEvent&) {});
  const auto dispatcher = start();
  runner.tell(id, process::AttemptStarted{.pid = 4711, .is_paused = true});
  settle();
  std::uint64_t paused = 0;
  tell(dispatcher, AskSnapshot{[&](const DispatcherSnapshot& seen) {
         paused = seen.jobs.at(job).paused;
       }});
  EXPECT_EQ(paused, 1U);
}

TEST_F(DispatcherTest, WhatIsClaimedAheadIsToldByWhatItWasBefore) {
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  const JobId retried{1};
  exit(id_of(retried, 0), 3);
  has_space = false;
  submit_to(dispatcher, 1);
  advance(2s);
  std::optional<DispatcherSnapshot> seen;
  tell(dispatcher,
       AskSnapshot{[&](DispatcherSnapshot now) { seen = std::move(now); }});
  using AtHand = std::map<JobId, TasksAtHand>;
  EXPECT_EQ(seen->jobs,
            (AtHand{{retried, {.retrying = 1}}, {JobId{2}, {.waiting = 1}}}));
  EXPECT_EQ(seen->groups.at("default"),
            (TasksAtHand{.waiting = 1, .retrying = 1}));
}

TEST_F(DispatcherTest, AJobThatNobodyCanReadFailsAndNothingElse) {
  store::NewJob bad;
  bad.request_id = "bad";
  bad.spec = "nonsense";
  const JobId broken = access.store.open_job(bad, wall_now())->job;
  EXPECT_TRUE(access.store.append_range(broken, 0, 1));
  EXPECT_TRUE(access.store.seal(broken, wall_now()));
  const JobId good = submit(1);
  start();
  EXPECT_EQ(state(broken), store::JobState::failed);
  EXPECT_THAT(runner.started, ElementsAre(id_of(good, 0)));
}

TEST_F(DispatcherTest, WhatEndsItsWardenAgainAndAgainIsGivenUp) {
  const auto dispatcher = start();
  submit_to(dispatcher, 1);
  const JobId job{1};
  for (std::uint32_t attempt = 1; attempt <= 10; ++attempt) {
    ASSERT_THAT(runner.running(), ElementsAre(id_of(job, 0, attempt)));
    runner.end(id_of(job, 0, attempt), process::RunnerLost{});
    settle();
    advance(10ms);
  }
  EXPECT_EQ(task(job).result->outcome, Outcome::lost);
  EXPECT_THAT(runner.running(), IsEmpty());
}

TEST(AttemptIds, AreTheSameThereAndBack) {
  const AttemptRef ref{{JobId{123'456'789}, store::most_tasks - 1}, 7};
  EXPECT_EQ(to_attempt_ref(to_attempt_id(ref)), ref);
}

class MemberDispatcherTest : public DispatcherTest {
 protected:
  MemberDispatcherTest() {
    capacity = *flow_control::Resources::parse("node-1=1000");
    member = MemberDeps{.node = "n1",
                        .home = "node-1",
                        .slots = 2,
                        .on_begin = [this] { ++begun; },
                        .read_end =
                            [this](const EndFiles& files,
                                   const std::function<void(EndRead)>& done) {
                              end_read = files;
                              done({.tail = {.record = "the end", .skipped = 3},
                                    .handed_on = handed_on});
                            }};
  }

  actors::ActorRef start_member(std::vector<std::uint32_t> shards) {
    auto dispatcher = start();
    tell(dispatcher,
         OwnShards{std::make_shared<const std::vector<std::uint32_t>>(
                       std::move(shards)),
                   8});
    tell(dispatcher, MayWork{true});
    return dispatcher;
  }
  JobId submit_into(std::vector<std::uint32_t> shards,
                    std::uint64_t tasks = 1) {
    return submit(tasks, "true", {.shards = std::move(shards)});
  }

  int begun = 0;
  EndFiles end_read;
  std::optional<std::string> handed_on;
};

TEST_F(MemberDispatcherTest, StartsNothingWithoutTheRight) {
  submit_into({3});
  const auto dispatcher = start();
  EXPECT_EQ(begun, 1);
  tell(dispatcher, WorkArrived{{3}});
  advance(5s);
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_THAT(*access.store.claimed_by(session), IsEmpty());
  tell(dispatcher, MayWork{true});
  EXPECT_THAT(runner.started, SizeIs(1));
}

TEST_F(MemberDispatcherTest, StartsNothingMoreOnceItsRightHasEnded) {
  const auto dispatcher = start_member({3});
  submit_into({3}, 4);
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, SizeIs(2));
  tell(dispatcher, MayWork{false});
  exit(id_of(JobId{1}, 0), 0);
  EXPECT_EQ(task(JobId{1}).result->outcome, Outcome::success);
  advance(5s);
  EXPECT_THAT(runner.started, SizeIs(2));
  tell(dispatcher, MayWork{true});
  EXPECT_THAT(runner.started, SizeIs(3));
}

TEST_F(MemberDispatcherTest, FindsByItselfWhatOthersHaveSubmitted) {
  start_member({3});
  submit_into({3});
  advance(1100ms);
  EXPECT_THAT(runner.started, SizeIs(1));
}

TEST_F(MemberDispatcherTest, TakesWhatWasSubmittedHereWhoeverOwnsItsShard) {
  const auto dispatcher = start_member({3});
  submit_into({4});
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, IsEmpty());
  tell(dispatcher, WorkArrived{{4}});
  EXPECT_THAT(runner.started, SizeIs(1));
}

TEST_F(MemberDispatcherTest, NotesHowItCameToWhatWaitedAtAnotherNode) {
  member->owner_of = [](std::uint32_t shard) {
    return "n" + std::to_string(shard);
  };
  const auto dispatcher = start_member({3});
  const JobId own = submit_into({3});
  const JobId offered = submit_into({4});
  tell(dispatcher, WorkArrived{{3, 4}, Found::offered});
  const auto from = [this](JobId job) {
    exit(id_of(job, 0), 0);
    return from_abroad_in(task(job).result->detail);
  };
  EXPECT_EQ(from(own), std::nullopt);
  EXPECT_EQ(from(offered), (FromAbroad{4, Found::offered, "n4"}));
  const JobId abroad = submit_into({7});
  for (int i = 0; i < 50; ++i)
    advance(100ms);
  EXPECT_EQ(from(abroad), (FromAbroad{7, Found::abroad, "n7"}));
}

TEST_F(MemberDispatcherTest, TakesWhatNobodyElseHasTakenForAWhile) {
  start_member({});
  // Wherever it looks first.
  submit_into({0});
  submit_into({7});
  advance(100ms);
  EXPECT_THAT(runner.started, IsEmpty());
  for (int i = 0; i < 50; ++i)
    advance(100ms);
  EXPECT_THAT(runner.started, SizeIs(2));
}

TEST_F(MemberDispatcherTest, ItsOwnSlotsCountAndNotThoseOfTheGroup) {
  EXPECT_TRUE(access.store.set_group({.name = "default", .slots = 7}));
  const auto dispatcher = start_member({3});
  submit_into({3}, 9);
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, SizeIs(2));
}

TEST_F(MemberDispatcherTest, SlotsOfOtherGroupsAreThoseOfAllNodes) {
  const store::SessionId other{"other"};
  EXPECT_TRUE(access.store.open_session(other));
  EXPECT_TRUE(access.store.set_group({.name = "licence", .slots = 3}));
  const auto dispatcher = start_member({0});
  const JobId job = submit(9, "true", {.group = "licence"});
  const auto theirs = access.store.claim_within_slots(other, {"licence"}, 2);
  EXPECT_THAT(*theirs, SizeIs(2));
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, ElementsAre(id_of(job, 2)));
  // One becomes free there, and nobody says so.
  const store::Completion done{.attempt = theirs->front().attempt};
  EXPECT_TRUE(access.store.complete(other, {&done, 1}, wall_now()));
  advance(1100ms);
  EXPECT_THAT(runner.started, ElementsAre(id_of(job, 2), id_of(job, 3)));
  EXPECT_EQ(access.store.claims_in("licence")->at(session), 2U);
}

TEST_F(MemberDispatcherTest, OfSlotsOfAllNodesItKeepsNoneThatItCannotUse) {
  EXPECT_TRUE(access.store.set_group({.name = "licence", .slots = 3}));
  const auto dispatcher = start_member({0});
  submit(9, "true", {.group = "licence"});
  has_space = false;
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(*access.store.claims_in("licence"), IsEmpty());
  // It finds out only when the claim is on its way.
  has_space = true;
  access.is_slow = true;
  tell(dispatcher, WorkArrived{});
  access.make_call();
  settle();
  has_space = false;
  access.make_call();
  settle();
  EXPECT_EQ(access.store.claims_in("licence")->at(session), 3U);
  access.is_slow = false;
  access.make_call();
  settle();
  advance(1100ms);
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_THAT(*access.store.claims_in("licence"), IsEmpty());
  has_space = true;
  advance(1100ms);
  EXPECT_THAT(runner.started, SizeIs(3));
}

TEST_F(MemberDispatcherTest, WithoutRoomOnItsDiskItLeavesWorkToOthers) {
  const auto dispatcher = start_member({3});
  const JobId job = submit_into({3}, 9);
  tell(dispatcher, WorkArrived{{3}});
  ASSERT_THAT(runner.started, SizeIs(2));
  has_space = false;
  exit(id_of(job, 0), 0);
  exit(id_of(job, 1), 0);
  advance(5s);
  EXPECT_THAT(runner.started, SizeIs(2));
  EXPECT_THAT(*access.store.claimed_by(session), IsEmpty());
  has_space = true;
  advance(2s);
  EXPECT_THAT(runner.started, SizeIs(4));
}

TEST_F(MemberDispatcherTest, WhatWasClaimedAndMovedElsewhereIsGivenBack) {
  list_every = 30s;
  start_member({});
  const JobId job = submit(1, "true", {.resources = "node-1=1"});
  // The answer was lost, and then the run of the job has moved.
  EXPECT_THAT(*access.store.claim(session, {"default", "node-1=1"}, 1),
              SizeIs(1));
  EXPECT_TRUE(access.store.edit(job, {.resources = "node-2=1"}, wall_now()));
  advance(31s);
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_THAT(*access.store.claimed_by(session), IsEmpty());
}

TEST_F(MemberDispatcherTest, ClaimsFromSeveralShardsAtOnce) {
  const auto dispatcher = start_member({1, 3});
  const JobId a = submit_into({3});
  const JobId b = submit_into({1});
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, ElementsAre(id_of(a, 0), id_of(b, 0)));
}

TEST_F(MemberDispatcherTest, WhenItLeavesItRunsOnlyWhatGoesOnHere) {
  const auto dispatcher = start_member({0});
  submit(2, "true", {.resources = "node-1=1"});
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, SizeIs(2));
  const JobId begins = submit(1, "true", {.resources = "node-1=1"});
  submit_into({0});
  tell(dispatcher, MayWork{false, /*may_go_on=*/true});
  exit(id_of(JobId{1}, 0), 0);
  exit(id_of(JobId{1}, 1), 0);
  advance(5s);
  EXPECT_THAT(runner.started, SizeIs(2));
  const JobId goes_on = submit(3, "true", {.resources = "node-1=0.001"});
  advance(1100ms);
  EXPECT_THAT(runner.started, SizeIs(4));
  exit(id_of(goes_on, 0), 0);
  EXPECT_THAT(runner.started, SizeIs(5));
  EXPECT_EQ(task(begins).state, TaskState::waiting);
  // Its right has ended in between.
  tell(dispatcher, MayWork{});
  submit(1, "true", {.resources = "node-1=0.001"});
  exit(id_of(goes_on, 1), 0);
  advance(5s);
  EXPECT_THAT(runner.started, SizeIs(5));
}

TEST_F(MemberDispatcherTest, WhenItLeavesItGivesBackWhatItHasAhead) {
  const auto dispatcher = start_member({0});
  tell(dispatcher, HoldNode{true});
  // It finds out only when the claim is on its way.
  tell(dispatcher, HoldNode{false});
  submit_into({0});
  access.is_slow = true;
  tell(dispatcher, WorkArrived{});
  access.make_call();
  settle();
  tell(dispatcher, MayWork{false, /*may_go_on=*/true});
  access.is_slow = false;
  access.make_calls();
  settle();
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_THAT(*access.store.claimed_by(session), IsEmpty());
}

TEST_F(MemberDispatcherTest, WhoWaitsAtTheEndEndsOneGroupAllTheSame) {
  EXPECT_TRUE(access.store.set_group({.name = "run-services", .slots = 9}));
  const auto dispatcher = start_member({0});
  const JobId services = submit(1, "true", {.group = "run-services"});
  const JobId other = submit(1);
  tell(dispatcher, WorkArrived{});
  EXPECT_THAT(runner.started, SizeIs(2));
  bool is_done = false;
  tell(dispatcher, EndWork{.waits = true,
                           .ended_group = "run-services",
                           .done = [&](std::size_t) { is_done = true; }});
  ASSERT_THAT(runner.stopped, SizeIs(1));
  EXPECT_EQ(runner.stopped[0].id, id_of(services, 0));
  process::ExitReport report;
  report.signal = SIGTERM;
  report.stopped = true;
  runner.end(id_of(services, 0), report);
  settle();
  // It is tried again, elsewhere.
  EXPECT_FALSE(task(services).result);
  const auto attempts = access.store.attempts({services, 0});
  ASSERT_THAT(*attempts, SizeIs(1));
  EXPECT_EQ(attempts->front().outcome, Outcome::lost);
  EXPECT_FALSE(is_done);
  exit(id_of(other, 0), 0);
  EXPECT_TRUE(is_done);
}

TEST_F(MemberDispatcherTest, GivesBackWhatTheWardenMayNotStart) {
  const auto dispatcher = start_member({3});
  runner.runs_at_once = false;
  submit_into({3});
  tell(dispatcher, WorkArrived{});
  tell(dispatcher, MayWork{false});
  process::SpawnFailure refused;
  refused.stage = process::SpawnStage::right;
  refused.error = {Errc::permission_denied, "the right has ended"};
  runner.end(id_of(JobId{1}, 0), refused);
  settle();
  EXPECT_EQ(task(JobId{1}).state, TaskState::waiting);
  EXPECT_EQ(runner.remembered(), 0U);
}

TEST_F(MemberDispatcherTest, GivesBackWhatWasEndedForWantOfTheRight) {
  const auto dispatcher = start_member({3});
  submit_into({3});
  tell(dispatcher, WorkArrived{});
  tell(dispatcher, MayWork{false});
  process::ExitReport report;
  report.signal = SIGTERM;
  report.stopped = true;
  report.right_ended = true;
  runner.end(id_of(JobId{1}, 0), report);
  settle();
  EXPECT_EQ(task(JobId{1}).state, TaskState::waiting);
  EXPECT_THAT(*access.store.attempts({JobId{1}, 0}), IsEmpty());
}

TEST_F(MemberDispatcherTest, WhatRunsAtMostOnceOutlivesTheRight) {
  const auto dispatcher = start_member({3});
  submit(1, "true", {.delivery = store::Delivery::at_most_once, .shards = {3}});
  submit_into({3});
  tell(dispatcher, WorkArrived{});
  EXPECT_TRUE(runner.spec_of(id_of(JobId{1}, 0)).outlives_right);
  EXPECT_FALSE(runner.spec_of(id_of(JobId{2}, 0)).outlives_right);
}

TEST_F(MemberDispatcherTest, WhatIsToBeKeptOutlivesTheRight) {
  const auto dispatcher = start_member({3});
  const Json command{{"words", {"true"}}, {"lease_loss", "keep"}};
  submit_spec(*command_from_json(command), 1, {.shards = {3}});
  tell(dispatcher, WorkArrived{});
  EXPECT_TRUE(runner.spec_of(id_of(JobId{1}, 0)).outlives_right);
}

TEST_F(MemberDispatcherTest, StopsWhatAnotherNodeWasToldToCancel) {
  const auto dispatcher = start_member({3});
  submit_into({3});
  tell(dispatcher, WorkArrived{});
  EXPECT_TRUE(access.store.cancel(JobId{1}, wall_now()));
  advance(2s);
  EXPECT_THAT(runner.stopped, SizeIs(1));
}

TEST_F(MemberDispatcherTest, RecordsWhereItRanAndTheEndOfWhatItWrote) {
  const auto dispatcher = start_member({3});
  submit_into({3}, 2);
  tell(dispatcher, WorkArrived{});
  const JobId job{1};
  process::ExitReport report;
  report.stdout_bytes = 10;
  runner.end(id_of(job, 0), report);
  settle();
  EXPECT_EQ(end_read.record, record_path(folder.path(), {{job, 0}, 1}));
  EXPECT_EQ(end_read.outputs, "");
  EXPECT_EQ(tail_in(task(job, 0).result->detail),
            (OutputTail{.record = "the end", .skipped = 3}));
  EXPECT_EQ(Json::parse(task(job, 0).result->detail).at("node"), "n1");
  // One that has written nothing has no end of that.
  end_read.record.clear();
  exit(id_of(job, 1), 0);
  EXPECT_EQ(end_read.record, "");
  EXPECT_FALSE(tail_in(task(job, 1).result->detail));
}

TEST_F(MemberDispatcherTest, RecordsWhatAStepHandsOnForWhomItRan) {
  const auto dispatcher = start_member({3});
  handed_on = R"({"outputs":[["a","1"]]})";
  JobSpec spec = *command_from_json(Json{{"words", {"true"}}});
  spec.has_outputs = true;
  spec.printed = "[]";
  const JobId job = submit_spec(spec, 1, {.shards = {3}});
  tell(dispatcher, WorkArrived{});
  exit(id_of(job, 0), 0);
  EXPECT_EQ(end_read.outputs, outputs_path(folder.path(), {{job, 0}, 1}));
  EXPECT_EQ(end_read.printed, "[]");
  EXPECT_EQ(handed_on_in(task(job, 0).result->detail), handed_on);
}

TEST_F(MemberDispatcherTest, GivesBackWhatItsPredecessorHadNotStarted) {
  submit_into({3});
  EXPECT_THAT(*access.store.claim(session, {"default", "", 3}, 1), SizeIs(1));
  start();
  EXPECT_THAT(runner.started, IsEmpty());
  EXPECT_EQ(task(JobId{1}).state, TaskState::waiting);
}

}  // namespace
}  // namespace troupe::queue
