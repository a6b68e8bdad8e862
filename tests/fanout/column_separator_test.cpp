#include <troupe/fanout/column_separator.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::fanout {
namespace {

using Columns = std::vector<std::string>;

Columns split(const char* pattern, std::string_view record) {
  Columns columns;
  ColumnSeparator::parse(pattern).value().split(record, columns);
  return columns;
}

std::string pattern_refusal(const char* pattern) {
  const auto parsed = ColumnSeparator::parse(pattern);
  return parsed ? "accepted" : parsed.error().what;
}

TEST(ColumnSeparator, SplitsAtPlainText) {
  EXPECT_EQ(split(",", "a,b,,c,"), (Columns{"a", "b", "", "c", ""}));
  EXPECT_EQ(split("::", "a:b::c"), (Columns{"a:b", "c"}));
  EXPECT_EQ(split("\\t", "a\tb c"), (Columns{"a", "b c"}));
  EXPECT_EQ(split("\\|", "a|b"), (Columns{"a", "b"}));
  EXPECT_EQ(split(",", ""), (Columns{""}));
}

TEST(ColumnSeparator, SplitsAtSimpleRegularExpressions) {
  EXPECT_EQ(split(" +", "a  b c"), (Columns{"a", "b", "c"}));
  EXPECT_EQ(split("\\s+", "a \t b"), (Columns{"a", "b"}));
  EXPECT_EQ(split("[,;]", "a,b;c"), (Columns{"a", "b", "c"}));
  EXPECT_EQ(split("[^a-c]", "a1b-c"), (Columns{"a", "b", "c"}));
  EXPECT_EQ(split("[]x-]", "a]bxc-d"), (Columns{"a", "b", "c", "d"}));
  EXPECT_EQ(split(" ?;|,", "a ;b,c"), (Columns{"a", "b", "c"}));
  EXPECT_EQ(split("\\d+\\w", "a12xb"), (Columns{"a", "b"}));
}

TEST(ColumnSeparator, RemovesWhiteSpaceAroundColumns) {
  EXPECT_EQ(split(",", " a , b\r"), (Columns{"a", "b"}));
  EXPECT_EQ(split(" +", " c d "), (Columns{"", "c", "d", ""}));
}

TEST(ColumnSeparator, RefusesWhatItDoesNotKnowByName) {
  EXPECT_EQ(pattern_refusal("."),
            "expected a column separator such as , or \\t or ' +', got \".\": "
            "for the character . write \\.");
  EXPECT_EQ(pattern_refusal("|"),
            "expected a column separator such as , or \\t or ' +', got \"|\": "
            "part of it matches nothing; write \\| for a bar");
  EXPECT_EQ(pattern_refusal("\\b"),
            "expected a column separator such as , or \\t or ' +', got "
            "\"\\b\": \\b is not known here");
  for (const char* bad : {"", "(a)", "a{2}", "^a", "a$", "*", "[a", "[", "\\",
                          "a|", " *", "[\\q]"})
    EXPECT_NE(pattern_refusal(bad), "accepted") << bad;
}

TEST(ColumnSeparator, GivesBackWhatWasJoined) {
  EXPECT_TRUE(rc::check("split undoes join", [] {
    const auto columns = *rc::gen::nonEmpty(
        rc::gen::container<Columns>(rc::gen::container<std::string>(
            rc::gen::element('a', 'b', '.', '\\'))));
    std::string joined;
    for (const auto& column : columns)
      joined += (&column == &columns.front() ? "" : ", ") + column;
    RC_ASSERT(split(",\\s*", joined) == columns);
  }));
}

TEST(ColumnSeparator, TakesLinearTimeOnHostileInput) {
  // A backtracking matcher would need 100,000^2 / 2 steps for the first.
  EXPECT_EQ(split("\\s+,", std::string(1000, ' ') + "x"), (Columns{"x"}));
  EXPECT_EQ(split("\\s*,", std::string(100, ' ') + ",x"), (Columns{"", "x"}));
}

}  // namespace
}  // namespace troupe::fanout
