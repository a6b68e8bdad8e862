#include "random_steps.hpp"

#include <troupe/flow_control/memory_governor.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <vector>

namespace troupe::flow_control {
namespace {

constexpr std::uint64_t MiB = 1 << 20;
constexpr std::uint64_t GiB = 1 << 30;

MachineSample memory_left(std::uint64_t available) {
  return {.memory = MemoryInfo{.total_bytes = 100 * GiB,
                               .available_bytes = available}};
}

MachineSample pressure(double some, double full) {
  return {.memory_pressure = Pressure{some, full}};
}

MachineSample load(double one_minute, std::uint64_t runnable) {
  return {.load = LoadAverage{one_minute, runnable}};
}

TEST(MemoryGovernor, HoldsBelowOneWatermarkUntilTheOtherIsReached) {
  MemoryGovernor governor{{.max_running = 8}};
  EXPECT_EQ(governor.observe(memory_left(5 * GiB), 4), Admission::admit);
  EXPECT_EQ(governor.observe(memory_left(5 * GiB - 1), 4), Admission::hold);
  EXPECT_EQ(governor.may_start(4), 0U);
  EXPECT_EQ(governor.observe(memory_left(10 * GiB - 1), 4), Admission::hold);
  EXPECT_EQ(governor.observe(memory_left(10 * GiB), 4), Admission::admit);
  EXPECT_EQ(governor.may_start(4), 4U);
}

TEST(MemoryGovernor, HoldsUnderMemoryPressureWithHysteresis) {
  MemoryGovernor governor{{.max_running = 8}};
  EXPECT_EQ(governor.observe(pressure(19.9, 4.9), 2), Admission::admit);
  EXPECT_EQ(governor.observe(pressure(20, 0), 2), Admission::hold);
  EXPECT_EQ(governor.observe(pressure(10, 0), 2), Admission::hold);
  EXPECT_EQ(governor.observe(pressure(9.9, 2), 2), Admission::hold);
  EXPECT_EQ(governor.observe(pressure(9.9, 1.9), 2), Admission::admit);
  EXPECT_EQ(governor.observe(pressure(0, 5), 2), Admission::hold);
}

TEST(MemoryGovernor, MindsCpuPressureOnlyIfAsked) {
  const MachineSample busy{.cpu_pressure = Pressure{90, 0}};
  const MachineSample easing{.cpu_pressure = Pressure{40, 0}};
  const MachineSample idle{.cpu_pressure = Pressure{39, 0}};
  MemoryGovernor indifferent{{.max_running = 8}};
  EXPECT_EQ(indifferent.observe(busy, 2), Admission::admit);
  MemoryGovernor minding{{.hold_at_cpu_some = 80, .max_running = 8}};
  EXPECT_EQ(minding.observe(busy, 2), Admission::hold);
  EXPECT_EQ(minding.observe(easing, 2), Admission::hold);
  EXPECT_EQ(minding.observe(idle, 2), Admission::admit);
}

TEST(MemoryGovernor, LetsOneCommandRunWhileItHolds) {
  MemoryGovernor governor{{.max_running = 8}};
  governor.observe(memory_left(0), 3);
  EXPECT_EQ(governor.may_start(1), 0U);
  EXPECT_EQ(governor.may_start(0), 1U);
}

TEST(MemoryGovernor, TakesMemfreeAtItsWord) {
  MemoryGovernor governor{{.memfree_bytes = 10 * GiB, .max_running = 8}};
  EXPECT_EQ(governor.observe(memory_left(10 * GiB - 1), 0), Admission::hold);
  EXPECT_EQ(governor.may_start(0), 0U);
  EXPECT_EQ(governor.observe(memory_left(11 * GiB - 1), 0), Admission::hold);
  EXPECT_EQ(governor.observe(memory_left(11 * GiB), 0), Admission::admit);
  EXPECT_EQ(governor.may_start(0), 8U);
}

TEST(MemoryGovernor, StartsAsManyAsTheMemoryAboveTheWatermarkIsGoodFor) {
  MemoryGovernor governor{{.memfree_bytes = GiB,
                           .max_running = 100,
                           .bytes_per_command = 100 * MiB}};
  governor.observe(memory_left(GiB + 350 * MiB), 5);
  EXPECT_EQ(governor.may_start(5), 3U);
  EXPECT_EQ(governor.may_start(8), 0U);
  EXPECT_EQ(governor.may_start(7), 1U);  // one of them has ended
  governor.observe(memory_left(GiB), 5);
  EXPECT_EQ(governor.may_start(5), 0U);
  EXPECT_EQ(governor.may_start(4), 1U);
}

TEST(MemoryGovernor, LearnsWhatACommandNeeds) {
  MemoryGovernor governor{{.memfree_bytes = GiB,
                           .max_running = 100,
                           .bytes_per_command = 64 * MiB}};
  for (int i = 0; i < 100; ++i)
    governor.on_finished(500 * MiB);
  governor.observe(memory_left(GiB + 1600 * MiB), 0);
  EXPECT_EQ(governor.may_start(0), 3U);
}

TEST(MemoryGovernor, KeepsTheLoadAtWhatWasAskedFor) {
  MemoryGovernor governor{{.max_load = 4, .max_running = 100}};
  governor.observe(load(1.5, 1), 1);
  EXPECT_EQ(governor.may_start(1), 3U);
  governor.observe(load(0, 4), 1);  // the average does not show them yet
  EXPECT_EQ(governor.may_start(1), 1U);
  governor.observe(load(4, 1), 3);
  EXPECT_EQ(governor.may_start(3), 0U);
  EXPECT_EQ(governor.may_start(2), 1U);
  governor.observe(load(6, 1), 3);  // not all of it ours: do not replace two
  EXPECT_EQ(governor.may_start(1), 0U);
  EXPECT_EQ(governor.may_start(0), 1U);
  governor.observe(load(9, 1), 0);
  EXPECT_EQ(governor.may_start(0), 0U);
}

TEST(MemoryGovernor, NeverHoldsForWhatItDoesNotKnow) {
  MemoryGovernor governor{
      {.memfree_bytes = GiB, .max_load = 1, .max_running = 8}};
  EXPECT_EQ(governor.may_start(0), 8U);
  EXPECT_EQ(governor.observe({}, 0), Admission::admit);
  EXPECT_EQ(governor.may_start(0), 8U);
  EXPECT_EQ(governor.observe(memory_left(0), 0), Admission::hold);
  EXPECT_EQ(governor.observe({}, 0), Admission::admit);
}

TEST(Admission, HasNamesForMetrics) {
  EXPECT_EQ(to_string(Admission::admit), "admit");
  EXPECT_EQ(to_string(Admission::hold), "hold");
}

TEST(MemoryGovernorProperty, NeverExceedsItsBoundAndNeverStops) {
  EXPECT_TRUE(rc::check("running + may_start <= max_running", [] {
    const auto max = *rc::gen::inRange<std::size_t>(1, 50);
    MemoryGovernor governor{{.max_running = max}};
    const auto steps = random_steps();
    for (const std::uint32_t step : steps) {
      const std::size_t running = step % 64;
      MachineSample sample = memory_left(step / 64 % 32 * GiB);
      if (step % 2 == 0)
        sample.memory_pressure = Pressure{step % 40 * 1.0, step % 9 * 1.0};
      const Admission admission = governor.observe(sample, running);
      for (std::size_t now = 0; now <= max; ++now) {
        const std::size_t more = governor.may_start(now);
        RC_ASSERT(now + more <= max);
        RC_ASSERT(now > 0 || more > 0);
        RC_ASSERT(admission == Admission::admit || now + more <= 1 ||
                  more == 0);
      }
    }
  }));
}

}  // namespace
}  // namespace troupe::flow_control
