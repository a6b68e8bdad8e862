#include <troupe/base/overload.hpp>
#include <troupe/service/service_core.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace troupe::service {
namespace {

using process::ExitReport;
using process::SpawnFailure;
using process::SpawnStage;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A core with a clock; `log` tells what it asked for.
class World {
 public:
  explicit World(ServiceSpec spec)
      : core{std::make_shared<const ServiceSpec>(std::move(spec))} {}

  void launch() {
    take(core.on_start(now));
    take(core.on_launched(now));
  }
  void end(ExitReport report) { take(core.on_ended(report, now)); }
  void checked(Result<void> result) {
    take(core.on_checked(check, result, now));
  }
  void stop() { take(core.on_stop(now)); }
  /// Lets time pass; due timers fire in their order.
  void advance(Duration duration) {
    const TimePoint until = now + duration;
    while (true) {
      auto next = timers.end();
      for (auto it = timers.begin(); it != timers.end(); ++it) {
        if (it->first <= until && (next == timers.end() || *it < *next))
          next = it;
      }
      if (next == timers.end())
        break;
      const auto [due, number] = *next;
      timers.erase(next);
      now = due;
      take(core.on_timer(number, now));
    }
    now = until;
  }
  std::vector<std::string> taken() { return std::exchange(log, {}); }

  void take(const ServiceCore::Actions& actions) {
    for (const auto& action : actions)
      std::visit([this](const auto& a) { note(a); }, action);
  }
  void note(ServiceCore::Launch) { log.emplace_back("launch"); }
  void note(const ServiceCore::StopTree& a) {
    log.push_back(
        fmt::format("stop {} {}s", a.request.signal, a.request.grace / 1s));
  }
  void note(const ServiceCore::StartCheck& a) {
    check = a.number;
    log.push_back(
        fmt::format("check {} {}s", describe(*a.check), a.limit / 1s));
  }
  void note(const ServiceCore::CancelCheck& a) {
    log.push_back(a.number == check ? "cancel" : "cancel another");
  }
  void note(const ServiceCore::SetTimer& a) {
    timers.emplace_back(now + a.delay, a.number);
  }
  void note(ServiceCore::BecomeReady) { log.emplace_back("ready"); }
  void note(const ServiceCore::Quit& a) {
    log.push_back(fmt::format("quit {}: {}", actors::to_string(a.reason.kind),
                              describe(a.end)));
    last_end = a.end;
  }

  ServiceCore core;
  TimePoint now{1h};
  std::uint64_t check = 0;
  std::vector<std::pair<TimePoint, std::uint64_t>> timers;
  std::vector<std::string> log;
  ServiceEnd last_end;
};

const Result<void> well{};
const Result<void> refused = failure(Errc::unavailable, "connection refused");

ServiceSpec plain() { return {.name = "web", .stop_limit = 7s}; }
ServiceSpec probed() {
  ServiceSpec spec = plain();
  spec.ready = ReadyProbe{.check = TcpCheck{"localhost", 80},
                          .delay = 1s,
                          .period = 2s,
                          .limit = 20s};
  return spec;
}
ServiceSpec with_live_probe() {
  ServiceSpec spec = plain();
  spec.live = LiveProbe{.check = TcpCheck{"localhost", 80},
                        .delay = 3s,
                        .period = 10s,
                        .limit = 4s,
                        .failures = 2};
  return spec;
}
ServiceSpec notifying() {
  ServiceSpec spec = plain();
  spec.ready = ReadyProbe{.check = NotifyCheck{}, .limit = 20s};
  spec.watchdog = 15s;
  return spec;
}

TEST(ServiceCore, IsReadyAsSoonAsItRunsIfNothingElseIsAsked) {
  World world{plain()};
  world.launch();
  EXPECT_THAT(world.taken(), ElementsAre("launch", "ready"));
  EXPECT_EQ(world.core.phase(), ServicePhase::ready);
}

TEST(ServiceCore, ACodeOfSuccessIsANormalEndAndAnyOtherIsNone) {
  ServiceSpec spec = plain();
  spec.success_exit_codes = {0, 130};
  for (const auto& [report, end] :
       std::vector<std::pair<ExitReport, std::string>>{
           {{.exit_code = 130}, "quit normal: exited with 130 after 5s"},
           {{.exit_code = 1}, "quit custom: exited with 1 after 5s"},
           {{.signal = SIGSEGV}, "quit custom: killed by SIGSEGV after 5s"},
           {{.exit_code = 0, .leftovers = 2},
            "quit normal: exited with 0 after 5s, killed 2 processes that it "
            "left behind"}}) {
    World world{spec};
    world.launch();
    world.taken();
    world.advance(5s);
    world.end(report);
    EXPECT_THAT(world.taken(), ElementsAre(end));
  }
}

TEST(ServiceCore, AProgramThatCannotBeStartedIsAFailure) {
  World world{plain()};
  world.take(world.core.on_start(world.now));
  world.taken();
  world.take(world.core.on_ended(
      SpawnFailure{SpawnStage::exec, {Errc::not_found, "postgres: not found"}},
      world.now));
  EXPECT_THAT(world.taken(), ElementsAre("quit custom: postgres: not found"));
  EXPECT_EQ(world.last_end.cause.kind, actors::CauseKind::spawn_error);
}

TEST(ServiceCore, IsReadyWhenItsProbeSucceeds) {
  World world{probed()};
  world.launch();
  EXPECT_THAT(world.taken(), ElementsAre("launch"));
  world.advance(1s);
  EXPECT_THAT(world.taken(), ElementsAre("check tcp localhost:80 5s"));
  world.checked(refused);
  EXPECT_EQ(world.core.trouble(), "connection refused");
  for (const Duration pause :
       {20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1280ms, 2000ms, 2000ms}) {
    world.advance(pause - 1ns);
    EXPECT_THAT(world.taken(), IsEmpty());
    world.advance(1ns);
    EXPECT_THAT(world.taken(), ElementsAre("check tcp localhost:80 5s"));
    if (world.now - TimePoint{1h} < 7s)
      world.checked(refused);
  }
  world.checked(well);
  EXPECT_THAT(world.taken(), ElementsAre("ready"));
  EXPECT_EQ(world.core.trouble(), "");
  world.advance(1h);
  EXPECT_THAT(world.taken(), IsEmpty());
}

TEST(ServiceCore, IsEndedIfItIsNotReadyInTime) {
  World world{probed()};
  world.launch();
  world.advance(1s);
  world.checked(refused);
  world.advance(2s);
  world.taken();
  world.advance(17s);
  EXPECT_THAT(world.taken(), ElementsAre("cancel", "stop 15 7s"));
  world.end({.signal = SIGTERM, .stopped = true});
  EXPECT_THAT(world.taken(),
              ElementsAre("quit custom: not ready within 20s (tcp "
                          "localhost:80: connection refused) after 20s"));
  EXPECT_EQ(world.last_end.cause.kind, actors::CauseKind::not_ready);
}

TEST(ServiceCore, ASuccessBeforeItWasReadyIsAFailure) {
  World world{probed()};
  world.launch();
  world.taken();
  world.end({.exit_code = 0});
  EXPECT_THAT(
      world.taken(),
      ElementsAre("quit custom: exited with 0 before it was ready after 0s"));
}

TEST(ServiceCore, AnOldAnswerChangesNothing) {
  World world{probed()};
  world.launch();
  world.advance(1s);
  const std::uint64_t old = world.check;
  world.checked(refused);
  world.taken();
  world.take(world.core.on_checked(old, well, world.now));
  EXPECT_THAT(world.taken(), IsEmpty());
  EXPECT_EQ(world.core.phase(), ServicePhase::unready);
}

TEST(ServiceCore, IsReadyWhenItSaysSoOrPrintsTheText) {
  World says{notifying()};
  says.launch();
  says.take(says.core.on_log_text(says.now));
  EXPECT_THAT(says.taken(), ElementsAre("launch"));
  says.take(says.core.on_notified_ready(says.now));
  says.take(says.core.on_notified_ready(says.now));
  EXPECT_THAT(says.taken(), ElementsAre("ready"));

  ServiceSpec spec = plain();
  spec.ready = ReadyProbe{.check = LogCheck{"listening"}};
  World prints{spec};
  prints.launch();
  prints.take(prints.core.on_notified_ready(prints.now));
  EXPECT_THAT(prints.taken(), ElementsAre("launch"));
  prints.take(prints.core.on_log_text(prints.now));
  EXPECT_THAT(prints.taken(), ElementsAre("ready"));
}

TEST(ServiceCore, IsEndedAfterSoManyFailedLiveProbesInARow) {
  World world{with_live_probe()};
  world.launch();
  world.taken();
  world.advance(3s);
  world.checked(refused);
  world.advance(10s);
  world.checked(well);
  world.advance(10s);
  world.checked(refused);
  EXPECT_THAT(world.taken(), ElementsAre("check tcp localhost:80 4s",
                                         "check tcp localhost:80 4s",
                                         "check tcp localhost:80 4s"));
  world.advance(10s);
  world.checked(refused);
  EXPECT_THAT(world.taken(),
              ElementsAre("check tcp localhost:80 4s", "stop 15 7s"));
  world.end({.signal = SIGTERM, .stopped = true});
  EXPECT_THAT(world.taken(),
              ElementsAre("quit custom: failed its live probe (tcp "
                          "localhost:80): connection refused after 33s"));
}

TEST(ServiceCore, IsEndedWhenItsWatchdogHearsNothing) {
  World world{notifying()};
  world.launch();
  world.take(world.core.on_notified_ready(world.now));
  for (int i = 0; i < 10; ++i) {
    world.advance(14s);
    world.core.on_watchdog_ping(world.now);
  }
  world.taken();
  world.advance(15s - 1ns);
  EXPECT_THAT(world.taken(), IsEmpty());
  world.advance(1ns);
  EXPECT_THAT(world.taken(), ElementsAre("stop 15 7s"));
  world.end({.signal = SIGTERM});
  EXPECT_EQ(world.last_end.cause.kind, actors::CauseKind::watchdog);
}

TEST(ServiceCore, IsEndedWhenItAsksItsWatchdogToBite) {
  World world{notifying()};
  world.launch();
  world.taken();
  world.take(world.core.on_watchdog_trigger(world.now));
  EXPECT_THAT(world.taken(), ElementsAre("stop 15 7s"));
}

TEST(ServiceCore, AskedToStopItEndsCleanlyWhateverItsCode) {
  ServiceSpec spec = with_live_probe();
  spec.stop_signal = SIGINT;
  World world{spec};
  world.launch();
  world.advance(3s);
  world.taken();
  world.stop();
  world.stop();
  EXPECT_THAT(world.taken(), ElementsAre("cancel", "stop 2 7s"));
  world.advance(1h);
  EXPECT_THAT(world.taken(), IsEmpty());
  world.end({.signal = SIGKILL, .stopped = true, .killed = true});
  EXPECT_THAT(world.taken(),
              ElementsAre("quit shutdown: killed by SIGKILL after 1h3s"));
  EXPECT_TRUE(world.last_end.clean);
}

TEST(ServiceCore, CanBeStoppedBeforeItRuns) {
  World world{plain()};
  world.take(world.core.on_start(world.now));
  world.stop();
  EXPECT_THAT(world.taken(), ElementsAre("launch", "stop 15 7s"));
  world.take(world.core.on_launched(world.now));
  EXPECT_THAT(world.taken(), IsEmpty());
  world.end({.signal = SIGTERM, .stopped = true});
  EXPECT_THAT(world.taken(),
              ElementsAre("quit shutdown: killed by SIGTERM after 0s"));
}

TEST(ServiceCore, StoppedWhileItIsEndedForAFailureItEndsAsStopped) {
  World world{notifying()};
  world.launch();
  world.advance(20s);
  world.taken();
  world.stop();
  EXPECT_THAT(world.taken(), ElementsAre("stop 15 7s"));
  world.end({.signal = SIGTERM});
  EXPECT_EQ(world.taken().front().substr(0, 13), "quit shutdown");
}

TEST(ServiceCore, APreparationIsReadyWhenItHasEndedWell) {
  ServiceSpec spec = plain();
  spec.is_preparation = true;
  World world{spec};
  world.launch();
  EXPECT_THAT(world.taken(), ElementsAre("launch"));
  world.end({.exit_code = 0});
  EXPECT_THAT(world.taken(),
              ElementsAre("ready", "quit normal: exited with 0 after 0s"));

  World fails{spec};
  fails.launch();
  fails.taken();
  fails.end({.exit_code = 3});
  EXPECT_THAT(fails.taken(),
              ElementsAre("quit custom: exited with 3 after 0s"));
}

}  // namespace
}  // namespace troupe::service
