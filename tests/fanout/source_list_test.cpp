#include <troupe/fanout/source_list.hpp>

#include <gtest/gtest.h>

namespace troupe::fanout {
namespace {

using Words = std::vector<std::string>;

SourceSpec word_spec(Words values, bool linked = false) {
  return {.is_file = false, .path = {}, .words = values, .linked = linked};
}
SourceSpec file(std::string path, bool linked = false) {
  return {.is_file = true, .path = path, .words = {}, .linked = linked};
}

TEST(SplitMapWords, SeparatesTheCommandFromItsSources) {
  const auto result =
      split_map_words(Words{"gzip", "{}", ":::", "a", "b", "::::", "f", "g",
                            ":::+", "1", "::::+", "h", ":::"},
                      {});
  EXPECT_EQ(result.value(),
            (MapWords{.command = {"gzip", "{}"},
                      .sources = {word_spec({"a", "b"}), file("f"), file("g"),
                                  word_spec({"1"}, true), file("h", true),
                                  word_spec({})}}));
}

TEST(SplitMapWords, ReadsStandardInputIfThereIsNoSource) {
  EXPECT_EQ(split_map_words(Words{"gzip"}, {}).value().sources,
            (std::vector{file("-")}));
  EXPECT_EQ(split_map_words(Words{"gzip"}, Words{"list"}).value().sources,
            (std::vector{file("list")}));
}

TEST(SplitMapWords, PutsArgumentFilesFirst) {
  EXPECT_EQ(
      split_map_words(Words{"x", ":::+", "a"}, Words{"-", "f"}).value().sources,
      (std::vector{file("-"), file("f"), word_spec({"a"}, true)}));
}

TEST(SplitMapWords, LinksNothingToNothing) {
  EXPECT_EQ(split_map_words(Words{"x", ":::+", "a"}, {}).value().sources,
            (std::vector{word_spec({"a"})}));
}

TEST(SplitMapWords, RefusesWhatCannotBeRead) {
  EXPECT_EQ(split_map_words(Words{"x", "::::"}, {}).error().what,
            ":::: needs at least one file");
  EXPECT_EQ(split_map_words(Words{"x", "::::", "-"}, Words{"-"}).error().what,
            "standard input can be a source only once");
}

}  // namespace
}  // namespace troupe::fanout
