#include <troupe/config/document.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <rapidcheck.h>
#include <string>

namespace troupe::config {
namespace {

struct Reading {
  std::optional<Document> document;
  std::string errors;
};

Reading read_text(std::string text, const YamlLimits& limits = {}) {
  auto source = std::make_shared<Source>("f.yaml", std::move(text));
  Diagnostics diagnostics{source};
  auto document = read_yaml(source, diagnostics, limits);
  return {std::move(document), diagnostics.text()};
}

TEST(ReadYaml, KeepsKindsStylesPlacesAndOrder) {
  const auto [document, errors] = read_text(
      "b: 'quoted'\n"
      "a:\n"
      "  - plain\n"
      "  - \"x y\"\n"
      "on: {k: ~, empty: }\n"
      "text: |\n"
      "  two\n"
      "  lines\n");
  ASSERT_TRUE(document) << errors;
  const Node& root = document->root;
  ASSERT_EQ(root.entries.size(), 4U);
  EXPECT_EQ(root.entries[0].key, "b");
  EXPECT_EQ(root.entries[0].value.text, "quoted");
  EXPECT_FALSE(root.entries[0].value.plain);
  EXPECT_EQ(root.entries[0].value.where, (Span{1, 4, 8}));
  const Node& list = root.entries[1].value;
  ASSERT_EQ(list.kind, Node::Kind::sequence);
  EXPECT_EQ(list.items[0].where, (Span{3, 5, 5}));
  EXPECT_TRUE(list.items[0].plain);
  EXPECT_EQ(list.items[1].text, "x y");
  const Node* const on = root.find("on");
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->find("k")->kind, Node::Kind::null);
  EXPECT_EQ(on->find("empty")->where, on->entries[1].where);
  EXPECT_EQ(root.find("text")->text, "two\nlines\n");
  EXPECT_EQ(root.find("nothing"), nullptr);
}

TEST(ReadYaml, TakesAnEmptyFileAsNothing) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n"}) {
    const auto [document, errors] = read_text(text);
    ASSERT_TRUE(document) << text << errors;
    EXPECT_EQ(document->root.kind, Node::Kind::null);
  }
}

TEST(ReadYaml, CopiesAliasesAndFollowsMergeKeys) {
  const auto [document, errors] = read_text(
      "base: &b {x: 1, y: 2}\n"
      "more: &m {y: 3, z: 4}\n"
      "one: {<<: *b, x: 9}\n"
      "two: {<<: [*b, *m]}\n");
  ASSERT_TRUE(document) << errors;
  const Node& one = *document->root.find("one");
  EXPECT_EQ(one.find("x")->text, "9");
  EXPECT_EQ(one.find("y")->text, "2");
  const Node& two = *document->root.find("two");
  ASSERT_EQ(two.entries.size(), 3U);
  EXPECT_EQ(two.find("y")->text, "2");
  EXPECT_EQ(two.find("z")->text, "4");
}

TEST(ReadYaml, SaysWhereTheSyntaxIsWrong) {
  EXPECT_EQ(read_text("a: [1, 2\nb: 3\n").errors,
            "f.yaml:2:2: end of sequence flow not found\nb: 3\n ^");
  EXPECT_EQ(read_text("a: 1\n\tb: 2\n").document, std::nullopt);
  EXPECT_EQ(read_text("a: *nowhere\n").errors,
            "f.yaml:1:4: the referenced anchor is not defined\n"
            "a: *nowhere\n   ^");
}

TEST(ReadYaml, RefusesRepeatedKeys) {
  EXPECT_EQ(read_text("a: 1\nb: 2\na: 3\n").errors,
            "f.yaml:3:1: the key \"a\" is here for the second time\n"
            "a: 3\n^");
}

TEST(ReadYaml, RefusesKeysThatAreNoTextTagsAndSecondDocuments) {
  EXPECT_EQ(read_text("{[a, b]: 1}").errors,
            "f.yaml:1:2: a key must be a single value, not a list\n"
            "{[a, b]: 1}\n ^");
  EXPECT_EQ(read_text("a: !!binary abc").errors,
            "f.yaml:1:4: the tag \"tag:yaml.org,2002:binary\" is not "
            "supported\na: !!binary abc\n   ^");
  EXPECT_EQ(read_text("a: 1\n---\nb: 2\n").errors,
            "f.yaml:2:1: a second document in one file\n---\n^");
  EXPECT_EQ(read_text("a: !!str 5").document->root.find("a")->plain, false);
}

TEST(ReadYaml, RefusesWhatIsNoText) {
  EXPECT_EQ(read_text("a: \"x\\0y\"").errors,
            "f.yaml:1:4: a NUL character, which no command can be given\n"
            "a: \"x\\0y\"\n   ^");
  EXPECT_EQ(read_text("a: 1\nb: \xff\n").errors,
            "f.yaml:2:1: the file is not UTF-8 text\nb: \\xff\n^");
  EXPECT_EQ(read_text(std::string{"a: \0b\n", 6}).errors,
            "f.yaml:1:1: the file is not UTF-8 text\na: \\x00b\n^");
}

TEST(ReadYaml, RefusesALargeFileBeforeParsingIt) {
  EXPECT_EQ(read_text(std::string(10 << 20, '[')).errors,
            "f.yaml: the file has 10.0 MiB, more than the 1.00 MiB that are "
            "allowed");
}

TEST(ReadYaml, RefusesDeepNesting) {
  const auto nested = [](std::size_t depth) {
    return read_text(std::string(depth, '[') + std::string(depth, ']')).errors;
  };
  EXPECT_EQ(nested(64), "");
  const std::string errors = nested(65);
  EXPECT_EQ(errors.substr(0, errors.find('\n')),
            "f.yaml:1:65: nested more than 64 levels deep");
}

TEST(ReadYaml, AnswersAnAliasBombWithOneError) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int level = 1; level < 10; ++level) {
    bomb += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [";
    for (int i = 0; i < 10; ++i)
      bomb += (i == 0 ? "*a" : ", *a") + std::to_string(level - 1);
    bomb += "]\n";
  }
  const std::string errors = read_text(bomb).errors;
  EXPECT_EQ(errors.substr(0, errors.find('\n')),
            "f.yaml:5:40: more than 100000 values, counting what aliases "
            "stand for");
  EXPECT_EQ(errors.find("f.yaml", 1), std::string::npos);
}

TEST(ReadYaml, AnswersABombOfLongTextsWithOneError) {
  std::string bomb = "a: &a " + std::string(500'000, 'x') + "\nb: [";
  for (int i = 0; i < 100; ++i)
    bomb += "*a, ";
  const std::string errors = read_text(bomb + "]\n").errors;
  EXPECT_EQ(errors.substr(0, errors.find('\n')),
            "f.yaml:2:61: more than 8.00 MiB of text, counting what aliases "
            "stand for");
}

TEST(ReadYaml, RefusesAnAliasInsideItsOwnValue) {
  EXPECT_EQ(read_text("a: &a [*a]\n").errors,
            "f.yaml:1:8: an alias inside the value that it stands for\n"
            "a: &a [*a]\n       ^");
}

TEST(ReadYaml, AnswersAnyTextWithATreeOrAnError) {
  EXPECT_TRUE(rc::check("a tree or an error", [] {
    const auto text = *rc::gen::container<std::string>(
        rc::gen::elementOf(std::string{"ab:-[]{}&*!|>'\"%@`#?,<~\n\n  \t0\\"}));
    const auto [document, errors] = read_text(text);
    RC_ASSERT(document.has_value() == errors.empty());
  }));
}

}  // namespace
}  // namespace troupe::config
