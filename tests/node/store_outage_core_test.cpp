#include "store_outage_core.hpp"

#include "time_zero.hpp"

#include <gtest/gtest.h>

namespace troupe::node {
namespace {

constexpr Duration patience = 5s;

class StoreOutageCoreTest : public ::testing::Test {
 protected:
  StoreOutageCore core{patience, 1};
  TimePoint now = t0;

  /// The pause after one more try that has failed.
  Duration fail() {
    core.on_silence(now);
    const TimePoint failed = now;
    while (!core.may_ask(now))
      now += 1ms;
    return now - failed;
  }
};

TEST_F(StoreOutageCoreTest, AsksAStoreThatIsThereAtOnce) {
  EXPECT_FALSE(core.is_gone());
  EXPECT_TRUE(core.may_ask(now));
  EXPECT_EQ(core.time_for(now, now), patience);
  EXPECT_FALSE(core.on_answer(now));
}

TEST_F(StoreOutageCoreTest, AStoreThatIsThereGetsAllTimeForCallsThatHadToWait) {
  EXPECT_EQ(core.time_for(now, now + 1h), patience);
}

TEST_F(StoreOutageCoreTest, PausesDoubleUpToABound) {
  Duration longest = StoreOutageCore::first_pause;
  for (int i = 0; i < 20; ++i) {
    const Duration pause = fail();
    EXPECT_GE(pause, longest / 2);
    EXPECT_LE(pause, longest + 1ms);
    longest = std::min<Duration>(longest * 2, StoreOutageCore::longest_pause);
  }
  EXPECT_EQ(longest, StoreOutageCore::longest_pause);
}

TEST_F(StoreOutageCoreTest, NodesComeBackAtDifferentTimes) {
  StoreOutageCore other{patience, 2};
  core.on_silence(now);
  other.on_silence(now);
  EXPECT_NE(core.next_change(now + 1h), other.next_change(now + 1h));
}

TEST_F(StoreOutageCoreTest, ThatItIsGoneIsNewsOnce) {
  EXPECT_TRUE(core.on_silence(now));
  EXPECT_FALSE(core.on_silence(now + 1s));
  EXPECT_TRUE(core.is_gone());
  EXPECT_EQ(core.on_answer(now + 7s), 7s);
  EXPECT_FALSE(core.is_gone());
  EXPECT_TRUE(core.on_silence(now + 8s));
  EXPECT_FALSE(core.may_ask(now + 8s));
  EXPECT_TRUE(core.may_ask(now + 8s + StoreOutageCore::first_pause));
}

TEST_F(StoreOutageCoreTest, ACallWaitsForItForAsLongAsItsPatience) {
  core.on_silence(now);
  EXPECT_EQ(core.time_for(now, now + 2s), 3s);
  EXPECT_EQ(core.time_for(now, now + 4500ms), 500ms);
  EXPECT_EQ(core.time_for(now, now + 4501ms), std::nullopt);
}

TEST_F(StoreOutageCoreTest, SomethingChangesWhenItSaysSo) {
  core.on_silence(now);
  const TimePoint next = core.next_change(now);
  EXPECT_GT(next, now);
  EXPECT_TRUE(core.may_ask(next));
  EXPECT_FALSE(core.may_ask(next - 1ms));
  for (int i = 0; i < 10; ++i)
    core.on_silence(now);
  const TimePoint late = core.next_change(now);
  EXPECT_FALSE(core.may_ask(late));
  EXPECT_EQ(core.time_for(now, late), std::nullopt);
  EXPECT_NE(core.time_for(now, late - 1ms), std::nullopt);
}

TEST(StoreOutage, AFileIsNeverGone) {
  EXPECT_FALSE((StoreOutageCore{Duration{0}, 1}.may_be_gone()));
}

}  // namespace
}  // namespace troupe::node
