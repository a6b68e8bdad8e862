// The shell: real actors under virtual time.
#include "actor_test.hpp"

#include <troupe/supervisor/supervisor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace troupe::supervisor {
namespace {

struct Throw {};
struct QuitWith {
  ExitReason reason;
};

/// What the actors of a test have in common.
struct Stage {
  std::vector<std::string> log;
  std::map<std::string, ActorRef> newest;  ///< By child id.
  std::map<std::string, int> starts;
  std::map<std::string, int> failing_starts;  ///< To come.
  std::map<std::string, bool> stubborn;       ///< Ignores the polite stop.
};

}  // namespace
}  // namespace troupe::supervisor

TROUPE_LOCAL_MESSAGE(troupe::supervisor::Throw)
TROUPE_LOCAL_MESSAGE(troupe::supervisor::QuitWith)

namespace troupe::supervisor {
namespace {

using actors::Behavior;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Worker {
 public:
  Worker(Actor* self, std::string id, std::shared_ptr<Stage> stage)
      : self_{self}, id_{std::move(id)}, stage_{std::move(stage)} {}

  Behavior make_behavior() {
    if (stage_->stubborn[id_])
      actors::handle_stop(self_, [](const ExitReason&) {});
    return {
        [](Throw) { throw std::runtime_error("boom"); },
        [this](const QuitWith& m) { actors::quit(self_, m.reason); },
    };
  }

  void on_exit() { stage_->log.push_back("gone " + id_); }

 private:
  Actor* self_;
  std::string id_;
  std::shared_ptr<Stage> stage_;
};

class SupervisorActorTest : public actors::ActorTest {
 protected:
  void TearDown() override {
    stage->newest.clear();
    ActorTest::TearDown();
  }

  StartResult start_worker(StartContext& context, const std::string& id) {
    ++stage->starts[id];
    if (stage->failing_starts[id] > 0) {
      --stage->failing_starts[id];
      throw std::runtime_error("no luck");
    }
    stage->log.push_back("start " + id);
    stage->newest[id] = actors::spawn<Worker>(context.supervisor(), id, stage);
    return stage->newest[id];
  }

  ChildSpec worker(std::string id, Restart restart = Restart::permanent) {
    return {.id = id,
            .start =
                [this, id](StartContext& context) {
                  return start_worker(context, id);
                },
            .restart = restart};
  }

  /// Dynamic workers; the argument is the id of one.
  SupervisorSpec crowd(int intensity = 10) {
    return {
        .name = "crowd",
        .strategy = Strategy::simple_one_for_one,
        .intensity = intensity,
        .children = {{.id = "worker",
                      .start = start_with<std::string>(
                          [this](StartContext& context, const std::string& id) {
                            return start_worker(context, id);
                          }),
                      .restart = Restart::transient}}};
  }

  SupervisorSpec three(Strategy strategy, int intensity = 10) {
    return {.name = "top",
            .strategy = strategy,
            .intensity = intensity,
            .children = {worker("a"), worker("b"), worker("c")}};
  }

  ActorRef supervise(SupervisorSpec spec) {
    auto supervisor = spawn_supervisor(system, std::move(spec), test_actor());
    EXPECT_TRUE(supervisor.has_value());
    return adopt(*supervisor);
  }

  void crash(const std::string& id) {
    tell(ActorRef{stage->newest[id]}, Throw{});
  }

  std::vector<std::string> take_log() { return std::exchange(stage->log, {}); }

  /// The kinds of the reports since the last call.
  std::vector<ReportKind> take_reports() {
    std::vector<ReportKind> kinds;
    while (auto report = received<Report>())
      kinds.push_back(report->kind);
    return kinds;
  }

  std::shared_ptr<Stage> stage = std::make_shared<Stage>();
};

TEST_F(SupervisorActorTest, StartsItsChildrenInOrderAndReportsIt) {
  supervise(three(Strategy::one_for_one));
  EXPECT_THAT(take_log(), ElementsAre("start a", "start b", "start c"));
  EXPECT_THAT(take_reports(), ElementsAre(ReportKind::started));
}

TEST_F(SupervisorActorTest, RestartsAfterAnExceptionAnErrorAndAKill) {
  auto supervisor = supervise({.intensity = 3, .children = {worker("a")}});
  const ActorRef first = stage->newest["a"];
  crash("a");
  EXPECT_EQ(stage->starts["a"], 2);
  EXPECT_NE(stage->newest["a"], first);
  tell(ActorRef{stage->newest["a"]},
       QuitWith{{ExitKind::custom, "out of paper"}});
  EXPECT_EQ(stage->starts["a"], 3);
  actors::kill(stage->newest["a"]);
  settle();
  EXPECT_EQ(stage->starts["a"], 4);
  EXPECT_EQ(exit_of(supervisor), std::nullopt);

  received<Report>();  // started
  for (const ExitReason& reason : {ExitReason{ExitKind::crashed, "boom"},
                                   ExitReason{ExitKind::custom, "out of paper"},
                                   ExitReason{ExitKind::killed, {}}})
    EXPECT_EQ(received<Report>()->reason, reason);
}

TEST_F(SupervisorActorTest, TransientWorkerIsRestartedOnlyAfterAFailure) {
  supervise({.children = {worker("a", Restart::transient)}});
  crash("a");
  EXPECT_EQ(stage->starts["a"], 2);
  tell(ActorRef{stage->newest["a"]}, QuitWith{});
  EXPECT_EQ(stage->starts["a"], 2);
}

TEST_F(SupervisorActorTest, OneForAllStopsTheOthersInReverse) {
  supervise(three(Strategy::one_for_all));
  take_log();
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "gone c", "gone a", "start a",
                                      "start b", "start c"));
}

TEST_F(SupervisorActorTest, RestForOneStopsOnlyLaterOnes) {
  supervise(three(Strategy::rest_for_one));
  take_log();
  crash("b");
  EXPECT_THAT(take_log(),
              ElementsAre("gone b", "gone c", "start b", "start c"));
}

TEST_F(SupervisorActorTest, GivesUpAfterItsChildrenHaveStopped) {
  auto supervisor = supervise(three(Strategy::one_for_one, /*intensity=*/0));
  take_log();
  take_reports();
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "gone c", "gone a"));
  EXPECT_THAT(take_reports(),
              ElementsAre(ReportKind::child_terminated, ReportKind::gave_up));
  EXPECT_EQ(exit_of(supervisor),
            (ExitReason{ExitKind::shutdown,
                        "child \"b\" needed more than 0 restarts in 5s: "
                        "crashed: boom"}));
}

TEST_F(SupervisorActorTest, StopsItsChildrenInReverseWhenAskedTo) {
  auto supervisor = supervise(three(Strategy::one_for_one));
  take_log();
  actors::stop(supervisor);
  settle();
  EXPECT_THAT(take_log(), ElementsAre("gone c", "gone b", "gone a"));
  EXPECT_EQ(exit_of(supervisor), (ExitReason{ExitKind::shutdown, {}}));
}

TEST_F(SupervisorActorTest, KillsAStubbornChildWhenItsTimeIsUp) {
  SupervisorSpec spec = three(Strategy::one_for_one);
  spec.children[1].shutdown = Duration{200ms};
  stage->stubborn["b"] = true;
  auto supervisor = supervise(spec);
  take_log();
  actors::stop(supervisor);
  settle();
  advance(199ms);
  EXPECT_THAT(take_log(), ElementsAre("gone c"));
  advance(1ms);
  EXPECT_THAT(take_log(), ElementsAre("gone b", "gone a"));
  EXPECT_EQ(exit_of(supervisor), (ExitReason{ExitKind::shutdown, {}}));
}

TEST_F(SupervisorActorTest, StartFunctionThatThrowsIsAFailedStart) {
  stage->failing_starts["c"] = 1;
  auto supervisor = supervise(three(Strategy::one_for_one));
  EXPECT_THAT(take_log(),
              ElementsAre("start a", "start b", "gone b", "gone a"));
  EXPECT_EQ(
      exit_of(supervisor),
      (ExitReason{ExitKind::shutdown, "child \"c\" failed to start: no luck"}));
}

TEST_F(SupervisorActorTest, FailedRestartIsTriedAgainAndCounts) {
  auto supervisor = supervise({.intensity = 3, .children = {worker("a")}});
  stage->failing_starts["a"] = 2;
  crash("a");
  EXPECT_EQ(stage->starts["a"], 4);
  EXPECT_EQ(exit_of(supervisor), std::nullopt);
  crash("a");
  EXPECT_TRUE(exit_of(supervisor).has_value());
}

TEST_F(SupervisorActorTest, BackoffDelaysTheRestart) {
  ChildSpec spec = worker("a");
  spec.backoff = Backoff{.min = 250ms, .jitter = 0};
  supervise({.children = {spec}});
  crash("a");
  advance(249ms);
  EXPECT_EQ(stage->starts["a"], 1);
  advance(1ms);
  EXPECT_EQ(stage->starts["a"], 2);
}

TEST_F(SupervisorActorTest, ChildThatIsReadyLaterHoldsUpTheNext) {
  ActorRef slow;
  ChildRef child;
  SupervisorSpec spec = three(Strategy::one_for_one);
  spec.children[1].start = [&](StartContext& context) -> StartResult {
    child = context.child();
    slow = actors::spawn<Worker>(context.supervisor(), "b", stage);
    return Starting{slow};
  };
  auto supervisor = supervise(spec);
  EXPECT_THAT(take_log(), ElementsAre("start a"));
  EXPECT_THAT(take_reports(), IsEmpty());
  tell(supervisor, ChildReady{child});
  EXPECT_THAT(take_log(), ElementsAre("start c"));
  EXPECT_THAT(take_reports(), ElementsAre(ReportKind::started));
}

TEST_F(SupervisorActorTest, SupervisorsNestAndEscalate) {
  auto supervisor = supervise(
      {.name = "top",
       .intensity = 1,
       .children = {worker("x"),
                    supervisor_child(
                        "sub", three(Strategy::one_for_one, /*intensity=*/0)),
                    worker("y")}});
  EXPECT_THAT(take_log(), ElementsAre("start x", "start a", "start b",
                                      "start c", "start y"));
  EXPECT_THAT(take_reports(),
              ElementsAre(ReportKind::started, ReportKind::started));
  crash("b");
  EXPECT_THAT(take_log(), ElementsAre("gone b", "gone c", "gone a", "start a",
                                      "start b", "start c"));
  EXPECT_THAT(take_reports(),
              ElementsAre(ReportKind::child_terminated, ReportKind::gave_up,
                          ReportKind::child_terminated, ReportKind::started));
  crash("a");
  EXPECT_THAT(take_log(),
              ElementsAre("gone a", "gone c", "gone b", "gone y", "gone x"));
  EXPECT_EQ(exit_of(supervisor)->kind, ExitKind::shutdown);
}

TEST_F(SupervisorActorTest, NestedStartFailureNamesTheWholePath) {
  stage->failing_starts["b"] = 1;
  auto supervisor = supervise(
      {.children = {worker("x"),
                    supervisor_child("sub", three(Strategy::one_for_one))}});
  EXPECT_THAT(take_log(),
              ElementsAre("start x", "start a", "gone a", "gone x"));
  EXPECT_EQ(exit_of(supervisor)->what,
            "child \"sub\" failed to start: shutdown: child \"b\" failed to "
            "start: no luck");
}

TEST_F(SupervisorActorTest, KilledSupervisorLeavesNoOrphan) {
  stage->stubborn["a"] = true;
  SupervisorSpec nested = three(Strategy::one_for_one);
  nested.children[0].shutdown = Duration{1s};
  auto supervisor =
      supervise({.children = {worker("x"), supervisor_child("sub", nested)}});
  take_log();
  actors::kill(supervisor);
  settle();
  EXPECT_THAT(take_log(),
              ::testing::UnorderedElementsAre("gone x", "gone c", "gone b"));
  advance(1s);
  EXPECT_THAT(take_log(), ElementsAre("gone a"));
  EXPECT_EQ(actors_alive(), 0U);
}

TEST_F(SupervisorActorTest, RequestsAreAnswered) {
  auto supervisor = supervise(three(Strategy::one_for_one));
  auto reply = ask<ChildReply>(supervisor, StartChild{worker("d"), 17});
  EXPECT_EQ(reply->token, 17U);
  EXPECT_EQ(reply->code, ReplyCode::ok);
  EXPECT_EQ(reply->actor, stage->newest["d"]);
  EXPECT_EQ(ask<ChildReply>(supervisor, StartChild{worker("a"), 0})->code,
            ReplyCode::already_started);
  EXPECT_EQ(ask<ChildReply>(supervisor, DeleteChild{"a", 0})->code,
            ReplyCode::running);
  EXPECT_EQ(ask<ChildReply>(supervisor, TerminateChild{"a", 0})->code,
            ReplyCode::ok);
  EXPECT_EQ(ask<ChildReply>(supervisor, RestartChild{"a", 0})->actor,
            stage->newest["a"]);
  ask<ChildReply>(supervisor, TerminateChild{"b", 0});
  EXPECT_EQ(ask<ChildReply>(supervisor, DeleteChild{"b", 0})->code,
            ReplyCode::ok);
  EXPECT_EQ(ask<ChildCounts>(supervisor, CountChildren{}),
            (ChildCounts{3, 3, 0, 3}));
  auto list = ask<ChildList>(supervisor, WhichChildren{});
  ASSERT_EQ(list->children.size(), 3U);
  EXPECT_EQ(list->children[0].info.id, "a");
  EXPECT_EQ(list->children[0].actor, stage->newest["a"]);
  EXPECT_EQ(list->children[2].info.id, "d");
  ask<ChildReply>(supervisor, TerminateChild{"c", 0});
  list = ask<ChildList>(supervisor, WhichChildren{});
  EXPECT_EQ(list->children[1].info.state, ChildState::stopped);
  EXPECT_EQ(list->children[1].actor, ActorRef{});
}

TEST_F(SupervisorActorTest, DynamicChildIsRestartedWithItsArguments) {
  auto supervisor = supervise(crowd());
  auto reply = ask<ChildReply>(
      supervisor,
      StartDynamicChild{actors::make_message(std::string{"w1"}), 5});
  EXPECT_EQ(reply->code, ReplyCode::ok);
  EXPECT_EQ(reply->token, 5U);
  EXPECT_EQ(reply->actor, stage->newest["w1"]);
  received<Report>();  // started
  crash("w1");
  EXPECT_EQ(stage->starts["w1"], 2);
  const auto report = received<Report>();
  EXPECT_EQ(report->kind, ReportKind::child_terminated);
  EXPECT_EQ(report->key, reply->key);

  EXPECT_EQ(
      ask<ChildReply>(supervisor, TerminateDynamicChild{reply->key, 6})->code,
      ReplyCode::ok);
  EXPECT_THAT(take_log(),
              ElementsAre("start w1", "gone w1", "start w1", "gone w1"));
}

TEST_F(SupervisorActorTest, DynamicChildThatDeclinesItsRestartIsForgotten) {
  SupervisorSpec spec = crowd();
  spec.children[0].start = [this](StartContext& context) -> StartResult {
    if (context.restarts() == 2)
      return Ignore{};
    return start_worker(context, "w");
  };
  auto supervisor = supervise(spec);
  ask<ChildReply>(supervisor, StartDynamicChild{});
  crash("w");
  crash("w");
  EXPECT_EQ(stage->starts["w"], 2);
  EXPECT_EQ(ask<ChildCounts>(supervisor, CountChildren{}),
            (ChildCounts{1, 0, 0, 0}));
  EXPECT_EQ(exit_of(supervisor), std::nullopt);
}

TEST_F(SupervisorActorTest, StartFunctionThatThrowsAnythingIsAFailedStart) {
  SupervisorSpec spec = crowd();
  spec.children[0].start = [](StartContext&) -> StartResult { throw 17; };
  auto supervisor = supervise(spec);
  auto reply = ask<ChildReply>(supervisor, StartDynamicChild{});
  EXPECT_EQ(reply->code, ReplyCode::start_failed);
  EXPECT_EQ(reply->what, "an exception that is no std::exception");
}

TEST_F(SupervisorActorTest, StartFunctionMayReturnAnErrorOrNoActor) {
  auto supervisor = supervise({});
  ChildSpec spec = worker("a");
  spec.start = [](StartContext&) -> StartResult {
    return Error{Errc::overloaded, "no room"};
  };
  EXPECT_EQ(ask<ChildReply>(supervisor, StartChild{spec, 0})->what, "no room");
  spec.start = [](StartContext&) -> StartResult { return ActorRef{}; };
  EXPECT_EQ(ask<ChildReply>(supervisor, StartChild{spec, 0})->what,
            "the start function returned no actor");
  spec.start = [](StartContext&) -> StartResult { return Starting{}; };
  EXPECT_EQ(ask<ChildReply>(supervisor, StartChild{spec, 0})->what,
            "the start function returned no actor");
}

TEST_F(SupervisorActorTest, DynamicChildWithForeignArgumentsDoesNotStart) {
  auto supervisor = supervise(crowd());
  auto reply = ask<ChildReply>(supervisor,
                               StartDynamicChild{actors::make_message(5), 0});
  EXPECT_EQ(reply->code, ReplyCode::start_failed);
  EXPECT_EQ(reply->what,
            "the arguments are not of the type that the child expects");
}

TEST_F(SupervisorActorTest, TenThousandDynamicChildrenComeAndGoWithoutGrowth) {
  auto supervisor = supervise(crowd());
  const auto one_lives_and_ends = [&] {
    auto reply = ask<ChildReply>(
        supervisor,
        StartDynamicChild{actors::make_message(std::string{"w"}), 0});
    ASSERT_EQ(reply->code, ReplyCode::ok);
    tell(reply->actor, QuitWith{});
    take_log();
  };
  for (int i = 0; i < 1000; ++i)
    one_lives_and_ends();
  const std::size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 10'000; ++i)
    one_lives_and_ends();
  EXPECT_LT(mallinfo2().uordblks, before + 10'000);  // a byte per child
  EXPECT_EQ(ask<ChildCounts>(supervisor, CountChildren{}),
            (ChildCounts{1, 0, 0, 0}));
  EXPECT_EQ(actors_alive(), 1U);
}

TEST_F(SupervisorActorTest, TenThousandDynamicChildrenStopTogether) {
  auto supervisor = supervise(crowd());
  for (int i = 0; i < 10'000; ++i)
    actors::send(supervisor,
                 StartDynamicChild{actors::make_message(std::string{"w"}), 0});
  settle();
  EXPECT_EQ(actors_alive(), 10'001U);
  actors::stop(supervisor);
  settle();
  EXPECT_EQ(actors_alive(), 0U);
}

TEST_F(SupervisorActorTest, SpecThatMakesNoSenseIsRefused) {
  auto refused = spawn_supervisor(system, {.intensity = -1});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), (Error{Errc::invalid_argument,
                                    "intensity must not be negative, got -1"}));
}

}  // namespace
}  // namespace troupe::supervisor
