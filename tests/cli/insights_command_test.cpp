// Which runs of a node `troupe insights` looks into.
#include "fake_node.hpp"
#include "temp_dir.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using api::Json;

constexpr const char* list_call = "GET /v1/runs?set=ended&limit=1000";

class InsightsCommand : public ::testing::Test {
 protected:
  Json look_into(const std::string& text) {
    folder.write("etl.yaml", text);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    code = show_insights(node.context(),
                         {"--socket", "/run/node.sock", "--json", file()});
    const std::string out = ::testing::internal::GetCapturedStdout();
    err = ::testing::internal::GetCapturedStderr();
    return code == 0 ? Json::parse(out) : Json();
  }

  [[nodiscard]] std::string file() const { return folder.path("etl.yaml"); }

  static Json brief(int number, const std::string& name) {
    return {{"run", number}, {"name", name}, {"state", "succeeded"}};
  }
  void has_run(int number, const std::string& of_file) {
    Json run = brief(number, "etl");
    run["file"] = of_file;
    run["submitted"] = "2026-05-01T11:59:30Z";
    run["ended"] = "2026-05-01T11:59:40Z";
    run["instances"] = Json::array({{{"job", "a"},
                                     {"label", "a"},
                                     {"state", "succeeded"},
                                     {"ready", "2026-05-01T11:59:30Z"},
                                     {"started", "2026-05-01T11:59:32Z"},
                                     {"ended", "2026-05-01T11:59:40Z"},
                                     {"steps", Json::array()}}});
    node.on(fmt::format("GET /v1/runs/{}?from=0&limit=1000", number), run);
  }

  testing::TempDir folder;
  FakeNode node;
  int code = 0;
  std::string err;
};

TEST_F(InsightsCommand, LooksIntoTheRunsOfTheFileThatANodeHas) {
  node.on(list_call,
          Json{{"runs", Json::array({brief(3, "etl"), brief(2, "other"),
                                     brief(1, "etl")})}});
  has_run(3, file());
  has_run(1, "/home/ada/etl.yaml");
  const Json found = look_into("name: etl\njobs: {a: {run: x}}\n");
  ASSERT_EQ(code, 0) << err;
  EXPECT_EQ(found["runs"], 1);
  EXPECT_EQ(found["runs_of_node"], 1);
  EXPECT_EQ(found["runs_of_troupe_run"], 0);
  EXPECT_EQ(found["median_s"], 10);
  EXPECT_EQ(found["critical_path"][0]["mean_s"], 2);
}

TEST_F(InsightsCommand, AsksForTheFileOfEachRunIfRunsHaveNamesOfTheirOwn) {
  node.on(list_call, Json{{"runs", Json::array({brief(3, "etl of today"),
                                                brief(2, "etl of yesterday"),
                                                brief(1, "forgotten")})}});
  node.on("GET /v1/runs/3/workflow", Json{{"file", file()}, {"text", "x"}});
  node.on("GET /v1/runs/2/workflow", Json{{"file", "/x"}, {"text", "x"}});
  has_run(3, file());
  const Json found = look_into(
      "name: etl\nrun-name: etl of ${{ run.id }}\njobs: {a: {run: x}}\n");
  ASSERT_EQ(code, 0) << err;
  EXPECT_EQ(found["runs_of_node"], 1);
}

TEST_F(InsightsCommand, SaysIfTheNodeThatIsAskedForIsAway) {
  node.on(list_call, failure(Errc::unavailable, "no node is running"));
  node.was_reached = false;
  (void)look_into("name: etl\njobs: {a: {run: x}}\n");
  EXPECT_EQ(code, 125);
  EXPECT_EQ(err, "troupe: no node is running\n");
}

}  // namespace
}  // namespace troupe::cli
