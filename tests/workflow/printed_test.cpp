#include <troupe/workflow/load.hpp>
#include <troupe/workflow/outputs.hpp>
#include <troupe/workflow/plan.hpp>

#include <gtest/gtest.h>
#include <string>

/// Outputs from what a command prints.
namespace troupe::workflow {
namespace {

std::string printed_value(const PrintedOutput& output,
                          std::string_view printed) {
  Outputs outputs{{"x", "old"}, {"y", "1"}};
  const auto added = add_printed({output}, printed, outputs);
  if (!added)
    return added.error().what;
  EXPECT_EQ(outputs[1].second, "1");
  return outputs[0].second;
}

std::string at(std::string_view path, std::string_view printed) {
  const auto parsed = parse_json_path(path);
  return parsed ? printed_value({"x", false, *parsed}, printed)
                : parsed.error().what;
}

TEST(Printed, IsTheWholeTextWithoutItsLastLineBreak) {
  const PrintedOutput whole{"x", false, {}};
  EXPECT_EQ(printed_value(whole, "a b\n"), "a b");
  EXPECT_EQ(printed_value(whole, "a\nb\n\n"), "a\nb\n");
  EXPECT_EQ(printed_value(whole, "a\r\n"), "a");
  EXPECT_EQ(printed_value(whole, ""), "");
}

TEST(Printed, IsTheLastLineOnly) {
  const PrintedOutput last{"x", true, {}};
  EXPECT_EQ(printed_value(last, "a\nb\nc\n"), "c");
  EXPECT_EQ(printed_value(last, "c"), "c");
  EXPECT_EQ(printed_value(last, "a\n\n"), "");
  EXPECT_EQ(
      printed_value({"x", true, *parse_json_path(".n")}, "log\n{\"n\": 3}\n"),
      "3");
}

TEST(Printed, IsWhatIsAtAPathOfJson) {
  const std::string text =
      R"json({"rows": 42, "a": {"b-c": ["x", {"d": true}]}, "n": null,
               "s": "q\"$(x)"})json";
  EXPECT_EQ(at(".rows", text), "42");
  EXPECT_EQ(at(".a.b-c[0]", text), "x");
  EXPECT_EQ(at(".a.b-c[1].d", text), "true");
  EXPECT_EQ(at(".a.b-c", text), R"(["x",{"d":true}])");
  EXPECT_EQ(at(".n", text), "");
  EXPECT_EQ(at(".s", text), "q\"$(x)");
  EXPECT_EQ(at(".", "7\n"), "7");
  EXPECT_EQ(at(".[1]", "[1, 2]"), "2");
}

TEST(Printed, IsRefusedIfNothingIsThere) {
  EXPECT_EQ(at(".a.b[2].c", R"({"a": {"b": [1, 2]}})"),
            "x: there is no .a.b[2] in what the command has printed");
  EXPECT_EQ(at(".a.b", R"({"a": [1]})"),
            "x: there is no .a.b in what the command has printed");
  EXPECT_EQ(at(".[0]", "{}"),
            "x: there is no .[0] in what the command has printed");
  EXPECT_EQ(at(".a", "a: 1\n"),
            "x: what the command has printed: no JSON at byte 1");
  EXPECT_EQ(at(".a", ""), "x: what the command has printed: no JSON at byte 1");
}

TEST(Printed, IsRefusedIfItIsTooLongOrNoText) {
  EXPECT_EQ(
      printed_value({"x", false, {}}, std::string(most_printed, 'a')).size(),
      most_printed);
  EXPECT_EQ(printed_value({"x", false, {}}, std::string(most_printed + 1, 'a')),
            "the command has printed more than 1.00 MiB");
  EXPECT_EQ(printed_value({"x", false, {}}, std::string("a\0b", 3)),
            "x: the command has printed a NUL byte");
  EXPECT_EQ(at(".a", R"({"a": "b\u0000c"})"), "x: a NUL byte");
}

TEST(Printed, RefusesPathsThatAreNone) {
  for (const char* const wrong :
       {"", "rows", "..", ".a.", ".a[", ".a[]", ".a[x]", ".a[-1]", ".a b",
        "[0]", ".a[0]b", ".a[99999999999999999999]", ".$(x)"})
    EXPECT_NE(at(wrong, "{}").find("expected a path such as"),
              std::string::npos)
        << wrong;
}

std::string first_problem_of(std::string text) {
  const auto workflow = load_workflow("w.yaml", std::move(text));
  if (workflow)
    return "";
  const std::string& what = workflow.error().what;
  return what.substr(0, what.find('\n'));
}

TEST(Printed, IsHandedOnByAJobWithOneCommand) {
  const auto workflow = load_workflow(
      "w.yaml",
      "jobs:\n"
      "  a: {run: ./a, outputs: {n: {from: stdout, json: .n}, m: \"${{ "
      "steps.run.outputs.k }}\"}}\n"
      "  b: {needs: a, run: \"./b ${{ jobs.a.outputs.n }}\"}\n");
  ASSERT_TRUE(workflow) << workflow.error().what;
  auto plan = Plan::make(*workflow, {});
  ASSERT_TRUE(plan);
  const auto started = plan->start({});
  const auto* const start = std::get_if<StartStep>(&started.back());
  ASSERT_NE(start, nullptr);
  ASSERT_EQ(start->printed.size(), 1U);
  EXPECT_EQ(start->printed[0].name, "n");
  StepResult result;
  result.outputs = {{"k", "1"}, {"n", "2"}};
  const auto next =
      plan->on_step_finished(InstanceId{1}, 0, std::move(result), {});
  const auto* const last = std::get_if<StartStep>(&next.back());
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->line, "./b 2");
}

TEST(Printed, IsDeclaredWhereThereIsOneCommand) {
  EXPECT_EQ(first_problem_of(
                "jobs: {a: {steps: [{id: s, run: ls, outputs: {n: {json: "
                ".n, line: last}}}], outputs: {n: \"${{ "
                "steps.s.outputs.n }}\"}}}\n"),
            "");
  EXPECT_EQ(
      first_problem_of("jobs: {a: {steps: [{run: ls, outputs: {n: {}}}]}}\n"),
      "w.yaml:1:30: a step with \"outputs\" needs an \"id\", by which "
      "others ask for them");
  EXPECT_EQ(first_problem_of(
                "jobs: {a: {steps: [{id: s, run: ls, outputs: {n: x}}]}}\n"),
            "w.yaml:1:50: an output must be a map, not a single value");
  EXPECT_EQ(
      first_problem_of(
          "jobs: {a: {steps: [{run: ls}], outputs: {n: {from: stdout}}}}\n"),
      "w.yaml:1:32: outputs from stdout belong on a step, since this job has "
      "several");
  EXPECT_EQ(
      first_problem_of("jobs: {a: {run: ls, outputs: {n: {from: file}}}}\n"),
      "w.yaml:1:41: from: expected stdout, got \"file\"");
  EXPECT_EQ(
      first_problem_of("jobs: {a: {run: ls, outputs: {n: {json: rows}}}}\n"),
      "w.yaml:1:41: json: expected a path such as .rows or "
      ".tables[0].name, got \"rows\"");
  EXPECT_EQ(
      first_problem_of("jobs: {a: {run: ls, outputs: {n: {jsno: .n}}}}\n"),
      "w.yaml:1:35: unknown key \"jsno\" in an output; did you mean "
      "\"json\"?");
}

}  // namespace
}  // namespace troupe::workflow
