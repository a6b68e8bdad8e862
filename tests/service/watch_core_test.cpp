#include "watch_core.hpp"

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <sys/inotify.h>
#include <vector>

namespace troupe::service {
namespace {

WatchedPaths watched_paths(std::vector<std::string> paths,
                           std::vector<std::string> exclude = {}) {
  auto made = WatchedPaths::from(
      {.paths = std::move(paths), .exclude = std::move(exclude)}, "/w");
  EXPECT_TRUE(made) << made.error().what;
  return std::move(made).value();
}

bool counts(const WatchedPaths& paths, const std::string& path) {
  return paths.counts(path, false);
}

TEST(WatchedPaths, AreRelativeToTheCurrentFolder) {
  const auto paths = watched_paths(
      {"bin/api", "./src/", "/etc/x", "../v/*.c", "*.py", "src/**"});
  EXPECT_EQ(paths.roots(), (std::vector<std::string>{"/w/bin/api", "/w/src",
                                                     "/etc/x", "/v", "/w"}));
  EXPECT_TRUE(counts(paths, "/w/bin/api"));
  EXPECT_TRUE(counts(paths, "/v/a.c"));
  EXPECT_TRUE(counts(paths, "/w/a.py"));
  EXPECT_FALSE(counts(paths, "/w/bin/api2"));
  EXPECT_FALSE(counts(paths, "/w/bin"));
  EXPECT_FALSE(counts(paths, "/etc/y"));
}

TEST(WatchedPaths, CountAllBelowAFolder) {
  const auto paths = watched_paths({"src"});
  EXPECT_TRUE(counts(paths, "/w/src/a/b/.env"));
  EXPECT_TRUE(paths.counts("/w/src/a", true));
  EXPECT_TRUE(paths.counts("/w/src", true));
  EXPECT_TRUE(paths.may_hold("/w/src"));
  EXPECT_TRUE(paths.may_hold("/w/src/a"));
  EXPECT_FALSE(paths.may_hold("/w"));
  EXPECT_FALSE(paths.may_hold("/w/src2"));
}

TEST(WatchedPaths, MayBeAllOfTheCurrentFolderOrOfTheSystem) {
  EXPECT_TRUE(counts(watched_paths({"."}), "/w/a"));
  EXPECT_TRUE(watched_paths({"."}).may_hold("/w"));
  EXPECT_TRUE(counts(watched_paths({"/"}), "/a/b"));
  EXPECT_TRUE(counts(watched_paths({"/*"}), "/a"));
}

TEST(WatchedPaths, LeaveOutWhatIsRarelyMeantUnlessItIsNamed) {
  const auto paths = watched_paths({"src"});
  for (const char* folder : {".git", "node_modules", "__pycache__", ".cache"}) {
    const std::string path = std::string{"/w/src/"} + folder;
    EXPECT_FALSE(paths.may_hold(path)) << path;
    EXPECT_FALSE(paths.counts(path, true)) << path;
    EXPECT_FALSE(counts(paths, path + "/a")) << path;
    EXPECT_TRUE(
        counts(watched_paths({"src/" + std::string{folder}}), path + "/a"));
  }
}

TEST(WatchedPaths, LeaveOutWhatEditorsWriteForThemselves) {
  for (const auto& paths : {watched_paths({"src"}), watched_paths({"src/*"})}) {
    for (const char* name : {".a.py.swp", ".a.swx", "a~", ".#a", "#a#", "4913"})
      EXPECT_FALSE(counts(paths, std::string{"/w/src/"} + name)) << name;
  }
  EXPECT_TRUE(counts(watched_paths({"src/4913"}), "/w/src/4913"));
}

TEST(WatchedPaths, ExcludeNamesAnywhere) {
  const auto paths = watched_paths({"src", "/data"}, {"*.tmp", "gen/"});
  EXPECT_FALSE(counts(paths, "/w/src/a.tmp"));
  EXPECT_FALSE(counts(paths, "/data/b/a.tmp"));
  EXPECT_FALSE(counts(paths, "/w/src/a/gen/b"));
  EXPECT_FALSE(paths.may_hold("/w/src/gen"));
  EXPECT_TRUE(counts(paths, "/w/src/generated"));
}

TEST(WatchedPaths, ExcludePathsWhereTheyAre) {
  const auto paths =
      watched_paths({"src", "/data/.d"}, {"src/gen", "**/*.log", "/data/*/x"});
  EXPECT_FALSE(counts(paths, "/w/src/gen/a"));
  EXPECT_TRUE(counts(paths, "/w/src/b/gen/a"));
  EXPECT_FALSE(counts(paths, "/w/src/b/c.log"));
  EXPECT_FALSE(counts(paths, "/data/.d/c.log"));
  EXPECT_FALSE(counts(paths, "/data/.d/x"));
}

TEST(WatchedPaths, AreShownAsSomebodyWouldWriteThem) {
  const auto paths = watched_paths({"src"});
  EXPECT_EQ(paths.shown("/w/src/a"), "src/a");
  EXPECT_EQ(paths.shown("/w2/a"), "/w2/a");
  EXPECT_EQ(paths.shown("/w"), "/w");
}

TEST(WatchedPaths, MustSaySomething) {
  const auto error = [](const WatchedFiles& files) {
    const auto made = WatchedPaths::from(files, "/w");
    return made ? Error{} : made.error();
  };
  EXPECT_EQ(error({}), (Error{Errc::invalid_argument, "no path to watch"}));
  EXPECT_EQ(error({.paths = {"a", ""}}),
            (Error{Errc::invalid_argument, "a path to watch is empty"}));
  EXPECT_EQ(error({.paths = {"a"}, .exclude = {""}}),
            (Error{Errc::invalid_argument, "a pattern to exclude is empty"}));
}

TEST(FileEffect, IsOfWhatChangesContentsNamesAndRights) {
  EXPECT_EQ(effect_of(IN_CLOSE_WRITE), FileEffect::changed);
  EXPECT_EQ(effect_of(IN_MOVED_TO), FileEffect::changed);
  EXPECT_EQ(effect_of(IN_MOVED_FROM | IN_ISDIR), FileEffect::changed);
  EXPECT_EQ(effect_of(IN_DELETE), FileEffect::changed);
  EXPECT_EQ(effect_of(IN_ATTRIB), FileEffect::changed);
  EXPECT_EQ(effect_of(IN_CREATE), FileEffect::created);
  EXPECT_EQ(effect_of(IN_ATTRIB | IN_ISDIR), FileEffect::none);
  EXPECT_EQ(effect_of(IN_ACCESS), FileEffect::none);
  EXPECT_EQ(effect_of(IN_OPEN), FileEffect::none);
  EXPECT_EQ(effect_of(IN_CLOSE_NOWRITE), FileEffect::none);
  EXPECT_EQ(effect_of(IN_MODIFY), FileEffect::none);
}

class ChangeTellerTest : public ::testing::Test {
 protected:
  [[nodiscard]] static TimePoint at(Duration since) {
    return TimePoint{} + 1h + since;
  }
  /// What is told at that time and not a nanosecond earlier.
  std::string told(Duration when) {
    EXPECT_EQ(teller.due(), at(when));
    EXPECT_FALSE(teller.take(at(when) - 1ns));
    return teller.take(at(when)).value_or("nothing");
  }

  ChangeTeller teller{300ms};
};

TEST_F(ChangeTellerTest, TellsNothingIfNothingChanges) {
  EXPECT_FALSE(teller.due());
  EXPECT_FALSE(teller.take(at(1h)));
}

TEST_F(ChangeTellerTest, TellsOnceWhenItHasBeenQuiet) {
  teller.on_changed("a", at(0ms));
  EXPECT_EQ(told(300ms), "a");
  EXPECT_FALSE(teller.due());
  EXPECT_FALSE(teller.take(at(1h)));
}

TEST_F(ChangeTellerTest, TakesChangesThatAreCloseTogetherAsOne) {
  teller.on_changed("a", at(0ms));
  teller.on_changed("b", at(299ms));
  teller.on_noticed("c", at(500ms));
  EXPECT_EQ(told(800ms), "a");
}

TEST_F(ChangeTellerTest, IsNotPutOffForEver) {
  for (int i = 0; i <= 29; ++i)
    teller.on_changed("a", at(i * 100ms));
  EXPECT_EQ(told(3s), "a");
  teller.on_changed("b", at(3001ms));
  EXPECT_EQ(told(3301ms), "b");
}

TEST_F(ChangeTellerTest, WaitsUntilANewFileIsWritten) {
  teller.on_created("a", at(0ms));
  EXPECT_EQ(teller.due(), at(3s));
  teller.on_changed("b", at(1s));
  EXPECT_EQ(teller.due(), at(3s));
  teller.on_changed("a", at(2s));
  EXPECT_EQ(told(2300ms), "a");
}

TEST_F(ChangeTellerTest, WaitsNoLongerForAFileThatStaysOpen) {
  teller.on_created("log", at(0ms));
  EXPECT_EQ(told(3s), "log");
  teller.on_changed("a", at(4s));
  EXPECT_EQ(told(4300ms), "a");
}

TEST_F(ChangeTellerTest, KnowsThatASightOfAFileIsNotItsEnd) {
  teller.on_created("a", at(0ms));
  teller.on_noticed("a", at(100ms));
  EXPECT_EQ(teller.due(), at(3s));
}

TEST_F(ChangeTellerTest, RemembersABoundedNumberOfNewFiles) {
  for (int i = 0; i < 100; ++i)
    teller.on_created(std::to_string(i), at(0ms));
  for (int i = 0; i < 63; ++i)
    teller.on_changed(std::to_string(i), at(1ms));
  EXPECT_EQ(teller.due(), at(3s));
  teller.on_changed("63", at(1ms));
  EXPECT_EQ(told(301ms), "0");
}

TEST_F(ChangeTellerTest, TellsAtOnceWithoutAQuietTime) {
  teller = ChangeTeller{0ms};
  teller.on_created("a", at(0ms));
  EXPECT_EQ(told(0ms), "a");
}

TEST_F(ChangeTellerTest, KeepsQuietTimesWithinReason) {
  teller = ChangeTeller{Duration::max()};
  teller.on_changed("a", at(0ms));
  EXPECT_EQ(told(1h), "a");
  teller = ChangeTeller{-1s};
  teller.on_changed("a", at(0ms));
  EXPECT_EQ(told(0ms), "a");
}

}  // namespace
}  // namespace troupe::service
