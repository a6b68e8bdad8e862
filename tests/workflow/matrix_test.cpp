#include <troupe/workflow/load.hpp>

#include <gtest/gtest.h>
#include <string>

namespace troupe::workflow {
namespace {

/// The combinations as JSON, one per line, or the first line of the error.
std::string expand(const std::string& matrix) {
  const auto workflow = load_workflow(
      "f.yaml", "jobs: {a: {run: x, strategy: {matrix: " + matrix + "}}}");
  if (!workflow)
    return workflow.error().what.substr(0, workflow.error().what.find('\n'));
  std::string out;
  for (const Value::Object& combination : (*workflow)->jobs[0].matrix)
    out += Value{combination}.json() + "\n";
  return out;
}

TEST(Matrix, IsTheProductInTheOrderOfTheFile) {
  EXPECT_EQ(expand("{b: [x, y], a: [1, 2]}"),
            "{\"b\":\"x\",\"a\":1}\n{\"b\":\"x\",\"a\":2}\n"
            "{\"b\":\"y\",\"a\":1}\n{\"b\":\"y\",\"a\":2}\n");
}

TEST(Matrix, KeepsTheSpellingOfNumbers) {
  EXPECT_EQ(expand("{v: [1.10, 1.5, 007, 3, '3', true, 'true', ~]}"),
            "{\"v\":\"1.10\"}\n{\"v\":1.5}\n{\"v\":\"007\"}\n{\"v\":3}\n"
            "{\"v\":\"3\"}\n{\"v\":true}\n{\"v\":\"true\"}\n{\"v\":null}\n");
}

TEST(Matrix, ExcludesWhatAnEntryIsPartOf) {
  EXPECT_EQ(expand("{a: [1, 2], b: [x, y], exclude: [{a: 1, b: x}, {a: 2}]}"),
            "{\"a\":1,\"b\":\"y\"}\n");
}

TEST(Matrix, IncludesIntoMatchingCombinationsOrAsANewOne) {
  EXPECT_EQ(expand("{a: [1, 2], include: [{a: 1, c: z}, {d: w}, {a: 3}]}"),
            "{\"a\":1,\"c\":\"z\",\"d\":\"w\"}\n{\"a\":2,\"d\":\"w\"}\n"
            "{\"a\":3}\n");
  EXPECT_EQ(expand("{include: [{a: 1}, {b: 2}]}"), "{\"a\":1}\n{\"b\":2}\n");
}

TEST(Matrix, RefusesWhatMakesNoSense) {
  const std::string at = "f.yaml:1:";
  EXPECT_EQ(
      expand("{a: []}"),
      at + "43: a: expected a list with at least one value, got an empty list");
  EXPECT_EQ(expand("{a: x}"),
            at + "43: a: expected a list with at least one value, got \"x\"");
  EXPECT_EQ(expand("{a: [1], exclude: [{a: 1}]}"),
            at + "39: the matrix has no combination");
  EXPECT_EQ(expand("{area: [1, 2], exclude: [{aera: 1}]}"),
            at + "65: unknown matrix key \"aera\"; did you mean \"area\"?");
  EXPECT_EQ(expand("\"x ${{ inputs.x }}\""),
            at + "39: matrix: expected one ${{ expression }} or a list, got "
                 "the text \"x "
                 "${{ inputs.x }}\"");
  EXPECT_EQ(expand("{a: [\"${{ inputs.x }}\"]}"),
            at + "44: an expression inside of a list is not supported yet by "
                 "this version; make the list one expression");
  EXPECT_EQ(expand("{a: \"${{ matrix.b }}\"}"),
            at + "48: \"matrix\" is what is computed here");
}

TEST(Matrix, IsBounded) {
  std::string list = "[0";
  for (int i = 1; i < 33; ++i)
    list += ", " + std::to_string(i);
  list += "]";
  const std::string text = "{a: " + list + ", b: " + list + "}";
  EXPECT_EQ(expand(text),
            "f.yaml:1:167: the matrix has more than 1024 "
            "combinations");
  EXPECT_EQ(expand("{a: [" + std::string(2000, 'x') + "]}"),
            "f.yaml:1:44: a matrix value of more than 1 KiB");
}

}  // namespace
}  // namespace troupe::workflow
