#include <troupe/workflow/expression.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <string>

namespace troupe::workflow {
namespace {

const Value steps{Value::Object{
    {"pull", Value{Value::Object{
                 {"outcome", Value{"failure"}},
                 {"outputs", Value{Value::Object{{"rows", Value{"12"}},
                                                 {"none", Value{""}}}}}}}}}};
const Value matrix{
    Value::Object{{"n", Value{2.0}},
                  {"flag", Value{true}},
                  {"list", Value{Value::List{Value{"a"}, Value{1.0}}}}}};

std::string eval(std::string_view text) {
  const auto expression = parse_expression(text);
  if (!expression)
    return "problem: " + expression.error().message;
  Environment environment{{{"steps", &steps}, {"matrix", &matrix}}};
  environment.failure = true;
  const auto value = evaluate(*expression, environment);
  return value ? value->json() : "error: " + value.error().what;
}

TEST(Expression, KnowsLiterals) {
  EXPECT_EQ(eval("'it''s'"), "\"it's\"");
  EXPECT_EQ(eval("-1.5"), "-1.5");
  EXPECT_EQ(eval(" 42 "), "42");
  EXPECT_EQ(eval("true"), "true");
  EXPECT_EQ(eval("null"), "null");
}

TEST(Expression, LooksUpNamesAndGivesNullForWhatIsMissing) {
  EXPECT_EQ(eval("steps.pull.outputs.rows"), "\"12\"");
  EXPECT_EQ(eval("steps['pull'].outputs['rows']"), "\"12\"");
  EXPECT_EQ(eval("steps.pull.outputs.other"), "null");
  EXPECT_EQ(eval("steps.pull.outcome.deeper"), "null");
  EXPECT_EQ(eval("matrix"), "{\"n\":2,\"flag\":true,\"list\":[\"a\",1]}");
}

TEST(Expression, LooksUpItemsAndMembersByValue) {
  EXPECT_EQ(eval("matrix.list[0]"), "\"a\"");
  EXPECT_EQ(eval("matrix.list[1] + ''").substr(0, 7), "problem");
  EXPECT_EQ(eval("matrix.list[matrix.n]"), "null");
  EXPECT_EQ(eval("matrix.list[-1]"), "null");
  EXPECT_EQ(eval("matrix.list[0.5]"), "null");
  EXPECT_EQ(eval("matrix['list'][1]"), "1");
  EXPECT_EQ(eval("steps[format('{0}', 'pull')].outcome"), "\"failure\"");
  EXPECT_EQ(eval("fromJSON('{\"a\": [{\"b\": 7}]}').a[0].b"), "7");
  EXPECT_EQ(eval("(steps.pull).outputs['rows']"), "\"12\"");
  EXPECT_EQ(eval("'text'[0]"), "null");
}

TEST(Expression, LooksUpAPathInEachItem) {
  const std::string list =
      R"(fromJSON('{"x": [{"n": 1, "t": [2, 3]}, {"n": 4, "t": [5]}, 6]}').x)";
  EXPECT_EQ(eval(list + ".*.n"), "[1,4]");
  EXPECT_EQ(eval(list + ".*.t"), "[[2,3],[5]]");
  EXPECT_EQ(eval(list + ".*.t.*"), "[2,3,5]");
  EXPECT_EQ(eval(list + ".*.none"), "[]");
  EXPECT_EQ(eval("steps.*.outcome"), "[\"failure\"]");
  EXPECT_EQ(eval("join(matrix.list.*, '-')"), "\"a-1\"");
  EXPECT_EQ(eval("contains(steps.*.outcome, 'failure')"), "true");
}

TEST(Expression, TakesTheHashesOfFilesFromOutside) {
  const FileHashes hashes{{{"a", "b/**"}, "abc123"}};
  const auto expression = parse_expression("hashFiles('a', 'b/**')");
  ASSERT_TRUE(expression);
  Environment environment;
  EXPECT_EQ(evaluate(*expression, environment)->json(), "null");
  environment.file_hashes = &hashes;
  EXPECT_EQ(evaluate(*expression, environment)->json(), "\"abc123\"");
}

TEST(Expression, BindsAsInC) {
  EXPECT_EQ(eval("1 < 2 == true && !false || false"), "true");
  EXPECT_EQ(eval("false && false || true"), "true");
  EXPECT_EQ(eval("false && (false || true)"), "false");
  EXPECT_EQ(eval("!1 == 2"), "false");
  EXPECT_EQ(eval("!!'x'"), "true");
  EXPECT_EQ(eval("1 <= 1 && 2 >= 3"), "false");
}

TEST(Expression, GivesAnOperandOfAndAndOr) {
  EXPECT_EQ(eval("steps.pull.outputs.none || 'default'"), "\"default\"");
  EXPECT_EQ(eval("'a' && 'b'"), "\"b\"");
  EXPECT_EQ(eval("0 && 'b'"), "0");
}

TEST(Expression, ComparesAcrossKindsWhereItIsSafe) {
  EXPECT_EQ(eval("steps.pull.outputs.rows > 9"), "true");
  EXPECT_EQ(eval("steps.pull.outputs.rows == 12"), "true");
  EXPECT_EQ(eval("steps.pull.outputs.other == ''"), "true");
  EXPECT_EQ(eval("matrix.flag == 'true'"), "true");
  EXPECT_EQ(eval("'A' == 'a'"), "false");
  EXPECT_EQ(eval("'x' == 0"), "false");
  EXPECT_EQ(eval("null == 0"), "false");
  EXPECT_EQ(eval("'10' < '9'"), "true");
  EXPECT_EQ(eval("'x' < 9"), "false");
  EXPECT_EQ(eval("'x' >= 9"), "false");
  EXPECT_EQ(eval("true > false"), "false");
}

TEST(Expression, ReadsJson) {
  EXPECT_EQ(eval("fromJSON('[1, \"a\", null, {\"k\": true}]')"),
            "[1,\"a\",null,{\"k\":true}]");
  EXPECT_EQ(eval("fromJSON(toJSON(matrix))"),
            "{\"n\":2,\"flag\":true,\"list\":[\"a\",1]}");
  EXPECT_EQ(eval("fromJSON('\"a\\u00e9\"')"), "\"a\xc3\xa9\"");
  EXPECT_EQ(eval("fromJSON(matrix.list)"), "[\"a\",1]");
  EXPECT_EQ(eval("fromJSON('{\"a\": 1, \"a\": 2}')"), "{\"a\":2}");
}

TEST(Expression, SaysWhereATextIsNoJson) {
  EXPECT_EQ(eval("fromJSON('[1, 2')"), "error: fromJSON(): no JSON at byte 6");
  EXPECT_EQ(eval("fromJSON('')"), "error: fromJSON(): no JSON at byte 1");
  EXPECT_EQ(eval("fromJSON('1 2')"), "error: fromJSON(): no JSON at byte 3");
}

TEST(Expression, BoundsJson) {
  const std::string deep(33, '[');
  EXPECT_EQ(parse_json(deep).error(),
            (Error{Errc::overloaded, "JSON that is nested more than 32 deep"}));
  std::string many = "[0";
  for (std::size_t i = 0; i < most_json_values; ++i)
    many += ",0";
  EXPECT_EQ(parse_json(many + "]").error(),
            (Error{Errc::overloaded, "JSON of more than 100000 values"}));
}

TEST(Expression, HasItsFunctions) {
  EXPECT_EQ(eval("success()"), "true");
  EXPECT_EQ(eval("failure()"), "true");
  EXPECT_EQ(eval("always()"), "true");
  EXPECT_EQ(eval("cancelled()"), "false");
  EXPECT_EQ(eval("contains('abc', 'b')"), "true");
  EXPECT_EQ(eval("contains(matrix.list, '1')"), "true");
  EXPECT_EQ(eval("contains(matrix.list, 'b')"), "false");
  EXPECT_EQ(eval("startsWith('abc', 'ab') && endsWith('abc', 'bc')"), "true");
  EXPECT_EQ(eval("format('{0}-{1}-{{0}}-{2}-{', 'a', 2)"), "\"a-2-{0}-{2}-{\"");
  EXPECT_EQ(eval("join(matrix.list)"), "\"a,1\"");
  EXPECT_EQ(eval("join(matrix.list, ' + ')"), "\"a + 1\"");
  EXPECT_EQ(eval("toJSON(steps.pull.outputs)"),
            "\"{\\\"rows\\\":\\\"12\\\",\\\"none\\\":\\\"\\\"}\"");
}

void expect_problem(std::string_view text, const Problem& expected) {
  const auto expression = parse_expression(text);
  ASSERT_FALSE(expression) << text;
  EXPECT_EQ(expression.error().message, expected.message) << text;
  EXPECT_EQ(expression.error(), expected) << text;
}

TEST(Expression, SaysWhatIsWrongAndWhere) {
  expect_problem("", {0, 1, "an empty expression", ""});
  expect_problem("a ==", {4, 1, "the expression ends too early", ""});
  expect_problem("a b", {2, 1, "unexpected \"b\" in an expression", ""});
  expect_problem("a = b", {2, 1, "unexpected \"=\" in an expression",
                           "did you mean \"==\"?"});
  expect_problem("a == \"b\"",
                 {5, 1, "texts in expressions have single quotes", ""});
  expect_problem("'abc", {0, 1, "a text without its closing quote", ""});
  expect_problem("1x", {0, 2, "\"1x\" is not a number", ""});
  expect_problem("(a", {2, 1, "the expression ends too early", ""});
  expect_problem("a[b", {3, 1, "the expression ends too early", ""});
  expect_problem("a[]", {2, 1, "unexpected \"]\" in an expression", ""});
  expect_problem("a.0", {2, 1, "unexpected \"0\" in an expression", ""});
  expect_problem("2 * 3", {2, 1, "unexpected \"*\" in an expression", ""});
  expect_problem("sucess()", {0, 6, "unknown function \"sucess\"",
                              "did you mean \"success\"?"});
  expect_problem("1 + hashFiles('x')",
                 {2, 1, "unexpected \"+\" in an expression", ""});
  expect_problem("hashFiles()",
                 {0, 11, "hashFiles() takes at least 1 argument, not 0", ""});
  expect_problem("contains('x')",
                 {0, 13, "contains() takes 2 arguments, not 1", ""});
  expect_problem("format()",
                 {0, 8, "format() takes at least 1 argument, not 0", ""});
  expect_problem(std::string(70, '(') + "1" + std::string(70, ')'),
                 {64, 1, "an expression nested more than 64 deep", ""});
}

TEST(Expression, RefusesToMakeVeryLongTexts) {
  const Value big{Value::Object{{"x", Value{std::string(600'000, 'x')}}}};
  const auto expression = parse_expression("format('{0}{0}', matrix.x)");
  const auto value = evaluate(*expression, {{{"matrix", &big}}});
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error(),
            (Error{Errc::overloaded,
                   "an expression makes a text of more than 1.00 MiB"}));
}

TEST(Expression, AnswersAnyTextWithAValueOrAProblem) {
  EXPECT_TRUE(rc::check("a value or a problem inside the text", [] {
    const auto words = *rc::gen::container<std::vector<std::string>>(
        rc::gen::elementOf(std::vector<std::string>{
            "steps",    ".",      "pull", "outputs", "(",    ")",  "[",
            "]",        "'a'",    "'",    "1",       "-",    "!",  "==",
            "!=",       "<",      "<=",   ">",       "&&",   "||", ",",
            "contains", "format", "join", "always",  "true", " ",  "{0}"}));
    std::string text;
    for (const std::string& word : words)
      text += word;
    const auto expression = parse_expression(text);
    if (expression)
      RC_ASSERT(evaluate(*expression, {{{"steps", &steps}}}).has_value());
    else
      RC_ASSERT(expression.error().offset <= text.size());
  }));
}

}  // namespace
}  // namespace troupe::workflow
