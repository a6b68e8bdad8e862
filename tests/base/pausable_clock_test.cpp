#include <troupe/base/pausable_clock.hpp>

#include <gtest/gtest.h>

namespace troupe {
namespace {

TimePoint real(Duration time) { return TimePoint{} + time; }

TEST(PausableClock, RunsAsTheRealOneUntilItIsPaused) {
  const PausableClock clock;
  EXPECT_FALSE(clock.paused());
  EXPECT_EQ(clock.at(real(5s)), real(5s));
}

TEST(PausableClock, StandsStillWhileItIsPaused) {
  PausableClock clock;
  clock.pause(real(5s));
  clock.pause(real(6s));
  EXPECT_TRUE(clock.paused());
  EXPECT_EQ(clock.at(real(9s)), real(5s));
}

TEST(PausableClock, GoesOnWhereItStopped) {
  PausableClock clock;
  clock.pause(real(5s));
  clock.resume(real(15s));
  clock.resume(real(16s));
  EXPECT_EQ(clock.at(real(17s)), real(7s));
}

TEST(PausableClock, AddsUpItsPauses) {
  PausableClock clock;
  clock.pause(real(5s));
  clock.resume(real(15s));
  clock.pause(real(20s));
  clock.resume(real(21s));
  EXPECT_EQ(clock.at(real(30s)), real(19s));
}

}  // namespace
}  // namespace troupe
