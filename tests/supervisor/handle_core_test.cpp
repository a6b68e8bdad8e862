#include <troupe/base/overload.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/supervisor/handle_core.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::supervisor {
namespace {

using actors::ExitKind;
using actors::ExitReason;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const ExitReason boom{ExitKind::crashed, "boom"};

/// The actions as text: "pass on 1", "refuse 1 unavailable: ..", "wake 1m".
std::vector<std::string> text_of(const HandleActions& actions) {
  std::vector<std::string> lines;
  for (const HandleAction& action : actions)
    lines.push_back(std::visit(
        Overload{
            [](const PassOn& a) { return "pass on " + std::to_string(a.mail); },
            [](const Refuse& a) {
              return "refuse " + std::to_string(a.mail) + " " +
                     std::string{to_string(a.error.code)} + ": " + a.error.what;
            },
            [](const WakeUp& a) { return "wake " + format_duration(a.delay); },
        },
        action));
  return lines;
}

class HandleCoreTest : public ::testing::Test {
 protected:
  using Lines = std::vector<std::string>;

  Lines ask(MailNumber mail) {
    return text_of(core.on_message(mail, true, now));
  }
  Lines tell(MailNumber mail) {
    return text_of(core.on_message(mail, false, now));
  }
  Lines start(IncarnationId id) {
    return text_of(core.on_incarnation(id, now));
  }
  Lines end(IncarnationId id) { return text_of(core.on_ended(id, boom, now)); }
  Lines say(Presence presence) {
    return text_of(core.on_presence(presence, now));
  }
  Lines time() { return text_of(core.on_time(now)); }
  void come_up(IncarnationId id) {
    start(id);
    say(Presence::up);
  }

  TimePoint now{1h};
  HandleCore core{
      {.name = "cache", .capacity = 2, .max_open = 3, .answer_within = 1min},
      now};
};

TEST_F(HandleCoreTest, PassesMessagesOnWhileTheChildIsUp) {
  come_up(7);
  EXPECT_THAT(tell(1), ElementsAre("pass on 1"));
  EXPECT_THAT(ask(2), ElementsAre("pass on 2", "wake 1m"));
  EXPECT_THAT(ask(3), ElementsAre("pass on 3"));
}

TEST_F(HandleCoreTest, KeepsMessagesInOrderUntilTheChildIsUp) {
  EXPECT_THAT(ask(1), ElementsAre("wake 1m"));
  EXPECT_THAT(tell(2), IsEmpty());
  EXPECT_THAT(start(7), IsEmpty());
  EXPECT_THAT(say(Presence::up), ElementsAre("pass on 1", "pass on 2"));
  EXPECT_THAT(tell(3), ElementsAre("pass on 3"));
}

TEST_F(HandleCoreTest, RefusesWhatDoesNotFitAndSaysWhenToComeBack) {
  tell(1);
  tell(2);
  now += 3s;
  EXPECT_THAT(ask(3), ElementsAre("refuse 3 overloaded: the mailbox of cache "
                                  "is full: 2 items before this one, retry "
                                  "in 3s"));
  EXPECT_THAT(tell(4), ElementsAre("refuse 4 overloaded: the mailbox of cache "
                                   "is full: 2 items before this one, retry "
                                   "in 3s"));
  EXPECT_EQ(core.info().stats.refused, 1U);
  EXPECT_EQ(core.info().stats.rejected, 1U);
}

TEST_F(HandleCoreTest, TimeToComeBackIsCountedFromTheLastAbsence) {
  come_up(7);
  now += 1h;
  end(7);
  tell(1);
  tell(2);
  now += 20ms;
  EXPECT_THAT(ask(3), ElementsAre("refuse 3 overloaded: the mailbox of cache "
                                  "is full: 2 items before this one, retry "
                                  "in 20ms"));
}

TEST_F(HandleCoreTest, RefusesMoreRequestsThanMayBeOpen) {
  come_up(7);
  ask(1);
  ask(2);
  ask(3);
  EXPECT_THAT(ask(4), ElementsAre("refuse 4 overloaded: the list of open "
                                  "requests to cache is full: 3 items before "
                                  "this one, retry in 10ms"));
  EXPECT_THAT(tell(5), ElementsAre("pass on 5"));
  EXPECT_TRUE(core.on_answer(2, now));
  EXPECT_THAT(ask(6), ElementsAre("pass on 6"));
}

TEST_F(HandleCoreTest, WaitingRequestsCountAsOpen) {
  come_up(7);
  ask(1);
  ask(2);
  say(Presence::away);  // is told to stop, but may still answer
  ask(3);
  EXPECT_EQ(core.info().open, 3U);
  EXPECT_THAT(ask(4), ElementsAre("refuse 4 overloaded: the list of open "
                                  "requests to cache is full: 3 items before "
                                  "this one, retry in 10ms"));
}

TEST_F(HandleCoreTest, RequestIsAnsweredOnce) {
  come_up(7);
  ask(1);
  EXPECT_TRUE(core.on_answer(1, now));
  EXPECT_FALSE(core.on_answer(1, now));
  EXPECT_FALSE(core.on_answer(99, now));
  EXPECT_THAT(end(7), IsEmpty());
}

TEST_F(HandleCoreTest, RequestThatDiesWithItsIncarnationIsAnsweredByTheHandle) {
  come_up(7);
  ask(1);
  tell(2);
  EXPECT_THAT(end(7), ElementsAre("refuse 1 unavailable: cache ended before "
                                  "it answered: crashed: boom"));
  EXPECT_FALSE(core.on_answer(1, now));
  ask(3);
  start(8);
  EXPECT_THAT(say(Presence::up), ElementsAre("pass on 3"));
}

TEST_F(HandleCoreTest, AnswerThatIsACrashBecomesUnavailable) {
  come_up(7);
  ask(1);
  EXPECT_THAT(text_of(core.on_crash_answer(1, boom, now)),
              ElementsAre("refuse 1 unavailable: cache ended before it "
                          "answered: crashed: boom"));
  EXPECT_THAT(text_of(core.on_crash_answer(1, boom, now)), IsEmpty());
  EXPECT_THAT(end(7), IsEmpty());
}

TEST_F(HandleCoreTest, NewIncarnationMayBeKnownBeforeTheEndOfTheOld) {
  come_up(7);
  ask(1);
  EXPECT_THAT(start(8),
              ElementsAre("refuse 1 unavailable: cache ended before it "
                          "answered"));
  EXPECT_THAT(ask(2), IsEmpty());
  EXPECT_THAT(say(Presence::up), ElementsAre("pass on 2"));
  EXPECT_THAT(end(7), IsEmpty());
  EXPECT_THAT(tell(3), ElementsAre("pass on 3"));
}

TEST_F(HandleCoreTest, IncarnationThatEndedBeforeItWasCalledUpGetsNothing) {
  ask(1);
  start(7);
  end(7);
  EXPECT_THAT(say(Presence::up), IsEmpty());
  EXPECT_EQ(core.info().presence, Presence::away);
  EXPECT_THAT(start(8), IsEmpty());
  EXPECT_THAT(say(Presence::up), ElementsAre("pass on 1"));
}

TEST_F(HandleCoreTest, OneThatIsStoppingMayStillAnswer) {
  come_up(7);
  ask(1);
  EXPECT_THAT(say(Presence::away), IsEmpty());
  ask(2);
  EXPECT_TRUE(core.on_answer(1, now));
  EXPECT_THAT(end(7), IsEmpty());
  start(8);
  EXPECT_THAT(say(Presence::up), ElementsAre("pass on 2"));
}

TEST_F(HandleCoreTest, RefusesWhatWaitsAndComesWhenTheChildIsGone) {
  ask(1);
  tell(2);
  EXPECT_THAT(say(Presence::gone),
              ElementsAre("refuse 1 unavailable: cache is stopped",
                          "refuse 2 unavailable: cache is stopped"));
  EXPECT_THAT(ask(3), ElementsAre("refuse 3 unavailable: cache is stopped"));
  EXPECT_THAT(tell(4), ElementsAre("refuse 4 unavailable: cache is stopped"));
  start(7);  // by hand
  EXPECT_THAT(say(Presence::up), IsEmpty());
  EXPECT_THAT(ask(5), ElementsAre("pass on 5"));
}

TEST_F(HandleCoreTest, OneThatIsGoneForGoodMayStillAnswerBeforeItsEnd) {
  come_up(7);
  ask(1);
  ask(2);
  EXPECT_THAT(say(Presence::gone), IsEmpty());
  EXPECT_TRUE(core.on_answer(1, now));
  EXPECT_THAT(end(7), ElementsAre("refuse 2 unavailable: cache ended before "
                                  "it answered: crashed: boom"));
  EXPECT_EQ(core.info().presence, Presence::gone);
}

TEST_F(HandleCoreTest, RequestThatIsNotAnsweredTimesOut) {
  come_up(7);
  ask(1);
  now += 20s;
  ask(2);
  now += 40s;
  EXPECT_THAT(time(),
              ElementsAre("refuse 1 timed_out: cache has not answered within "
                          "1m",
                          "wake 20s"));
  EXPECT_FALSE(core.on_answer(1, now));
  EXPECT_TRUE(core.on_answer(2, now));
  now += 20s;
  EXPECT_THAT(time(), IsEmpty());
}

TEST_F(HandleCoreTest, MessageThatHasWaitedTooLongIsRefused) {
  ask(1);
  tell(2);
  now += 1min;
  EXPECT_THAT(time(), ElementsAre("refuse 1 unavailable: cache has not come "
                                  "back within 1m",
                                  "refuse 2 unavailable: cache has not come "
                                  "back within 1m"));
  EXPECT_EQ(core.info().open, 0U);
}

TEST_F(HandleCoreTest, TimeForTheAnswerIncludesTheWait) {
  ask(1);
  now += 50s;
  come_up(7);
  now += 10s;
  EXPECT_THAT(time(),
              ElementsAre("refuse 1 timed_out: cache has not answered within "
                          "1m"));
}

TEST_F(HandleCoreTest, EndOfTheHandleRefusesAll) {
  come_up(7);
  ask(1);
  say(Presence::away);
  ask(2);
  tell(3);
  EXPECT_THAT(text_of(core.on_end()),
              ElementsAre("refuse 1 unavailable: the handle of cache has ended",
                          "refuse 2 unavailable: the handle of cache has ended",
                          "refuse 3 unavailable: the handle of cache has "
                          "ended"));
  EXPECT_FALSE(core.on_answer(1, now));
  EXPECT_THAT(text_of(core.on_end()), IsEmpty());
}

TEST_F(HandleCoreTest, CountsWhatItDoes) {
  ask(1);
  tell(2);
  tell(3);  // does not fit
  come_up(7);
  (void)core.on_answer(1, now);
  ask(4);
  end(7);
  EXPECT_EQ(core.info().stats, (HandleStats{.messages = 4,
                                            .requests = 2,
                                            .waited = 2,
                                            .passed_on = 3,
                                            .answered = 1,
                                            .refused = 1,
                                            .rejected = 1,
                                            .most_waiting = 2,
                                            .most_open = 1}));
}

std::string options_refusal(const HandleOptions& options) {
  const auto result = check(options);
  return result ? "none" : result.error().what;
}

TEST(HandleOptions, ThatMakeNoSenseAreRefused) {
  EXPECT_EQ(options_refusal({.name = "a"}), "none");
  EXPECT_EQ(options_refusal({}), "a handle has no name");
  EXPECT_EQ(options_refusal({.name = "a", .capacity = 0}),
            "the capacity of a handle must be at least 1");
  EXPECT_EQ(options_refusal({.name = "a", .max_open = 0}),
            "a handle must allow at least 1 open request");
  EXPECT_EQ(options_refusal({.name = "a", .answer_within = 0s}),
            "the time for an answer must be positive");
  EXPECT_EQ(
      options_refusal({.name = "a", .retry_floor = 2s, .retry_ceiling = 1s}),
      "the time to retry must be from 0 <= floor to ceiling");
}

}  // namespace
}  // namespace troupe::supervisor
