/// Links over real sockets: those who keep the rules, and those who do not.
#include "link_peers.hpp"

#include <troupe/link/links.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

namespace troupe::link {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

/// Node 1 connects to node 2, which listens.
class PairTest : public LinksTest {
 protected:
  void open_listener() { listener = open(options(two, true), roster, heard2); }
  void open_dialler() { dialler = open(options(one), roster, heard1); }
  void connect() { dialler->want(node_id(2), *listener->address()); }
  void bring_up() {
    open_listener();
    open_dialler();
    connect();
    ASSERT_TRUE(run_until([this] { return are_up(); }));
  }
  [[nodiscard]] bool are_up() const {
    return dialler->is_up(node_id(2)) && listener->is_up(node_id(1));
  }
  /// Somebody with these papers wants in; what the listener says of it.
  Recorder::Down refused(Identity papers) {
    open_listener();
    dialler = open(options(std::move(papers)), roster, heard1);
    connect();
    EXPECT_TRUE(run_until([this] { return !heard2.down.empty(); }));
    EXPECT_TRUE(run_until([this] { return !heard1.down.empty(); }));
    EXPECT_TRUE(heard1.up.empty());
    EXPECT_TRUE(heard2.up.empty());
    return heard2.down.empty() ? Recorder::Down{} : heard2.down.front();
  }

  Identity one = cluster.identity(1);
  Identity two = cluster.identity(2);
  std::shared_ptr<const Roster> roster =
      roster_of({entry_of(one), entry_of(two)});
  Recorder heard1;
  Recorder heard2;
  std::unique_ptr<Links> listener;
  std::unique_ptr<Links> dialler;
};

TEST_F(PairTest, TwoEnrolledNodesComeUpAndTalk) {
  bring_up();
  EXPECT_EQ(heard1.up.at(0).first, node_id(2));
  EXPECT_EQ(heard2.up.at(0).second.node, node_id(1));
  ASSERT_TRUE(dialler->send(node_id(2), Hint{{7}}));
  ASSERT_TRUE(listener->send(node_id(1), Load{8, 2, true, 17}));
  ASSERT_TRUE(run_until(
      [this] { return !heard1.heard.empty() && !heard2.heard.empty(); }));
  EXPECT_EQ(heard2.heard.at(0).second, Message(Hint{{7}}));
  EXPECT_EQ(heard1.heard.at(0).second, Message(Load{8, 2, true, 17}));
  EXPECT_TRUE(heard1.down.empty());
  EXPECT_TRUE(heard2.down.empty());
}

TEST_F(PairTest, TheNodeWithTheSmallerIdConnects) {
  open_listener();
  listener->want(node_id(1), {"127.0.0.1", 1});
  EXPECT_EQ(listener->links(), 0);
}

TEST_F(PairTest, SomebodyWhoIsNotThereCannotBeSentTo) {
  open_listener();
  EXPECT_EQ(listener->send(node_id(1), StealAsk{}).error(),
            (Error{Errc::not_found,
                   "there is no link to "
                   "00000000-0000-0000-0000-000000000001"}));
}

// -- S4: who may --------------------------------------------------------------

TEST_F(PairTest, ANodeOfAnotherAuthorityIsRefused) {
  const TestCluster other;
  Identity papers = other.identity(1);
  papers.authority = cluster.certificate();
  const auto down = refused(papers);
  EXPECT_EQ(down.end, LinkEnd::refused);
  EXPECT_EQ(down.peer, std::nullopt);
}

TEST_F(PairTest, AListenerOfAnotherAuthorityIsRefused) {
  const TestCluster other;
  Identity papers = other.identity(2);
  papers.authority = cluster.certificate();
  listener = open(options(papers, true), roster, heard2);
  open_dialler();
  connect();
  ASSERT_TRUE(run_until([this] { return !heard1.down.empty(); }));
  EXPECT_EQ(heard1.down.at(0).end, LinkEnd::refused);
  EXPECT_TRUE(heard1.up.empty());
}

TEST_F(PairTest, ACertificateThatWasSignedByItselfIsRefused) {
  Identity papers = one;
  papers.key = make_key().value();
  papers.certificate =
      make_authority_certificate(papers.key, wall_now()).value();
  EXPECT_EQ(refused(papers).end, LinkEnd::refused);
}

TEST_F(PairTest, TheAuthorityItselfIsNoNode) {
  Identity papers = one;
  papers.key = cluster.key();
  papers.certificate = cluster.certificate();
  EXPECT_EQ(refused(papers).end, LinkEnd::refused);
}

TEST_F(PairTest, ANodeThatIsNotEnrolledIsRefusedWithTheRightAuthority) {
  const auto down = refused(cluster.identity(0));
  EXPECT_EQ(down.end, LinkEnd::refused);
  EXPECT_EQ(down.reason,
            "node 00000000-0000-0000-0000-000000000000 is not enrolled in this "
            "cluster");
}

TEST_F(PairTest, TheNameOfANodeIsRefusedWithAnotherKey) {
  // Signed by the authority, for node 1; its key is not the enrolled one.
  const auto down = refused(cluster.identity(1));
  EXPECT_EQ(down.end, LinkEnd::refused);
  EXPECT_EQ(down.reason,
            "node 00000000-0000-0000-0000-000000000001 (n) was enrolled with "
            "another key");
}

TEST_F(PairTest, AnotherNodeThanTheOneThatWasDialledIsRefused) {
  const Identity three = cluster.identity(3);
  roster = roster_of({entry_of(one), entry_of(two), entry_of(three)});
  listener = open(options(three, true), roster, heard2);
  open_dialler();
  connect();
  ASSERT_TRUE(run_until([this] { return !heard1.down.empty(); }));
  EXPECT_EQ(heard1.down.at(0).end, LinkEnd::refused);
  EXPECT_EQ(heard1.down.at(0).reason,
            "node 00000000-0000-0000-0000-000000000003 answers instead of "
            "00000000-0000-0000-0000-000000000002");
}

TEST_F(PairTest, ANodeThatIsRevokedIsCutOffAtOnceAndStaysOut) {
  bring_up();
  listener->set_roster(roster_of({entry_of(one, true), entry_of(two)}));
  EXPECT_FALSE(listener->is_up(node_id(1)));
  EXPECT_TRUE(heard2.lost(LinkEnd::refused));
  EXPECT_EQ(heard2.down.at(0).reason,
            "node 00000000-0000-0000-0000-000000000001 (n) was revoked");
  // It tries again, and again.
  ASSERT_TRUE(run_until([this] { return heard2.down.size() >= 3; }));
  EXPECT_EQ(heard2.up.size(), 1);
  EXPECT_FALSE(dialler->is_up(node_id(2)));
}

TEST_F(PairTest, ARevokedListenerIsCutOffByTheOneThatDials) {
  bring_up();
  dialler->set_roster(roster_of({entry_of(one), entry_of(two, true)}));
  EXPECT_FALSE(dialler->is_up(node_id(2)));
  ASSERT_TRUE(run_until([this] { return heard1.down.size() >= 2; }));
  EXPECT_EQ(heard1.up.size(), 1);
}

TEST_F(PairTest, SomebodyWithoutACertificateIsRefused) {
  open_listener();
  RawPeer peer{io, std::nullopt, cluster.certificate()};
  ASSERT_FALSE(complete([&](auto done) {
    peer.socket().async_connect(
        {asio::ip::address_v4::loopback(), listener->address()->port}, done);
  }));
  (void)complete([&](auto done) {
    peer.stream->next_layer().async_handshake(asio::ssl::stream_base::client,
                                              done);
  });
  ASSERT_TRUE(run_until([this] { return !heard2.down.empty(); }));
  EXPECT_EQ(heard2.down.at(0).end, LinkEnd::refused);
  EXPECT_THAT(heard2.down.at(0).reason,
              ::testing::HasSubstr("did not return a certificate"));
  EXPECT_EQ(listener->links(), 0);
}

TEST_F(PairTest, SomebodyWithAnOlderTlsIsRefused) {
  open_listener();
  RawPeer peer{io, one, cluster.certificate(), TLS1_2_VERSION};
  ASSERT_FALSE(complete([&](auto done) {
    peer.socket().async_connect(
        {asio::ip::address_v4::loopback(), listener->address()->port}, done);
  }));
  EXPECT_TRUE(complete([&](auto done) {
    peer.stream->next_layer().async_handshake(asio::ssl::stream_base::client,
                                              done);
  }));
  ASSERT_TRUE(run_until([this] { return !heard2.down.empty(); }));
  EXPECT_EQ(heard2.down.at(0).end, LinkEnd::refused);
}

// -- Over time ----------------------------------------------------------------

TEST_F(PairTest, ALinkComesBackWhenThePeerDoes) {
  bring_up();
  const std::uint16_t port = listener->address()->port;
  listener.reset();
  ASSERT_TRUE(run_until([this] { return !dialler->is_up(node_id(2)); }));
  EXPECT_TRUE(heard1.down.at(0).was_up);
  LinksOptions again = options(two);
  again.listen = LinkAddress{"127.0.0.1", port};
  listener = open(std::move(again), roster, heard2);
  EXPECT_TRUE(run_until([this] { return are_up(); }));
  EXPECT_EQ(heard1.up.size(), 2);
}

TEST_F(PairTest, ANewConnectionOfAPeerTakesThePlaceOfTheOld) {
  bring_up();
  Recorder heard3;
  // The same node once more, as after a crash that nobody has noticed.
  const auto again = open(options(one), roster, heard3);
  again->want(node_id(2), *listener->address());
  dialler->forget(node_id(2));
  ASSERT_TRUE(run_until([&] { return again->is_up(node_id(2)); }));
  EXPECT_TRUE(run_until(
      [&] { return listener->links() == 1 && listener->is_up(node_id(1)); }));
}

TEST_F(PairTest, LinksAreDrainedInOrder) {
  bring_up();
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_TRUE(dialler->send(node_id(2), Hint{{i}}));
  dialler->drain();
  ASSERT_TRUE(run_until(
      [this] { return dialler->links() == 0 && listener->links() == 0; }));
  EXPECT_EQ(heard2.heard.size(), 100);
  EXPECT_TRUE(heard1.lost(LinkEnd::asked));
  EXPECT_TRUE(heard2.lost(LinkEnd::left));
}

TEST_F(PairTest, APeerThatWasForgottenIsNotDialledAgain) {
  bring_up();
  dialler->forget(node_id(2));
  ASSERT_TRUE(run_until([this] { return dialler->links() == 0; }));
  EXPECT_EQ(heard1.up.size(), 1);
}

TEST_F(PairTest, LinksCanBeDestroyedAtAnyTime) {
  open_listener();
  open_dialler();
  connect();
  for (int steps = 0; steps < 60 && !are_up(); ++steps) {
    io.restart();
    io.poll_one();
    if (steps % 7 == 6) {
      dialler = open(options(one), roster, heard1);
      connect();
    }
  }
  dialler.reset();
  listener.reset();
  io.restart();
  io.run_for(100ms);
  EXPECT_TRUE(heard1.down.empty());
}

TEST_F(PairTest, ANameIsLookedUp) {
  open_listener();
  open_dialler();
  dialler->want(node_id(2), {"localhost", listener->address()->port});
  EXPECT_TRUE(run_until([this] { return are_up(); }));
}

TEST_F(PairTest, APortThatIsTakenIsSaidToBe) {
  open_listener();
  LinksOptions o = options(one);
  o.listen = listener->address();
  const auto refused = Links::open(io, std::move(o), roster, heard1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(),
            (Error{Errc::already_exists, "links: cannot listen on " +
                                             to_string(*listener->address()) +
                                             ": the port is taken"}));
}

TEST_F(PairTest, ThreeMebibytesOfOutputGoThroughAWindowOfOneHundredKibibytes) {
  bring_up();
  const std::size_t whole = 3 << 20;
  std::size_t sent = 0;
  std::size_t received = 0;
  const auto send_more = [&](const distributed::NodeId& peer,
                             std::uint64_t stream) {
    while (sent < whole) {
      const std::size_t room = listener->log_room(peer, stream);
      if (room == 0)
        return;
      const std::string bytes(std::min(room, whole - sent), 'x');
      ASSERT_TRUE(listener->send_log(peer, {stream, sent, bytes}));
      sent += bytes.size();
    }
    listener->close_log(peer, stream, LogSide::answered, "");
  };
  heard2.then = [&](const distributed::NodeId& peer, const Message& message) {
    if (const auto* open = std::get_if<LogOpen>(&message))
      send_more(peer, open->stream);
  };
  heard2.on_more = send_more;
  bool is_closed = false;
  heard1.then = [&](const distributed::NodeId& peer, const Message& message) {
    if (const auto* chunk = std::get_if<LogChunk>(&message)) {
      EXPECT_EQ(chunk->offset, received);
      received += chunk->bytes.size();
      dialler->log_taken(peer, chunk->stream,
                         static_cast<std::uint32_t>(chunk->bytes.size()));
    }
    is_closed |= std::holds_alternative<LogClose>(message);
  };
  ASSERT_TRUE(dialler->open_log(node_id(2), LogOpen{.job = 1, .attempt = 1},
                                100 << 10));
  ASSERT_TRUE(run_until([&] { return is_closed; }));
  EXPECT_EQ(received, whole);
}

TEST_F(PairTest, ASenderIsToldWhenThereIsNoRoomAndWhenThereIsAgain) {
  bring_up();
  dialler->pause(node_id(2), true);
  const Hint big{std::vector<std::uint32_t>(most_shards, 1 << 30)};
  while (listener->send(node_id(1), big)) {
  }
  EXPECT_EQ(listener->send(node_id(1), big).error().code, Errc::overloaded);
  dialler->pause(node_id(2), false);
  EXPECT_TRUE(run_until([this] { return heard2.rooms != 0; }));
}

TEST_F(PairTest, AReceiverThatPausesAndGoesOnWithinAMessageHearsTheRest) {
  bring_up();
  std::vector<std::uint32_t> received;
  heard1.then = [&](const distributed::NodeId& peer, const Message& message) {
    if (const auto* hint = std::get_if<Hint>(&message))
      received.push_back(hint->shards.at(0));
    dialler->pause(peer, true);
    dialler->pause(peer, false);
  };
  std::vector<std::uint32_t> sent;
  for (std::uint32_t n = 0; n < 20; ++n) {
    ASSERT_TRUE(listener->send(node_id(1), Hint{{n}}));
    sent.push_back(n);
  }
  ASSERT_TRUE(run_until([&] { return received.size() == sent.size(); }));
  EXPECT_EQ(received, sent);
}

// -- A hundred ----------------------------------------------------------------

TEST_F(LinksTest, AHundredNodesAreUpAtOnceAndGoneAtOnce) {
  constexpr std::uint8_t many = 100;
  const Identity hub = cluster.identity(255);
  std::vector<Identity> identities;
  std::vector<RosterEntry> entries{entry_of(hub)};
  for (std::uint8_t n = 1; n <= many; ++n) {
    identities.push_back(cluster.identity(n));
    entries.push_back(entry_of(identities.back()));
  }
  const auto roster = roster_of(entries);
  Recorder heard;
  const auto center = open(options(hub, true), roster, heard);
  std::vector<std::unique_ptr<Recorder>> recorders;
  std::vector<std::unique_ptr<Links>> nodes;
  for (const Identity& identity : identities) {
    recorders.push_back(std::make_unique<Recorder>());
    nodes.push_back(open(options(identity), roster, *recorders.back()));
    nodes.back()->want(node_id(255), *center->address());
  }
  ASSERT_TRUE(run_until([&] { return center->up() == many; }, 40s));
  for (std::uint8_t n = 1; n <= many; ++n)
    ASSERT_TRUE(center->send(node_id(n), Hint{{n}}));
  ASSERT_TRUE(run_until([&] {
    return std::all_of(recorders.begin(), recorders.end(),
                       [](const auto& r) { return !r->heard.empty(); });
  }));
  center->drain();
  EXPECT_TRUE(run_until([&] { return center->links() == 0; }));
  EXPECT_EQ(heard.up.size(), many);
}

// -- Those who do not keep the rules ------------------------------------------

/// An enrolled node that speaks for itself.
class RuleTest : public PairTest {
 protected:
  void SetUp() override { open_listener(); }

  void connect_raw() {
    ASSERT_FALSE(complete([&](auto done) {
      peer.socket().async_connect(
          {asio::ip::address_v4::loopback(), listener->address()->port}, done);
    }));
  }
  void secure_raw() {
    connect_raw();
    ASSERT_FALSE(complete([&](auto done) {
      peer.stream->next_layer().async_handshake(asio::ssl::stream_base::client,
                                                done);
    }));
    ASSERT_FALSE(complete([&](auto done) {
      peer.stream->async_handshake("troupe", "/link", done);
    }));
    peer.stream->binary(true);
  }
  void send_raw(const std::string& frame) {
    ASSERT_FALSE(complete([&](auto done) {
      peer.stream->async_write(asio::buffer(frame), done);
    }));
  }
  void greet_raw() {
    secure_raw();
    send_raw(encode(hello_of(1), 1));
    ASSERT_TRUE(run_until([this] { return listener->is_up(node_id(1)); }));
  }
  /// Bytes below the WebSocket.
  void send_bytes(const std::string& bytes) {
    ASSERT_FALSE(complete([&](auto done) {
      asio::async_write(peer.stream->next_layer(), asio::buffer(bytes), done);
    }));
  }
  [[nodiscard]] bool ends_with(LinkEnd end, Duration within = 20s) {
    return run_until([this] { return !heard2.down.empty(); }, within) &&
           heard2.down.back().end == end && listener->links() == 0;
  }
  void open_listener_with(LinkLimits given, Duration idle) {
    limits = given;
    idle_time = idle;
    listener.reset();
    open_listener();
  }

  RawPeer peer{io, one, cluster.certificate()};
};

TEST_F(RuleTest, APeerThatSaysHelloIsUp) {
  greet_raw();
  EXPECT_EQ(heard2.up.at(0).first, node_id(1));
}

TEST_F(RuleTest, AHelloOfAnotherNodeThanTheCertificateEndsTheLink) {
  secure_raw();
  send_raw(encode(hello_of(2), 1));
  EXPECT_TRUE(ends_with(LinkEnd::rules));
}

TEST_F(RuleTest, AMessageBeforeTheHelloEndsTheLink) {
  secure_raw();
  send_raw(encode(StealAsk{}, 1));
  EXPECT_TRUE(ends_with(LinkEnd::rules));
  EXPECT_TRUE(heard2.heard.empty());
}

TEST_F(RuleTest, ATextEndsTheLink) {
  greet_raw();
  peer.stream->text(true);
  send_raw("hello");
  EXPECT_TRUE(ends_with(LinkEnd::rules));
}

TEST_F(RuleTest, ABodyThatIsNestedDeeplyEndsTheLink) {
  greet_raw();
  send_raw(std::string("\0\1\0\5\xa1\x61x", 7) + std::string(1 << 19, '\x81'));
  EXPECT_TRUE(ends_with(LinkEnd::rules));
}

// S6
TEST_F(RuleTest, AFrameThatAnnouncesMuchEndsTheLinkOnceThereIsTooMuch) {
  greet_raw();
  // Binary and final, masked, of 2^62 bytes.
  send_bytes(std::string("\x82\xff\x40\0\0\0\0\0\0\0", 10) + "mask");
  const std::string piece(64 << 10, 'x');
  std::size_t sent = 0;
  while (heard2.down.empty() && sent < 2 * largest_frame) {
    (void)complete([&](auto done) {
      asio::async_write(peer.stream->next_layer(), asio::buffer(piece), done);
    });
    sent += piece.size();
  }
  EXPECT_TRUE(ends_with(LinkEnd::rules));
  EXPECT_EQ(heard2.down.back().reason, "a frame is longer than 1 MiB");
}

TEST_F(RuleTest, BytesThatAreNoFrameEndTheLink) {
  greet_raw();
  // A kind of frame that there is not, and not masked.
  send_bytes(std::string("\x8b\x01x", 3));
  EXPECT_TRUE(ends_with(LinkEnd::rules));
}

TEST_F(RuleTest, AMessageOfManyFramesIsBoundedAsAWhole) {
  greet_raw();
  // Each has 64 KiB; the first is binary, the others go on.
  const std::string piece(64 << 10, 'x');
  bool is_first = true;
  for (int i = 0; i < 17 && heard2.down.empty(); ++i) {
    const std::string frame = std::string(1, is_first ? '\x02' : '\x00') +
                              std::string("\xff\0\0\0\0\0\1\0\0", 9) +
                              std::string(4, '\0') + piece;
    is_first = false;
    (void)complete([&](auto done) {
      asio::async_write(peer.stream->next_layer(), asio::buffer(frame), done);
    });
  }
  EXPECT_TRUE(ends_with(LinkEnd::rules));
  EXPECT_EQ(heard2.down.back().reason, "a frame is longer than 1 MiB");
}

TEST_F(RuleTest, NoMemoryIsTakenForBytesThatAreOnlyAnnounced) {
  greet_raw();
  const std::size_t before = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  // 1 MiB is allowed; none of it comes.
  send_bytes(std::string("\x82\xff\0\0\0\0\0\x10\0\0", 10) + "mask");
  ASSERT_FALSE(run_until([] { return false; }, 300ms));
  const std::size_t after = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  EXPECT_LT(after, before + (256 << 10));
  EXPECT_TRUE(listener->is_up(node_id(1)));
}

TEST_F(RuleTest, SomebodyWhoConnectsAndSaysNothingIsCutOff) {
  open_listener_with({.greet_within = 300ms}, 10s);
  connect_raw();
  EXPECT_TRUE(ends_with(LinkEnd::silent));
}

TEST_F(RuleTest, SomebodyWhoSendsAByteNowAndThenIsCutOff) {
  open_listener_with({.greet_within = 500ms}, 10s);
  connect_raw();
  // A ClientHello that takes its time.
  const std::string hello =
      std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + std::string(500, '\0');
  std::size_t sent = 0;
  const TimePoint begun = std::chrono::steady_clock::now();
  while (heard2.down.empty() && sent < hello.size()) {
    (void)complete([&](auto done) {
      peer.socket().async_send(asio::buffer(&hello[sent], 1), done);
    });
    ++sent;
    (void)run_until([this] { return !heard2.down.empty(); }, 20ms);
  }
  EXPECT_TRUE(ends_with(LinkEnd::silent));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST_F(RuleTest, SomebodyWhoIsSecureAndSaysNoHelloIsCutOff) {
  open_listener_with({.greet_within = 500ms}, 10s);
  secure_raw();
  EXPECT_TRUE(ends_with(LinkEnd::silent));
}

TEST_F(RuleTest, APeerThatAnswersNoPingIsLost) {
  open_listener_with({}, 400ms);
  greet_raw();
  // Nobody reads what comes, as on a host that is gone.
  EXPECT_TRUE(ends_with(LinkEnd::silent));
  EXPECT_EQ(heard2.down.back().reason,
            "the peer has not answered a ping in time");
}

TEST_F(RuleTest, APeerThatNeverReadsTakesNoMoreThanItsQueue) {
  open_listener_with({.write_within = 500ms}, 60s);
  greet_raw();
  const Hint big{std::vector<std::uint32_t>(most_shards, 1 << 30)};
  ASSERT_TRUE(run_until([&] {
    while (listener->send(node_id(1), big)) {
    }
    return !heard2.down.empty();
  }));
  EXPECT_EQ(heard2.down.back().end, LinkEnd::silent);
  EXPECT_EQ(heard2.down.back().reason, "the peer does not read");
}

TEST_F(RuleTest, StrangersDoNotKeepANodeOut) {
  open_listener_with({.greet_within = 1s}, 10s);
  std::vector<std::unique_ptr<Tcp::socket>> strangers;
  for (std::size_t i = 0; i < 2 * LinksOptions{}.most_strangers; ++i) {
    strangers.push_back(std::make_unique<Tcp::socket>(io));
    ASSERT_FALSE(complete([&](auto done) {
      strangers.back()->async_connect(
          {asio::ip::address_v4::loopback(), listener->address()->port}, done);
    }));
  }
  ASSERT_TRUE(run_until(
      [this] { return listener->links() == LinksOptions{}.most_strangers; }));
  open_dialler();
  connect();
  EXPECT_TRUE(run_until([this] { return are_up(); }));
}

}  // namespace
}  // namespace troupe::link
