#include <troupe/config/dotenv.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>

namespace troupe::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

struct Read {
  std::vector<std::pair<std::string, std::string>> variables;
  std::string errors;
};

Read read_variables(std::string text) {
  auto source = std::make_shared<const Source>(".env", std::move(text));
  Diagnostics diagnostics{source};
  Read out;
  out.variables = parse_dotenv(*source, diagnostics);
  out.errors = diagnostics.text();
  return out;
}

TEST(Dotenv, ReadsNamesAndValues) {
  EXPECT_THAT(
      read_variables("A=1\nexport B = two words \n\n# a comment\n_c2=\n")
          .variables,
      ElementsAre(Pair("A", "1"), Pair("B", "two words"), Pair("_c2", "")));
}

TEST(Dotenv, EndsAValueAtACommentOnlyBehindASpace) {
  EXPECT_THAT(read_variables("A=1 # one\nB=a#b\nC=# none\r\n").variables,
              ElementsAre(Pair("A", "1"), Pair("B", "a#b"), Pair("C", "")));
}

TEST(Dotenv, KeepsSingleQuotesAsTheyAreAndKnowsEscapesInDoubleOnes) {
  EXPECT_THAT(
      read_variables("A='a \\n $B # c' # d\nB=\"x\\ty\\\"\\$\\\\z\\q\"\n")
          .variables,
      ElementsAre(Pair("A", "a \\n $B # c"), Pair("B", "x\ty\"$\\z\\q")));
}

TEST(Dotenv, LetsTheLastLineForANameWin) {
  EXPECT_THAT(read_variables("A=1\nB=2\nA=3\n").variables,
              ElementsAre(Pair("B", "2"), Pair("A", "3")));
}

TEST(Dotenv, SaysWhereItIsWrong) {
  const Read out =
      read_variables("A=1\nwhat is this\n2B=x\nC='open\nD=\"x\" y\n");
  EXPECT_THAT(out.variables, ElementsAre(Pair("A", "1")));
  EXPECT_EQ(out.errors,
            ".env:2:1: expected NAME=value\nwhat is this\n^~~~~~~~~~~~\n"
            ".env:3:1: expected NAME=value\n2B=x\n^~~~\n"
            ".env:4:1: a quote without its end, or text behind it\nC='open\n"
            "^~~~~~~\n"
            ".env:5:1: a quote without its end, or text behind it\nD=\"x\" y\n"
            "^~~~~~~");
}

TEST(Dotenv, RefusesWhatIsNoText) {
  const Read out = read_variables(std::string{"A=1\0", 4});
  EXPECT_THAT(out.variables, IsEmpty());
  EXPECT_EQ(out.errors, ".env: not a file of variables: it has NUL characters");
}

}  // namespace
}  // namespace troupe::config
