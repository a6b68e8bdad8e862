#include "log_files.hpp"
#include "temp_dir.hpp"

#include <troupe/service/log_file.hpp>

#include <csignal>
#include <fcntl.h>
#include <rapidcheck/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace troupe::service {
namespace {

constexpr std::size_t slack = 64 << 10;

class LogFileTest : public ::testing::Test {
 protected:
  LogFile open(std::uint64_t max_bytes, std::uint32_t rotated_files) {
    return LogFile{
        {.path = path, .max_bytes = max_bytes, .rotated_files = rotated_files},
        [this](const Error& e) { errors.push_back(e); }};
  }
  [[nodiscard]] std::string read(std::uint32_t number) const {
    return dir.read(rotated_path("web.log", number));
  }
  [[nodiscard]] bool exists(std::uint32_t number) const {
    return std::filesystem::exists(rotated_path(path, number));
  }

  testing::TempDir dir;
  const std::string path = dir.path("web.log");
  std::vector<Error> errors;
};

/// The disk is full as soon as a file has this many bytes.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : old_handler_{::signal(SIGXFSZ, SIG_IGN)} {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    (void)::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  sighandler_t old_handler_;
};

TEST_F(LogFileTest, AppendsBytesAsTheyAre) {
  const std::string bytes{"a\0\xff\r\nb", 6};
  open(1'000, 1).write(bytes);
  open(1'000, 1).write("c");
  EXPECT_EQ(read(0), bytes + "c");
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(LogFileTest, RotatesBetweenLinesAndKeepsTheNewestFiles) {
  LogFile log = open(10, 2);
  log.write("1234\n5678\nab\ncdefghi\n");
  EXPECT_EQ(read(2), "1234\n5678\n");
  EXPECT_EQ(read(1), "ab\n");
  EXPECT_EQ(read(0), "cdefghi\n");
  log.write("next\n");
  EXPECT_EQ(read(2), "ab\n");
  EXPECT_EQ(read(1), "cdefghi\n");
  EXPECT_EQ(read(0), "next\n");
  EXPECT_FALSE(exists(3));
  EXPECT_TRUE(errors.empty());
}

TEST_F(LogFileTest, EndsALineThatHasBegunBeforeItRotates) {
  LogFile log = open(10, 2);
  log.write("12345678");
  log.write("9abcdef\nnext\n");
  EXPECT_EQ(read(1), "123456789abcdef\n");
  EXPECT_EQ(read(0), "next\n");
}

TEST_F(LogFileTest, RotatesInTheMiddleOfALineThatDoesNotEndSoon) {
  LogFile log = open(10, 2);
  const std::string line(10 + slack, 'x');
  log.write("short\n");
  log.write(line + "y\n");
  EXPECT_EQ(read(2), "short\n");
  EXPECT_EQ(read(1), line);
  EXPECT_EQ(read(0), "y\n");
}

TEST_F(LogFileTest, KeepsALineTogetherThatEndsJustInTime) {
  LogFile log = open(10, 2);
  const std::string line = std::string(10 + slack - 1, 'x') + "\n";
  log.write(line + "next\n");
  EXPECT_EQ(read(1), line);
  EXPECT_EQ(read(0), "next\n");
}

TEST_F(LogFileTest, ThrowsAwayWhatIsFullIfNothingIsKept) {
  LogFile log = open(10, 0);
  log.write("12345678\n");
  log.write("next\n");
  EXPECT_EQ(whole_log(path), "next\n");
  EXPECT_FALSE(exists(1));
}

TEST_F(LogFileTest, GoesOnWithTheFilesOfItsPredecessor) {
  open(10, 3).write("a2345678\nb2345678\nc2345");
  open(10, 3).write("678\nd\n");
  EXPECT_EQ(read(3), "a2345678\n");
  EXPECT_EQ(read(2), "b2345678\n");
  EXPECT_EQ(read(1), "c2345678\n");
  EXPECT_EQ(read(0), "d\n");
  EXPECT_EQ(whole_log(path), "a2345678\nb2345678\nc2345678\nd\n");
}

TEST_F(LogFileTest, RemovesFilesOfATimeWhenMoreWereKept) {
  open(10, 5).write("a2345678\nb2345678\nc2345678\nd2345678\n");
  ASSERT_TRUE(exists(3));
  open(10, 1).write("e\n");
  EXPECT_EQ(whole_log(path), "d2345678\ne\n");
}

TEST_F(LogFileTest, FillsAGapBeforeItMovesOlderFiles) {
  LogFile log = open(10, 3);
  log.write("a2345678\nb2345678\nc2345678\nd2345678\n");
  ASSERT_EQ(::unlink(rotated_path(path, 1).c_str()), 0);
  log.write("e2345678\n");
  EXPECT_EQ(whole_log(path), "a2345678\nb2345678\nd2345678\ne2345678\n");
}

TEST_F(LogFileTest, MakesAFileAnewThatWasRemovedOrRenamed) {
  LogFile log = open(1'000, 1);
  log.write("a\n");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  log.write("b\n");
  EXPECT_EQ(read(0), "b\n");
  std::filesystem::rename(path, dir.path("elsewhere"));
  log.write("c\n");
  EXPECT_EQ(read(0), "c\n");
  EXPECT_EQ(dir.read("elsewhere"), "b\n");
  EXPECT_TRUE(errors.empty());
}

TEST_F(LogFileTest, ReportsAFullDiskOnceAndNotesWhatWasLost) {
  LogFile log = open(100'000, 1);
  log.write("begin\n");
  {
    const FullDisk disk{10};
    log.write("12345678\n");  // Four bytes of it fit.
    log.write("more\n");
    log.write("more\n");
  }
  EXPECT_EQ(errors,
            (std::vector{Error{Errc::unavailable,
                               "cannot write " + path + ": file too large"}}));
  EXPECT_EQ(log.lost_bytes(), 15U);
  log.write("again\n");
  log.write("and on\n");
  EXPECT_EQ(read(0),
            "begin\n1234\n[troupe: 15 bytes were lost]\nagain\nand on\n");

  {
    const FullDisk disk{1};
    log.write("\n");
  }
  log.write("end\n");
  EXPECT_EQ(errors.size(), 2U);
  EXPECT_TRUE(read(0).ends_with("and on\n[troupe: 1 byte was lost]\nend\n"));
}

TEST_F(LogFileTest, LeavesNoHalfNoteOnADiskThatIsFullAgain) {
  LogFile log = open(100'000, 1);
  log.write("begin\n");
  {
    const FullDisk disk{6};
    log.write("lost\n");
  }
  {
    const FullDisk disk{20};
    log.write("lost\n");
  }
  EXPECT_EQ(read(0), "begin\n");
  log.write("again\n");
  EXPECT_EQ(read(0), "begin\n[troupe: 10 bytes were lost]\nagain\n");
  EXPECT_EQ(errors.size(), 1U);
}

TEST_F(LogFileTest, SurvivesTheLossOfItsFolder) {
  std::filesystem::create_directory(dir.path("logs"));
  const std::string inside = dir.path("logs/web.log");
  LogFile log{{.path = inside, .max_bytes = 100, .rotated_files = 1},
              [this](const Error& e) { errors.push_back(e); }};
  log.write("a\n");
  std::filesystem::remove_all(dir.path("logs"));
  log.write("b\n");
  log.write("c\n");
  EXPECT_EQ(
      errors,
      (std::vector{Error{Errc::not_found, "cannot open " + inside +
                                              ": no such file or directory"}}));
  std::filesystem::create_directory(dir.path("logs"));
  log.write("d\n");
  EXPECT_EQ(dir.read("logs/web.log"), "[troupe: 4 bytes were lost]\nd\n");
}

TEST_F(LogFileTest, DropsRatherThanGrowsWhenItCannotRotate) {
  LogFile log = open(50, 1);
  std::filesystem::create_directory(path + ".1");
  const std::string line = std::string(39, 'x') + "\n";
  log.write(line);
  log.write(line);
  log.write(line);
  EXPECT_EQ(read(0), line);
  EXPECT_EQ(log.lost_bytes(), 80U);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0].what, "cannot rename " + path + ": is a directory");
  std::filesystem::remove(path + ".1");
  log.write("next\n");
  EXPECT_EQ(read(1), line);
  EXPECT_EQ(read(0), "[troupe: 80 bytes were lost]\nnext\n");
}

TEST_F(LogFileTest, RefusesWhatIsNotAFile) {
  LogFile log{{.path = "/dev/full"},
              [this](const Error& e) { errors.push_back(e); }};
  log.write("a\n");
  EXPECT_EQ(
      errors,
      (std::vector{Error{Errc::invalid_argument, "/dev/full is not a file"}}));
  EXPECT_EQ(log.lost_bytes(), 2U);
}

RC_GTEST_FIXTURE_PROP(LogFileTest, KeepsTheNewestBytesWithinItsBounds, ()) {
  const auto max_bytes = *rc::gen::inRange<std::uint64_t>(1, 400);
  const auto rotated_files = *rc::gen::inRange<std::uint32_t>(0, 5);
  const auto writes = *rc::gen::inRange(1, 60);
  const std::uint64_t limit = (rotated_files + 1) * max_bytes + slack;
  std::string all;
  std::uint64_t counter = 0;
  LogFile log = open(max_bytes, rotated_files);
  for (int i = 0; i < writes; ++i) {
    const bool is_giant = *rc::gen::inRange(0, 20) == 0;
    const std::string text =
        is_giant ? std::string(*rc::gen::inRange<std::size_t>(1, 150'000), 'x')
                 : random_text(300, counter);
    log.write(text);
    all += text;
    RC_ASSERT(bytes_on_disk(path) <= limit);
    RC_ASSERT(!exists(rotated_files + 1));
  }
  RC_ASSERT(errors.empty());
  const std::string kept = whole_log(path);
  RC_ASSERT(all.ends_with(kept));
  RC_ASSERT(kept.size() >= std::min<std::size_t>(all.size(), 1));
}

}  // namespace
}  // namespace troupe::service
