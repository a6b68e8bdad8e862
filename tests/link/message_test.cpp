#include "link_nodes.hpp"

#include <troupe/link/message.hpp>

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <string>

namespace troupe::link {
namespace {

using Json = nlohmann::json;

constexpr std::uint16_t newest = own_protocols.newest;

/// One of each kind, at its bounds.
std::vector<Message> one_of_each() {
  const std::vector<std::uint32_t> shards(most_shards, 4095);
  return {Hello{{1, 3}, node_id(9), "a", "0.1.0", 17},
          Farewell{},
          Hint{shards},
          Load{8, 16, true, 18, true},
          StealAsk{},
          StealOffer{{}},
          LogOpen{1, 17, 3, 2, 1000, true, 1 << 20},
          LogCredit{1, 512 << 10},
          LogChunk{1, 1000, std::string(largest_chunk, '\xff')},
          LogClose{1, LogSide::answered, "it is gone"},
          Revocation{node_id(7)},
          ContentOpen{1, ContentKind::artifact,
                      std::string(longest_content_name, 'n'), 1 << 20}};
}

PeerRole role_for(const Message& message) {
  return rule_of(static_cast<std::uint16_t>(kind_of(message)), newest)->role;
}

std::string envelope(std::uint16_t protocol, std::uint16_t kind,
                     std::string body) {
  std::string frame;
  for (const std::uint16_t number : {protocol, kind}) {
    frame += static_cast<char>(number >> 8U);
    frame += static_cast<char>(number & 0xffU);
  }
  return frame + std::move(body);
}

std::string envelope(Kind kind, const Json& body) {
  std::string bytes;
  Json::to_cbor(body, bytes);
  return envelope(newest, static_cast<std::uint16_t>(kind), bytes);
}

Errc refusal_of(std::string_view frame, PeerRole role = PeerRole::member) {
  const auto decoded = decode(frame, newest, role);
  return decoded ? Errc{} : decoded.error().code;
}

TEST(Message, ComesOutAsItWentIn) {
  for (const Message& message : one_of_each()) {
    const auto decoded =
        decode(encode(message, newest), newest, role_for(message));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
    EXPECT_EQ(*decoded, message);
  }
}

TEST(Message, OfEachKindFitsIntoAFrame) {
  for (const Message& message : one_of_each())
    EXPECT_LE(encode(message, newest).size(), largest_frame);
}

// S5: what can be sent is a list, and each line says who may.
TEST(AllowList, HasEachKindOfMessageOnceAndNothingElse) {
  std::set<Kind> kinds;
  for (const Message& message : one_of_each())
    kinds.insert(kind_of(message));
  EXPECT_EQ(kinds.size(), std::variant_size_v<Message>);
  std::set<Kind> listed;
  for (const KindRule& rule : kind_rules())
    listed.insert(rule.kind);
  EXPECT_EQ(listed, kinds);
  EXPECT_EQ(kind_rules().size(), listed.size());
}

TEST(AllowList, RefusesEachNumberThatIsNotOnIt) {
  std::size_t known = 0;
  for (std::uint32_t kind = 0; kind <= UINT16_MAX; ++kind) {
    const auto number = static_cast<std::uint16_t>(kind);
    for (const PeerRole role : {PeerRole::enrolled, PeerRole::member}) {
      const Errc refused = refusal_of(envelope(newest, number, "\xa0"), role);
      if (rule_of(number, newest) == nullptr)
        ASSERT_EQ(refused, Errc::unsupported) << kind;
      else
        ++known;
    }
  }
  EXPECT_EQ(known, 2 * kind_rules().size());
}

TEST(AllowList, LetsAnEnrolledPeerSayHelloAndNothingElse) {
  for (const Message& message : one_of_each()) {
    const bool is_hello = std::holds_alternative<Hello>(message);
    EXPECT_EQ(
        decode(encode(message, newest), newest, PeerRole::enrolled).has_value(),
        is_hello);
    EXPECT_EQ(
        decode(encode(message, newest), newest, PeerRole::member).has_value(),
        !is_hello);
  }
}

TEST(AllowList, HasNothingThatThePeerCannotKnow) {
  const ContentOpen asked{1, ContentKind::blob, "x", 1};
  EXPECT_TRUE(decode(encode(asked, 2), 2, PeerRole::member));
  const auto refused = decode(encode(asked, 1), 1, PeerRole::member);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
}

TEST(Envelope, HasTheProtocolAndTheKindInFourBytes) {
  EXPECT_EQ(encode(Farewell{}, 0x0102), std::string("\x01\x02\x00\x02\xa0", 5));
}

TEST(Envelope, OfAnotherProtocolIsRefused) {
  EXPECT_EQ(refusal_of(encode(StealAsk{}, newest - 1)), Errc::unsupported);
}

TEST(Envelope, OfAHelloMayHaveAnyProtocol) {
  EXPECT_TRUE(decode(encode(hello_of(1), 700), 1, PeerRole::enrolled));
}

TEST(Envelope, ThatIsCutIsCorrupt) {
  EXPECT_EQ(refusal_of(""), Errc::corrupt);
  EXPECT_EQ(refusal_of(std::string("\x00\x01\x00", 3)), Errc::corrupt);
}

TEST(Body, WithKeysOfALaterVersionIsRead) {
  const auto decoded =
      decode(envelope(Kind::hint, {{"shards", {7}}, {"later", {{"x", 1}}}}),
             newest, PeerRole::member);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(*decoded, Message{Hint{{7}}});
}

TEST(Body, WithoutAKeyOrWithAWrongOneIsCorruptAndNamed) {
  const auto decoded = decode(envelope(Kind::log_credit, {{"stream", 1}}),
                              newest, PeerRole::member);
  ASSERT_FALSE(decoded.has_value());
  EXPECT_EQ(decoded.error().what, "log_credit: \"bytes\" is missing or wrong");
  for (const Json& wrong : {Json(-1), Json("1"), Json(1ULL << 32U), Json(1.5)})
    EXPECT_EQ(refusal_of(envelope(Kind::log_credit,
                                  {{"stream", 1}, {"bytes", wrong}})),
              Errc::corrupt);
}

TEST(Body, ThatIsNoMapIsCorrupt) {
  EXPECT_EQ(refusal_of(envelope(Kind::steal_ask, Json::array())),
            Errc::corrupt);
  EXPECT_EQ(refusal_of(envelope(newest, 5, "")), Errc::corrupt);
  EXPECT_EQ(refusal_of(envelope(newest, 5, "\xa0\xa0")), Errc::corrupt);
}

TEST(Body, OutOfBoundsIsCorrupt) {
  EXPECT_EQ(refusal_of(envelope(
                Kind::hint, {{"shards", std::vector<int>(most_shards + 1)}})),
            Errc::corrupt);
  EXPECT_EQ(
      refusal_of(envelope(Kind::log_chunk,
                          {{"stream", 1},
                           {"offset", 0},
                           {"bytes", Json::binary(std::vector<std::uint8_t>(
                                         largest_chunk + 1))}})),
      Errc::corrupt);
  EXPECT_EQ(refusal_of(envelope(Kind::log_close,
                                {{"stream", 1}, {"side", 3}, {"reason", ""}})),
            Errc::corrupt);
}

// S6: 64 levels and no more; the library alone would use up the stack.
TEST(Bounds, RefuseABodyThatIsNestedDeeplyBeforeItIsBuilt) {
  const auto nested = [](std::size_t depth) {
    // {"x": [[..]]}
    return envelope(newest, 5,
                    "\xa1\x61x" + std::string(depth - 2, '\x81') + "\x80");
  };
  EXPECT_EQ(refusal_of(nested(deepest_body)), Errc{});
  EXPECT_EQ(refusal_of(nested(deepest_body + 1)), Errc::overloaded);
  EXPECT_EQ(refusal_of(nested(largest_frame - 16)), Errc::overloaded);
}

TEST(Bounds, RefuseABodyOfManyTinyValues) {
  std::string body =
      "\xa1\x61x\x9f" + std::string(most_values, '\x80') + "\xff";
  EXPECT_EQ(refusal_of(envelope(newest, 5, body)), Errc::overloaded);
}

TEST(Bounds, RefuseAFrameAboveAMebibyte) {
  EXPECT_EQ(refusal_of(envelope(newest, 5, std::string(largest_frame, '\x00'))),
            Errc::overloaded);
}

TEST(Bounds, TakeNoMemoryForWhatIsOnlyAnnounced) {
  // A text, bytes, an array and a map of 2^62 each; nothing of it is there.
  for (const char head : {'\x7b', '\x5b', '\x9b', '\xbb'}) {
    const std::string announced =
        std::string{head} + std::string("\x40\0\0\0\0\0\0\0", 8);
    EXPECT_EQ(refusal_of(envelope(newest, 5, "\xa1\x61x" + announced)),
              Errc::corrupt);
  }
}

TEST(Protocol, IsTheNewestThatBothUnderstand) {
  EXPECT_EQ(agree({1, 1}, {1, 1}), 1);
  EXPECT_EQ(agree({1, 2}, {2, 3}), 2);
  EXPECT_EQ(agree({2, 3}, {1, 2}), 2);
  EXPECT_EQ(agree({2, 3}, {2, 3}), 3);
}

TEST(Protocol, OfVersionsThatAreTwoApartIsRefusedWithWhatToDo) {
  const auto refused = agree({1, 2}, {3, 4});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(),
            (Error{Errc::unsupported,
                   "we speak the protocols 1 to 2, the peer 3 to 4; upgrade "
                   "the older of the two first"}));
}

TEST(Message, ThatBreaksItsBoundsIsNotSent) {
  EXPECT_FALSE(check(Hint{std::vector<std::uint32_t>(most_shards + 1)}));
  EXPECT_FALSE(check(LogChunk{1, 0, std::string(largest_chunk + 1, 'x')}));
  EXPECT_FALSE(check(LogChunk{1, 0, ""}));
  EXPECT_FALSE(check(LogClose{1, LogSide::asked, "\xff"}));
  EXPECT_FALSE(check(LogOpen{}));
  const ContentOpen content{1, ContentKind::blob, "x", 1};
  EXPECT_TRUE(check(content));
  for (ContentOpen wrong :
       {ContentOpen{0, content.what, "x", 1},
        ContentOpen{1, ContentKind{4}, "x", 1},
        ContentOpen{1, ContentKind{0}, "x", 1},
        ContentOpen{1, content.what, "", 1},
        ContentOpen{1, content.what, "\xff", 1},
        ContentOpen{1, content.what, "x", 0},
        ContentOpen{1, content.what, std::string(longest_content_name + 1, 'x'),
                    1}})
    EXPECT_FALSE(check(wrong));
  EXPECT_FALSE(check(Hello{{2, 1}}));
}

TEST(LinkMessage, ALoadOfAnEarlierVersionDoesNotSayWhetherItIsHeld) {
  const auto load = decode(
      envelope(Kind::load,
               {{"slots", 8}, {"waiting", 1}, {"backlog", true}, {"view", 3}}),
      newest, PeerRole::member);
  ASSERT_TRUE(load) << load.error().what;
  EXPECT_EQ(*load, Message(Load{8, 1, true, 3, false}));
  EXPECT_EQ(refusal_of(envelope(Kind::load, {{"slots", 8},
                                             {"waiting", 1},
                                             {"backlog", true},
                                             {"view", 3},
                                             {"held", 7}})),
            Errc::corrupt);
}

}  // namespace
}  // namespace troupe::link
