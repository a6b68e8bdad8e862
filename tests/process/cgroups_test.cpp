#include "temp_dir.hpp"

#include <troupe/process/cgroups.hpp>

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace troupe::process {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr std::string_view mounts =
    "22 1 0:20 / /proc rw,relatime - proc proc rw\n"
    "30 1 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "32 30 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";

TEST(CgroupFolder, IsWhereTheProcessIsInTheMountedHierarchy) {
  EXPECT_EQ(cgroup_folder(mounts, "4:memory:/old\n0::/user.slice/a.scope\n"),
            "/sys/fs/cgroup/unified/user.slice/a.scope");
  EXPECT_EQ(cgroup_folder(mounts, "0::/\n"), "/sys/fs/cgroup/unified");
}

TEST(CgroupFolder, OfWhatTroupeHasMovedIsTheOneAbove) {
  EXPECT_EQ(cgroup_folder(mounts, "0::/a.scope/troupe-self-17\n"),
            "/sys/fs/cgroup/unified/a.scope");
  EXPECT_EQ(cgroup_folder(mounts, "0::/troupe-self-17\n"),
            "/sys/fs/cgroup/unified");
  // A service with limits of its own may run a troupe as well.
  EXPECT_EQ(cgroup_folder(mounts, "0::/a.scope/troupe-17-1\n"),
            "/sys/fs/cgroup/unified/a.scope/troupe-17-1");
}

TEST(CgroupFolder, OfAHierarchyThatIsMountedInPartBeginsThere) {
  constexpr std::string_view part =
      "32 30 0:28 /docker/x /sys/fs/cgro\\040up rw - cgroup2 cgroup rw\n";
  EXPECT_EQ(cgroup_folder(part, "0::/docker/x/a\n"), "/sys/fs/cgro up/a");
  EXPECT_EQ(cgroup_folder(part, "0::/elsewhere\n"), "");
}

TEST(CgroupFolder, IsEmptyWithoutTheSecondVersion) {
  EXPECT_EQ(cgroup_folder("31 30 0:27 / /c rw - cgroup cgroup rw,cpu\n",
                          "1:cpu:/a\n"),
            "");
  EXPECT_EQ(cgroup_folder(mounts, "1:cpu:/a\n"), "");
  EXPECT_EQ(cgroup_folder("", ""), "");
  EXPECT_EQ(cgroup_folder("cgroup2 -\n- cgroup2\n- \n", "0::"), "");
}

TEST(CgroupSettings, AreThoseOfTheLimitsThatAreGiven) {
  EXPECT_THAT(cgroup_settings({}), IsEmpty());
  EXPECT_THAT(
      cgroup_settings({.cpu_percent = 150, .tasks = 9}),
      ElementsAre(Pair("cpu.max", "150000 100000"), Pair("pids.max", "9")));
  EXPECT_THAT(
      cgroup_settings({.memory_bytes = 1 << 20}),
      ElementsAre(Pair("memory.max", "1048576"), Pair("memory.swap.max", "0"),
                  Pair("memory.oom.group", "1")));
}

/// A folder with the files of a cgroup, so far as they are looked at first.
class CgroupsTest : public ::testing::Test {
 protected:
  CgroupsTest() {
    write("cgroup.controllers", "cpuset cpu pids\n");
    write("cgroup.subtree_control", "\n");
    write("cgroup.procs", "");
    write("cgroup.type", "domain\n");
  }

  void write(const std::string& name, const std::string& text) {
    folder_.write(name, text);
  }
  Result<void> check(const TreeLimits& limits) {
    return Cgroups{folder_.path(), ::getpid()}.check(limits);
  }

  testing::TempDir folder_;
};

TEST_F(CgroupsTest, AreExpectedWhereTheControllersCanBeHandedOn) {
  EXPECT_TRUE(check({.cpu_percent = 50, .tasks = 7}));
}

TEST_F(CgroupsTest, AreNotExpectedWithoutAController) {
  const auto result = check({.memory_bytes = 1 << 20, .tasks = 7});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::unavailable);
  EXPECT_THAT(result.error().what, HasSubstr("has no controller memory;"));
}

TEST_F(CgroupsTest, AreNotExpectedWithoutAHierarchy) {
  const auto result = Cgroups{"", ::getpid()}.check({.tasks = 7});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what, HasSubstr("no cgroup v2"));
}

TEST_F(CgroupsTest, AreNotExpectedBesideProcessesOfOthers) {
  write("cgroup.procs", std::to_string(::getpid()) + "\n");
  EXPECT_TRUE(check({.tasks = 7}));
  write("cgroup.procs",
        std::to_string(::getpid()) + "\n" + std::to_string(::getppid()) + "\n");
  const auto result = check({.tasks = 7});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what, HasSubstr("not of this troupe"));
  // In the root of all, or if somebody has done it already, they do no harm.
  write("cgroup.subtree_control", "pids\n");
  EXPECT_TRUE(check({.tasks = 7}));
  write("cgroup.subtree_control", "\n");
  std::filesystem::remove(folder_.path("cgroup.type"));
  EXPECT_TRUE(check({.tasks = 7}));
}

TEST_F(CgroupsTest, ThatCannotBeMadeLeaveNothing) {
  Cgroups groups{folder_.path(), ::getpid()};
  EXPECT_FALSE(groups.make({.tasks = 7}));
  for (const auto& entry : std::filesystem::directory_iterator{folder_.path()})
    EXPECT_FALSE(entry.is_directory()) << entry.path();
}

TEST_F(CgroupsTest, OfATroupeThatIsGoneAreRemoved) {
  // No process has a number as high as the kernel's limit.
  const std::string dead = folder_.path("troupe-4194304-1");
  const std::string own =
      folder_.path("troupe-" + std::to_string(::getpid()) + "-1");
  const std::string other = folder_.path("troupe-project");
  for (const auto& folder : {dead, own, other})
    std::filesystem::create_directory(folder);
  Cgroups groups{folder_.path(), ::getpid()};
  (void)groups.make({.tasks = 7});
  EXPECT_FALSE(std::filesystem::exists(dead));
  EXPECT_TRUE(std::filesystem::exists(own));
  EXPECT_TRUE(std::filesystem::exists(other));
}

}  // namespace
}  // namespace troupe::process
