#include "command_tree.hpp"

#include "actor_test.hpp"
#include "fake_command_runner.hpp"
#include "pool_actor.hpp"

#include <troupe/supervisor/messages.hpp>

#include <gmock/gmock.h>
#include <map>
#include <set>

namespace troupe::node {
namespace {

using actors::ActorRef;
using actors::CommandFinished;
using actors::CrashCommand;
using actors::ExitKind;
using actors::kill;
using actors::Outcome;
using actors::OutcomeKind;
using actors::stop;
using process::AttemptId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// The whole tree under virtual time, with a runner that runs nothing.
class CommandTreeTest : public actors::ActorTest {
 protected:
  void start_tree() {
    front = adopt(spawn_front(system, state));
    tree =
        supervisor::spawn_supervisor(system, command_tree(state, deps, front))
            .value();
    adopt(tree);
    tell(front, WatchTree{tree});
  }

  void TearDown() override {
    stop(tree);
    settle();
    ActorTest::TearDown();
    EXPECT_EQ(runner.remembered(), attempts_left) << "forgotten by nobody";
  }

  /// The actor of the child `name` of the tree.
  ActorRef child(const std::string& name) {
    const auto list =
        ask<supervisor::ChildList>(tree, supervisor::WhichChildren{});
    for (const auto& entry : list->children) {
      if (entry.info.id == name)
        return entry.actor;
    }
    return {};
  }

  /// Actors that look after commands.
  std::size_t command_actors() {
    return ask<supervisor::ChildList>(child("commands"),
                                      supervisor::WhichChildren{})
        ->children.size();
  }

  std::shared_ptr<const actors::CommandOrder> order(std::uint64_t id) {
    return std::make_shared<const actors::CommandOrder>(actors::CommandOrder{
        .id = {id},
        .request = std::make_shared<actors::CommandRequest>(request),
        .sinks = nullptr,
        .owner = test_actor(),
        .permit = budget.try_acquire_shared()});
  }

  void submit(std::uint64_t id) { tell(front, SubmitCommand{order(id)}); }

  void exit(std::uint64_t id, std::uint32_t number, int code) {
    runner.exit({{id}, number}, code);
    settle();
  }

  void kill_child(const std::string& name) {
    kill(child(name));
    settle();
  }

  /// Everything that has been delivered, and each of it once.
  std::map<CommandId, std::shared_ptr<const Outcome>> outcomes() {
    while (const auto finished = received<CommandFinished>())
      EXPECT_TRUE(outcomes_.emplace(finished->id, finished->outcome).second)
          << "a second outcome of " << finished->id.value;
    return outcomes_;
  }

  std::shared_ptr<const Outcome> outcome(std::uint64_t id) {
    const auto all = outcomes();
    const auto found = all.find({id});
    return found == all.end() ? nullptr : found->second;
  }

  actors::CommandRequest request{.retry = {.delay = 1s, .jitter = 0}};
  flow_control::Budget budget{1000};
  process::FakeCommandRunner runner;
  actors::CommandActorDeps deps{.runner = runner,
                                .wall_now = [this] { return wall_now(); }};
  std::shared_ptr<actors::StoreState> state =
      std::make_shared<actors::StoreState>();
  ActorRef front;
  ActorRef tree;
  std::size_t attempts_left = 0;

 private:
  std::map<CommandId, std::shared_ptr<const Outcome>> outcomes_;
};

TEST_F(CommandTreeTest, CommandSubmittedBeforeTheTreeIsUpRunsOnceItIs) {
  front = adopt(spawn_front(system, state));
  submit(1);
  EXPECT_THAT(runner.started, IsEmpty());
  tree = adopt(
      supervisor::spawn_supervisor(system, command_tree(state, deps, front))
          .value());
  tell(front, WatchTree{tree});
  EXPECT_THAT(runner.started, SizeIs(1));
  exit(1, 1, 0);
  EXPECT_EQ(outcome(1)->kind, OutcomeKind::success);
}

TEST_F(CommandTreeTest, CancellationFollowsASubmissionThatHadToWait) {
  front = adopt(spawn_front(system, state));
  submit(1);
  tell(front, actors::CancelCommand{{1}, process::StopRequest{}});
  tree = adopt(
      supervisor::spawn_supervisor(system, command_tree(state, deps, front))
          .value());
  tell(front, WatchTree{tree});
  for (const AttemptId id : runner.running()) {
    runner.obey(id);
    settle();
  }
  EXPECT_EQ(outcome(1)->kind, OutcomeKind::cancelled);
}

/// Crashes the actor of a command at one point of its life. `point` counts the
/// steps of the scheduler from the submission on.
TEST_F(CommandTreeTest, CrashAtAnyStepNeitherLosesNorRepeatsAnything) {
  request.retry.attempts = 2;
  start_tree();
  constexpr std::uint64_t most_points = 60;
  for (std::uint64_t point = 0; point < most_points; ++point) {
    SCOPED_TRACE(point);
    const std::uint64_t id = point + 1;
    bool crashed = false;
    std::uint64_t steps = 0;
    const auto run_on = [&] {
      do {
        if (steps++ == point) {
          actors::send(front, CrashCommand{{id}});
          crashed = true;
        }
      } while (step());
    };
    actors::send(front, SubmitCommand{order(id)});
    run_on();
    runner.exit({{id}, 1}, 1);
    run_on();
    advance(1s);
    run_on();
    runner.exit({{id}, 2}, 0);
    run_on();

    const auto result = outcome(id);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->kind, OutcomeKind::success);
    EXPECT_EQ(result->attempts.size(), 2U);
    const auto starts = std::count_if(
        runner.started.begin(), runner.started.end(),
        [&](const AttemptId& a) { return a.command.value == id; });
    EXPECT_EQ(starts, 2) << "each attempt starts exactly once";
    EXPECT_LE(result->incidents.size(), 1U);
    if (!result->incidents.empty()) {
      EXPECT_EQ(result->incidents[0].what,
                "its actor died (crashed: told to crash) and was restarted");
    }
    if (!crashed)
      break;
  }
  while (received<actors::AttemptFinished>() ||
         received<actors::CommandStarted>()) {
  }
  EXPECT_EQ(command_actors(), 0U);
  EXPECT_EQ(budget.in_use(), 0U);
}

TEST_F(CommandTreeTest, CrashWhileItRunsIsAnIncidentOfTheOutcome) {
  start_tree();
  submit(1);
  tell(front, CrashCommand{{1}});
  tell(front, CrashCommand{{1}});
  EXPECT_THAT(runner.started, SizeIs(1));
  EXPECT_THAT(runner.adopted, SizeIs(2));
  exit(1, 1, 0);
  EXPECT_EQ(outcome(1)->kind, OutcomeKind::success);
  EXPECT_THAT(outcome(1)->incidents, SizeIs(2));
}

TEST_F(CommandTreeTest, ThirdCrashIsTheOutcomeAndItsAttemptIsEnded) {
  start_tree();
  submit(1);
  for (std::uint32_t i = 0; i < actors::most_crashes; ++i)
    tell(front, CrashCommand{{1}});
  EXPECT_EQ(outcome(1)->kind, OutcomeKind::crashed);
  EXPECT_THAT(runner.killed, SizeIs(1));
  EXPECT_EQ(command_actors(), 0U);
}

TEST_F(CommandTreeTest, CrashInTheBackOffGoesOnWithTheNextAttempt) {
  request.retry.attempts = 2;
  start_tree();
  submit(1);
  exit(1, 1, 1);
  advance(500ms);
  tell(front, CrashCommand{{1}});
  advance(1min);
  EXPECT_THAT(runner.started, SizeIs(2));
  exit(1, 2, 0);
  EXPECT_EQ(outcome(1)->kind, OutcomeKind::success);
  EXPECT_THAT(outcome(1)->incidents, SizeIs(1));
}

class CommandTreeKillTest : public CommandTreeTest,
                            public ::testing::WithParamInterface<const char*> {
};

TEST_P(CommandTreeKillTest, RunningCommandsAreAdoptedByTheNextOnes) {
  start_tree();
  constexpr std::uint64_t commands = 20;
  for (std::uint64_t id = 1; id <= commands; ++id)
    submit(id);
  kill_child(GetParam());
  EXPECT_EQ(command_actors(), commands);
  for (std::uint64_t id = 1; id <= commands; ++id)
    exit(id, 1, 0);
  EXPECT_THAT(outcomes(), SizeIs(commands));
  EXPECT_THAT(runner.started, SizeIs(commands)) << "none ran twice";
  EXPECT_EQ(command_actors(), 0U);
  for (const auto& [id, result] : outcomes()) {
    EXPECT_EQ(result->kind, OutcomeKind::success);
    EXPECT_THAT(result->incidents, IsEmpty()) << "not the command's fault";
  }
}

/// The actor is killed at every step between the submission of some commands,
/// their end, and whatever happens in between.
TEST_P(CommandTreeKillTest, KilledAtAnyStepNothingIsLostOrRepeated) {
  constexpr std::uint64_t commands = 3;
  start_tree();
  std::uint64_t last_id = 0;
  for (std::uint64_t point = 0;; ++point) {
    SCOPED_TRACE(point);
    ASSERT_LT(point, 500U) << "that many steps are not expected";
    const ActorRef victim = child(GetParam());
    ASSERT_TRUE(victim);
    std::uint64_t steps = 0;
    bool killed = false;
    const auto run_on = [&] {
      do {
        if (steps++ == point) {
          kill(victim);
          killed = true;
        }
      } while (step());
    };
    const std::uint64_t first = last_id + 1;
    last_id += commands;
    for (std::uint64_t id = first; id <= last_id; ++id)
      actors::send(front, SubmitCommand{order(id)});
    run_on();
    for (std::uint64_t id = first; id <= last_id; ++id)
      runner.exit({{id}, 1}, 0);
    run_on();
    ASSERT_THAT(outcomes(), SizeIs(last_id));
    ASSERT_THAT(runner.started, SizeIs(last_id)) << "one ran twice";
    // The tree forgives so many deaths per minute.
    advance(20s);
    if (!killed)
      break;
  }
  while (received<actors::AttemptFinished>() ||
         received<actors::CommandStarted>()) {
  }
  EXPECT_EQ(command_actors(), 0U);
  EXPECT_EQ(budget.in_use(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Children, CommandTreeKillTest,
                         ::testing::Values("store", "commands", "pool"),
                         [](const auto& param) {
                           return std::string{param.param};
                         });

TEST_F(CommandTreeTest, TreeThatGivesUpAnswersForEveryOpenCommand) {
  start_tree();
  submit(1);
  submit(2);
  exit(2, 1, 0);
  for (int death = 0; death < 6; ++death)
    kill_child("store");
  EXPECT_EQ(exit_of(tree)->kind, ExitKind::shutdown);
  EXPECT_EQ(outcome(1)->kind, OutcomeKind::crashed);
  EXPECT_EQ(outcome(1)->exit_status, 125);
  EXPECT_EQ(describe(outcome(1)->causes),
            "the engine gave up after too many restarts");
  EXPECT_EQ(outcome(2)->kind, OutcomeKind::success);

  submit(3);
  EXPECT_EQ(outcome(3)->kind, OutcomeKind::crashed);
  tell(front, actors::CancelCommand{{3}, {}});
  EXPECT_THAT(outcomes(), SizeIs(3));
  attempts_left = 1;  // The runner ends what runs when it is closed.
}

/// Stands in for a pool and answers nothing.
class DeafPool {
 public:
  DeafPool(actors::Actor*, std::shared_ptr<std::vector<std::uint64_t>> got)
      : got_{std::move(got)} {}
  actors::Behavior make_behavior() {
    return {
        [this](const SubmitCommand& m) { got_->push_back(m.order->id.value); },
        [this](const actors::CancelCommand& m) {
          got_->push_back(100 + m.id.value);
        }};
  }

 private:
  std::shared_ptr<std::vector<std::uint64_t>> got_;
};

class FrontTest : public CommandTreeTest {
 protected:
  FrontTest() {
    front = adopt(spawn_front(system, state));
    tree = spawn<DeafPool>(got);  // Any actor can be watched.
    tell(front, WatchTree{tree});
  }
  std::shared_ptr<std::vector<std::uint64_t>> got =
      std::make_shared<std::vector<std::uint64_t>>();
};

TEST_F(FrontTest, KeepsMessagesWhileThereIsNoPool) {
  submit(1);
  tell(front, actors::CancelCommand{{1}, {}});
  submit(2);
  EXPECT_THAT(*got, IsEmpty());
  tell(front, PoolStarted{spawn<DeafPool>(got)});
  EXPECT_THAT(*got, ElementsAre(1, 2, 101));
}

TEST_F(FrontTest, SubmitsAgainWhatTheStoreHasNotConfirmed) {
  const ActorRef first = spawn<DeafPool>(got);
  tell(front, PoolStarted{first});
  submit(1);
  submit(2);
  tell(front, actors::CommandOpened{{1}});
  kill(first);
  settle();
  got->clear();
  tell(front, PoolStarted{spawn<DeafPool>(got)});
  EXPECT_THAT(*got, ElementsAre(2));
}

TEST_F(FrontTest, CancelsAgainWhatTheStoreHasNotConfirmed) {
  const ActorRef first = spawn<DeafPool>(got);
  tell(front, PoolStarted{first});
  tell(front, actors::CancelCommand{{1}, {}});
  tell(front, actors::CancelCommand{{2}, {}});
  tell(front, actors::CancelTaken{{1}});
  kill(first);
  settle();
  got->clear();
  tell(front, PoolStarted{spawn<DeafPool>(got)});
  EXPECT_THAT(*got, ElementsAre(102));
}

TEST_F(FrontTest, AnswersForWhatNeverReachedTheStoreWhenTheTreeIsGone) {
  tell(front, PoolStarted{spawn<DeafPool>(got)});
  submit(1);
  stop(tree);
  settle();
  EXPECT_EQ(outcome(1)->kind, OutcomeKind::crashed);
  submit(2);
  EXPECT_EQ(outcome(2)->kind, OutcomeKind::crashed);
  EXPECT_THAT(*got, ElementsAre(1));
}

TEST_F(FrontTest, EndsWithoutAnswersWhenTheEngineEndsByIntention) {
  submit(1);
  tell(front, EngineEnding{});
  EXPECT_EQ(exit_of(front), actors::ExitReason{});
  EXPECT_THAT(outcomes(), IsEmpty());
}

TEST_F(CommandTreeTest, CommandWhoseActorCannotBeStartedIsAnsweredAsCrashed) {
  start_tree();
  submit(1);
  const auto answer = [&](supervisor::ReplyCode code) {
    tell(child("pool"),
         supervisor::ChildReply{.token = 1, .code = code, .what = "no memory"});
  };
  answer(supervisor::ReplyCode::shutting_down);
  EXPECT_FALSE(outcome(1)) << "the next pool starts it";
  answer(supervisor::ReplyCode::start_failed);
  ASSERT_TRUE(outcome(1));
  EXPECT_EQ(describe(outcome(1)->causes),
            "its actor could not be started: start_failed, no memory");
  attempts_left = 1;
}

}  // namespace
}  // namespace troupe::node
