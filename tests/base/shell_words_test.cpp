#include <troupe/base/shell_words.hpp>

#include <gtest/gtest.h>
#include <optional>
#include <rapidcheck.h>
#include <string>
#include <vector>

namespace troupe {
namespace {

using Words = std::vector<std::string>;

TEST(SimpleCommandWords, SplitsWhatNeedsNoShell) {
  EXPECT_EQ(simple_command_words("ls -l /tmp"), (Words{"ls", "-l", "/tmp"}));
  EXPECT_EQ(simple_command_words("  a\t b  \n"), (Words{"a", "b"}));
  EXPECT_EQ(simple_command_words("grep 'a b' x"), (Words{"grep", "a b", "x"}));
  EXPECT_EQ(simple_command_words("a \"b c\"d'e'"), (Words{"a", "b cde"}));
  EXPECT_EQ(simple_command_words("a '' \"\""), (Words{"a", "", ""}));
  EXPECT_EQ(simple_command_words("a '$x `y` \\ * ; #'"),
            (Words{"a", "$x `y` \\ * ; #"}));
  EXPECT_EQ(simple_command_words("a 'grün'"), (Words{"a", "grün"}));
  EXPECT_EQ(simple_command_words("env A=b ./x"), (Words{"env", "A=b", "./x"}));
  EXPECT_EQ(simple_command_words("./echo x"), (Words{"./echo", "x"}));
  EXPECT_EQ(simple_command_words("sleep 1"), (Words{"sleep", "1"}));
  EXPECT_EQ(simple_command_words("true"), Words{"true"});
}

TEST(SimpleCommandWords, LeavesEverythingElseToTheShell) {
  for (const char* text :
       {"",         " ",           "\n",          "a\nb",      "a\n\n",
        "a;b",      "a|b",         "a&",          "a&&b",      "(a)",
        "a>b",      "a<b",         "a 2>b",       "a $b",      "a \"$b\"",
        "a `b`",    "a \"`b`\"",   "a \\b",       "a \"\\b\"", "a *",
        "a ?",      "a [b",        "a #b",        "#a",        "~/a",
        "a ~",      "a {b,c}",     "! a",         "a !b",      "a 'b",
        "a \"b",    "a 'b\nc'",    "a \x01",      "a grün",    "A=b",
        "A=b c",    "'A=b' c",     "cd /",        "exit 3",    "exec a",
        "'cd' /",   ". a",         ": a",         "[ a ]",     "[[ a ]]",
        "export A", "set -e",      "ulimit -n 3", "umask 0",   "eval a",
        "trap a 0", "wait",        "test a",      "echo a",    "printf a",
        "kill 1",   "pwd",         "if a",        "while a",   "time a",
        "{ a",      "true --help", "false x",     "'' a",      "-x a",
        "%1",       "command a",   "source a",    "return",    "a ^b",
        "type a",   "hash",        "read a"})
    EXPECT_EQ(simple_command_words(text), std::nullopt) << text;
}

TEST(PlainWords, DoesNotMindWhatTheFirstWordIs) {
  EXPECT_EQ(plain_words("bash -euo pipefail"),
            (Words{"bash", "-euo", "pipefail"}));
  EXPECT_EQ(plain_words(""), Words{});
  EXPECT_EQ(plain_words("sh; ls"), std::nullopt);
}

/// A POSIX splitter of another kind: it removes quotes and expands nothing, and
/// gives up on every character that a shell could treat specially.
std::optional<Words> reference_split(const std::string& text) {
  enum class State { blank, word, single, dquote };
  State state = State::blank;
  Words words;
  for (const char c : text) {
    switch (state) {
      case State::blank:
      case State::word:
        if (c == ' ' || c == '\t') {
          state = State::blank;
          break;
        }
        if (std::string{"|&;<>()$`\\*?[]#~%!{}^\n"}.find(c) !=
            std::string::npos)
          return std::nullopt;
        if (state == State::blank)
          words.emplace_back();
        state = c == '\''  ? State::single
                : c == '"' ? State::dquote
                           : State::word;
        if (state == State::word)
          words.back() += c;
        break;
      case State::single:
        if (c == '\'')
          state = State::word;
        else
          words.back() += c;
        break;
      case State::dquote:
        if (c == '"') {
          state = State::word;
          break;
        }
        if (c == '$' || c == '`' || c == '\\')
          return std::nullopt;
        words.back() += c;
        break;
    }
  }
  if (state == State::single || state == State::dquote)
    return std::nullopt;
  return words;
}

TEST(SimpleCommandWords, AgreesWithAnIndependentSplitter) {
  EXPECT_TRUE(rc::check("words are those of the reference", [] {
    const auto tail = *rc::gen::container<std::string>(
        rc::gen::weightedElement<char>({{40, 'a'},
                                        {16, ' '},
                                        {4, '\''},
                                        {4, '"'},
                                        {2, '\t'},
                                        {1, '$'},
                                        {1, '\\'},
                                        {1, '`'},
                                        {1, '*'},
                                        {1, ';'},
                                        {1, '\n'},
                                        {1, '='},
                                        {1, '~'},
                                        {1, '#'},
                                        {1, '>'},
                                        {1, '{'}}));
    const std::string text = "prog " + tail;
    const auto words = simple_command_words(text);
    RC_CLASSIFY(words.has_value(), "direct");
    if (words) {
      const std::string line =
          text.ends_with('\n') ? text.substr(0, text.size() - 1) : text;
      RC_ASSERT(reference_split(line) == words);
    }
  }));
}

}  // namespace
}  // namespace troupe
