#include "random_steps.hpp"
#include "time_zero.hpp"

#include <troupe/base/random.hpp>
#include <troupe/flow_control/adaptive_parallelism.hpp>

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <rapidcheck.h>
#include <vector>

namespace troupe::flow_control {
namespace {

/// A command: first it sleeps, then it computes.
struct Work {
  double sleep_s = 0;
  double cpu_s = 0;
};

/// A machine whose cores are shared evenly by the commands that compute, with
/// an endless supply of them, each up to `jitter` shorter or longer. The kernel
/// reports pressure, if it does, as an average over ten seconds.
class SimulatedMachine {
 public:
  SimulatedMachine(std::size_t cores, Work work, double jitter, bool psi)
      : cores_{static_cast<double>(cores)},
        work_{work},
        jitter_{jitter},
        psi_{psi} {}

  /// Slots over time, one entry per virtual second.
  std::vector<std::size_t> run(AdaptiveParallelism& controller, Duration time) {
    std::vector<std::size_t> slots;
    const auto end = now_s_ + std::chrono::duration<double>(time).count();
    while (now_s_ < end) {
      while (running_.size() < controller.slots())
        running_.push_back(next_command());
      if (step(std::min(time_to_next_event(), next_sample_s_ - now_s_)))
        continue_after_completions(controller);
      if (now_s_ + 1e-9 >= next_sample_s_) {
        next_sample_s_ += 1;
        controller.observe(sample(), running_.size(), now());
        slots.push_back(controller.slots());
      }
    }
    return slots;
  }

  double completed = 0;
  void change_work(Work work) { work_ = work; }

 private:
  Work next_command() {
    const double factor = 1 + jitter_ * (2 * random_.unit() - 1);
    return {work_.sleep_s * factor, work_.cpu_s * factor};
  }

  [[nodiscard]] double computing() const {
    return static_cast<double>(
        std::count_if(running_.begin(), running_.end(),
                      [](const Work& w) { return w.sleep_s <= 0; }));
  }

  /// CPU seconds per second of each command that computes.
  [[nodiscard]] double speed() const {
    return std::min(1.0, cores_ / std::max(computing(), 1.0));
  }

  [[nodiscard]] double time_to_next_event() const {
    double next = std::numeric_limits<double>::max();
    for (const Work& w : running_)
      next = std::min(next, w.sleep_s > 0 ? w.sleep_s : w.cpu_s / speed());
    return next;
  }

  /// Lets `dt` seconds pass; whether a command has ended.
  bool step(double dt) {
    const double progress = speed() * dt;
    const double contended = computing() > cores_ ? 100 : 0;
    some_avg10_ += (contended - some_avg10_) * (1 - std::exp(-dt / 10));
    now_s_ += dt;
    bool ended = false;
    for (Work& w : running_) {
      double& left = w.sleep_s > 0 ? w.sleep_s : w.cpu_s;
      left = std::max(left - (w.sleep_s > 0 ? dt : progress), 0.0);
      if (left < 1e-9)
        left = 0;
      ended = ended || (w.sleep_s <= 0 && w.cpu_s <= 0);
    }
    return ended;
  }

  void continue_after_completions(AdaptiveParallelism& controller) {
    std::erase_if(running_, [&, before = running_.size()](const Work& w) {
      if (w.sleep_s > 0 || w.cpu_s > 0)
        return false;
      ++completed;
      controller.on_completed(before, now());
      return true;
    });
  }

  [[nodiscard]] TimePoint now() const {
    return t0 + Duration{std::llround(now_s_ * 1e9)};
  }

  [[nodiscard]] MachineSample sample() const {
    MachineSample sample;
    if (psi_) {
      sample.memory_pressure = Pressure{};
      sample.cpu_pressure = Pressure{some_avg10_, 0};
    }
    return sample;
  }

  double cores_;
  Work work_;
  double jitter_;
  bool psi_;
  Random random_{42};
  double now_s_ = 0;
  double next_sample_s_ = 1;
  double some_avg10_ = 0;
  std::vector<Work> running_;
};

std::size_t median(std::vector<std::size_t> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
}

TEST(AdaptiveParallelism, StaysNearTheCoresForWorkThatComputes) {
  for (const std::size_t cores : {2U, 8U, 32U}) {
    for (const bool psi : {false, true}) {
      AdaptiveParallelism controller{{.initial = cores, .max = 256}, t0};
      SimulatedMachine machine{cores, {.cpu_s = 0.2}, 0.3, psi};
      machine.run(controller, 60s);
      const auto slots = machine.run(controller, 120s);
      EXPECT_GE(median(slots), cores - cores / 4) << cores << " psi " << psi;
      EXPECT_LE(median(slots), cores + cores / 2) << cores << " psi " << psi;
    }
  }
}

TEST(AdaptiveParallelism, CostsLittleThroughputOnceItHasSettled) {
  for (const std::size_t cores : {2U, 8U, 32U}) {
    AdaptiveParallelism controller{{.initial = cores, .max = 256}, t0};
    SimulatedMachine machine{cores, {.cpu_s = 0.2}, 0.3, true};
    machine.run(controller, 120s);
    const double before = machine.completed;
    machine.run(controller, 300s);
    const double possible = 300 * static_cast<double>(cores) / 0.2;
    EXPECT_GE(machine.completed - before, 0.93 * possible) << cores;
  }
}

TEST(AdaptiveParallelism, FindsTheCoresFromOneSlot) {
  AdaptiveParallelism controller{{.initial = 1, .max = 256}, t0};
  SimulatedMachine machine{8, {.cpu_s = 0.2}, 0.3, false};
  machine.run(controller, 60s);
  const std::size_t slots = median(machine.run(controller, 120s));
  EXPECT_GE(slots, 6U);
  EXPECT_LE(slots, 12U);
}

TEST(AdaptiveParallelism, GoesWellAboveTheCoresForWorkThatSleeps) {
  for (const bool psi : {false, true}) {
    AdaptiveParallelism controller{{.initial = 4, .max = 256}, t0};
    SimulatedMachine machine{4, {.sleep_s = 1}, 0.3, psi};
    machine.run(controller, 120s);
    EXPECT_GE(median(machine.run(controller, 60s)), 128U) << "psi " << psi;
  }
}

TEST(AdaptiveParallelism, FindsTheKneeOfWorkThatDoesBoth) {
  // Four cores are busy with 4 * (0.9 + 0.1) / 0.1 = 40 of these.
  AdaptiveParallelism controller{{.initial = 4, .max = 256}, t0};
  SimulatedMachine machine{4, {.sleep_s = 0.9, .cpu_s = 0.1}, 0.3, false};
  machine.run(controller, 120s);
  const std::size_t slots = median(machine.run(controller, 240s));
  EXPECT_GE(slots, 25U);
  EXPECT_LE(slots, 80U);
}

TEST(AdaptiveParallelism, RaisesLongSleepersBeforeAnyHasEnded) {
  AdaptiveParallelism controller{{.initial = 2, .max = 64}, t0};
  SimulatedMachine machine{2, {.sleep_s = 3600}, 0, true};
  machine.run(controller, 20s);
  EXPECT_EQ(controller.slots(), 64U);
}

TEST(AdaptiveParallelism, TakesTheRaiseBackWhenTheCpuTurnsOutToBeBusy) {
  AdaptiveParallelism controller{{.initial = 2, .max = 64}, t0};
  SimulatedMachine machine{2, {.cpu_s = 3600}, 0, true};
  const auto slots = machine.run(controller, 10min);
  EXPECT_LE(*std::max_element(slots.begin(), slots.end()), 4U);
  EXPECT_EQ(std::count(slots.begin() + 60, slots.end(), 2U), 540);
}

TEST(AdaptiveParallelism, RaisesOnTrustOnlyUntilItWasDisappointed) {
  const MachineSample idle{.cpu_pressure = Pressure{0, 0}};
  const MachineSample busy{.cpu_pressure = Pressure{30, 0}};
  AdaptiveParallelism controller{{.initial = 2, .max = 64}, t0};
  controller.observe(idle, 1, t0 + 2s);  // not all slots in use
  EXPECT_EQ(controller.slots(), 2U);
  controller.observe(idle, 2, t0 + 2s);
  EXPECT_EQ(controller.slots(), 4U);
  controller.observe(busy, 4, t0 + 4s);
  EXPECT_EQ(controller.slots(), 2U);
  controller.observe(idle, 2, t0 + 30s);
  EXPECT_EQ(controller.slots(), 2U);
}

TEST(AdaptiveParallelism, FollowsWorkThatChangesItsNature) {
  AdaptiveParallelism controller{{.initial = 4, .max = 256}, t0};
  SimulatedMachine machine{4, {.sleep_s = 0.2}, 0.3, false};
  machine.run(controller, 120s);
  EXPECT_GE(controller.slots(), 128U);
  machine.change_work({.cpu_s = 0.05});
  machine.run(controller, 120s);
  EXPECT_LE(median(machine.run(controller, 60s)), 12U);
}

TEST(AdaptiveParallelism, LearnsNothingWhileThereIsTooLittleToRun) {
  AdaptiveParallelism controller{{.initial = 8, .max = 64}, t0};
  for (int i = 0; i < 1000; ++i)
    controller.on_completed(5, t0 + i * 10ms);
  EXPECT_EQ(controller.slots(), 8U);
}

/// Commands that end one by one, with all slots in use.
class Completions {
 public:
  explicit Completions(AdaptiveParallelism& controller)
      : controller_{controller} {}

  void add(int count, Duration each) {
    for (int i = 0; i < count; ++i) {
      now_ += each;
      controller_.on_completed(controller_.slots(), now_);
    }
  }

 private:
  AdaptiveParallelism& controller_;
  TimePoint now_ = t0;
};

TEST(AdaptiveParallelism, DoesNotJudgeASettingByCommandsFromBeforeIt) {
  AdaptiveParallelism controller{{.initial = 8, .max = 64}, t0};
  Completions commands{controller};
  commands.add(16, 100ms);
  ASSERT_EQ(controller.slots(), 16U);
  commands.add(8, 10s);  // these ran before
  commands.add(32, 50ms);
  EXPECT_EQ(controller.slots(), 32U);
}

TEST(AdaptiveParallelism, TakesTheKneeFromTheRatesOfTwoSettings) {
  AdaptiveParallelism controller{{.initial = 8, .max = 64}, t0};
  Completions commands{controller};
  commands.add(16, 120ms);
  commands.add(8, 1ms);
  commands.add(32, 96ms);  // 16 slots give 1.25 times the rate of 8
  EXPECT_EQ(controller.slots(), 10U);
}

TEST(AdaptiveParallelism, DoesNotRaiseWhileMemoryIsTight) {
  AdaptiveParallelism controller{{.initial = 8, .max = 64}, t0};
  controller.observe({.memory_pressure = Pressure{15, 0}}, 8, t0);
  Completions commands{controller};
  commands.add(200, 100ms);
  EXPECT_EQ(controller.slots(), 8U);
  controller.observe({.memory_pressure = Pressure{0, 0}}, 8, t0);
  commands.add(24, 100ms);
  EXPECT_EQ(controller.slots(), 16U);
}

TEST(AdaptiveParallelism, ProbesDownwardsWhileTheCpuIsBusy) {
  for (const double cpu_some : {10.0, 60.0}) {
    AdaptiveParallelism controller{{.initial = 4, .max = 64}, t0};
    Completions commands{controller};
    commands.add(8, 100ms);
    commands.add(4 + 16, 100ms);  // 8 slots are no better
    ASSERT_EQ(controller.slots(), 4U);
    controller.observe({.cpu_pressure = Pressure{cpu_some, 0}}, 4, t0);
    commands.add(8 + 16, 100ms);
    EXPECT_EQ(controller.slots(), cpu_some < 50 ? 5U : 3U);
  }
}

TEST(AdaptiveParallelism, GivesWayToMemoryPressureStepByStep) {
  AdaptiveParallelism controller{{.initial = 16, .max = 64}, t0};
  const MachineSample tight{.memory_pressure = Pressure{25, 0}};
  controller.observe(tight, 16, t0 + 2s);
  EXPECT_EQ(controller.slots(), 12U);
  controller.observe(tight, 16, t0 + 3s);
  EXPECT_EQ(controller.slots(), 12U);
  controller.observe(tight, 16, t0 + 4s);
  EXPECT_EQ(controller.slots(), 9U);
  for (int i = 3; i < 60; ++i)
    controller.observe(tight, 1, t0 + i * 2s);
  EXPECT_EQ(controller.slots(), 1U);
}

TEST(AdaptiveParallelismProperty, StaysBetweenOneAndItsMaximum) {
  EXPECT_TRUE(rc::check("1 <= slots <= max", [] {
    const auto max = *rc::gen::inRange<std::size_t>(1, 40);
    const auto initial = *rc::gen::inRange<std::size_t>(1, max + 1);
    AdaptiveParallelism controller{{.initial = initial, .max = max}, t0};
    TimePoint now = t0;
    const auto steps = random_steps();
    for (const std::uint32_t step : steps) {
      now += Duration{std::chrono::milliseconds{step % 1000}};
      if (step % 4 == 0) {
        const double some = step / 4 % 64;
        controller.observe({.memory_pressure = Pressure{some / 3, 0},
                            .cpu_pressure = Pressure{some, 0}},
                           controller.slots(), now);
      }
      for (std::uint32_t i = 0; i < step / 8 % 64; ++i)
        controller.on_completed(controller.slots(), now);
      RC_ASSERT(controller.slots() >= 1U);
      RC_ASSERT(controller.slots() <= max);
    }
  }));
}

}  // namespace
}  // namespace troupe::flow_control
