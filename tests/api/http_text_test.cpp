#include "http_text.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace troupe::api {
namespace {

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

std::string object_of(int keys) {
  std::string text = "{";
  for (int i = 0; i < keys; ++i)
    text += fmt::format("{}\"k{}\":0", i == 0 ? "" : ",", i);
  return text + "}";
}

std::string error_of(std::string_view body) {
  return parse_body(body).error().what;
}

TEST(PercentCoding, KeepsWhatIsHarmless) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("a/b c%?\xc3\xa4"), "a%2Fb%20c%25%3F%C3%A4");
  EXPECT_EQ(percent_decode("a%2fb%20c%25%3F%C3%A4+"), "a/b c%?\xc3\xa4+");
}

TEST(PercentCoding, RefusesHalfACodeAndWhatIsNoText) {
  for (const char* const text : {"%", "a%2", "%zz", "%2x", "%%20"})
    EXPECT_EQ(percent_decode(text).error(),
              (Error{Errc::invalid_argument,
                     fmt::format("expected two hexadecimal digits after %, "
                                 "got \"{}\"",
                                 text)}));
  for (const char* const text : {"%00", "%ff", "a%C3"})
    EXPECT_EQ(percent_decode(text).error(),
              (Error{Errc::invalid_argument,
                     fmt::format("expected text in UTF-8, got \"{}\"", text)}));
}

RC_GTEST_PROP(PercentCoding, GivesBackEveryText, ()) {
  const auto points =
      *rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
  RC_ASSERT(percent_decode(percent_encode(points)) == points);
}

RC_GTEST_PROP(PercentCoding, TakesAnyBytesWithoutHarm, ()) {
  const auto bytes = *rc::gen::arbitrary<std::string>();
  const auto decoded = percent_decode(bytes);
  RC_ASSERT(!decoded || decoded->size() <= bytes.size());
  (void)parse_query(bytes);
  (void)parse_body(bytes);
}

TEST(ParseQuery, ReadsKeysAndValues) {
  using Query = std::map<std::string, std::string>;
  EXPECT_EQ(parse_query(""), Query{});
  EXPECT_EQ(parse_query("a=1&b=x+y%2B&c&d="),
            (Query{{"a", "1"}, {"b", "x y+"}, {"c", ""}, {"d", ""}}));
  EXPECT_EQ(parse_query("&a=b=c&"), (Query{{"a", "b=c"}}));
}

TEST(ParseQuery, RefusesAKeyThatComesTwice) {
  EXPECT_EQ(parse_query("a=1&%61=2").error(),
            (Error{Errc::invalid_argument, "query: \"a\" is there twice"}));
}

TEST(ParseQuery, SaysWhatCannotBeDecoded) {
  const Error expected{
      Errc::invalid_argument,
      "query: expected two hexadecimal digits after %, got \"%x\""};
  EXPECT_EQ(parse_query("a=%x").error(), expected);
  EXPECT_EQ(parse_query("%x=a").error(), expected);
}

TEST(HttpRequest, HasQueryValuesOfThreeKinds) {
  const HttpRequest request{
      .query = {{"n", "7"}, {"yes", ""}, {"no", "false"}, {"word", "x"}}};
  EXPECT_EQ(request.text("word"), "x");
  EXPECT_EQ(request.text("none"), std::nullopt);
  EXPECT_EQ(request.count("n", 1, {1, 7}), 7U);
  EXPECT_EQ(request.count("none", 3, {1, 7}), 3U);
  EXPECT_EQ(request.flag("yes"), true);
  EXPECT_EQ(request.flag("no"), false);
  EXPECT_EQ(request.flag("none"), false);
}

TEST(HttpRequest, SaysWhatAQueryValueHasToBe) {
  const HttpRequest request{.query = {{"n", "7"}, {"word", "x"}}};
  EXPECT_EQ(request.count("n", 1, {1, 6}).error(),
            (Error{Errc::invalid_argument,
                   "query n: expected a whole number from 1 to 6, got \"7\""}));
  EXPECT_EQ(
      request.count("word", 1, {1, 6}).error(),
      (Error{Errc::invalid_argument,
             "query word: expected a whole number from 1 to 6, got \"x\""}));
  EXPECT_EQ(request.flag("word").error(),
            (Error{Errc::invalid_argument,
                   "query word: expected true or false, got \"x\""}));
}

TEST(StatusOf, IsDecidedForEveryCode) {
  struct Row {
    Errc code;
    int status;
  };
  for (const Row row : {Row{Errc::invalid_argument, 400},
                        {Errc::not_found, 404},
                        {Errc::overloaded, 429},
                        {Errc::timed_out, 504},
                        {Errc::unavailable, 503},
                        {Errc::corrupt, 500},
                        {Errc::permission_denied, 403},
                        {Errc::already_exists, 409},
                        {Errc::cancelled, 499},
                        {Errc::unsupported, 501},
                        {Errc::internal, 500}})
    EXPECT_EQ(status_of(row.code), row.status) << to_string(row.code);
}

TEST(RefusalOf, SaysWhenToComeBackWhereThatHelps) {
  EXPECT_EQ(refusal_of({Errc::overloaded, "x"}).retry_after, 1s);
  EXPECT_EQ(refusal_of({Errc::unavailable, "x"}).retry_after, 1s);
  EXPECT_EQ(refusal_of({Errc::overloaded, "x"}, 5s).retry_after, 5s);
  EXPECT_EQ(refusal_of({Errc::not_found, "x"}).retry_after, std::nullopt);
}

TEST(ErrorBody, IsReadAsItWasWritten) {
  EXPECT_EQ(error_body({Errc::not_found, "no job \"x\""}, std::nullopt),
            "{\"error\":{\"code\":\"not_found\",\"what\":\"no job \\\"x\\\"\"}}"
            "\n");
  EXPECT_EQ(error_body({Errc::overloaded, "full"}, 1'500'001us),
            "{\"error\":{\"code\":\"overloaded\",\"what\":\"full\","
            "\"retry_after_ms\":1501}}\n");
  for (int code = 1; code <= static_cast<int>(Errc::internal); ++code) {
    const Error error{static_cast<Errc>(code), "so it is"};
    const auto failed = parse_error_body(500, error_body(error, 20ms));
    EXPECT_EQ(failed.error, error);
    EXPECT_EQ(failed.retry_after, 20ms);
  }
}

TEST(ErrorBody, OfSomebodyElseIsCorrupt) {
  for (const char* const body : {"", "<html>", "[]", "{}", "{\"error\":1}"}) {
    const auto failed = parse_error_body(502, body);
    EXPECT_EQ(
        failed.error,
        (Error{Errc::corrupt,
               fmt::format("not an answer: status 502 with \"{}\"", body)}));
    EXPECT_EQ(failed.retry_after, std::nullopt);
  }
}

TEST(ParseBody, TakesEveryKindOfJson) {
  EXPECT_EQ(parse_body("{\"b\":[1,\"[{,\\\"\"],\"a\":null}"),
            (Json{{"b", {1, "[{,\""}}, {"a", nullptr}}));
  EXPECT_EQ(parse_body(" 17 "), Json(17));
}

TEST(ParseBody, SaysWhereItIsBroken) {
  EXPECT_EQ(
      error_of("{\"a\":1,\n\"b\":}"),
      "the body is not JSON: line 2, column 5: syntax error while parsing "
      "value - unexpected '}'; expected '[', '{', or a literal");
  EXPECT_EQ(
      error_of(""),
      "the body is not JSON: line 1, column 1: syntax error while parsing "
      "value - unexpected end of input; expected '[', '{', or a literal");
  EXPECT_EQ(error_of("[] x").substr(0, 39),
            "the body is not JSON: line 1, column 4:");
}

TEST(ParseBody, SaysNoMoreThanALineAboutALongWord) {
  EXPECT_LT(error_of("\"" + std::string(100'000, 'x')).size(), 300U);
}

TEST(ParseBody, TakesADepthOf64AndNotMore) {
  EXPECT_TRUE(parse_body(nested(64)));
  EXPECT_EQ(error_of(nested(65)), "the body is nested deeper than 64");
  EXPECT_EQ(error_of(std::string(1'000'000, '[')),
            "the body is nested deeper than 64");
}

TEST(ParseBody, TakesAThousandKeysAndAnyNumberOfElements) {
  EXPECT_TRUE(parse_body(object_of(1'000)));
  EXPECT_EQ(error_of(object_of(1'001)),
            "the body has an object of more than 1000 keys");
  EXPECT_TRUE(parse_body("[" + object_of(900) + "," + object_of(900) + "]"));
  EXPECT_TRUE(parse_body("{\"a\":[0" + std::string(5'000, ' ') + ",1]}"));
}

TEST(ParseAnswerBody, TakesADepthOf128AndManyKeys) {
  EXPECT_TRUE(parse_answer_body(nested(128)));
  EXPECT_TRUE(parse_answer_body(object_of(2'000)));
  EXPECT_EQ(parse_answer_body(nested(129)).error(),
            (Error{Errc::corrupt, "the answer is nested deeper than 128"}));
}

}  // namespace
}  // namespace troupe::api
