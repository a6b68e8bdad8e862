#pragma once

#include <troupe/flow_control/machine_sample.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::flow_control {

enum class Admission : std::uint8_t {
  admit = 0,  ///< Commands may start.
  hold = 1,   ///< None may start until the machine has recovered.
};

/// The name for metrics and people: "admit", "hold".
[[nodiscard]] std::string_view to_string(Admission admission);

/// Pairs of watermarks: crossing the first holds, reaching the second admits
/// again. Between them the last decision stays, so that it does not flutter.
struct GovernorConfig {
  /// Memory available, as shares of all of it; 0 <= hold <= admit <= 1.
  double hold_below_share = 0.05;
  double admit_above_share = 0.10;
  /// `--memfree SIZE`: holds below so many bytes, admits again a tenth above.
  /// Replaces the shares.
  std::optional<std::uint64_t> memfree_bytes{};

  /// Memory pressure, avg10 in percent; hold >= admit.
  double hold_at_some = 20;
  double admit_below_some = 10;
  double hold_at_full = 5;
  double admit_below_full = 2;

  /// CPU pressure; absent by default, because a user who asks for more jobs
  /// than cores wants them. Admits again below half of it.
  std::optional<double> hold_at_cpu_some{};

  /// `--load N`: does not start what would raise the load above. More than
  /// zero.
  std::optional<double> max_load{};

  /// Bound of the answer, whatever the machine has: `-j`. At least 1.
  std::size_t max_running = 1;

  /// Expected of a command before any has finished. At least 1.
  std::uint64_t bytes_per_command = std::uint64_t{64} << 20;
};

/// Stops starting commands before the machine swaps or stalls, and says how
/// many more may run. It starts and kills nothing. Pure: the shell reads the
/// files about once a second and passes what they say; one thread owns it.
///
/// After each sample there may be running in all
///
///   ceiling = clamp(running + room, 0, max_running)     while admitting
///   room    = min((available - hold watermark) / bytes per command,
///                 ceil(max_load - max(load of 1 minute, runnable - 1)))
///
/// with what is unknown left out. It bounds what runs, not what starts, so many
/// short commands pass between two samples; above the load that was asked for
/// the room is negative, and commands that end are not replaced. While holding
/// the ceiling is 0. It is at least 1 unless the user gave memfree or a load:
/// the machine may be busy for other reasons, and one command at a time gets
/// the work done.
class MemoryGovernor {
 public:
  explicit MemoryGovernor(const GovernorConfig& config);

  /// A new look at the machine, with so many of our commands `running`.
  Admission observe(const MachineSample& sample, std::size_t running);

  /// How many more may start now, with `running` at this moment. Before the
  /// first sample: as if nothing were known.
  [[nodiscard]] std::size_t may_start(std::size_t running) const;

  /// A command used `max_rss_bytes` at its peak: the moving average, with
  /// weight 1/8, is what the next one is expected to need.
  void on_finished(std::uint64_t max_rss_bytes);

  [[nodiscard]] Admission admission() const { return admission_; }

 private:
  [[nodiscard]] bool must_hold(const MachineSample& sample) const;
  [[nodiscard]] bool may_admit(const MachineSample& sample) const;
  [[nodiscard]] std::uint64_t hold_below(const MemoryInfo& memory) const;
  [[nodiscard]] std::uint64_t admit_above(const MemoryInfo& memory) const;
  [[nodiscard]] std::size_t ceiling(const MachineSample& sample,
                                    std::size_t running) const;

  GovernorConfig config_;
  Admission admission_ = Admission::admit;
  std::size_t ceiling_;
  std::uint64_t bytes_per_command_;
};

}  // namespace troupe::flow_control
