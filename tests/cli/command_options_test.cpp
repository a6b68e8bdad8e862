#include "command_options.hpp"

#include <csignal>
#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

std::string error_of(const CommandOptions& options) {
  const auto resolved = options.resolve();
  return resolved ? "" : resolved.error().what;
}

TEST(SignalOption, ReadsNamesInAnyFormAndNumbers) {
  for (const char* text : {"TERM", "SIGTERM", "term", "sigterm", "15"})
    EXPECT_EQ(signal_option(text).value(), SIGTERM) << text;
  EXPECT_EQ(signal_option("USR1").value(), SIGUSR1);
}

TEST(SignalOption, RefusesWhatIsNoneAndSuggests) {
  EXPECT_EQ(signal_option("TERN").error().what,
            "--signal: unknown signal \"TERN\"; did you mean \"TERM\"?");
  EXPECT_EQ(signal_option("0").error().what, "--signal: unknown signal \"0\"");
  EXPECT_FALSE(signal_option("65").has_value());
  EXPECT_FALSE(signal_option("").has_value());
  EXPECT_FALSE(signal_option("-9").has_value());
}

TEST(ApplyLimit, SetsEachKindAndNothingElse) {
  process::Limits limits;
  EXPECT_TRUE(apply_limit("cpu=2s", limits));
  EXPECT_TRUE(apply_limit("memory=1GiB", limits));
  EXPECT_TRUE(apply_limit("files=64", limits));
  EXPECT_TRUE(apply_limit("processes=7", limits));
  EXPECT_TRUE(apply_limit("file-size=2KiB", limits));
  EXPECT_EQ(limits, (process::Limits{.cpu_seconds = 2,
                                     .memory_bytes = 1ULL << 30,
                                     .open_files = 64,
                                     .processes = 7,
                                     .file_size_bytes = 2048}));
}

TEST(ApplyLimit, SaysWhatIsWrong) {
  process::Limits limits;
  EXPECT_EQ(apply_limit("memory", limits).error().what,
            "--limit: expected NAME=VALUE such as memory=1GiB, got \"memory\"");
  EXPECT_EQ(apply_limit("memroy=1", limits).error().what,
            "--limit: unknown limit \"memroy\"; did you mean \"memory\"?");
  EXPECT_TRUE(apply_limit("files=many", limits)
                  .error()
                  .what.starts_with("--limit files: "));
  for (const char* const time : {"1500ms", "500ms", "0s"})
    EXPECT_EQ(apply_limit(std::string("cpu=") + time, limits).error().what,
              std::string("--limit cpu: the kernel counts whole seconds from "
                          "1s on, got \"") +
                  time + "\"");
  EXPECT_EQ(limits, process::Limits{});
}

TEST(CommandOptions, NothingGivenMeansTheDefaults) {
  EXPECT_EQ(CommandOptions{}.resolve().value(), actors::CommandRequest{});
}

TEST(CommandOptions, ReadsEverything) {
  CommandOptions options;
  options.timeout = "30s";
  options.grace = "1500ms";
  options.signal = "INT";
  options.retries = "3";
  options.delay = "250ms";
  options.backoff = "1.5";
  options.jitter = "0";
  options.max_delay = "10s";
  options.working_directory = "/tmp";
  options.umask = "027";
  options.nice = "-5";
  options.env = {"A=1", "B=x=y", "C="};
  options.limits = {"files=10"};
  options.clear_env = true;
  const auto request = options.resolve().value();
  EXPECT_EQ(request.spec.time_limit, 30s);
  EXPECT_EQ(request.spec.grace, 1500ms);
  EXPECT_EQ(request.spec.polite_signal, SIGINT);
  EXPECT_EQ(request.retry, (actors::RetryPolicy{.attempts = 4,
                                                .delay = 250ms,
                                                .backoff = 1.5,
                                                .max_delay = 10s,
                                                .jitter = 0}));
  EXPECT_EQ(request.spec.working_directory, "/tmp");
  EXPECT_EQ(request.spec.umask, 027U);
  EXPECT_EQ(request.spec.nice, -5);
  EXPECT_EQ(request.spec.env, (std::vector<std::pair<std::string, std::string>>{
                                  {"A", "1"}, {"B", "x=y"}, {"C", ""}}));
  EXPECT_EQ(request.spec.limits.open_files, 10U);
  EXPECT_TRUE(request.spec.clear_env);
}

TEST(CommandOptions, NamesTheOptionThatIsWrong) {
  EXPECT_EQ(error_of({.backoff = "0.5"}),
            "--backoff: expected a number from 1 to 1000, got \"0.5\"");
  EXPECT_EQ(error_of({.jitter = "2"}),
            "--jitter: expected a number from 0 to 1, got \"2\"");
  EXPECT_EQ(error_of({.jitter = "nan"}),
            "--jitter: expected a number from 0 to 1, got \"nan\"");
  EXPECT_EQ(error_of({.retries = "1000000"}), "--retries: at most 999999");
  EXPECT_EQ(error_of({.umask = "08"}),
            "--umask: expected an octal mode such as 022, got \"08\"");
  EXPECT_EQ(error_of({.nice = "20"}),
            "--nice: expected a number from -20 to 19, got \"20\"");
  EXPECT_EQ(error_of({.env = {"=x"}}),
            "--env: expected NAME=VALUE, got \"=x\"");
  EXPECT_EQ(error_of({.env = {"TROUPE_COMMAND=x"}}),
            "--env: TROUPE_COMMAND is troupe's own: it marks the processes of "
            "a command");
  EXPECT_TRUE(error_of({.timeout = "soon"}).starts_with("--timeout: "));
  EXPECT_TRUE(error_of({.grace = "soon"}).starts_with("--grace: "));
  EXPECT_TRUE(error_of({.max_delay = "-1s"}).starts_with("--max-delay: "));
}

}  // namespace
}  // namespace troupe::cli
