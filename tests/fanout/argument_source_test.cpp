#include "text_bytes.hpp"

#include <troupe/fanout/argument_source.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::fanout {
namespace {

using Words = std::vector<std::string>;
using Jobs = std::vector<Words>;

ArgumentSource word_source(Words values, bool linked = false) {
  return {.name = ":::", .words = values, .bytes = {}, .linked = linked};
}
ArgumentSource lines(std::string text, bool linked = false) {
  return {.name = "file",
          .words = {},
          .bytes = bytes_of(std::move(text)),
          .linked = linked};
}

template <class... Source>
ArgumentStream stream(ArgumentOptions options, Source... source) {
  std::vector<ArgumentSource> sources;
  (sources.push_back(std::move(source)), ...);
  return {std::move(sources), std::move(options)};
}

/// The arguments of all jobs; the text of the error last, if there is one.
Jobs all(ArgumentStream arguments) {
  Jobs jobs;
  while (true) {
    const auto job = arguments.next();
    if (!job)
      jobs.push_back({"error: " + job.error().what});
    if (!job || !*job)
      return jobs;
    EXPECT_EQ((*job)->seq, jobs.size() + 1);
    jobs.push_back((*job)->values);
  }
}

TEST(ArgumentStream, GivesOneJobPerWordOrLine) {
  EXPECT_EQ(all(stream({}, word_source({"a b", "", "c\nd"}))),
            (Jobs{{"a b"}, {""}, {"c\nd"}}));
  EXPECT_EQ(all(stream({}, lines("a b\n\nc\n"))), (Jobs{{"a b"}, {""}, {"c"}}));
  EXPECT_EQ(all(stream({}, word_source({}))), Jobs{});
}

TEST(ArgumentStream, GivesTheProductWithTheFirstSourceVaryingSlowest) {
  EXPECT_EQ(
      all(stream({}, word_source({"a", "b"}), lines("1\n2\n"),
                 word_source({"x"}))),
      (Jobs{
          {"a", "1", "x"}, {"a", "2", "x"}, {"b", "1", "x"}, {"b", "2", "x"}}));
}

TEST(ArgumentStream, GivesNothingForAProductWithAnEmptySource) {
  EXPECT_EQ(all(stream({}, word_source({"a"}), word_source({}))), Jobs{});
  EXPECT_EQ(all(stream({}, word_source({}), word_source({"a"}))), Jobs{});
}

TEST(ArgumentStream, EndsLinkedSourcesWithTheShortest) {
  EXPECT_EQ(all(stream({}, word_source({"a", "b", "c"}),
                       word_source({"1", "2"}, true), word_source({"X", "Y"}),
                       word_source({"11", "22"}, true))),
            (Jobs{{"a", "1", "X", "11"},
                  {"a", "1", "Y", "22"},
                  {"b", "2", "X", "11"},
                  {"b", "2", "Y", "22"}}));
}

TEST(ArgumentStream, StartsShorterSourcesOverUnderLink) {
  ArgumentOptions link;
  link.link = true;
  EXPECT_EQ(all(stream(link, word_source({"a", "b"}), lines("c\nd\ne\n"),
                       word_source({"1"}))),
            (Jobs{{"a", "c", "1"}, {"b", "d", "1"}, {"a", "e", "1"}}));
  EXPECT_EQ(all(stream(link, word_source({"a", "b", "c"}),
                       word_source({"1", "2"}, true))),
            (Jobs{{"a", "1"}, {"b", "2"}, {"c", "1"}}));
  EXPECT_EQ(all(stream(link, word_source({"a", "b"}), word_source({}))),
            Jobs{});
  EXPECT_EQ(all(stream(link, word_source({}), word_source({"a"}))), Jobs{});
  EXPECT_EQ(all(stream(link, word_source({"a"}))), (Jobs{{"a"}}));
}

TEST(ArgumentStream, PutsSeveralRowsIntoOneJob) {
  EXPECT_EQ(all(stream({.rows_per_job = 2}, word_source({"a", "b", "c"}))),
            (Jobs{{"a", "b"}, {"c"}}));
  EXPECT_EQ(all(stream({.rows_per_job = 3}, word_source({"a", "b"}),
                       word_source({"c", "d"}))),
            (Jobs{{"a", "c", "a", "d", "b", "c"}, {"b", "d"}}));
  EXPECT_EQ(all(stream({.rows_per_job = 2}, word_source({"a", "b"}))),
            (Jobs{{"a", "b"}}));
}

TEST(ArgumentStream, SplitsColumns) {
  ArgumentOptions options;
  options.columns = ColumnSeparator::parse(",").value();
  EXPECT_EQ(all(stream(options, lines("a, b\nc\n"), word_source({"x,y"}))),
            (Jobs{{"a", "b", "x", "y"}, {"c", "x", "y"}}));
}

TEST(ArgumentStream, ReadsOnlyWhatIsAskedFor) {
  std::size_t taken = 0;
  ArgumentSource endless{.name = "-",
                         .words = {},
                         .bytes = std::make_unique<EndlessBytes>(taken),
                         .linked = false};
  auto arguments = stream({}, std::move(endless), word_source({"a", "b"}));
  EXPECT_EQ(taken, 0U);
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(arguments.next().value().has_value());
  EXPECT_LE(taken, 2U * (64 << 10));
}

TEST(ArgumentStream, KeepsNothingOfAnEndlessSourceThatOutlastsTheOthers) {
  std::size_t taken = 0;
  ArgumentSource endless{.name = "-",
                         .words = {},
                         .bytes = std::make_unique<EndlessBytes>(taken),
                         .linked = false};
  ArgumentOptions options;
  options.link = true;
  options.most_kept_bytes = 1000;
  auto arguments = stream(options, std::move(endless), word_source({"a", "b"}));
  for (int i = 0; i < 100'000; ++i)
    ASSERT_TRUE(arguments.next().value().has_value());
}

TEST(ArgumentStream, RefusesToKeepMoreThanItMay) {
  ArgumentOptions options;
  options.most_kept_bytes = 4096;
  std::string many;
  for (int i = 0; i < 1000; ++i)
    many += "line\n";
  const Words error{
      "error: more than 4.00 KiB of arguments would have to be kept to be "
      "combined: only the first source can be larger"};
  EXPECT_EQ(all(stream(options, word_source({"a"}), lines(many))),
            (Jobs{error}));
  options.link = true;
  EXPECT_EQ(all(stream(options, lines(many), lines(many))).back(), error);
}

TEST(ArgumentStream, RefusesAJobWithTooManyBytes) {
  ArgumentOptions options;
  options.rows_per_job = 3;
  options.most_job_bytes = 3 * (5 + 9);
  EXPECT_EQ(all(stream(options, word_source({"12345", "12345", "12345", "12345",
                                             "12345", "123456"}))),
            (Jobs{{"12345", "12345", "12345"},
                  {"error: job 2: its 3 arguments need more than 42 B (each "
                   "its bytes and 9 more): ask for fewer with -n"}}));
}

TEST(ArgumentStream, RepeatsItsLastError) {
  ArgumentSource broken{.name = "file",
                        .words = {},
                        .bytes = std::make_unique<BrokenBytes>(),
                        .linked = false};
  auto arguments = stream({}, std::move(broken));
  EXPECT_EQ(arguments.next().error().what, "file: read: input/output error");
  EXPECT_EQ(arguments.next().error().what, "file: read: input/output error");
}

TEST(ArgumentStream, KnowsTheNumberOfJobsIfAllSourcesAreWords) {
  ArgumentOptions pairs;
  pairs.rows_per_job = 2;
  EXPECT_EQ(stream({}, word_source({"a", "b"}), word_source({"1", "2", "3"}))
                .total_jobs(),
            6U);
  EXPECT_EQ(stream(pairs, word_source({"a", "b", "c"})).total_jobs(), 2U);
  EXPECT_EQ(stream({}, word_source({"a", "b"}), word_source({"1"}, true),
                   word_source({"x", "y"}))
                .total_jobs(),
            2U);
  pairs.link = true;
  EXPECT_EQ(stream(pairs, word_source({"a", "b", "c"}), word_source({"1"}))
                .total_jobs(),
            2U);
  EXPECT_EQ(stream({}, word_source({"a"}), word_source({})).total_jobs(), 0U);
  EXPECT_EQ(stream({}, word_source({"a"}), lines("")).total_jobs(),
            std::nullopt);
}

TEST(ArgumentStream, AgreesWithNestedLoops) {
  EXPECT_TRUE(rc::check("product, grouped by n", [] {
    const auto values = rc::gen::resize(
        15, rc::gen::container<Words>(
                rc::gen::element<std::string>("a", "b", "", "c d")));
    const auto first = *values;
    const auto second = *values;
    const auto third = *values;
    const auto n = *rc::gen::inRange<std::size_t>(1, 5);
    Jobs expected;
    std::size_t rows = 0;
    for (const auto& a : first) {
      for (const auto& b : second) {
        for (const auto& c : third) {
          if (rows++ % n == 0)
            expected.emplace_back();
          for (const auto& value : {a, b, c})
            expected.back().push_back(value);
        }
      }
    }
    auto arguments = stream({.rows_per_job = n}, word_source(first),
                            word_source(second), word_source(third));
    RC_ASSERT(arguments.total_jobs() == expected.size());
    RC_ASSERT(all(std::move(arguments)) == expected);
  }));
}

}  // namespace
}  // namespace troupe::fanout
