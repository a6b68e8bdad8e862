#include <troupe/config/diagnostics.hpp>

#include <gtest/gtest.h>
#include <memory>

namespace troupe::config {
namespace {

Diagnostics over(std::string text) {
  return Diagnostics{std::make_shared<Source>("etl.yaml", std::move(text))};
}

TEST(Diagnostics, ShowThePlaceAsACompilerDoes) {
  auto diagnostics = over("jobs:\n    tiemout: 5m\n");
  diagnostics.add({2, 5, 7}, "unknown key \"tiemout\" in a job",
                  did_you_mean("tiemout", {"needs", "timeout"}));
  EXPECT_EQ(diagnostics.error().code, Errc::invalid_argument);
  EXPECT_EQ(diagnostics.error().what,
            "etl.yaml:2:5: unknown key \"tiemout\" in a job; did you mean "
            "\"timeout\"?\n"
            "    tiemout: 5m\n"
            "    ^~~~~~~");
}

TEST(Diagnostics, ComeInTheOrderOfTheFileAndOncePerPlace) {
  auto diagnostics = over("a\nb\n");
  diagnostics.add({2, 1, 1}, "second");
  diagnostics.add({1, 1, 1}, "first");
  diagnostics.add({2, 1, 1}, "a consequence of it");
  diagnostics.add({}, "of the whole file");
  EXPECT_EQ(diagnostics.text(),
            "etl.yaml: of the whole file\n"
            "etl.yaml:1:1: first\na\n^\n"
            "etl.yaml:2:1: second\nb\n^");
}

TEST(Diagnostics, PutTheCaretUnderWideCharactersAndTabs) {
  auto diagnostics = over("日本\t\x1b: x y\n");
  diagnostics.add({1, 11, 3}, "here");
  EXPECT_EQ(diagnostics.text(),
            "etl.yaml:1:11: here\n日本 \\x1b: x y\n           ^~~");
}

TEST(Diagnostics, CutLongLinesAroundThePlace) {
  auto diagnostics =
      over(std::string(5000, 'a') + "X" + std::string(5000, 'b'));
  diagnostics.add({1, 5001, 9999}, "here");
  EXPECT_EQ(diagnostics.text(),
            "etl.yaml:1:5001: here\n…" + std::string(60, 'a') + "X" +
                std::string(59, 'b') + "…\n" + std::string(61, ' ') + "^" +
                std::string(59, '~'));
}

TEST(Diagnostics, ShowTwentyAndCountTheRest) {
  auto diagnostics = over("");
  for (std::uint32_t line = 1; line <= 2000; ++line)
    diagnostics.add({line, 1, 1}, "bad");
  const std::string text = diagnostics.text();
  EXPECT_EQ(diagnostics.found().size(), 1000U);
  EXPECT_TRUE(
      text.ends_with("etl.yaml:20:1: bad\n"
                     "etl.yaml: and 1980 more errors"))
      << text;
}

TEST(Diagnostics, ShowWarningsAmongErrorsInTheOrderOfTheFile) {
  auto diagnostics = over("a\nb\nc\n");
  diagnostics.warn({3, 1, 1}, "odd", "is it meant?");
  diagnostics.warn({1, 1, 1}, "one");
  diagnostics.warn({1, 1, 1}, "another");
  diagnostics.add({2, 1, 1}, "bad");
  EXPECT_EQ(diagnostics.text(),
            "etl.yaml:1:1: warning: one\na\n^\n"
            "etl.yaml:1:1: warning: another\na\n^\n"
            "etl.yaml:2:1: bad\nb\n^\n"
            "etl.yaml:3:1: warning: odd; is it meant?\nc\n^");
  EXPECT_EQ(diagnostics.errors(), 1U);
  EXPECT_EQ(diagnostics.warnings(), 3U);
}

TEST(Diagnostics, DropAWarningAboutAPlaceWithAnErrorButNotTheReverse) {
  auto diagnostics = over("a\n");
  diagnostics.warn({1, 1, 1}, "odd");
  diagnostics.add({1, 1, 1}, "bad");
  diagnostics.warn({1, 1, 1}, "odd as well");
  EXPECT_EQ(diagnostics.text(),
            "etl.yaml:1:1: bad\na\n^\n"
            "etl.yaml:1:1: warning: odd\na\n^");
}

TEST(Diagnostics, CountTheRestBySeverity) {
  auto diagnostics = over("");
  for (std::uint32_t line = 1; line <= 990; ++line)
    diagnostics.warn({line, 1, 1}, "odd");
  EXPECT_TRUE(diagnostics.text().ends_with("etl.yaml: and 970 more warnings"));
  for (std::uint32_t line = 991; line <= 2000; ++line)
    diagnostics.add({line, 1, 1}, "bad");
  EXPECT_EQ(diagnostics.errors(), 1010U);
  EXPECT_TRUE(diagnostics.text().ends_with(
      "etl.yaml: and 1010 more errors and 970 more warnings"));
}

TEST(Diagnostics, ShowTheMistakesOfAnotherFileBeforeThePlaceThatNamesIt) {
  auto other = Diagnostics{std::make_shared<const Source>("lib.yaml", "x")};
  other.add({1, 1, 1}, "bad");
  auto diagnostics = over("include: lib.yaml");
  diagnostics.add_behind({1, 10, 8}, "included here", other);
  EXPECT_EQ(diagnostics.errors(), 1U);
  EXPECT_EQ(diagnostics.text(),
            "lib.yaml:1:1: bad\nx\n^\n"
            "etl.yaml:1:10: included here\n"
            "include: lib.yaml\n"
            "         ^~~~~~~~");
}

TEST(Source, FindsLinesAndPlaces) {
  const Source source{"f", "\xef\xbb\xbfone\r\ntwo\n\nlast"};
  EXPECT_EQ(source.line(1), "one");
  EXPECT_EQ(source.line(2), "two");
  EXPECT_EQ(source.line(3), "");
  EXPECT_EQ(source.line(4), "last");
  EXPECT_EQ(source.line(5), "");
  EXPECT_EQ(source.from({2, 2, 1}), "wo\n\nlast");
  EXPECT_EQ(source.from({9, 1, 1}), "");
  EXPECT_EQ(source.advance({2, 2, 7}, 5), (Span{4, 2, 1}));
}

}  // namespace
}  // namespace troupe::config
