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
  void on(const MapCore::Withdraw&) { RC_FAIL("nothing waits for others"); }
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

// Successors.

std::vector<std::uint64_t> withdrawn(const Actions& actions) {
  std::vector<std::uint64_t> seqs;
  for (const auto& action : only<MapCore::Withdraw>(actions))
    seqs.push_back(action.seq);
  return seqs;
}

/// A map whose first job has taken `first_job`, and whose second one has begun.
struct Begun {
  explicit Begun(Duration first_job, std::uint64_t job_count = 9,
                 MapOptions options = {})
      : core{with_successors(std::move(options))} {
    (void)core.on_start(now);
    (void)core.on_arguments(jobs(1, job_count), true, now);
    (void)core.on_started(1, now);
    now += first_job;
    (void)core.on_finished(1, true, 0, now);
    actions = core.on_started(2, now);
  }

  static MapOptions with_successors(MapOptions options) {
    options.with_successors = true;
    return options;
  }

  TimePoint now = start;
  MapCore core;
  Actions actions;
};

TEST(MapCoreSuccessors, AreLaunchedBehindShortJobsThatRun) {
  const Begun map{50ms};
  const auto launches = only<MapCore::Launch>(map.actions);
  ASSERT_EQ(launches.size(), 1U);
  EXPECT_EQ(launches[0].arguments.seq, 3U);
  EXPECT_EQ(launches[0].arguments.values, std::vector<std::string>{"3"});
  EXPECT_EQ(launches[0].after, 2U);
  EXPECT_EQ(launches[0].slot, 1U);
  EXPECT_EQ(map.core.running(), 1U);
}

TEST(MapCoreSuccessors, AreTheMoreTheShorterJobsAre) {
  const auto launches = only<MapCore::Launch>(Begun{6ms}.actions);
  ASSERT_EQ(launches.size(), 3U);
  for (std::uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(launches[i].arguments.seq, 3 + i);
    EXPECT_EQ(launches[i].after, 2 + i);
    EXPECT_EQ(launches[i].slot, 1U);
  }
  EXPECT_EQ(launched(Begun{1us, 40}.actions).size(), 16U);
}

TEST(MapCoreSuccessors, AreSharedByTheSlotsInTheOrderOfTheArguments) {
  MapOptions options;
  options.slots = 2;
  Begun map{6ms, 40, options};
  EXPECT_THAT(launched(map.actions), ElementsAre(4, 5, 6));
  const Actions actions = map.core.on_started(3, map.now);
  EXPECT_THAT(launched(actions), ElementsAre(7, 8, 9));
  const auto launches = only<MapCore::Launch>(actions);
  EXPECT_EQ(launches[0].after, 3U);
  EXPECT_EQ(launches[0].slot, 1U);
  // Both lines have been used up to the half.
  (void)map.core.on_finished(2, true, 0, map.now + 6ms);
  (void)map.core.on_started(4, map.now + 6ms);
  EXPECT_THAT(launched(map.core.on_finished(4, true, 0, map.now + 12ms)),
              IsEmpty());
  EXPECT_THAT(launched(map.core.on_started(5, map.now + 12ms)),
              ElementsAre(10, 11));
}

TEST(MapCoreSuccessors, BehindOneThatCannotStartWaitForTheOneBeforeIt) {
  Begun map{6ms};
  ASSERT_THAT(launched(map.actions), ElementsAre(3, 4, 5));
  EXPECT_EQ(map.core.predecessor_of(3), 2U);
  EXPECT_EQ(map.core.predecessor_of(4), 3U);
  (void)map.core.on_finished(3, false, 255, map.now);
  EXPECT_EQ(map.core.predecessor_of(4), 2U);
  EXPECT_EQ(map.core.predecessor_of(3), std::nullopt);
  (void)map.core.on_finished(2, true, 0, map.now);
  EXPECT_EQ(map.core.predecessor_of(4), std::nullopt);
  EXPECT_EQ(map.core.running(), 1U);
}

TEST(MapCoreSuccessors, WithLongArgumentsAreFew) {
  MapCore core{{.slots = 1, .with_successors = true}};
  (void)core.on_start(start);
  std::vector<Arguments> long_ones = jobs(1, 9);
  for (Arguments& job : long_ones)
    job.values = {std::string(std::size_t{3} << 20, 'x')};
  (void)core.on_arguments(std::move(long_ones), true, start);
  (void)core.on_started(1, start);
  (void)core.on_finished(1, true, 0, start + 1ms);
  EXPECT_THAT(launched(core.on_started(2, start + 1ms)), ElementsAre(3, 4));
}

TEST(MapCoreSuccessors, AreNotGivenToLongJobs) {
  EXPECT_THAT(launched(Begun{1s}.actions), IsEmpty());
}

TEST(MapCoreSuccessors, AreNotGivenBeforeAnyJobHasEnded) {
  MapCore core{{.with_successors = true}};
  (void)core.on_start(start);
  (void)core.on_arguments(jobs(1, 9), true, start);
  EXPECT_THAT(launched(core.on_started(1, start)), IsEmpty());
}

TEST(MapCoreSuccessors, TakeTheSlotOfTheirPredecessorsWithoutAnotherLaunch) {
  Begun map{50ms};
  EXPECT_THAT(launched(map.core.on_finished(2, true, 0, map.now)), IsEmpty());
  EXPECT_EQ(map.core.running(), 1U);
  EXPECT_THAT(launched(map.core.on_started(3, map.now)), ElementsAre(4));
}

TEST(MapCoreSuccessors, MayBeHeardOfBeforeTheEndOfTheirPredecessors) {
  Begun map{50ms};
  EXPECT_THAT(launched(map.core.on_started(3, map.now)), IsEmpty());
  EXPECT_THAT(launched(map.core.on_finished(2, true, 0, map.now)),
              ElementsAre(4));
}

TEST(MapCoreSuccessors, MayEvenHaveEndedBeforeThat) {
  Begun map{50ms, 4};
  (void)map.core.on_started(3, map.now);
  EXPECT_THAT(launched(map.core.on_finished(3, true, 0, map.now)),
              ElementsAre(4));
  EXPECT_EQ(map.core.running(), 1U);
  (void)map.core.on_finished(2, true, 0, map.now);
  EXPECT_TRUE(is_over(map.core.on_finished(4, true, 0, map.now)));
}

TEST(MapCoreSuccessors, OfALongJobGoToASlotThatIsFree) {
  MapOptions options;
  options.slots = 2;
  Begun map{50ms, 4, options};
  ASSERT_THAT(launched(map.actions), ElementsAre(4));  // Behind 2.
  EXPECT_THAT(withdrawn(map.core.on_finished(3, true, 0, map.now)),
              ElementsAre(4));
  const Actions actions = map.core.on_withdrawn(4, map.now);
  const auto launches = only<MapCore::Launch>(actions);
  ASSERT_EQ(launches.size(), 1U);
  EXPECT_EQ(launches[0].arguments.values, std::vector<std::string>{"4"});
  EXPECT_EQ(launches[0].after, std::nullopt);
  EXPECT_EQ(map.core.running(), 2U);
}

TEST(MapCoreSuccessors, AreWithdrawnWhenManyOthersHaveOvertakenThem) {
  MapOptions options;
  options.slots = 2;
  Begun map{50ms, 40, options};
  ASSERT_THAT(launched(map.actions), ElementsAre(4));  // Behind 2.
  (void)map.core.on_started(3, map.now);
  (void)map.core.on_finished(3, true, 0, map.now);
  std::vector<std::uint64_t> back;
  std::uint64_t seq = 5;
  for (; back.empty() && seq < 30; ++seq) {
    back = withdrawn(map.core.on_started(seq, map.now));
    (void)map.core.on_finished(seq, true, 0, map.now);
  }
  EXPECT_THAT(back, ElementsAre(4));
  EXPECT_LT(seq, 16U);
  // The next one in any slot.
  (void)map.core.on_withdrawn(4, map.now);
  EXPECT_THAT(launched(map.core.on_started(seq, map.now)), ElementsAre(4));
}

TEST(MapCoreSuccessors, AreFewerAgainWhenJobsTakeLonger) {
  Begun map{1us, 40};
  ASSERT_EQ(launched(map.actions).size(), 16U);
  (void)map.core.on_started(3, map.now);
  // On average 6 ms: three are useful, twice as many are left.
  const Actions actions = map.core.on_finished(2, true, 0, map.now + 48ms);
  EXPECT_THAT(withdrawn(actions),
              ElementsAre(18, 17, 16, 15, 14, 13, 12, 11, 10));
}

TEST(MapCoreSuccessors, ThatWereWithdrawnTooLateAreJobsLikeOthers) {
  MapOptions options;
  options.slots = 2;
  Begun map{50ms, 4, options};
  ASSERT_THAT(withdrawn(map.core.on_finished(3, true, 0, map.now)),
              ElementsAre(4));
  (void)map.core.on_finished(2, true, 0, map.now);
  EXPECT_EQ(map.core.running(), 1U);
  (void)map.core.on_started(4, map.now);
  EXPECT_TRUE(is_over(map.core.on_finished(4, true, 0, map.now)));
}

TEST(MapCoreSuccessors, ThatDidNotStartAfterAllTakeTheSlotAgain) {
  MapOptions options;
  options.slots = 2;
  Begun map{50ms, 4, options};
  ASSERT_THAT(withdrawn(map.core.on_finished(3, true, 0, map.now)),
              ElementsAre(4));
  (void)map.core.on_finished(2, true, 0, map.now);
  EXPECT_THAT(launched(map.core.on_withdrawn(4, map.now)), ElementsAre(4));
  EXPECT_TRUE(is_over(map.core.on_finished(4, true, 0, map.now)));
}

TEST(MapCoreSuccessors, AreWithdrawnWhenNoMoreJobsShallStart) {
  Begun map{50ms};
  const Actions actions = map.core.stop_starting(map.now);
  EXPECT_THAT(withdrawn(actions), ElementsAre(3));
  EXPECT_FALSE(is_over(map.core.on_finished(2, true, 0, map.now)));
  EXPECT_TRUE(is_over(map.core.on_withdrawn(3, map.now)));
}

TEST(MapCoreSuccessors, AreWithdrawnFromTheLastOneOn) {
  Begun map{6ms};
  EXPECT_THAT(withdrawn(map.core.stop_starting(map.now)), ElementsAre(5, 4, 3));
  // One was faster than that.
  (void)map.core.on_withdrawn(5, map.now);
  (void)map.core.on_started(3, map.now);
  (void)map.core.on_finished(2, true, 0, map.now);
  (void)map.core.on_finished(3, true, 0, map.now);
  EXPECT_TRUE(is_over(map.core.on_withdrawn(4, map.now)));
}

TEST(MapCoreSuccessors, AreNotGivenBehindOneThatIsWithdrawn) {
  MapOptions options;
  options.slots = 2;
  Begun map{10ms, 9, options};
  ASSERT_THAT(launched(map.actions), ElementsAre(4, 5));
  EXPECT_THAT(withdrawn(map.core.resize(1, map.now)), ElementsAre(5, 4));
  (void)map.core.resize(2, map.now);
  (void)map.core.on_finished(2, true, 0, map.now);
  EXPECT_THAT(launched(map.core.on_started(4, map.now)), IsEmpty());
  (void)map.core.on_withdrawn(5, map.now);
  EXPECT_THAT(launched(map.core.on_finished(4, true, 0, map.now)),
              ElementsAre(5));
}

TEST(MapCoreSuccessors, AreWithdrawnWhenThereAreFewerSlots) {
  Begun map{50ms};
  EXPECT_THAT(withdrawn(map.core.resize(0, map.now)), ElementsAre(3));
  (void)map.core.on_withdrawn(3, map.now);
  EXPECT_THAT(launched(map.core.on_finished(2, true, 0, map.now)), IsEmpty());
  EXPECT_THAT(launched(map.core.resize(1, map.now)), ElementsAre(3));
}

/// What is true of the jobs of a map with successors, and the news of it, which
/// come to the core when chance wants it.
class SuccessorWorld {
 public:
  SuccessorWorld(MapOptions options, std::uint64_t job_count,
                 std::uint32_t seed)
      : options_{options},
        job_count_{job_count},
        core_{options},
        random_{seed},
        longest_ms_{std::vector<std::uint64_t>{3, 12, 80}.at(below(3))} {
    perform(core_.on_start(now_));
  }

  [[nodiscard]] bool over() const { return over_; }

  void step() {
    std::vector<int> possible;
    if (is_asked_)
      possible.push_back(0);
    if (!runs_.empty())
      possible.push_back(1);
    if (!news_.empty())
      possible.push_back(2);
    if (!withdrawals_.empty())
      possible.push_back(3);
    if (options_.slots == 0)
      possible.push_back(4);
    RC_ASSERT(!possible.empty());
    if (below(20) == 0)
      possible = {4};
    switch (possible[below(possible.size())]) {
      case 0:
        return read();
      case 1:
        return end(
            *std::next(runs_.begin(), static_cast<long>(below(runs_.size()))));
      case 2:
        return tell();
      case 3:
        return withdraw();
      default:
        options_.slots = static_cast<std::uint32_t>(below(5));
        most_slots_ = std::max(most_slots_, options_.slots);
        return perform(core_.resize(options_.slots, now_));
    }
  }

  void stop() {
    is_stopped_ = true;
    perform(core_.stop_starting(now_));
  }

  void check_all_ran_once() const {
    if (!is_stopped_)
      RC_ASSERT(ran_.size() + failed_.size() == job_count_);
  }

 private:
  enum class Event : std::uint8_t { started, finished, withdrawn };

  std::uint64_t below(std::uint64_t end) { return random_() % end; }

  void read() {
    is_asked_ = false;
    const std::uint64_t count =
        std::min<std::uint64_t>(below(9), job_count_ - delivered_);
    auto batch = jobs(delivered_ + 1, delivered_ + count);
    delivered_ += count;
    perform(
        core_.on_arguments(std::move(batch), delivered_ == job_count_, now_));
  }

  void run(std::uint64_t seq) {
    RC_ASSERT(ran_.insert(seq).second);
    RC_ASSERT(busy_slots_.insert(slot_of_.at(seq)).second);
    runs_.insert(seq);
    RC_ASSERT(runs_.size() <= most_slots_);
    if (options_.window != 0)
      RC_ASSERT(seq - *runs_.begin() < options_.window);
    news_.emplace_back(seq, Event::started);
  }

  void end(std::uint64_t seq) {
    now_ += std::chrono::milliseconds{below(longest_ms_)};
    runs_.erase(seq);
    busy_slots_.erase(slot_of_.at(seq));
    news_.emplace_back(seq, Event::finished);
    if (auto next = waits_.extract(seq))
      run(next.mapped());
  }

  /// Of one job in their order, of several in any.
  void tell() {
    auto chosen = news_.begin() + static_cast<long>(below(news_.size()));
    chosen = std::find_if(news_.begin(), chosen, [&](const auto& earlier) {
      return earlier.first == chosen->first;
    });
    const auto [seq, event] = *chosen;
    news_.erase(chosen);
    switch (event) {
      case Event::started:
        return perform(core_.on_started(seq, now_));
      case Event::finished:
        return perform(core_.on_finished(seq, below(2) == 0, 1, now_));
      case Event::withdrawn:
        return perform(core_.on_withdrawn(seq, now_));
    }
  }

  /// In any order. What waits for it waits for the one before it.
  void withdraw() {
    const auto chosen =
        withdrawals_.begin() + static_cast<long>(below(withdrawals_.size()));
    const std::uint64_t seq = *chosen;
    withdrawals_.erase(chosen);
    const auto waits =
        std::find_if(waits_.begin(), waits_.end(),
                     [seq](const auto& next) { return next.second == seq; });
    if (waits == waits_.end())
      return;
    const std::uint64_t predecessor = waits->first;
    waits_.erase(waits);
    if (const auto next = waits_.extract(seq))
      waits_[predecessor] = next.mapped();
    news_.emplace_back(seq, Event::withdrawn);
  }

  [[nodiscard]] bool waits(std::uint64_t seq) const {
    return std::any_of(waits_.begin(), waits_.end(),
                       [seq](const auto& next) { return next.second == seq; });
  }

  void perform(const Actions& actions) {
    const bool is_performing = !to_do_.empty();
    to_do_.insert(to_do_.end(), actions.begin(), actions.end());
    if (is_performing)
      return;
    for (; !to_do_.empty(); to_do_.pop_front()) {
      RC_ASSERT(!over_);
      std::visit([this](const auto& a) { on(a); }, to_do_.front());
    }
  }

  void on(const MapCore::Read&) { is_asked_ = true; }
  void on(const MapCore::Launch& launch) {
    const std::uint64_t seq = launch.arguments.seq;
    RC_ASSERT(!is_stopped_);
    slot_of_[seq] = launch.slot;
    if (below(20) == 0) {
      failed_.insert(seq);
      return perform(core_.on_finished(seq, false, 255, now_));
    }
    const auto after = core_.predecessor_of(seq);
    if (!launch.after) {
      RC_ASSERT(!after);
      return run(seq);
    }
    RC_ASSERT(after.has_value());
    RC_ASSERT(after == launch.after || failed_.count(*launch.after) == 1U);
    RC_ASSERT(slot_of_.at(*after) == launch.slot);
    // Not behind one that may be withdrawn: it would start too early.
    RC_ASSERT(ran_.count(*after) == 1U || waits(*after));
    RC_ASSERT(std::find(withdrawals_.begin(), withdrawals_.end(), *after) ==
                  withdrawals_.end() ||
              ran_.count(*after) == 1U);
    if (runs_.count(*after) == 1 || waits(*after))
      RC_ASSERT(waits_.emplace(*after, seq).second);
    else
      run(seq);
    RC_ASSERT(waits_.size() <= 16U * most_slots_);
  }
  void on(const MapCore::Withdraw& action) {
    withdrawals_.push_back(action.seq);
  }
  void on(const MapCore::Skip&) { RC_FAIL("nothing has ended before"); }
  void on(const MapCore::Wake&) { RC_FAIL("there is no delay"); }
  void on(MapCore::StopAll) {}
  void on(MapCore::Finish) {
    RC_ASSERT(runs_.empty());
    RC_ASSERT(waits_.empty());
    over_ = true;
  }

  MapOptions options_;
  std::uint64_t job_count_;
  MapCore core_;
  std::uint32_t most_slots_ = options_.slots;
  TimePoint now_ = start;
  bool is_asked_ = false;
  std::uint64_t delivered_ = 0;
  std::set<std::uint64_t> runs_;
  std::set<std::uint64_t> ran_;
  std::map<std::uint64_t, std::uint64_t> waits_;  ///< By predecessor.
  std::map<std::uint64_t, std::uint32_t> slot_of_;
  std::set<std::uint32_t> busy_slots_;
  std::vector<std::pair<std::uint64_t, Event>> news_;
  std::vector<std::uint64_t> withdrawals_;
  std::set<std::uint64_t> failed_;  ///< To start.
  std::deque<MapCore::Action> to_do_;
  std::mt19937 random_;
  std::uint64_t longest_ms_;
  bool is_stopped_ = false;
  bool over_ = false;
};

TEST(MapCoreProperty, WithSuccessorsEveryJobRunsOnceWithinTheSlotsAndItEnds) {
  EXPECT_TRUE(rc::check([] {
    MapOptions options;
    options.with_successors = true;
    options.slots = *rc::gen::inRange<std::uint32_t>(1, 5);
    options.window = *rc::gen::element<std::uint64_t>(0, 0, 4, 20);
    const auto job_count = *rc::gen::inRange<std::uint64_t>(0, 150);
    const auto stop_at = *rc::gen::inRange<std::uint64_t>(0, 2000);
    SuccessorWorld world{options, job_count,
                         *rc::gen::arbitrary<std::uint32_t>()};
    for (std::uint64_t step = 0; !world.over(); ++step) {
      RC_ASSERT(step < 20'000U);
      if (step == stop_at)
        world.stop();
      else
        world.step();
    }
    world.check_all_ran_once();
  }));
}

}  // namespace
}  // namespace troupe::fanout
