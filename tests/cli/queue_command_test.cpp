#include "fake_node.hpp"
#include "job_logs.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

using api::Json;

/// What a command printed and exited with.
struct Ended {
  int code = 0;
  std::string out;
  std::string err;
};

class QueueCommand : public ::testing::Test {
 protected:
  using Command = int (*)(const QueueContext&, std::vector<std::string>);

  Ended run(Command command, std::vector<std::string> words) {
    words.insert(words.begin(), {"--socket", "/run/node.sock"});
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    QueueContext context = node.context();
    context.is_terminal = is_terminal;
    Ended ended;
    ended.code = command(context, std::move(words));
    ended.out = ::testing::internal::GetCapturedStdout();
    ended.err = ::testing::internal::GetCapturedStderr();
    return ended;
  }

  void has_job(std::uint64_t number, const std::string& state,
               std::uint64_t tasks = 1) {
    node.on(fmt::format("GET /v1/jobs/{}", number), job(number, state, tasks));
  }

  static Json job(std::uint64_t number, const std::string& state,
                  std::uint64_t tasks = 1) {
    return {{"job", number},
            {"state", state},
            {"group", "default"},
            {"tasks", tasks},
            {"counts", {{"waiting", tasks}}},
            {"text", "make"},
            {"submitted", "2026-05-01T11:59:30Z"}};
  }

  FakeNode node;
  bool is_terminal = false;
};

const char* const submitted =
    R"({"job":17,"is_new":true,"durability":"synced","state":"queued"})";

TEST_F(QueueCommand, SubmitPrintsTheNumberForScripts) {
  node.on_text("POST /v1/jobs", submitted);
  const Ended ended = run(submit_job, {"--", "make", "-j"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, "17\n");
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(node.asked, std::vector<std::string>{
                            R"(POST /v1/jobs {"request_id":"r1","command":)"
                            R"({"words":["make","-j"],"cwd":"/srv",)"
                            R"("env":{"HOME":"/home/ann"}}})"});
}

TEST_F(QueueCommand, SubmitTellsPeopleWhatHappened) {
  is_terminal = true;
  node.on_text("POST /v1/jobs", submitted);
  EXPECT_EQ(run(submit_job, {"--array", "1-1000", "./x", "{}"}).out,
            "job 17: queued (1000 tasks, synced to disk)\n");
}

TEST_F(QueueCommand, WhatIsDoneIsSaidWhereItsAnswerCannotBe) {
  const auto on_a_full_disk = [this](Command command,
                                     std::vector<std::string> words) {
    words.insert(words.begin(), {"--socket", "/run/node.sock"});
    if (std::freopen("/dev/full", "w", stdout) != nullptr)
      std::_Exit(command(node.context(), std::move(words)));
  };
  const auto said = [](const std::string& done) {
    return "^troupe: " + done +
           "; only its answer is lost: cannot write to standard output: no "
           "space left on device\n$";
  };
  const ::testing::ExitedWithCode failed{exit_troupe_failed};
  node.on_text("POST /v1/jobs", submitted);
  for (const char* how : {"--block", "--json", "--wait"})
    EXPECT_EXIT(on_a_full_disk(submit_job, {how, "make"}), failed,
                said("job 17 was accepted"));
  has_job(17, "running");
  node.on_text("POST /v1/jobs/17/cancel", "{}");
  EXPECT_EXIT(on_a_full_disk(cancel_jobs, {"--json", "17"}), failed,
              said("cancel is done for 1 job"));
  node.on_text("POST /v1/runs/7/jobs/deploy/answer", "{}");
  EXPECT_EXIT(on_a_full_disk(approve_job, {"r7", "deploy"}), failed,
              said("job deploy of run r7 is approved"));
  // Those are all asked for before any of it is printed.
  node.on_text("POST /v1/runs/7/retry", "{}");
  node.on_text("POST /v1/runs/8/retry", "{}");
  EXPECT_EXIT(on_a_full_disk(retry_jobs, {"r7", "r8"}), failed,
              said("retry is done for 2 runs"));
}

TEST_F(QueueCommand, SubmitPrintsTheRequestIdAsJson) {
  node.on_text("POST /v1/jobs", submitted);
  const Ended ended = run(submit_job, {"--json", "make"});
  EXPECT_EQ(Json::parse(ended.out).dump(),
            R"({"job":17,"is_new":true,"durability":"synced",)"
            R"("state":"queued","tasks":1,"request_id":"r1"})");
}

TEST_F(QueueCommand, SubmitRefusesWhatContradictsItself) {
  const auto error = [&](std::vector<std::string> words) {
    const Ended ended = run(submit_job, std::move(words));
    EXPECT_EQ(ended.code, exit_usage);
    return ended.err.substr(0, ended.err.find('\n'));
  };
  EXPECT_EQ(error({}), "troupe: submit: no command given");
  EXPECT_EQ(error({"--array", "1-2", "--each-line", "f", "x"}),
            "troupe: submit: either --array or --each-line");
  EXPECT_EQ(error({"--at", "03:30", "--delay", "1s", "x"}),
            "troupe: submit: either --at or --delay");
  EXPECT_EQ(error({"--prority", "low", "x"}),
            "troupe: submit: unknown option --prority; did you mean "
            "--priority?");
  EXPECT_TRUE(node.asked.empty());
}

TEST_F(QueueCommand, SubmitSaysWhenToTryAgain) {
  node.retry_after = 2s;
  node.on("POST /v1/jobs",
          failure(Errc::overloaded, "100000 tasks wait already"));
  const Ended ended = run(submit_job, {"make"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.err,
            "troupe: 100000 tasks wait already; try again in 2s, or wait with "
            "--block\n");
}

TEST_F(QueueCommand, SubmitBlocksUntilThereIsRoom) {
  node.on("POST /v1/jobs", failure(Errc::overloaded, "full"));
  node.on_text("POST /v1/jobs", submitted);
  EXPECT_EQ(run(submit_job, {"--block", "make"}).out, "17\n");
  EXPECT_EQ(node.pauses, std::vector<Duration>{100ms});
}

TEST_F(QueueCommand, SubmitWaitsAndExitsAsTheCommandDid) {
  node.on_text("POST /v1/jobs", submitted);
  node.events = {{job(17, "running"), job(17, "failed")}};
  node.on_text("GET /v1/jobs/17/tasks/0",
               R"({"task":0,"state":"ended",
                   "result":{"outcome":"failed","exit_status":3}})");
  EXPECT_EQ(run(submit_job, {"--wait", "make"}).code, 3);
}

TEST_F(QueueCommand, SubmitFollowsTheOutputByteForByte) {
  node.on_text("POST /v1/jobs", submitted);
  has_job(17, "running");
  node.on_text("GET /v1/jobs/17/tasks/0",
               R"({"task":0,"state":"ended","attempt":1,
                   "result":{"outcome":"success","exit_status":0}})");
  const std::string bytes("a\0\xff", 3);
  node.logs["/v1/jobs/17/tasks/0/log?attempt=1&follow=true"] = {bytes};
  node.events = {{job(17, "succeeded")}};
  const Ended ended = run(submit_job, {"--follow", "make"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, bytes);
  EXPECT_EQ(ended.err, "job 17: queued (1 task, synced to disk)\n");
}

TEST_F(QueueCommand, NothingCanBeAskedWithoutANode) {
  node.was_reached = false;
  node.on("GET /v1/stats", failure(Errc::unavailable, "no node is running"));
  const Ended ended = run(show_stats, {});
  EXPECT_EQ(ended.code, exit_troupe_failed);
  EXPECT_EQ(ended.err, "troupe: no node is running\n");
}

TEST_F(QueueCommand, ListShowsWhatHasNotEndedAndTheLastThatHave) {
  node.on("GET /v1/jobs?set=unended&limit=1000",
          Json{{"jobs", {job(18, "queued")}}});
  node.on("GET /v1/jobs?set=ended&limit=11",
          Json{{"jobs", {job(17, "succeeded")}}});
  EXPECT_EQ(run(list_jobs, {}).out,
            "ID  NAME  STATE      TASKS  GROUP    AGE  COMMAND\n"
            "18        queued     0/1    default  30s  make\n"
            "17        succeeded  0/1    default  30s  make\n");
}

TEST_F(QueueCommand, ListGoesFromPageToPage) {
  Json first = Json::array();
  for (std::uint64_t number = 2000; number > 1000; --number)
    first.push_back(job(number, "failed"));
  node.on("GET /v1/jobs?tag=t&set=failed&limit=1000", Json{{"jobs", first}});
  node.on("GET /v1/jobs?tag=t&set=failed&before=1001&limit=501",
          Json{{"jobs", {job(7, "failed")}}});
  const Ended ended =
      run(list_jobs, {"--dead", "--tag", "t", "--limit", "1500", "--json"});
  EXPECT_EQ(Json::parse(ended.out)["jobs"].size(), 1001U);
}

TEST_F(QueueCommand, ListSaysThatItLeavesSomethingOut) {
  node.on("GET /v1/jobs?set=all&limit=2",
          Json{{"jobs", {job(2, "queued"), job(1, "queued")}}});
  const Ended ended = run(list_jobs, {"--all", "--limit", "1"});
  EXPECT_EQ(ended.err, "troupe: there are more than 1 jobs; see --limit\n");
  EXPECT_EQ(ended.out.find("\n1 "), std::string::npos);
}

TEST_F(QueueCommand, ListOfWhatWaitsLeavesOutWhatRuns) {
  node.on("GET /v1/jobs?set=unended&limit=1000",
          Json{{"jobs", {job(18, "running"), job(17, "held")}}});
  const Ended ended = run(list_jobs, {"--queued", "--json"});
  EXPECT_EQ(Json::parse(ended.out)["jobs"].size(), 1U);
}

TEST_F(QueueCommand, ListOfWhatRunsLeavesOutWhatIsOnlyClaimed) {
  node.on("GET /v1/jobs?set=active&limit=1000",
          Json{{"jobs", {job(18, "running"), job(17, "queued")}}});
  const Ended ended = run(list_jobs, {"--running", "--json"});
  EXPECT_EQ(Json::parse(ended.out)["jobs"].size(), 1U);
}

TEST_F(QueueCommand, StatusLooksForTheLastFailures) {
  Json big = job(17, "failed", 2500);
  big["counts"] = {{"success", 2498}, {"failed", 2}};
  node.on("GET /v1/jobs/17", big);
  node.on_text("GET /v1/jobs/17/tasks?from=1500&limit=1000",
               R"({"tasks":[{"task":1600,"outcome":"success"},
                            {"task":1700,"outcome":"failed","attempt":1}]})");
  node.on_text("GET /v1/jobs/17/tasks?from=500&limit=1000", R"({"tasks":[]})");
  node.on_text("GET /v1/jobs/17/tasks?from=0&limit=500",
               R"({"tasks":[{"task":3,"outcome":"failed","attempt":2}]})");
  const Json json = Json::parse(run(show_status, {"17", "--json"}).out);
  EXPECT_EQ(json["failures"].dump(),
            R"([{"task":1700,"outcome":"failed","attempt":1},)"
            R"({"task":3,"outcome":"failed","attempt":2}])");
  EXPECT_EQ(json["why"].dump(), "{}");
}

TEST_F(QueueCommand, WaitExitsWithOneIfAnyHasNotSucceeded) {
  node.events = {{job(1, "succeeded"), job(2, "failed")}};
  const Ended ended = run(wait_for_jobs, {"1", "2"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.err, "troupe: job 2 has failed (0/1); see troupe status 2\n");
}

TEST_F(QueueCommand, WaitGoesOnWhenTheNodeIsBack) {
  node.events = {{job(1, "running")},
                 {job(1, "succeeded"), job(2, "running")},
                 {job(2, "succeeded")}};
  EXPECT_EQ(run(wait_for_jobs, {"1", "2"}).code, 0);
  EXPECT_EQ(node.asked,
            (std::vector<std::string>{"EVENTS /v1/events?jobs=1%2C2",
                                      "EVENTS /v1/events?jobs=1%2C2",
                                      "EVENTS /v1/events?jobs=2"}));
  EXPECT_EQ(node.pauses.size(), 2U);
}

TEST_F(QueueCommand, WaitGivesUpANodeThatStaysAway) {
  node.events = {{job(1, "running")}};
  const Ended ended = run(wait_for_jobs, {"1"});
  EXPECT_EQ(ended.code, exit_troupe_failed);
  EXPECT_EQ(ended.err, "troupe: the node is away\n");
}

TEST_F(QueueCommand, CancelGoesOnAfterAJobThatIsNotThere) {
  node.on("POST /v1/jobs/1/cancel", failure(Errc::not_found, "no job 1"));
  node.on_text("POST /v1/jobs/2/cancel", "{}");
  const Ended ended = run(cancel_jobs, {"1", "2", "--json"});
  EXPECT_EQ(ended.code, 1);
  EXPECT_EQ(ended.err, "troupe: no job 1\n");
  EXPECT_EQ(Json::parse(ended.out).dump(), R"({"jobs":[2]})");
}

TEST_F(QueueCommand, RetryOfTheDeadTakesAllThatHaveFailed) {
  node.on("GET /v1/jobs?group=mail&set=failed&limit=1000",
          Json{{"jobs", {job(5, "failed"), job(3, "failed")}}});
  node.on_text("POST /v1/jobs/5/retry", R"({"tasks":1})");
  node.on_text("POST /v1/jobs/3/retry", R"({"tasks":4})");
  EXPECT_EQ(run(retry_jobs, {"--dead", "--group", "mail"}).out,
            "job 5: 1 task waits again\n"
            "job 3: 4 tasks wait again\n");
}

TEST_F(QueueCommand, EditOfTheCommandKeepsItsSettings) {
  node.on_text("GET /v1/jobs/17",
               R"({"job":17,"state":"queued","command":
                   {"words":["old"],"cwd":"/x","retries":3}})");
  node.on_text("PATCH /v1/jobs/17", "{}");
  EXPECT_EQ(run(edit_job, {"17", "--name", "", "--", "new", "{}"}).code, 0);
  EXPECT_EQ(node.asked.back(),
            R"(PATCH /v1/jobs/17 {"name":"","command":)"
            R"({"words":["new","{}"],"cwd":"/x","retries":3}})");
}

TEST_F(QueueCommand, EditSaysThatWhatRunsKeepsTheOldCommand) {
  node.on_text("GET /v1/jobs/17",
               R"({"job":17,"state":"running","command":{"words":["old"]}})");
  node.on_text("PATCH /v1/jobs/17", R"({"running":1})");
  const Ended ended = run(edit_job, {"17", "--", "new"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.err,
            "troupe: note: 1 of its tasks runs the old command to the end; "
            "attempts that begin later have the new one\n");
  EXPECT_EQ(run(edit_job, {"17", "--name", "n"}).err, "");
}

TEST_F(QueueCommand, EditWantsSomethingToChange) {
  const Ended ended = run(edit_job, {"17"});
  EXPECT_EQ(ended.code, exit_usage);
  EXPECT_TRUE(
      ended.err.starts_with("troupe: edit: nothing to change was given\n"));
}

TEST_F(QueueCommand, ForgetOfAllThatEndedCountsThem) {
  node.on("GET /v1/jobs?set=ended&limit=1000",
          Json{{"jobs", {job(5, "failed"), job(3, "succeeded")}}});
  node.on_text("DELETE /v1/jobs/5", "{}");
  node.on_text("DELETE /v1/jobs/3", "{}");
  EXPECT_EQ(run(forget_jobs, {"--ended"}).out, "2 jobs forgotten\n");
}

TEST_F(QueueCommand, PauseHoldsJobsOrAGroupOrAll) {
  node.on_text("POST /v1/jobs/17/hold", "{}");
  node.on_text("POST /v1/groups/a%2Fb/hold", "{}");
  node.on_text("POST /v1/node/resume", "{}");
  EXPECT_EQ(run(pause_jobs, {"17"}).code, 0);
  EXPECT_EQ(run(pause_jobs, {"--group", "a/b"}).code, 0);
  EXPECT_EQ(run(resume_jobs, {"--all"}).code, 0);
  const Ended ended = run(pause_jobs, {"17", "--all"});
  EXPECT_EQ(ended.code, exit_usage);
  EXPECT_TRUE(ended.err.starts_with(
      "troupe: pause: expected jobs, --group NAME or --all\n"));
  EXPECT_EQ(node.asked.size(), 3U);
}

TEST_F(QueueCommand, GroupSetsWhatWasGiven) {
  node.on_text("GET /v1/groups", R"({"groups":[{"group":"mail"}]})");
  node.on_text("PUT /v1/groups/mail", "{}");
  EXPECT_EQ(run(change_group, {"set", "mail", "--rate", "2/s", "--break-after",
                               "5", "--break-pause", "1m"})
                .code,
            0);
  EXPECT_EQ(node.asked.back(),
            R"(PUT /v1/groups/mail {"starts_per_minute":120,)"
            R"("break_after":5,"break_pause_ms":60000})");
  EXPECT_EQ(run(change_group, {"limit", "mail", "8"}).code, 0);
  EXPECT_EQ(node.asked.back(), R"(PUT /v1/groups/mail {"slots":8})");
}

TEST_F(QueueCommand, GroupDoesNotAddWhatWasMistyped) {
  node.on_text("GET /v1/groups", R"({"groups":[{"group":"mail"}]})");
  EXPECT_EQ(run(change_group, {"limit", "mial", "8"}).err,
            "troupe: no group \"mial\"; did you mean \"mail\"?\n");
  EXPECT_EQ(run(change_group, {"add", "mail"}).err,
            "troupe: there is a group \"mail\" already; change it with troupe "
            "group set\n");
  EXPECT_EQ(run(change_group, {"add", ""}).code, 2);
  EXPECT_TRUE(
      run(change_group, {"add", ""})
          .err.starts_with("troupe: group: add takes the name of one group"));
  EXPECT_TRUE(run(change_group, {"ad", "mail"})
                  .err.starts_with("troupe: group: unknown action \"ad\"; did "
                                   "you mean \"add\"?\n"));
}

TEST_F(QueueCommand, TopPrintsOnceWithoutATerminal) {
  node.on_text("GET /v1/node", R"({"version":"0.1.0","pid":7})");
  node.on_text("GET /v1/groups", R"({"groups":[]})");
  node.on("GET /v1/jobs?set=active&limit=101",
          Json{{"jobs", {job(18, "running")}}});
  node.on("GET /v1/jobs?set=unended&limit=101",
          Json{{"jobs", {job(18, "running"), job(17, "queued")}}});
  const Ended ended = run(show_top, {});
  EXPECT_EQ(ended.code, 0);
  EXPECT_TRUE(ended.out.starts_with("troupe node 0.1.0, pid 7: 0 running"));
  EXPECT_NE(ended.out.find("\n17 "), std::string::npos);
}

class JobLog : public QueueCommand {
 protected:
  std::string print(const TaskName& name, const JobLogOptions& options) {
    const QueueContext context = node.context();
    NodeOptions of_node;
    of_node.socket = "/run/node.sock";
    auto session = NodeSession::open(context, of_node);
    ::testing::internal::CaptureStdout();
    result = print_job_log(*session, name, options);
    return ::testing::internal::GetCapturedStdout();
  }
  Result<void> result;
};

TEST_F(JobLog, OfSeveralTasksHasTheTaskBeforeEachLine) {
  has_job(17, "running", 3);
  node.on_text("GET /v1/jobs/17/tasks/0",
               R"({"task":0,"state":"ended","attempt":1})");
  node.on_text("GET /v1/jobs/17/tasks/1",
               R"({"task":1,"state":"ended","attempt":2})");
  node.on_text("GET /v1/jobs/17/tasks/2",
               R"({"task":2,"state":"waiting","attempt":0})");
  node.on_text("GET /v1/jobs/17/tasks?from=0&limit=1000", R"({"tasks":[]})");
  node.logs["/v1/jobs/17/tasks/0/log?attempt=1"] = {"a\nb"};
  node.logs["/v1/jobs/17/tasks/1/log?attempt=2"] = {"c\n"};
  EXPECT_EQ(print({17, {}}, {}), "17.0 | a\n17.0 | b\n17.1 | c\n");
  EXPECT_TRUE(result);
}

TEST_F(JobLog, OfTasksThatHaveEndedAsksForNothingElse) {
  has_job(17, "running", 1002);
  Json ended = Json::array();
  for (int task = 0; task < 1000; ++task) {
    ended.push_back({{"task", task}, {"attempt", 2}, {"outcome", "success"}});
    node.logs[fmt::format("/v1/jobs/17/tasks/{}/log?attempt=2", task)] = {"a"};
  }
  node.on("GET /v1/jobs/17/tasks?from=0&limit=1000", Json{{"tasks", ended}});
  node.on_text("GET /v1/jobs/17/tasks?from=1000&limit=1000",
               R"({"tasks":[{"task":1001,"attempt":1,"outcome":"success",
                             "output_bytes":9,"tail_skipped":8,"node":"n2",
                             "unrecorded_bytes":7}]})");
  node.on_text("GET /v1/jobs/17/tasks/1000",
               R"({"task":1000,"state":"started","attempt":1})");
  node.logs["/v1/jobs/17/tasks/1000/log?attempt=1"] = {"b"};
  node.logs["/v1/jobs/17/tasks/1001/log?attempt=1"] = {"c"};
  ::testing::internal::CaptureStderr();
  const std::string out = print({17, {}}, {});
  EXPECT_TRUE(result);
  EXPECT_EQ(
      ::testing::internal::GetCapturedStderr(),
      "troupe: 8 B before that are on n2, which ran 17.1001 and cannot be "
      "asked now\n"
      "troupe: 7 B of the output of 17.1001 were not kept\n");
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1002);
  EXPECT_TRUE(out.ends_with("17.999  | a\n17.1000 | b\n17.1001 | c\n"));
  // The job, two lists, all logs, and looks before and after one that runs.
  EXPECT_EQ(node.asked.size(), 1U + 2 + 1002 + 2);
}

TEST_F(JobLog, OfTasksThatAreFollowedAsksForThoseTogetherThatHaveEnded) {
  has_job(17, "running", 40);
  Json first = Json::array();
  Json later = Json::array();
  for (int task = 0; task < 40; ++task) {
    const Json ended{{"task", task}, {"attempt", 1}, {"outcome", "success"}};
    if (task % 8 != 0)
      first.push_back(ended);
    if (task >= 32)
      later.push_back(ended);
    node.logs[fmt::format("/v1/jobs/17/tasks/{}/log?attempt=1&follow=true",
                          task)] = {"a\n"};
  }
  node.on("GET /v1/jobs/17/tasks?from=0&limit=1000", Json{{"tasks", first}});
  // By then those behind the first that was followed have ended as well.
  node.on("GET /v1/jobs/17/tasks?from=32&limit=1000", Json{{"tasks", later}});
  for (int task = 0; task < 32; task += 8) {
    const std::string look = fmt::format("GET /v1/jobs/17/tasks/{}", task);
    node.on(look, Json{{"task", task}, {"state", "started"}, {"attempt", 1}});
    node.on(look, Json{{"task", task}, {"state", "ended"}, {"attempt", 1}});
  }
  const std::string out = print({17, {}}, {.follow = true});
  EXPECT_TRUE(result);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 40);
  // The job, two lists, all logs, and three looks at each that was followed.
  EXPECT_EQ(node.asked.size(), 1U + 2 + 40 + 4 * 3);
}

TEST_F(JobLog, OfATaskThatWasTriedAgainInTheMeantimeReadsTheLastAttempt) {
  has_job(17, "running", 2);
  node.on_text("GET /v1/jobs/17/tasks?from=0&limit=1000",
               R"({"tasks":[{"task":0,"attempt":1,"outcome":"failed"}]})");
  node.on_text("GET /v1/jobs/17/tasks/0",
               R"({"task":0,"state":"started","attempt":2})");
  node.on_text("GET /v1/jobs/17/tasks/1",
               R"({"task":1,"state":"waiting","attempt":0})");
  node.logs["/v1/jobs/17/tasks/0/log?attempt=2"] = {"new\n"};
  EXPECT_EQ(print({17, {}}, {}), "17.0 | new\n");
}

TEST_F(JobLog, AsksForNoTaskThatNeverRan) {
  has_job(17, "cancelled", 1'000'000);
  const auto ended = [](std::uint64_t task, int attempt) {
    return Json{{"task", task}, {"attempt", attempt}, {"outcome", "cancelled"}};
  };
  Json first = Json::array();
  for (std::uint64_t task = 0; task < 1000; ++task)
    first.push_back(ended(task, 0));
  node.on("GET /v1/jobs/17/tasks?from=0&limit=1000", Json{{"tasks", first}});
  node.on_text("GET /v1/jobs/17/tried?from=1&limit=1", R"({"tasks":[5000]})");
  Json second = Json::array({ended(5000, 1)});
  for (std::uint64_t task = 5001; task < 6000; ++task)
    second.push_back(ended(task, 0));
  node.on("GET /v1/jobs/17/tasks?from=5000&limit=1000",
          Json{{"tasks", second}});
  node.logs["/v1/jobs/17/tasks/5000/log?attempt=1"] = {"a\n"};
  node.on_text("GET /v1/jobs/17/tried?from=5002&limit=1", R"({"tasks":[]})");
  EXPECT_EQ(print({17, {}}, {}), "17.5000   | a\n");
  EXPECT_TRUE(result);
  EXPECT_EQ(node.asked.size(), 6U);
}

TEST_F(JobLog, OfATaskGoesOnWithTheNextAttempt) {
  const std::string look = "GET /v1/jobs/17/tasks/3";
  const char* const first = R"({"task":3,"state":"started","attempt":1})";
  const char* const between = R"({"task":3,"state":"backing_off","attempt":1})";
  const char* const second = R"({"task":3,"state":"started","attempt":2})";
  const char* const ended = R"({"task":3,"state":"ended","attempt":2})";
  for (const char* task : {first, between, between, between, second, ended})
    node.on_text(look, task);
  node.logs["/v1/jobs/17/tasks/3/log?attempt=1&follow=true"] = {"one\n"};
  node.logs["/v1/jobs/17/tasks/3/log?attempt=2&follow=true"] = {"two\n"};
  // The first one is asked for again and has brought nothing new.
  EXPECT_EQ(print({17, 3}, {.follow = true}), "one\ntwo\n");
  EXPECT_TRUE(result);
  EXPECT_EQ(node.pauses.size(), 2U);
}

TEST_F(JobLog, OfAnAttemptThatWasLostSaysWhereItIs) {
  const char* const started = R"({"task":0,"state":"started","attempt":1})";
  const char* const lost = R"({"task":0,"state":"ended","attempt":1,
                               "attempts":[{"attempt":1,"outcome":"lost",
                                            "is_end_unknown":true,"node":"n3"}]})";
  const auto read = [&](const JobLogOptions& options) {
    ::testing::internal::CaptureStderr();
    print({6, 0}, options);
    EXPECT_TRUE(result);
    return ::testing::internal::GetCapturedStderr();
  };
  node.on_text("GET /v1/jobs/6/tasks/0", started);
  node.on_text("GET /v1/jobs/6/tasks/0", lost);
  node.logs["/v1/jobs/6/tasks/0/log?attempt=1&follow=true"] = {"hello\n"};
  EXPECT_EQ(read({.follow = true}),
            "troupe: what else attempt 1 of 6.0 wrote is on n3, which cannot "
            "be asked now\n");
  node.logs["/v1/jobs/6/tasks/0/log?attempt=1"] = {""};
  const std::string word =
      "troupe: what attempt 1 of 6.0 wrote is on n3, which cannot be asked "
      "now\n";
  node.on_text("GET /v1/cluster",
               R"({"nodes":[{"name":"n1","is_linked":true},
                            {"name":"n3","is_linked":false}]})");
  node.on_text("GET /v1/cluster",
               R"({"nodes":[{"name":"n3","is_linked":true}]})");
  EXPECT_EQ(read({}), word);
  // It is back, and was asked.
  EXPECT_EQ(read({}), "");
}

TEST_F(JobLog, PassesOnWhatIsAskedFor) {
  node.on_text("GET /v1/jobs/17/tasks/3",
               R"({"task":3,"state":"ended","attempt":4})");
  node.logs["/v1/jobs/17/tasks/3/log?attempt=2&tail=5"] = {"x"};
  EXPECT_EQ(print({17, 3}, {.tail = 5, .attempt = 2}), "x");
  EXPECT_EQ(print({17, 3}, {.attempt = 9}), "");
  EXPECT_EQ(result.error().code, Errc::not_found);
}

TEST_F(QueueCommand, TriggersAreListedWithWhatIsWrong) {
  node.on_text("GET /v1/triggers", R"({"folder":"/w","triggers":[
      {"name":"x.yaml","kind":"webhook","trigger":"POST /hooks/x",
       "last_run":7,"is_running":true}],
      "errors":[{"file":"/w/y.yaml",
                 "error":"/w/y.yaml:2:5: no\n    on\n    ^~"}]})");
  const Ended ended = run(show_triggers, {});
  EXPECT_EQ(ended.code, 3);
  EXPECT_EQ(ended.out,
            "NEXT  LEFT  LAST RUN      TRIGGER        ZONE  FILE\n"
            "-           r7 (running)  POST /hooks/x        x.yaml\n");
  EXPECT_EQ(ended.err, "troupe: /w/y.yaml:2:5: no\n    on\n    ^~\n");
}

TEST_F(QueueCommand, TriggersTakeANumberOfTimes) {
  node.on_text("GET /v1/triggers?next=5", R"({"triggers":[],"errors":[]})");
  EXPECT_EQ(run(show_triggers, {"--next", "5"}).code, 0);
  EXPECT_EQ(run(show_triggers, {"--next", "many"}).err.substr(0, 56),
            "troupe: triggers: --next: expected 0 to 100, got \"many\"\n");
}

}  // namespace
}  // namespace troupe::cli
