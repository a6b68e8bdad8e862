#include "job_output.hpp"

#include "actor_test.hpp"
#include "printer_actor.hpp"
#include "temp_dir.hpp"

#include <cerrno>
#include <unistd.h>

namespace troupe::cli {
namespace {

using process::SinkState;
using process::Stream;

TEST(LinePrefix, StandsBeforeEachLineHoweverItComes) {
  const std::string text = "one\ntwo\n\nrest";
  const std::string expected = "t\tone\nt\ttwo\nt\t\nt\trest";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    LinePrefix prefix{"t\t"};
    std::string out{prefix.apply(std::string_view{text}.substr(0, cut))};
    out += prefix.apply(std::string_view{text}.substr(cut));
    EXPECT_EQ(out, expected) << "cut at " << cut;
  }
}

TEST(LinePrefix, NoPrefixChangesNothing) {
  LinePrefix prefix{""};
  EXPECT_EQ(prefix.apply("a\nb"), "a\nb");
}

std::string content_of(const Spool& spool) {
  std::string content = spool.memory();
  if (spool.file() >= 0) {
    std::string rest(1 << 20, '\0');
    const ssize_t got = ::pread(spool.file(), rest.data(), rest.size(), 0);
    content += rest.substr(0, static_cast<std::size_t>(got));
  }
  return content;
}

TEST(Spool, KeepsALittleInMemory) {
  Spool spool;
  EXPECT_TRUE(spool.empty());
  spool.write("some ");
  spool.write("text");
  EXPECT_EQ(spool.memory(), "some text");
  EXPECT_EQ(spool.file(), -1);
  EXPECT_FALSE(spool.empty());
}

TEST(Spool, KeepsMoreInAFileWithoutAName) {
  const testing::TempDir dir;
  ::setenv("TMPDIR", dir.path().c_str(), 1);
  Spool spool;
  std::string all;
  for (int i = 0; i < 100; ++i) {
    const std::string piece(997, static_cast<char>('a' + i % 26));
    spool.write(piece);
    all += piece;
  }
  ::unsetenv("TMPDIR");
  EXPECT_GE(spool.file(), 0);
  EXPECT_LE(spool.memory().size(), 16U << 10);
  EXPECT_EQ(content_of(spool), all);
  EXPECT_EQ(spool.lost_by(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Spool, SaysThatSomethingIsLost) {
  ::setenv("TMPDIR", "/no/such/folder", 1);
  Spool spool;
  spool.write(std::string(100 << 10, 'x'));
  ::unsetenv("TMPDIR");
  EXPECT_EQ(spool.lost_by(), ENOENT);
  EXPECT_EQ(spool.memory().size(), 16U << 10);
}

/// Keeps what it is told to print, in order.
class FakePrinter {
 public:
  using Printed = std::vector<std::pair<int, std::string>>;
  FakePrinter(actors::Actor*, std::shared_ptr<Printed> printed)
      : printed_{std::move(printed)} {}
  actors::Behavior make_behavior() {
    return {[this](const Print& m) {
      if (!m.job->bytes.empty())
        printed_->emplace_back(m.job->fd, m.job->bytes);
      if (m.job->done)
        m.job->done();
    }};
  }

 private:
  std::shared_ptr<Printed> printed_;
};

class JobOutputTest : public actors::ActorTest {
 protected:
  std::shared_ptr<JobOutput> output(JobOutput::Options options) {
    return std::make_shared<JobOutput>(std::move(options), printer);
  }

  std::shared_ptr<FakePrinter::Printed> printed =
      std::make_shared<FakePrinter::Printed>();
  actors::ActorRef printer = spawn<FakePrinter>(printed);
};

TEST_F(JobOutputTest, GroupedOutputComesAtTheEndAndByStream) {
  const auto job = output({.tag = "t\t"});
  const auto sink = job->for_attempt(1);
  EXPECT_EQ(sink->write(Stream::out, "a\nb"), SinkState::ready);
  EXPECT_EQ(sink->write(Stream::err, "c\n"), SinkState::ready);
  EXPECT_EQ(sink->write(Stream::out, "d\n"), SinkState::ready);
  settle();
  EXPECT_TRUE(printed->empty());
  bool done = false;
  job->print([&] { done = true; });
  settle();
  EXPECT_TRUE(done);
  EXPECT_EQ(*printed,
            (FakePrinter::Printed{{1, "t\ta\nt\tbd\n"}, {2, "t\tc\n"}}));
}

TEST_F(JobOutputTest, OnlyTheLastAttemptIsPrinted) {
  const auto job = output({});
  (void)job->for_attempt(1)->write(Stream::out, "first\n");
  (void)job->for_attempt(2)->write(Stream::out, "second\n");
  job->print({});
  settle();
  EXPECT_EQ(*printed, (FakePrinter::Printed{{1, "second\n"}}));
}

TEST_F(JobOutputTest, AnAttemptHasOneSinkHoweverOftenItIsAskedFor) {
  for (const auto grouping : {Grouping::by_job, Grouping::by_line}) {
    const auto job = output({.grouping = grouping});
    const auto sink = job->for_attempt(1);
    EXPECT_EQ(job->for_attempt(1), sink);
    const auto next = job->for_attempt(2);
    EXPECT_NE(next, sink);
    EXPECT_EQ(job->for_attempt(2), next);
  }
}

TEST_F(JobOutputTest, WholeLinesComeAtOnceAndTheRestWithItsNewline) {
  const auto job = output({.grouping = Grouping::by_line, .tag = "t\t"});
  const auto sink = job->for_attempt(1);
  (void)sink->write(Stream::out, "one\ntw");
  (void)sink->write(Stream::err, "oops");
  settle();
  EXPECT_EQ(*printed, (FakePrinter::Printed{{1, "t\tone\n"}}));
  (void)sink->write(Stream::out, "o\nthree");
  settle();
  EXPECT_EQ(printed->size(), 2U);
  // Whoever still holds the sink, it comes before what follows.
  EXPECT_EQ(job->finish(), std::nullopt);
  settle();
  EXPECT_EQ(*printed, (FakePrinter::Printed{{1, "t\tone\n"},
                                            {1, "t\ttwo\n"},
                                            {1, "t\tthree\n"},
                                            {2, "t\toops\n"}}));
}

TEST_F(JobOutputTest, TheRestOfALineComesBeforeTheNextAttempt) {
  const auto job = output({.grouping = Grouping::by_line});
  (void)job->for_attempt(1)->write(Stream::out, "first");
  (void)job->for_attempt(2)->write(Stream::out, "second");
  EXPECT_EQ(job->finish(), std::nullopt);
  settle();
  EXPECT_EQ(*printed, (FakePrinter::Printed{{1, "first\n"}, {1, "second\n"}}));
}

TEST_F(JobOutputTest, HoldsACommandBackWhileThePrinterIsSlow) {
  const auto job = output({.grouping = Grouping::by_line});
  const auto sink = job->for_attempt(1);
  int resumed = 0;
  sink->on_attach([&] { ++resumed; });
  const std::string piece = std::string(700 << 10, 'x') + "\n";
  EXPECT_EQ(sink->write(Stream::out, piece), SinkState::ready);
  EXPECT_EQ(sink->write(Stream::out, piece), SinkState::full);
  EXPECT_EQ(resumed, 0);
  settle();
  EXPECT_EQ(resumed, 1);
}

TEST_F(JobOutputTest, UngroupedOutputNeedsNoSink) {
  EXPECT_EQ(output({.grouping = Grouping::none})->for_attempt(1), nullptr);
}

TEST_F(JobOutputTest, ResultsGoIntoTheirFilesWithoutTag) {
  const testing::TempDir dir;
  const auto job = output({.tag = "t\t",
                           .results = {.directory = dir.path("r"),
                                       .standard_output = dir.path("r/out"),
                                       .standard_error = dir.path("r/err")}});
  const auto sink = job->for_attempt(1);
  sink->on_attach([] {});
  (void)sink->write(Stream::out, "a\n");
  (void)sink->write(Stream::err, "b\n");
  EXPECT_EQ(dir.read("r/out"), "a\n");
  EXPECT_EQ(dir.read("r/err"), "b\n");
  EXPECT_EQ(job->finish(), std::nullopt);
}

TEST_F(JobOutputTest, SaysWhichResultCouldNotBeWritten) {
  const testing::TempDir dir;
  for (const auto grouping : {Grouping::by_job, Grouping::by_line}) {
    const auto job = output({.grouping = grouping,
                             .results = {.directory = dir.path(),
                                         .standard_output = dir.path("no/out"),
                                         .standard_error = dir.path("err")}});
    const auto sink = job->for_attempt(1);
    sink->on_attach([] {});
    (void)sink->write(Stream::out, "a\n");
    EXPECT_EQ(job->finish().value().what, "cannot make " + dir.path("no/out") +
                                              ": no such file or directory");
  }
}

TEST_F(JobOutputTest, SaysThatASpoolHasLostSomething) {
  ::setenv("TMPDIR", "/no/such/folder", 1);
  const auto job = output({});
  (void)job->for_attempt(1)->write(Stream::err, std::string(100 << 10, 'x'));
  EXPECT_EQ(job->finish().value().what,
            "some of its output is lost: cannot spool it into the temporary "
            "folder /no/such/folder (TMPDIR): no such file or directory");
  ::unsetenv("TMPDIR");
}

}  // namespace
}  // namespace troupe::cli
