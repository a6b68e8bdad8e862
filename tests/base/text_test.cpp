#include <troupe/base/text.hpp>

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace troupe {
namespace {

TEST(ShellQuote, LeavesHarmlessWordsAndQuotesTheRest) {
  EXPECT_EQ(shell_quote("a/b-c.txt"), "a/b-c.txt");
  EXPECT_EQ(shell_quote(""), "''");
  EXPECT_EQ(shell_quote("a b"), "'a b'");
  EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quote("$(rm -rf x)"), "'$(rm -rf x)'");
  EXPECT_EQ(shell_quote("~"), "'~'");
}

TEST(Printable, EscapesControlCharactersAndForeignBytes) {
  EXPECT_EQ(printable("grün"), "grün");
  EXPECT_EQ(printable("a\nb\x1b[31m"), "a\\nb\\x1b[31m");
  EXPECT_EQ(printable("\xff"), "\\xff");
}

TEST(ToUtf8, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(to_utf8("ok \xc3\xa4"), "ok \xc3\xa4");
  EXPECT_EQ(to_utf8("bad \xff!"), "bad \xef\xbf\xbd!");
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));  // a surrogate
  EXPECT_FALSE(is_utf8("\xc0\xaf"));      // an overlong slash
}

TEST(Ellipsize, CountsColumnsNotBytes) {
  EXPECT_EQ(ellipsize("grün", 4), "grün");
  EXPECT_EQ(ellipsize("grünlich", 4), "grü…");
  EXPECT_EQ(display_width("日本"), 4U);
  EXPECT_EQ(ellipsize("日本語", 4), "日…");
}

TEST(InQuotes, IsSafeToPrintAndNotTooLong) {
  EXPECT_EQ(in_quotes("a\n"), "\"a\\n\"");
  EXPECT_EQ(in_quotes(std::string(61, 'x')),
            "\"" + std::string(59, 'x') + "…\"");
}

TEST(Counted, HasNoPluralForOne) {
  EXPECT_EQ(counted(0, "job"), "0 jobs");
  EXPECT_EQ(counted(1, "job"), "1 job");
  EXPECT_EQ(counted(2, "job"), "2 jobs");
}

TEST(Listed, SaysHowManyAreLeftOut) {
  const std::vector<std::string> names{"a", "b", "c"};
  EXPECT_EQ(listed({}, 2), "");
  EXPECT_EQ(listed(names, 3), "a, b, c");
  EXPECT_EQ(listed(names, 2), "a, b and 1 more");
}

}  // namespace
}  // namespace troupe
