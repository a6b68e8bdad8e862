#include <troupe/base/assert.hpp>
#include <troupe/flow_control/memory_governor.hpp>

#include <algorithm>
#include <cmath>

namespace troupe::flow_control {
namespace {

std::uint64_t share_of(std::uint64_t bytes, double share) {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * share);
}

/// What counts against max_load: the average follows slowly, what is runnable
/// at once. The process that reads the file is runnable itself.
double load_of(const LoadAverage& load) {
  const std::uint64_t others = load.runnable > 0 ? load.runnable - 1 : 0;
  return std::max(load.one_minute, static_cast<double>(others));
}

}  // namespace

std::string_view to_string(Admission admission) {
  switch (admission) {
    case Admission::admit:
      return "admit";
    case Admission::hold:
      return "hold";
  }
  return "unknown";
}

MemoryGovernor::MemoryGovernor(const GovernorConfig& config)
    : config_{config},
      ceiling_{config.max_running},
      bytes_per_command_{config.bytes_per_command} {
  TROUPE_ASSERT(0 <= config.hold_below_share);
  TROUPE_ASSERT(config.hold_below_share <= config.admit_above_share);
  TROUPE_ASSERT(config.admit_above_share <= 1);
  TROUPE_ASSERT(config.admit_below_some <= config.hold_at_some);
  TROUPE_ASSERT(config.admit_below_full <= config.hold_at_full);
  TROUPE_ASSERT(!config.max_load || *config.max_load > 0);
  TROUPE_ASSERT(config.max_running >= 1 && config.bytes_per_command >= 1);
}

Admission MemoryGovernor::observe(const MachineSample& sample,
                                  std::size_t running) {
  switch (admission_) {
    case Admission::admit:
      if (must_hold(sample))
        admission_ = Admission::hold;
      break;
    case Admission::hold:
      if (may_admit(sample))
        admission_ = Admission::admit;
      break;
  }
  switch (admission_) {
    case Admission::admit:
      ceiling_ = ceiling(sample, running);
      break;
    case Admission::hold:
      ceiling_ = 0;
      break;
  }
  const bool strict = config_.memfree_bytes || config_.max_load;
  if (!strict)
    ceiling_ = std::max<std::size_t>(ceiling_, 1);
  return admission_;
}

std::size_t MemoryGovernor::may_start(std::size_t running) const {
  return running >= ceiling_ ? 0 : ceiling_ - running;
}

void MemoryGovernor::on_finished(std::uint64_t max_rss_bytes) {
  bytes_per_command_ = std::max<std::uint64_t>(
      bytes_per_command_ - bytes_per_command_ / 8 + max_rss_bytes / 8, 1);
}

bool MemoryGovernor::must_hold(const MachineSample& sample) const {
  if (sample.memory &&
      sample.memory->available_bytes < hold_below(*sample.memory))
    return true;
  if (const auto& psi = sample.memory_pressure;
      psi && (psi->some_avg10 >= config_.hold_at_some ||
              psi->full_avg10 >= config_.hold_at_full))
    return true;
  return sample.cpu_pressure && config_.hold_at_cpu_some &&
         sample.cpu_pressure->some_avg10 >= *config_.hold_at_cpu_some;
}

bool MemoryGovernor::may_admit(const MachineSample& sample) const {
  if (sample.memory &&
      sample.memory->available_bytes < admit_above(*sample.memory))
    return false;
  if (const auto& psi = sample.memory_pressure;
      psi && (psi->some_avg10 >= config_.admit_below_some ||
              psi->full_avg10 >= config_.admit_below_full))
    return false;
  return !(sample.cpu_pressure && config_.hold_at_cpu_some &&
           sample.cpu_pressure->some_avg10 >= *config_.hold_at_cpu_some / 2);
}

std::uint64_t MemoryGovernor::hold_below(const MemoryInfo& memory) const {
  return config_.memfree_bytes.value_or(
      share_of(memory.total_bytes, config_.hold_below_share));
}

std::uint64_t MemoryGovernor::admit_above(const MemoryInfo& memory) const {
  if (config_.memfree_bytes)
    return *config_.memfree_bytes + *config_.memfree_bytes / 10;
  return share_of(memory.total_bytes, config_.admit_above_share);
}

std::size_t MemoryGovernor::ceiling(const MachineSample& sample,
                                    std::size_t running) const {
  // In floating point: a room may be negative, or far beyond any number of
  // commands.
  double room = static_cast<double>(config_.max_running);
  if (sample.memory) {
    const std::uint64_t keep = hold_below(*sample.memory);
    const std::uint64_t available = sample.memory->available_bytes;
    const std::uint64_t spare = available - std::min(available, keep);
    const std::uint64_t fitting = spare / bytes_per_command_;
    room = std::min(room, static_cast<double>(fitting));
  }
  if (sample.load && config_.max_load)
    room = std::min(room, std::ceil(*config_.max_load - load_of(*sample.load)));
  return static_cast<std::size_t>(
      std::clamp(static_cast<double>(running) + room, 0.0,
                 static_cast<double>(config_.max_running)));
}

}  // namespace troupe::flow_control
