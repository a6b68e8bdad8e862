#include "boot_zero.hpp"

#include <troupe/base/overload.hpp>
#include <troupe/base/random.hpp>
#include <troupe/distributed/lease_core.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <string>

namespace troupe::distributed {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Phase = LeasePhase;
using Registered = LeaseCore::Registered;
using Renewed = LeaseCore::Renewed;

constexpr LeaseTerms terms{};

std::int64_t ms(BootTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time - b0)
      .count();
}

/// "renew 2 by 6000"; times in milliseconds since b0.
std::string text_of(const LeaseCore::Action& action) {
  return std::visit(
      Overload{
          [](const LeaseCore::Confirm& a) {
            return fmt::format("confirm {}", a.number);
          },
          [](const LeaseCore::Register& a) {
            return fmt::format("register {} {}", a.number,
                               a.is_new ? "new" : "again");
          },
          [](const LeaseCore::Renew& a) {
            return fmt::format("renew {}{} by {}", a.number,
                               a.is_draining ? " draining" : "",
                               ms(a.give_up_at));
          },
          [](const LeaseCore::Guard& a) {
            return fmt::format("guard {} {}", ms(a.kill_at), ms(a.gone_by));
          },
          [](const LeaseCore::MayStart&) -> std::string { return "may start"; },
          [](const LeaseCore::StopStarting&) -> std::string {
            return "stop starting";
          },
          [](const LeaseCore::KillBy& a) {
            return fmt::format(
                "kill {} by {}",
                a.which == LeaseCore::Kill::all ? "all" : "expendable",
                ms(a.gone_by));
          },
          [](const LeaseCore::SelfFence& a) -> std::string {
            return a.loss == LeaseCore::Loss::lapsed ? "lapsed" : "evicted";
          },
          [](const LeaseCore::Retire&) -> std::string { return "retire"; },
          [](const LeaseCore::Quit& a) -> std::string {
            return a.end == LeaseCore::End::retired ? "quit retired"
                                                    : "quit refused";
          }},
      action);
}

std::vector<std::string> texts_of(const LeaseCore::Actions& actions) {
  std::vector<std::string> texts;
  for (const auto& action : actions)
    texts.push_back(text_of(action));
  return texts;
}

/// One that got its right by the renewal with number 2, sent at b0.
LeaseCore held_core() {
  LeaseCore core{terms, 1};
  (void)core.on_start(false, b0);
  (void)core.on_confirmed(1, b0);
  (void)core.on_registered(1, Registered::yes, b0);
  (void)core.on_renewed(2, Renewed::live, b0 + 1s);
  return core;
}

/// Calls on_time() whenever it is asked for, up to `until`.
std::vector<std::string> run(LeaseCore& core, BootTime until) {
  std::vector<std::string> all;
  while (core.wake_at() && *core.wake_at() <= until) {
    const auto texts = texts_of(core.on_time(*core.wake_at()));
    all.insert(all.end(), texts.begin(), texts.end());
  }
  return all;
}

TEST(LeaseCore, AsksTheWardenBeforeItRegisters) {
  LeaseCore core{terms, 1};
  EXPECT_THAT(texts_of(core.on_start(false, b0)), ElementsAre("confirm 1"));
  EXPECT_EQ(core.phase(), Phase::confirming);
  EXPECT_EQ(core.wake_at(), std::nullopt);
  EXPECT_THAT(texts_of(core.on_confirmed(1, b0)),
              ElementsAre("register 1 new"));
}

TEST(LeaseCore, HasNoRightBeforeARenewalIsAnswered) {
  LeaseCore core{terms, 1};
  (void)core.on_start(false, b0);
  (void)core.on_confirmed(1, b0);
  EXPECT_THAT(texts_of(core.on_registered(1, Registered::yes, b0 + 1s)),
              ElementsAre("renew 2 by 7000"));
  EXPECT_EQ(core.phase(), Phase::unproven);
  EXPECT_EQ(core.right_until(), std::nullopt);
  EXPECT_THAT(texts_of(core.on_renewed(2, Renewed::live, b0 + 5s)),
              ElementsAre("may start", "guard 53000 58000"));
  EXPECT_EQ(core.phase(), Phase::held);
}

TEST(LeaseCore, CountsTheRightFromWhenTheRenewalWasSent) {
  LeaseCore core{terms, 1};
  (void)core.on_start(true, b0);
  (void)core.on_renewed(1, Renewed::live, b0 + 20s);
  EXPECT_EQ(core.right_until(), b0 + 60s);
}

TEST(LeaseCore, RenewsASessionThatItAdoptsInsteadOfRegistering) {
  LeaseCore core{terms, 1};
  EXPECT_THAT(texts_of(core.on_start(true, b0)),
              ElementsAre("renew 1 by 6000"));
  EXPECT_EQ(core.phase(), Phase::unproven);
  EXPECT_THAT(texts_of(core.on_renewed(1, Renewed::live, b0 + 1s)),
              ElementsAre("may start", "guard 52000 57000"));
}

TEST(LeaseCore, KillsWhatItWouldAdoptIfTheSessionIsEvicted) {
  LeaseCore core{terms, 1};
  (void)core.on_start(true, b0);
  EXPECT_THAT(texts_of(core.on_renewed(1, Renewed::evicted, b0 + 1s)),
              ElementsAre("kill all by 6000", "evicted", "confirm 1"));
}

TEST(LeaseCore, RenewsEverySixthOfTheTimeToLive) {
  LeaseCore core = held_core();
  EXPECT_EQ(core.wake_at(), b0 + 10s);
  EXPECT_THAT(texts_of(core.on_time(b0 + 10s)),
              ElementsAre("renew 3 by 16000"));
  EXPECT_THAT(texts_of(core.on_renewed(3, Renewed::live, b0 + 11s)),
              ElementsAre("guard 62000 67000"));
  EXPECT_EQ(core.right_until(), b0 + 70s);
  EXPECT_EQ(core.wake_at(), b0 + 20s);
}

TEST(LeaseCore, KillsInTimeIfNoRenewalIsAnswered) {
  LeaseCore core = held_core();
  EXPECT_THAT(
      run(core, b0 + 60s),
      ElementsAre("renew 3 by 16000", "renew 4 by 26000", "renew 5 by 36000",
                  "renew 6 by 46000", "renew 7 by 56000", "stop starting",
                  "kill expendable by 57000", "lapsed", "renew 8 by 66000"));
  EXPECT_EQ(core.phase(), Phase::lapsed);
}

TEST(LeaseCore, StartsToKillAtTheMomentAndNotBefore) {
  LeaseCore core = held_core();
  (void)run(core, b0 + 51s);
  EXPECT_THAT(texts_of(core.on_time(b0 + 52s - 1ns)), IsEmpty());
  EXPECT_EQ(core.phase(), Phase::held);
  EXPECT_THAT(texts_of(core.on_time(b0 + 52s)),
              ElementsAre("stop starting", "kill expendable by 57000"));
  EXPECT_EQ(core.phase(), Phase::ending);
  EXPECT_THAT(texts_of(core.on_time(b0 + 60s - 1ns)), IsEmpty());
  EXPECT_EQ(core.phase(), Phase::ending);
}

TEST(LeaseCore, TakesAllStepsAtOnceAfterTheHostHasSlept) {
  LeaseCore core = held_core();
  EXPECT_THAT(texts_of(core.on_time(b0 + 1h)),
              ElementsAre("stop starting", "kill expendable by 57000", "lapsed",
                          "renew 3 by 3606000"));
}

TEST(LeaseCore, GivesNoRightByAnAnswerThatComesAfterItsEnd) {
  LeaseCore core = held_core();
  (void)core.on_time(b0 + 10s);
  EXPECT_THAT(texts_of(core.on_renewed(3, Renewed::live, b0 + 1h)),
              ElementsAre("stop starting", "kill expendable by 57000", "lapsed",
                          "renew 4 by 3606000"));
  EXPECT_EQ(core.phase(), Phase::lapsed);
  EXPECT_EQ(core.right_until(), b0 + 60s);
}

TEST(LeaseCore, HasItsRightBackWhenARenewalIsAnsweredInTheEnd) {
  LeaseCore core = held_core();
  (void)run(core, b0 + 60s);
  EXPECT_THAT(texts_of(core.on_renewed(8, Renewed::live, b0 + 61s)),
              ElementsAre("may start", "guard 112000 117000"));
  EXPECT_EQ(core.phase(), Phase::held);
}

TEST(LeaseCore, HasItsRightBackWhileItIsKilling) {
  LeaseCore core = held_core();
  (void)run(core, b0 + 52s);
  EXPECT_EQ(core.phase(), Phase::ending);
  EXPECT_THAT(texts_of(core.on_renewed(7, Renewed::live, b0 + 53s)),
              ElementsAre("may start", "guard 102000 107000"));
}

TEST(LeaseCore, TakesAnAnswerThatComesLateForWhatItIsWorth) {
  LeaseCore core = held_core();
  (void)run(core, b0 + 30s);
  (void)core.on_renewed(5, Renewed::live, b0 + 31s);
  EXPECT_EQ(core.right_until(), b0 + 90s);
  EXPECT_THAT(texts_of(core.on_renewed(3, Renewed::live, b0 + 32s)), IsEmpty());
  EXPECT_EQ(core.right_until(), b0 + 90s);
}

TEST(LeaseCore, KillsEverythingOnceItIsEvicted) {
  LeaseCore core = held_core();
  (void)core.on_time(b0 + 10s);
  EXPECT_THAT(texts_of(core.on_renewed(3, Renewed::evicted, b0 + 11s)),
              ElementsAre("stop starting", "kill all by 16000", "evicted",
                          "confirm 2"));
  EXPECT_EQ(core.phase(), Phase::confirming);
  EXPECT_EQ(core.wake_at(), std::nullopt);
}

TEST(LeaseCore, BeginsANewSessionOnlyWhenTheWardenConfirms) {
  LeaseCore core = held_core();
  (void)core.on_time(b0 + 10s);
  (void)core.on_renewed(3, Renewed::evicted, b0 + 11s);
  EXPECT_THAT(texts_of(core.on_time(b0 + 1h)), IsEmpty());
  EXPECT_THAT(texts_of(core.on_confirmed(2, b0 + 1h)),
              ElementsAre("register 4 new"));
}

TEST(LeaseCore, IgnoresAWordOfTheWardenAboutAnEarlierSession) {
  LeaseCore core = held_core();
  (void)core.on_time(b0 + 10s);
  (void)core.on_renewed(3, Renewed::evicted, b0 + 11s);
  EXPECT_THAT(texts_of(core.on_confirmed(1, b0 + 12s)), IsEmpty());
  EXPECT_EQ(core.phase(), Phase::confirming);
}

TEST(LeaseCore, IgnoresAnswersThatAreMeantForAnEarlierSession) {
  LeaseCore core = held_core();
  (void)run(core, b0 + 20s);
  (void)core.on_renewed(4, Renewed::evicted, b0 + 21s);
  (void)core.on_confirmed(2, b0 + 22s);
  (void)core.on_registered(5, Registered::yes, b0 + 22s);
  (void)core.on_renewed(6, Renewed::live, b0 + 22s);
  EXPECT_THAT(texts_of(core.on_renewed(3, Renewed::evicted, b0 + 23s)),
              IsEmpty());
  EXPECT_THAT(texts_of(core.on_registered(1, Registered::refused, b0 + 23s)),
              IsEmpty());
  EXPECT_EQ(core.phase(), Phase::held);
}

TEST(LeaseCore, TriesWithLongerPausesWhileTheStoreIsGone) {
  LeaseCore core = held_core();
  (void)run(core, b0 + 60s);
  BootTime last = b0 + 60s;
  for (const auto& [least, most] :
       {std::pair{15s, 30s}, std::pair{15s, 30s}, std::pair{15s, 30s}}) {
    const BootTime next = *core.wake_at();
    EXPECT_GE(next - last, least);
    EXPECT_LE(next - last, most);
    (void)core.on_time(next);
    last = next;
  }
}

TEST(LeaseCore, RegistersAgainUnderTheSameIdUntilThereIsAnAnswer) {
  LeaseCore core{terms, 1};
  (void)core.on_start(false, b0);
  (void)core.on_confirmed(1, b0);
  const BootTime next = *core.wake_at();
  EXPECT_GE(next, b0 + 5s);
  EXPECT_LE(next, b0 + 10s);
  EXPECT_THAT(texts_of(core.on_time(next)), ElementsAre("register 2 again"));
  (void)core.on_registered(1, Registered::yes, next);
  EXPECT_EQ(core.phase(), Phase::unproven);
}

TEST(LeaseCore, TakesAnotherIdIfThatOneWasEvictedMeanwhile) {
  LeaseCore core{terms, 1};
  (void)core.on_start(false, b0);
  (void)core.on_confirmed(1, b0);
  EXPECT_THAT(texts_of(core.on_registered(1, Registered::evicted, b0)),
              IsEmpty());
  EXPECT_THAT(texts_of(core.on_time(*core.wake_at())),
              ElementsAre("register 2 new"));
}

TEST(LeaseCore, IsOverIfTheStoreRefusesTheNode) {
  LeaseCore core{terms, 1};
  (void)core.on_start(false, b0);
  (void)core.on_confirmed(1, b0);
  EXPECT_THAT(texts_of(core.on_registered(1, Registered::refused, b0)),
              ElementsAre("quit refused"));
  EXPECT_EQ(core.phase(), Phase::over);
  EXPECT_EQ(core.wake_at(), std::nullopt);
}

TEST(LeaseCore, TellsTheOthersAtOnceThatItDrains) {
  LeaseCore core = held_core();
  EXPECT_THAT(texts_of(core.on_drain(b0 + 10min, b0 + 2s)),
              ElementsAre("stop starting", "renew 3 draining by 8000"));
  EXPECT_EQ(core.phase(), Phase::draining);
}

TEST(LeaseCore, DrainsIfSomebodyElseHasSaidSo) {
  LeaseCore core = held_core();
  (void)core.on_time(b0 + 10s);
  EXPECT_THAT(texts_of(core.on_renewed(3, Renewed::draining, b0 + 11s)),
              ElementsAre("guard 62000 67000", "stop starting"));
  EXPECT_EQ(core.phase(), Phase::draining);
  EXPECT_EQ(core.wake_at(), b0 + 20s);
}

TEST(LeaseCore, GoesOnRenewingWhileItDrains) {
  LeaseCore core = held_core();
  (void)core.on_drain(b0 + 10min, b0 + 2s);
  (void)core.on_renewed(3, Renewed::draining, b0 + 3s);
  EXPECT_THAT(texts_of(core.on_time(*core.wake_at())),
              ElementsAre("renew 4 draining by 18000"));
}

TEST(LeaseCore, KillsWhatStillRunsWhenItHasDrainedForLong) {
  LeaseCore core = held_core();
  (void)core.on_drain(b0 + 5s, b0 + 2s);
  EXPECT_EQ(core.wake_at(), b0 + 5s);
  EXPECT_THAT(texts_of(core.on_time(b0 + 5s)),
              ElementsAre("kill all by 10000"));
  EXPECT_GT(core.wake_at(), b0 + 5s);
}

TEST(LeaseCore, KillsEarlierIfADrainIsToBeOverEarlier) {
  LeaseCore core = held_core();
  (void)core.on_drain(b0 + 10min, b0 + 2s);
  EXPECT_THAT(texts_of(core.on_drain(b0 + 3s, b0 + 3s)),
              ElementsAre("kill all by 8000"));
}

TEST(LeaseCore, RetiresWhenNothingRunsAnyMore) {
  LeaseCore core = held_core();
  EXPECT_THAT(texts_of(core.on_idle(b0 + 1s)), IsEmpty());
  (void)core.on_drain(b0 + 10min, b0 + 2s);
  EXPECT_THAT(texts_of(core.on_idle(b0 + 9s)), ElementsAre("retire"));
  EXPECT_THAT(texts_of(core.on_retired(b0 + 10s)), ElementsAre("quit retired"));
}

TEST(LeaseCore, IsOverWithoutAnAnswerOnceTheRightHasEnded) {
  LeaseCore core = held_core();
  (void)core.on_drain(b0 + 10min, b0 + 2s);
  (void)core.on_idle(b0 + 9s);
  EXPECT_THAT(run(core, b0 + 2min),
              ElementsAre("retire", "retire", "retire", "retire", "retire",
                          "quit retired"));
}

TEST(LeaseCore, IsOverAtOnceIfItDrainsBeforeItHasASession) {
  LeaseCore core{terms, 1};
  (void)core.on_start(false, b0);
  EXPECT_THAT(texts_of(core.on_drain(b0 + 10min, b0)), IsEmpty());
  EXPECT_THAT(texts_of(core.on_confirmed(1, b0)), ElementsAre("quit retired"));
  LeaseCore other{terms, 1};
  (void)other.on_start(false, b0);
  (void)other.on_confirmed(1, b0);
  EXPECT_THAT(texts_of(other.on_drain(b0 + 10min, b0)),
              ElementsAre("quit retired"));
}

TEST(LeaseCore, ComesBackDrainingIfItLapsedWhileItDrained) {
  LeaseCore core = held_core();
  (void)core.on_drain(b0 + 10min, b0 + 2s);
  (void)run(core, b0 + 61s);
  EXPECT_EQ(core.phase(), Phase::lapsed);
  EXPECT_THAT(texts_of(core.on_renewed(8, Renewed::live, b0 + 62s)),
              ElementsAre("renew 9 draining by 68000", "guard 104000 109000"));
  EXPECT_EQ(core.phase(), Phase::draining);
}

TEST(LeasePhase, HasNamesForMetrics) {
  EXPECT_EQ(to_string(Phase::confirming), "confirming");
  EXPECT_EQ(to_string(Phase::registering), "registering");
  EXPECT_EQ(to_string(Phase::unproven), "unproven");
  EXPECT_EQ(to_string(Phase::held), "held");
  EXPECT_EQ(to_string(Phase::draining), "draining");
  EXPECT_EQ(to_string(Phase::ending), "ending");
  EXPECT_EQ(to_string(Phase::lapsed), "lapsed");
  EXPECT_EQ(to_string(Phase::retiring), "retiring");
  EXPECT_EQ(to_string(Phase::over), "over");
}

TEST(LeaseTerms, AreCheckedBeforeTheyAreUsed) {
  EXPECT_TRUE(check(LeaseTerms{}));
  const auto text = [](const LeaseTerms& bad) {
    return check(bad).error().what;
  };
  EXPECT_EQ(text({.ttl = 10ms}),
            "lease: the time to live is not between 1s and 24h");
  EXPECT_EQ(text({.ttl = 10s}),
            "lease: commands would be killed before a renewal was answered");
  EXPECT_EQ(text({.kill_before = 3s}),
            "lease: there is no time to kill commands in");
  EXPECT_EQ(text({.eviction_margin = 0s}),
            "lease: an eviction would not wait for the end of the right");
  EXPECT_EQ(text({.longest_pause = 5s}),
            "lease: the longest pause is shorter than that between renewals");
}

/// Random answers, times and wishes against what holds in any history.
RC_GTEST_PROP(LeaseCoreProperty, NeverStartsWithoutARightNorRegistersUnasked,
              ()) {
  Random random{*rc::gen::arbitrary<std::uint64_t>()};
  LeaseCore core{terms, random.next()};
  BootTime now = b0;
  std::map<std::uint64_t, BootTime> sent;
  std::vector<std::uint64_t> open;
  std::optional<BootTime> right;  // By what was answered.
  bool may_start = false;
  std::uint64_t confirm = 0;
  bool is_confirmed = false;
  bool is_over = false;
  std::uint64_t number = 0;
  std::uint64_t session_from = 1;
  const auto obey = [&](const LeaseCore::Actions& actions) {
    for (const auto& action : actions) {
      RC_ASSERT(!is_over);
      std::visit(
          Overload{[&](const LeaseCore::Confirm&) {
                     is_confirmed = false;
                     right.reset();
                     session_from = number + 1;
                   },
                   [&](const LeaseCore::Register& a) {
                     RC_ASSERT(is_confirmed);
                     RC_ASSERT(a.number > number);
                     number = a.number;
                   },
                   [&](const LeaseCore::Renew& a) {
                     RC_ASSERT(a.number > number);
                     number = a.number;
                     sent[a.number] = now;
                     open.push_back(a.number);
                   },
                   [&](const LeaseCore::Guard& a) {
                     RC_ASSERT(right && a.gone_by < *right);
                     RC_ASSERT(a.kill_at < a.gone_by);
                   },
                   [&](const LeaseCore::MayStart&) {
                     RC_ASSERT(!std::exchange(may_start, true));
                   },
                   [&](const LeaseCore::StopStarting&) {
                     RC_ASSERT(std::exchange(may_start, false));
                   },
                   [&](const LeaseCore::KillBy& a) {
                     // Of the right before the answer that has just come.
                     RC_ASSERT(a.which == LeaseCore::Kill::all ||
                               (right && a.gone_by <= *right - 3s));
                   },
                   [&](const LeaseCore::SelfFence&) { RC_ASSERT(!may_start); },
                   [&](const LeaseCore::Retire&) { RC_ASSERT(!may_start); },
                   [&](const LeaseCore::Quit&) { is_over = true; }},
          action);
    }
    RC_ASSERT(!may_start || (right && now < *right - 8s));
    RC_ASSERT(may_start == (core.phase() == Phase::held));
    if (core.right_until())
      RC_ASSERT(right && *core.right_until() <= *right);
  };
  obey(core.on_start(random.next() % 2 == 0, now));
  for (int i = 0; i < 400; ++i) {
    now += std::chrono::milliseconds{random.next() % 8 == 0
                                         ? random.next() % 100'000
                                         : random.next() % 5'000};
    switch (random.next() % 8) {
      case 0:
        if (confirm > 0) {
          const std::uint64_t which = confirm - random.next() % 2;
          is_confirmed = is_confirmed || which == confirm;
          obey(core.on_confirmed(which, now));
        }
        break;
      case 1:
        obey(core.on_registered(
            number - random.next() % 3,
            random.next() % 8 == 0 ? Registered::evicted : Registered::yes,
            now));
        break;
      case 2:
      case 3:
      case 4: {
        if (open.empty())
          break;
        const auto at =
            static_cast<std::ptrdiff_t>(random.next() % open.size());
        const std::uint64_t which = open[static_cast<std::size_t>(at)];
        open.erase(open.begin() + at);
        const bool is_evicted = random.next() % 16 == 0;
        if (!is_evicted && which >= session_from)
          right = std::max(right.value_or(b0), sent[which] + terms.ttl);
        obey(core.on_renewed(which,
                             is_evicted                ? Renewed::evicted
                             : random.next() % 64 == 0 ? Renewed::draining
                                                       : Renewed::live,
                             now));
        break;
      }
      case 5:
        if (random.next() % 32 == 0)
          obey(core.on_drain(now + 30s, now));
        break;
      case 6:
        obey(core.on_idle(now));
        break;
      default:
        obey(core.on_time(now));
        RC_ASSERT(!core.wake_at() || *core.wake_at() > now);
        break;
    }
  }
}

}  // namespace
}  // namespace troupe::distributed
