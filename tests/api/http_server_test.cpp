#include "http_fixture.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::api {
namespace {

using testing::wait_until;

class HttpServerTest : public HttpTest {
 protected:
  /// A stream that a client has asked for, with its head read.
  HttpStream stream_to(const RawClient& client, std::string_view type) {
    const int number = asked + 1;
    client.send("GET /keep HTTP/1.1\r\n\r\n");
    const HttpResponder responder = wait_for_request(number);
    HttpStream stream = type == "text/event-stream"
                            ? responder.begin_events()
                            : responder.begin_stream(type);
    std::string head;
    while (!head.ends_with("\r\n\r\n"))
      head += client.read_line();
    EXPECT_NE(head.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
    EXPECT_NE(head.find(fmt::format("Content-Type: {}\r\n", type)),
              std::string::npos);
    return stream;
  }

  /// The answer that another user gets, of a child process.
  std::string answer_as(uid_t user, gid_t group, const std::string& request) {
    const auto address = socket_address(path).value();
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      if (::setgid(group) != 0 || ::setuid(user) != 0)
        ::_exit(100);
      if (connect_now(fd, address) != 0)
        ::_exit(101);
      (void)::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
      std::array<char, 4096> bytes;
      for (ssize_t size = 1; size > 0;) {
        size = ::recv(fd, bytes.data(), bytes.size(), 0);
        if (size > 0 &&
            ::write(ends[1], bytes.data(), static_cast<size_t>(size)) < 0)
          ::_exit(102);
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    std::string answer;
    std::array<char, 4096> bytes;
    for (ssize_t size = 1; size > 0;) {
      size = ::read(ends[0], bytes.data(), bytes.size());
      answer.append(bytes.data(),
                    size > 0 ? static_cast<std::size_t>(size) : 0);
    }
    ::close(ends[0]);
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WEXITSTATUS(status) == 0
               ? answer
               : fmt::format("exit {}", WEXITSTATUS(status));
  }

  static constexpr uid_t nobody = 65'534;
  static constexpr gid_t some_group = 54'321;
};

TEST_F(HttpServerTest, LooksAtTheRateBeforeABodyIsParsed) {
  listen_with({.admit = [](const Caller&) { return std::optional{1500ms}; }});
  const std::string answer = answer_to(
      "POST /echo/x HTTP/1.1\r\nConnection: close\r\n"
      "Content-Type: application/json\r\n"
      "Content-Length: 5\r\n\r\n{\"a\":");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 429 ")) << answer;
}

// -- What is recorded of them -------------------------------------------------

struct Recorded {
  std::vector<HttpAnswered> answers;
  std::vector<std::function<void()>> sends;
  std::vector<std::string> refusals;
};

HttpOptions recording(Recorded& into) {
  return {.on_answer =
              [&into](HttpAnswered answered, std::function<void()> send) {
                into.answers.push_back(std::move(answered));
                into.sends.push_back(std::move(send));
              },
          .on_refusal =
              [&into](const Caller&, const std::string& what) {
                into.refusals.push_back(what);
              }};
}

TEST_F(HttpServerTest, AnAnswerToAChangeWaitsUntilItIsRecorded) {
  Recorded recorded;
  listen_with(recording(recorded));
  const RawClient client{path};
  client.send(
      "POST /echo/a%7Bb%7D HTTP/1.1\r\n"
      "Content-Type: application/json\r\n"
      "Content-Length: 1\r\n\r\n7");
  ASSERT_TRUE(wait_until([&] {
    bool is_told = false;
    on_io_thread([&] { is_told = recorded.sends.size() == 1; });
    return is_told;
  }));
  EXPECT_EQ(recorded.answers[0].what, "POST /echo/a{b}");
  EXPECT_EQ(recorded.answers[0].status, 200);
  EXPECT_EQ(recorded.answers[0].caller.uid, ::geteuid());
  EXPECT_EQ(Json::parse(recorded.answers[0].body)["body"], 7);
  recorded.sends[0]();
  EXPECT_NE(read_answer(client).find(R"("body":7)"), std::string::npos);
}

TEST_F(HttpServerTest, WhatOnlyLooksIsNotRecorded) {
  Recorded recorded;
  listen_with(recording(recorded));
  EXPECT_TRUE(answer_to(get("/echo/x")).starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(answer_to(get("/nothing")).starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(recorded.answers.empty());
}

TEST_F(HttpServerTest, AChangeIsRecordedThoughItsClientHasGone) {
  Recorded recorded;
  listen_with(recording(recorded));
  std::optional<HttpResponder> responder;
  {
    const RawClient client{path};
    client.send("POST /keep HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    responder = wait_for_request();
  }
  ASSERT_TRUE(wait_until([&] { return responder->is_over(); }));
  responder->succeed(Json{{"job", 7}});
  ASSERT_EQ(recorded.answers.size(), 1U);
  EXPECT_EQ(recorded.answers[0].what, "POST /keep");
  EXPECT_EQ(recorded.answers[0].body, "{\"job\":7}\n");
  recorded.sends[0]();
}

TEST_F(HttpServerTest, AChangeThatNobodyAnswersIsRecordedAsFailed) {
  Recorded recorded;
  listen_with(recording(recorded));
  const RawClient client{path};
  client.send("POST /keep HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  (void)wait_for_request();
  ASSERT_EQ(recorded.answers.size(), 1U);
  EXPECT_EQ(recorded.answers[0].status, 500);
  recorded.sends[0]();
  EXPECT_TRUE(read_answer(client).starts_with("HTTP/1.1 500"));
}

TEST_F(HttpServerTest, ARequestThatIsAboveTheRoleIsTold) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can become others";
  ASSERT_EQ(::chmod(dir.path().c_str(), 0711), 0);
  Recorded recorded;
  HttpOptions options = recording(recorded);
  options.group = HttpGroup{some_group, Role::operate};
  listen_with(options);
  EXPECT_TRUE(answer_as(nobody, some_group, get("/admin?x=1"))
                  .starts_with("HTTP/1.1 403"));
  EXPECT_EQ(recorded.refusals, std::vector<std::string>{"GET /admin?x=1"});
  EXPECT_TRUE(recorded.answers.empty());
}

// -- Requests and answers ----------------------------------------------------

TEST_F(HttpServerTest, AnswersARequest) {
  listen();
  EXPECT_EQ(answer_to(get("/echo/a%20b?q=1")),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            "Content-Length: 47\r\nCache-Control: no-store\r\n"
            "Connection: close\r\n\r\n"
            "{\"path\":[\"a b\"],\"body\":null,\"query\":{\"q\":\"1\"}}\n");
}

TEST_F(HttpServerTest, KnowsItsCaller) {
  listen();
  const RawClient client{path};
  client.send(get("/keep"));
  wait_for_request().succeed(204, {});
  EXPECT_EQ(
      caller,
      (Caller{.uid = ::geteuid(), .pid = ::getpid(), .role = Role::admin}));
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 204 No Content\r\n"));
}

TEST_F(HttpServerTest, AnswersAThousandRequestsOnOneConnection) {
  listen();
  const RawClient client{path};
  for (int i = 0; i < 1'000; ++i) {
    client.send(fmt::format("GET /echo/{} HTTP/1.1\r\n\r\n", i));
    ASSERT_EQ(body_of(read_answer(client)),
              fmt::format("{{\"path\":[\"{}\"],\"body\":null}}\n", i));
  }
}

TEST_F(HttpServerTest, AnswersInOrderWhatWasSentAtOnce) {
  listen();
  const RawClient client{path};
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += fmt::format("GET /echo/{} HTTP/1.1\r\n\r\n", i);
  client.send(all);
  for (int i = 0; i < 50; ++i)
    ASSERT_EQ(body_of(read_answer(client)),
              fmt::format("{{\"path\":[\"{}\"],\"body\":null}}\n", i));
}

TEST_F(HttpServerTest, AnswersAClientThatHasClosedItsSide) {
  listen();
  const RawClient client{path};
  client.send("GET /keep HTTP/1.1\r\n\r\n");
  client.end_writing();
  wait_for_request().fail({Errc::not_found, "no job x"});
  EXPECT_EQ(body_of(client.read_to_end()),
            "{\"error\":{\"code\":\"not_found\",\"what\":\"no job x\"}}\n");
}

TEST_F(HttpServerTest, TellsWhenToComeBack) {
  listen();
  const RawClient client{path};
  client.send(get("/keep"));
  wait_for_request().fail({Errc::overloaded, "full"}, 1'500ms);
  const std::string answer = client.read_to_end();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
  EXPECT_NE(answer.find("Retry-After: 2\r\n"), std::string::npos);
  EXPECT_EQ(body_of(answer),
            "{\"error\":{\"code\":\"overloaded\",\"what\":\"full\","
            "\"retry_after_ms\":1500}}\n");
}

TEST_F(HttpServerTest, AnswersForAResponderThatWasDropped) {
  listen();
  const std::string answer = answer_to(get("/drop"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
  EXPECT_EQ(body_of(answer),
            "{\"error\":{\"code\":\"internal\",\"what\":\"the request was "
            "dropped\"}}\n");
}

TEST_F(HttpServerTest, AnswersWhatTheHandlerDidNotFindInTheBody) {
  listen();
  const RawClient client{path};
  const std::string head =
      "PUT /at HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Content-Length: ";
  client.send(head + "2\r\n\r\n{}");
  EXPECT_EQ(body_of(read_answer(client)),
            "{\"error\":{\"code\":\"invalid_argument\",\"what\":\"request: "
            "[json.exception.out_of_range.403] key 'name' not found\"}}\n");
  client.send(head + "12\r\n\r\n{\"name\":\"x\"}");
  EXPECT_EQ(body_of(read_answer(client)), "\"x\"\n");
}

TEST_F(HttpServerTest, AnswersOnceAndIgnoresTheRest) {
  listen();
  const RawClient client{path};
  client.send("GET /keep HTTP/1.1\r\n\r\n");
  const HttpResponder responder = wait_for_request();
  std::atomic<bool> closed = false;
  responder.on_closed([&] { closed = true; });
  responder.succeed(1);
  responder.succeed(2);
  responder.fail({Errc::internal, "3"});
  const HttpStream stream = responder.begin_stream("text/plain");
  EXPECT_FALSE(stream.write("4"));
  EXPECT_TRUE(responder.is_over());
  EXPECT_EQ(body_of(read_answer(client)), "1\n");
  client.send(get("/echo/next"));
  EXPECT_EQ(body_of(client.read_to_end()),
            "{\"path\":[\"next\"],\"body\":null}\n");
  responder.on_closed([&] { closed = true; });
  on_io_thread([] {});
  EXPECT_FALSE(closed);
}

TEST_F(HttpServerTest, SaysThatAnAnswerIsTooLong) {
  listen({.answer_bytes = 1'024});
  const auto size_of_answer = [&](std::size_t size) {
    const int number = asked + 1;
    const RawClient client{path};
    client.send(get("/keep"));
    wait_for_request(number).succeed(std::string(size - 3, 'x'));
    return body_of(client.read_to_end());
  };
  EXPECT_EQ(size_of_answer(1'024).size(), 1'024U);
  EXPECT_EQ(size_of_answer(1'025),
            "{\"error\":{\"code\":\"invalid_argument\",\"what\":\"the answer "
            "is longer than 1.00 KiB; ask for less\"}}\n");
}

TEST_F(HttpServerTest, SendsAnAnswerOfFourMebibytes) {
  listen();
  const RawClient client{path};
  client.send(get("/keep"));
  wait_for_request().succeed(std::string(most_http_answer_bytes - 3, 'x'));
  EXPECT_EQ(body_of(client.read_to_end()).size(), most_http_answer_bytes);
}

// -- Refusals ----------------------------------------------------------------

TEST_F(HttpServerTest, RefusesWhatIsNotInItsTable) {
  listen();
  EXPECT_EQ(body_of(answer_to(get("/ekko/x"))),
            "{\"error\":{\"code\":\"not_found\",\"what\":\"there is no "
            "/ekko/x; did you mean /echo/x?\"}}\n");
  EXPECT_NE(answer_to("DELETE /echo/x HTTP/1.1\r\nConnection: close\r\n\r\n")
                .find("Allow: GET, POST\r\n"),
            std::string::npos);
  EXPECT_TRUE(answer_to(get("/echo/x?r=1")).starts_with("HTTP/1.1 400 "));
}

TEST_F(HttpServerTest, GoesOnAfterARefusal) {
  listen();
  const RawClient client{path};
  client.send("GET /nothing HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(read_answer(client).starts_with("HTTP/1.1 404 Not Found\r\n"));
  client.send(get("/echo/x"));
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, RefusesGarbageAndEnds) {
  listen();
  const std::string answer = answer_to("{\"do\":\"ps\"}\n\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request\r\n")) << answer;
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos);
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  listen();
  EXPECT_EQ(body_of(answer_to("HEAD /echo/x HTTP/1.1\r\n\r\n")), "");
}

TEST_F(HttpServerTest, RefusesAHeaderWithoutEnd) {
  listen();
  const RawClient client{path};
  client.send("GET /echo/x HTTP/1.1\r\nA: " + std::string(16 << 10, 'x'));
  EXPECT_EQ(body_of(client.read_to_end()),
            "{\"error\":{\"code\":\"invalid_argument\",\"what\":\"the head of "
            "the request is longer than 16.0 KiB\"}}\n");
}

TEST_F(HttpServerTest, TellsAClientThatIsStillSendingThatItsBodyIsTooLong) {
  listen();
  const RawClient client{path};
  client.send(
      "POST /echo/x HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Content-Length: 1048577\r\n\r\n");
  // It has been refused by now, and takes the body nevertheless.
  EXPECT_TRUE(client.send(std::string(1 << 20, ' ')));
  EXPECT_EQ(body_of(read_answer(client)),
            "{\"error\":{\"code\":\"invalid_argument\",\"what\":\"the body is "
            "longer than 1.00 MiB\"}}\n");
}

TEST_F(HttpServerTest, TakesABodyOfAMebibyte) {
  listen();
  const RawClient client{path};
  client.send(
      "POST /echo/x HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Content-Length: 1048576\r\nConnection: close\r\n\r\n\"" +
      std::string((1 << 20) - 2, 'x') + "\"");
  EXPECT_GT(client.read_to_end().size(), 1U << 20);
}

TEST_F(HttpServerTest, LetsABodyComeThatWaitsForAWord) {
  listen();
  const RawClient client{path};
  client.send(
      "POST /echo/x HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Expect: 100-continue\r\nConnection: close\r\n"
      "Content-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_line(), "HTTP/1.1 100 Continue\r\n");
  EXPECT_EQ(client.read_line(), "\r\n");
  client.send("[]");
  EXPECT_EQ(body_of(client.read_to_end()), "{\"path\":[\"x\"],\"body\":[]}\n");
}

TEST_F(HttpServerTest, AsksWhetherARequestIsAdmitted) {
  listen_with({.admit = [](const Caller& asking) -> std::optional<Duration> {
    return asking.uid == ::geteuid() ? std::optional{2s} : std::nullopt;
  }});
  EXPECT_EQ(body_of(answer_to(get("/echo/x"))),
            "{\"error\":{\"code\":\"overloaded\",\"what\":\"too many "
            "requests\",\"retry_after_ms\":2000}}\n");
}

// -- Time --------------------------------------------------------------------

TEST_F(HttpServerTest, GivesUpOnAHeaderThatComesByteByByte) {
  listen({.request_time = 100ms});
  const RawClient client{path};
  const std::string request = "GET /echo/x HTTP/1.1\r\nA: ";
  const auto end = std::chrono::steady_clock::now() + deadline;
  std::size_t sent = 0;
  // It sends for as long as it is let, one byte for each time it looks.
  ASSERT_TRUE(client.send(request));
  std::string answer;
  while (answer.empty() && std::chrono::steady_clock::now() < end) {
    (void)client.send("x");
    ++sent;
    answer = client.read_within(1ms);
  }
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << answer;
  EXPECT_EQ(body_of(answer + client.read_to_end()),
            "{\"error\":{\"code\":\"timed_out\",\"what\":\"the request was not "
            "complete within 100ms\"}}\n");
  EXPECT_LT(sent, 1'000U);
}

TEST_F(HttpServerTest, GivesUpOnABodyThatDoesNotCome) {
  listen({.request_time = 50ms});
  const RawClient client{path};
  client.send(
      "POST /echo/x HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Content-Length: 2\r\n\r\n[");
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, EndsAConnectionThatIsIdle) {
  listen({.idle_time = 50ms});
  const RawClient silent{path};
  EXPECT_EQ(silent.read_to_end(), "");
  const RawClient client{path};
  client.send("GET /echo/x HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, DoesNotLimitTheTimeOfTheAnswer) {
  listen({.idle_time = 20ms, .request_time = 20ms, .fetch_time = 20ms});
  const RawClient asking{path};
  asking.send(get("/keep"));
  const HttpResponder responder = wait_for_request();
  const RawClient silent{path};  // As long as the limits of the other one.
  EXPECT_EQ(silent.read_to_end(), "");
  responder.succeed("late");
  EXPECT_EQ(body_of(asking.read_to_end()), "\"late\"\n");
}

TEST_F(HttpServerTest, CutsOffWhoDoesNotFetchTheAnswer) {
  listen({.fetch_time = 50ms});
  const std::size_t descriptors = testing::own_resources().descriptors;
  const RawClient client{path};
  client.send(get("/keep"));
  wait_for_request().succeed(std::string(4'000'000, 'x'));
  // Ours is left; that of the server is gone.
  EXPECT_TRUE(wait_until(
      [&] { return testing::own_resources().descriptors == descriptors + 1; }));
  EXPECT_LT(client.read_to_end().size(), 4'000'000U);
}

// -- Streams -----------------------------------------------------------------

TEST_F(HttpServerTest, StreamsInChunksAndKeepsTheConnection) {
  listen();
  const RawClient client{path};
  const HttpStream stream = stream_to(client, "text/plain");
  EXPECT_TRUE(stream.write("hello"));
  EXPECT_EQ(client.read_lines(2), "5\r\nhello\r\n");
  EXPECT_TRUE(stream.write(""));
  EXPECT_TRUE(stream.write("\n"));
  stream.end();
  stream.end();
  EXPECT_FALSE(stream.write("late"));
  EXPECT_TRUE(stream.is_over());
  EXPECT_EQ(client.read_lines(3), "1\r\n\n\r\n");
  EXPECT_EQ(client.read_lines(2), "0\r\n\r\n");
  client.send(get("/echo/x"));
  EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, StreamsToOldClientsUntilTheConnectionEnds) {
  listen();
  const RawClient client{path};
  client.send("GET /keep HTTP/1.0\r\n\r\n");
  const HttpStream stream = wait_for_request().begin_stream("text/plain");
  stream.write("all of it");
  stream.end();
  EXPECT_EQ(body_of(client.read_to_end()), "all of it");
}

TEST_F(HttpServerTest, SendsEventsAndHeartbeats) {
  listen({.heartbeat = 20ms});
  const RawClient client{path};
  const HttpStream stream = stream_to(client, "text/event-stream");
  stream.event("job", {{"id", 7}});
  EXPECT_EQ(client.read_line(), "1b\r\n");
  EXPECT_EQ(client.read_line(), "event: job\n");
  EXPECT_EQ(client.read_line(), "data: {\"id\":7}\n");
  EXPECT_EQ(client.read_lines(2), "\n\r\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.read_line(), "3\r\n");
    EXPECT_EQ(client.read_line(), ":\n");
    EXPECT_EQ(client.read_lines(2), "\n\r\n");
  }
}

TEST_F(HttpServerTest, SendsNoHeartbeatsInAStreamOfBytes) {
  listen({.idle_time = 100ms, .heartbeat = 10ms});
  const RawClient client{path};
  const HttpStream stream = stream_to(client, "text/plain");
  const RawClient silent{path};
  EXPECT_EQ(silent.read_to_end(), "");  // Ten heartbeats later:
  stream.end();
  EXPECT_EQ(client.read_lines(2), "0\r\n\r\n");
}

TEST_F(HttpServerTest, HoldsBackAProducerThatIsFasterThanItsReader) {
  listen({.unsent_stream_bytes = 100'000});
  const RawClient client{path};
  const HttpStream stream = stream_to(client, "text/plain");
  constexpr std::size_t all_bytes = 5'000'000;
  const std::string piece(1'000, 'x');
  std::size_t written = 0;
  std::size_t most_unsent = 0;
  std::promise<void> done;
  std::function<void()> produce = [&] {
    while (stream.wants_more() && written < all_bytes) {
      stream.write(piece);
      written += piece.size();
      most_unsent = std::max(most_unsent, stream.unsent_bytes());
    }
    if (written < all_bytes) {
      stream.on_drained(produce);
      return;
    }
    stream.end();
    done.set_value();
  };
  stream.on_drained(produce);
  std::string all;
  while (!all.ends_with("\r\n0\r\n\r\n"))
    all += client.read();
  EXPECT_EQ(std::count(all.begin(), all.end(), 'x'), all_bytes);
  ASSERT_EQ(done.get_future().wait_for(deadline), std::future_status::ready);
  EXPECT_LT(most_unsent, 52'000U);
}

TEST_F(HttpServerTest, CutsOffAReaderWhoseProducerDoesNotWait) {
  listen({.unsent_stream_bytes = 100'000});
  const RawClient client{path};
  const HttpStream stream = stream_to(client, "text/plain");
  std::promise<void> closed;
  stream.on_closed([&] { closed.set_value(); });
  const std::string piece(1'000, 'x');
  int sent = 0;
  while (sent < 100'000 && stream.write(piece))
    ++sent;
  EXPECT_GT(sent, 90);
  EXPECT_LT(sent, 10'000);  // The bound and what the kernel keeps.
  EXPECT_EQ(closed.get_future().wait_for(deadline), std::future_status::ready);
  EXPECT_TRUE(stream.is_over());
  EXPECT_FALSE(stream.wants_more());
  EXPECT_FALSE(client.read_to_end().ends_with("0\r\n\r\n"));
}

TEST_F(HttpServerTest, CutsOffAReaderThatStandsStill) {
  listen({.stall_time = 50ms, .unsent_stream_bytes = 8 << 20});
  const RawClient client{path};
  const HttpStream stream = stream_to(client, "text/plain");
  std::promise<void> closed;
  stream.on_closed([&] { closed.set_value(); });
  stream.write(std::string(4 << 20, 'x'));
  EXPECT_EQ(closed.get_future().wait_for(deadline), std::future_status::ready);
}

TEST_F(HttpServerTest, CutsOffAStreamThatWasDropped) {
  listen();
  const RawClient client{path};
  {
    const HttpStream stream = stream_to(client, "text/plain");
    stream.write("ab");
    EXPECT_EQ(client.read_lines(2), "2\r\nab\r\n");
  }
  EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(HttpServerTest, MayBeWrittenToFromManyThreads) {
  listen();
  const RawClient client{path};
  const HttpStream stream = stream_to(client, "text/plain");
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([stream] {
      for (int n = 0; n < 100; ++n)
        stream.write("x");
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  stream.end();
  std::string all;
  while (!all.ends_with("0\r\n\r\n"))
    all += client.read_line();
  EXPECT_EQ(std::count(all.begin(), all.end(), 'x'), 400);
}

// -- Connections -------------------------------------------------------------

TEST_F(HttpServerTest, TellsTheClientsOverTheBoundToComeBackLater) {
  listen();
  std::vector<RawClient> clients;
  clients.reserve(300);
  for (int i = 0; i < 300; ++i)
    clients.emplace_back(path);
  for (std::size_t i = 256; i < 300; ++i) {
    const std::string answer = clients[i].read_to_end();
    ASSERT_TRUE(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    ASSERT_NE(answer.find("Retry-After: 1\r\n"), std::string::npos);
    ASSERT_EQ(body_of(answer),
              "{\"error\":{\"code\":\"overloaded\",\"what\":\"256 clients are "
              "connected already; try again later\",\"retry_after_ms\":1000}}"
              "\n");
  }
  clients.erase(clients.begin() + 256, clients.end());
  for (const RawClient& client : clients) {
    client.send("GET /echo/x HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(read_answer(client).starts_with("HTTP/1.1 200 OK\r\n"));
  }
  clients.pop_back();
  EXPECT_TRUE(wait_until([&] {
    return answer_to(get("/echo/x")).starts_with("HTTP/1.1 200 OK\r\n");
  }));
}

TEST_F(HttpServerTest, ClosesAtOnceWhatIsFarOverTheBound) {
  listen({.connections = 1});
  std::vector<RawClient> clients;
  clients.reserve(100);
  for (int i = 0; i < 100; ++i)
    clients.emplace_back(path);
  EXPECT_EQ(clients.back().read_to_end(), "");
  clients.front().send(get("/echo/x"));
  EXPECT_TRUE(clients.front().read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, TellsTheHandlerThatTheClientHasGone) {
  listen();
  RawClient client{path};
  client.send("GET /keep HTTP/1.1\r\n\r\n");
  const HttpResponder responder = wait_for_request();
  EXPECT_FALSE(responder.is_over());
  std::promise<std::thread::id> closed;
  responder.on_closed([&] { closed.set_value(std::this_thread::get_id()); });
  client.close();
  auto future = closed.get_future();
  ASSERT_EQ(future.wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(future.get(), io_thread.get_id());
  EXPECT_TRUE(responder.is_over());
  responder.succeed(1);
  const HttpStream stream = responder.begin_stream("text/plain");
  EXPECT_FALSE(stream.write("x"));

  std::promise<void> afterwards;
  stream.on_closed([&] { afterwards.set_value(); });
  EXPECT_EQ(afterwards.get_future().wait_for(deadline),
            std::future_status::ready);
}

TEST_F(HttpServerTest, NoticesThatTheReaderOfALaterRequestHasGone) {
  listen();
  RawClient client{path};
  for (int i = 1; i <= 3; ++i) {
    client.send("GET /keep HTTP/1.1\r\n\r\n");
    wait_for_request(i).succeed(i);
    EXPECT_EQ(body_of(read_answer(client)), fmt::format("{}\n", i));
  }
  client.send("GET /keep HTTP/1.1\r\n\r\n");
  const HttpStream stream = wait_for_request(4).begin_events();
  std::promise<void> closed;
  stream.on_closed([&] { closed.set_value(); });
  client.close();
  EXPECT_EQ(closed.get_future().wait_for(deadline), std::future_status::ready);
}

TEST_F(HttpServerTest, SurvivesClientsThatGoInTheMiddle) {
  listen();
  const std::size_t descriptors = testing::own_resources().descriptors;
  const std::string request =
      "POST /echo/x HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Content-Length: 2\r\n\r\n[]";
  for (std::size_t size = 0; size <= request.size(); ++size) {
    RawClient client{path};
    client.send(std::string_view{request}.substr(0, size));
    client.close();
  }
  EXPECT_TRUE(wait_until(
      [&] { return testing::own_resources().descriptors == descriptors; }));
  EXPECT_TRUE(answer_to(get("/echo/x")).starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, EndsWithItsConnectionsAndRemovesItsFiles) {
  listen();
  const RawClient reading{path};
  const HttpStream stream = stream_to(reading, "text/event-stream");
  const RawClient asking{path};
  asking.send(get("/keep"));
  const HttpResponder responder = wait_for_request(2);
  const RawClient silent{path};
  std::promise<void> responder_closed;
  std::promise<void> stream_closed;
  responder.on_closed([&] { responder_closed.set_value(); });
  stream.on_closed([&] { stream_closed.set_value(); });
  on_io_thread([&] { server.reset(); });
  for (auto* const closed : {&responder_closed, &stream_closed})
    EXPECT_EQ(closed->get_future().wait_for(deadline),
              std::future_status::ready);
  EXPECT_EQ(reading.read_to_end(), "");
  EXPECT_EQ(asking.read_to_end(), "");
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path("run")));
  responder.succeed("nobody is there");
  EXPECT_FALSE(stream.write("nobody"));
  listen();
}

TEST_F(HttpServerTest, RefusesATableThatCannotBe) {
  const auto listening =
      HttpServer::listen(io, {.path = path}, {{.path = "x"}});
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error(),
            (Error{Errc::invalid_argument,
                   "http socket: operation GET x: the path has to begin with "
                   "/"}));
  EXPECT_FALSE(std::filesystem::exists(path));
}

// -- Who may ask -------------------------------------------------------------

TEST_F(HttpServerTest, RefusesOtherUsers) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can become another user";
  listen();
  // What the modes would keep away anyhow.
  for (const std::string& open : {dir.path(), dir.path("run"), path})
    ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
  const std::string answer = answer_as(nobody, nobody, get("/echo/x"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 Forbidden\r\n")) << answer;
  EXPECT_EQ(body_of(answer),
            "{\"error\":{\"code\":\"permission_denied\",\"what\":\"this socket "
            "is not for user 65534\"}}\n");
}

TEST_F(HttpServerTest, KeepsOtherUsersAwayByItsModes) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can become another user";
  listen_with({.group = HttpGroup{some_group, Role::operate}});
  ASSERT_EQ(::chmod(dir.path().c_str(), 0711), 0);
  EXPECT_EQ(answer_as(nobody, nobody, get("/echo/x")), "exit 101");
}

TEST_F(HttpServerTest, LimitsTheClientsOfOneUserButNotOfAdmins) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can become another user";
  listen_with({.group = HttpGroup{some_group, Role::operate},
               .limits = {.user_connections = 0}});
  ASSERT_EQ(::chmod(dir.path().c_str(), 0711), 0);
  const std::string answer = answer_as(nobody, some_group, get("/echo/x"));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 429 ")) << answer;
  EXPECT_EQ(body_of(answer),
            "{\"error\":{\"code\":\"overloaded\",\"what\":\"0 clients of yours "
            "are connected already; try again later\",\"retry_after_ms\":1000}}"
            "\n");
  EXPECT_TRUE(answer_to(get("/echo/x")).starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, GivesMembersOfItsGroupTheirRole) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root can become another user";
  listen_with({.group = HttpGroup{some_group, Role::operate}});
  ASSERT_EQ(::chmod(dir.path().c_str(), 0711), 0);
  EXPECT_EQ(body_of(answer_as(nobody, some_group, get("/operate"))),
            "{\"path\":[],\"body\":null}\n");
  EXPECT_EQ(body_of(answer_as(nobody, some_group, get("/admin"))),
            "{\"error\":{\"code\":\"permission_denied\",\"what\":\"GET /admin "
            "needs the role admin; you have operate\"}}\n");
}

// -- Other programs ----------------------------------------------------------

TEST_F(HttpServerTest, SpeaksWithCurl) {
  if (std::system("command -v curl >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "curl is not installed";
  listen();
  const auto curl = [&](const std::string& arguments) {
    const std::string command = fmt::format(
        "curl -sS --max-time 20 --unix-socket '{}' {} 2>&1", path, arguments);
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    std::string output;
    std::array<char, 4096> bytes;
    while (const std::size_t size =
               std::fread(bytes.data(), 1, bytes.size(), pipe))
      output.append(bytes.data(), size);
    ::pclose(pipe);
    return output;
  };
  EXPECT_EQ(curl("'http://x/echo/a%20b?q=1' http://x/echo/c"),
            "{\"path\":[\"a b\"],\"body\":null,\"query\":{\"q\":\"1\"}}\n"
            "{\"path\":[\"c\"],\"body\":null}\n");
  EXPECT_EQ(curl("-H 'Content-Type: application/json' -d '[1]' "
                 "http://x/echo/a"),
            "{\"path\":[\"a\"],\"body\":[1]}\n");
  EXPECT_EQ(curl("-d '[1]' http://x/echo/a"),
            "{\"error\":{\"code\":\"invalid_argument\",\"what\":\"expected a "
            "body of application/json, got "
            "\\\"application/x-www-form-urlencoded\\\"\"}}\n");
  const std::string large = dir.write("large", std::string(3 << 20, ' '));
  EXPECT_EQ(curl("-H 'Content-Type: application/json' --data-binary @" + large +
                 " http://x/echo/a"),
            "{\"error\":{\"code\":\"invalid_argument\",\"what\":\"the body is "
            "longer than 1.00 MiB\"}}\n");
}

}  // namespace
}  // namespace troupe::api
