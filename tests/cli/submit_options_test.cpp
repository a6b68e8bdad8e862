#include "submit_options.hpp"

#include "subcommand.hpp"

#include <troupe/base/wall_time.hpp>

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

class Submit : public ::testing::Test {
 protected:
  /// The body for what was typed, or the error.
  std::string body(std::vector<std::string> typed,
                   std::vector<std::string> words = {"make"}) {
    SubmitOptions options;
    CLI::App app{"", "troupe submit"};
    options.add_to(app);
    if (parse(app, std::move(typed)))
      return "usage";
    options.words = std::move(words);
    const auto json = options.body(shell, notes);
    return json ? json->dump() : json.error().what;
  }

  SubmittingShell shell{
      .folder = "/srv",
      .environment = {{"HOME", "/home/ann"}, {"TROUPE_COMMAND", "x"}},
      .now = *parse_wall_time("2026-05-01T12:00:00Z")};
  std::vector<std::string> notes;
};

TEST_F(Submit, KeepsTheFolderAndTheEnvironmentOfTheShell) {
  EXPECT_EQ(body({}, {"gzip", "a b"}),
            R"({"command":{"words":["gzip","a b"],"cwd":"/srv",)"
            R"("env":{"HOME":"/home/ann"}}})");
}

TEST_F(Submit, SendsOnlyWhatWasGiven) {
  EXPECT_EQ(
      body({"--name",
            "night",
            "--tag",
            "a",
            "--tag",
            "b",
            "--group",
            "sim",
            "--priority",
            "high",
            "--at-most-once",
            "--key",
            "k",
            "--after",
            "5:finished,6",
            "--after",
            "7:failed",
            "--delay",
            "5m",
            "--resources",
            "cpu=2,mem=1GiB",
            "--array",
            "1-10:3",
            "--spread"}),
      R"({"name":"night","tags":["a","b"],"group":"sim","priority":"high",)"
      R"("delivery":"at_most_once","key":"k","spread":true,)"
      R"("needs":[{"job":5,"when":"finished"},{"job":6,"when":"succeeded"},)"
      R"({"job":7,"when":"failed"}],"delay_ms":300000,)"
      R"("resources":{"cpu":2,"mem":1073741824},)"
      R"("array":{"from":1,"to":10,"step":3},)"
      R"("command":{"words":["make"],"cwd":"/srv",)"
      R"("env":{"HOME":"/home/ann"}}})");
}

TEST_F(Submit, HasTheSettingsOfACommand) {
  EXPECT_EQ(body({"--timeout",       "1m",
                  "--grace",         "500ms",
                  "--retries",       "3",
                  "--retry-delay",   "2s",
                  "--backoff",       "3",
                  "--max-delay",     "1h",
                  "--cwd",           "../var",
                  "--env",           "HOME=/",
                  "--env",           "N=1",
                  "--limit",         "memory=1GiB",
                  "--limit",         "cpu=2s",
                  "--limit",         "files=64",
                  "--limit",         "file-size=1KiB",
                  "--nice",          "-3",
                  "--success-codes", "0,3",
                  "--output-limit",  "1MiB"}),
            R"({"command":{"words":["make"],"cwd":"/var",)"
            R"("env":{"HOME":"/","N":"1"},"timeout_ms":60000,"grace_ms":500,)"
            R"("retries":3,"retry_delay_ms":2000,"retry_backoff":3.0,)"
            R"("retry_max_delay_ms":3600000,"limits":{"memory":1073741824,)"
            R"("cpu_ms":2000,"open_files":64,"file_size":1024},"nice":-3,)"
            R"("success_codes":[0,3],"output_limit":1048576}})");
}

TEST_F(Submit, CanLeaveTheEnvironmentBehind) {
  EXPECT_EQ(body({"--clear-env", "--env", "A=b", "--at",
                  "2026-05-02T03:30:00+02:00"}),
            R"({"not_before":"2026-05-02T01:30:00.000Z",)"
            R"("command":{"words":["make"],"cwd":"/srv","env":{"A":"b"}}})");
}

TEST_F(Submit, LeavesOutVariablesThatJsonCannotCarry) {
  shell.environment.emplace_back("ODD", "\xff");
  EXPECT_EQ(body({}), R"({"command":{"words":["make"],"cwd":"/srv",)"
                      R"("env":{"HOME":"/home/ann"}}})");
  EXPECT_EQ(notes, std::vector<std::string>{
                       "the variable ODD is not UTF-8 and is left out"});
}

TEST_F(Submit, NamesTheOptionThatIsWrong) {
  const auto refuses = [&](std::vector<std::string> typed,
                           const std::string& what) {
    EXPECT_EQ(body(std::move(typed)), what);
  };
  refuses({"--priority", "hihg"},
          "--priority: expected low, normal, high or critical, got \"hihg\"; "
          "did you mean \"high\"?");
  refuses({"--after", "x"}, "--after: expected a job such as 17, got \"x\"");
  refuses({"--array", "9-1"},
          "--array: expected numbers such as 1-1000 or 0-100:10, got \"9-1\"");
  refuses({"--at", "noon"},
          "--at: expected a time such as 03:30 or 2026-05-01T03:30:00Z, got "
          "\"noon\"");
  refuses({"--success-codes", "x"},
          "--success-codes: expected exit codes such as 0,3, got \"x\"");
  refuses({"--limit", "processes=3"},
          "--limit processes: the queue cannot limit that");
  refuses({"--retries", "-1"},
          "--retries: expected a whole number, got \"-1\"");
  EXPECT_EQ(body({}, {"\xff"}), "the command is not UTF-8: \"\\xff\"");
}

TEST_F(Submit, CountsTheTasksOfAnArray) {
  SubmitOptions options;
  EXPECT_EQ(options.tasks(), 1U);
  options.array = "1-1000";
  EXPECT_EQ(options.tasks(), 1000U);
}

TEST(StandardInput, IsTextOrAPath) {
  const auto with = [](const std::string& file,
                       const std::optional<std::string>& text) {
    Json body{{"command", Json::object()}};
    const auto added = add_standard_input(body, file, "/srv", text);
    return added ? body["command"].dump() : added.error().what;
  };
  EXPECT_EQ(with("-", "abc"), R"({"stdin":"abc"})");
  EXPECT_EQ(with("in.txt", "abc"), R"({"stdin":"abc"})");
  EXPECT_EQ(with("in.txt", "\xff"), R"({"stdin_file":"/srv/in.txt"})");
  EXPECT_EQ(with("/in.txt", std::nullopt), R"({"stdin_file":"/in.txt"})");
  EXPECT_EQ(with("-", std::nullopt),
            "--stdin: standard input is longer than 512 KiB; name a file "
            "instead");
  EXPECT_EQ(with("-", "\xff"),
            "--stdin: standard input is not UTF-8; name a file instead");
}

}  // namespace
}  // namespace troupe::cli
