#include "raw_client.hpp"
#include "socket_file.hpp"
#include "temp_dir.hpp"

#include <troupe/api/client.hpp>

#include <rapidcheck/gtest.h>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::api {
namespace {

/// Serves one client with bytes, whatever it asks.
class ClientTest : public ::testing::Test {
 protected:
  ~ClientTest() override { join(); }

  /// Sends the pieces once the line of the request is there, then waits for
  /// the client to close, or closes.
  void serve(std::vector<std::string> pieces, bool then_close = true) {
    thread_ = std::thread{[this, pieces = std::move(pieces), then_close] {
      pollfd ready{.fd = file.socket(), .events = POLLIN, .revents = 0};
      ::poll(&ready, 1, static_cast<int>(deadline / 1ms));
      const OwnedFd peer{
          ::accept4(file.socket(), nullptr, nullptr, SOCK_CLOEXEC)};
      char byte = 0;
      while (byte != '\n' && ::recv(peer.get(), &byte, 1, 0) == 1)
        asked += byte;
      for (const std::string& piece : pieces)
        (void)::send(peer.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
      if (!then_close)
        (void)::recv(peer.get(), &byte, 1, 0);
    }};
  }
  void join() {
    if (thread_.joinable())
      thread_.join();
  }

  testing::TempDir dir;
  const std::string path = dir.path("control.sock");
  SocketFile file = SocketFile::open(path).value();
  std::string asked;

 private:
  std::thread thread_;
};

TEST_F(ClientTest, AsksAndGetsTheResult) {
  serve({"{\"ok\":true,\"result\":[1,2]}\n"});
  EXPECT_EQ(request(path, {{"do", "ps"}}, deadline), Json::array({1, 2}));
  join();
  EXPECT_EQ(asked, "{\"do\":\"ps\"}\n");
}

TEST_F(ClientTest, GetsTheErrorOfTheServer) {
  serve(
      {"{\"ok\":false,\"error\":{\"code\":\"overloaded\",\"what\":\"full\"}}"
       "\n"});
  EXPECT_EQ(request(path, Json::object(), deadline).error(),
            (Error{Errc::overloaded, "full"}));
}

TEST_F(ClientTest, PassesOverEventsWhenItWantsTheResult) {
  serve({"{\"event\":1}\n{\"event\":2}\n", "{\"ok\":true,\"result\":3}\n"});
  EXPECT_EQ(request(path, Json::object(), deadline), Json(3));
}

TEST_F(ClientTest, StreamsEventsUntilTheLastAnswer) {
  serve({"{\"event\":1}\n{\"ev", "ent\":2}\n{\"ok\":true,\"result\":3}\n"});
  std::vector<int> events;
  const auto last = stream(path, Json::object(), deadline, [&](const Json& e) {
    events.push_back(e.get<int>());
    return true;
  });
  EXPECT_EQ(last, Json(3));
  EXPECT_EQ(events, (std::vector{1, 2}));
}

TEST_F(ClientTest, EndsAStreamWhenTheCallbackSaysSo) {
  serve({"{\"event\":1}\n{\"event\":2}\n"}, false);
  int events = 0;
  EXPECT_EQ(stream(path, Json::object(), Duration{0},
                   [&](const Json&) { return ++events < 2; })
                .error()
                .code,
            Errc::cancelled);
  EXPECT_EQ(events, 2);
}

TEST_F(ClientTest, SaysThatNobodyListens) {
  for (const std::string& nobody :
       {dir.path("none.sock"), dir.path("none/none.sock")})
    EXPECT_EQ(request(nobody, Json::object(), deadline).error(),
              (Error{Errc::not_found,
                     "nobody listens on " + nobody +
                         ": not started yet, ended, or started with another "
                         "path"}));
}

TEST_F(ClientTest, WaitsNoLongerThanItsLimit) {
  serve({"{\"event\":1}\n"}, false);
  EXPECT_EQ(
      request(path, Json::object(), 50ms).error(),
      (Error{Errc::timed_out, "no answer from " + path + " within 50ms"}));
}

TEST_F(ClientTest, LimitsTheSilenceOfAStream) {
  serve({"{\"event\":1}\n"}, false);
  EXPECT_EQ(stream(path, Json::object(), 50ms, [](const Json&) { return true; })
                .error()
                .code,
            Errc::timed_out);
}

TEST_F(ClientTest, WaitsForAServerThatIsBusy) {
  // Its queue is full, and it accepts nobody.
  std::vector<OwnedFd> waiting;
  const auto address = socket_address(path).value();
  int error = 0;
  while (error == 0 && waiting.size() < 1'000) {
    waiting.emplace_back(
        ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    error = connect_now(waiting.back().get(), address);
  }
  ASSERT_EQ(error, EAGAIN);
  EXPECT_EQ(request(path, Json::object(), 50ms).error().code, Errc::timed_out);
}

TEST_F(ClientTest, SaysThatTheServerWentAway) {
  serve({"{\"event\":1}\n{\"ok\":tr"});
  EXPECT_EQ(
      request(path, Json::object(), deadline).error(),
      (Error{Errc::unavailable, path + " closed before it had answered"}));
}

TEST_F(ClientTest, RefusesWhatIsNotAnAnswer) {
  serve({"SSH-2.0-OpenSSH_9.2\r\n"});
  EXPECT_EQ(request(path, Json::object(), deadline).error(),
            (Error{Errc::corrupt, "not an answer: SSH-2.0-OpenSSH_9.2\\r"}));
}

TEST_F(ClientTest, StopsReadingALineWithoutEnd) {
  serve({std::string(1'500'000, 'x')});
  EXPECT_EQ(request(path, Json::object(), deadline).error(),
            (Error{Errc::corrupt,
                   path + " answered with a line of more than 1.00 MiB"}));
}

TEST_F(ClientTest, DoesNotAskWhatIsTooLong) {
  EXPECT_EQ(
      request(path, {{"text", std::string(70'000, 'x')}}, deadline).error(),
      (Error{Errc::invalid_argument, "the request is longer than 64.0 KiB"}));
}

RC_GTEST_FIXTURE_PROP(ClientTest, TakesAnAnswerInAnyPieces, ()) {
  const auto numbers = *rc::gen::arbitrary<std::vector<int>>();
  std::string bytes;
  for (const int number : numbers)
    bytes += "{\"event\":" + std::to_string(number) + "}\n";
  bytes += "{\"ok\":true,\"result\":{\"a\":\"b\"}}\n";
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += pieces.back().size())
    pieces.push_back(bytes.substr(at, *rc::gen::inRange<std::size_t>(1, 40)));
  serve(pieces);
  std::vector<int> got;
  const auto last = stream(path, Json::object(), deadline, [&](const Json& e) {
    got.push_back(e.get<int>());
    return true;
  });
  RC_ASSERT(last == (Json{{"a", "b"}}));
  RC_ASSERT(got == numbers);
}

}  // namespace
}  // namespace troupe::api
