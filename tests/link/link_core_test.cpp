#include "link_nodes.hpp"
#include "time_zero.hpp"

#include <troupe/link/link_core.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <type_traits>

namespace troupe::link {
namespace {

using Core = LinkCore;
using Actions = LinkCore::Actions;

/// Asks for output with a window of 100 bytes; the number of the stream.
std::uint64_t open_log(LinkCore& core) {
  const auto opened = core.open_log(LogOpen{.job = 17, .attempt = 1}, 100, t0);
  EXPECT_TRUE(opened.has_value());
  return opened ? opened->stream : 0;
}

/// The actions as words, with what matters of each.
std::vector<std::string> words(const Actions& actions) {
  std::vector<std::string> all;
  for (const Core::Action& action : actions) {
    if (std::holds_alternative<Core::Connect>(action))
      all.emplace_back("connect");
    else if (std::holds_alternative<Core::Write>(action))
      all.emplace_back("write");
    else if (std::holds_alternative<Core::Up>(action))
      all.emplace_back("up");
    else if (std::holds_alternative<Core::Deliver>(action))
      all.emplace_back("deliver");
    else if (std::holds_alternative<Core::HasRoom>(action))
      all.emplace_back("has room");
    else if (std::holds_alternative<Core::LogRoom>(action))
      all.emplace_back("log room");
    else if (std::holds_alternative<Core::Disconnect>(action))
      all.emplace_back("disconnect");
    else if (const auto* down = std::get_if<Core::Down>(&action))
      all.emplace_back("down: " + std::string{to_string(down->end)});
    else
      all.emplace_back("closed");
  }
  return all;
}

MATCHER_P(Say, expected, "") {
  const auto said = words(arg);
  *result_listener << testing::PrintToString(said);
  return said == std::vector<std::string>(expected);
}

auto say(std::initializer_list<const char*> expected) {
  return Say(std::vector<std::string>(expected.begin(), expected.end()));
}

/// The one frame that is to be written.
Message written(const Actions& actions, PeerRole role = PeerRole::member) {
  for (const Core::Action& action : actions) {
    if (const auto* write = std::get_if<Core::Write>(&action)) {
      auto decoded = decode(write->frame, 1, role);
      EXPECT_TRUE(decoded.has_value());
      return decoded.value_or(Message{Farewell{}});
    }
  }
  ADD_FAILURE() << "nothing is written";
  return Farewell{};
}

Core dialling(LinkLimits limits = {}) {
  return {LinkSide::dialling, limits, hello_of(1), node_id(2), 7};
}

Core accepted(LinkLimits limits = {}) {
  return {LinkSide::accepted, limits, hello_of(1), std::nullopt, 7};
}

void bring_up(Core& core) {
  (void)core.on_start(t0);
  (void)core.on_connected(t0);
  (void)core.on_secured(node_id(2), t0);
  (void)core.on_written(t0);
  (void)core.on_frame(encode(hello_of(2), 1), t0);
  ASSERT_EQ(core.phase(), LinkPhase::up);
}

Actions hear(Core& core, const Message& message, TimePoint now = t0) {
  return core.on_frame(encode(message, 1), now);
}

TEST(LinkCore, ComesUpWhenBothHaveSaidHello) {
  Core core = dialling();
  EXPECT_THAT(core.on_start(t0), say({"connect"}));
  EXPECT_THAT(core.on_connected(t0), say({}));
  const Actions secured = core.on_secured(node_id(2), t0);
  EXPECT_THAT(secured, say({"write"}));
  EXPECT_EQ(written(secured, PeerRole::enrolled), Message{hello_of(1)});
  EXPECT_EQ(core.phase(), LinkPhase::greeting);
  EXPECT_THAT(hear(core, hello_of(2)), say({"up"}));
  EXPECT_EQ(core.phase(), LinkPhase::up);
}

TEST(LinkCore, LearnsItsPeerFromTheCertificateWhenItWasAccepted) {
  Core core = accepted();
  EXPECT_THAT(core.on_start(t0), say({}));
  EXPECT_EQ(core.phase(), LinkPhase::securing);
  EXPECT_THAT(core.on_secured(node_id(2), t0), say({"write"}));
  EXPECT_EQ(core.peer(), node_id(2));
}

TEST(LinkCore, RefusesAnotherNodeThanTheOneThatItDialled) {
  Core core = dialling();
  (void)core.on_start(t0);
  (void)core.on_connected(t0);
  EXPECT_THAT(core.on_secured(node_id(3), t0),
              say({"disconnect", "down: refused"}));
  EXPECT_EQ(core.phase(), LinkPhase::waiting);
}

TEST(LinkCore, RefusesItself) {
  Core core = accepted();
  (void)core.on_start(t0);
  EXPECT_THAT(core.on_secured(node_id(1), t0),
              say({"disconnect", "down: refused", "closed"}));
}

TEST(LinkCore, RefusesAHelloInTheNameOfAnother) {
  Core core = accepted();
  (void)core.on_start(t0);
  (void)core.on_secured(node_id(2), t0);
  EXPECT_THAT(hear(core, hello_of(3)),
              say({"disconnect", "down: rules", "closed"}));
}

TEST(LinkCore, RefusesEverythingBeforeTheHello) {
  Core core = accepted();
  (void)core.on_start(t0);
  (void)core.on_secured(node_id(2), t0);
  EXPECT_THAT(hear(core, StealAsk{}),
              say({"disconnect", "down: rules", "closed"}));
}

TEST(LinkCore, RefusesASecondHello) {
  Core core = accepted();
  bring_up(core);
  EXPECT_THAT(hear(core, hello_of(2)),
              say({"disconnect", "down: rules", "closed"}));
}

TEST(LinkCore, SpeaksTheNewestProtocolThatBothUnderstand) {
  Core core{LinkSide::accepted, {}, hello_of(1, {2, 3}), std::nullopt, 7};
  (void)core.on_start(t0);
  (void)core.on_secured(node_id(2), t0);
  const Actions actions = core.on_frame(encode(hello_of(2, {1, 2}), 1), t0);
  EXPECT_EQ(std::get<Core::Up>(actions.at(0)).protocol, 2);
  EXPECT_THAT(core.on_frame(encode(StealAsk{}, 2), t0), say({"deliver"}));
  EXPECT_THAT(core.on_frame(encode(StealAsk{}, 1), t0),
              say({"disconnect", "down: rules", "closed"}));
}

TEST(LinkCore, EndsWhenThereIsNoProtocolThatBothUnderstand) {
  Core core{LinkSide::accepted, {}, hello_of(1, {2, 3}), std::nullopt, 7};
  (void)core.on_start(t0);
  (void)core.on_secured(node_id(2), t0);
  EXPECT_THAT(core.on_frame(encode(hello_of(2, {4, 5}), 4), t0),
              say({"disconnect", "down: versions", "closed"}));
}

TEST(LinkCore, GivesAPeerFiveSecondsUntilItsHelloWhateverItDoes) {
  Core core = accepted();
  (void)core.on_start(t0);
  (void)core.on_secured(node_id(2), t0 + 4s);
  EXPECT_THAT(core.on_time(t0 + 4999ms), say({}));
  EXPECT_EQ(core.wake_at(), t0 + 5s);
  EXPECT_THAT(core.on_time(t0 + 5s),
              say({"disconnect", "down: silent", "closed"}));
}

TEST(LinkCore, TriesAgainAfterPausesThatDouble) {
  Core core = dialling();
  (void)core.on_start(t0);
  TimePoint now = t0;
  Duration whole = 100ms;
  for (int i = 0; i < 12; ++i) {
    EXPECT_THAT(core.on_lost(LinkEnd::unreachable, "no route", now),
                say({"disconnect", "down: unreachable"}));
    const Duration pause = *core.wake_at() - now;
    EXPECT_GE(pause, whole / 2);
    EXPECT_LE(pause, whole);
    now = *core.wake_at();
    EXPECT_THAT(core.on_time(now), say({"connect"}));
    whole = std::min<Duration>(2 * whole, 30s);
  }
}

TEST(LinkCore, BeginsAnewWithItsPausesAfterALinkThatWasSteady) {
  const auto pause_after = [](Duration up) {
    Core core = dialling();
    (void)core.on_start(t0);
    for (int i = 0; i < 8; ++i) {
      (void)core.on_lost(LinkEnd::unreachable, "", t0);
      (void)core.on_time(*core.wake_at());
    }
    (void)core.on_connected(t0);
    (void)core.on_secured(node_id(2), t0);
    (void)hear(core, hello_of(2));
    (void)core.on_lost(LinkEnd::unreachable, "", t0 + up);
    return *core.wake_at() - (t0 + up);
  };
  EXPECT_LE(pause_after(10s), 100ms);
  EXPECT_GT(pause_after(9s), 10s);
}

TEST(LinkCore, DoesNotTryAgainWhenItWasAccepted) {
  Core core = accepted();
  bring_up(core);
  EXPECT_THAT(core.on_lost(LinkEnd::unreachable, "reset", t0),
              say({"disconnect", "down: unreachable", "closed"}));
  EXPECT_EQ(core.wake_at(), std::nullopt);
}

TEST(LinkCore, WritesOneFrameAtATime) {
  Core core = accepted();
  bring_up(core);
  EXPECT_THAT(core.send(Hint{{1}}, t0).value(), say({"write"}));
  EXPECT_THAT(core.send(Hint{{2}}, t0).value(), say({}));
  const Actions next = core.on_written(t0);
  EXPECT_EQ(written(next), Message{Hint{{2}}});
  EXPECT_THAT(core.on_written(t0), say({}));
  EXPECT_EQ(core.unsent_bytes(), 0);
}

TEST(LinkCore, SendsNothingUnlessItIsUp) {
  Core core = dialling();
  (void)core.on_start(t0);
  EXPECT_EQ(core.send(StealAsk{}, t0).error(),
            (Error{Errc::unavailable, "the link is connecting, not up"}));
}

TEST(LinkCore, LeavesItsOwnMessagesToItself) {
  Core core = accepted();
  bring_up(core);
  EXPECT_EQ(core.send(hello_of(1), t0).error().code, Errc::invalid_argument);
  EXPECT_EQ(core.send(LogCredit{1, 1}, t0).error().code,
            Errc::invalid_argument);
}

TEST(LinkCore, TellsWhenThereIsRoomAgain) {
  Core core = accepted();
  bring_up(core);
  const Hint big{std::vector<std::uint32_t>(most_shards, 1 << 30)};
  while (core.send(big, t0).has_value()) {
  }
  EXPECT_EQ(core.send(big, t0).error().code, Errc::overloaded);
  EXPECT_LE(core.unsent_bytes(), LinkLimits{}.unsent_bytes);
  std::size_t had_room = 0;
  while (core.unsent_bytes() != 0) {
    for (const std::string& word : words(core.on_written(t0)))
      had_room += word == "has room" ? 1U : 0U;
  }
  EXPECT_EQ(had_room, 1);
}

TEST(LinkCore, CutsOffAPeerThatNeverReads) {
  Core core = accepted();
  bring_up(core);
  (void)core.send(StealAsk{}, t0);
  EXPECT_EQ(core.wake_at(), t0 + 15s);
  EXPECT_THAT(core.on_time(t0 + 15s),
              say({"disconnect", "down: silent", "closed"}));
}

TEST(LinkCore, CutsOffAPeerThatAsksWithoutReadingTheAnswers) {
  Core core = accepted();
  bring_up(core);
  std::uint64_t stream = 0;
  for (; stream < most_streams; ++stream)
    (void)hear(core, LogOpen{stream + 1, 1, 0, 1, 0, false, 1});
  while (core.phase() == LinkPhase::up) {
    ASSERT_LE(core.unsent_bytes(), LinkLimits{}.unsent_bytes);
    (void)hear(core, LogOpen{++stream, 1, 0, 1, 0, false, 1});
  }
  EXPECT_EQ(core.phase(), LinkPhase::closed);
}

// -- The end ------------------------------------------------------------------

TEST(LinkCore, DrainsWhatWasSentAndWaitsForTheFarewellOfThePeer) {
  Core core = accepted();
  bring_up(core);
  (void)core.send(Hint{{1}}, t0);
  EXPECT_THAT(core.drain(t0), say({}));
  EXPECT_EQ(core.send(StealAsk{}, t0).error().code, Errc::unavailable);
  EXPECT_EQ(written(core.on_written(t0)), Message{Farewell{}});
  EXPECT_THAT(core.on_written(t0), say({}));
  EXPECT_THAT(hear(core, Farewell{}),
              say({"disconnect", "down: asked", "closed"}));
}

TEST(LinkCore, AnswersAFarewellAndTriesAgainLater) {
  Core core = dialling();
  bring_up(core);
  EXPECT_THAT(hear(core, Farewell{}), say({"write"}));
  EXPECT_EQ(core.phase(), LinkPhase::draining);
  EXPECT_THAT(core.on_written(t0), say({"disconnect", "down: left"}));
  EXPECT_EQ(core.phase(), LinkPhase::waiting);
}

TEST(LinkCore, DoesNotDrainForEver) {
  Core core = accepted();
  bring_up(core);
  (void)core.drain(t0);
  (void)core.on_written(t0);
  EXPECT_EQ(core.wake_at(), t0 + 5s);
  EXPECT_THAT(core.on_time(t0 + 5s),
              say({"disconnect", "down: asked", "closed"}));
}

TEST(LinkCore, DrainsAtOnceWhatIsNotUp) {
  Core waiting = dialling();
  (void)waiting.on_start(t0);
  (void)waiting.on_lost(LinkEnd::unreachable, "", t0);
  EXPECT_THAT(waiting.drain(t0), say({"closed"}));
  Core connecting = dialling();
  (void)connecting.on_start(t0);
  EXPECT_THAT(connecting.drain(t0),
              say({"disconnect", "down: asked", "closed"}));
  EXPECT_THAT(connecting.drain(t0), say({}));
}

TEST(LinkCore, ClosesAtOnceAndOnlyOnce) {
  Core core = dialling();
  bring_up(core);
  EXPECT_THAT(core.close(t0), say({"disconnect", "down: asked", "closed"}));
  EXPECT_THAT(core.close(t0), say({}));
  EXPECT_THAT(core.on_lost(LinkEnd::unreachable, "", t0), say({}));
}

// -- Output of commands -------------------------------------------------------

TEST(LinkCore, SendsOutputWithinTheWindowOfTheReader) {
  Core core = accepted();
  bring_up(core);
  EXPECT_THAT(hear(core, LogOpen{1, 17, 0, 1, 0, true, 100'000}),
              say({"deliver"}));
  EXPECT_EQ(core.log_room(1), largest_chunk);
  EXPECT_THAT(
      core.send_log({1, 0, std::string(largest_chunk, 'x')}, t0).value(),
      say({"write"}));
  EXPECT_EQ(core.log_room(1), 100'000 - largest_chunk);
  EXPECT_EQ(
      core.send_log({1, 0, std::string(largest_chunk, 'x')}, t0).error().code,
      Errc::overloaded);
  EXPECT_THAT(hear(core, LogCredit{1, 50'000}), say({"log room"}));
  EXPECT_EQ(core.log_room(1), largest_chunk);
}

TEST(LinkCore, LeavesHalfOfTheQueueToOthersThanReadersOfOutput) {
  Core core = accepted();
  bring_up(core);
  for (std::uint64_t n = 1; n <= 16; ++n)
    (void)hear(core, LogOpen{n, 17, 0, 1, 0, true, largest_window});
  std::uint64_t n = 0;
  while (core.send_log({n++ % 16 + 1, 0, std::string(largest_chunk, 'x')}, t0)
             .has_value()) {
  }
  EXPECT_LE(core.unsent_bytes(), LinkLimits{}.unsent_bytes / 2);
  EXPECT_TRUE(core.send(Hint{{1}}, t0).has_value());
}

TEST(LinkCore, GivesCreditAsItsReaderTakesOutputOff) {
  Core core = dialling();
  bring_up(core);
  const auto opened =
      core.open_log(LogOpen{.job = 17, .attempt = 1}, 100'000, t0);
  ASSERT_TRUE(opened.has_value());
  const std::uint64_t stream = opened->stream;
  const auto asked = std::get<LogOpen>(written(opened->actions));
  EXPECT_EQ(asked.stream, stream);
  EXPECT_EQ(asked.window, 100'000);
  (void)core.on_written(t0);
  EXPECT_THAT(hear(core, LogChunk{stream, 0, std::string(60'000, 'x')}),
              say({"deliver"}));
  EXPECT_EQ(written(core.log_taken(stream, 60'000, t0)),
            Message(LogCredit{stream, 60'000}));
}

TEST(LinkCore, AsksForFilesAsForOutputIfThePeerKnowsHow) {
  const ContentOpen what{.what = ContentKind::blob, .name = "f00"};
  Core old = dialling();
  bring_up(old);
  EXPECT_EQ(old.open_content(what, 100, t0).error().code, Errc::unsupported);
  Core core{LinkSide::dialling, {}, hello_of(1, {1, 2}), node_id(2), 7};
  (void)core.on_start(t0);
  (void)core.on_connected(t0);
  (void)core.on_secured(node_id(2), t0);
  (void)core.on_written(t0);
  (void)core.on_frame(encode(hello_of(2, {1, 2}), 1), t0);
  const auto opened = core.open_content(what, 100'000, t0);
  ASSERT_TRUE(opened.has_value());
  const std::uint64_t stream = opened->stream;
  EXPECT_THAT(core.on_frame(encode(LogChunk{stream, 0, "bytes"}, 2), t0),
              say({"deliver"}));
  EXPECT_THAT(
      core.on_frame(encode(LogClose{stream, LogSide::answered, ""}, 2), t0),
      say({"deliver"}));
  // And the other way.
  const ContentOpen theirs{9, ContentKind::result, "f00", 5};
  EXPECT_THAT(core.on_frame(encode(theirs, 2), t0), say({"deliver"}));
  EXPECT_EQ(core.log_room(9), 5);
  EXPECT_EQ(core.send(what, t0).error().code, Errc::invalid_argument);
}

TEST(LinkCore, CutsOffAPeerThatSendsMoreThanTheWindow) {
  Core core = dialling();
  bring_up(core);
  const std::uint64_t stream = open_log(core);
  EXPECT_THAT(hear(core, LogChunk{stream, 0, std::string(101, 'x')}),
              say({"disconnect", "down: rules"}));
}

TEST(LinkCore, TellsTheOwnerOnceThatAStreamIsClosed) {
  Core core = dialling();
  bring_up(core);
  const std::uint64_t stream = open_log(core);
  EXPECT_THAT(hear(core, LogClose{stream, LogSide::answered, ""}),
              say({"deliver"}));
  EXPECT_THAT(hear(core, LogClose{stream, LogSide::answered, ""}), say({}));
  EXPECT_THAT(core.close_log(stream, LogSide::asked, "", t0), say({}));
}

TEST(LinkCore, RefusesAStreamTooManyAndGoesOn) {
  Core core = accepted();
  bring_up(core);
  for (std::uint64_t n = 1; n <= 16; ++n)
    (void)hear(core, LogOpen{n, 17, 0, 1, 0, true, largest_window});
  EXPECT_EQ(written(hear(core, LogOpen{17, 1, 0, 1, 0, true, 1})),
            Message(LogClose{17, LogSide::answered, "too many streams"}));
  EXPECT_EQ(core.phase(), LinkPhase::up);
}

TEST(LinkCore, ForgetsItsStreamsWithItsConnectionAndNotTheirNumbers) {
  Core core = dialling();
  bring_up(core);
  const std::uint64_t stream = open_log(core);
  (void)core.on_lost(LinkEnd::unreachable, "", t0);
  (void)core.on_time(*core.wake_at());
  (void)core.on_connected(t0);
  (void)core.on_secured(node_id(2), t0);
  (void)core.on_written(t0);
  (void)hear(core, hello_of(2));
  EXPECT_THAT(hear(core, LogChunk{stream, 0, "x"}), say({}));
  EXPECT_GT(open_log(core), stream);
}

}  // namespace
}  // namespace troupe::link
