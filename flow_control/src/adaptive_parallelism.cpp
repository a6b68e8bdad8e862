#include <troupe/base/assert.hpp>
#include <troupe/flow_control/adaptive_parallelism.hpp>

#include <algorithm>
#include <cmath>

namespace troupe::flow_control {
namespace {

constexpr double worthwhile_gain = 0.5;
constexpr double useless_gain = 0.25;
/// A rate that differs by more than this is not noise.
constexpr double other_work = 0.5;
constexpr std::size_t most_rests = 32;
constexpr double memory_some_high = 20;
constexpr double memory_full_high = 5;
constexpr double memory_some_tight = 10;
constexpr double cpu_idle = 5;
constexpr double cpu_contended = 25;
constexpr double cpu_busy = 50;
/// Long enough for a change to show in an average over ten seconds.
constexpr Duration pressure_pause = 2s;

}  // namespace

AdaptiveParallelism::AdaptiveParallelism(const ParallelismConfig& config,
                                         TimePoint now)
    : config_{config},
      slots_{config.initial},
      base_slots_{config.initial},
      settling_{0},
      started_{now},
      changed_{now} {
  TROUPE_ASSERT(1 <= config.initial && config.initial <= config.max);
}

std::size_t AdaptiveParallelism::bounded(std::size_t slots) const {
  return std::clamp<std::size_t>(slots, 1, config_.max);
}

std::size_t AdaptiveParallelism::completions_wanted() const {
  switch (phase_) {
    case Phase::doubling:
      return std::clamp<std::size_t>(2 * slots_, 8, 128);
    case Phase::resting:
    case Phase::probing_up:
    case Phase::probing_down:
      return std::clamp<std::size_t>(4 * slots_, 16, 256);
  }
  return 0;
}

void AdaptiveParallelism::measure_at(std::size_t slots, TimePoint now) {
  settling_ = slots_;
  if (slots != slots_)
    changed_ = now;
  slots_ = slots;
  start_measuring(now);
}

void AdaptiveParallelism::start_measuring(TimePoint now) {
  started_ = now;
  completed_ = 0;
}

void AdaptiveParallelism::on_completed(std::size_t running, TimePoint now) {
  if (settling_ > 0) {
    --settling_;
    start_measuring(now);
    return;
  }
  // With fewer to run than slots, the rate says nothing about the slots. One in
  // eight may be missing: ended commands are not replaced at once.
  if (running + slots_ / 8 < slots_) {
    start_measuring(now);
    return;
  }
  ++completed_;
  if (completed_ < completions_wanted() || now <= started_)
    return;
  const double seconds = std::chrono::duration<double>(now - started_).count();
  judge(static_cast<double>(completed_) / seconds, now);
}

double AdaptiveParallelism::gain(double rate) const {
  const double slots_ratio =
      static_cast<double>(slots_) / static_cast<double>(base_slots_);
  return (rate / base_rate_ - 1) / (slots_ratio - 1);
}

void AdaptiveParallelism::judge(double rate, TimePoint now) {
  on_trust_ = false;
  switch (phase_) {
    case Phase::doubling:
      judge_doubling(rate, now);
      return;
    case Phase::resting:
      if (base_rate_ > 0 && std::abs(rate / base_rate_ - 1) > other_work) {
        rests_ = 1;
        rests_left_ = 0;
      }
      base_rate_ = rate;
      base_slots_ = slots_;
      if (rests_left_ > 0) {
        --rests_left_;
        start_measuring(now);
      } else {
        probe(now);
      }
      return;
    case Phase::probing_up:
    case Phase::probing_down: {
      const bool keep = phase_ == Phase::probing_up
                            ? gain(rate) >= worthwhile_gain
                            : gain(rate) <= useless_gain;
      if (keep) {
        base_slots_ = slots_;
        base_rate_ = rate;
        rests_ = 1;
      } else {
        next_probe_is_up_ = !next_probe_is_up_;
        rests_ = std::min<std::size_t>(2 * rests_, most_rests);
      }
      rests_left_ = rests_ - 1;
      phase_ = Phase::resting;
      measure_at(base_slots_, now);
      return;
    }
  }
}

void AdaptiveParallelism::judge_doubling(double rate, TimePoint now) {
  const bool first = base_rate_ == 0 || base_slots_ == slots_;
  if (!first && gain(rate) < worthwhile_gain) {
    const double knee = static_cast<double>(base_slots_) * rate / base_rate_;
    base_slots_ = std::clamp(static_cast<std::size_t>(std::lround(knee)),
                             std::min(base_slots_, slots_), slots_);
    phase_ = Phase::resting;
    measure_at(base_slots_, now);
    return;
  }
  base_rate_ = rate;
  base_slots_ = slots_;
  if (slots_ == config_.max) {
    phase_ = Phase::resting;
    measure_at(slots_, now);
    return;
  }
  measure_at(memory_tight_ ? slots_ : bounded(2 * slots_), now);
}

void AdaptiveParallelism::probe(TimePoint now) {
  const std::size_t step = std::max<std::size_t>(slots_ / 4, 1);
  const bool can_go_up = slots_ < config_.max && !memory_tight_ && !cpu_busy_;
  const bool can_go_down = slots_ > 1;
  if (can_go_up && (next_probe_is_up_ || !can_go_down)) {
    next_probe_is_up_ = true;
    phase_ = Phase::probing_up;
    measure_at(bounded(slots_ + step), now);
  } else if (can_go_down) {
    next_probe_is_up_ = false;
    phase_ = Phase::probing_down;
    measure_at(slots_ - step, now);
  } else {
    measure_at(slots_, now);
  }
}

void AdaptiveParallelism::observe(const MachineSample& sample,
                                  std::size_t running, TimePoint now) {
  const Pressure memory = sample.memory_pressure.value_or(Pressure{});
  memory_tight_ = memory.some_avg10 >= memory_some_tight;
  cpu_busy_ =
      sample.cpu_pressure && sample.cpu_pressure->some_avg10 >= cpu_busy;
  if (now - changed_ < pressure_pause)
    return;

  if (memory.some_avg10 >= memory_some_high ||
      memory.full_avg10 >= memory_full_high) {
    base_slots_ = bounded(slots_ * 3 / 4);
    base_rate_ = 0;
    phase_ = Phase::resting;
    on_trust_ = false;
    trust_ = false;
    measure_at(base_slots_, now);
    return;
  }
  if (!sample.cpu_pressure)
    return;
  if (on_trust_ && sample.cpu_pressure->some_avg10 >= cpu_contended) {
    on_trust_ = false;
    trust_ = false;
    measure_at(base_slots_, now);
    return;
  }
  const bool idle = sample.cpu_pressure->some_avg10 < cpu_idle;
  if (phase_ == Phase::doubling && trust_ && idle && !memory_tight_ &&
      running >= slots_ && slots_ < config_.max) {
    on_trust_ = true;
    measure_at(bounded(2 * slots_), now);
  }
}

}  // namespace troupe::flow_control
