#include <troupe/fanout/joblog.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <vector>

namespace troupe::fanout {
namespace {

using namespace std::string_literals;

const std::string header{job_log_header};

/// Written by GNU parallel 20221122: `exit {}` for 0, 1 and 3, a time-out, a
/// signal, and a command with a tab and a newline in it.
const std::string foreign_log =
    header +
    "1\t:\t1795180267.154\t     0.001\t0\t0\t0\t0\texit 0\n"
    "2\t:\t1795180267.156\t     0.003\t0\t0\t1\t0\texit 1\n"
    "4\t:\t1795180326.106\t     0.901\t0\t0\t-1\t15\tsleep 3\n"
    "5\t:\t1795180267.232\t     0.004\t0\t0\t0\t9\tkill -9 $$;echo \"a\tb\"\n" +
    "6\t:\t1795180324.383\t     0.001\t0\t4\t0\t0\techo 'b\0c'\n"s;

std::vector<std::uint64_t> numbers(const IntervalSet& set) {
  std::vector<std::uint64_t> result;
  for (std::uint64_t i = 0; i < 100; ++i) {
    if (set.contains(i))
      result.push_back(i);
  }
  return result;
}

JobLogReader read(std::string_view log, Resume resume) {
  JobLogReader reader{resume};
  EXPECT_TRUE(reader.feed(log).has_value());
  return reader;
}

std::string log_refusal(std::string_view log) {
  JobLogReader reader{Resume::finished};
  const auto fed = reader.feed(log);
  return fed ? "accepted" : fed.error().what;
}

TEST(JobLog, WritesTheColumnsOfGnuParallel) {
  EXPECT_EQ(header,
            "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\t"
            "Command\n");
  JobLogRow row;
  row.seq = 6;
  row.started = WallTime{1795180324383ms};
  row.runtime = 1ms;
  row.received_bytes = 4;
  row.command = "echo 'b\nc'";
  EXPECT_EQ(format_job_log_row(row),
            "6\t:\t1795180324.383\t     0.001\t0\t4\t0\t0\techo 'b\0c'\n"s);
  row.runtime = 100h;
  row.exit_value = -1;
  row.signal = 15;
  row.command = "x";
  EXPECT_EQ(format_job_log_row(row),
            "6\t:\t1795180324.383\t360000.000\t0\t4\t-1\t15\tx\n");
}

TEST(JobLog, TellsWhatNeedsNotRunAgain) {
  EXPECT_EQ(numbers(read(foreign_log, Resume::finished).finished()),
            (std::vector<std::uint64_t>{1, 2, 4, 5, 6}));
  EXPECT_EQ(numbers(read(foreign_log, Resume::succeeded).finished()),
            (std::vector<std::uint64_t>{1, 6}));
}

TEST(JobLog, BelievesASuccessWhateverCameBeforeOrAfter) {
  const std::string log = header +
                          "1\t:\t1.0\t1.0\t0\t0\t1\t0\ta\n"
                          "1\t:\t1.0\t1.0\t0\t0\t0\t0\ta\n"
                          "2\t:\t1.0\t1.0\t0\t0\t0\t0\tb\n"
                          "2\t:\t1.0\t1.0\t0\t0\t0\t9\tb\n" +
                          header + "3\t:\t1.0\t1.0\t0\t0\t0\t0\tc\n";
  EXPECT_EQ(numbers(read(log, Resume::succeeded).finished()),
            (std::vector<std::uint64_t>{1, 2, 3}));
}

TEST(JobLog, ForgivesATornLastLine) {
  const std::string whole = header + "1\t:\t1.0\t1.0\t0\t0\t0\t0\ta\n";
  for (const char* torn : {"", "2", "2\t:\t1.0\t1", "2\t:\t1.0\t1.0\t0\t0\t0",
                           "2\t:\t1.0\t1.0\t0\t0\t0\t0\tech"}) {
    const auto reader = read(whole + torn, Resume::finished);
    EXPECT_EQ(numbers(reader.finished()), (std::vector<std::uint64_t>{1}));
    EXPECT_EQ(reader.complete_bytes(), whole.size());
  }
  EXPECT_EQ(read("Seq\tHo", Resume::finished).complete_bytes(), 0U);
  EXPECT_EQ(read("", Resume::finished).complete_bytes(), 0U);
}

TEST(JobLog, NamesTheLineThatIsWrong) {
  EXPECT_EQ(log_refusal("hello\n"), "line 1 is not the header of a job log");
  for (const char* bad :
       {"foo\n", "\n", "x\t:\t1.0\t1.0\t0\t0\t0\t0\ta\n",
        "0\t:\t1.0\t1.0\t0\t0\t0\t0\ta\n", "1\t:\t1.0\t1.0\t0\t0\t?\t0\ta\n",
        "1\t:\t1.0\t1.0\t0\t0\t0\t\ta\n", "1\t:\t1.0\t1.0\t0\t0\t0\t0\n"})
    EXPECT_EQ(log_refusal(header + bad), "line 2 is not a row of a job log")
        << bad;
  EXPECT_EQ(log_refusal(header + std::string(5000, 'x')),
            "line 2 is not a row of a job log");
}

TEST(JobLog, IsIndifferentToHowTheBytesArrive) {
  EXPECT_TRUE(rc::check("pieces of any size", [] {
    const auto cut = *rc::gen::inRange<std::size_t>(1, 20);
    JobLogReader reader{Resume::finished};
    const std::string_view log = foreign_log;
    for (std::size_t at = 0; at < log.size(); at += cut)
      RC_ASSERT(reader.feed(log.substr(at, cut)).has_value());
    RC_ASSERT(reader.finished().size() == 5U);
    RC_ASSERT(reader.complete_bytes() == log.size());
  }));
}

TEST(JobLog, ReadsBackWhatItWrites) {
  EXPECT_TRUE(rc::check("a row is read back", [] {
    JobLogRow row;
    row.seq = *rc::gen::inRange<std::uint64_t>(1, 100);
    row.exit_value = *rc::gen::inRange(-1, 3);
    row.signal = *rc::gen::inRange(0, 2);
    row.command = *rc::gen::arbitrary<std::string>();
    const auto log = header + format_job_log_row(row);
    RC_ASSERT(read(log, Resume::finished).finished().contains(row.seq));
    RC_ASSERT(read(log, Resume::succeeded).finished().contains(row.seq) ==
              (row.exit_value == 0 && row.signal == 0));
  }));
}

}  // namespace
}  // namespace troupe::fanout
