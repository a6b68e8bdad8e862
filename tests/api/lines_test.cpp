#include "lines.hpp"

#include <gtest/gtest.h>

namespace troupe::api {
namespace {

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

Error error_of(std::string_view line) {
  return std::get<LastAnswer>(parse_answer(line).value()).result.error();
}

TEST(Lines, AreOneObjectEachAndKeepTheOrderOfTheirKeys) {
  const Json value{{"b", 1}, {"a", "x\ny"}};
  EXPECT_EQ(request_line(value), "{\"b\":1,\"a\":\"x\\ny\"}\n");
  EXPECT_EQ(event_line(value), "{\"event\":{\"b\":1,\"a\":\"x\\ny\"}}\n");
  EXPECT_EQ(result_line(value),
            "{\"ok\":true,\"result\":{\"b\":1,\"a\":\"x\\ny\"}}\n");
  EXPECT_EQ(error_line({Errc::not_found, "no service \"web\""}),
            "{\"ok\":false,\"error\":{\"code\":\"not_found\","
            "\"what\":\"no service \\\"web\\\"\"}}\n");
}

TEST(Lines, HaveAReplacementForBytesThatAreNotUtf8) {
  EXPECT_EQ(event_line("a\xff"
                       "b"),
            "{\"event\":\"a\xef\xbf\xbd"
            "b\"}\n");
}

TEST(ParseObject, RefusesWhatIsNotOneObject) {
  for (const char* const line : {"", " ", "null", "[]", "\"x\"", "{", "{}{}",
                                 "{\"a\":}", "{'a':1}", "{\"a\":\"\xff\"}"})
    EXPECT_EQ(parse_object(line).error(),
              (Error{Errc::invalid_argument,
                     "expected an object of JSON in one line"}))
        << line;
}

TEST(ParseObject, TakesADepthOf128AndNotMore) {
  EXPECT_TRUE(parse_object("{\"a\":" + nested(127) + "}"));
  EXPECT_FALSE(parse_object("{\"a\":" + nested(128) + "}"));
  EXPECT_FALSE(parse_object("{\"a\":" + nested(30'000) + "}"));
  EXPECT_FALSE(parse_object("{\"a\":" + std::string(60'000, '[')));
}

TEST(ParseAnswer, ReadsWhatWasWritten) {
  const auto event = parse_answer("{\"event\":[1]}").value();
  EXPECT_EQ(std::get<Event>(event).what, Json::array({1}));
  const auto last = parse_answer("{\"ok\":true,\"result\":null}").value();
  EXPECT_EQ(std::get<LastAnswer>(last).result.value(), Json{});
  for (int code = 1; code <= static_cast<int>(Errc::internal); ++code) {
    const Error error{static_cast<Errc>(code), "so it is"};
    std::string line = error_line(error);
    line.pop_back();
    EXPECT_EQ(error_of(line), error);
  }
}

TEST(ParseAnswer, TakesACodeThatItDoesNotKnowForInternal) {
  EXPECT_EQ(
      error_of("{\"ok\":false,\"error\":{\"code\":\"new\",\"what\":\"x\"}}"),
      (Error{Errc::internal, "x"}));
  EXPECT_EQ(error_of("{\"ok\":false,\"error\":{\"code\":7}}"),
            (Error{Errc::internal, ""}));
}

TEST(ParseAnswer, RefusesEverythingElse) {
  for (const char* const line :
       {"", "HTTP/1.1 400 Bad Request", "{}", "{\"ok\":1}", "{\"ok\":true}",
        "{\"ok\":false}", "{\"ok\":false,\"error\":1}"})
    EXPECT_EQ(parse_answer(line).error(),
              (Error{Errc::corrupt, std::string{"not an answer: "} + line}));
}

}  // namespace
}  // namespace troupe::api
