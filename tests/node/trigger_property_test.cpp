// A trigger over a node that dies at any point: what was to become a run
// becomes exactly one.
#include "trigger_core.hpp"

#include <gtest/gtest.h>
#include <map>
#include <rapidcheck.h>
#include <set>

namespace troupe::node {
namespace {

using store::RunId;
using workflow::Overlap;

workflow::ScheduleTrigger each_minute(Overlap overlap) {
  return {{},
          "* * * * *",
          *schedule::Cron::parse("* * * * *"),
          schedule::TimeZone::utc(),
          1h,
          overlap};
}

/// The node around the core, with its disk and its store.
struct World {
  explicit World(Overlap how) : overlap{how}, core{each_minute(how), kept} {}

  void pass(Duration time) {
    now += time;
    if (core.on_time(now))
      keep();
  }

  void keep() {
    kept = core.state();
    for (const Fire& fire : kept.pending)
      promised.insert(fire.at);
  }

  /// As far as `steps` goes: submitted, answered, kept.
  void go_on(int steps) {
    const TriggerCore::Next next = core.next();
    if (next.cancel)
      end(*next.cancel);
    if (!next.submit)
      return;
    const WallTime at = next.submit->at;
    RC_ASSERT(promised.contains(at));
    const auto [found, is_new] = runs.try_emplace(at, RunId{runs.size() + 1});
    if (is_new && overlap != Overlap::allow)
      RC_ASSERT(ended.size() + 1 == runs.size());
    if (steps > 0 && core.on_submitted(at, found->second) && steps > 1)
      keep();
    if (steps < 2)
      die();
  }

  void end(RunId run) {
    ended.insert(run.value);
    core.on_run_ended(run);
  }

  void end_all() {
    for (const auto& [at, run] : runs)
      end(run);
  }

  void die() {
    core = TriggerCore{each_minute(overlap), kept};
    if (ended.contains(kept.last_run.value))
      core.on_run_ended(kept.last_run);
  }

  Overlap overlap;
  WallTime now{std::chrono::sys_days{std::chrono::year{2026} / 5 / 1}};
  TriggerState kept{.handled = now};  ///< On the disk.
  TriggerCore core;
  std::set<WallTime> promised;     ///< Was ever on the disk.
  std::map<WallTime, RunId> runs;  ///< By what they were submitted for.
  std::set<std::uint64_t> ended;
};

TEST(TriggerCore, SubmitsWhatItHasPromisedExactlyOnce) {
  EXPECT_TRUE(rc::check([] {
    const auto overlap =
        *rc::gen::element(Overlap::skip, Overlap::queue, Overlap::allow);
    World world{overlap};
    const auto events =
        *rc::gen::container<std::vector<int>>(40, rc::gen::inRange(0, 8));
    for (const int event : events) {
      switch (event) {
        case 0:
        case 1:
          world.pass(std::chrono::seconds{*rc::gen::inRange(1, 150)});
          break;
        case 2:
          world.end_all();
          break;
        case 3:
          world.die();
          break;
        default:
          world.go_on(event - 4);
          break;
      }
    }
    for (std::size_t i = 0; i < 2 * most_pending; ++i) {
      world.end_all();
      world.go_on(2);
    }
    RC_ASSERT(world.core.state().pending.empty());
    for (const WallTime at : world.promised)
      RC_ASSERT(world.runs.contains(at));
    RC_ASSERT(world.runs.size() == world.promised.size());
  }));
}

TEST(TriggerCore, RunsOneAtATimeIfItCancels) {
  EXPECT_TRUE(rc::check([] {
    World world{Overlap::cancel_running};
    const auto events =
        *rc::gen::container<std::vector<int>>(40, rc::gen::inRange(0, 6));
    for (const int event : events) {
      if (event < 2)
        world.pass(std::chrono::seconds{*rc::gen::inRange(1, 150)});
      else if (event == 2)
        world.die();
      else
        world.go_on(event - 3);
    }
    for (int i = 0; i < 10; ++i)
      world.go_on(2);
    RC_ASSERT(world.core.state().pending.empty());
    if (!world.promised.empty())
      RC_ASSERT(world.runs.contains(*world.promised.rbegin()));
  }));
}

}  // namespace
}  // namespace troupe::node
