#include <troupe/workflow/outputs.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <string>

namespace troupe::workflow {
namespace {

std::string outputs_error(std::string_view text) {
  const auto outputs = parse_outputs(text);
  return outputs ? "none" : outputs.error().what;
}

TEST(ParseOutputs, ReadsLinesAndBlocks) {
  EXPECT_EQ(parse_outputs(""), Outputs{});
  EXPECT_EQ(
      parse_outputs("a=1\n\nb= two = 2 \nc=\nd=last"),
      (Outputs{{"a", "1"}, {"b", " two = 2 "}, {"c", ""}, {"d", "last"}}));
  EXPECT_EQ(parse_outputs("a<<END\none\n\nb=2\nEND\nb=3\nc<<E\nE\n"),
            (Outputs{{"a", "one\n\nb=2"}, {"b", "3"}, {"c", ""}}));
  EXPECT_EQ(parse_outputs("a=x<<y\n"), (Outputs{{"a", "x<<y"}}));
}

TEST(ParseOutputs, LetsTheLastValueWin) {
  EXPECT_EQ(parse_outputs("a=1\nb=2\na=3\n"),
            (Outputs{{"a", "3"}, {"b", "2"}}));
}

TEST(ParseOutputs, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(outputs_error("a=1\nrubbish\n"),
            "line 2: expected name=value or name<<END, got \"rubbish\"");
  EXPECT_EQ(outputs_error("=1\n"),
            "line 1: expected name=value or name<<END, got \"=1\"");
  EXPECT_EQ(outputs_error("a b=1\n"),
            "line 1: expected name=value or name<<END, got \"a b=1\"");
  EXPECT_EQ(outputs_error("a<<\nx\n"),
            "line 1: expected name=value or name<<END, got \"a<<\"");
  EXPECT_EQ(outputs_error("\na<<END\nx\nEND \n"),
            "line 2: no line \"END\" ends the value of \"a\"");
  EXPECT_EQ(outputs_error(std::string("a=\0", 3)), "outputs with a NUL byte");
}

TEST(ParseOutputs, HasLimits) {
  EXPECT_EQ(outputs_error("a=" + std::string(1 << 20, 'x')),
            "outputs of 1.00 MiB, more than the 1.00 MiB that are allowed");
  std::string many;
  for (int i = 0; i <= 1000; ++i)
    many += "n" + std::to_string(i) + "=x\n";
  EXPECT_EQ(outputs_error(many), "more than 1000 outputs");
}

TEST(ParseOutputs, ReadsBackWhatBlocksCanHold) {
  EXPECT_TRUE(rc::check("any value without its end line comes back", [] {
    const auto value = *rc::gen::container<std::string>(
        rc::gen::elementOf(std::string{"ab=<\n \r\xff"}));
    RC_PRE(value.empty() || value.back() != '\n');
    const std::string written =
        "n<<..\n" + (value.empty() ? "" : value + "\n") + "..\n";
    RC_ASSERT(parse_outputs(written) == (Outputs{{"n", value}}));
  }));
}

}  // namespace
}  // namespace troupe::workflow
