#include "trigger_core.hpp"

#include <troupe/base/wall_time.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace troupe::node {
namespace {

using store::RunId;
using ::testing::ElementsAre;
using workflow::Overlap;

WallTime at(const std::string& time) {
  return *parse_wall_time("2026-05-01T" + time + "Z");
}

workflow::ScheduleTrigger hourly(Overlap overlap = Overlap::skip,
                                 Duration catch_up = 0s) {
  return {{},
          "0 * * * *",
          *schedule::Cron::parse("0 * * * *"),
          schedule::TimeZone::utc(),
          catch_up,
          overlap};
}

TriggerCore armed(Overlap overlap = Overlap::skip) {
  return TriggerCore{hourly(overlap), {.handled = at("00:30:00")}};
}

/// Fires at that hour and has the run submitted.
void run_at(TriggerCore& core, const std::string& time, std::uint64_t run) {
  EXPECT_TRUE(core.on_time(at(time)));
  EXPECT_EQ(core.next().submit, (Fire{at(time)}));
  EXPECT_TRUE(core.on_submitted(at(time), RunId{run}));
}

TEST(TriggerCore, FiresOnceAtEachTime) {
  TriggerCore core = armed();
  EXPECT_FALSE(core.on_time(at("00:59:59.999")));
  EXPECT_TRUE(core.on_time(at("01:00:00.002")));
  EXPECT_FALSE(core.on_time(at("01:00:00.003")));
  EXPECT_EQ(core.next().submit, (Fire{at("01:00:00")}));
  EXPECT_FALSE(core.next().submit);
  EXPECT_TRUE(core.on_submitted(at("01:00:00"), RunId{7}));
  EXPECT_TRUE(core.state().pending.empty());
  EXPECT_EQ(core.state().last_run, RunId{7});
  EXPECT_EQ(core.state().last_fire, at("01:00:00"));
}

TEST(TriggerCore, KeepsAFireBeforeItIsSubmitted) {
  TriggerCore core = armed();
  ASSERT_TRUE(core.on_time(at("01:00:00")));
  // The node dies here, before or after it has submitted.
  TriggerCore next{hourly(), core.state()};
  EXPECT_FALSE(next.on_time(at("01:20:00")));
  EXPECT_EQ(next.next().submit, (Fire{at("01:00:00")}));
}

TEST(TriggerCore, MakesUpForTheLastOfTheTimesThatWereMissed) {
  const TriggerState kept{.handled = at("00:30:00")};
  TriggerCore core{hourly(Overlap::skip, 2h), kept};
  EXPECT_TRUE(core.on_time(at("05:30:00")));
  EXPECT_THAT(core.state().pending, ElementsAre(Fire{at("05:00:00")}));
}

TEST(TriggerCore, PassesOverTimesThatAreTooLongAgo) {
  const TriggerState kept{.handled = at("00:30:00")};
  TriggerCore never{hourly(), kept};
  EXPECT_TRUE(never.on_time(at("05:30:00")));
  EXPECT_TRUE(never.state().pending.empty());
  EXPECT_EQ(never.state().handled, at("05:00:00"));
  TriggerCore within{hourly(Overlap::skip, 20min), kept};
  EXPECT_TRUE(within.on_time(at("05:30:00")));
  EXPECT_TRUE(within.state().pending.empty());
  TriggerCore just{hourly(), kept};
  EXPECT_TRUE(just.on_time(at("05:01:00")));
  EXPECT_THAT(just.state().pending, ElementsAre(Fire{at("05:00:00")}));
}

TEST(TriggerCore, HasNoTimeTwiceIfTheClockIsSetBack) {
  TriggerCore core = armed(Overlap::allow);
  run_at(core, "01:00:00", 1);
  EXPECT_FALSE(core.on_time(at("00:50:00")));
  EXPECT_FALSE(core.on_time(at("01:00:00")));
  run_at(core, "02:00:00", 2);
}

TEST(TriggerCore, GoesOnFromNowIfTheClockWasWrong) {
  TriggerCore core{hourly(), {.handled = at("09:30:00")}};
  EXPECT_TRUE(core.on_time(at("00:30:00")));
  EXPECT_EQ(core.state().handled, at("00:30:00"));
  run_at(core, "01:00:00", 1);
}

TEST(TriggerCore, SkipsATimeWhileTheRunBeforeGoesOn) {
  TriggerCore core = armed(Overlap::skip);
  run_at(core, "01:00:00", 1);
  EXPECT_TRUE(core.on_time(at("02:00:00")));
  EXPECT_FALSE(core.next().submit);
  EXPECT_EQ(core.skipped(), 1U);
  core.on_run_ended(RunId{1});
  EXPECT_FALSE(core.next().submit);
  run_at(core, "03:00:00", 2);
}

TEST(TriggerCore, QueuesTimesUntilTheRunBeforeHasEnded) {
  TriggerCore core = armed(Overlap::queue);
  run_at(core, "01:00:00", 1);
  EXPECT_TRUE(core.on_time(at("02:00:00")));
  EXPECT_TRUE(core.on_time(at("03:00:00")));
  EXPECT_FALSE(core.next().submit);
  core.on_run_ended(RunId{1});
  EXPECT_EQ(core.next().submit, (Fire{at("02:00:00")}));
  core.on_submitted(at("02:00:00"), RunId{2});
  EXPECT_FALSE(core.next().submit);
  // The end of another run means nothing.
  core.on_run_ended(RunId{1});
  EXPECT_FALSE(core.next().submit);
  core.on_run_ended(RunId{2});
  EXPECT_EQ(core.next().submit, (Fire{at("03:00:00")}));
}

TEST(TriggerCore, QueuesNoMoreThanItsBound) {
  TriggerCore core = armed(Overlap::queue);
  WallTime now = at("00:00:00");
  for (std::size_t i = 0; i < most_pending + 5; ++i)
    core.on_time(now += 1h);
  EXPECT_EQ(core.state().pending.size(), most_pending);
  EXPECT_EQ(core.skipped(), 5U);
}

TEST(TriggerCore, LetsRunsOverlapIfThatIsAllowed) {
  TriggerCore core = armed(Overlap::allow);
  run_at(core, "01:00:00", 1);
  run_at(core, "02:00:00", 2);
}

TEST(TriggerCore, CancelsTheRunBeforeAndRunsTheLastTime) {
  TriggerCore core = armed(Overlap::cancel_running);
  run_at(core, "01:00:00", 1);
  EXPECT_TRUE(core.on_time(at("02:00:00")));
  EXPECT_EQ(core.next().cancel, RunId{1});
  EXPECT_TRUE(core.on_time(at("03:00:00")));
  const auto next = core.next();
  EXPECT_FALSE(next.cancel);
  EXPECT_FALSE(next.submit);
  core.on_run_ended(RunId{1});
  EXPECT_EQ(core.next().submit, (Fire{at("03:00:00")}));
}

TEST(TriggerCore, TriesAgainWhatCouldNotBeSubmitted) {
  TriggerCore core = armed();
  core.on_time(at("01:00:00"));
  ASSERT_TRUE(core.next().submit);
  core.on_failed(at("01:00:00"));
  EXPECT_EQ(core.next().submit, (Fire{at("01:00:00")}));
  EXPECT_TRUE(core.on_refused(at("01:00:00")));
  EXPECT_FALSE(core.next().submit);
}

TEST(TriggerCore, GathersChangesWhileARunGoesOn) {
  TriggerCore core{{}, {.handled = at("00:00:00")}};
  EXPECT_FALSE(core.on_change({}, at("01:00:00"), at("01:00:00")));
  EXPECT_TRUE(core.on_change({"a", "b"}, at("01:00:00"), at("01:00:00")));
  const auto first = core.next().submit;
  EXPECT_EQ(first, (Fire{at("01:00:00"), {"a", "b"}}));
  // What is under way does not change any more.
  EXPECT_TRUE(core.on_change({"c"}, at("01:00:01"), at("01:00:01")));
  core.on_submitted(at("01:00:00"), RunId{1});
  EXPECT_TRUE(core.on_change({"c", "d"}, at("01:00:02"), at("01:00:02")));
  EXPECT_FALSE(core.next().submit);
  core.on_run_ended(RunId{1});
  EXPECT_EQ(core.next().submit, (Fire{at("01:00:01"), {"c", "d"}}));
}

TEST(TriggerCore, LeavesAloneWhatMayHaveBeenSubmittedBefore) {
  TriggerCore core{
      {},
      {.handled = at("00:00:00"), .pending = {Fire{at("01:00:00"), {"a"}}}}};
  EXPECT_TRUE(core.on_change({"b"}, at("02:00:00"), at("02:00:00")));
  EXPECT_THAT(core.state().pending, ElementsAre(Fire{at("01:00:00"), {"a"}},
                                                Fire{at("02:00:00"), {"b"}}));
}

TEST(TriggerCore, TellsItsNextTimes) {
  const TriggerCore core = armed();
  EXPECT_THAT(core.next_fires(at("00:30:00"), 2),
              ElementsAre(at("01:00:00"), at("02:00:00")));
}

}  // namespace
}  // namespace troupe::node
