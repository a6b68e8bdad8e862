#include <troupe/workflow/load.hpp>
#include <troupe/workflow/service_warnings.hpp>

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

namespace troupe::workflow {
namespace {

/// All warnings, or "none".
std::string warnings_of(std::string text) {
  const auto workflow = load_workflow("stack.yaml", std::move(text));
  if (!workflow)
    return workflow.error().what;
  config::Diagnostics diagnostics{(*workflow)->source};
  warn_about_services(**workflow, diagnostics);
  EXPECT_EQ(diagnostics.errors(), 0U);
  return diagnostics.empty() ? "none" : diagnostics.text();
}

TEST(ServiceWarnings, AreNoneForWhatIsUsual) {
  EXPECT_EQ(warnings_of("jobs: {a: {run: x}}\n"), "none");
  EXPECT_EQ(warnings_of("services:\n"
                        "  strategy: rest_for_one\n"
                        "  backoff: {}\n"
                        "  children:\n"
                        "    migrate: {run: x, restart: transient}\n"
                        "    api: {run: x, depends-on: {migrate: finished}}\n"
                        "    loaders: {template: {run: x}, replicas: 3}\n"),
            "none");
  EXPECT_EQ(warnings_of("services:\n"
                        "  children:\n"
                        "    a: {run: x, restart: temporary}\n"
                        "    b: {run: x, restart: transient}\n"
                        "    c: {run: x, backoff: {min: 5s, factor: 1}}\n"),
            "none");
}

TEST(ServiceWarnings, AreNoneForTheExamples) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator{TROUPE_EXAMPLES}) {
    // The one with every word has what they warn of.
    if (entry.path().extension() != ".yaml" ||
        entry.path().filename() == "nightly-etl.yaml")
      continue;
    std::ifstream file{entry.path()};
    std::ostringstream text;
    text << file.rdbuf();
    if (text.str().find("services:") == std::string::npos)
      continue;
    ++files;
    EXPECT_EQ(warnings_of(text.str()), "none") << entry.path();
  }
  EXPECT_GE(files, 1);
}

TEST(ServiceWarnings, SayWhoIsStartedAgainAfterACleanEnd) {
  EXPECT_EQ(
      warnings_of("services:\n"
                  "  strategy: one_for_all\n"
                  "  children:\n"
                  "    migrate: {run: x, restart: transient}\n"
                  "    api: {run: x, depends-on: {migrate: finished}}\n"),
      "stack.yaml:4:5: warning: \"migrate\" is started again, even if it has "
      "ended cleanly, when another service of the group is restarted "
      "(one_for_all)\n"
      "    migrate: {run: x, restart: transient}\n"
      "    ^~~~~~~");
  EXPECT_EQ(
      warnings_of("services:\n"
                  "  strategy: rest_for_one\n"
                  "  children:\n"
                  "    first: {run: x, restart: on-failure}\n"
                  "    second: {run: x, restart: on-failure}\n"),
      "stack.yaml:5:5: warning: \"second\" is started again, even if it has "
      "ended cleanly, when a service before it is restarted (rest_for_one)\n"
      "    second: {run: x, restart: on-failure}\n"
      "    ^~~~~~");
  EXPECT_EQ(
      warnings_of("services:\n"
                  "  children:\n"
                  "    all:\n"
                  "      strategy: one_for_all\n"
                  "      template: {run: x, restart: transient}\n"
                  "      replicas: 3\n"),
      "stack.yaml:3:5: warning: a copy is started again, even if it has ended "
      "cleanly, when another service of the group is restarted (one_for_all)\n"
      "    all:\n"
      "    ^~~");
}

TEST(ServiceWarnings, AreNoneWithoutARestartThatTakesOthersAlong) {
  for (const char* text :
       {"services: {strategy: one_for_all, intensity: 0, children: {a: {run: "
        "x}, b: {run: x, restart: transient}}}",
        "services: {strategy: rest_for_one, children: {a: {run: x, restart: "
        "temporary}, b: {run: x, restart: transient}}}",
        "services: {strategy: rest_for_one, children: {a: {run: x, restart: "
        "transient}, b: {run: x}}}"})
    EXPECT_EQ(warnings_of(text), "none") << text;
}

TEST(ServiceWarnings, SayWhoIsStoppedForGood) {
  EXPECT_EQ(
      warnings_of("services:\n"
                  "  strategy: rest_for_one\n"
                  "  children:\n"
                  "    api: {run: x}\n"
                  "    seed: {run: x, restart: no}\n"),
      "stack.yaml:5:5: warning: \"seed\" is stopped for good when a service "
      "before it is restarted (rest_for_one), since it is temporary\n"
      "    seed: {run: x, restart: no}\n"
      "    ^~~~");
}

TEST(ServiceWarnings, SayThatAGroupDoesNotComeBack) {
  EXPECT_EQ(
      warnings_of("services:\n"
                  "  children:\n"
                  "    loaders: {restart: transient, children: {a: {run: x}}}\n"
                  "    held: {restart: transient, on-give-up: hold, children: "
                  "{a: {run: x}}}\n"),
      "stack.yaml:3:5: warning: \"loaders\" does not come back by itself after "
      "it gave up, since giving up is a clean end; restart: permanent\n"
      "    loaders: {restart: transient, children: {a: {run: x}}}\n"
      "    ^~~~~~~");
}

TEST(ServiceWarnings, SayThatSlowStopsKeepAGroupFromGivingUp) {
  EXPECT_EQ(
      warnings_of(
          "services:\n"
          "  strategy: one_for_all\n"
          "  period: 10s\n"
          "  children:\n"
          "    a: {run: x, shutdown: 2s}\n"
          "    b: {run: x, shutdown: 1s}\n"
          "    more: {template: {run: x, shutdown: 3s}, replicas: 3}\n"),
      "stack.yaml:6:5: warning: a restart of \"b\" (one_for_all) first stops "
      "what takes up to 11s, longer than the period of 10s: if it does, the "
      "group never gives up on \"b\"\n"
      "    b: {run: x, shutdown: 1s}\n"
      "    ^");
  EXPECT_EQ(warnings_of("services:\n"
                        "  strategy: rest_for_one\n"
                        "  period: 4s\n"
                        "  children:\n"
                        "    a: {run: x, shutdown: 100s}\n"
                        "    b: {run: x}\n"),
            "stack.yaml:5:5: warning: a restart of \"a\" (rest_for_one) first "
            "stops what takes up to 5s, longer than the period of 4s: if it "
            "does, the group never gives up on \"a\"\n"
            "    a: {run: x, shutdown: 100s}\n"
            "    ^");
  EXPECT_EQ(warnings_of("services:\n"
                        "  strategy: rest_for_one\n"
                        "  period: 5s\n"
                        "  children:\n"
                        "    a: {run: x, shutdown: 100s}\n"
                        "    b: {run: x}\n"),
            "none");
}

TEST(ServiceWarnings, SayThatBackOffKeepsAGroupFromGivingUp) {
  EXPECT_EQ(
      warnings_of("services:\n"
                  "  intensity: 3\n"
                  "  period: 10s\n"
                  "  backoff: {min: 2s, factor: 2, jitter: 0}\n"
                  "  children:\n"
                  "    a: {run: x}\n"
                  "    b: {run: x}\n"
                  "    c: {run: x, backoff: {min: 6s, jitter: 0.1}}\n"
                  "    d: {run: x, restart: temporary}\n"
                  "    e: {run: x, backoff: {min: 1s, factor: 1}}\n"),
      "stack.yaml:6:5: warning: the back-off of \"a\", \"b\" lets each fail at "
      "most 3 times in 10s: alone it never uses up the 3 restarts, so that the "
      "group does not give up on it\n"
      "    a: {run: x}\n"
      "    ^\n"
      "stack.yaml:8:5: warning: the back-off of \"c\" lets it fail at most 2 "
      "times in 10s: alone it never uses up the 3 restarts, so that the group "
      "does not give up on it\n"
      "    c: {run: x, backoff: {min: 6s, jitter: 0.1}}\n"
      "    ^");
}

TEST(ServiceWarnings, SayWhoDoesNotComeBackFromHold) {
  EXPECT_EQ(
      warnings_of("services:\n"
                  "  on-give-up: hold\n"
                  "  children:\n"
                  "    api: {run: x}\n"
                  "    seed: {run: x, restart: temporary}\n"),
      "stack.yaml:5:5: warning: \"seed\" is temporary and does not come back "
      "when its group starts again after it gave up (on-give-up: hold)\n"
      "    seed: {run: x, restart: temporary}\n"
      "    ^~~~");
}

TEST(ServiceWarnings, SayWhatMeansNothing) {
  EXPECT_EQ(warnings_of("services:\n"
                        "  hold-for: 5m\n"
                        "  auto-shutdown: any\n"
                        "  children: {api: {run: x}}\n"),
            "stack.yaml:1:1: warning: \"hold-for\" means nothing without "
            "\"on-give-up: hold\"\n"
            "services:\n"
            "^~~~~~~~\n"
            "stack.yaml:1:1: warning: \"auto-shutdown\" means nothing without "
            "a child "
            "that is \"significant\"\n"
            "services:\n"
            "^~~~~~~~");
}

}  // namespace
}  // namespace troupe::workflow
