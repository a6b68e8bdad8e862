#include "io_loop.hpp"
#include "own_resources.hpp"
#include "temp_dir.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/service/file_watcher.hpp>

#include <boost/asio/post.hpp>

#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace troupe::service {
namespace {

namespace fs = std::filesystem;

/// Each test has a folder of its own; what is told has its path taken off.
class FileWatcherTest : public ::testing::Test {
 protected:
  FileWatcherTest() {
    fs::create_directories(dir.path("w/src/sub"));
    fs::create_directory(dir.path("w/bin"));
  }

  FileChangeHandlers handlers() {
    return {.on_change =
                [this](const std::string& path) {
                  told.push_back(path.starts_with(dir.path("w/"))
                                     ? path.substr(dir.path("w/").size())
                                     : path);
                },
            .on_trouble = [this](const Error& e) { troubles.push_back(e); }};
  }

  Result<std::unique_ptr<FileWatcher>> try_watch(
      std::vector<std::string> paths, std::vector<std::string> exclude = {},
      Duration debounce = 20ms) {
    for (std::string& path : paths)
      path = at(path);
    return FileWatcher::watch(loop.io,
                              {.paths = std::move(paths),
                               .exclude = std::move(exclude),
                               .debounce = debounce},
                              handlers());
  }

  std::unique_ptr<FileWatcher> watch(std::vector<std::string> paths,
                                     std::vector<std::string> exclude = {},
                                     Duration debounce = 20ms) {
    auto watcher = try_watch(std::move(paths), std::move(exclude), debounce);
    EXPECT_TRUE(watcher) << watcher.error().what;
    return std::move(watcher).value();
  }

  [[nodiscard]] std::string at(const std::string& name) const {
    return dir.path("w/" + name);
  }
  void write(const std::string& name, const std::string& text = "x") const {
    dir.write("w/" + name, text);
  }

  /// What is told next.
  std::string next() {
    EXPECT_TRUE(loop.run_until([&] { return !told.empty(); }));
    EXPECT_EQ(told.size(), 1U);
    EXPECT_TRUE(troubles.empty());
    std::string first = told.empty() ? "nothing" : told.front();
    told.clear();
    return first;
  }

  /// The first of what happened since the last time, and after a change of
  /// `sentinel`, which counts: so that what does not count is seen not to.
  std::string first_before(const std::string& sentinel) {
    write(sentinel);
    return next();
  }

  testing::TempDir dir;
  testing::IoLoop loop;
  std::vector<std::string> told;
  std::vector<Error> troubles;
};

TEST_F(FileWatcherTest, TellsThatAFileWasWritten) {
  write("bin/api");
  const auto watcher = watch({"bin/api"});
  write("bin/api", "new");
  EXPECT_EQ(next(), "bin/api");
  write("bin/api", "newer");
  EXPECT_EQ(next(), "bin/api");
}

TEST_F(FileWatcherTest, TellsManyChangesOnce) {
  const auto watcher = watch({"src"}, {}, 100ms);
  for (int i = 0; i < 50; ++i)
    write(fmt::format("src/{}", i));
  EXPECT_EQ(next(), "src/0");
  EXPECT_FALSE(loop.run_until([&] { return !told.empty(); }, 300ms));
}

TEST_F(FileWatcherTest, IsNotPutOffBySteadyChanges) {
  const auto watcher = watch({"src"}, {}, 50ms);
  int writes = 0;
  ASSERT_TRUE(loop.run_until([&] {
    write("src/a", std::to_string(++writes));
    return !told.empty();
  }));
  EXPECT_GT(writes, 10);
}

TEST_F(FileWatcherTest, IsNotConcernedByReadingAndByOthers) {
  write("bin/api");
  write("bin/other");
  const auto watcher = watch({"bin/api", "sentinel"});
  EXPECT_EQ(dir.read("w/bin/api"), "x");
  write("bin/other", "new");
  fs::create_directory(at("bin/folder"));
  EXPECT_EQ(first_before("sentinel"), "sentinel");
}

TEST_F(FileWatcherTest, SeesAFileThatReplacesTheOldOne) {
  write("bin/api");
  const auto watcher = watch({"bin/api"});
  for (int i = 0; i < 3; ++i) {
    write("bin/.api.new", std::to_string(i));
    fs::rename(at("bin/.api.new"), at("bin/api"));
    EXPECT_EQ(next(), "bin/api");
  }
}

TEST_F(FileWatcherTest, SeesRightsAndTimesThatChange) {
  write("bin/api");
  const auto watcher = watch({"bin/api"});
  ASSERT_EQ(::chmod(at("bin/api").c_str(), 0755), 0);
  EXPECT_EQ(next(), "bin/api");
  ASSERT_EQ(::utimensat(AT_FDCWD, at("bin/api").c_str(), nullptr, 0), 0);
  EXPECT_EQ(next(), "bin/api");
}

TEST_F(FileWatcherTest, SeesAFileGoAndComeAgain) {
  write("bin/api");
  const auto watcher = watch({"bin/api"});
  fs::remove(at("bin/api"));
  EXPECT_EQ(next(), "bin/api");
  write("bin/api");
  EXPECT_EQ(next(), "bin/api");
  write("bin/api", "new");
  EXPECT_EQ(next(), "bin/api");
}

TEST_F(FileWatcherTest, WaitsForAFileWhoseFoldersAreNotThere) {
  const auto watcher = watch({"a/b/c/api"});
  fs::create_directories(at("a/b"));
  fs::create_directories(at("a/b/c"));
  write("a/b/c/other");
  write("a/b/c/api");
  EXPECT_EQ(next(), "a/b/c/api");
  fs::remove_all(at("a"));
  EXPECT_EQ(next(), "a/b/c/api");
  fs::create_directories(at("a/b/c"));
  write("a/b/c/api", "new");
  EXPECT_EQ(next(), "a/b/c/api");
  write("a/b/c/api", "newer");
  EXPECT_EQ(next(), "a/b/c/api");
}

TEST_F(FileWatcherTest, WaitsForAFolderThatIsNotThere) {
  const auto watcher = watch({"lib"});
  fs::create_directory(at("lib"));
  EXPECT_EQ(next(), "lib");
  write("lib/a");
  EXPECT_EQ(next(), "lib/a");
  fs::remove_all(at("lib"));
  (void)next();
  fs::create_directories(at("lib/deep"));
  EXPECT_EQ(next(), "lib");
  write("lib/deep/a");
  EXPECT_EQ(next(), "lib/deep/a");
}

TEST_F(FileWatcherTest, SeesThatAFolderAboveIsReplaced) {
  fs::create_directories(at("old/bin"));
  fs::create_directories(at("new/bin"));
  write("old/bin/api");
  write("new/bin/api");
  const auto watcher = watch({"old/bin/api"});
  fs::rename(at("old"), at("gone"));
  EXPECT_EQ(next(), "old/bin/api");
  fs::rename(at("new"), at("old"));
  EXPECT_EQ(next(), "old/bin/api");
  write("gone/bin/api", "of the old");
  write("old/bin/api", "of the new");
  EXPECT_EQ(next(), "old/bin/api");
}

TEST_F(FileWatcherTest, SeesWhatHappensInFoldersBelow) {
  const auto watcher = watch({"src"});
  write("src/sub/a");
  EXPECT_EQ(next(), "src/sub/a");
  fs::create_directories(at("src/new/deep/deeper"));
  EXPECT_EQ(next(), "src/new");
  write("src/new/deep/deeper/a");
  EXPECT_EQ(next(), "src/new/deep/deeper/a");
  fs::rename(at("src/new"), at("src/other"));
  (void)next();
  write("src/other/deep/deeper/a", "new");
  EXPECT_EQ(next(), "src/other/deep/deeper/a");
}

TEST_F(FileWatcherTest, SeesFilesThatWereInANewFolderBeforeItLooked) {
  fs::create_directory(at("elsewhere"));
  write("elsewhere/a.py");
  const auto watcher = watch({"src/**/*.py"});
  fs::rename(at("elsewhere"), at("src/sub/moved"));
  EXPECT_EQ(next(), "src/sub/moved/a.py");
}

TEST_F(FileWatcherTest, KnowsWhatAPatternMeans) {
  const auto watcher = watch({"src/**/*.py", "bin/api-?"}, {"test_*"});
  write("src/a.c");
  write("src/sub/a.pyc");
  write("src/sub/test_a.py");
  write("bin/api-10");
  fs::create_directories(at("src/new/empty"));
  EXPECT_EQ(first_before("src/sub/a.py"), "src/sub/a.py");
  write("src/new/empty/b.py");
  EXPECT_EQ(next(), "src/new/empty/b.py");
  write("bin/api-1");
  EXPECT_EQ(next(), "bin/api-1");
}

TEST_F(FileWatcherTest, WaitsForTheFolderOfAPattern) {
  const auto watcher = watch({"lib/**/*.py", "sentinel"});
  fs::create_directories(at("lib/a"));
  EXPECT_EQ(first_before("sentinel"), "sentinel");
  write("lib/a/b.py");
  EXPECT_EQ(next(), "lib/a/b.py");
}

TEST_F(FileWatcherTest, LeavesOutHiddenFoldersAndThoseOfOthers) {
  for (const char* folder : {".git", "node_modules", "sub/.cache", "gen"})
    fs::create_directories(at(std::string{"src/"} + folder));
  const auto watcher = watch({"src"}, {"gen"});
  write("src/.git/index");
  write("src/node_modules/a.js");
  write("src/sub/.cache/a");
  write("src/gen/a");
  write("src/.a.py.swp");
  fs::create_directory(at("src/.new"));
  EXPECT_EQ(first_before("src/sentinel"), "src/sentinel");
}

TEST_F(FileWatcherTest, WatchesAHiddenFolderThatIsNamed) {
  fs::create_directories(at(".config/sub"));
  const auto watcher = watch({".config"});
  write(".config/sub/a");
  EXPECT_EQ(next(), ".config/sub/a");
}

TEST_F(FileWatcherTest, FollowsALinkToItsFile) {
  fs::create_directories(at("releases/1"));
  fs::create_directories(at("releases/2"));
  write("releases/1/api");
  write("releases/2/api");
  fs::create_symlink("../releases/1/api", at("bin/api"));
  const auto watcher = watch({"bin/api"});
  write("releases/1/api", "new");
  EXPECT_EQ(next(), "bin/api");
  fs::create_symlink("../releases/2/api", at("bin/api.new"));
  fs::rename(at("bin/api.new"), at("bin/api"));
  EXPECT_EQ(next(), "bin/api");
  write("releases/1/api", "newer");
  EXPECT_FALSE(loop.run_until([&] { return !told.empty(); }, 200ms));
  write("releases/2/api", "new");
  EXPECT_EQ(next(), "bin/api");
}

TEST_F(FileWatcherTest, FollowsALinkToAFolderOnTheWay) {
  fs::create_directories(at("releases/1/bin"));
  fs::create_directories(at("releases/2/bin"));
  write("releases/1/bin/api");
  write("releases/2/bin/api");
  fs::create_directory_symlink(at("releases/1"), at("current"));
  const auto watcher = watch({"current/bin/api"});
  fs::create_directory_symlink(at("releases/2"), at("next"));
  fs::rename(at("next"), at("current"));
  EXPECT_EQ(next(), "current/bin/api");
  write("releases/2/bin/api", "new");
  EXPECT_EQ(next(), "current/bin/api");
}

TEST_F(FileWatcherTest, FollowsLinksToFilesInAFolder) {
  write("bin/config");
  fs::create_symlink("../bin/config", at("src/config"));
  fs::create_directory_symlink("../bin", at("src/folder"));
  fs::create_symlink("loop", at("src/loop"));
  const auto watcher = watch({"src"});
  write("bin/config", "new");
  EXPECT_EQ(next(), "src/config");
  write("bin/other");
  EXPECT_EQ(first_before("src/sentinel"), "src/sentinel");
  fs::create_symlink("../bin/later", at("src/later"));
  EXPECT_EQ(next(), "src/later");
  write("bin/later");
  EXPECT_EQ(next(), "src/later");
}

TEST_F(FileWatcherTest, HasPatienceWithAFileThatIsBeingWritten) {
  const auto watcher = watch({"bin/api"}, {}, 100ms);
  OwnedFd file{
      ::open(at("bin/api").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0700)};
  ASSERT_TRUE(file.is_open());
  EXPECT_FALSE(loop.run_until([&] { return !told.empty(); }, 400ms));
  file.reset();
  EXPECT_EQ(next(), "bin/api");
}

TEST_F(FileWatcherTest, TakesLostEventsForAChange) {
  std::size_t most = 0;
  std::ifstream{"/proc/sys/fs/inotify/max_queued_events"} >> most;
  if (most == 0 || most > 200'000)
    GTEST_SKIP() << "the queue of inotify is too long to fill";
  write("bin/api");
  const auto watcher = watch({"bin/api"});
  loop.settle();
  for (std::size_t i = 0; i <= most; i += 2) {
    ASSERT_EQ(::mkdir(at("bin/other").c_str(), 0700), 0);
    ASSERT_EQ(::rmdir(at("bin/other").c_str()), 0);
  }
  EXPECT_EQ(next(), "");
  write("bin/api");
  EXPECT_EQ(next(), "bin/api");
}

TEST_F(FileWatcherTest, RefusesTooManyFolders) {
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 65; ++j)
      fs::create_directories(at(fmt::format("many/{}/{}", i, j)));
  }
  const auto before = testing::own_resources().descriptors;
  const auto refused = try_watch({"many"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(),
            (Error{Errc::overloaded,
                   "more than 4096 folders to watch; watch fewer, or leave "
                   "some out with \"exclude\""}));
  loop.settle();
  EXPECT_LE(testing::own_resources().descriptors, before + 3)
      << "those of the loop";

  const auto watcher = watch({"src"});
  fs::rename(at("many"), at("src/many"));
  ASSERT_TRUE(loop.run_until([&] { return !troubles.empty(); }));
  EXPECT_EQ(troubles.front(), refused.error());
}

TEST_F(FileWatcherTest, LeavesNothingBehind) {
  watch({"src"}).reset();  // The loop has its own descriptors from now on.
  loop.settle();
  const auto before = testing::own_resources().descriptors;
  for (int i = 0; i < 20; ++i) {
    auto watcher = watch({"src", "a/b/c"});
    EXPECT_EQ(testing::own_resources().descriptors, before + 1);
    loop.settle();
    watcher.reset();
    loop.settle();
  }
  EXPECT_EQ(testing::own_resources().descriptors, before);
}

TEST_F(FileWatcherTest, LetsGoOfFoldersThatAreGone) {
  const auto watcher = watch({"src"});
  const auto watches = [] {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator{"/proc/self/fdinfo"}) {
      std::ifstream info{entry.path()};
      for (std::string line; std::getline(info, line);)
        count += line.starts_with("inotify ") ? 1U : 0U;
    }
    return count;
  };
  loop.settle();
  const std::size_t before = watches();
  if (before == 0)
    GTEST_SKIP() << "this kernel does not list the watches of inotify";
  for (int i = 0; i < 3; ++i) {
    fs::create_directories(at("src/a/b/c"));
    ASSERT_TRUE(loop.run_until([&] { return watches() == before + 3; }));
    (void)next();
    fs::rename(at("src/a"), at("away"));
    ASSERT_TRUE(loop.run_until([&] { return watches() == before; }));
    (void)next();
    fs::remove_all(at("away"));
  }
}

TEST_F(FileWatcherTest, IsNotPassedOnToPrograms) {
  const auto watcher = watch({"src"});
  std::size_t found = 0;
  for (const auto& entry : fs::directory_iterator{"/proc/self/fd"}) {
    std::error_code ignored;
    if (fs::read_symlink(entry.path(), ignored) != "anon_inode:inotify")
      continue;
    ++found;
    const int fd = std::stoi(entry.path().filename().string());
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(found, 1U);
}

TEST_F(FileWatcherTest, TellsNothingMoreOnceItIsDestroyed) {
  auto watcher = watch({"src"}, {}, 0ms);
  loop.settle();
  write("src/a");
  boost::asio::post(loop.io, [&] { watcher.reset(); });
  ASSERT_TRUE(loop.run_until([&] { return !watcher; }));
  told.clear();
  write("src/b");
  EXPECT_FALSE(loop.run_until([&] { return !told.empty(); }, 100ms));
}

TEST_F(FileWatcherTest, MayBeDestroyedByAChange) {
  std::unique_ptr<FileWatcher> watcher;
  int calls = 0;
  watcher = std::move(
      FileWatcher::watch(loop.io, {.paths = {at("src")}, .debounce = 0ms},
                         {.on_change =
                              [&](const std::string&) {
                                ++calls;
                                watcher.reset();
                              },
                          .on_trouble = [](const Error&) {}})
          .value());
  write("src/a");
  write("src/b");
  ASSERT_TRUE(loop.run_until([&] { return calls > 0; }));
  loop.settle();
  EXPECT_EQ(calls, 1);
}

TEST_F(FileWatcherTest, SaysWhatItMayNotWatch) {
  if (::geteuid() == 0)
    GTEST_SKIP() << "root may do anything";
  fs::permissions(at("bin"), fs::perms::none);
  const auto refused = try_watch({"bin/api"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error(),
      (Error{Errc::permission_denied,
             fmt::format("cannot watch {}: permission denied", at("bin"))}));
  fs::permissions(at("bin"), fs::perms::owner_all);
}

}  // namespace
}  // namespace troupe::service
