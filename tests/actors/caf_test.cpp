#include "actor_test.hpp"

#include <troupe/actors/caf.hpp>
#include <troupe/actors/process_stop.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace troupe::actors {
namespace {

struct Ring {};
struct Rang {};
struct Crash {
  std::string text;
};
struct Question {
  int number = 0;
};
struct Reply {
  int number = 0;
};
struct Spin {
  Duration time{0};
};
/// Block, as if somebody had pressed Ctrl-Z meanwhile.
struct BeStopped {
  Duration time{0};
};
struct Block {
  Duration time{0};
};

}  // namespace
}  // namespace troupe::actors

TROUPE_LOCAL_MESSAGE(troupe::actors::Ring)
TROUPE_LOCAL_MESSAGE(troupe::actors::Rang)
TROUPE_LOCAL_MESSAGE(troupe::actors::Crash)
TROUPE_LOCAL_MESSAGE(troupe::actors::Question)
TROUPE_LOCAL_MESSAGE(troupe::actors::Reply)
TROUPE_LOCAL_MESSAGE(troupe::actors::Spin)
TROUPE_LOCAL_MESSAGE(troupe::actors::BeStopped)
TROUPE_LOCAL_MESSAGE(troupe::actors::Block)

namespace troupe::actors {
namespace {

/// Rings 250 ms after it was told to, crashes or answers when told to.
class Bell {
 public:
  Bell(Actor* self, std::shared_ptr<int> rings)
      : self_{self}, rings_{std::move(rings)} {}

  Behavior make_behavior() {
    return {
        [this](Ring) { send_after(self_, 250ms, Rang{}); },
        [this](Rang) { ++*rings_; },
        [](Spin spin) {
          const auto end = std::chrono::steady_clock::now() + spin.time;
          while (std::chrono::steady_clock::now() < end) {
          }
        },
        [](BeStopped stop) {
          expect_process_stop();
          std::this_thread::sleep_for(stop.time);
        },
        [](Block block) { std::this_thread::sleep_for(block.time); },
        [](const Crash& crash) { throw std::runtime_error(crash.text); },
        [this](Question q) {
          answer_later(self_).deliver(Reply{2 * q.number});
        },
    };
  }

 private:
  Actor* self_;
  std::shared_ptr<int> rings_;
};

class CafTest : public ActorTest {
 protected:
  std::shared_ptr<int> rings = std::make_shared<int>(0);
};

TEST_F(CafTest, DelayedMessageArrivesAt250MillisecondsAndNotAt249) {
  auto bell = spawn<Bell>(rings);
  tell(bell, Ring{});
  advance(249ms);
  EXPECT_EQ(*rings, 0);
  advance(1ms);
  EXPECT_EQ(*rings, 1);
}

TEST_F(CafTest, AdvancingStopsAtEveryMomentAtWhichAMessageIsDue) {
  auto bell = spawn<Bell>(rings);
  tell(bell, Ring{});
  advance(100ms);
  tell(bell, Ring{});
  advance(150ms);
  EXPECT_EQ(*rings, 1);
  advance(1s);
  EXPECT_EQ(*rings, 2);
}

TEST_F(CafTest, ExceptionEndsTheActorAndItsTextReachesTheMonitor) {
  auto bell = spawn<Bell>(rings);
  EXPECT_EQ(exit_of(bell), std::nullopt);
  tell(bell, Crash{"boom"});
  EXPECT_EQ(exit_of(bell), (ExitReason{ExitKind::crashed, "boom"}));
}

TEST_F(CafTest, StateDiesWithTheActorAndNotWithTheLastHandle) {
  auto bell = spawn<Bell>(rings);
  EXPECT_EQ(rings.use_count(), 2);
  stop(bell);
  settle();
  EXPECT_EQ(rings.use_count(), 1);
  EXPECT_EQ(exit_of(bell), (ExitReason{ExitKind::shutdown, {}}));
}

TEST_F(CafTest, KilledActorReportsThatItWasKilled) {
  auto bell = spawn<Bell>(rings);
  kill(bell);
  settle();
  EXPECT_EQ(exit_of(bell), (ExitReason{ExitKind::killed, {}}));
}

TEST_F(CafTest, AnswerGoesToTheSenderOfAPlainMessage) {
  auto bell = spawn<Bell>(rings);
  auto reply = ask<Reply>(bell, Question{21});
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->number, 42);
}

TEST_F(CafTest, UnexpectedMessageIsDroppedAndPrintsNothing) {
  auto bell = spawn<Bell>(rings);
  ::testing::internal::CaptureStdout();
  tell(bell, 17);
  tell(bell, Crash{"boom"});
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

TEST_F(CafTest, HandlerThatTakesTooLongIsCountedAndOthersAreNot) {
  auto bell = spawn<Bell>(rings);
  const std::uint64_t before = handler_stalls();
  tell(bell, Spin{stall_limit + 1ms});
  EXPECT_EQ(handler_stalls(), before + 1);
}

TEST_F(CafTest, DetachedActorMayTakeItsTime) {
  const std::uint64_t before = handler_stalls();
  const ActorRef bell = spawn_detached<Bell>(system, rings);
  send(bell, Spin{stall_limit + 1ms});
  stop(bell);
  while (actors_alive() > 0)
    std::this_thread::yield();
  EXPECT_EQ(handler_stalls(), before);
}

TEST_F(CafTest, HandlerThatIsStoppedWithItsProcessHasNotStalled) {
  auto bell = spawn<Bell>(rings);
  const std::uint64_t before = handler_stalls();
  tell(bell, BeStopped{stall_limit + 1ms});
  EXPECT_EQ(handler_stalls(), before);
}

/// What is allowed is read once: only a new process can be told otherwise.
class StallDeathTest : public CafTest {
 protected:
  StallDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(StallDeathTest, HandlerThatComputesForTooLongEndsTheProcess) {
  EXPECT_DEATH(
      {
        ::setenv("TROUPE_STALLS", "1ms", 1);
        auto bell = spawn<Bell>(rings);
        tell(bell, Spin{50ms});
      },
      "error handler_stalled message=troupe::actors::.*Spin took=");
}

TEST_F(StallDeathTest, HandlerThatWaitsForTooLongEndsTheProcess) {
  EXPECT_DEATH(
      {
        ::setenv("TROUPE_STALLS", "1ms", 1);
        auto bell = spawn<Bell>(rings);
        tell(bell, Block{50ms});
      },
      "error handler_stalled message=troupe::actors::.*Block took=");
}

/// Passes a message on that the receiver does not know.
class Stranger {
 public:
  Stranger(Actor* self, ActorRef to) : self_{self}, to_{std::move(to)} {}
  Behavior make_behavior() {
    return {[this](Ring) { send(self_, to_, 17); }};
  }

 private:
  Actor* self_;
  ActorRef to_;
};

TEST_F(CafTest, UnexpectedMessageDoesNotHarmItsSender) {
  auto bell = spawn<Bell>(rings);
  auto stranger = spawn<Stranger>(bell);
  tell(stranger, Ring{});
  EXPECT_EQ(exit_of(bell), std::nullopt);
  EXPECT_EQ(exit_of(stranger), std::nullopt);
}

/// Counts how often it was asked to stop, and does not.
class Stubborn {
 public:
  Stubborn(Actor* self, std::shared_ptr<int> asked)
      : self_{self}, asked_{std::move(asked)} {}
  Behavior make_behavior() {
    handle_stop(self_, [this](const ExitReason&) { ++*asked_; });
    return {[](Ring) {}};
  }

 private:
  Actor* self_;
  std::shared_ptr<int> asked_;
};

/// Linked to another actor, which it asks to stop when it is told to.
class Linked {
 public:
  Linked(Actor* self, ActorRef to) : self_{self}, to_{std::move(to)} {}
  Behavior make_behavior() {
    self_->link_to(to_);
    return {
        [this](Ring) { stop(self_, to_); },
        [](const Crash& crash) { throw std::runtime_error(crash.text); },
    };
  }

 private:
  Actor* self_;
  ActorRef to_;
};

TEST_F(CafTest, RequestToStopReachesItsHandlerAndTheEndOfALinkedActorDoesNot) {
  auto asked = std::make_shared<int>(0);
  auto stubborn = spawn<Stubborn>(asked);
  auto linked = spawn<Linked>(stubborn);
  tell(linked, Ring{});
  EXPECT_EQ(*asked, 1);
  stop(stubborn);
  settle();
  EXPECT_EQ(*asked, 2);
  tell(linked, Crash{"boom"});
  EXPECT_EQ(*asked, 2);
  EXPECT_EQ(exit_of(stubborn), std::nullopt);
}

TEST(CafErrors, SurviveTheMailbox) {
  const Error error{Errc::overloaded, "the queue is full"};
  EXPECT_EQ(to_error(to_caf(error)), error);
  EXPECT_EQ(to_exit_reason(to_caf(error)),
            (ExitReason{ExitKind::custom, "the queue is full"}));
}

TEST(CafErrors, ExitReasonsSurviveTheMailbox) {
  for (const ExitReason& reason :
       {ExitReason{ExitKind::normal, {}}, ExitReason{ExitKind::shutdown, {}},
        ExitReason{ExitKind::shutdown, "gave up"},
        ExitReason{ExitKind::killed, {}}, ExitReason{ExitKind::crashed, "boom"},
        ExitReason{ExitKind::custom, "no"}})
    EXPECT_EQ(to_exit_reason(to_caf(reason)), reason) << describe(reason);
}

}  // namespace
}  // namespace troupe::actors
