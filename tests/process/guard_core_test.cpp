#include "guard_core.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::process {
namespace {

using GuardKind = GuardCore::Action::Kind;
using GuardActions = GuardCore::Actions;
using GuardState = GuardCore::State;

BootTime boot(Duration since_boot) { return BootTime{since_boot}; }

TEST(GuardCore, WithoutADeadlineEverythingMayStart) {
  GuardCore core;
  EXPECT_TRUE(core.may_start(boot(1'000'000h)));
  EXPECT_EQ(core.on_timer(boot(1'000'000h)), GuardActions{});
  EXPECT_EQ(core.state(), GuardState::free);
}

TEST(GuardCore, StopsAtTheDeadlineAndKillsALittleBeforeAllHaveToBeGone) {
  GuardCore core;
  EXPECT_EQ(core.on_guard(boot(10s), boot(15s), boot(2s)),
            (GuardActions{{.kind = GuardKind::set_timer, .at = boot(10s)}}));
  EXPECT_EQ(core.on_timer(boot(10s) - 1ns),
            (GuardActions{{.kind = GuardKind::set_timer, .at = boot(10s)}}));
  EXPECT_EQ(
      core.on_timer(boot(10s)),
      (GuardActions{{.kind = GuardKind::stop_guarded},
                    {.kind = GuardKind::set_timer, .at = boot(14500ms)}}));
  EXPECT_EQ(core.on_timer(boot(14500ms)),
            (GuardActions{{.kind = GuardKind::kill_guarded}}));
  EXPECT_EQ(core.on_timer(boot(20s)), GuardActions{});
}

TEST(GuardCore, AShortGraceIsHalvedForTheKilling) {
  GuardCore core;
  (void)core.on_guard(boot(10s), boot(10400ms), boot(2s));
  EXPECT_EQ(core.on_timer(boot(10s)).back().at, boot(10200ms));
}

TEST(GuardCore, WithoutAGraceItKillsAtOnce) {
  GuardCore core;
  EXPECT_EQ(core.on_guard(boot(3s), boot(1s), boot(5s)),
            (GuardActions{{.kind = GuardKind::stop_guarded},
                          {.kind = GuardKind::kill_guarded}}));
}

TEST(GuardCore, AHostThatHasSleptThroughItAllKillsWhenItWakes) {
  GuardCore core;
  (void)core.on_guard(boot(10s), boot(15s), boot(2s));
  EXPECT_EQ(core.on_timer(boot(1h)),
            (GuardActions{{.kind = GuardKind::stop_guarded},
                          {.kind = GuardKind::kill_guarded}}));
}

TEST(GuardCore, NothingStartsFromTheDeadlineOnEvenIfItsTimerIsLate) {
  GuardCore core;
  (void)core.on_guard(boot(10s), boot(15s), boot(2s));
  EXPECT_TRUE(core.may_start(boot(10s) - 1ns));
  EXPECT_FALSE(core.may_start(boot(10s)));
  (void)core.on_timer(boot(10s));
  EXPECT_FALSE(core.may_start(boot(11s)));
  (void)core.on_timer(boot(15s));
  EXPECT_FALSE(core.may_start(boot(16s)));
}

TEST(GuardCore, ALaterDeadlineLetsCommandsStartAgain) {
  GuardCore core;
  (void)core.on_guard(boot(10s), boot(15s), boot(2s));
  (void)core.on_timer(boot(10s));
  EXPECT_EQ(core.on_guard(boot(70s), boot(75s), boot(12s)),
            (GuardActions{{.kind = GuardKind::set_timer, .at = boot(70s)}}));
  EXPECT_TRUE(core.may_start(boot(12s)));
  // The timer of before means nothing any more.
  EXPECT_EQ(core.on_timer(boot(14500ms)),
            (GuardActions{{.kind = GuardKind::set_timer, .at = boot(70s)}}));
}

TEST(GuardCore, AnEarlierDeadlineReplacesALaterOne) {
  GuardCore core;
  (void)core.on_guard(boot(70s), boot(75s), boot(2s));
  EXPECT_EQ(core.on_guard(boot(10s), boot(15s), boot(3s)),
            (GuardActions{{.kind = GuardKind::set_timer, .at = boot(10s)}}));
  EXPECT_FALSE(core.may_start(boot(10s)));
}

TEST(GuardCore, ADeadlineCanBeTakenAway) {
  GuardCore core;
  (void)core.on_guard(boot(10s), boot(15s), boot(2s));
  EXPECT_EQ(core.on_guard(BootTime::max(), BootTime::max(), boot(3s)),
            GuardActions{});
  EXPECT_EQ(core.on_timer(boot(10s)), GuardActions{});
  EXPECT_TRUE(core.may_start(boot(10s)));
}

TEST(GuardCore, WhateverIsToldAndWhenItKillsInTimeAndOnlyAfterTheDeadline) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint8_t>& script) {
    GuardCore core;
    BootTime now = boot(1s);
    BootTime kill_at = BootTime::max();
    BootTime gone_by = BootTime::max();
    std::optional<BootTime> timer;
    const auto perform = [&](const GuardActions& actions) {
      for (const auto& action : actions) {
        if (action.kind == GuardKind::set_timer) {
          RC_ASSERT(action.at > now);
          timer = action.at;
          continue;
        }
        RC_ASSERT(now >= kill_at);
        RC_ASSERT(!core.may_start(now));
      }
      if (!actions.empty() && actions.back().kind == GuardKind::kill_guarded)
        timer.reset();
    };
    for (const std::uint8_t step : script) {
      if (step % 4 == 0) {
        kill_at = now + std::chrono::seconds{step / 4} - 9s;
        gone_by = kill_at + std::chrono::milliseconds{step * 10};
        perform(core.on_guard(kill_at, gone_by, now));
      } else if (timer) {
        // Also too early, as a timer of before would be.
        now = step % 4 == 1 ? std::max(now, *timer) : now + 50ms;
        perform(core.on_timer(now));
      }
      RC_ASSERT(core.may_start(now) == (now < kill_at));
      // There is always a timer that comes in time.
      if (core.state() == GuardState::armed)
        RC_ASSERT(timer && *timer <= kill_at);
      if (core.state() == GuardState::stopping)
        RC_ASSERT(timer && *timer <= gone_by);
    }
  }));
}

}  // namespace
}  // namespace troupe::process
