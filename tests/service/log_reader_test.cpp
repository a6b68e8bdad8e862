#include "log_files.hpp"
#include "own_resources.hpp"
#include "temp_dir.hpp"

#include <troupe/service/log_file.hpp>
#include <troupe/service/log_reader.hpp>

#include <atomic>
#include <fmt/format.h>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe::service {
namespace {

using testing::wait_until;

/// Nothing here may take longer; a test that does has failed.
constexpr Duration deadline = 20s;

/// Follows on a thread of its own.
class Following {
 public:
  explicit Following(std::vector<LogSource> logs, std::uint64_t lines = 10)
      : logs_{std::move(logs)}, thread_{[this, lines] {
          const ReadLogsOptions options{
              .last_lines = lines,
              .follow = true,
              .stop = [this] { return stop_.load(); },
              .deadline = std::chrono::steady_clock::now() + deadline};
          const auto done =
              read_logs(logs_, options, [this](std::string_view bytes) {
                const std::lock_guard lock{mutex_};
                output_ += bytes;
                return true;
              });
          EXPECT_TRUE(done) << done.error().what;
        }} {}
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;
  ~Following() { (void)stop(); }

  [[nodiscard]] std::string output() {
    const std::lock_guard lock{mutex_};
    return output_;
  }
  [[nodiscard]] bool wait_for(const std::string& whole) {
    return wait_until([&] { return output() == whole; }, deadline);
  }
  [[nodiscard]] std::string stop() {
    stop_ = true;
    if (thread_.joinable())
      thread_.join();
    return output();
  }

 private:
  std::vector<LogSource> logs_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::string output_;
  std::thread thread_;
};

class LogReaderTest : public ::testing::Test {
 protected:
  [[nodiscard]] LogFile open(const std::string& name,
                             std::uint64_t max_bytes = 1'000'000,
                             std::uint32_t rotated_files = 3) const {
    return LogFile{{.path = dir.path(name),
                    .max_bytes = max_bytes,
                    .rotated_files = rotated_files},
                   [](const Error& e) { ADD_FAILURE() << e.what; }};
  }
  static std::string read(const std::vector<LogSource>& logs,
                          const ReadLogsOptions& options = {}) {
    std::string output;
    const auto done = read_logs(logs, options, [&](std::string_view bytes) {
      output += bytes;
      return true;
    });
    EXPECT_TRUE(done) << done.error().what;
    return output;
  }
  [[nodiscard]] std::vector<LogSource> web_and_db() const {
    return {{dir.path("web"), "web | "}, {dir.path("db"), "db  | "}};
  }

  testing::TempDir dir;
};

TEST_F(LogReaderTest, PassesTheLastLinesOnAsTheyAre) {
  const std::string bytes{"\xff\0\r\nlast", 8};
  open("web").write("1\n2\n" + bytes);
  EXPECT_EQ(read({{dir.path("web"), ""}}, {.last_lines = 2}), bytes);
  EXPECT_EQ(read({{dir.path("web"), ""}}, {.last_lines = {}}),
            "1\n2\n" + bytes);
}

TEST_F(LogReaderTest, SaysThatThereIsNoLog) {
  const std::vector<LogSource> logs{{dir.path("none"), ""}};
  EXPECT_EQ(read_logs(logs, {}, [](std::string_view) { return true; }).error(),
            (Error{Errc::not_found, "there is no log " + dir.path("none")}));
}

TEST_F(LogReaderTest, PutsTheNameBeforeEachLineOfSeveralLogs) {
  open("web").write("1\n2\n3");
  open("db").write("a\nb\n");
  EXPECT_EQ(read(web_and_db(), {.last_lines = 2}),
            "web | 2\nweb | 3\ndb  | a\ndb  | b\n");
}

TEST_F(LogReaderTest, EndsWhenTheOutputWantsNoMore) {
  open("web").write(std::string(300'000, '\n'));
  for (const char* const prefix : {"", "web | "}) {
    const std::vector<LogSource> logs{{dir.path("web"), prefix}};
    int calls = 0;
    EXPECT_TRUE(read_logs(logs, {.last_lines = {}, .follow = true},
                          [&](std::string_view) { return ++calls < 2; }));
    EXPECT_EQ(calls, 2);
  }
}

TEST_F(LogReaderTest, EndsAtTheDeadline) {
  open("web").write("1\n");
  EXPECT_EQ(read({{dir.path("web"), ""}},
                 {.follow = true,
                  .deadline = std::chrono::steady_clock::now() + 20ms}),
            "1\n");
}

TEST_F(LogReaderTest, FollowsAndReadsWhatWasWrittenBeforeTheStop) {
  LogFile log = open("web");
  log.write("1\n2\n");
  Following following{{{dir.path("web"), ""}}, 1};
  ASSERT_TRUE(following.wait_for("2\n"));
  log.write("half a li");
  ASSERT_TRUE(following.wait_for("2\nhalf a li"));
  log.write("ne\n");
  EXPECT_EQ(following.stop(), "2\nhalf a line\n");
}

TEST_F(LogReaderTest, WaitsForALogAndForItsFolder) {
  Following following{{{dir.path("logs/web"), ""}}};
  std::filesystem::create_directory(dir.path("logs"));
  LogFile log = open("logs/web");
  log.write("1\n");
  ASSERT_TRUE(following.wait_for("1\n"));
  std::filesystem::remove_all(dir.path("logs"));
  std::filesystem::create_directory(dir.path("logs"));
  log.write("2\n");
  EXPECT_TRUE(following.wait_for("1\n2\n"));
}

TEST_F(LogReaderTest, KeepsTheLinesOfSeveralLogsWhole) {
  LogFile web = open("web");
  LogFile db = open("db");
  Following following{web_and_db()};
  web.write("half ");
  db.write("a\n");
  ASSERT_TRUE(following.wait_for("db  | a\n"));
  web.write("a line\nnext");
  ASSERT_TRUE(following.wait_for("db  | a\nweb | half a line\n"));
  db.write("b");
  EXPECT_EQ(following.stop(),
            "db  | a\nweb | half a line\nweb | next\ndb  | b");
}

TEST_F(LogReaderTest, PassesGiantLinesOnInPieces) {
  LogFile web = open("web");
  LogFile db = open("db");
  Following following{web_and_db()};
  const std::string giant(100'000, 'x');
  web.write(giant);
  ASSERT_TRUE(wait_until([&] { return following.output().size() > 60'000; }));
  const std::string begun = following.output();
  db.write("a\n");
  ASSERT_TRUE(following.wait_for(begun + "\ndb  | a\n"));
  web.write("end\n");
  const std::string rest = giant.substr(begun.size() - 6) + "end\n";
  EXPECT_EQ(following.stop(), begun + "\ndb  | a\nweb | " + rest);
}

TEST_F(LogReaderTest, ReadsAGiantLineInConstantMemory) {
  {
    LogFile log = open("web", 100'000'000, 1);
    const std::string piece(1'000'000, 'x');
    for (int i = 0; i < 64; ++i)
      log.write(piece);
  }
  std::size_t bytes = 0;
  std::size_t largest = 0;
  const std::vector<LogSource> logs{{dir.path("web"), "web | "}};
  ASSERT_TRUE(read_logs(logs, {.last_lines = 1}, [&](std::string_view piece) {
    bytes += piece.size();
    largest = std::max(largest, piece.size());
    return true;
  }));
  EXPECT_EQ(bytes, 64'000'006U);
  EXPECT_LE(largest, 200'000U);
}

TEST_F(LogReaderTest, LeavesNothingBehind) {
  open("web", 10, 5).write("12345678\n12345678\n12345678\n");
  const auto before = testing::own_resources();
  read({{dir.path("web"), ""}},
       {.follow = true, .deadline = std::chrono::steady_clock::now()});
  EXPECT_EQ(testing::own_resources(), before);
}

/// A writer that rotates as fast as it can, and a reader of its own pace.
TEST_F(LogReaderTest, FollowsThroughAThousandRotations) {
  LogFile log = open("web", 200, 80);
  log.write("begin\n");
  Following following{{{dir.path("web"), ""}}};
  ASSERT_TRUE(following.wait_for("begin\n"));
  std::string written = "begin\n";
  for (int turn = 0; turn < 20; ++turn) {
    for (int i = 0; i < 900; ++i) {
      const std::string line = fmt::format("line {}.{}\n", turn, i);
      log.write(line);
      written += line;
    }
    // Not more than the files that are kept.
    ASSERT_TRUE(following.wait_for(written)) << turn;
  }
  EXPECT_EQ(following.stop(), written);
}

/// As many lines as are asked for, whenever one asks.
TEST_F(LogReaderTest, FindsTheLastLinesWhileTheLogRotates) {
  LogFile log = open("web", 100, 50);
  for (int i = 0; i < 1'000; ++i)
    log.write(fmt::format("line {}\n", i));
  std::atomic<bool> stop = false;
  std::thread writer{[&] {
    for (int i = 1'000; !stop; ++i)
      log.write(fmt::format("line {}\n", i));
  }};
  for (int turn = 0; turn < 200; ++turn) {
    const std::string text = read({{dir.path("web"), ""}}, {.last_lines = 20});
    int line = 0;
    ASSERT_EQ(std::sscanf(text.c_str(), "line %d\n", &line), 1) << text;
    std::string expected;
    for (int count = 0; expected.size() < text.size(); ++count)
      expected += fmt::format("line {}\n", line + count);
    ASSERT_EQ(text, expected);
    ASSERT_GE(std::count(text.begin(), text.end(), '\n'), 20);
  }
  stop = true;
  writer.join();
}

}  // namespace
}  // namespace troupe::service
