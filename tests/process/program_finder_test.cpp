#include "program_finder.hpp"

#include "program_image.hpp"
#include "temp_dir.hpp"

#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace troupe::process {
namespace {

class ProgramFinderTest : public ::testing::Test {
 protected:
  /// A file in `name`, which anybody may execute or nobody.
  void make(const std::string& name, bool is_executable = true) const {
    const std::filesystem::path path = folder.path(name);
    std::filesystem::create_directories(path.parent_path());
    folder.write(name, "");
    std::filesystem::permissions(path, is_executable
                                           ? std::filesystem::perms::owner_all
                                           : std::filesystem::perms::none);
  }

  Result<std::string> find(const std::string& name) {
    CommandSpec spec;
    spec.argv = {name};
    spec.working_directory = working_directory;
    spec.env = {{"PATH", path}};
    const std::array<const char*, 1> nothing{nullptr};
    const InheritedEnvironment inherited{nothing.data()};
    const auto image = ProgramImage::build(spec, inherited, "marker");
    return finder.find(spec, *image, now);
  }

  testing::TempDir folder;
  std::string path = folder.path("first") + ':' + folder.path("second");
  std::string working_directory;
  ProgramFinder finder;
  TimePoint now{1h};
};

TEST_F(ProgramFinderTest, TakesTheFirstThatCanBeExecuted) {
  make("first/tool", false);
  make("second/tool");
  EXPECT_EQ(find("tool"), folder.path("second/tool"));
}

TEST_F(ProgramFinderTest, WhatHasASlashIsNotLookedUp) {
  EXPECT_EQ(find("./nowhere"), "./nowhere");
}

TEST_F(ProgramFinderTest, SaysThatItIsNowhere) {
  const auto found = find("tool");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::not_found);
  EXPECT_EQ(found.error().what, "tool: command not found");
}

TEST_F(ProgramFinderTest, WhatIsRememberedAndGoneIsLookedUpAgain) {
  make("first/tool");
  make("second/tool");
  EXPECT_EQ(find("tool"), folder.path("first/tool"));
  std::filesystem::remove(folder.path("first/tool"));
  EXPECT_EQ(find("tool"), folder.path("second/tool"));
}

TEST_F(ProgramFinderTest, WhatComesBeforeItIsFoundAfterAMoment) {
  make("second/tool");
  EXPECT_EQ(find("tool"), folder.path("second/tool"));
  make("first/tool");
  EXPECT_EQ(find("tool"), folder.path("second/tool"));
  now += ProgramFinder::memory;
  EXPECT_EQ(find("tool"), folder.path("first/tool"));
}

TEST_F(ProgramFinderTest, EachPathAndFolderHasItsOwnProgram) {
  make("first/tool");
  make("second/tool");
  EXPECT_EQ(find("tool"), folder.path("first/tool"));
  path = folder.path("second");
  EXPECT_EQ(find("tool"), folder.path("second/tool"));
  path = ".";
  working_directory = folder.path("first");
  EXPECT_EQ(find("tool"), "./tool");
  working_directory = folder.path();
  EXPECT_FALSE(find("tool"));
}

TEST_F(ProgramFinderTest, RemembersAFewOutOfMany) {
  for (int i = 0; i < 1000; ++i) {
    const std::string name = fmt::format("tool{}", i);
    make("second/" + name);
    EXPECT_EQ(find(name), folder.path("second/" + name));
  }
}

}  // namespace
}  // namespace troupe::process
