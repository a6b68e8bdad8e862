#include <troupe/config/fields.hpp>

#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace troupe::config {
namespace {

constexpr std::array<Keyword, 9> keywords{{
    {"name", Type::text, "Its name."},
    {"fail-fast", Type::boolean, "Stops at the first failure."},
    {"timeout", Type::duration, "Its time."},
    {"needs", Type::texts, "What comes first."},
    {"attempts", Type::count, "Tries."},
    {"jitter", Type::number, "Spread."},
    {"codes", Type::counts, "Exit codes."},
    {"steps", Type::custom, "Steps."},
    {"cache", Type::custom, "Later.", {}, false},
}};
constexpr Section section{"job", "a job", keywords};

struct Values {
  std::string name = "default";
  bool fail_fast = true;
  Duration timeout{0};
  std::vector<std::string> needs;
  std::uint32_t attempts = 1;
  double jitter = 0.5;
  std::vector<int> codes{0};
  bool has_steps = false;
};

struct Decoded {
  Values values;
  std::string errors;
};

Decoded decode(std::string text) {
  auto source = std::make_shared<Source>("f.yaml", std::move(text));
  Diagnostics diagnostics{source};
  const auto document = read_yaml(source, diagnostics);
  Decoded out;
  Fields fields{document->root, section, diagnostics};
  fields.read("name", out.values.name);
  fields.read("fail-fast", out.values.fail_fast);
  fields.read("timeout", out.values.timeout);
  fields.read("needs", out.values.needs);
  fields.read("attempts", out.values.attempts, 1, 100);
  fields.read("jitter", out.values.jitter, 0, 1);
  fields.read("codes", out.values.codes, 0, 255);
  out.values.has_steps = fields.take("steps") != nullptr;
  fields.finish();
  out.errors = diagnostics.text();
  return out;
}

TEST(Fields, ReadEveryType) {
  const auto [values, errors] = decode(
      "name: 1.10\nfail_fast: false\ntimeout: 5m\nneeds: [a, 'b']\n"
      "attempts: 3\njitter: .25\ncodes: [0, 130]\nsteps: []\n");
  EXPECT_EQ(errors, "");
  EXPECT_EQ(values.name, "1.10");
  EXPECT_FALSE(values.fail_fast);
  EXPECT_EQ(values.timeout, 5min);
  EXPECT_EQ(values.needs, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(values.attempts, 3U);
  EXPECT_EQ(values.jitter, 0.25);
  EXPECT_EQ(values.codes, (std::vector<int>{0, 130}));
  EXPECT_TRUE(values.has_steps);
}

TEST(Fields, TakeASingleValueForAList) {
  const auto [values, errors] = decode("needs: a\ncodes: 3\n");
  EXPECT_EQ(errors, "");
  EXPECT_EQ(values.needs, std::vector<std::string>{"a"});
  EXPECT_EQ(values.codes, std::vector<int>{3});
}

TEST(Fields, ReportUnknownKeysWithASuggestion) {
  EXPECT_EQ(decode("tiemout: 5m\nbanana: 1\n").errors,
            "f.yaml:1:1: unknown key \"tiemout\" in a job; did you mean "
            "\"timeout\"?\ntiemout: 5m\n^~~~~~~\n"
            "f.yaml:2:1: unknown key \"banana\" in a job\nbanana: 1\n^~~~~~");
}

TEST(Fields, RefuseWordsOfLaterVersionsByName) {
  EXPECT_EQ(decode("cache: {}\n").errors,
            "f.yaml:1:1: \"cache\" in a job is not supported yet by this "
            "version\ncache: {}\n^~~~~");
}

TEST(Fields, RefuseAKeyInBothSpellings) {
  EXPECT_EQ(decode("fail-fast: true\nfail_fast: true\n").errors,
            "f.yaml:2:1: \"fail-fast\" and \"fail_fast\" are the same key\n"
            "fail_fast: true\n^~~~~~~~~");
}

TEST(Fields, SayWhatWasExpectedAndLeaveTheDefault) {
  const auto [values, errors] = decode(
      "name: [a]\n"
      "fail-fast: yes\n"
      "timeout: 5\n"
      "needs: {a: b}\n"
      "attempts: 101\n"
      "jitter: '0.5'\n"
      "codes: [0, -1]\n");
  EXPECT_EQ(errors,
            "f.yaml:1:7: name: expected a text, got a list\n"
            "name: [a]\n      ^\n"
            "f.yaml:2:12: fail-fast: expected true or false, got \"yes\"\n"
            "fail-fast: yes\n           ^~~\n"
            "f.yaml:3:10: timeout: expected a duration such as 500ms, 30s, 5m, "
            "2h or 1d, got \"5\"\n"
            "timeout: 5\n         ^\n"
            "f.yaml:4:8: needs: expected a text or a list of texts, got a map\n"
            "needs: {a: b}\n       ^\n"
            "f.yaml:5:11: attempts: expected a whole number from 1 to 100, got "
            "\"101\"\n"
            "attempts: 101\n          ^~~\n"
            "f.yaml:6:9: jitter: expected a number from 0 to 1, got the text "
            "\"0.5\"\n"
            "jitter: '0.5'\n        ^~~~~\n"
            "f.yaml:7:12: codes: expected a whole number from 0 to 255, got "
            "\"-1\"\n"
            "codes: [0, -1]\n           ^~");
  EXPECT_EQ(values.name, "default");
  EXPECT_EQ(values.timeout, Duration{0});
  EXPECT_EQ(values.attempts, 1U);
}

TEST(Fields, WantAMap) {
  EXPECT_EQ(decode("- a\n").errors,
            "f.yaml:1:1: a job must be a map, not a list\n- a\n^");
  EXPECT_EQ(decode("timeout:\n").errors,
            "f.yaml:1:1: timeout: expected a duration such as 30s, got "
            "nothing\ntimeout:\n^~~~~~~");
}

}  // namespace
}  // namespace troupe::config
