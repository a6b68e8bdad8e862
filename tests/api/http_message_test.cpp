#include "http_message.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace troupe::api {
namespace {

constexpr std::size_t header_bytes = 1'024;

/// A reader over a small table, fed by hand.
class RequestReaderTest : public ::testing::Test {
 protected:
  static Operation operation(HttpMethod method, const std::string& path,
                             std::size_t most_body_bytes) {
    return {.method = method,
            .path = path,
            .query = {"q"},
            .most_body_bytes = most_body_bytes,
            .handler = [](const HttpRequest&, const HttpResponder&) {}};
  }

  ReadStep feed(std::string_view bytes) {
    inbox += bytes;
    return reader.feed(inbox);
  }
  Refusal refusal(std::string_view bytes) {
    return std::get<Refusal>(feed(bytes));
  }
  HttpRequest request(std::string_view bytes) {
    return std::get<Accepted>(feed(bytes)).request;
  }

  static std::string post(std::string_view body,
                          std::string_view type = "application/json") {
    return fmt::format(
        "POST /jobs HTTP/1.1\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
        "{}",
        type, body.size(), body);
  }

  const Router router =
      Router::make({operation(HttpMethod::get, "/jobs/{job}", 0),
                    operation(HttpMethod::post, "/jobs", 100)})
          .value();
  const Caller caller{.uid = 7, .pid = 8, .role = Role::operate};
  RequestReader reader{router, caller, header_bytes};
  std::string inbox;
};

TEST_F(RequestReaderTest, ReadsARequestWithoutABody) {
  EXPECT_EQ(
      request("GET /jobs/a%20b?q=1 HTTP/1.1\r\n\r\n"),
      (HttpRequest{.path = {"a b"}, .query = {{"q", "1"}}, .caller = caller}));
  EXPECT_TRUE(reader.keeps_alive());
  EXPECT_TRUE(reader.takes_chunks());
}

TEST_F(RequestReaderTest, ReadsABodyOfJson) {
  EXPECT_EQ(request(post("{\"a\":1}")).body, (Json{{"a", 1}}));
  EXPECT_TRUE(reader.keeps_alive());
}

TEST_F(RequestReaderTest, ReadsABodyInChunks) {
  EXPECT_EQ(request("POST /jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
                    "Content-Type: application/JSON ; charset=utf-8\r\n\r\n"
                    "3\r\n[1,\r\n2;x=y\r\n2]\r\n0\r\nA: b\r\n\r\n")
                .body,
            Json::array({1, 2}));
  EXPECT_TRUE(reader.keeps_alive());
}

TEST_F(RequestReaderTest, LeavesTheNextRequestInTheInbox) {
  (void)request(post("[]") + "GET /jobs/1 HT");
  EXPECT_EQ(inbox, "GET /jobs/1 HT");
}

TEST_F(RequestReaderTest, WaitsForTheRest) {
  EXPECT_TRUE(std::holds_alternative<ReadOn>(feed("")));
  EXPECT_TRUE(std::holds_alternative<ReadOn>(feed("GET /jobs/1 HTTP/1.1\r\n")));
  EXPECT_EQ(request("\r\n").path, std::vector<std::string>{"1"});
}

TEST_F(RequestReaderTest, SaysOnceThatTheBodyMayCome) {
  EXPECT_TRUE(std::holds_alternative<SayContinue>(
      feed("POST /jobs HTTP/1.1\r\nExpect: 100-continue\r\nContent-Type: "
           "application/json\r\nContent-Length: 2\r\n\r\n")));
  EXPECT_TRUE(std::holds_alternative<ReadOn>(feed("[")));
  EXPECT_EQ(request("]").body, Json::array());
}

TEST_F(RequestReaderTest, RefusesBeforeTheBodyComesWhatCannotBe) {
  EXPECT_EQ(refusal("POST /job HTTP/1.1\r\nContent-Length: 2\r\n\r\n").status,
            404);
  EXPECT_FALSE(reader.keeps_alive());
}

TEST_F(RequestReaderTest, GoesOnAfterARefusalThatLeavesNothingUnread) {
  EXPECT_EQ(refusal("GET /nothing HTTP/1.1\r\n\r\n").status, 404);
  EXPECT_TRUE(reader.keeps_alive());
}

TEST_F(RequestReaderTest, RefusesABodyThatIsNotJson) {
  EXPECT_EQ(refusal(post("{\"a\":")),
            (Refusal{.status = 400,
                     .error = {Errc::invalid_argument,
                               "the body is not JSON: line 1, column 6: syntax "
                               "error while parsing value - unexpected end of "
                               "input; expected '[', '{', or a literal"}}));
  EXPECT_TRUE(reader.keeps_alive());
}

TEST_F(RequestReaderTest, RefusesABodyOfAnotherType) {
  EXPECT_EQ(refusal(post("a=b", "application/x-www-form-urlencoded")),
            (Refusal{.status = 415,
                     .error = {Errc::invalid_argument,
                               "expected a body of application/json, got "
                               "\"application/x-www-form-urlencoded\""}}));
}

TEST_F(RequestReaderTest, RefusesABodyThatIsAnnouncedAsTooLong) {
  const Refusal expected{
      .status = 413,
      .error = {Errc::invalid_argument, "the body is longer than 100 B"}};
  EXPECT_EQ(refusal("POST /jobs HTTP/1.1\r\nContent-Type: application/json\r\n"
                    "Content-Length: 99999999999999\r\n\r\n"),
            expected);
}

TEST_F(RequestReaderTest, TakesABodyAsLongAsItMayBe) {
  EXPECT_TRUE(
      request(post("\"" + std::string(98, 'x') + "\"")).body.is_string());
}

TEST_F(RequestReaderTest, RefusesChunksThatAreTooLongTogether) {
  const std::string head =
      "POST /jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
      "Content-Type: application/json\r\n\r\n";
  EXPECT_TRUE(std::holds_alternative<ReadOn>(
      feed(head + "50\r\n" + std::string(80, ' ') + "\r\n")));
  EXPECT_EQ(refusal("ffffffffff\r\n" + std::string(80, ' ')).status, 413);
}

TEST_F(RequestReaderTest, RefusesABodyWhereNoneIsTaken) {
  EXPECT_EQ(refusal("GET /jobs/1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]"),
            (Refusal{.status = 413,
                     .error = {Errc::invalid_argument,
                               "GET /jobs/{job} takes no body"}}));
}

TEST_F(RequestReaderTest, RefusesAHeadThatIsTooLong) {
  const Refusal expected{.status = 431,
                         .error = {Errc::invalid_argument,
                                   "the head of the request is longer than "
                                   "1.00 KiB"}};
  EXPECT_EQ(refusal("GET /jobs/1 HTTP/1.1\r\nA: " + std::string(1'024, 'x')),
            expected);
}

TEST_F(RequestReaderTest, RefusesALineBetweenChunksThatIsTooLong) {
  EXPECT_EQ(refusal("POST /jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
                    "Content-Type: application/json\r\n\r\n1;" +
                    std::string(2'000, 'x'))
                .status,
            431);
}

TEST_F(RequestReaderTest, EndsAConnectionThatDoesNotWantMore) {
  (void)request("GET /jobs/1 HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_FALSE(reader.keeps_alive());
}

TEST_F(RequestReaderTest, AnswersOldClientsWithoutChunksAndOnce) {
  (void)request("GET /jobs/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_FALSE(reader.keeps_alive());
  EXPECT_FALSE(reader.takes_chunks());
}

TEST_F(RequestReaderTest, RefusesWhatIsNotHttp) {
  struct Row {
    const char* bytes;
  };
  for (const Row row : {
           Row{"{\"do\":\"ps\"}\r\n\r\n"},
           Row{"GET /jobs/1 HTTP/2.0\r\n\r\n"},
           Row{"GET /jobs/1\r\n\r\n"},
           Row{"GET /jobs/1 HTTP/1.1\r\nbad header\r\n\r\n"},
           Row{"GET /jobs/1 HTTP/1.1\r\nContent-Length: x\r\n\r\n"},
           Row{"POST /jobs HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: "
               "2\r\n\r\n"},
           Row{"POST /jobs HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: "
               "chunked\r\n\r\n"},
       }) {
    RequestReader fresh{router, caller, header_bytes};
    std::string bytes = row.bytes;
    const ReadStep step = fresh.feed(bytes);
    ASSERT_TRUE(std::holds_alternative<Refusal>(step)) << row.bytes;
    EXPECT_EQ(std::get<Refusal>(step).status, 400) << row.bytes;
    EXPECT_FALSE(fresh.keeps_alive()) << row.bytes;
  }
}

RC_GTEST_FIXTURE_PROP(RequestReaderTest, TakesARequestInAnyPieces, ()) {
  const Json body =
      *rc::gen::container<std::vector<int>>(8, rc::gen::arbitrary<int>());
  const std::string bytes = post(body.dump());
  for (std::size_t at = 0; at < bytes.size();) {
    const auto size = *rc::gen::inRange<std::size_t>(1, 30);
    const ReadStep step = feed(std::string_view{bytes}.substr(at, size));
    at += size;
    if (at < bytes.size()) {
      RC_ASSERT(std::holds_alternative<ReadOn>(step));
    } else {
      RC_ASSERT(std::get<Accepted>(step).request.body == body);
    }
  }
}

TEST(HeadText, IsTheHeadOfAnAnswer) {
  EXPECT_EQ(head_text({.body_bytes = 5, .keeps_alive = true}),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            "Content-Length: 5\r\nCache-Control: no-store\r\n\r\n");
  EXPECT_EQ(head_text({.status = 405, .body_bytes = 5, .allow = "GET, POST"}),
            "HTTP/1.1 405 Method Not Allowed\r\n"
            "Content-Type: application/json\r\nContent-Length: 5\r\n"
            "Allow: GET, POST\r\nCache-Control: no-store\r\n"
            "Connection: close\r\n\r\n");
}

TEST(HeadText, RoundsTheTimeToComeBackUp) {
  const std::string text =
      head_text({.status = 429, .body_bytes = 5, .retry_after = 1'001ms});
  EXPECT_NE(text.find("Retry-After: 2\r\n"), std::string::npos) << text;
}

TEST(HeadText, AnnouncesAStream) {
  EXPECT_EQ(head_text({.content_type = "text/plain",
                       .has_chunks = true,
                       .keeps_alive = true}),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
            "Transfer-Encoding: chunked\r\nCache-Control: no-store\r\n\r\n");
}

TEST(HeadText, HasNoBodyAfter204) {
  EXPECT_EQ(head_text({.status = 204, .body_bytes = 0, .keeps_alive = true}),
            "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\r\n");
}

TEST(RequestText, IsARequest) {
  EXPECT_EQ(request_text(HttpMethod::get, "/jobs?q=1", std::nullopt),
            "GET /jobs?q=1 HTTP/1.1\r\nHost: troupe\r\n\r\n");
  EXPECT_EQ(
      request_text(HttpMethod::remove, "/jobs/1", std::nullopt).substr(0, 24),
      "DELETE /jobs/1 HTTP/1.1\r");
  EXPECT_EQ(request_text(HttpMethod::post, "/jobs", "[]"),
            "POST /jobs HTTP/1.1\r\nHost: troupe\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]");
}

/// What was read of an answer.
struct ReadAnswer {
  std::string body;
  AnswerReader reader{[this](std::string_view bytes) {
    body += bytes;
    return true;
  }};
  std::string inbox;
  Result<void> feed(std::string_view bytes) {
    inbox += bytes;
    return reader.feed(inbox);
  }
};

TEST(AnswerReader, ReadsAnAnswerOfKnownLength) {
  ReadAnswer answer;
  ASSERT_TRUE(answer.feed(
      head_text({.status = 201, .body_bytes = 2, .keeps_alive = true}) + "[]"));
  EXPECT_TRUE(answer.reader.is_done());
  EXPECT_TRUE(answer.reader.keeps_alive());
  EXPECT_EQ(answer.reader.status(), 201);
  EXPECT_EQ(answer.reader.content_type(), "application/json");
  EXPECT_EQ(answer.body, "[]");
}

TEST(AnswerReader, ReadsChunksAsTheyCome) {
  ReadAnswer answer;
  ASSERT_TRUE(answer.feed(head_text({.has_chunks = true}) + chunk_text("ab")));
  EXPECT_EQ(answer.body, "ab");
  EXPECT_FALSE(answer.reader.is_done());
  ASSERT_TRUE(answer.feed(chunk_text("c") + std::string{last_chunk}));
  EXPECT_EQ(answer.body, "abc");
  EXPECT_TRUE(answer.reader.is_done());
}

TEST(AnswerReader, KnowsAnAnswerThatStoppedInTheMiddle) {
  ReadAnswer answer;
  ASSERT_TRUE(answer.feed(head_text({.body_bytes = 5}) + "ab"));
  EXPECT_EQ(answer.reader.end().error().code, Errc::unavailable);
  ReadAnswer silent;
  EXPECT_EQ(silent.reader.end().error().code, Errc::unavailable);
}

TEST(AnswerReader, TakesTheEndOfTheConnectionForTheEndOfAStream) {
  ReadAnswer answer;
  ASSERT_TRUE(answer.feed(head_text({}) + "ab"));
  EXPECT_TRUE(answer.reader.end());
  EXPECT_EQ(answer.body, "ab");
}

TEST(AnswerReader, RefusesWhatIsNotHttp) {
  ReadAnswer answer;
  EXPECT_EQ(answer.feed("SSH-2.0-OpenSSH_9.2\r\n\r\n").error().code,
            Errc::corrupt);
}

}  // namespace
}  // namespace troupe::api
