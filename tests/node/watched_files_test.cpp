#include "watched_files.hpp"

#include "temp_dir.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::node {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

WallTime at(int seconds) { return WallTime{std::chrono::seconds{seconds}}; }

FileStamp changed(int seconds) { return {at(seconds), 1, 1}; }

TEST(ChangeCore, TellsEachChangeOnce) {
  ChangeCore core{0s, at(100)};
  EXPECT_THAT(core.on_scan({{"a", changed(50)}}, at(101)), IsEmpty());
  EXPECT_THAT(core.on_scan({{"a", changed(102)}, {"b", changed(103)}}, at(104)),
              ElementsAre("a", "b"));
  EXPECT_THAT(core.on_scan({{"a", changed(102)}, {"b", changed(103)}}, at(105)),
              IsEmpty());
  EXPECT_THAT(core.on_scan({{"b", changed(106)}}, at(107)), ElementsAre("b"));
  EXPECT_EQ(core.known_until(), at(106));
}

TEST(ChangeCore, TellsWhatHasChangedWhileNobodyLooked) {
  ChangeCore core{0s, at(100)};
  EXPECT_THAT(core.on_scan({{"a", changed(100)}, {"b", changed(101)}}, at(200)),
              ElementsAre("b"));
}

TEST(ChangeCore, TellsNothingOfFilesThatCameAndWent) {
  ChangeCore core{10s, at(100)};
  EXPECT_THAT(core.on_scan({{"a", changed(101)}}, at(101)), IsEmpty());
  EXPECT_EQ(core.next_scan(), at(111));
  EXPECT_THAT(core.on_scan({}, at(111)), IsEmpty());
  EXPECT_FALSE(core.next_scan());
}

TEST(ChangeCore, WaitsUntilAFileIsLeftAlone) {
  ChangeCore core{10s, at(100)};
  EXPECT_THAT(core.on_scan({{"a", changed(101)}}, at(101)), IsEmpty());
  EXPECT_THAT(core.on_scan({{"a", changed(108)}}, at(109)), IsEmpty());
  EXPECT_THAT(core.on_scan({{"a", changed(108)}}, at(111)), IsEmpty());
  EXPECT_EQ(core.next_scan(), at(119));
  // Another node that goes on from here tells it as well.
  EXPECT_LT(core.known_until(), at(108));
  EXPECT_THAT(core.on_scan({{"a", changed(108)}}, at(119)), ElementsAre("a"));
  EXPECT_EQ(core.known_until(), at(108));
}

class ScanFiles : public ::testing::Test {
 protected:
  void write(const std::string& name) {
    const std::string path = folder.path(name);
    std::filesystem::create_directories(
        std::filesystem::path{path}.parent_path());
    std::ofstream{path} << "x";
  }

  /// The names of what is found.
  std::vector<std::string> found(std::vector<std::string> paths,
                                 std::vector<std::string> exclude = {}) {
    workflow::WatchTrigger watch;
    watch.paths = std::move(paths);
    watch.exclude = std::move(exclude);
    std::vector<std::string> names;
    const auto files = scan_files(watch, folder.path());
    for (const auto& [path, stamp] : *files)
      names.push_back(path.substr(folder.path().size()));
    return names;
  }

  testing::TempDir folder;
};

TEST_F(ScanFiles, FollowsPatternsAndFolders) {
  for (const char* const name :
       {"in/a.csv", "in/deep/er/b.csv", "in/c.txt", "other/d.csv"})
    write(name);
  EXPECT_THAT(found({"in/**/*.csv"}),
              ElementsAre("in/a.csv", "in/deep/er/b.csv"));
  EXPECT_THAT(found({"in/*.csv"}), ElementsAre("in/a.csv"));
  EXPECT_THAT(found({"in"}),
              ElementsAre("in/a.csv", "in/c.txt", "in/deep/er/b.csv"));
  EXPECT_THAT(found({"in/c.txt", "none"}), ElementsAre("in/c.txt"));
  EXPECT_THAT(found({"in", "other"}, {"*.csv"}), ElementsAre("in/c.txt"));
  EXPECT_THAT(found({"in"}, {"in/deep"}), ElementsAre("in/a.csv", "in/c.txt"));
}

}  // namespace
}  // namespace troupe::node
