#include "load_text.hpp"

#include <troupe/workflow/inputs.hpp>
#include <troupe/workflow/load.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::workflow {
namespace {

using Given = std::vector<std::pair<std::string, std::string>>;

const Surroundings surroundings{
    std::chrono::year_month_day{std::chrono::year{2024}, std::chrono::March,
                                std::chrono::day{1}},
    "/data"};

/// A workflow with the input `x`, and a job.
std::string with_input(const std::string& input) {
  return "on: {dispatch: {inputs: {x: " + input +
         "}}}\njobs: {a: {run: \"echo ${{ inputs.x }}\"}}";
}

/// The values as JSON, or what is wrong.
std::string values(const std::string& text, const Given& given) {
  const auto workflow = load(text);
  if (workflow == nullptr)
    return "not loaded";
  auto found = resolve_inputs(*workflow, given, surroundings);
  return found ? Value{std::move(*found)}.json() : found.error().what;
}

std::string input_value(const std::string& input, const std::string& given) {
  return values(with_input(input), {{"x", given}});
}

std::string fallback(const std::string& input) {
  return values(with_input(input), {});
}

TEST(Inputs, HaveTheTypeThatTheyAreDeclaredWith) {
  EXPECT_EQ(input_value("{}", "12"), R"({"x":"12"})");
  EXPECT_EQ(input_value("{type: string}", "a b"), R"({"x":"a b"})");
  EXPECT_EQ(input_value("{type: number}", "-1.50"), R"({"x":-1.5})");
  EXPECT_EQ(input_value("{type: bool}", "false"), R"({"x":false})");
  EXPECT_EQ(input_value("{type: boolean}", "true"), R"({"x":true})");
  EXPECT_EQ(input_value("{type: choice, options: [staging, prod]}", "prod"),
            R"({"x":"prod"})");
  EXPECT_EQ(input_value("{type: date}", "2024-02-29"), R"({"x":"2024-02-29"})");
  EXPECT_EQ(input_value("{type: path}", "in/a.csv"),
            R"({"x":"/data/in/a.csv"})");
  EXPECT_EQ(input_value("{type: path}", "/in/a.csv"), R"({"x":"/in/a.csv"})");
}

TEST(Inputs, KnowDaysFromTheDayOfTheRun) {
  EXPECT_EQ(input_value("{type: date}", "today"), R"({"x":"2024-03-01"})");
  EXPECT_EQ(input_value("{type: date}", "yesterday"), R"({"x":"2024-02-29"})");
  EXPECT_EQ(input_value("{type: date}", "tomorrow"), R"({"x":"2024-03-02"})");
  EXPECT_EQ(fallback("{type: date, default: yesterday}"),
            R"({"x":"2024-02-29"})");
}

TEST(Inputs, HaveTheirDefaultOrNothing) {
  EXPECT_EQ(fallback("{default: 7}"), R"({"x":"7"})");
  EXPECT_EQ(fallback("{type: number, default: 7}"), R"({"x":7})");
  EXPECT_EQ(fallback("{}"), R"({"x":null})");
  EXPECT_EQ(fallback(""), R"({"x":null})");
  EXPECT_EQ(input_value("{default: 7}", "8"), R"({"x":"8"})");
}

TEST(Inputs, TheLastValueCounts) {
  EXPECT_EQ(values(with_input("{}"), {{"x", "1"}, {"x", "2"}}), R"({"x":"2"})");
}

TEST(Inputs, AMissingOneIsToldWithItsPlaceAndTheOption) {
  EXPECT_EQ(fallback("{type: date, required: true, description: The day}"),
            "etl.yaml:1:26: no value for the input \"x\", \"The day\"; give it "
            "with --input x=yyyy-mm-dd, today or yesterday\n"
            "on: {dispatch: {inputs: {x: {type: date, required: true, "
            "description: The day}}}}\n"
            "                         ^");
  EXPECT_EQ(
      fallback("{type: choice, options: [staging, prod], required: true}"),
      "etl.yaml:1:26: no value for the input \"x\"; give it with --input "
      "x=VALUE, one of staging, prod\n"
      "on: {dispatch: {inputs: {x: {type: choice, options: [staging, "
      "prod], "
      "required: true}}}}\n"
      "                         ^");
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

TEST(Inputs, AWrongOneIsToldWithWhatItMustBe) {
  EXPECT_EQ(first_line(
                input_value("{type: choice, options: [staging, prod]}", "prd")),
            "etl.yaml:1:26: --input x: must be one of staging, prod, not "
            "\"prd\"; did you mean \"prod\"?");
  EXPECT_EQ(first_line(input_value("{type: number}", "many")),
            "etl.yaml:1:26: --input x: must be a number, not \"many\"");
  EXPECT_EQ(first_line(input_value("{type: number}", "12345678901234567890")),
            "etl.yaml:1:26: --input x: \"12345678901234567890\" is too large "
            "to be exact; make the input a string");
  EXPECT_EQ(first_line(input_value("{type: bool}", "yes")),
            "etl.yaml:1:26: --input x: must be true or false, not \"yes\"");
  EXPECT_EQ(first_line(input_value("{type: date}", "2023-02-29")),
            "etl.yaml:1:26: --input x: must be a date such as 2024-05-01, "
            "today or yesterday, not \"2023-02-29\"");
  EXPECT_EQ(first_line(input_value("{type: path}", "")),
            "etl.yaml:1:26: --input x: must be a path, not \"\"");
}

TEST(Inputs, OneThatIsNotDeclaredIsRefused) {
  EXPECT_EQ(values(with_input("{}"), {{"y", "1"}}),
            "etl.yaml: unknown input \"y\"");
  EXPECT_EQ(problems_of("on: {dispatch: {inputs: {date: {}}}}\n"
                        "jobs: {a: {run: \"${{ inputs.dat }}\"}}"),
            "etl.yaml:2:29: unknown input \"dat\"; did you mean \"date\"?\n"
            "jobs: {a: {run: \"${{ inputs.dat }}\"}}\n"
            "                            ^~~");
}

TEST(Inputs, AFileWithoutDeclarationsTakesATextForEachThatItUses) {
  const std::string flow = "jobs: {a: {run: \"echo ${{ inputs.x }}\"}}";
  EXPECT_EQ(values(flow, {{"x", "1"}}), R"({"x":"1"})");
  EXPECT_EQ(values("on: dispatch\n" + flow, {{"x", "1"}}), R"({"x":"1"})");
  EXPECT_EQ(values("on: {dispatch: }\n" + flow, {{"x", "1"}}), R"({"x":"1"})");
  EXPECT_EQ(first_line(values(flow, {})),
            "etl.yaml:1:34: no value for the input \"x\"; give it with --input "
            "x=VALUE");
}

TEST(Inputs, OfACalledFileAreThoseOfARunByHand) {
  EXPECT_EQ(values("on: {call: {inputs: {x: {type: number}}}}\n"
                   "jobs: {a: {run: \"echo ${{ inputs.x }}\"}}",
                   {{"x", "1"}}),
            R"({"x":1})");
  EXPECT_EQ(values("on:\n  dispatch: {inputs: {x: {}}}\n  call: {inputs: {y: "
                   "{}}}\njobs: {a: {run: \"echo ${{ inputs.x || inputs.y "
                   "}}\"}}",
                   {{"x", "1"}}),
            R"({"x":"1"})");
}

TEST(Inputs, MistakesInTheirDeclarationAreToldAtTheirPlace) {
  EXPECT_EQ(first_line(problems_of(with_input("{type: choice}"))),
            "etl.yaml:1:26: a choice needs \"options\"; options: [staging, "
            "prod]");
  EXPECT_EQ(first_line(problems_of(with_input("{options: [a]}"))),
            "etl.yaml:1:30: \"options\" are for a choice; type: choice");
  EXPECT_EQ(first_line(problems_of(with_input("{type: dat}"))),
            "etl.yaml:1:36: type: expected string, number, bool, boolean, "
            "choice, date or path, got \"dat\"; did you mean \"date\"?");
  EXPECT_EQ(
      first_line(problems_of(with_input("{type: date, default: soon}"))),
      "etl.yaml:1:51: default: must be a date such as 2024-05-01, today or "
      "yesterday, not \"soon\"");
  EXPECT_EQ(first_line(problems_of(with_input("{default: \"${{ 1 }}\"}"))),
            "etl.yaml:1:39: expressions in \"default\" are not supported yet "
            "by this version");
  EXPECT_EQ(first_line(problems_of("on: schedule\njobs: {a: {run: x}}")),
            "etl.yaml:1:5: \"schedule\" says nothing by its name alone; on: "
            "{schedule: 15 2 * * *}");
  EXPECT_EQ(first_line(problems_of("on: [dispatsh]\njobs: {a: {run: x}}")),
            "etl.yaml:1:6: unknown key \"dispatsh\" in \"on\"; did you mean "
            "\"dispatch\"?");
}

}  // namespace
}  // namespace troupe::workflow
