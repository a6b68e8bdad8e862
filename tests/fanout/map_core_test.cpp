#include <troupe/fanout/map_core.hpp>

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <rapidcheck.h>
#include <set>

namespace troupe::fanout {
namespace {

using Actions = MapCore::Actions;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const TimePoint start{};

std::vector<Arguments> jobs(std::uint64_t first, std::uint64_t last) {
  std::vector<Arguments> made;
  for (std::uint64_t seq = first; seq <= last; ++seq)
    made.push_back({.seq = seq, .values = {std::to_string(seq)}});
  return made;
}

/// The actions of one kind.
template <class T>
std::vector<T> only(const Actions& actions) {
  std::vector<T> found;
  for (const auto& action : actions) {
    if (const T* wanted = std::get_if<T>(&action))
      found.push_back(*wanted);
  }
  return found;
}

/// What was launched, as sequence numbers.
std::vector<std::uint64_t> launched(const Actions& actions) {
  std::vector<std::uint64_t> seqs;
  for (const auto& launch : only<MapCore::Launch>(actions))
    seqs.push_back(launch.arguments.seq);
  return seqs;
}

bool is_over(const Actions& actions) {
  return !actions.empty() &&
         std::holds_alternative<MapCore::Finish>(actions.back());
}

HaltPolicy halt(std::string_view text) {
  return HaltPolicy::parse(text).value();
}

TEST(MapCore, ReadsFirstAndStartsAsManyAsThereAreSlots) {
  MapCore core{{.slots = 2}};
  EXPECT_EQ(only<MapCore::Read>(core.on_start(start)).size(), 1U);
  const Actions actions = core.on_arguments(jobs(1, 3), true, start);
  EXPECT_THAT(launched(actions), ElementsAre(1, 2));
  EXPECT_EQ(core.running(), 2U);
  EXPECT_THAT(launched(core.on_finished(1, true, 0, start)), ElementsAre(3));
}

TEST(MapCore, ReadsFewerLongArgumentsAhead) {
  const std::string mebibyte(1 << 20, 'x');
  MapCore core{{.slots = 1}};
  (void)core.on_start(start);
  std::vector<std::size_t> reads;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) {
    const Arguments job{.seq = seq, .values = {mebibyte}};
    const Actions actions = core.on_arguments({job}, false, start);
    reads.push_back(only<MapCore::Read>(actions).size());
  }
  // One runs, and behind it wait a little more than 4 MiB.
  EXPECT_THAT(reads, ElementsAre(1, 1, 1, 1, 0));
  const Actions actions = core.on_finished(1, true, 0, start);
  EXPECT_EQ(only<MapCore::Read>(actions).size(), 1U);
}

TEST(MapCore, GivesTheSlotOfAnEndedJobToTheNext) {
  MapCore core{{.slots = 3}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 5), true, start);
  const auto next = only<MapCore::Launch>(core.on_finished(2, true, 0, start));
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].slot, 2U);
}

TEST(MapCore, EndsWithTheLastJobAndNotBefore) {
  MapCore core{{.slots = 2}};
  (void)core.on_start(start);
  EXPECT_FALSE(is_over(core.on_arguments(jobs(1, 2), true, start)));
  EXPECT_FALSE(is_over(core.on_finished(2, true, 0, start)));
  EXPECT_TRUE(is_over(core.on_finished(1, true, 0, start)));
  EXPECT_THAT(core.on_time(start), IsEmpty());
  EXPECT_THAT(core.resize(5, start), IsEmpty());
}

TEST(MapCore, EndsAtOnceWithoutArguments) {
  MapCore core{{}};
  (void)core.on_start(start);
  EXPECT_TRUE(is_over(core.on_arguments({}, true, start)));
}

TEST(MapCore, IgnoresAnEndItHasSeenOrNeverStarted) {
  MapCore core{{.slots = 1}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 3), true, start);
  EXPECT_THAT(core.on_finished(2, true, 0, start), IsEmpty());
  (void)core.on_finished(1, true, 0, start);
  EXPECT_THAT(core.on_finished(1, true, 0, start), IsEmpty());
  EXPECT_EQ(core.running(), 1U);
}

TEST(MapCore, SkipsWhatEndedInAnEarlierMapAndTakesNoSlotForIt) {
  IntervalSet finished;
  (void)finished.insert(1);
  (void)finished.insert(3);
  MapCore core{{.slots = 1, .finished = finished}};
  (void)core.on_start(start);
  const Actions actions = core.on_arguments(jobs(1, 4), true, start);
  EXPECT_EQ(only<MapCore::Skip>(actions).size(), 2U);
  EXPECT_THAT(launched(actions), ElementsAre(2));
  EXPECT_THAT(launched(core.on_finished(2, true, 0, start)), ElementsAre(4));
}

TEST(MapCore, LeavesTheDelayBetweenTwoStarts) {
  MapCore core{{.slots = 4, .delay = 100ms}};
  (void)core.on_start(start);
  const Actions first = core.on_arguments(jobs(1, 3), true, start);
  EXPECT_THAT(launched(first), ElementsAre(1));
  EXPECT_EQ(only<MapCore::Wake>(first).at(0).at, start + 100ms);
  EXPECT_THAT(launched(core.on_time(start + 99ms)), IsEmpty());
  const Actions second = core.on_time(start + 100ms);
  EXPECT_THAT(launched(second), ElementsAre(2));
  EXPECT_EQ(only<MapCore::Wake>(second).at(0).at, start + 200ms);
}

TEST(MapCore, WakesAgainWhenAnEndWasFasterThanTheTimer) {
  MapCore core{{.slots = 1, .delay = 100ms}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 3), true, start);
  // Waits until 100 ms, and then the end of a job is seen before the timer.
  EXPECT_EQ(only<MapCore::Wake>(core.on_finished(1, true, 0, start)).size(),
            1U);
  MapCore two{{.slots = 2, .delay = 100ms}};
  (void)two.on_start(start);
  (void)two.on_arguments(jobs(1, 3), true, start);
  EXPECT_THAT(launched(two.on_finished(1, true, 0, start + 100ms)),
              ElementsAre(2));
  const auto again = only<MapCore::Wake>(two.on_time(start + 101ms));
  ASSERT_EQ(again.size(), 1U) << "nobody would ever start job 3";
  EXPECT_EQ(again[0].at, start + 200ms);
  EXPECT_THAT(launched(two.on_time(start + 200ms)), ElementsAre(3));
}

TEST(MapCore, StaysWithinTheWindowOfTheFirstUnfinishedJob) {
  MapCore core{{.slots = 10, .window = 3}};
  (void)core.on_start(start);
  EXPECT_THAT(launched(core.on_arguments(jobs(1, 9), true, start)),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(launched(core.on_finished(2, true, 0, start)), IsEmpty());
  EXPECT_THAT(launched(core.on_finished(1, true, 0, start)), ElementsAre(4, 5));
}

TEST(MapCore, HaltSoonLetsRunningJobsEndAndStartsNoMore) {
  MapCore core{{.slots = 2, .halt = halt("soon,fail=1")}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 9), true, start);
  const Actions actions = core.on_finished(1, false, 3, start);
  EXPECT_THAT(actions, IsEmpty());
  EXPECT_TRUE(core.stopping());
  EXPECT_TRUE(is_over(core.on_finished(2, true, 0, start)));
  EXPECT_EQ(core.halt().exit_status(), 3);
}

TEST(MapCore, HaltNowStopsRunningJobsAndAwaitsThem) {
  MapCore core{{.slots = 3, .halt = halt("now,fail=1")}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 9), true, start);
  const Actions actions = core.on_finished(2, false, 1, start);
  EXPECT_EQ(only<MapCore::StopAll>(actions).size(), 1U);
  EXPECT_FALSE(is_over(actions));
  EXPECT_FALSE(is_over(core.on_finished(1, false, 143, start)));
  EXPECT_TRUE(is_over(core.on_finished(3, false, 143, start)));
}

TEST(MapCore, HaltNowOfTheLastRunningJobHasNothingToStop) {
  MapCore core{{.slots = 1, .halt = halt("now,fail=1")}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 9), true, start);
  const Actions actions = core.on_finished(1, false, 1, start);
  EXPECT_THAT(only<MapCore::StopAll>(actions), IsEmpty());
  EXPECT_TRUE(is_over(actions));
}

TEST(MapCore, EndsThoughTheReaderStillOwesAnAnswer) {
  MapCore core{{.slots = 1}};
  (void)core.on_start(start);
  EXPECT_TRUE(is_over(core.stop_starting(start)));
  EXPECT_THAT(core.on_arguments(jobs(1, 5), false, start), IsEmpty());
}

TEST(MapCore, FewerSlotsTakeNothingFromWhatRuns) {
  MapCore core{{.slots = 3}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 9), true, start);
  EXPECT_THAT(launched(core.resize(1, start)), IsEmpty());
  EXPECT_EQ(core.running(), 3U);
  EXPECT_THAT(launched(core.on_finished(1, true, 0, start)), IsEmpty());
  EXPECT_THAT(launched(core.on_finished(2, true, 0, start)), IsEmpty());
  EXPECT_THAT(launched(core.on_finished(3, true, 0, start)), ElementsAre(4));
  EXPECT_THAT(launched(core.resize(0, start)), IsEmpty());
  EXPECT_THAT(launched(core.on_finished(4, true, 0, start)), IsEmpty());
  EXPECT_THAT(launched(core.resize(2, start)), ElementsAre(5, 6));
}

/// Everything around a core: a reader, a timer and jobs, all of which answer
/// when chance wants it. Checks what must hold after every step.
class World {
 public:
  World(MapOptions options, std::uint64_t job_count, std::uint32_t seed)
      : options_{options},
        job_count_{job_count},
        core_{options},
        random_{seed} {
    perform(core_.on_start(now_));
  }

  [[nodiscard]] bool over() const { return over_; }

  /// One thing happens; the map must not wait for nothing.
  void step() {
    std::vector<int> possible;
    if (asked_ > 0)
      possible.push_back(0);
    if (!running_.empty())
      possible.push_back(1);
    if (!wakes_.empty())
      possible.push_back(2);
    if (slots() == 0)
      possible.push_back(3);
    RC_ASSERT(!possible.empty());
    if (below(8) == 0)
      possible = {3};
    switch (possible[below(possible.size())]) {
      case 0:
        return read();
      case 1:
        return finish();
      case 2:
        return wake();
      default:
        return resize();
    }
  }

  void check_all_started_once() const {
    for (std::uint64_t seq = 1; seq <= job_count_; ++seq)
      RC_ASSERT(started_.count(seq) + skipped_.count(seq) == 1U);
  }

 private:
  [[nodiscard]] std::uint32_t slots() const { return options_.slots; }

  /// From 0 on.
  std::uint64_t below(std::uint64_t end) { return random_() % end; }

  void read() {
    const std::uint64_t left = job_count_ - delivered_;
    const auto most = std::min<std::uint64_t>(asked_, left);
    const auto count = most == 0 ? 0 : 1 + below(most);
    asked_ = 0;
    auto batch = jobs(delivered_ + 1, delivered_ + count);
    delivered_ += count;
    const bool at_end =
        delivered_ == job_count_ && (count == 0 || below(2) == 0);
    perform(core_.on_arguments(std::move(batch), at_end, now_));
  }

  void finish() {
    const auto seq =
        *std::next(running_.begin(), static_cast<long>(below(running_.size())));
    const bool ok = below(2) == 0;
    running_.erase(seq);
    used_slots_.erase(slot_of_.at(seq));
    now_ += std::chrono::milliseconds{below(30)};
    perform(core_.on_finished(seq, ok, ok ? 0 : 1, now_));
  }

  /// A timer may be late, never early.
  void wake() {
    const TimePoint at = *wakes_.begin();
    wakes_.erase(wakes_.begin());
    now_ = std::max(now_, at) + std::chrono::milliseconds{below(3)};
    perform(core_.on_time(now_));
  }

  void resize() {
    options_.slots = static_cast<std::uint32_t>(below(6));
    perform(core_.resize(options_.slots, now_));
  }

  void perform(const Actions& actions) {
    for (const auto& action : actions) {
      RC_ASSERT(!over_);
      std::visit([this](const auto& a) { on(a); }, action);
    }
    RC_ASSERT(core_.running() == running_.size());
  }

  void on(const MapCore::Read& read) {
    RC_ASSERT(asked_ == 0U);
    RC_ASSERT(read.most > 0U);
    asked_ = read.most;
    const auto waiting = delivered_ - started_.size() - skipped_.size();
    RC_ASSERT(waiting + read.most <= 64U);  // Enough for all slots here.
  }
  void on(const MapCore::Launch& launch) {
    const std::uint64_t seq = launch.arguments.seq;
    RC_ASSERT(running_.size() < slots());
    RC_ASSERT(seq <= delivered_);
    RC_ASSERT((started_.empty() || seq > *started_.rbegin()));
    RC_ASSERT(!options_.finished.contains(seq));
    RC_ASSERT(started_.insert(seq).second);
    RC_ASSERT(used_slots_.insert(launch.slot).second);
    RC_ASSERT(launch.slot >= 1U);
    slot_of_[seq] = launch.slot;
    running_.insert(seq);
    if (options_.window != 0)
      RC_ASSERT(seq - *running_.begin() < options_.window);
    if (last_start_)
      RC_ASSERT(now_ - *last_start_ >= options_.delay);
    last_start_ = now_;
  }
  void on(const MapCore::Skip& skip) {
    RC_ASSERT(options_.finished.contains(skip.seq));
    RC_ASSERT(skipped_.insert(skip.seq).second);
  }
  void on(const MapCore::Wake& wake) { wakes_.insert(wake.at); }
  void on(MapCore::StopAll) { RC_ASSERT(!running_.empty()); }
  void on(MapCore::Finish) {
    RC_ASSERT(running_.empty());
    over_ = true;
  }

  MapOptions options_;
  std::uint64_t job_count_;
  MapCore core_;
  TimePoint now_ = start;
  std::size_t asked_ = 0;
  std::uint64_t delivered_ = 0;
  std::set<std::uint64_t> running_;
  std::set<std::uint64_t> started_;
  std::set<std::uint64_t> skipped_;
  std::set<std::uint32_t> used_slots_;
  std::map<std::uint64_t, std::uint32_t> slot_of_;
  std::multiset<TimePoint> wakes_;
  std::optional<TimePoint> last_start_;
  std::mt19937 random_;
  bool over_ = false;
};

MapOptions any_options(std::uint64_t job_count) {
  MapOptions options;
  options.slots = *rc::gen::inRange<std::uint32_t>(1, 6);
  options.delay = std::chrono::milliseconds{*rc::gen::element(0, 10)};
  options.window = *rc::gen::inRange<std::uint64_t>(0, 5);
  for (std::uint64_t seq = 1; seq <= job_count; ++seq) {
    if (*rc::gen::inRange(0, 4) == 0)
      (void)options.finished.insert(seq);
  }
  return options;
}

TEST(MapCoreProperty, EveryJobRunsOnceInOrderWithinTheBoundsAndItEnds) {
  EXPECT_TRUE(rc::check([] {
    const auto job_count = *rc::gen::inRange<std::uint64_t>(0, 150);
    World world{any_options(job_count), job_count,
                *rc::gen::arbitrary<std::uint32_t>()};
    for (int step = 0; !world.over(); ++step) {
      RC_ASSERT(step < 20'000);
      world.step();
    }
    world.check_all_started_once();
  }));
}

TEST(MapCoreProperty, ItEndsUnderAnyHaltPolicyToo) {
  EXPECT_TRUE(rc::check([] {
    const auto job_count = *rc::gen::inRange<std::uint64_t>(0, 60);
    MapOptions options = any_options(job_count);
    options.halt =
        halt(*rc::gen::element("now,fail=1", "soon,fail=2", "now,success=3",
                               "soon,done=10", "soon,fail=30%", "now,done=1"));
    World world{options, job_count, *rc::gen::arbitrary<std::uint32_t>()};
    for (int step = 0; !world.over(); ++step) {
      RC_ASSERT(step < 20'000);
      world.step();
    }
  }));
}

}  // namespace
}  // namespace troupe::fanout
