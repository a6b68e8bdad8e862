#include "temp_dir.hpp"

#include <troupe/process/warden_runner.hpp>

#include <boost/asio/executor_work_guard.hpp>

#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <string_view>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace troupe::process {
namespace {

/// Nothing here may take longer; a test that does has failed.
constexpr auto deadline = 20s;

struct CollectingSink : OutputSink {
  SinkState write(Stream stream, std::string_view bytes) override {
    (stream == Stream::out ? out : err) += bytes;
    return SinkState::ready;
  }
  std::string out;
  std::string err;
};

struct Finished {
  AttemptEnd end;
  std::string out;
  std::string err;

  [[nodiscard]] const ExitReport& report() const {
    return std::get<ExitReport>(end);
  }
};

class WardenRunnerTest : public ::testing::Test {
 protected:
  WardenRunnerTest() {
    WardenOptions options;
    options.program = TROUPE_WARDEN_PROGRAM;
    options.lanes = 2;
    sigemptyset(&options.signal_mask);
    runner = std::move(WardenRunner::create(io, options).value());
    io_thread = std::thread{[this] { io.run(); }};
  }
  ~WardenRunnerTest() override {
    io.stop();
    io_thread.join();
    runner->close(5s);
  }

  AttemptId begin(CommandSpec spec, std::shared_ptr<OutputSink> sink,
                  AttemptHandler handler) {
    const AttemptId id{.command = {++last_id}, .attempt = 1};
    runner->start(id, std::make_shared<const CommandSpec>(std::move(spec)),
                  std::move(sink), std::move(handler));
    return id;
  }

  std::future<Finished> start(CommandSpec spec, AttemptId* id = nullptr) {
    auto promise = std::make_shared<std::promise<Finished>>();
    auto sink = std::make_shared<CollectingSink>();
    const AttemptId started = begin(
        std::move(spec), sink, [promise, sink](const AttemptEvent& event) {
          if (const auto* end = std::get_if<AttemptEnded>(&event))
            promise->set_value({end->how, sink->out, sink->err});
        });
    if (id != nullptr)
      *id = started;
    return promise->get_future();
  }

  std::future<Finished> start_after(AttemptId predecessor, CommandSpec spec,
                                    AttemptId* id = nullptr) {
    auto promise = std::make_shared<std::promise<Finished>>();
    auto sink = std::make_shared<CollectingSink>();
    const AttemptId started{.command = {++last_id}, .attempt = 1};
    runner->start_after(
        predecessor, started,
        std::make_shared<const CommandSpec>(std::move(spec)), sink,
        [promise, sink](const AttemptEvent& event) {
          if (const auto* end = std::get_if<AttemptEnded>(&event))
            promise->set_value({end->how, sink->out, sink->err});
        });
    if (id != nullptr)
      *id = started;
    return promise->get_future();
  }

  static Finished await(std::future<Finished> future) {
    if (future.wait_for(deadline) != std::future_status::ready) {
      ADD_FAILURE() << "still running after the deadline";
      std::abort();
    }
    return future.get();
  }

  Finished run(CommandSpec spec) { return await(start(std::move(spec))); }

  /// The one child of ours.
  static void kill_warden() {
    std::ifstream children{"/proc/self/task/" + std::to_string(::getpid()) +
                           "/children"};
    // The youngest: that of a test before may not have ended yet.
    int warden = 0;
    for (int child = 0; children >> child;)
      warden = child;
    ASSERT_GT(warden, 0);
    ::kill(warden, SIGKILL);
  }

  static CommandSpec sh(std::string script) {
    CommandSpec spec;
    spec.argv = {"sh", "-c", std::move(script)};
    return spec;
  }

  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      guard{io.get_executor()};
  std::unique_ptr<WardenRunner> runner;
  std::thread io_thread;
  std::uint64_t last_id = 0;
  testing::TempDir dir;
};

TEST_F(WardenRunnerTest, CapturesBothStreamsAndTheExitCode) {
  const Finished done = run(sh("printf out; printf err >&2; exit 3"));
  EXPECT_EQ(done.out, "out");
  EXPECT_EQ(done.err, "err");
  EXPECT_EQ(done.report().exit_code, 3);
  EXPECT_EQ(done.report().signal, 0);
  EXPECT_EQ(done.report().stdout_bytes, 3U);
  EXPECT_GT(done.report().max_rss_bytes, 100U << 10);
  EXPECT_LT(done.report().max_rss_bytes, 64U << 20);
}

TEST_F(WardenRunnerTest, ReportsTheSignalThatEndedACommand) {
  EXPECT_EQ(run(sh("kill -SEGV $$")).report().signal, SIGSEGV);
}

TEST_F(WardenRunnerTest, TellsAMissingProgramFromOneThatCannotBeExecuted) {
  CommandSpec missing;
  missing.argv = {"no-such-program-here"};
  const auto not_found = std::get<SpawnFailure>(run(missing).end);
  EXPECT_EQ(not_found.stage, SpawnStage::exec);
  EXPECT_EQ(
      not_found.error,
      (Error{Errc::not_found, "no-such-program-here: command not found"}));

  CommandSpec refused;
  refused.argv = {dir.write("plain.txt", "text")};
  EXPECT_EQ(std::get<SpawnFailure>(run(refused).end).error.code,
            Errc::permission_denied);
}

TEST_F(WardenRunnerTest, NamesAMissingWorkingDirectory) {
  CommandSpec spec = sh("true");
  spec.working_directory = "/no/such/place";
  const auto failed = std::get<SpawnFailure>(run(spec).end);
  EXPECT_EQ(failed.stage, SpawnStage::working_directory);
  EXPECT_EQ(failed.error.what,
            "cannot enter directory /no/such/place: no such file or directory");
}

TEST_F(WardenRunnerTest, RunsAScriptWithoutAnInterpreterLineByTheShell) {
  CommandSpec spec;
  spec.argv = {dir.write("script", "echo from $1"), "me"};
  ::chmod(spec.argv[0].c_str(), 0755);
  EXPECT_EQ(run(spec).out, "from me\n");
}

TEST_F(WardenRunnerTest, FeedsStandardInputFromTextFileAndNothing) {
  CommandSpec spec;
  spec.argv = {"cat"};
  EXPECT_EQ(run(spec).out, "");
  spec.standard_input = StdinText{std::string("a\0b\xff", 4)};
  EXPECT_EQ(run(spec).out, std::string("a\0b\xff", 4));
  spec.standard_input = StdinFile{dir.write("in.txt", "from a file")};
  EXPECT_EQ(run(spec).out, "from a file");
  spec.standard_input = StdinFile{"/no/such/file"};
  EXPECT_EQ(std::get<SpawnFailure>(run(spec).end).stage,
            SpawnStage::standard_input);
}

TEST_F(WardenRunnerTest, AppliesEnvironmentDirectoryUmaskLimitsAndNiceness) {
  CommandSpec spec =
      sh("echo \"$A|${HOME-none}|$(pwd)|$(umask)|$(ulimit -n)|$(ulimit -t)|"
         "$(nice)\"");
  spec.env = {{"A", "x y"}, {"PATH", "/usr/bin:/bin"}};
  spec.clear_env = true;
  spec.working_directory = "/usr";
  spec.umask = 027;
  spec.limits.open_files = 77;
  spec.limits.cpu_seconds = 5;
  spec.nice = 3;
  EXPECT_EQ(run(spec).out, "x y|none|/usr|0027|77|5|3\n");
}

TEST_F(WardenRunnerTest, MergesStandardErrorInOrder) {
  CommandSpec spec = sh("echo 1; echo 2 >&2; echo 3");
  spec.standard_error = Output::merge;
  EXPECT_EQ(run(spec).out, "1\n2\n3\n");
}

TEST_F(WardenRunnerTest, StopsPolitelyAtTheLimitAndKillsAfterTheGrace) {
  CommandSpec polite =
      sh("trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done");
  polite.time_limit = 200ms;
  const Finished said_bye = run(polite);
  EXPECT_EQ(said_bye.out, "bye\n");
  EXPECT_EQ(said_bye.report().exit_code, 7);
  EXPECT_TRUE(said_bye.report().timed_out);
  EXPECT_FALSE(said_bye.report().killed);

  CommandSpec stubborn = sh("trap '' TERM; while :; do sleep 0.05; done");
  stubborn.time_limit = 100ms;
  stubborn.grace = 100ms;
  const Finished killed = run(stubborn);
  EXPECT_EQ(killed.report().signal, SIGKILL);
  EXPECT_TRUE(killed.report().timed_out);
  EXPECT_TRUE(killed.report().killed);
}

TEST_F(WardenRunnerTest, LeavesNoDaemonBehindAndIsNotHeldUpByIt) {
  const Finished done =
      run(sh("(setsid sh -c 'trap \"\" TERM HUP; echo $$; exec sleep 300' &); "
             "sleep 0.1; echo done; exit 4"));
  EXPECT_EQ(done.report().exit_code, 4);
  EXPECT_TRUE(done.report().output_held);
  EXPECT_EQ(done.report().leftovers, 1U);
  EXPECT_LT(done.report().wall, 5s);
  const int daemon = std::stoi(done.out);
  EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(daemon)));
}

/// More than a warden passes on itself; numbered, so that nothing can be twice.
constexpr std::string_view much_output = "seq 1000000";
constexpr std::size_t much_output_bytes = 6'888'896;

TEST_F(WardenRunnerTest, CapturesMuchOutputAsItIs) {
  const Finished done =
      run(sh(std::string{much_output} + " | tee /dev/stderr"));
  ASSERT_EQ(done.out.size(), much_output_bytes);
  EXPECT_TRUE(done.out == done.err);
  EXPECT_TRUE(done.out.ends_with("\n999999\n1000000\n"));
  EXPECT_EQ(done.report().stdout_bytes, much_output_bytes);
  EXPECT_EQ(done.report().stderr_bytes, much_output_bytes);
  EXPECT_FALSE(done.report().output_held);
}

TEST_F(WardenRunnerTest, WhoKeepsAStreamOfMuchOutputOpenIsNotWaitedFor) {
  const Finished done = run(
      sh(std::string{much_output} +
         "; (setsid sh -c 'trap \"\" TERM HUP; exec sleep 300' &); sleep 0.1"));
  EXPECT_EQ(done.out.size(), much_output_bytes);
  EXPECT_TRUE(done.report().output_held);
  EXPECT_EQ(done.report().leftovers, 1U);
}

/// Takes nothing until it is told to, but for what comes first.
struct PatientSink : CollectingSink {
  explicit PatientSink(std::size_t first) : takes_bytes{first} {}
  SinkState write(Stream stream, std::string_view bytes) override {
    (void)CollectingSink::write(stream, bytes);
    const bool is_full = !is_open && out.size() >= takes_bytes;
    return is_full ? SinkState::full : SinkState::ready;
  }
  void on_attach(std::function<void()> resume) override {
    go_on = std::move(resume);
  }
  std::size_t takes_bytes;
  std::atomic<bool> is_open = false;
  std::function<void()> go_on;
};

TEST_F(WardenRunnerTest, WhatACommandHasWrittenWaitsForItsReader) {
  // Full while the warden passes output on, and when that is ours to read.
  for (const std::size_t first : {std::size_t{1}, std::size_t{3} << 20}) {
    const auto sink = std::make_shared<PatientSink>(first);
    std::promise<AttemptEnd> ended;
    // So much of the rest is in a pipe when the command ends.
    begin(sh("head -c 3500000 /dev/zero; kill -9 $$"), sink,
          [&](const AttemptEvent& event) {
            if (const auto* end = std::get_if<AttemptEnded>(&event))
              ended.set_value(end->how);
          });
    auto end = ended.get_future();
    EXPECT_EQ(end.wait_for(500ms), std::future_status::timeout);
    sink->is_open = true;
    sink->go_on();
    ASSERT_EQ(end.wait_for(deadline), std::future_status::ready);
    EXPECT_EQ(sink->out.size(), 3'500'000U);
    EXPECT_FALSE(std::get<ExitReport>(end.get()).output_held);
  }
}

TEST_F(WardenRunnerTest, WhatHasEndedIsNotLostWithItsWardenForItsOutput) {
  const auto sink = std::make_shared<PatientSink>(std::size_t{3} << 20);
  std::promise<AttemptEnd> ended;
  begin(sh("head -c 3500000 /dev/zero; exit 7"), sink,
        [&](const AttemptEvent& event) {
          if (const auto* end = std::get_if<AttemptEnded>(&event))
            ended.set_value(end->how);
        });
  auto end = ended.get_future();
  EXPECT_EQ(end.wait_for(500ms), std::future_status::timeout);
  kill_warden();
  EXPECT_EQ(end.wait_for(300ms), std::future_status::timeout);
  sink->is_open = true;
  sink->go_on();
  ASSERT_EQ(end.wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(std::get<ExitReport>(end.get()).exit_code, 7);
  EXPECT_EQ(sink->out.size(), 3'500'000U);
}

TEST_F(WardenRunnerTest, TellsTheOrphansOfTwoCommandsApart) {
  const std::string script =
      "(setsid sh -c 'echo $$; exec >/dev/null 2>&1; exec sleep 300' &); ";
  auto lasting = start(sh(script + "sleep 1; echo alive; kill -0 $(cat " +
                          dir.path("pid") + ") && echo mine-too"));
  const Finished quick = run(sh("sleep 0.2; " + script + "sleep 0.1"));
  EXPECT_EQ(quick.report().leftovers, 1U);
  const Finished other = lasting.get();
  EXPECT_EQ(other.report().leftovers, 1U) << other.out;
}

TEST_F(WardenRunnerTest, StopsOnRequestAndSaysSo) {
  AttemptId id;
  auto future = start(sh("sleep 300"), &id);
  runner->stop(id, {.signal = SIGTERM, .grace = 2s});
  const Finished done = future.get();
  EXPECT_TRUE(done.report().stopped);
  EXPECT_EQ(done.report().signal, SIGTERM);
}

TEST_F(WardenRunnerTest, PassesASignalToTheLeaderOnly) {
  AttemptId id;
  auto future = start(
      sh("trap 'echo usr1; exit 0' USR1; echo ready; while :; do sleep 0.02; "
         "done"),
      &id);
  // Repeats until the trap is set: an early signal would end the shell.
  runner->signal(id, SIGCONT);
  std::this_thread::sleep_for(300ms);
  runner->signal(id, SIGUSR1);
  EXPECT_EQ(future.get().out, "ready\nusr1\n");
}

TEST_F(WardenRunnerTest, StartingAKnownAttemptAgainAdoptsIt) {
  AttemptId id;
  auto first =
      start(sh("echo once >> " + dir.path("log") + "; sleep 0.3"), &id);
  std::promise<AttemptEnd> adopted;
  runner->start(id, std::make_shared<const CommandSpec>(sh("echo twice")),
                nullptr, [&](const AttemptEvent& event) {
                  if (const auto* end = std::get_if<AttemptEnded>(&event))
                    adopted.set_value(end->how);
                });
  auto future = adopted.get_future();
  ASSERT_EQ(future.wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(std::get<ExitReport>(future.get()).exit_code, 0);
  EXPECT_EQ(dir.read("log"), "once\n");
  runner->forget(id);
}

TEST_F(WardenRunnerTest, PassesAHundredMegabytesUnchanged) {
  struct CountingSink : OutputSink {
    SinkState write(Stream, std::string_view bytes) override {
      for (const char c : bytes)
        zeros += c == 0 ? 1U : 0U;
      return SinkState::ready;
    }
    std::uint64_t zeros = 0;
  };
  auto sink = std::make_shared<CountingSink>();
  std::promise<ExitReport> ended;
  CommandSpec spec;
  spec.argv = {"head", "-c", "100M", "/dev/zero"};
  begin(spec, sink, [&](const AttemptEvent& event) {
    if (const auto* end = std::get_if<AttemptEnded>(&event))
      ended.set_value(std::get<ExitReport>(end->how));
  });
  EXPECT_EQ(ended.get_future().get().stdout_bytes, 100U << 20);
  EXPECT_EQ(sink->zeros, 100U << 20);
}

TEST_F(WardenRunnerTest, OfManyThatWriteAtOnceNoneIsForgotten) {
  constexpr std::size_t writers = 40;
  constexpr std::uint64_t each = 10 << 20;
  /// What all have written since each of them has begun, until that is enough.
  struct Race {
    std::size_t begun = 0;
    std::uint64_t bytes = 0;
    std::promise<void> is_over;
  };
  struct Share : OutputSink {
    SinkState write(Stream, std::string_view bytes) override {
      if (!std::exchange(has_begun, true))
        ++race->begun;
      if (race->begun < writers || race->bytes >= writers * each)
        return SinkState::ready;
      own += bytes.size();
      if ((race->bytes += bytes.size()) >= writers * each)
        race->is_over.set_value();
      return SinkState::ready;
    }
    std::shared_ptr<Race> race;
    bool has_begun = false;
    std::uint64_t own = 0;
  };
  const auto race = std::make_shared<Race>();
  const auto go = dir.path("go");
  std::vector<std::shared_ptr<Share>> shares;
  std::vector<AttemptId> ids;
  std::atomic<std::size_t> started = 0;
  std::vector<std::promise<void>> ends(writers);
  for (auto& end : ends) {
    auto share = std::make_shared<Share>();
    share->race = race;
    shares.push_back(share);
    ids.push_back(begin(sh("while ! test -e " + go +
                           "; do sleep 0.01; done; "
                           "exec dd if=/dev/zero bs=64K status=none"),
                        share, [&](const AttemptEvent& event) {
                          if (std::holds_alternative<AttemptStarted>(event))
                            ++started;
                          if (std::holds_alternative<AttemptEnded>(event))
                            end.set_value();
                        }));
  }
  while (started != writers)
    std::this_thread::yield();
  dir.write("go", "");
  ASSERT_EQ(race->is_over.get_future().wait_for(deadline),
            std::future_status::ready);
  for (const AttemptId& id : ids)
    runner->stop(id, {});
  for (auto& end : ends)
    EXPECT_EQ(end.get_future().wait_for(deadline), std::future_status::ready);
  for (const auto& share : shares)
    EXPECT_GE(share->own, each / 5);
}

TEST_F(WardenRunnerTest, OfTwoStreamsWhatWasWrittenFirstComesFirst) {
  struct Sink : OutputSink {
    SinkState write(Stream, std::string_view bytes) override {
      all += bytes;
      return SinkState::ready;
    }
    std::string all;
  };
  for (int i = 0; i < 20; ++i) {
    const auto sink = std::make_shared<Sink>();
    std::promise<void> ended;
    begin(sh("echo first >&2; sleep 0.01; echo second"), sink,
          [&](const AttemptEvent& event) {
            if (std::holds_alternative<AttemptEnded>(event))
              ended.set_value();
          });
    ASSERT_EQ(ended.get_future().wait_for(deadline), std::future_status::ready);
    EXPECT_EQ(sink->all, "first\nsecond\n");
  }
}

TEST_F(WardenRunnerTest, AFullSinkHoldsTheCommandBackUntilItResumes) {
  struct FullSink : OutputSink {
    void on_attach(std::function<void()> resume) override {
      go_on = std::move(resume);
    }
    SinkState write(Stream, std::string_view bytes) override {
      total += bytes.size();
      return SinkState::full;
    }
    std::function<void()> go_on;
    std::atomic<std::size_t> total{0};
  };
  auto sink = std::make_shared<FullSink>();
  std::promise<void> ended;
  CommandSpec spec;
  spec.argv = {"head", "-c", "32M", "/dev/zero"};
  begin(spec, sink, [&](const AttemptEvent& event) {
    if (std::holds_alternative<AttemptEnded>(event))
      ended.set_value();
  });
  auto future = ended.get_future();
  EXPECT_EQ(future.wait_for(300ms), std::future_status::timeout);
  EXPECT_LE(sink->total.load(), 64U << 10);
  while (future.wait_for(0ms) != std::future_status::ready) {
    sink->go_on();
    std::this_thread::yield();
  }
  EXPECT_EQ(sink->total.load(), 32U << 20);
}

TEST_F(WardenRunnerTest, ADeadWardenTakesItsCommandsAlongAndIsReplaced) {
  auto future =
      start(sh("echo $PPID; echo $$; (setsid sleep 300 &) ; sleep 300"));
  // The parent of the leader is the warden.
  std::this_thread::sleep_for(300ms);
  kill_warden();
  ASSERT_EQ(future.wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(std::get<RunnerLost>(future.get().end), RunnerLost{});
  EXPECT_EQ(run(sh("echo again")).out, "again\n");
}

TEST_F(WardenRunnerTest, WhatIsStoppedWhileAWardenIsReplacedDoesNotRun) {
  auto lost = start(sh("sleep 300"));
  std::this_thread::sleep_for(200ms);
  kill_warden();
  std::vector<std::future<Finished>> stopped;
  const auto stop_one_more = [&] {
    AttemptId id;
    stopped.push_back(start(sh("sleep 300"), &id));
    runner->stop(id, {.signal = SIGKILL, .grace = Duration{0}});
  };
  while (lost.wait_for(0ms) != std::future_status::ready &&
         stopped.size() < 5000) {
    stop_one_more();
    std::this_thread::sleep_for(100us);
  }
  ASSERT_EQ(lost.wait_for(deadline), std::future_status::ready);
  for (auto& future : stopped)
    ASSERT_EQ(future.wait_for(deadline), std::future_status::ready);
}

/// Runs until the file `go` is there.
CommandSpec until_told(const testing::TempDir& dir, const std::string& then) {
  CommandSpec spec;
  spec.argv = {
      "sh", "-c",
      "while [ ! -e " + dir.path("go") + " ]; do sleep 0.01; done; " + then};
  return spec;
}

TEST_F(WardenRunnerTest, ASuccessorStartsOnceItsPredecessorIsOver) {
  AttemptId first_id;
  auto first =
      start(until_told(dir, "echo first >> " + dir.path("order")), &first_id);
  AttemptId second_id;
  auto second = start_after(
      first_id, sh("cat " + dir.path("order") + "; exit 3"), &second_id);
  auto third = start_after(second_id, sh("exit 4"));
  // Somebody else's end is not what they wait for.
  EXPECT_EQ(run(sh("exit 2")).report().exit_code, 2);
  EXPECT_EQ(second.wait_for(0ms), std::future_status::timeout);
  dir.write("go", "");
  EXPECT_EQ(await(std::move(first)).report().exit_code, 0);
  const Finished done = await(std::move(second));
  EXPECT_EQ(done.report().exit_code, 3);
  EXPECT_EQ(done.out, "first\n");
  EXPECT_EQ(await(std::move(third)).report().exit_code, 4);
}

TEST_F(WardenRunnerTest, ASuccessorOfWhatHasEndedStartsAtOnce) {
  AttemptId id;
  EXPECT_EQ(await(start(sh("exit 2"), &id)).report().exit_code, 2);
  EXPECT_EQ(await(start_after(id, sh("exit 3"))).report().exit_code, 3);
  runner->forget(id);
  EXPECT_EQ(await(start_after(id, sh("exit 4"))).report().exit_code, 4);
}

TEST_F(WardenRunnerTest, ASuccessorOfWhatCouldNotBeStartedStartsAllTheSame) {
  CommandSpec missing;
  missing.argv = {"no-such-program-here"};
  AttemptId id;
  auto first = start(missing, &id);
  EXPECT_EQ(await(start_after(id, sh("exit 3"))).report().exit_code, 3);
}

TEST_F(WardenRunnerTest, ASuccessorThatIsWithdrawnOrStoppedInTimeDoesNotRun) {
  AttemptId first_id;
  auto first = start(until_told(dir, "exit 2"), &first_id);
  AttemptId second_id;
  auto second =
      start_after(first_id, sh("touch " + dir.path("ran")), &second_id);
  runner->withdraw(second_id);
  EXPECT_EQ(std::get<SpawnFailure>(await(std::move(second)).end).error.code,
            Errc::cancelled);
  AttemptId third_id;
  auto third = start_after(first_id, sh("touch " + dir.path("ran")), &third_id);
  runner->stop(third_id, {});
  EXPECT_EQ(std::get<SpawnFailure>(await(std::move(third)).end).error.code,
            Errc::cancelled);
  auto fourth = start_after(first_id, sh("exit 4"));
  dir.write("go", "");
  EXPECT_EQ(await(std::move(first)).report().exit_code, 2);
  EXPECT_EQ(await(std::move(fourth)).report().exit_code, 4);
  EXPECT_EQ(::access(dir.path("ran").c_str(), F_OK), -1);
}

TEST_F(WardenRunnerTest, BehindOneThatDoesNotStartIsTheTurnOfTheOneBeforeIt) {
  AttemptId first_id;
  auto first =
      start(until_told(dir, "echo first >> " + dir.path("order")), &first_id);
  AttemptId second_id;
  auto second = start_after(first_id, sh("exit 2"), &second_id);
  AttemptId third_id;
  auto third = start_after(second_id, sh("exit 3"), &third_id);
  auto fourth = start_after(third_id, sh("cat " + dir.path("order")));
  runner->withdraw(second_id);
  EXPECT_EQ(std::get<SpawnFailure>(await(std::move(second)).end).error.code,
            Errc::cancelled);
  runner->stop(third_id, {});
  EXPECT_EQ(std::get<SpawnFailure>(await(std::move(third)).end).error.code,
            Errc::cancelled);
  // It is known already that this one will not start.
  auto fifth = start_after(third_id, sh("cat " + dir.path("order")));
  EXPECT_EQ(run(sh("exit 2")).report().exit_code, 2);
  dir.write("go", "");
  EXPECT_EQ(await(std::move(fourth)).out, "first\n");
  EXPECT_EQ(await(std::move(fifth)).out, "first\n");
  EXPECT_EQ(await(std::move(first)).report().exit_code, 0);
}

TEST_F(WardenRunnerTest, AChainOfShortCommandsIsToldOfInItsOrder) {
  constexpr std::uint64_t count = 20;
  AttemptId previous;
  auto first = start(until_told(dir, ""), &previous);
  std::vector<std::string> told;  // By the I/O thread, until the last one.
  std::promise<void> last;
  for (std::uint64_t i = 1; i <= count; ++i) {
    const AttemptId id{.command = {++last_id}, .attempt = 1};
    auto sink = std::make_shared<CollectingSink>();
    runner->start_after(
        previous, id,
        std::make_shared<const CommandSpec>(sh("echo " + std::to_string(i))),
        sink, [&told, &last, sink, i](const AttemptEvent& event) {
          const bool is_end = std::holds_alternative<AttemptEnded>(event);
          told.push_back(is_end ? sink->out : "started\n");
          if (is_end && i == count)
            last.set_value();
        });
    previous = id;
  }
  dir.write("go", "");
  ASSERT_EQ(last.get_future().wait_for(deadline), std::future_status::ready);
  std::vector<std::string> expected;
  for (std::uint64_t i = 1; i <= count; ++i) {
    expected.emplace_back("started\n");
    expected.push_back(std::to_string(i) + "\n");
  }
  EXPECT_EQ(told, expected);
  EXPECT_EQ(await(std::move(first)).report().exit_code, 0);
}

TEST_F(WardenRunnerTest, AWithdrawalMayComeBeforeTheStart) {
  AttemptId first_id;
  auto first = start(until_told(dir, "exit 2"), &first_id);
  runner->withdraw({.command = {last_id + 1}, .attempt = 1});
  EXPECT_EQ(
      std::get<SpawnFailure>(
          await(start_after(first_id, sh("touch " + dir.path("ran")))).end)
          .error.code,
      Errc::cancelled);
  dir.write("go", "");
  EXPECT_EQ(await(std::move(first)).report().exit_code, 2);
  EXPECT_EQ(::access(dir.path("ran").c_str(), F_OK), -1);
}

TEST_F(WardenRunnerTest, WhatRunsIsNotWithdrawn) {
  AttemptId id;
  auto future = start(until_told(dir, "exit 2"), &id);
  runner->withdraw(id);
  EXPECT_EQ(run(sh("exit 3")).report().exit_code, 3);
  dir.write("go", "");
  EXPECT_EQ(await(std::move(future)).report().exit_code, 2);
  runner->withdraw(id);
}

TEST_F(WardenRunnerTest, ADeadWardenTakesSuccessorsAlongToo) {
  AttemptId id;
  auto first = start(sh("sleep 300"), &id);
  auto second = start_after(id, sh("sleep 300"));
  EXPECT_EQ(run(sh("exit 3")).report().exit_code, 3);
  kill_warden();
  EXPECT_EQ(std::get<RunnerLost>(await(std::move(first)).end), RunnerLost{});
  EXPECT_EQ(std::get<RunnerLost>(await(std::move(second)).end), RunnerLost{});
}

}  // namespace
}  // namespace troupe::process
