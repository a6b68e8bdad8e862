#include "procfs.hpp"

#include "temp_dir.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::process {
namespace {

TEST(ParseStat, ReadsFieldsBehindANameWithSpacesAndBrackets) {
  const auto stat = parse_stat(
      "5374 (a ) b) R 5329 5330 1265 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 "
      "28828 3133440 361 18446744073709551615 94107596509184 94107596529065 "
      "140730846044896 0 0 0 0 0 0 0 0 0 -1 0 0 0 0 0 0 94107596545072 "
      "94107596546688 94107713011712 140730846046854 140730846046874 "
      "140730846046874 140730846048235 0");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 5374);
  EXPECT_EQ(stat->state, 'R');
  EXPECT_EQ(stat->parent, 5329);
  EXPECT_EQ(stat->group, 5330);
  EXPECT_EQ(stat->session, 1265);
  EXPECT_EQ(stat->start_ticks, 28828U);
  EXPECT_EQ(stat->memory_bytes, 3133440U);
  EXPECT_EQ(stat->environment_end, 140730846048235U);
}

TEST(ParseStat, RefusesALineThatEndsEarly) {
  EXPECT_FALSE(parse_stat(""));
  EXPECT_FALSE(parse_stat("5374 (a"));
  EXPECT_FALSE(parse_stat("5374 (a)"));
  EXPECT_FALSE(parse_stat("5374 (a) R 5329 5330 1265"));
  EXPECT_FALSE(
      parse_stat("5374 (a) R 5329 5330 1265 0 -1 4194304 99 0 0 0 0 "
                 "0 0 0 20 0 1 0 28828 3133440 361"));
}

/// A process that does nothing but become the same program again.
class EndlessExec {
 public:
  explicit EndlessExec(const std::string& marked) {
    dir_.write("again", "#!/bin/sh\nexec \"$0\"\n");
    const std::string program = dir_.path("again");
    EXPECT_EQ(::chmod(program.c_str(), 0700), 0);
    std::string name = program;
    std::string variable = marked;
    char* arguments[] = {name.data(), nullptr};
    char* environment[] = {variable.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments,
                            environment),
              0);
  }
  ~EndlessExec() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  EndlessExec(const EndlessExec&) = delete;
  EndlessExec& operator=(const EndlessExec&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  testing::TempDir dir_;
  pid_t pid_ = 0;
};

TEST(LookIntoEnvironment, NeverTakesAProcessInAnExecForOneWithoutTheVariable) {
  const EndlessExec process{"TROUPE_TEST_MARK=here"};
  constexpr int looks = 5'000;
  int known = 0;
  for (int i = 0; i < looks; ++i) {
    const EnvironmentLook look =
        look_into_environment(process.pid(), "TROUPE_TEST_MARK");
    ASSERT_TRUE(look.is_in_exec || look.value == "here") << "at look " << i;
    known += look.value ? 1 : 0;
  }
  EXPECT_GT(known, 0);
}

TEST(LookIntoEnvironment, DoesNotHopeForAVariableThatIsNotThere) {
  const EnvironmentLook look =
      look_into_environment(::getpid(), "TROUPE_NO_SUCH_VARIABLE");
  EXPECT_FALSE(look.value);
  EXPECT_FALSE(look.is_in_exec);
}

TEST(LookIntoEnvironment, HasNothingOfAProcessThatIsGone) {
  pid_t gone = 0;
  {
    const EndlessExec process{"TROUPE_TEST_MARK=here"};
    gone = process.pid();
  }
  const EnvironmentLook look = look_into_environment(gone, "TROUPE_TEST_MARK");
  EXPECT_FALSE(look.value);
  EXPECT_FALSE(look.is_in_exec);
}

}  // namespace
}  // namespace troupe::process
