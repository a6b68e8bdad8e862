#include "server_events.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <utility>
#include <vector>

namespace troupe::api {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;

/// What comes out of pieces; the parser lives over all of them.
Events events_of(const std::vector<std::string>& pieces) {
  Events events;
  EventParser parser;
  for (const std::string& piece : pieces) {
    const auto goes_on =
        parser.feed(piece, [&](const std::string& name, const std::string& d) {
          events.emplace_back(name, d);
          return true;
        });
    EXPECT_EQ(goes_on, true);
  }
  return events;
}

TEST(EventText, IsANameAndALineOfJson) {
  EXPECT_EQ(event_text("job", {{"id", 7}, {"what", "a\nb"}}),
            "event: job\ndata: {\"id\":7,\"what\":\"a\\nb\"}\n\n");
  EXPECT_EQ(event_text("a\nb\r", 1), "event: a b \ndata: 1\n\n");
}

TEST(EventParser, ReadsNamesAndData) {
  EXPECT_EQ(events_of({"event: a\ndata: 1\n\ndata:2\n\n"}),
            (Events{{"a", "1"}, {"message", "2"}}));
}

TEST(EventParser, JoinsLinesOfData) {
  EXPECT_EQ(events_of({"data: 1\ndata:\ndata: 3\n\n"}),
            (Events{{"message", "1\n\n3"}}));
}

TEST(EventParser, PassesOverCommentsOtherFieldsAndEventsWithoutData) {
  EXPECT_EQ(events_of({":\n\n: beat\nid: 7\nretry\nevent: a\n\ndata: 1\n\n"}),
            (Events{{"message", "1"}}));
}

TEST(EventParser, TakesLinesThatEndWithCrLf) {
  EXPECT_EQ(events_of({"event: a\r", "\ndata: 1\r\n\r\n"}),
            (Events{{"a", "1"}}));
}

TEST(EventParser, KeepsAnEventThatHasNotEnded) {
  EXPECT_EQ(events_of({"data: 1\n"}), Events{});
}

TEST(EventParser, EndsWhenTheHandlerSaysSo) {
  EventParser parser;
  int events = 0;
  EXPECT_EQ(parser.feed("data: 1\n\ndata: 2\n\n",
                        [&](const std::string&, const std::string&) {
                          ++events;
                          return false;
                        }),
            false);
  EXPECT_EQ(events, 1);
}

TEST(EventParser, RefusesAnEventWithoutEnd) {
  EventParser parser;
  const auto ignore = [](const std::string&, const std::string&) {
    return true;
  };
  const std::string line = "data: " + std::string(600'000, 'x') + "\n";
  EXPECT_EQ(parser.feed(line, ignore), true);
  EXPECT_EQ(parser.feed(line, ignore).error(),
            (Error{Errc::corrupt, "an event is longer than 1.00 MiB"}));
}

RC_GTEST_PROP(EventParser, ReadsWhatWasWrittenInAnyPieces, ()) {
  const auto names =
      *rc::gen::container<std::vector<std::string>>(rc::gen::nonEmpty(
          rc::gen::container<std::string>(rc::gen::inRange('a', 'z'))));
  std::string bytes;
  Events expected;
  for (const std::string& name : names) {
    const Json data = *rc::gen::arbitrary<std::vector<int>>();
    bytes += *rc::gen::element(std::string{}, std::string{heartbeat_text}) +
             event_text(name, data);
    expected.emplace_back(name, data.dump());
  }
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += pieces.back().size())
    pieces.push_back(bytes.substr(at, *rc::gen::inRange<std::size_t>(1, 20)));
  RC_ASSERT(events_of(pieces) == expected);
}

}  // namespace
}  // namespace troupe::api
