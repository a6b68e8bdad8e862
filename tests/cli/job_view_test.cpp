#include "job_view.hpp"

#include <troupe/base/wall_time.hpp>

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

const WallTime shown_at = *parse_wall_time("2026-05-01T12:00:00Z");

QueueJob job_of(const char* json) {
  return job_from_json(nlohmann::ordered_json::parse(json)).value();
}

QueueJob waiting() {
  return job_of(R"({"job":18,"name":"","state":"queued","group":"default",
    "priority":"normal","tags":[],"tasks":1,"counts":{"waiting":1},
    "text":"gzip 'a b'","not_before":null,"ended":null,
    "submitted":"2026-05-01T11:59:30Z"})");
}

QueueJob sweep() {
  return job_of(R"({"job":17,"name":"sweep","state":"running","group":"sim",
    "priority":"high","delivery":"at_most_once","tags":["a","b"],"tasks":10,
    "counts":{"waiting":4,"running":2,"success":2,"failed":1,"timed_out":1},
    "text":"./simulate --seed {}","needs":[{"job":5,"when":"finished"}],
    "resources":{"cpu":2,"mem":1073741824},
    "submitted":"2026-05-01T11:00:00Z","command":{"words":[],"cwd":"/srv"}})");
}

TEST(JobTable, ShowsOneLineForEachJob) {
  EXPECT_EQ(render_jobs({waiting(), sweep()}, shown_at, {}),
            "ID  NAME   STATE    TASKS           GROUP    AGE  COMMAND\n"
            "18         queued   0/1             default  30s  gzip 'a b'\n"
            "17  sweep  running  4/10, 2 failed  sim      60m  ./simulate "
            "--seed {}\n");
}

TEST(JobTable, FitsTheTerminal) {
  EXPECT_EQ(render_jobs({sweep()}, shown_at, {.columns = 30}),
            "ID  NAME   STATE    TASKS    …\n"
            "17  sweep  running  4/10, 2 f…\n");
}

TEST(JobTable, ColoursTheState) {
  EXPECT_EQ(render_jobs({sweep()}, shown_at, {.colour = true, .columns = 20}),
            "\x1b[2mID  NAME   STATE   …\x1b[0m\n"
            "17  sweep  \x1b[32mrunning\x1b[0m …\n");
}

TEST(JobTable, HidesWhatIsNoText) {
  QueueJob job = waiting();
  job.text = "echo \x1b[2J";
  EXPECT_NE(render_jobs({job}, shown_at, {}).find("echo \\x1b[2J\n"),
            std::string::npos);
}

TEST(Submitted, TellsTheTasksAndTheDisk) {
  EXPECT_EQ(describe_submitted({{"job", 17},
                                {"is_new", true},
                                {"durability", "synced"},
                                {"state", "queued"}},
                               1),
            "job 17: queued (1 task, synced to disk)");
  EXPECT_EQ(
      describe_submitted(
          {{"job", 17}, {"is_new", false}, {"durability", "written"}}, 1000),
      "job 17: was submitted before (1000 tasks, written)");
}

TEST(JobDetails, TellAllThatIsKnown) {
  const WhyAnswer why{
      "running",
      {{"slots", "all 2 slots of the group sim are taken", std::nullopt}}};
  const std::vector<TaskAttempt> failures{{.task = 3,
                                           .number = 2,
                                           .outcome = "failed",
                                           .exit_status = 1,
                                           .cause = "exited with 1",
                                           .wall = 3s}};
  EXPECT_EQ(describe_job(sweep(), why, failures, shown_at),
            "job 17: sweep, running\n"
            "  command     ./simulate --seed {}\n"
            "  folder      /srv\n"
            "  tasks       10: 2 running, 4 waiting, 2 succeeded, 1 failed, 1 "
            "timed out\n"
            "  group       sim\n"
            "  priority    high\n"
            "  delivery    at most once\n"
            "  tags        a, b\n"
            "  after       5 (finished)\n"
            "  resources   cpu 2, mem 1.00 GiB\n"
            "  submitted   2026-05-01T11:00:00.000Z, 60m ago\n"
            "job 17 is running: all 2 slots of the group sim are taken\n"
            "last failures:\n"
            "  17.3  attempt 2: failed, exit status 1, after 3s: exited with "
            "1\n");
}

TEST(TaskDetails, ShowEachAttempt) {
  const auto task = task_from_json(nlohmann::ordered_json::parse(
      R"({"task":3,"state":"ended","argument":"4","attempt":2,"pid":null,
          "result":{"task":3,"attempt":2,"outcome":"success"},
          "attempts":[
            {"task":3,"attempt":1,"outcome":"timed_out","exit_status":124,
             "at":"2026-05-01T11:59:00Z","cause":"timed out after 5s",
             "wall_ms":5000.4,"user_ms":10,"system_ms":5,
             "output_bytes":17,"notes":["2 processes were left behind"]},
            {"task":3,"attempt":2,"outcome":"success","exit_status":0,
             "wall_ms":1500,"max_rss_bytes":1048576,"output_bytes":0}]})"));
  ASSERT_TRUE(task);
  EXPECT_EQ(describe_task(17, *task, shown_at),
            "task 17.3: success\n"
            "  argument    4\n"
            "attempt 1: timed_out, exit status 124, after 5s: timed out after "
            "5s\n"
            "  ended       2026-05-01T11:59:00.000Z, 60s ago\n"
            "  cpu         15ms\n"
            "  output      17 B\n"
            "  note        2 processes were left behind\n"
            "attempt 2: success, exit status 0, after 1.5s\n"
            "  cpu         0s\n"
            "  memory      1.00 MiB\n"
            "  output      0 B\n");
}

TEST(TaskDetails, SayNothingOfAnEndThatNobodyHasSeen) {
  const auto task = task_from_json(nlohmann::ordered_json::parse(
      R"({"task":0,"state":"ended","argument":"","attempt":2,"pid":null,
          "result":{"task":0,"attempt":2,"outcome":"cancelled"},
          "attempts":[
            {"task":0,"attempt":1,"outcome":"lost","exit_status":125,
             "cause":"was lost with node n3","node":"n3"},
            {"task":0,"attempt":2,"outcome":"cancelled","exit_status":125,
             "cause":"its node was gone before it could say how it ended"}]})"));
  ASSERT_TRUE(task);
  EXPECT_EQ(describe_task(5, *task, shown_at),
            "task 5.0: cancelled\n"
            "attempt 1: lost: was lost with node n3\n"
            "  node        n3\n"
            "attempt 2: cancelled: its node was gone before it could say how "
            "it ended\n");
}

TEST(TaskDetails, TellThatItsEndWasAskedForAndWhoDoesNotAnswer) {
  const auto task = task_from_json(nlohmann::ordered_json::parse(
      R"({"task":0,"state":"claimed","attempt":1,"pid":null,"node":"n3",
          "is_cancelled":true,"silent_ms":42900})"));
  ASSERT_TRUE(task);
  EXPECT_EQ(describe_task(5, *task, shown_at),
            "task 5.0: cancelling\n"
            "  node        n3, not heard of for 42s\n"
            "  attempt     1\n");
}

TEST(JobTable, AJobWhoseEndWasAskedForIsBeingCancelled) {
  QueueJob job = sweep();
  job.is_cancelled = true;
  EXPECT_NE(render_jobs({job}, shown_at, {}).find("cancelling"),
            std::string::npos);
  job.state = "cancelled";
  EXPECT_EQ(render_jobs({job}, shown_at, {}).find("cancelling"),
            std::string::npos);
}

TEST(Why, NamesEachReason) {
  EXPECT_EQ(describe_why(17,
                         {"blocked",
                          {{"needs", "job 5 has not ended", std::nullopt},
                           {"not_before", "", shown_at + 1h}}},
                         shown_at),
            "job 17 is blocked: job 5 has not ended\n"
            "  also: not_before (until 2026-05-01T13:00:00.000Z, in 60m)\n");
  EXPECT_EQ(describe_why(17, {"succeeded", {}}, shown_at),
            "job 17 is succeeded\n");
}

TEST(Why, SaysTheEndOnce) {
  EXPECT_EQ(
      describe_why(17, {"failed", {{"ended", "it has ended as failed", {}}}},
                   shown_at),
      "job 17 is failed\n");
  EXPECT_EQ(describe_why(17,
                         {"succeeded",
                          {{"ended", "it has ended as succeeded", {}},
                           {"ran", "n2 ran it; it was in shard 7", {}}}},
                         shown_at),
            "job 17 is succeeded: n2 ran it; it was in shard 7\n");
}

TEST(Stats, AreLinesOfNamesAndNumbers) {
  EXPECT_EQ(describe_stats({{"started", 7}, {"queue", {{"depth", 3}}}}),
            "started      7\n"
            "queue.depth  3\n");
}

TEST(Groups, TellWhatKeepsThem) {
  EXPECT_EQ(
      render_groups({{.name = "default", .slots = 2, .weight = 1},
                     {.name = "mail",
                      .is_held = true,
                      .breaker = "closed",
                      .slots = 4,
                      .weight = 1,
                      .starts_per_minute = 30,
                      .jobs = 3,
                      .waiting = 7,
                      .running = 1},
                     {.name = "web", .breaker = "open", .slots = 1}},
                    {}),
      "GROUP    STATE         SLOTS  RUNNING  WAITING  RETRYING  JOBS  "
      "WEIGHT  RATE\n"
      "default  active        2      0        0        0         0     1\n"
      "mail     paused        4      1        7        0         3     1 "
      "      30/min\n"
      "web      breaker open  1      0        0        0         0     "
      "0\n");
}

TEST(Top, ShowsWhatRunsFirstAndHowMuchIsLeftOut) {
  const QueueSnapshot snapshot{
      .node = {.version = "0.1.0", .pid = 7, .started = shown_at - 3h},
      .groups = {{.name = "sim", .slots = 2, .waiting = 5, .running = 2}},
      .jobs = {waiting(), sweep()}};
  const auto lines = render_top(snapshot, shown_at, {}, 7);
  ASSERT_EQ(lines.size(), 7U);
  EXPECT_EQ(lines[0],
            "troupe node 0.1.0, pid 7, up 3h: 2 running, 5 waiting, 0 to be "
            "retried");
  EXPECT_TRUE(lines[2].starts_with("GROUP"));
  EXPECT_TRUE(lines[5].starts_with("ID"));
  EXPECT_EQ(lines[6], "and 2 more");
  EXPECT_TRUE(render_top(snapshot, shown_at, {}, 0)[6].starts_with("17"));
}

TEST(QueueAnswers, ThatAreSomethingElseAreErrors) {
  EXPECT_EQ(job_from_json({{"job", "x"}, {"state", "queued"}}).error().code,
            Errc::corrupt);
  EXPECT_EQ(job_from_json(nlohmann::ordered_json::array()).error().what,
            "the node answers something else: no object");
}

}  // namespace
}  // namespace troupe::cli
