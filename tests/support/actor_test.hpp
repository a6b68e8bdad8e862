#pragma once

#include <troupe/actors/caf.hpp>
#include <troupe/base/time.hpp>

#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::actors {

/// Runs actors in the test's own thread under virtual time: nothing happens
/// but what a test asks for, and it happens in the same order every time.
///
/// Actors that the test spawned here are killed at its end, and the test fails
/// if any actor is then still alive: whoever starts one also ends it.
class ActorTest : public ::testing::Test {
 protected:
  ActorTest()
      : system{config_},
        scheduler_{dynamic_cast<TestScheduler&>(system.scheduler())} {
    self_.emplace(system);
    settle();
    idle_actors_ = system.registry().running();
  }

  void TearDown() override {
    for (const ActorRef& actor : spawned_)
      kill(actor);
    settle();
    EXPECT_EQ(system.registry().running(), idle_actors_)
        << "actors outlived the one that started them";
    spawned_.clear();
    self_.reset();
    scheduler_.clock().cancel_all();
  }

  /// Starts an actor and lets it and all others run until they are idle.
  template <class State, class... Args>
  ActorRef spawn(Args&&... args) {
    return adopt(actors::spawn<State>(system, std::forward<Args>(args)...));
  }

  /// Takes over an actor that was started otherwise, and settles.
  ActorRef adopt(ActorRef actor) {
    (*self_)->monitor(actor);
    spawned_.push_back(actor);
    settle();
    return actor;
  }

  /// Sends `message`, and lets all actors run until they are idle.
  template <class M>
  void tell(const ActorRef& to, M message) {
    (*self_)->send(to, std::move(message));
    settle();
  }

  /// Sends `message` and settles; the answer, if there was one by then.
  template <class Answer, class M>
  std::optional<Answer> ask(const ActorRef& to, M message) {
    tell(to, std::move(message));
    return received<Answer>();
  }

  /// The oldest answer of this type that has not been taken yet.
  template <class Answer>
  std::optional<Answer> received() {
    std::optional<Answer> answer;
    (*self_)->receive([&](const Answer& a) { answer = a; },
                      caf::after(std::chrono::seconds(0)) >> [] {});
    return answer;
  }

  /// Lets `duration` pass, stopping at each moment at which a message is due,
  /// so that what actors set off on the way also happens at its own time.
  void advance(Duration duration) {
    auto& clock = scheduler_.clock();
    const TimePoint end = clock.now() + duration;
    while (!clock.schedule().empty() &&
           clock.schedule().begin()->first <= end) {
      clock.advance_time(clock.schedule().begin()->first - clock.now());
      settle();
    }
    clock.advance_time(end - clock.now());
    settle();
  }

  /// What a wall clock says that runs with the actors' clock.
  [[nodiscard]] WallTime wall_now() {
    return WallTime{std::chrono::duration_cast<WallTime::duration>(
        scheduler_.clock().now().time_since_epoch())};
  }

  /// Runs actors until none has a message left.
  void settle() {
    while (scheduler_.try_run_once()) {
    }
  }

  /// Lets one actor run, the one that has waited longest; false if all are
  /// idle. For tests that look between two steps.
  bool step() { return scheduler_.try_run_once(); }

  /// Why a spawned or adopted actor ended; nullopt while it is alive.
  std::optional<ExitReason> exit_of(const ActorRef& actor) {
    bool more = true;
    while (more)
      (*self_)->receive(
          [&](const DownMessage& down) {
            exits_.emplace(id_of(down), to_exit_reason(down.reason));
          },
          caf::after(std::chrono::seconds(0)) >> [&] { more = false; });
    const auto found = exits_.find(id_of(actor));
    return found == exits_.end() ? std::nullopt : std::optional{found->second};
  }

  /// Actors alive, less those of CAF and of this fixture.
  [[nodiscard]] std::size_t actors_alive() {
    return system.registry().running() - idle_actors_;
  }

  /// The handle that answers to this test are sent to.
  [[nodiscard]] ActorRef test_actor() { return ActorRef{*self_}; }

 private:
  TestSystemConfig config_;

 protected:
  ActorSystem system;

 private:
  TestScheduler& scheduler_;
  std::optional<ThreadActor> self_;
  std::size_t idle_actors_ = 0;
  std::vector<ActorRef> spawned_;
  std::map<ActorId, ExitReason> exits_;
};

}  // namespace troupe::actors
