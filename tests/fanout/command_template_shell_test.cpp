// Runs rendered commands through the real /bin/sh and looks at the arguments
// that a program gets.
#include <troupe/fanout/command_template.hpp>

#include <array>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace troupe::fanout {
namespace {

using Words = std::vector<std::string>;

/// Standard output of `/bin/sh -c text`, which must end within 20 seconds.
std::string run_in_shell(const std::string& text) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0)
    return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl("/bin/sh", "sh", "-c", text.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::string output;
  std::array<char, 4096> buffer{};
  for (ssize_t n; (n = read(ends[0], buffer.data(), buffer.size())) > 0;)
    output.append(buffer.data(), static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    output += "[shell failed]";
  return output;
}

std::string nul_terminated(const Words& words) {
  std::string out;
  for (const auto& word : words)
    out += word + '\0';
  return out;
}

rc::Gen<std::string> any_value() {
  return rc::gen::container<std::string>(rc::gen::weightedOneOf<char>(
      {{3, rc::gen::element('\'', '"', '$', '`', '\\', ' ', '\n', '-', '(', ')',
                            '{', '}', ';', '=', '~', '#', '*', '!')},
       {1, rc::gen::inRange<char>('a', 'f')},
       {1, rc::gen::cast<char>(rc::gen::inRange(1, 256))}}));
}

void expect_through_shell(const std::string& command, const Words& values,
                          const Words& expected) {
  const auto parsed = CommandTemplate::parse(Words{command}).value();
  const auto rendered = parsed.render({.seq = 1, .values = values}, 1).value();
  RC_ASSERT(parsed.needs_shell());
  RC_ASSERT(run_in_shell(rendered.shell_text) == nul_terminated(expected));
}

TEST(CommandTemplateInSh, DeliversAnyBytesThroughEveryContext) {
  EXPECT_TRUE(rc::check("what sh hands on is what was put in", [] {
    const auto value = *any_value();
    const auto other = *any_value();
    expect_through_shell(
        "v=V; printf '%s\\0' {1} p{1}q \"{1}\" '{1}' \"a {1} '{2}' b\" "
        "'a \"{1}\" b' x\"y{1}\"'{2}'{1}z\\ {2} $v{1} \"$v{1}\" ~{1} "
        "\"$(printf '%s.' \"<{1}>\" {2})\" # end",
        {value, other},
        {value, "p" + value + "q", value, value,
         "a " + value + " '" + other + "' b", "a \"" + value + "\" b",
         "xy" + value + other + value + "z " + other, "V" + value, "V" + value,
         "~" + value, "<" + value + ">." + other + "."});
  }));
}

TEST(CommandTemplateInSh, DeliversEachOfManyValuesAsAWord) {
  EXPECT_TRUE(rc::check("one word each", [] {
    const auto values = *rc::gen::nonEmpty(
        rc::gen::container<Words>(rc::gen::nonEmpty(any_value())));
    Words expected = values;
    std::string joined;
    for (const auto& value : values) {
      expected.push_back("-I" + value);
      joined += (joined.empty() ? "" : " ") + value;
    }
    expected.push_back(joined);
    expected.push_back(joined);
    expect_through_shell("printf '%s\\0' {} -I{} \"{}\" '{}';", values,
                         expected);
  }));
}

TEST(CommandTemplateInSh, RunsNothingThatIsInAValue) {
  const Words values{"$(echo hacked)",    "`echo hacked`",
                     "'; echo hacked; '", "\"; echo hacked; \"",
                     "\necho hacked\n",   ") echo hacked",
                     "\\'; echo hacked #"};
  for (const auto& value : values) {
    for (const char* command :
         {"printf '%s\\0' {};", "printf '%s\\0' \"{}\";",
          "printf '%s\\0' '{}';", "printf '%s\\0' a{}b;", "(printf '%s\\0' {})",
          "printf '%s\\0' \"$(printf '%s.' {})\""}) {
      const auto text = CommandTemplate::parse(Words{command})
                            .value()
                            .render({.seq = 1, .values = {value}}, 1)
                            .value()
                            .shell_text;
      const auto output = run_in_shell(text);
      EXPECT_NE(output.find(value), std::string::npos) << text;
      EXPECT_EQ(output.find("[shell failed]"), std::string::npos) << text;
    }
  }
}

/// Shell text around `{}`: constructs inside constructs, the odd one broken.
std::string any_template() {
  std::string command = *rc::gen::element<std::string>("{}", "{1}", "a{}b");
  const auto layers = *rc::gen::inRange(1, 5);
  for (int i = 0; i < layers; ++i) {
    const auto [before, after] =
        *rc::gen::element<std::pair<const char*, const char*>>(
            std::pair{"\"", "\""}, std::pair{"'", "'"},
            std::pair{"$(echo ", ")"}, std::pair{"\"$(echo ", ")\""},
            std::pair{"`echo ", "`"}, std::pair{"(echo ", ")"},
            std::pair{"$((", "))"}, std::pair{"((", "))"},
            std::pair{"${a:-", "}"}, std::pair{"\"${a:-", "}\""},
            std::pair{"# ", "\n"}, std::pair{"cat <<E\n", "\nE\n"},
            std::pair{"$(case a in a) echo ", ";; esac)"},
            std::pair{"case a in a) echo ", ";; esac"}, std::pair{"\\", ""},
            std::pair{"$", ""}, std::pair{"$'", "'"}, std::pair{"x \\\n", ""},
            std::pair{"\"\\\"", "\""}, std::pair{"a'b'", "\"c\""},
            std::pair{"{ echo ", "; }"}, std::pair{"echo ", " | cat"},
            std::pair{"a=", "; echo $a"}, std::pair{"$\\\n(", ")"},
            std::pair{"<\\\n<E ", ""}, std::pair{"$[", "]"},
            std::pair{"'\n", "\n#'"});
    command = before + command + after;
  }
  return ": " + command;
}

TEST(CommandTemplateInSh, NeverLetsAValueEscapeFromAnyTemplate) {
  EXPECT_TRUE(rc::check("no template lets the payload run", [] {
    const auto parsed = CommandTemplate::parse(Words{any_template()});
    if (!parsed)
      return;
    // Whoever executes a part of the payload writes ABC to stream 9, which is
    // all that is looked at. It has neither ABC nor anything to quote in it.
    const std::string run = "printf A%sC B >&9";
    for (const std::string& payload :
         {"$(" + run + ")", "`" + run + "`", "'\n" + run + "\n'",
          "\"\n" + run + "\n\"", "\n" + run + "\n", ")\n" + run + "\n",
          "\\'\n" + run + " #", "a[$(" + run + ")]", "}\n" + run + "\n",
          "E\n" + run + "\n"}) {
      const auto rendered = parsed->render({.seq = 1, .values = {payload}}, 1);
      RC_ASSERT(rendered.has_value());
      const auto output =
          run_in_shell("exec 9>&1 >/dev/null 2>&1 </dev/null; cd /proc\n" +
                       rendered->as_text() + "\n:\n");
      RC_ASSERT(output.find("ABC") == std::string::npos);
    }
  }));
}

}  // namespace
}  // namespace troupe::fanout
