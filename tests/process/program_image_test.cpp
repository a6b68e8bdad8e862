#include "program_image.hpp"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace troupe::process {
namespace {

using testing::ElementsAre;

/// What a command with this spec gets of our environment, and its search path.
class ProgramImageTest : public testing::Test {
 protected:
  ProgramImageTest() { spec.argv = {"program"}; }

  std::vector<std::string> environment() {
    const auto image = ProgramImage::build(spec, inherited, "marker");
    std::vector<std::string> entries;
    for (const char* const* entry = image->env(); *entry != nullptr; ++entry)
      entries.emplace_back(*entry);
    return entries;
  }
  std::string search_path() {
    return std::string{
        ProgramImage::build(spec, inherited, "marker")->search_path()};
  }

  CommandSpec spec;
  std::array<const char*, 5> ours{"A=1", "PATH=/ours", "TROUPE_COMMAND=outer",
                                  "B=", nullptr};
  InheritedEnvironment inherited{ours.data()};
};

TEST_F(ProgramImageTest, KeepsWhatIsInheritedAndAddsTheMarkerToTheOuterOne) {
  EXPECT_THAT(environment(), ElementsAre("A=1", "PATH=/ours",
                                         "B=", "TROUPE_COMMAND=outer/marker"));
  EXPECT_EQ(search_path(), "/ours");
}

TEST_F(ProgramImageTest, ReplacesWhatIsGivenAndTheLastOneCounts) {
  spec.env = {{"A", "2"}, {"PATH", "/theirs"}, {"A", "3"}};
  EXPECT_THAT(environment(), ElementsAre("B=", "PATH=/theirs", "A=3",
                                         "TROUPE_COMMAND=outer/marker"));
  EXPECT_EQ(search_path(), "/theirs");
}

TEST_F(ProgramImageTest, LeavesOutWhatIsUnset) {
  spec.unset_env = {"PATH", "B"};
  EXPECT_THAT(environment(), ElementsAre("A=1", "TROUPE_COMMAND=outer/marker"));
  EXPECT_EQ(search_path(), "/usr/local/bin:/usr/bin:/bin");
}

TEST_F(ProgramImageTest, AClearedEnvironmentHasTheMarkersAlone) {
  spec.clear_env = true;
  spec.env = {{"TROUPE_COMMAND", "nobody's"}};
  EXPECT_THAT(environment(), ElementsAre("TROUPE_COMMAND=outer/marker"));
  EXPECT_EQ(search_path(), "/usr/local/bin:/usr/bin:/bin");
}

}  // namespace
}  // namespace troupe::process
