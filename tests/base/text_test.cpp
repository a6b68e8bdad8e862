#include <troupe/base/text.hpp>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace troupe
