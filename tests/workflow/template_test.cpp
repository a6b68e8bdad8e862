#include <troupe/workflow/template.hpp>

#include <gtest/gtest.h>
#include <optional>
#include <rapidcheck.h>
#include <string>
#include <vector>

namespace troupe::workflow {
namespace {

struct Outcome {
  std::string text;
  std::string problem;
};

/// Resolves `text` with `value` as ${{ v.x }}.
Outcome put_in(std::string text, const Value& value, Usage usage) {
  std::vector<Problem> problems;
  const Template parsed = parse_template(std::move(text), {}, usage, problems);
  if (!problems.empty())
    return {{}, problems.front().message};
  const Value context{Value::Object{{"x", value}}};
  const auto resolved = resolve(parsed, {{{"v", &context}}});
  return resolved ? Outcome{*resolved, {}} : Outcome{{}, resolved.error().what};
}

std::string in_shell(std::string text, const Value& value) {
  const Outcome outcome = put_in(std::move(text), value, Usage::shell);
  return outcome.problem.empty() ? outcome.text : "! " + outcome.problem;
}

TEST(Template, PutsValuesIntoTextsAsTheyAre) {
  EXPECT_EQ(put_in("a ${{ v.x }} b ${{v.x}}", "1 '2'", Usage::text).text,
            "a 1 '2' b 1 '2'");
  EXPECT_EQ(put_in("no values", {}, Usage::text).text, "no values");
  EXPECT_EQ(put_in("${{ '}} ${{' }}", {}, Usage::text).text, "}} ${{");
  EXPECT_EQ(put_in("a ${{ v.x", {}, Usage::text).problem,
            "a \"${{\" without its \"}}\"");
}

TEST(Template, RefusesValuesThatNoCommandCanGet) {
  EXPECT_EQ(put_in("${{ v.x }}", std::string("a\0b", 3), Usage::text).problem,
            "a value with a NUL byte");
  EXPECT_EQ(
      put_in("${{ v.x }}${{ v.x }}", std::string(600'000, 'x'), Usage::text)
          .problem,
      "a text of more than 1.00 MiB");
}

TEST(ShellText, GetsValuesQuotedByWhereTheyStand) {
  const std::string evil = "$(rm -rf /); 'x' \"y\" `z` \\ #";
  EXPECT_EQ(in_shell("ls ${{ v.x }}", "a/b-c_1.txt"), "ls a/b-c_1.txt");
  EXPECT_EQ(in_shell("ls ${{ v.x }}", ""), "ls ''");
  EXPECT_EQ(in_shell("ls ${{ v.x }}", evil),
            "ls '$(rm -rf /); '\\''x'\\'' \"y\" `z` \\ #'");
  EXPECT_EQ(in_shell("echo \"<${{ v.x }}>\"", evil),
            "echo \"<\\$(rm -rf /); 'x' \\\"y\\\" \\`z\\` \\\\ #>\"");
  EXPECT_EQ(in_shell("echo '<${{ v.x }}>'", evil),
            "echo '<$(rm -rf /); '\\''x'\\'' \"y\" `z` \\ #>'");
  EXPECT_EQ(in_shell("a # ${{ v.x }}\nb", "x\nrm -rf /"),
            "a # x\\nrm -rf /\nb");
  EXPECT_EQ(in_shell("x=\"$(f ${{ v.x }})\"", "a b"), "x=\"$(f 'a b')\"");
  EXPECT_EQ(in_shell("if ${{ v.x }}", "then"), "if 'then'");
  EXPECT_EQ(in_shell("${{ v.x }} ls", "LD_PRELOAD=/x"), "'LD_PRELOAD=/x' ls");
  EXPECT_EQ(in_shell("cat <<EOF\nx\nEOF\nls ${{ v.x }}", "a b"),
            "cat <<EOF\nx\nEOF\nls 'a b'");
  EXPECT_EQ(in_shell("cat <${{ v.x }}", "a b"), "cat <'a b'");
  EXPECT_EQ(in_shell("case ${{ v.x }} in a) f \"${{ v.x }}\";; esac", "a b"),
            "case 'a b' in a) f \"a b\";; esac");
}

TEST(ShellText, GetsListsAsWordsAndRawValuesAsTheyAre) {
  const Value list{Value::List{Value{"a b"}, Value{1.0}}};
  EXPECT_EQ(in_shell("ls ${{ v.x }}", list), "ls 'a b' 1");
  EXPECT_EQ(in_shell("ls \"${{ v.x }}\"", list), "ls \"[\\\"a b\\\",1]\"");
  EXPECT_EQ(in_shell("ls ${{ raw(v.x) }}", "-l | wc"), "ls -l | wc");
  EXPECT_EQ(in_shell("ls `${{ raw(v.x) }}`", "a"), "ls `a`");
}

TEST(ShellText, RefusesPlacesWhereNoQuotingIsSafe) {
  const auto refusal = [](std::string text) {
    return in_shell(std::move(text), "x");
  };
  const std::string start = "! a value cannot be quoted safely ";
  EXPECT_EQ(refusal("cat <<EOF\n${{ v.x }}\nEOF"),
            start + "in a here-document");
  EXPECT_EQ(refusal("cat <<-'EOF'\n\t${{ v.x }}\n\tEOF"),
            start + "in a here-document");
  EXPECT_EQ(refusal("cat <<EOF ${{ v.x }}\nEOF"),
            start + "on the line of a here-document");
  EXPECT_EQ(refusal("echo `ls ${{ v.x }}`"), start + "between backquotes");
  EXPECT_EQ(refusal("echo ${y:-${{ v.x }}}"),
            start + "in a ${...} of the shell");
  EXPECT_EQ(refusal("echo $((1 + ${{ v.x }}))"), start + "in shell arithmetic");
  EXPECT_EQ(refusal("((y = ${{ v.x }}))"), start + "in shell arithmetic");
  EXPECT_EQ(refusal("if [[ ${{ v.x }} -gt 1 ]]; then ls; fi"),
            start + "in [[ ]], which may evaluate it; [ ] does not");
  EXPECT_EQ(refusal("[[ 1 -gt \"${{ v.x }}\" ]]"),
            start + "in [[ ]], which may evaluate it; [ ] does not");
  EXPECT_EQ(refusal("a[${{ v.x }}]=1"),
            start + "after a [ that may begin a subscript");
  EXPECT_EQ(refusal("x=([${{ v.x }}]=1)"),
            start + "after a [ that may begin a subscript");
  EXPECT_EQ(refusal("echo $'${{ v.x }}'"), start + "in a $'...' text");
  EXPECT_EQ(refusal("echo \\${{ v.x }}"),
            start + "right after a backslash or a dollar sign");
  EXPECT_EQ(refusal("echo \"$${{ v.x }}\""),
            start + "right after a backslash or a dollar sign");
  const std::string lost =
      start + "after shell text of which the quoting is not certain";
  EXPECT_EQ(refusal("x=$(case a in b) ;; esac) ${{ v.x }}"), lost);
  EXPECT_EQ(refusal("echo $[${{ v.x }}]"), lost);
  EXPECT_EQ(refusal("echo $'\\'' ${{ v.x }}"), lost);
  EXPECT_EQ(refusal("echo \"${a:-'}\" ${{ v.x }}"), lost);
}

/// What a POSIX shell makes of quotes in `text`: its words, or nothing if
/// something would be expanded or run. An oracle of its own, for text without
/// here-documents, comments and substitutions.
std::optional<std::vector<std::string>> shell_words(const std::string& text) {
  std::vector<std::string> words;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ') {
      in_word = false;
      continue;
    }
    if (!in_word)
      words.emplace_back();
    in_word = true;
    if (c == '\'') {
      for (++i; i < text.size() && text[i] != '\''; ++i)
        words.back() += text[i];
      if (i == text.size())
        return std::nullopt;
    } else if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size() &&
            std::string{"$`\"\\"}.find(text[i + 1]) != std::string::npos)
          ++i;
        else if (text[i] == '$' || text[i] == '`')
          return std::nullopt;
        words.back() += text[i];
      }
      if (i == text.size())
        return std::nullopt;
    } else if (c == '\\' && i + 1 < text.size()) {
      words.back() += text[++i];
    } else if (std::string{"|&;<>()$`*?[]{}!~#\n\t"}.find(c) !=
               std::string::npos) {
      return std::nullopt;
    } else {
      words.back() += c;
    }
  }
  return words;
}

TEST(ShellText, NeverLetsAValueBeMoreThanData) {
  EXPECT_TRUE(rc::check("each value is exactly one part of a word", [] {
    const auto value = *rc::gen::container<std::string>(
        rc::gen::elementOf(std::string{"a$`'\"\\ ;|&(){}#*?!~<>=\n\t-\xc3"}));
    struct Frame {
      std::string before, after;
    };
    const Frame frame =
        *rc::gen::elementOf(std::vector<Frame>{{"", ""},
                                               {"\"", "\""},
                                               {"'", "'"},
                                               {"\"b 'c ", "'\""},
                                               {"'\"", "\"'"},
                                               {"b\"c\"", "'d'"},
                                               {"\\\"", "\\\""},
                                               {"\"\\\\", "\""}});
    const std::string text =
        "prog " + frame.before + "${{ v.x }}" + frame.after + " end";
    const std::string resolved = in_shell(text, value);
    // The same text with a harmless value shows what belongs to the frame.
    const auto with_mark = shell_words(in_shell(text, "MARK"));
    const auto words = shell_words(resolved);
    RC_ASSERT(with_mark && words);
    auto expected = *with_mark;
    for (std::string& word : expected) {
      if (const auto at = word.find("MARK"); at != std::string::npos)
        word.replace(at, 4, value);
    }
    RC_ASSERT(*words == expected);
  }));
}

TEST(Condition, IsOneExpressionWithOrWithoutBraces) {
  const auto problem = [](std::string text) {
    std::vector<Problem> problems;
    const auto condition = parse_condition(std::move(text), {}, problems);
    return condition ? std::to_string(condition->offset)
                     : problems.front().message;
  };
  EXPECT_EQ(problem("failure()"), "0");
  EXPECT_EQ(problem(" ${{ failure() }} "), "4");
  EXPECT_EQ(problem("${{ failure() }} && true"),
            "a condition is one expression; put all of it between \"${{\" and "
            "\"}}\"");
}

}  // namespace
}  // namespace troupe::workflow
