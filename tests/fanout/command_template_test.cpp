#include <troupe/fanout/command_template.hpp>

#include <gtest/gtest.h>
#include <optional>
#include <rapidcheck.h>

namespace troupe::fanout {
namespace {

using Words = std::vector<std::string>;

CommandTemplate parse_command(const Words& words) {
  return CommandTemplate::parse(words).value();
}

std::string command_refusal(const Words& words) {
  const auto parsed = CommandTemplate::parse(words);
  return parsed ? "accepted" : parsed.error().what;
}

RenderedCommand render(const Words& words, const Words& values) {
  return parse_command(words).render({.seq = 7, .values = values}, 3).value();
}

Words argv(const Words& words, const Words& values) {
  return render(words, values).argv;
}

std::string text(const std::string& command, const Words& values) {
  return render({command}, values).shell_text;
}

/// Splits shell text into words by the POSIX quoting rules alone, with no
/// operators or expansions. None if a quote is left open or an unquoted
/// character would be more than text.
std::optional<Words> reference_split(const std::string& shell_text) {
  Words words;
  std::string word;
  bool in_word = false;
  for (std::size_t i = 0; i < shell_text.size(); ++i) {
    const char c = shell_text[i];
    if (c == ' ') {
      if (in_word)
        words.push_back(word);
      word.clear();
      in_word = false;
      continue;
    }
    in_word = true;
    if (c == '\'') {
      for (++i; i < shell_text.size() && shell_text[i] != '\''; ++i)
        word += shell_text[i];
      if (i == shell_text.size())
        return std::nullopt;
    } else if (c == '"') {
      for (++i; i < shell_text.size() && shell_text[i] != '"'; ++i) {
        const bool escapes =
            shell_text[i] == '\\' && i + 1 < shell_text.size() &&
            std::string{"$`\"\\"}.find(shell_text[i + 1]) != std::string::npos;
        if (escapes)
          ++i;
        else if (shell_text[i] == '$' || shell_text[i] == '`')
          return std::nullopt;
        word += shell_text[i];
      }
      if (i >= shell_text.size())
        return std::nullopt;
    } else if (c == '\\') {
      if (++i == shell_text.size())
        return std::nullopt;
      word += shell_text[i];
    } else if (std::string{"|&;<>()$`*?[#~\n"}.find(c) != std::string::npos) {
      return std::nullopt;
    } else {
      word += c;
    }
  }
  if (in_word)
    words.push_back(word);
  return words;
}

TEST(CommandTemplate, ExecutesACommandWithoutShellSyntaxDirectly) {
  EXPECT_EQ(argv({"gzip -9 {}"}, {"a b"}), (Words{"gzip", "-9", "a b"}));
  EXPECT_EQ(argv({"  gzip\t{}\n"}, {"x"}), (Words{"gzip", "x"}));
  EXPECT_EQ(argv({"cp {} out/{/.}.bak"}, {"in/x y.txt"}),
            (Words{"cp", "in/x y.txt", "out/x y.bak"}));
  EXPECT_EQ(argv({"dd if={} of={#}-{%}"}, {"$(id)"}),
            (Words{"dd", "if=$(id)", "of=7-3"}));
  EXPECT_EQ(argv({"{} --version"}, {"if"}), (Words{"if", "--version"}));
}

TEST(CommandTemplate, NeedsAShellForWhatOnlyAShellDoes) {
  for (const char* command :
       {"a|b {}",      "cd {}",    "a;b",   "a {}>f", "A=1 b {}", "a $x",
        "a `b` {}",    "a \"b\"",  "a 'b'", "a *.c",  "a\nb {}",  "if a",
        "! a",         "~/a",      "a [b]", ". a",    "exec a",   "a \\b",
        "a #b {}\n c", "a & b {}", "(a) {}"})
    EXPECT_TRUE(!CommandTemplate::parse(Words{command}) ||
                parse_command({command}).needs_shell())
        << command;
  for (const char* command : {"a {}", "cda {}", "a if", "a b=c", "date +%s {}",
                              "{} x", "a@b", "a {x} {}", "echo cd"})
    EXPECT_FALSE(parse_command({command}).needs_shell()) << command;
}

TEST(CommandTemplate, NeverShowsSeveralWordsToAShell) {
  EXPECT_EQ(argv({"echo", "a;b", "$(id)", "x {} y"}, {"it's"}),
            (Words{"echo", "a;b", "$(id)", "x it's y"}));
  EXPECT_EQ(argv({"cd", "", "{}"}, {"*"}), (Words{"cd", "", "*"}));
}

TEST(CommandTemplate, AppendsTheArgumentIfThereIsNoReplacementString) {
  EXPECT_EQ(argv({"gzip -9"}, {"a", "b"}), (Words{"gzip", "-9", "a", "b"}));
  EXPECT_EQ(argv({"gzip", "-9"}, {"a"}), (Words{"gzip", "-9", "a"}));
  EXPECT_EQ(text("cat | wc -l", {"a b"}), "cat | wc -l 'a b'");
  EXPECT_EQ(text("echo $(date)", {"a"}), "echo $(date) a");
}

TEST(CommandTemplate, RefusesToAppendWhereItWouldBecomeACommand) {
  EXPECT_EQ(command_refusal({"sleep 1 &"}),
            "the command has no {} and ends in \"&\", so there is no place to "
            "append it: write {} where the argument belongs");
  for (const char* command : {"a; ", "a |", "a >", "(a)", "a # b", "a && \\\n"})
    EXPECT_NE(command_refusal({command}), "accepted") << command;
}

TEST(CommandTemplate, CutsPathsAsGnuParallelDoes) {
  struct Row {
    const char* value;
    Words expected;
  };
  for (const Row& row : std::vector<Row>{
           {"/a/b.c/d.tar.gz", {"/a/b.c/d.tar", "d.tar.gz", "/a/b.c", "d.tar"}},
           {"a/b", {"a/b", "b", "a", "b"}},
           {"noext", {"noext", "noext", ".", "noext"}},
           {".bashrc", {"", ".bashrc", ".", ""}},
           {"dir/.x", {"dir/", ".x", "dir", ""}},
           {"a/b/", {"a/b/", "", "a", ""}},
           {"/", {"/", "", "/", ""}},
           {"x.y/z", {"x.y/z", "z", "x.y", "z"}},
           {"", {"", "", ".", ""}},
           {"foo.", {"foo", "foo.", ".", "foo"}}}) {
    Words expected{"x"};
    expected.insert(expected.end(), row.expected.begin(), row.expected.end());
    EXPECT_EQ(argv({"x {.} {/} {//} {/.}"}, {row.value}), expected)
        << row.value;
    EXPECT_EQ(argv({"x {1.} {1/} {-1//} {1/.}"}, {row.value}), expected)
        << row.value;
  }
}

TEST(CommandTemplate, TakesSingleValuesByPosition) {
  EXPECT_EQ(argv({"x {2} {1} {-1} {-3}"}, {"a", "b", "c"}),
            (Words{"x", "b", "a", "c", "a"}));
  EXPECT_EQ(argv({"x {3} p{3}q y"}, {"a", "b"}), (Words{"x", "pq", "y"}));
  EXPECT_EQ(text("x {3} p{3}q \"{3}\" '{3}'; y", {"a"}), "x  p''q \"\" ''; y");
  EXPECT_EQ(command_refusal({"x {0}"}), "{0}: arguments are counted from 1");
  EXPECT_EQ(argv({"x {12345} {x} {1x} {}"}, {"a"}),
            (Words{"x", "{12345}", "{x}", "{1x}", "a"}));
}

TEST(CommandTemplate, NoticesPositionsThatNoJobHas) {
  EXPECT_EQ(parse_command({"x {3}"}).check_positions(2).error().what,
            "{3} asks for argument 3, but each command gets only 2");
  EXPECT_TRUE(parse_command({"x {3} {-3}"}).check_positions(3).has_value());
}

TEST(CommandTemplate, RepeatsUnquotedWordsAndJoinsInsideQuotes) {
  EXPECT_EQ(argv({"x -I{} {.}.o"}, {"a", "b.c"}),
            (Words{"x", "-Ia", "-Ib.c", "a.o", "b.o"}));
  EXPECT_EQ(text("x -I{}; y {}", {"a", "b c"}), "x -I'a' -I'b c'; y a 'b c'");
  EXPECT_EQ(text("echo \"x {} y\" 'p {} q'", {"a", "b'$"}),
            "echo \"x a b'\\$ y\" 'p a b'\\''$ q'");
}

TEST(CommandTemplate, QuotesForEveryContext) {
  EXPECT_EQ(text("echo {} | wc", {"$(rm -rf x)"}), "echo '$(rm -rf x)' | wc");
  EXPECT_EQ(text("echo \"x {} y\"", {"a\"`$\\b"}),
            "echo \"x a\\\"\\`\\$\\\\b y\"");
  EXPECT_EQ(text("echo 'x {} y'", {"it's"}), "echo 'x it'\\''s y'");
  EXPECT_EQ(text("echo \"$(basename {})\"", {"a"}), "echo \"$(basename a)\"");
  EXPECT_EQ(text("echo \"$(basename \"{}\")\"", {"$a"}),
            "echo \"$(basename \"\\$a\")\"");
  EXPECT_EQ(text("echo \\{} ${1} $# {};", {"a"}), "echo \\{} ${1} $# a;");
}

TEST(CommandTemplate, KeepsAValueFromMeaningMoreThanText) {
  EXPECT_EQ(text("echo {}>out", {"2"}), "echo '2'>out");
  EXPECT_EQ(text("echo ~{}", {"root"}), "echo ~'root'");
  EXPECT_EQ(text("{} a;", {"PATH=x"}), "'PATH=x' a;");
  EXPECT_EQ(text("{} a;", {"while"}), "'while' a;");
  EXPECT_EQ(text("echo $x{} \"$x{}\" \"$1{}\"", {"yz"}),
            "echo $x'yz' \"$x\"\"yz\" \"$1\"\"yz\"");
  EXPECT_EQ(text("echo $$ {{}}", {"a,b"}), "echo $$ {'a,b'}");
}

TEST(CommandTemplate, TakesBracketsThatEvaluateNothing) {
  EXPECT_EQ(text("[ {} -gt 10 ]", {"a b"}), "[ 'a b' -gt 10 ]");
  EXPECT_EQ(text("[[ -t 1 ]] && echo {}", {"a b"}), "[[ -t 1 ]] && echo 'a b'");
  EXPECT_EQ(text("ls [ab]{} \\[{}]", {"x"}), "ls [ab]'x' \\['x']");
}

TEST(CommandTemplate, RefusesWhatItCannotQuoteSafely) {
  EXPECT_EQ(command_refusal({"echo `basename {}`"}),
            "an argument inside backticks cannot be quoted safely: write $( ) "
            "instead");
  EXPECT_EQ(command_refusal({"cat <<X {}"}),
            "here-documents (<<) cannot be in a command: put it into a script");
  EXPECT_EQ(command_refusal({"echo $(({}+1))"}),
            "{} inside (( )): a shell would evaluate the argument as an "
            "expression; have it checked to be a number, in a script");
  const std::string test =
      "{} inside [[ ]]: some of its operators evaluate the argument as an "
      "expression; write [ ] instead";
  EXPECT_EQ(command_refusal({"if [[ {} -gt 10 ]]; then echo big; fi"}), test);
  EXPECT_EQ(command_refusal({"[[ 10 -lt \"{}\" ]]"}), test);
  const std::string subscript =
      "{} after an open [: a shell would evaluate the argument as a subscript; "
      "write \\[ if that is plain text";
  EXPECT_EQ(command_refusal({"a[{}]+=1"}), subscript);
  EXPECT_EQ(command_refusal({"x=([{}]=1)"}), subscript);
  EXPECT_EQ(command_refusal({"a['{}']=1"}), subscript);
  EXPECT_EQ(command_refusal({"echo ${x:-{}}"}),
            "${x:-{} is too complicated to be in a command: put it into a "
            "script");
  EXPECT_EQ(command_refusal({"echo ${}"}),
            "${} is not a shell variable; to have a dollar sign before an "
            "argument, write '$'{}");
  EXPECT_EQ(command_refusal({"echo $'a' {}"}),
            "$' means different things in different shells and cannot be in a "
            "command");
  EXPECT_EQ(command_refusal({"ls # {}"}),
            "an argument inside a comment could end it: remove the comment, or "
            "quote the #");
  EXPECT_EQ(
      command_refusal({"x $(case {} in a) b;; esac)"}),
      "\"case\" inside $( ) cannot be in a command: put it into a script");
  EXPECT_EQ(command_refusal({"x=1\\\n {};"}),
            "write a space before the backslash at the end of a line");
  EXPECT_EQ(command_refusal({"x 'a {}"}), "the command lacks a closing '");
  EXPECT_EQ(command_refusal({"x \"$(a {}"}), "the command lacks a closing )");
  EXPECT_EQ(command_refusal({"x \"a {}"}), "the command lacks a closing \"");
  EXPECT_EQ(command_refusal({"x `a"}), "the command lacks a closing `");
  EXPECT_EQ(command_refusal({"x {} ; \\"}), "the command ends in a backslash");
  EXPECT_EQ(command_refusal({" \t"}),
            "no command given: write one, such as 'gzip {}'");
  EXPECT_EQ(command_refusal({}),
            "no command given: write one, such as 'gzip {}'");
  EXPECT_EQ(command_refusal({std::string{"a\0b", 3}}),
            "the command holds a NUL byte");
}

TEST(CommandTemplate, AcceptsTheShellThatPeopleWrite) {
  for (const char* command :
       {"for i in 1 2; do echo $i {}; done", "case {} in a) b;; *) c;; esac",
        "awk '{print $1}' {} | sort -u > {.}.out",
        "test -f {} && rm {} || true", "f() { echo \"$1\"; }; f {}",
        "x=${y%.*}; echo ${#x} {}", "echo $((1+2)) {}",
        "ffmpeg -i {} \\\n  -q:v 2 {.}.mp3; true",
        "grep -c 'it''s' \"{}\" 2>&1", "echo a\\ b#c {}; # done"})
    EXPECT_EQ(command_refusal({command}), "accepted") << command;
}

TEST(CommandTemplate, RefusesArgumentsThatTheSystemWouldRefuse) {
  const std::string longest(longest_word_bytes, 'x');
  EXPECT_TRUE(parse_command({"echo {}"}).render({1, {longest}}, 1).has_value());
  EXPECT_EQ(
      parse_command({"echo {}"}).render({1, {longest + "x"}}, 1).error().what,
      "job 1: an argument has 131072 bytes, but the system takes at most "
      "131071 in one argument");
  EXPECT_EQ(parse_command({"echo {};"}).render({2, {longest}}, 1).error().what,
            "job 2: the shell text has 131077 bytes, but the system takes at "
            "most 131071 in one argument");
  EXPECT_EQ(parse_command({"{2}"}).render({3, {"a"}}, 1).error().what,
            "job 3: nothing is left to execute");
}

TEST(CommandTemplate, ShowsADirectCommandAsShellText) {
  EXPECT_EQ(render({"gzip {}"}, {"a b"}).as_text(), "gzip 'a b'");
  EXPECT_EQ(render({"gzip {};"}, {"a b"}).as_text(), "gzip 'a b';");
}

rc::Gen<std::string> any_value() {
  return rc::gen::container<std::string>(rc::gen::weightedOneOf<char>(
      {{4, rc::gen::element('\'', '"', '$', '`', '\\', ' ', '\n', '-', '(', ')',
                            '{', '}', ';', '=', '~', '#', '*')},
       {1, rc::gen::inRange<char>('a', 'f')},
       {1, rc::gen::cast<char>(rc::gen::inRange(1, 256))}}));
}

TEST(CommandTemplate, KeepsEveryValueAsDataInEveryContext) {
  EXPECT_TRUE(rc::check("any bytes in any context arrive unchanged", [] {
    const auto value = *any_value();
    const auto other = *any_value();
    // The leading `true;` makes it shell text; what follows only has quotes.
    const auto command =
        render({"true; {1} p{1}q \"{1}\" '{1}' \"a {1} '{2}' b\" 'a \"{1}\" b' "
                "x\"y{1}\"'{2}'{1}z\\ {2}"},
               {value, other});
    ASSERT_TRUE(command.argv.empty());
    const std::string prefix = "true; ";
    ASSERT_EQ(command.shell_text.substr(0, prefix.size()), prefix);
    const auto words =
        reference_split(command.shell_text.substr(prefix.size()));
    RC_ASSERT(words.has_value());
    const Words expected{value,
                         "p" + value + "q",
                         value,
                         value,
                         "a " + value + " '" + other + "' b",
                         "a \"" + value + "\" b",
                         "xy" + value + other + value + "z " + other};
    RC_ASSERT(*words == expected);
  }));
}

TEST(CommandTemplate, NeverMakesMoreOrFewerWordsThanTheTemplateSays) {
  EXPECT_TRUE(rc::check("each value is exactly one word", [] {
    const auto values =
        *rc::gen::nonEmpty(rc::gen::container<Words>(any_value()));
    Words expected{"x"};
    expected.insert(expected.end(), values.begin(), values.end());
    for (const auto& value : values)
      expected.push_back("-I" + value);
    RC_ASSERT(argv({"x {} -I{}"}, values) == expected);
    const auto shell = text("x {} -I{};", values);
    RC_ASSERT(reference_split(shell.substr(0, shell.size() - 1)) == expected);
  }));
}

TEST(CommandTemplate, NeverCrashesOnAnyTemplate) {
  EXPECT_TRUE(rc::check("any template is parsed or refused", [] {
    const auto command = *rc::gen::container<std::string>(rc::gen::element(
        '{', '}', '1', '#', '/', '.', '-', '$', '(', ')', '"', '\'', '`', '\\',
        '\n', ' ', 'a', '<', '>', ';', '&', '|'));
    const auto parsed = CommandTemplate::parse(Words{command});
    if (parsed)
      (void)parsed->render({.seq = 1, .values = {"v"}}, 1);
    else
      RC_ASSERT(!parsed.error().what.empty());
  }));
}

}  // namespace
}  // namespace troupe::fanout
