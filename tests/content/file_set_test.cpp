#include "temp_dir.hpp"

#include <troupe/content/file_set.hpp>
#include <troupe/content/sha256.hpp>

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <string>
#include <vector>

namespace troupe::content {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

class FileSet : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const fs::path whole = fs::path{folder.path()} / path;
    fs::create_directories(whole.parent_path());
    std::ofstream{whole} << text;
  }
  std::vector<std::string> find(const std::vector<std::string>& patterns) {
    return find_files(patterns, folder.path()).value();
  }
  std::string hash(const std::vector<std::string>& patterns) {
    return hash_files(patterns, folder.path()).value();
  }

  testing::TempDir folder;
};

TEST(Sha256, IsThatOfTheStandard) {
  EXPECT_EQ(sha256_of("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 pieces;
  pieces.add("a");
  pieces.add("bc");
  EXPECT_EQ(pieces.finish(), sha256_of("abc"));
}

TEST(Sha256, OfTextsKnowsWhereEachEnds) {
  Sha256 one;
  one.add_text("ab");
  one.add_text("c");
  Sha256 other;
  other.add_text("a");
  other.add_text("bc");
  EXPECT_NE(one.finish(), other.finish());
}

TEST_F(FileSet, FindsWhatPatternsNameInTheOrderOfPaths) {
  write("src/b.c", "b");
  write("src/deep/a.c", "a");
  write("src/deep/a.o", "o");
  write("other.c", "c");
  EXPECT_THAT(find({"src/**/*.c"}), ElementsAre("src/b.c", "src/deep/a.c"));
  EXPECT_THAT(find({"*.c"}), ElementsAre("other.c"));
  EXPECT_THAT(find({"src/**", "!src/**/*.o"}),
              ElementsAre("src/b.c", "src/deep/a.c"));
  EXPECT_THAT(find({"other.c", "src/b.c", "src/b.c"}),
              ElementsAre("other.c", "src/b.c"));
}

TEST_F(FileSet, AFolderStandsForAllThatIsInIt) {
  write("dist/a", "a");
  write("dist/.hidden/b", "b");
  write("dist/node_modules/c", "c");
  EXPECT_THAT(find({"dist"}),
              ElementsAre("dist/.hidden/b", "dist/a", "dist/node_modules/c"));
}

TEST_F(FileSet, WhatIsNotThereIsNoError) {
  EXPECT_THAT(find({"none", "none/**", "none/*.c"}), IsEmpty());
  EXPECT_EQ(hash({"none"}), "");
}

TEST_F(FileSet, AnAbsolutePatternFindsAbsolutePaths) {
  write("x/a", "a");
  const std::string pattern = folder.path() + "/x/*";
  EXPECT_THAT(find({pattern}), ElementsAre(folder.path() + "/x/a"));
}

TEST_F(FileSet, AHashChangesWithNamesAndBytesAndNothingElse) {
  write("a", "one");
  write("b", "two");
  const std::string before = hash({"*"});
  EXPECT_EQ(before.size(), 64U);
  write("a", "one");
  EXPECT_EQ(hash({"*"}), before);
  write("a", "two");
  EXPECT_NE(hash({"*"}), before);
  write("a", "one");
  fs::rename(folder.path() + "/b", folder.path() + "/c");
  EXPECT_NE(hash({"*"}), before);
}

TEST_F(FileSet, ALinkToAFileIsAFileAndOneToAFolderIsNot) {
  write("real/a", "a");
  fs::create_symlink("real/a", folder.path() + "/to_file");
  fs::create_directory_symlink("real", folder.path() + "/to_folder");
  EXPECT_THAT(find({"**"}), ElementsAre("real/a", "to_file"));
}

}  // namespace
}  // namespace troupe::content
