#include "http_fixture.hpp"
#include "http_message.hpp"
#include "server_events.hpp"
#include "socket_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

namespace troupe::api {
namespace {

// -- With a server of ours ---------------------------------------------------

class HttpClientTest : public HttpTest {
 protected:
  HttpClient connect() { return HttpClient::connect(path, deadline).value(); }

  static Result<Json> ask(HttpClient& client, std::string_view target) {
    return client.request(HttpMethod::get, target, nullptr, deadline);
  }

  /// Answers the next request that is kept with a stream, on another thread,
  /// as the client waits.
  void stream_soon(std::string_view type,
                   std::function<void(const HttpStream&)> write) {
    writer =
        std::thread{[this, type = std::string{type}, write = std::move(write)] {
          const HttpResponder responder = wait_for_request();
          write(type == event_stream_type ? responder.begin_events()
                                          : responder.begin_stream(type));
        }};
  }
  ~HttpClientTest() override {
    if (writer.joinable())
      writer.join();
  }

  std::thread writer;
};

TEST(HttpTarget, EncodesItsParts) {
  const std::vector<std::pair<std::string, std::string>> query{
      {"limit", "5"}, {"after", "a&b"}};
  EXPECT_EQ(http_target({"v1", "jobs", "a/b"}, query),
            "/v1/jobs/a%2Fb?limit=5&after=a%26b");
  EXPECT_EQ(http_target({"v1"}), "/v1");
}

TEST_F(HttpClientTest, AsksAndGetsTheResult) {
  listen();
  HttpClient client = connect();
  const Json body{{"a", {1, 2}}};
  EXPECT_EQ(client.request(HttpMethod::post, "/echo/x", &body, deadline),
            (Json{{"path", {"x"}}, {"body", body}}));
  EXPECT_EQ(client.retry_after(), std::nullopt);
}

TEST_F(HttpClientTest, AsksAThousandThingsOverOneConnection) {
  listen({.connections = 1});
  HttpClient client = connect();
  for (int i = 0; i < 1'000; ++i)
    ASSERT_EQ(ask(client, fmt::format("/echo/{}", i)).value().at("path").at(0),
              std::to_string(i));
}

TEST_F(HttpClientTest, GetsTheErrorAndWhenToComeBack) {
  listen_with({.admit = [](const Caller&) { return std::optional{1'500ms}; }});
  HttpClient client = connect();
  EXPECT_EQ(ask(client, "/echo/x").error(),
            (Error{Errc::overloaded, "too many requests"}));
  EXPECT_EQ(client.retry_after(), 1'500ms);
  EXPECT_EQ(
      ask(client, "/ekko/x").error(),
      (Error{Errc::not_found, "there is no /ekko/x; did you mean /echo/x?"}));
  EXPECT_EQ(client.retry_after(), std::nullopt);
}

TEST_F(HttpClientTest, IsToldWhenThereAreTooManyClients) {
  listen({.connections = 1});
  HttpClient first = connect();
  ASSERT_TRUE(ask(first, "/echo/x"));
  HttpClient second = connect();
  EXPECT_EQ(ask(second, "/echo/x").error().code, Errc::overloaded);
  EXPECT_EQ(second.retry_after(), 1s);
}

TEST_F(HttpClientTest, GetsNullForAnAnswerWithoutABody) {
  listen();
  HttpClient client = connect();
  writer = std::thread{[this] { wait_for_request().succeed(204, {}); }};
  EXPECT_EQ(client.request(HttpMethod::post, "/keep", nullptr, deadline),
            Json{});
}

TEST_F(HttpClientTest, ReadsAStreamToItsEndAndGoesOn) {
  listen();
  HttpClient client = connect();
  stream_soon("text/plain", [](const HttpStream& stream) {
    for (int i = 0; i < 100; ++i)
      stream.write(std::to_string(i) + "\n");
    stream.end();
  });
  std::string all;
  EXPECT_TRUE(client.stream(HttpMethod::get, "/keep", deadline,
                            [&](std::string_view bytes) {
                              all += bytes;
                              return true;
                            }));
  EXPECT_EQ(all.size(), 290U);
  EXPECT_TRUE(ask(client, "/echo/x"));
}

TEST_F(HttpClientTest, EndsAStreamWhenTheCallbackSaysSo) {
  listen();
  HttpClient client = connect();
  std::promise<void> closed;
  stream_soon("text/plain", [&](const HttpStream& stream) {
    stream.on_closed([&, stream] { closed.set_value(); });
    stream.write("x");
  });
  EXPECT_TRUE(client.stream(HttpMethod::get, "/keep", deadline,
                            [](std::string_view) { return false; }));
  EXPECT_EQ(closed.get_future().wait_for(deadline), std::future_status::ready);
  EXPECT_TRUE(ask(client, "/echo/x"));
}

TEST_F(HttpClientTest, KnowsAStreamThatStoppedBeforeItsEnd) {
  listen();
  HttpClient client = connect();
  stream_soon("text/plain",
              [](const HttpStream& stream) { stream.write("x"); });
  EXPECT_EQ(client
                .stream(HttpMethod::get, "/keep", deadline,
                        [](std::string_view) { return true; })
                .error()
                .code,
            Errc::unavailable);
}

TEST_F(HttpClientTest, GetsTheErrorInsteadOfAStream) {
  listen();
  HttpClient client = connect();
  EXPECT_EQ(client
                .stream(HttpMethod::get, "/drop", deadline,
                        [](std::string_view) { return true; })
                .error(),
            (Error{Errc::internal, "the request was dropped"}));
}

TEST_F(HttpClientTest, ReadsEventsToTheirEnd) {
  listen({.heartbeat = 1ms});
  HttpClient client = connect();
  stream_soon(event_stream_type, [](const HttpStream& stream) {
    for (int i = 0; i < 50; ++i)
      stream.event(i % 2 == 0 ? "even" : "odd", i);
    stream.end();
  });
  int sum = 0;
  std::string names;
  EXPECT_TRUE(client.events("/keep", deadline,
                            [&](const std::string& name, const Json& data) {
                              sum += data.get<int>();
                              names += name;
                              return true;
                            }));
  EXPECT_EQ(sum, 1'225);
  EXPECT_EQ(names.substr(0, 11), "evenoddeven");
}

TEST_F(HttpClientTest, TakesHeartbeatsForSignsOfLife) {
  listen({.idle_time = 200ms, .heartbeat = 10ms});
  HttpClient client = connect();
  stream_soon(event_stream_type, [this](const HttpStream& stream) {
    const RawClient silent{path};
    EXPECT_EQ(silent.read_to_end(), "");  // Longer than the limit below.
    stream.event("end", true);
    stream.end();
  });
  int events = 0;
  EXPECT_TRUE(
      client.events("/keep", 150ms, [&](const std::string&, const Json&) {
        ++events;
        return true;
      }));
  EXPECT_EQ(events, 1);
}

TEST_F(HttpClientTest, RefusesAnswersThatAreNoEvents) {
  listen();
  HttpClient client = connect();
  EXPECT_EQ(client
                .events("/echo/x", deadline,
                        [](const std::string&, const Json&) { return true; })
                .error(),
            (Error{Errc::corrupt, path + ": expected text/event-stream, got "
                                         "\"application/json\""}));
}

TEST_F(HttpClientTest, WaitsNoLongerThanItsLimit) {
  listen();
  HttpClient client = connect();
  EXPECT_EQ(
      client.request(HttpMethod::get, "/keep", nullptr, 50ms).error(),
      (Error{Errc::timed_out, "no answer from " + path + " within 50ms"}));
  EXPECT_TRUE(ask(client, "/echo/x"));
}

TEST_F(HttpClientTest, ConnectsAgainAfterTheServerHasClosed) {
  listen({.idle_time = 50ms});
  HttpClient client = connect();
  ASSERT_TRUE(ask(client, "/echo/x"));
  const RawClient silent{path};
  EXPECT_EQ(silent.read_to_end(), "");  // As idle as the client.
  const Json body = Json::array();
  EXPECT_TRUE(client.request(HttpMethod::post, "/echo/x", &body, deadline));
}

TEST_F(HttpClientTest, ConnectsAgainToAServerThatWasStartedAgain) {
  listen();
  HttpClient client = connect();
  ASSERT_TRUE(ask(client, "/echo/x"));
  on_io_thread([&] { server.reset(); });
  EXPECT_EQ(ask(client, "/echo/x").error(),
            (Error{Errc::not_found,
                   "nobody listens on " + path +
                       ": not started yet, ended, or started with another "
                       "path"}));
  listen();
  EXPECT_TRUE(ask(client, "/echo/x"));
}

TEST_F(HttpClientTest, TellsOfAServerThatEndsBeforeTheFirstAnswer) {
  listen();
  HttpClient client = connect();
  on_io_thread([&] { server.reset(); });
  EXPECT_EQ(ask(client, "/echo/x").error(),
            (Error{Errc::unavailable,
                   "nobody listens on " + path +
                       ": not started yet, ended, or started with another "
                       "path"}));
}

TEST_F(HttpClientTest, MayBeMoved) {
  listen();
  HttpClient first = connect();
  HttpClient second = std::move(first);
  EXPECT_TRUE(ask(second, "/echo/x"));
}

// -- With a server that does what none of ours would do ----------------------

/// Serves connections one after the other, with bytes, whatever they ask.
class HttpClientWireTest : public ::testing::Test {
 protected:
  ~HttpClientWireTest() override {
    if (thread.joinable())
      thread.join();
  }

  /// For each connection the bytes that it gets once it has asked, before it
  /// is closed.
  void serve(std::vector<std::string> answers) {
    thread = std::thread{[this, answers = std::move(answers)] {
      for (const std::string& answer : answers) {
        pollfd ready{.fd = file.socket(), .events = POLLIN, .revents = 0};
        ::poll(&ready, 1, static_cast<int>(deadline / 1ms));
        const OwnedFd peer{
            ::accept4(file.socket(), nullptr, nullptr, SOCK_CLOEXEC)};
        ++connections;
        std::string request;
        char byte = 0;
        while (!request.ends_with("\r\n\r\n") &&
               ::recv(peer.get(), &byte, 1, 0) == 1)
          request += byte;
        (void)::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    }};
  }

  Result<Json> ask(HttpMethod method = HttpMethod::get) {
    auto client = HttpClient::connect(path, deadline);
    return client->request(method, "/", nullptr, deadline);
  }

  testing::TempDir dir;
  const std::string path = dir.path("http.sock");
  SocketFile file = SocketFile::open(path).value();
  std::atomic<int> connections = 0;
  std::thread thread;
};

TEST_F(HttpClientWireTest, AsksAgainWhenTheServerClosedWithoutAnAnswer) {
  serve({"", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7"});
  EXPECT_EQ(ask(), Json(7));
  EXPECT_EQ(connections, 2);
}

TEST_F(HttpClientWireTest, NeverSendsTwiceWhatMayHaveBeenDone) {
  serve({""});
  EXPECT_EQ(
      ask(HttpMethod::post).error(),
      (Error{Errc::unavailable, path + " closed before it had answered"}));
  EXPECT_EQ(connections, 1);
}

TEST_F(HttpClientWireTest, AsksNoMoreThanTwice) {
  serve({"", ""});
  EXPECT_EQ(ask().error().code, Errc::unavailable);
}

TEST_F(HttpClientWireTest, SaysThatTheAnswerStopped) {
  serve({"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n7"});
  EXPECT_EQ(ask().error().code, Errc::unavailable);
}

TEST_F(HttpClientWireTest, RefusesWhatIsNotAnAnswer) {
  serve({"SSH-2.0-OpenSSH_9.2\r\n\r\n"});
  EXPECT_EQ(ask().error(),
            (Error{Errc::corrupt,
                   path + ": not an answer of HTTP/1.1: bad version"}));
}

TEST_F(HttpClientWireTest, RefusesAnErrorOfSomebodyElse) {
  serve({"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!"});
  EXPECT_EQ(ask().error(),
            (Error{Errc::corrupt, "not an answer: status 502 with \"no!\""}));
}

TEST_F(HttpClientWireTest, RefusesAResultThatIsNotJson) {
  serve({"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n}"});
  EXPECT_EQ(ask().error().code, Errc::corrupt);
}

TEST_F(HttpClientWireTest, StopsReadingAnAnswerWithoutEnd) {
  serve({"HTTP/1.1 200 OK\r\n\r\n" + std::string(5 << 20, ' ')});
  EXPECT_EQ(
      ask().error(),
      (Error{Errc::corrupt, path + ": the answer is longer than 4.00 MiB"}));
}

TEST_F(HttpClientWireTest, StopsReadingAHeadWithoutEnd) {
  serve({"HTTP/1.1 200 OK\r\nA: " + std::string(1 << 20, 'x')});
  EXPECT_EQ(ask().error().code, Errc::corrupt);
}

TEST_F(HttpClientWireTest, SaysThatNobodyListens) {
  const std::string nobody = dir.path("none.sock");
  EXPECT_EQ(HttpClient::connect(nobody, deadline).error(),
            (Error{Errc::not_found,
                   "nobody listens on " + nobody +
                       ": not started yet, ended, or started with another "
                       "path"}));
}

}  // namespace
}  // namespace troupe::api
