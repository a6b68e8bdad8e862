#include <troupe/fanout/results_path.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::fanout {
namespace {

using Words = std::vector<std::string>;

std::string directory(const Words& values, const char* under = "out") {
  return results_paths(under, values).value().directory;
}

TEST(ResultsPaths, LiesWhereGnuParallelPutsIt) {
  EXPECT_EQ(results_paths("out", Words{"a"}).value(),
            (ResultsPaths{.directory = "out/1/a",
                          .standard_output = "out/1/a/stdout",
                          .standard_error = "out/1/a/stderr",
                          .seq = "out/1/a/seq"}));
  EXPECT_EQ(directory({"a", "b c"}), "out/1/a/2/b c");
  EXPECT_EQ(directory({"a/b"}), "out/1/a\\_b");
  EXPECT_EQ(directory({"a\\b"}), "out/1/a\\\\b");
  EXPECT_EQ(directory({"a\tb"}), "out/1/a\\tb");
  EXPECT_EQ(directory({"a\nb%ü"}), "out/1/a\nb%ü");
  EXPECT_EQ(directory({"../up"}), "out/1/..\\_up");
  EXPECT_EQ(directory({"a"}, "out//"), "out/1/a");
  EXPECT_EQ(directory({"a"}, "/"), "//1/a");
  EXPECT_EQ(directory({std::string(300, 'x')}),
            "out/1/" + std::string(255, 'x') + "/" + std::string(45, 'x'));
}

TEST(ResultsPaths, NeverLeavesTheDirectory) {
  EXPECT_EQ(directory({""}), "out/1/\\e");
  EXPECT_EQ(directory({"."}), "out/1/\\.");
  EXPECT_EQ(directory({".."}), "out/1/\\.\\.");
  EXPECT_EQ(directory({std::string(255, 'x') + ".."}),
            "out/1/" + std::string(255, 'x') + "/\\.\\.");
}

TEST(ResultsPaths, RefusesAPathThatTheSystemWouldRefuse) {
  EXPECT_EQ(results_paths("out", Words{std::string(5000, 'x')}).error().what,
            "the arguments make a path of 5032 bytes below out, and the system "
            "takes at most 4095");
}

TEST(ResultsPaths, AreSafeAndDifferForShortValues) {
  EXPECT_TRUE(rc::check("one value, one directory inside out/1", [] {
    const auto any = rc::gen::container<std::string>(
        rc::gen::element('.', '/', '\\', '_', 'e', 't', '\t', 'x'));
    const auto value = *any;
    const auto other = *any;
    const auto path = directory({value});
    RC_ASSERT((path == directory({other})) == (value == other));
    const auto name = path.substr(std::string{"out/1/"}.size());
    RC_ASSERT(name != "." && name != ".." && !name.empty());
    RC_ASSERT(name.find('/') == std::string::npos || name.size() > 255);
  }));
}

}  // namespace
}  // namespace troupe::fanout
