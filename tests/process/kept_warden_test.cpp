#include "procfs.hpp"
#include "temp_dir.hpp"
#include "warden_folder.hpp"
#include "wire.hpp"

#include <troupe/process/boot_clock.hpp>
#include <troupe/process/leftovers.hpp>
#include <troupe/process/output_record.hpp>
#include <troupe/process/warden_runner.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <future>
#include <gtest/gtest.h>
#include <poll.h>
#include <random>
#include <spawn.h>
#include <string_view>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace troupe::process {
namespace {

/// Nothing here may take longer; a test that does has failed.
constexpr auto deadline = 30s;

/// Of its own for each test, since they sweep, and run side by side.
std::string session() { return "test-" + std::to_string(::getpid()); }

/// Looks again and again, in place of an event that nobody can tell us.
template <class Condition>
bool wait_until(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

struct CollectingSink : OutputSink {
  SinkState write(Stream, std::string_view bytes) override {
    out += bytes;
    return SinkState::ready;
  }
  std::string out;
};

struct Finished {
  int pid = 0;  ///< As AttemptStarted has told; zero without one.
  AttemptEnd end;
  std::string out;

  [[nodiscard]] const ExitReport& report() const {
    return std::get<ExitReport>(end);
  }
};

AttemptId attempt(std::uint64_t command) { return {.command = {command}}; }

/// A runner with its I/O thread: what a node is to the warden.
class Node {
 public:
  explicit Node(const WardenOptions& options)
      : runner{std::move(WardenRunner::create(io, options).value())},
        thread{[this] { io.run(); }} {}
  ~Node() { leave(); }

  void leave() {
    stop();
    runner->leave();
  }
  void close(Duration limit) {
    stop();
    runner->close(limit);
  }

  std::future<Finished> start(std::uint64_t command, CommandSpec spec) {
    const auto promise = std::make_shared<std::promise<Finished>>();
    const auto sink = std::make_shared<CollectingSink>();
    runner->start(attempt(command),
                  std::make_shared<const CommandSpec>(std::move(spec)), sink,
                  on_end(promise, sink));
    return promise->get_future();
  }

  std::future<Finished> start_after(std::uint64_t predecessor,
                                    std::uint64_t command, CommandSpec spec) {
    const auto promise = std::make_shared<std::promise<Finished>>();
    const auto sink = std::make_shared<CollectingSink>();
    runner->start_after(attempt(predecessor), attempt(command),
                        std::make_shared<const CommandSpec>(std::move(spec)),
                        sink, on_end(promise, sink));
    return promise->get_future();
  }

  /// Likewise, and waits until the command runs.
  void begin(std::uint64_t command, CommandSpec spec) {
    auto promise = std::make_shared<std::promise<void>>();
    runner->start(attempt(command),
                  std::make_shared<const CommandSpec>(std::move(spec)), nullptr,
                  [promise, told = false](const AttemptEvent&) mutable {
                    if (!std::exchange(told, true))
                      promise->set_value();
                  });
    EXPECT_EQ(promise->get_future().wait_for(deadline),
              std::future_status::ready);
  }

  /// For an attempt that the runner knows.
  std::future<Finished> adopt(std::uint64_t command) {
    return start(command, CommandSpec{});
  }

  /// Fulfilled once nothing runs any more.
  std::future<void> idle() {
    const auto promise = std::make_shared<std::promise<void>>();
    runner->when_idle([promise] { promise->set_value(); });
    return promise->get_future();
  }

  /// Like a process that is stopped or hangs: connected, and deaf.
  void stop() {
    io.stop();
    if (thread.joinable())
      thread.join();
  }

  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      guard{io.get_executor()};
  std::unique_ptr<WardenRunner> runner;

 private:
  static AttemptHandler on_end(std::shared_ptr<std::promise<Finished>> promise,
                               std::shared_ptr<CollectingSink> sink) {
    return [promise = std::move(promise), sink = std::move(sink),
            pid = 0](const AttemptEvent& event) mutable {
      if (const auto* started = std::get_if<AttemptStarted>(&event))
        pid = started->pid;
      else
        promise->set_value({pid, std::get<AttemptEnded>(event).how, sink->out});
    };
  }

  std::thread thread;
};

/// The program of that name, as a child with its output in a pipe.
class DoomedRunner {
 public:
  DoomedRunner(const std::string& folder, std::vector<std::string> scripts) {
    std::vector<std::string> arguments{"doomed_runner", TROUPE_WARDEN_PROGRAM,
                                       folder, session()};
    arguments.insert(arguments.end(), scripts.begin(), scripts.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments)
      argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    said_.reset(ends[0]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    EXPECT_EQ(::posix_spawn(&pid_, TROUPE_DOOMED_RUNNER, &actions, nullptr,
                            argv.data(), environ),
              0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
  }
  ~DoomedRunner() { kill(); }

  /// The next line that it says; empty at its end or after the deadline.
  std::string line() {
    std::string line;
    char c = 0;
    while (line.empty() || line.back() != '\n') {
      pollfd readable{.fd = said_.get(), .events = POLLIN, .revents = 0};
      constexpr int limit_ms = 30'000;
      if (::poll(&readable, 1, limit_ms) <= 0 ||
          ::read(said_.get(), &c, 1) != 1)
        return {};
      line += c;
    }
    return line;
  }

  void signal(int signal) const { ::kill(pid_, signal); }

  void kill() {
    if (pid_ <= 0)
      return;
    signal(SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
  OwnedFd said_;
};

/// Everything in a record, and what a gap in it says.
struct Recorded {
  std::string bytes;
  std::uint64_t missing = 0;
};

Recorded read_record(const std::string& path) {
  Recorded recorded;
  auto reader = RecordReader::open(path);
  if (!reader)
    return recorded;
  while (const auto frame = reader->next().value()) {
    recorded.bytes += frame->bytes;
    recorded.missing += frame->unrecorded_bytes;
  }
  return recorded;
}

bool is_alive(pid_t pid) {
  const auto stat = stat_of(pid);
  return stat && stat->alive();
}

class KeptWardenTest : public ::testing::Test {
 protected:
  ~KeptWardenTest() override {
    if (const pid_t warden = warden_pid(); warden > 0 && is_locked()) {
      ::kill(warden, SIGKILL);
      EXPECT_TRUE(wait_until([this] { return !is_locked(); }));
    }
    ::waitpid(-1, nullptr, WNOHANG);
    EXPECT_EQ(end_leftovers(session(), 5s).value().survivors, 0U);
  }

  [[nodiscard]] WardenOptions options(Duration patience = 1min) const {
    WardenOptions options;
    options.program = TROUPE_WARDEN_PROGRAM;
    options.lanes = 2;
    sigemptyset(&options.signal_mask);
    options.keep = {
        .folder = dir.path(), .session = session(), .patience = patience};
    return options;
  }

  /// A runner comes, starts it as command 1 and goes.
  static void start_and_leave(const WardenOptions& options, CommandSpec spec) {
    Node{options}.begin(1, std::move(spec));
  }

  [[nodiscard]] static CommandSpec sh(std::string script) {
    CommandSpec spec;
    spec.argv = {"sh", "-c", std::move(script)};
    return spec;
  }

  [[nodiscard]] CommandSpec recorded(std::string script) const {
    CommandSpec spec = sh(std::move(script));
    spec.standard_output = Output::record;
    spec.standard_error = Output::discard;
    spec.record = {.path = dir.path("record")};
    return spec;
  }

  /// Of the warden that has signed the lock last.
  [[nodiscard]] pid_t warden_pid() const {
    const auto identity = folder().identity();
    return identity ? identity->process.first : 0;
  }
  [[nodiscard]] bool is_locked() const {
    const auto lock = folder().try_lock();
    return lock && !*lock;
  }
  [[nodiscard]] WardenFolder folder() const {
    return WardenFolder::open(dir.path()).value();
  }

  /// A number that a command has written into a file.
  [[nodiscard]] pid_t await_pid(const std::string& name) const {
    EXPECT_TRUE(wait_until([&] { return dir.read(name).ends_with('\n'); }));
    return std::atoi(dir.read(name).c_str());
  }

  static Finished await(std::future<Finished> future) {
    if (future.wait_for(deadline) != std::future_status::ready) {
      ADD_FAILURE() << "still running after the deadline";
      std::abort();
    }
    return future.get();
  }

  testing::TempDir dir;
};

/// Leaves a process behind that is in no group or session of the command's and
/// whose parent is gone; its number goes into `file`.
std::string daemon_into(const std::string& file) {
  return "(setsid sh -c 'echo $$ > " + file +
         "; exec sleep 300 > /dev/null 2>&1' &)";
}

TEST_F(KeptWardenTest, ACommandGoesOnWithoutARunnerAndIsAdopted) {
  auto first = std::make_unique<Node>(options());
  EXPECT_EQ(first->runner->session(), session());
  EXPECT_EQ(first->runner->adopted(), std::vector<AttemptId>{});
  (void)first->start(7, recorded("echo $$ > " + dir.path("pid") +
                                 "; echo one; while [ ! -e " + dir.path("go") +
                                 " ]; do sleep 0.02; done; echo two; exit 5"));
  const pid_t pid = await_pid("pid");
  first.reset();
  EXPECT_TRUE(is_alive(pid));

  Node second{options()};
  EXPECT_EQ(second.runner->adopted(), std::vector<AttemptId>{attempt(7)});
  auto ended = second.adopt(7);
  dir.write("go", "");
  const Finished done = await(std::move(ended));
  EXPECT_EQ(done.pid, pid);
  EXPECT_EQ(done.report().exit_code, 5);
  EXPECT_EQ(read_record(dir.path("record")).bytes, "one\ntwo\n");
}

TEST_F(KeptWardenTest, WhenItEndedIsToldToTheNextRunnerAsWell) {
  auto first = std::make_unique<Node>(options());
  const BootTime begun = boot_now();
  const auto told = await(first->start(7, sh("sleep 0.1"))).report();
  EXPECT_GE(told.ended - told.wall, begun);
  EXPECT_LE(told.ended, boot_now());
  first.reset();

  Node second{options()};
  EXPECT_EQ(await(second.adopt(7)).report(), told);
}

TEST_F(KeptWardenTest, WhatARunnerThatWasKilledHasStartedIsTold) {
  DoomedRunner doomed{
      dir.path(),
      {"echo $$ > " + dir.path("pid") +
           "; printf 'a\\0b\\377'"
           "; while [ ! -e " +
           dir.path("go") + " ]; do sleep 0.02; done; echo late",
       "head -c 3000000 /dev/zero | sha256sum; exit 3",
       "no-such-program-here"}};
  ASSERT_EQ(doomed.line(), "up\n");
  const pid_t pid = await_pid("pid");
  ASSERT_TRUE(
      wait_until([&] { return !read_record(dir.path("2")).bytes.empty(); }));
  doomed.kill();

  Node node{options()};
  auto adopted = node.runner->adopted();
  std::sort(adopted.begin(), adopted.end());
  EXPECT_EQ(adopted, (std::vector{attempt(1), attempt(2), attempt(3)}));
  const Finished ended = await(node.adopt(2));
  EXPECT_EQ(ended.report().exit_code, 3);
  EXPECT_GT(ended.report().user + ended.report().system, 0ms);
  EXPECT_GT(ended.report().max_rss_bytes, 100U << 10);
  EXPECT_EQ(ended.report().stdout_bytes, 68U);
  const Finished failed = await(node.adopt(3));
  EXPECT_EQ(failed.pid, 0);
  EXPECT_EQ(std::get<SpawnFailure>(failed.end).error.what,
            "no-such-program-here: command not found");

  auto running = node.adopt(1);
  dir.write("go", "");
  const Finished done = await(std::move(running));
  EXPECT_EQ(done.pid, pid);
  EXPECT_EQ(done.report().exit_code, 0);
  EXPECT_EQ(done.report().stdout_bytes, 9U);
  EXPECT_EQ(read_record(dir.path("1")).bytes, std::string("a\0b\xfflate\n", 9));
}

TEST_F(KeptWardenTest, OutputIsCompleteWhileRunnersComeAndGo) {
  // About 100 MB that nobody could mistake for another hundred.
  constexpr int last = 12'900'000;
  CommandSpec spec = recorded(
      "i=0; while [ $i -lt 43 ]; do seq $((i * 300000 "
      "+ 1)) $(((i + 1) * 300000)); i=$((i + 1)); "
      "sleep 0.02; done");
  start_and_leave(options(), spec);
  int nodes = 0;
  std::optional<Finished> done;
  while (!done) {
    Node node{options()};
    auto ended = node.adopt(1);
    ++nodes;
    if (ended.wait_for(50ms) == std::future_status::ready)
      done = ended.get();
    ASSERT_LT(nodes, 600);
  }
  EXPECT_GT(nodes, 2);
  const std::string bytes = read_record(dir.path("record")).bytes;
  EXPECT_EQ(done->report().stdout_bytes, bytes.size());
  EXPECT_EQ(done->report().unrecorded_bytes, 0U);
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  int number = 0;
  for (int expected = 1; expected <= last && at < end; ++expected) {
    at = std::from_chars(at, end, number).ptr + 1;
    ASSERT_EQ(number, expected);
  }
  EXPECT_EQ(number, last);
  EXPECT_EQ(at, end);
}

TEST_F(KeptWardenTest, AnEndIsRememberedUntilItIsForgotten) {
  await(std::make_unique<Node>(options())->start(1, sh("exit 9")));
  {
    Node second{options()};
    EXPECT_EQ(await(second.adopt(1)).report().exit_code, 9);
  }
  {
    Node third{options()};
    EXPECT_EQ(await(third.adopt(1)).report().exit_code, 9);
    third.runner->forget(attempt(1));
    // Behind the frame that forgets.
    await(third.start(2, sh("true")));
    third.runner->forget(attempt(2));
    await(third.start(3, sh("true")));
    await(third.start(4, sh("true")));
  }
  Node fourth{options()};
  const auto known = fourth.runner->adopted();
  EXPECT_EQ(std::count(known.begin(), known.end(), attempt(1)), 0);
  EXPECT_EQ(std::count(known.begin(), known.end(), attempt(4)), 1);
}

TEST_F(KeptWardenTest, AStoppedRunnerIsCutOffAndKillsNothing) {
  DoomedRunner doomed{dir.path(),
                      {"echo $$ > " + dir.path("pid") + "; sleep 300"}};
  ASSERT_EQ(doomed.line(), "up\n");
  const pid_t pid = await_pid("pid");
  doomed.signal(SIGSTOP);
  Node node{options()};
  auto ended = node.adopt(1);
  doomed.signal(SIGCONT);
  EXPECT_EQ(doomed.line(), "cut off\n");
  EXPECT_TRUE(is_alive(pid));
  node.runner->stop(attempt(1), {});
  EXPECT_EQ(await(std::move(ended)).report().signal, SIGTERM);
}

TEST_F(KeptWardenTest, ARunnerThatIsCutOffStartsAndEndsNothingAnyMore) {
  Node old{options()};
  auto lost = old.start(1, sh("sleep 300"));
  ASSERT_EQ(lost.wait_for(100ms), std::future_status::timeout);
  Node next{options()};
  EXPECT_EQ(std::get<RunnerLost>(await(std::move(lost)).end),
            RunnerLost{.cut_off = true});
  EXPECT_EQ(std::get<RunnerLost>(await(old.start(2, sh("true"))).end),
            RunnerLost{.cut_off = true});
  old.close(1s);
  auto running = next.adopt(1);
  EXPECT_EQ(running.wait_for(100ms), std::future_status::timeout);
  EXPECT_EQ(await(next.start(3, sh("exit 4"))).report().exit_code, 4);
}

TEST_F(KeptWardenTest, EndsPolitelyWhenNobodyHasComeForItsPatience) {
  start_and_leave(options(200ms),
                  recorded("trap 'echo bye; exit 0' TERM; echo $$ > " +
                           dir.path("pid") + "; while :; do sleep 0.02; done"));
  const pid_t pid = await_pid("pid");
  EXPECT_TRUE(wait_until([this] { return !is_locked(); }));
  EXPECT_FALSE(is_alive(pid));
  EXPECT_EQ(read_record(dir.path("record")).bytes, "bye\n");
  EXPECT_EQ(::access(dir.path("warden.sock").c_str(), F_OK), -1);
}

TEST_F(KeptWardenTest, ARunnerThatComesWhileItEndsHearsHowCommandsEnded) {
  CommandSpec slow = sh("trap 'echo $$ > " + dir.path("stopping") +
                        "; while [ ! -e " + dir.path("go") +
                        " ]; do sleep 0.02; done; exit 6' TERM; "
                        "while :; do sleep 0.02; done");
  slow.grace = 1min;
  start_and_leave(options(50ms), slow);
  const pid_t pid = await_pid("stopping");
  const pid_t warden = warden_pid();
  Node node{options()};
  auto ended = node.adopt(1);
  dir.write("go", "");
  const Finished done = await(std::move(ended));
  EXPECT_EQ(done.pid, pid);
  EXPECT_EQ(done.report().exit_code, 6);
  EXPECT_TRUE(done.report().stopped);
  EXPECT_EQ(await(node.start(2, sh("exit 2"))).report().exit_code, 2);
  EXPECT_EQ(warden_pid(), warden);
}

TEST_F(KeptWardenTest, ClosingEndsCommandsPolitelyAndTheWarden) {
  Node node{options()};
  (void)node.start(
      1, recorded("trap 'echo bye; exit 0' TERM; echo $$ > " + dir.path("pid") +
                  "; while :; do sleep 0.02; done"));
  const pid_t pid = await_pid("pid");
  node.close(20s);
  EXPECT_FALSE(is_locked());
  EXPECT_FALSE(is_alive(pid));
  EXPECT_EQ(read_record(dir.path("record")).bytes, "bye\n");
}

TEST_F(KeptWardenTest, ClosingKillsWhatIsThereAfterItsLimit) {
  Node node{options()};
  CommandSpec stubborn = sh("trap '' TERM; " + daemon_into(dir.path("daemon")) +
                            "; while :; do sleep 0.02; done");
  stubborn.grace = 1h;
  (void)node.start(1, stubborn);
  const pid_t daemon = await_pid("daemon");
  node.close(200ms);
  EXPECT_FALSE(is_locked());
  EXPECT_FALSE(is_alive(daemon));
}

TEST_F(KeptWardenTest, AStoppedWardenIsReplacedAndItsCommandsAreGone) {
  start_and_leave(options(),
                  sh("echo $$ > " + dir.path("pid") + "; " +
                     daemon_into(dir.path("daemon")) + "; sleep 300"));
  const pid_t pid = await_pid("pid");
  const pid_t daemon = await_pid("daemon");
  const pid_t old = warden_pid();
  ::kill(old, SIGSTOP);
  WardenOptions next = options();
  next.keep->session = session() + "-2";
  Node node{next};
  EXPECT_FALSE(is_alive(pid));
  EXPECT_FALSE(is_alive(daemon));
  EXPECT_FALSE(is_alive(old));
  EXPECT_EQ(node.runner->session(), next.keep->session);
  EXPECT_EQ(node.runner->adopted(), std::vector<AttemptId>{});
  EXPECT_EQ(await(node.start(1, sh("exit 3"))).report().exit_code, 3);
}

TEST_F(KeptWardenTest, AWardenThatIsKilledIsLostWithItsTreesAndReplaced) {
  for (const bool is_adopted : {false, true}) {
    dir.write("daemon", "");
    auto node = std::make_unique<Node>(options());
    auto ended =
        node->start(is_adopted ? 2 : 1,
                    sh(daemon_into(dir.path("daemon")) + "; sleep 300"));
    const pid_t daemon = await_pid("daemon");
    if (is_adopted) {
      node.reset();
      node = std::make_unique<Node>(options());
      ended = node->adopt(2);
    }
    const pid_t old = warden_pid();
    ::kill(old, SIGKILL);
    EXPECT_EQ(std::get<RunnerLost>(await(std::move(ended)).end), RunnerLost{});
    EXPECT_FALSE(is_alive(daemon));
    EXPECT_EQ(await(node->start(is_adopted ? 4 : 3, sh("echo again"))).out,
              "again\n");
    EXPECT_EQ(node->runner->session(), session());
    EXPECT_NE(warden_pid(), old);
  }
}

TEST_F(KeptWardenTest, WhatBothHaveLeftIsFoundByItsFolder) {
  EXPECT_EQ(end_leftovers_in(dir.path(), 5s).value(), LeftoverReport{})
      << "nobody was there";
  DoomedRunner doomed{dir.path(),
                      {daemon_into(dir.path("daemon")) + "; sleep 300"}};
  ASSERT_EQ(doomed.line(), "up\n");
  const pid_t daemon = await_pid("daemon");
  doomed.kill();
  EXPECT_EQ(end_leftovers_in(dir.path(), 5s).value(), LeftoverReport{})
      << "the warden lives";
  EXPECT_TRUE(is_alive(daemon));
  ::kill(warden_pid(), SIGKILL);
  ASSERT_TRUE(wait_until([this] { return !is_locked(); }));
  const auto report = end_leftovers_in(dir.path(), 5s).value();
  EXPECT_GE(report.killed, 1U);
  EXPECT_EQ(report.survivors, 0U);
  EXPECT_FALSE(is_alive(daemon));
  EXPECT_EQ(end_leftovers_in(dir.path("nowhere"), 1s).error().code,
            Errc::not_found);
}

TEST_F(KeptWardenTest, WhatBothHaveLeftIsFoundByItsSession) {
  DoomedRunner doomed{dir.path(),
                      {daemon_into(dir.path("daemon")) + "; sleep 300"}};
  ASSERT_EQ(doomed.line(), "up\n");
  const pid_t daemon = await_pid("daemon");
  doomed.kill();
  ::kill(warden_pid(), SIGKILL);
  ASSERT_TRUE(wait_until([this] { return !is_locked(); }));
  EXPECT_TRUE(is_alive(daemon));
  EXPECT_EQ(end_leftovers("test", 5s).value(), LeftoverReport{});
  const auto report = end_leftovers(session(), 5s).value();
  EXPECT_GE(report.killed, 1U);
  EXPECT_EQ(report.survivors, 0U);
  EXPECT_FALSE(is_alive(daemon));
}

TEST_F(KeptWardenTest, ARecordStopsAtItsBoundAndSaysHowMuchIsMissing) {
  Node node{options()};
  CommandSpec spec = recorded("printf 0123456789; printf abc >&2");
  spec.standard_error = Output::record;
  spec.record.most_bytes = 6;
  const ExitReport report = await(node.start(1, spec)).report();
  EXPECT_EQ(report.stdout_bytes, 10U);
  EXPECT_EQ(report.stderr_bytes, 3U);
  EXPECT_EQ(report.unrecorded_bytes, 7U);
  const Recorded found = read_record(dir.path("record"));
  EXPECT_EQ(found.bytes.size(), 6U);
  EXPECT_EQ(found.missing, 7U);
}

TEST_F(KeptWardenTest, WithoutOutputThereIsNoRecord) {
  Node node{options()};
  await(node.start(1, recorded("true")));
  EXPECT_EQ(::access(dir.path("record").c_str(), F_OK), -1);
}

TEST_F(KeptWardenTest, ARecordIsForItsOwnerOnlyAsTheSocketIs) {
  Node node{options()};
  CommandSpec spec = recorded("echo secret");
  spec.umask = 0;
  await(node.start(1, spec));
  struct stat found {};
  ASSERT_EQ(::stat(dir.path("record").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(dir.path("warden.sock").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600U);
}

TEST_F(KeptWardenTest, ARecordThatCannotBeWrittenHoldsNothingUp) {
  Node node{options()};
  CommandSpec spec = recorded("seq 100000; exit 2");
  spec.record.path = "/dev/full";
  const ExitReport full = await(node.start(1, spec)).report();
  EXPECT_EQ(full.exit_code, 2);
  EXPECT_EQ(full.unrecorded_bytes, full.stdout_bytes);
  spec.record.path = "/dev/null/record";
  const ExitReport missing = await(node.start(2, spec)).report();
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.stdout_bytes, 588895U);
  EXPECT_EQ(missing.unrecorded_bytes, 588895U);
}

TEST_F(KeptWardenTest, AFullDiskLeavesARecordThatCanBeRead) {
  const std::string disk = dir.path("disk");
  ::mkdir(disk.c_str(), 0700);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "only root may mount";
  {
    Node node{options()};
    CommandSpec spec = recorded("seq 100000");
    spec.record.path = disk + "/record";
    const ExitReport report = await(node.start(1, spec)).report();
    const Recorded found = read_record(spec.record.path);
    EXPECT_GT(found.bytes.size(), 100U << 10);
    EXPECT_GT(report.unrecorded_bytes, 0U);
    EXPECT_EQ(found.bytes.size() + report.unrecorded_bytes, 588895U);
    EXPECT_TRUE(found.missing == report.unrecorded_bytes || found.missing == 0);
  }
  EXPECT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
}

TEST_F(KeptWardenTest, CapturedOutputWaitsForTheNextRunner) {
  start_and_leave(options(),
                  sh("while [ ! -e " + dir.path("go") +
                     " ]; do sleep 0.02; done; echo late; echo 1 > " +
                     dir.path("said") + "; while [ ! -e " + dir.path("end") +
                     " ]; do sleep 0.02; done; "
                     "sleep 1"));
  dir.write("go", "");
  (void)await_pid("said");
  Node node{options()};
  auto ended = node.adopt(1);
  dir.write("end", "");
  EXPECT_EQ(await(std::move(ended)).out, "late\n");
}

TEST_F(KeptWardenTest, LimitsHoldWithoutARunner) {
  CommandSpec spec = sh("sleep 300");
  spec.time_limit = 200ms;
  start_and_leave(options(), spec);
  std::this_thread::sleep_for(400ms);
  Node node{options()};
  const ExitReport report = await(node.adopt(1)).report();
  EXPECT_TRUE(report.timed_out);
  EXPECT_LT(report.wall, 10s);
}

TEST_F(KeptWardenTest, AnAdoptedAttemptIsNotStartedAgain) {
  start_and_leave(options(),
                  sh("echo $$ >> " + dir.path("pids") + "; sleep 0.5"));
  const pid_t pid = await_pid("pids");
  Node node{options()};
  std::vector<std::thread> callers;
  std::atomic<int> told = 0;
  for (int i = 0; i < 8; ++i)
    callers.emplace_back([&] {
      node.runner->start(attempt(1),
                         std::make_shared<const CommandSpec>(sh("")), nullptr,
                         [&](const AttemptEvent&) { ++told; });
    });
  for (std::thread& caller : callers)
    caller.join();
  EXPECT_EQ(await(node.adopt(1)).pid, pid);
  EXPECT_EQ(dir.read("pids"), std::to_string(pid) + "\n");
}

TEST_F(KeptWardenTest, NoDescriptorIsLeftOpen) {
  Node node{options()};
  const auto count = [this] {
    const std::filesystem::directory_iterator fds{
        "/proc/" + std::to_string(warden_pid()) + "/fd"};
    return std::distance(begin(fds), end(fds));
  };
  await(node.start(1, recorded("echo")));
  const auto before = count();
  std::vector<std::future<Finished>> all;
  for (std::uint64_t i = 2; i < 1002; ++i) {
    CommandSpec spec;
    spec.argv = {"echo"};
    spec.standard_output = i % 2 == 0 ? Output::record : Output::capture;
    spec.record.path = dir.path("r" + std::to_string(i));
    all.push_back(node.start(i, spec));
    if (i % 20 == 0) {
      for (auto& ended : all)
        await(std::move(ended));
      all.clear();
    }
  }
  for (auto& ended : all)
    await(std::move(ended));
  for (int i = 0; i < 20; ++i)
    (void)folder().connect();
  EXPECT_TRUE(wait_until([&] { return count() <= before; }))
      << count() << " after " << before;
}

TEST_F(KeptWardenTest, StrangersOnItsSocketDoNotHoldItUp) {
  std::make_unique<Node>(options());
  std::vector<OwnedFd> strangers;
  constexpr std::string_view request = "GET / HTTP/1.0\r\n\r\n\r\n";
  for (int i = 0; i < 70; ++i) {
    auto socket = folder().connect();
    if (!socket) {
      std::this_thread::sleep_for(10ms);
      continue;
    }
    if (i % 2 == 0)
      (void)!::send(socket->get(), request.data(), request.size(), 0);
    strangers.push_back(std::move(*socket));
  }
  Node node{options()};
  EXPECT_EQ(await(node.start(1, sh("exit 3"))).report().exit_code, 3);
}

TEST_F(KeptWardenTest, AWardenOfAnotherVersionIsLeftAlone) {
  const auto lock = folder().try_lock();
  ASSERT_TRUE(lock && *lock);
  const auto listener = folder().listen().value();
  std::thread warden{[&] {
    pollfd readable{.fd = listener.get(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, 10'000);
    const OwnedFd socket{::accept(listener.get(), nullptr, nullptr)};
    // As a warden does: who is gone before the greeting has come never answers.
    std::array<char, 64> greeting;
    (void)!::read(socket.get(), greeting.data(), greeting.size());
    std::string hello;
    wire::encode(hello, {}, wire::Hello{.version = 99, .session = "x"});
    (void)!::write(socket.get(), hello.data(), hello.size());
  }};
  boost::asio::io_context io{1};
  const auto runner = WardenRunner::create(io, options());
  warden.join();
  ASSERT_FALSE(runner);
  EXPECT_EQ(runner.error(),
            (Error{Errc::unsupported,
                   fmt::format(
                       "the commands that run are kept by a warden of another "
                       "version of troupe (protocol 99, this one speaks {}); "
                       "go on with that version, or end them with it first",
                       wire::wire_version)}));
}

// Deadlines.

constexpr BootTime never = BootTime::max();

CommandSpec kept(CommandSpec spec) {
  spec.outlives_right = true;
  return spec;
}

/// It would be there for a minute longer if it were asked only.
CommandSpec stubborn(CommandSpec spec) {
  spec.argv.back().insert(0, "trap '' TERM; ");
  spec.grace = 1min;
  return spec;
}

std::string writes_pid(const std::string& file) {
  return "echo $$ > " + file + "; ";
}

const SpawnFailure refused{SpawnStage::right,
                           {Errc::permission_denied,
                            "was not started: the right of this node to run "
                            "commands has ended and was "
                            "not renewed"}};

TEST_F(KeptWardenTest, AtItsDeadlineAWardenEndsCommandsThoughNobodyIsThere) {
  auto node = std::make_unique<Node>(options());
  node->begin(1, sh(writes_pid(dir.path("one")) + "sleep 300"));
  node->begin(2, stubborn(sh(daemon_into(dir.path("daemon")) + "; " +
                             writes_pid(dir.path("two")) +
                             "while :; do sleep 0.02; done")));
  node->begin(3, kept(sh(writes_pid(dir.path("three")) + "sleep 300")));
  const std::vector<pid_t> all{await_pid("one"), await_pid("two"),
                               await_pid("daemon"), await_pid("three")};
  const BootTime kill_at = boot_now() + 300ms;
  node->runner->guard(kill_at, kill_at + 700ms);
  // Behind it on the same socket, or on the other one.
  await(node->start(4, sh("true")));
  await(node->start(5, sh("true")));
  node.reset();

  for (const pid_t pid : all)
    EXPECT_TRUE(wait_until([pid] { return !is_alive(pid); }));
  EXPECT_GE(boot_now(), kill_at);
  Node next{options()};
  const ExitReport asked = await(next.adopt(1)).report();
  EXPECT_EQ(asked.signal, SIGTERM);
  EXPECT_TRUE(asked.stopped);
  EXPECT_TRUE(asked.right_ended);
  const ExitReport killed = await(next.adopt(2)).report();
  EXPECT_EQ(killed.signal, SIGKILL);
  EXPECT_TRUE(killed.right_ended);
  EXPECT_LT(killed.wall, 1min);
  EXPECT_EQ(killed.survivors, 0U);
  EXPECT_TRUE(await(next.adopt(3)).report().right_ended);
}

TEST_F(KeptWardenTest, WhatMayOutliveTheDeadlineDoesWhileItsRunnerIsThere) {
  Node node{options()};
  auto guarded = node.start(1, sh("sleep 300"));
  auto outliving = node.start(2, kept(sh("while [ ! -e " + dir.path("go") +
                                         " ]; do sleep 0.02; done; exit 3")));
  node.runner->guard(boot_now(), boot_now() + 100ms);
  EXPECT_TRUE(await(std::move(guarded)).report().right_ended);
  dir.write("go", "");
  EXPECT_EQ(await(std::move(outliving)).report().exit_code, 3);
}

TEST_F(KeptWardenTest, AtItsDeadlineAWardenEndsCommandsThoughItsRunnerHangs) {
  Node node{options()};
  // Nobody takes what it writes: everything on the way is full.
  node.begin(1, stubborn(sh(writes_pid(dir.path("full")) + "yes")));
  node.begin(2, stubborn(sh(writes_pid(dir.path("paused")) +
                            "while :; do sleep 0.02; done")));
  const pid_t full = await_pid("full");
  const pid_t paused = await_pid("paused");
  node.runner->pause(attempt(2));
  const BootTime kill_at = boot_now() + 300ms;
  node.runner->guard(kill_at, kill_at + 400ms);
  await(node.start(3, sh("true")));
  await(node.start(4, sh("true")));
  node.stop();

  EXPECT_TRUE(wait_until([full] { return !is_alive(full); }));
  EXPECT_TRUE(wait_until([paused] { return !is_alive(paused); }));
  EXPECT_GE(boot_now(), kill_at);
}

TEST_F(KeptWardenTest, ADeadlineIsForWhatStandsStillAsWell) {
  Node node{options()};
  auto ended = node.start(1, sh("sleep 300"));
  std::promise<void> stands;
  node.runner->pause_all([&] { stands.set_value(); });
  ASSERT_EQ(stands.get_future().wait_for(deadline), std::future_status::ready);
  node.runner->guard(boot_now(), boot_now() + 200ms);
  EXPECT_TRUE(await(std::move(ended)).report().right_ended);
}

TEST_F(KeptWardenTest, AfterTheDeadlineNothingStartsUntilThereIsALaterOne) {
  Node node{options()};
  auto first = node.start(1, kept(sh("while [ ! -e " + dir.path("go") +
                                     " ]; do sleep 0.02; done")));
  auto second = node.start_after(1, 2, kept(sh("touch " + dir.path("ran"))));
  auto third = node.start_after(2, 3, sh("touch " + dir.path("ran")));
  node.runner->guard(boot_now(), boot_now() + 1s);
  EXPECT_EQ(std::get<SpawnFailure>(await(std::move(second)).end), refused);
  EXPECT_EQ(std::get<SpawnFailure>(await(std::move(third)).end), refused);
  for (const bool is_kept : {false, true}) {
    CommandSpec spec = sh("touch " + dir.path("ran"));
    spec.outlives_right = is_kept;
    EXPECT_EQ(
        std::get<SpawnFailure>(await(node.start(is_kept ? 4 : 5, spec)).end),
        refused);
  }
  auto chained = node.start_after(1, 6, sh("touch " + dir.path("ran")));
  dir.write("go", "");
  EXPECT_EQ(await(std::move(first)).report().exit_code, 0);
  EXPECT_EQ(std::get<SpawnFailure>(await(std::move(chained)).end), refused);
  EXPECT_EQ(::access(dir.path("ran").c_str(), F_OK), -1);

  node.runner->guard(boot_now() + 1h, boot_now() + 2h);
  EXPECT_EQ(await(node.start(7, sh("exit 7"))).report().exit_code, 7);
  node.runner->guard(boot_now(), boot_now());
  EXPECT_EQ(std::get<SpawnFailure>(await(node.start(8, sh("true"))).end),
            refused);
  node.runner->guard(never, never);
  EXPECT_EQ(await(node.start(9, sh("exit 9"))).report().exit_code, 9);
}

TEST_F(KeptWardenTest, ALaterDeadlineSavesWhatRuns) {
  Node node{options()};
  auto ended = node.start(
      1, sh("while [ ! -e " + dir.path("go") + " ]; do sleep 0.02; done"));
  const BootTime first = boot_now() + 300ms;
  node.runner->guard(first, first + 300ms);
  node.runner->guard(first + 1h, first + 2h);
  while (boot_now() < first + 400ms)
    await(node.start(
        static_cast<std::uint64_t>(boot_now().time_since_epoch().count()),
        sh("sleep 0.05")));
  dir.write("go", "");
  EXPECT_EQ(await(std::move(ended)).report().exit_code, 0);
}

TEST_F(KeptWardenTest, TheNextRunnerFindsTheDeadlineAsItWas) {
  {
    Node first{options()};
    first.runner->guard(boot_now(), boot_now());
    EXPECT_EQ(std::get<SpawnFailure>(await(first.start(1, sh("true"))).end),
              refused);
  }
  const pid_t warden = warden_pid();
  Node second{options()};
  EXPECT_EQ(warden_pid(), warden);
  EXPECT_EQ(std::get<SpawnFailure>(await(second.start(2, sh("true"))).end),
            refused);
  second.runner->guard(never, never);
  EXPECT_EQ(await(second.start(3, sh("exit 3"))).report().exit_code, 3);
}

TEST_F(KeptWardenTest, AWardenThatReplacesADeadOneIsToldTheDeadline) {
  Node node{options()};
  node.runner->guard(boot_now() + 1h, boot_now() + 2h);
  auto lost = node.start(1, sh(writes_pid(dir.path("pid")) + "sleep 300"));
  (void)await_pid("pid");
  node.runner->guard(boot_now(), boot_now() + 1h);
  const pid_t old = warden_pid();
  ::kill(old, SIGKILL);
  (void)await(std::move(lost));
  EXPECT_EQ(std::get<SpawnFailure>(await(node.start(2, sh("true"))).end),
            refused);
  EXPECT_NE(warden_pid(), old);
}

TEST_F(KeptWardenTest, EverythingCanBeStoppedByAMoment) {
  Node node{options()};
  auto one = node.start(1, kept(sh(writes_pid(dir.path("one")) + "sleep 300")));
  auto two = node.start(2, stubborn(sh(writes_pid(dir.path("two")) +
                                       "while :; do sleep 0.02; done")));
  auto three = node.start_after(1, 3, sh("touch " + dir.path("ran")));
  auto four = node.start_after(3, 4, sh("touch " + dir.path("ran")));
  (void)await_pid("one");
  (void)await_pid("two");
  node.runner->stop_all(boot_now() + 800ms);
  EXPECT_EQ(await(std::move(one)).report().signal, SIGTERM);
  const ExitReport killed = await(std::move(two)).report();
  EXPECT_EQ(killed.signal, SIGKILL);
  EXPECT_FALSE(killed.right_ended);
  EXPECT_LT(killed.wall, 1min);
  for (auto* waiting : {&three, &four})
    EXPECT_EQ(std::get<SpawnFailure>(await(std::move(*waiting)).end).error.code,
              Errc::cancelled);
  EXPECT_EQ(::access(dir.path("ran").c_str(), F_OK), -1);
  EXPECT_EQ(await(node.start(5, sh("exit 5"))).report().exit_code, 5);
}

TEST_F(KeptWardenTest, ItIsToldWhenNothingRunsAnyMore) {
  Node node{options()};
  EXPECT_EQ(node.idle().wait_for(deadline), std::future_status::ready);
  (void)node.start(
      1, sh("while [ ! -e " + dir.path("go") + " ]; do sleep 0.02; done"));
  node.begin(2,
             sh(writes_pid(dir.path("pid")) + daemon_into(dir.path("daemon")) +
                "; while :; do sleep 0.02; done"));
  const pid_t forgotten = await_pid("pid");
  const pid_t daemon = await_pid("daemon");
  node.runner->forget(attempt(2));
  auto idle = node.idle();
  auto again = node.idle();
  EXPECT_TRUE(wait_until([&] { return !is_alive(forgotten); }));
  EXPECT_EQ(idle.wait_for(50ms), std::future_status::timeout);
  dir.write("go", "");
  EXPECT_EQ(idle.wait_for(deadline), std::future_status::ready);
  EXPECT_EQ(again.wait_for(deadline), std::future_status::ready);
  EXPECT_FALSE(is_alive(daemon));
}

TEST_F(KeptWardenTest, WhatWasAdoptedAndWhatWasForgottenCountsAsRunning) {
  start_and_leave(options(), sh(writes_pid(dir.path("pid")) + "sleep 300"));
  const pid_t pid = await_pid("pid");
  Node node{options()};
  auto idle = node.idle();
  EXPECT_EQ(idle.wait_for(50ms), std::future_status::timeout);
  node.runner->forget(attempt(1));
  EXPECT_EQ(idle.wait_for(deadline), std::future_status::ready);
  EXPECT_FALSE(is_alive(pid));
}

TEST_F(KeptWardenTest, AWardenThatDiesIsIdleWhenItsTreesAreGone) {
  Node node{options()};
  (void)node.start(1, sh(daemon_into(dir.path("daemon")) + "; sleep 300"));
  const pid_t daemon = await_pid("daemon");
  auto idle = node.idle();
  ::kill(warden_pid(), SIGKILL);
  EXPECT_EQ(idle.wait_for(deadline), std::future_status::ready);
  EXPECT_FALSE(is_alive(daemon));
}

TEST_F(KeptWardenTest, ARunnerThatIsCutOffIsNeverToldThatNothingRuns) {
  Node old{options()};
  auto lost = old.start(1, sh("sleep 300"));
  auto idle = old.idle();
  Node next{options()};
  (void)await(std::move(lost));
  auto late = old.idle();
  (void)await(old.start(2, sh("true")));
  // Both were given up without a word.
  EXPECT_THROW(idle.get(), std::future_error);
  EXPECT_THROW(late.get(), std::future_error);
}

TEST_F(KeptWardenTest, AnotherUserIsRefused) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "only root may become somebody else";
  Node node{options()};
  ::chmod(dir.path().c_str(), 0777);
  ::chmod(dir.path("warden.sock").c_str(), 0777);
  const WardenFolder opened = folder();
  // Of this thread alone, which a connection is made with.
  std::thread stranger{[&] {
    constexpr uid_t nobody = 65534;
    ASSERT_EQ(::syscall(SYS_setresuid, -1, nobody, -1), 0);
    const auto socket = opened.connect();
    ASSERT_TRUE(socket) << socket.error().what;
    const std::string greeting = wire::encode(wire::Greeting{});
    (void)::send(socket->get(), greeting.data(), greeting.size(), MSG_NOSIGNAL);
    pollfd closed{.fd = socket->get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&closed, 1, 10'000), 1);
    char byte = 0;
    EXPECT_LE(::read(socket->get(), &byte, 1), 0);
  }};
  stranger.join();
  EXPECT_EQ(await(node.start(1, sh("exit 3"))).report().exit_code, 3);
}

TEST_F(KeptWardenTest, CommandsGetNoPrivilegesIfThatIsWanted) {
  WardenOptions options = this->options();
  options.no_new_privileges = true;
  Node node{options};
  EXPECT_TRUE(node.runner->has_no_new_privileges());
  const auto spec = sh("exec grep -q '^NoNewPrivs:.1$' /proc/self/status");
  EXPECT_EQ(await(node.start(1, spec)).report().exit_code, 0);
}

TEST_F(KeptWardenTest, AWardenThatIsTakenOverKeepsThePrivilegesThatItHas) {
  if (has_no_new_privileges(::getpid()))
    GTEST_SKIP() << "this process can give none";
  start_and_leave(options(), sh("sleep 300"));
  WardenOptions next = options();
  next.no_new_privileges = true;
  Node node{next};
  EXPECT_FALSE(node.runner->has_no_new_privileges());
  const auto spec = sh("exec grep -q '^NoNewPrivs:.0$' /proc/self/status");
  EXPECT_EQ(await(node.start(2, spec)).report().exit_code, 0);
}

TEST_F(KeptWardenTest, SaysWhoItIsInItsFolder) {
  Node node{options()};
  const auto identity = folder().identity();
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->session, session());
  EXPECT_EQ(identity->process, stat_of(identity->process.first)->identity());
  EXPECT_EQ(parse_identity(to_text(*identity)), identity);
  EXPECT_EQ(parse_identity("12 34 s"), std::nullopt) << "is not all there";
  EXPECT_EQ(parse_identity("12 s\n"), std::nullopt);
}

TEST_F(KeptWardenTest, RefusesANameThatCannotBeginAMarker) {
  WardenOptions wrong = options();
  wrong.keep->session = "a.b";
  boost::asio::io_context io{1};
  EXPECT_EQ(
      WardenRunner::create(io, wrong).error(),
      (Error{Errc::invalid_argument, "'a.b' cannot be the name of a session"}));
  EXPECT_EQ(end_leftovers("", 1s).error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace troupe::process
