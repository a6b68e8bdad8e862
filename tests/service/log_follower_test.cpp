#include "log_follower.hpp"

#include "log_files.hpp"
#include "temp_dir.hpp"

#include <troupe/service/log_file.hpp>

#include <fcntl.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::service {
namespace {

class LogFollowerTest : public ::testing::Test {
 protected:
  static std::string read_all(LogFollower& follower, std::size_t piece = 100) {
    std::string all;
    std::string buffer(piece, '\0');
    while (true) {
      const auto size = follower.read(buffer);
      EXPECT_TRUE(size) << size.error().what;
      if (!size || *size == 0)
        return all;
      all.append(buffer, 0, *size);
    }
  }
  [[nodiscard]] LogFile open(std::uint64_t max_bytes,
                             std::uint32_t rotated_files) const {
    return LogFile{
        {.path = path, .max_bytes = max_bytes, .rotated_files = rotated_files},
        [](const Error& e) { ADD_FAILURE() << e.what; }};
  }

  testing::TempDir dir;
  const std::string path = dir.path("web.log");
};

TEST_F(LogFollowerTest, ReadsTheRestOfARotatedFileFirst) {
  LogFile log = open(10, 3);
  log.write("1\n");
  LogFollower follower{path};
  ASSERT_TRUE(follower.start(0));
  log.write("2\n3\n4\n");
  log.write("a2345678\nb2345678\n");
  EXPECT_EQ(read_all(follower), "2\n3\n4\na2345678\nb2345678\n");
}

TEST_F(LogFollowerTest, BeginsWithTheFirstFileWhenThereIsNone) {
  LogFollower follower{path};
  EXPECT_EQ(follower.start(10).error(),
            (Error{Errc::not_found, "there is no log " + path}));
  EXPECT_EQ(read_all(follower), "");
  LogFile log = open(10, 3);
  log.write("a2345678\nb2345678\n");
  EXPECT_EQ(read_all(follower), "a2345678\nb2345678\n");
}

TEST_F(LogFollowerTest, ReadsAFileThatWasRemovedToItsEndAndThenTheNewOne) {
  LogFile log = open(10, 0);
  log.write("1\n");
  LogFollower follower{path};
  ASSERT_TRUE(follower.start(std::nullopt));
  log.write("2\n");
  log.write("a2345678\n");
  EXPECT_EQ(read_all(follower), "1\n2\na2345678\n");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  EXPECT_EQ(read_all(follower), "");
  log.write("3\n");
  EXPECT_EQ(read_all(follower), "3\n");
}

TEST_F(LogFollowerTest, DoesNotReadOlderFilesAgainWhenItsOwnIsRemoved) {
  LogFile log = open(10, 3);
  log.write("a2345678\nb2345678\n");
  LogFollower follower{path};
  ASSERT_TRUE(follower.start(1));
  EXPECT_EQ(read_all(follower), "b2345678\n");
  // Clocks of files tick some hundred times in a second.
  const timespec past[2] = {{.tv_sec = 1, .tv_nsec = 0},
                            {.tv_sec = 1, .tv_nsec = 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, rotated_path(path, 1).c_str(), past, 0), 0);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  EXPECT_EQ(read_all(follower), "");
  log.write("c\n");
  EXPECT_EQ(read_all(follower), "c\n");
}

TEST_F(LogFollowerTest, BeginsAgainWhenItsFileIsEmptied) {
  LogFile log = open(1'000, 3);
  log.write("12345678\n");
  LogFollower follower{path};
  ASSERT_TRUE(follower.start(0));
  std::filesystem::resize_file(path, 0);
  log.write("new\n");
  EXPECT_EQ(read_all(follower), "new\n");
}

TEST_F(LogFollowerTest, GoesOnWithTheOldestFileThatIsLeftWhenItIsTooSlow) {
  LogFile log = open(10, 2);
  log.write("a2345678\n");
  LogFollower follower{path};
  ASSERT_TRUE(follower.start(std::nullopt));
  log.write("b2345678\nc2345678\nd2345678\ne2345678\n");
  EXPECT_EQ(read_all(follower), "a2345678\nc2345678\nd2345678\ne2345678\n");
}

TEST_F(LogFollowerTest, FindsTheLastLinesInOlderFiles) {
  open(10, 5).write("a2345678\nb\nc\nd234567890\ne2\nf");
  const auto last = [&](std::optional<std::uint64_t> lines) {
    LogFollower follower{path};
    EXPECT_TRUE(follower.start(lines));
    return read_all(follower);
  };
  EXPECT_EQ(last(0), "");
  EXPECT_EQ(last(1), "f");
  EXPECT_EQ(last(2), "e2\nf");
  EXPECT_EQ(last(3), "d234567890\ne2\nf");
  EXPECT_EQ(last(5), "b\nc\nd234567890\ne2\nf");
  EXPECT_EQ(last(100), "a2345678\nb\nc\nd234567890\ne2\nf");
  EXPECT_EQ(last(std::nullopt), "a2345678\nb\nc\nd234567890\ne2\nf");
}

TEST_F(LogFollowerTest, FindsTheBeginOfAGiantLine) {
  const std::string giant(1'000'000, 'x');
  open(300'000, 9).write("first\nsecond\n" + giant + "\nlast\n");
  LogFollower follower{path};
  ASSERT_TRUE(follower.start(2));
  EXPECT_EQ(read_all(follower, 60'000), giant + "\nlast\n");
}

/// The last `lines` lines by the simplest code there is.
std::string last_lines(const std::string& text, std::uint64_t lines) {
  std::size_t begin = text.size();
  for (; begin > 0; --begin) {
    if (text[begin - 1] == '\n' && begin != text.size() && --lines == 0)
      break;
  }
  return text.substr(begin);
}

RC_GTEST_FIXTURE_PROP(LogFollowerTest, FindsAnyNumberOfLastLines, ()) {
  std::uint64_t counter = 0;
  const auto max_bytes = *rc::gen::inRange<std::uint64_t>(1, 300);
  LogFile log = open(max_bytes, 9);
  const auto writes = *rc::gen::inRange(1, 15);
  for (int i = 0; i < writes; ++i)
    log.write(random_text(200, counter));
  const auto lines = *rc::gen::inRange<std::uint64_t>(1, 60);
  LogFollower follower{path};
  RC_ASSERT(follower.start(lines));
  RC_ASSERT(read_all(follower) == last_lines(whole_log(path), lines));
}

RC_GTEST_FIXTURE_PROP(LogFollowerTest, LosesAndDoublesNothing, ()) {
  std::uint64_t counter = 0;
  const auto max_bytes = *rc::gen::inRange<std::uint64_t>(2, 500);
  const auto rotated_files = *rc::gen::inRange<std::uint32_t>(0, 5);
  LogFile log = open(max_bytes, rotated_files);
  LogFollower follower{path};
  RC_ASSERT(follower.start(std::nullopt));
  std::string written;
  std::string read;
  const auto writes = *rc::gen::inRange(1, 60);
  for (int i = 0; i < writes; ++i) {
    // At most one rotation, which a reader that keeps up survives anyhow.
    const std::string text = random_text(max_bytes / 2, counter);
    log.write(text);
    written += text;
    read += read_all(follower, *rc::gen::inRange<std::size_t>(1, 200));
    RC_ASSERT(read == written);
  }
}

}  // namespace
}  // namespace troupe::service
