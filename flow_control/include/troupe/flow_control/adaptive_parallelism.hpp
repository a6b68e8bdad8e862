#pragma once

#include <troupe/base/time.hpp>
#include <troupe/flow_control/machine_sample.hpp>

#include <cstddef>
#include <cstdint>

namespace troupe::flow_control {

struct ParallelismConfig {
  std::size_t initial = 1;  ///< The number of cores; 1 <= initial <= max.
  std::size_t max = 256;
};

/// How many commands to run at once when the user says `-j auto`: climbs the
/// hill of completions per second. Pure; one thread owns it.
///
/// At each setting s of the slots it first lets the commands finish that run
/// from before, then measures the rate r over n completions (n = 2s, 8 to 128,
/// while doubling; 4s, 16 to 256, later), counting only while all slots are in
/// use. The gain of a change from (s, r) to (s', r') is the share of the
/// change in slots that shows in the rate:
///
///   gain = (r' / r - 1) / (s' / s - 1)     1: in proportion, 0: no use
///
///   doubling   s' = 2s while gain >= 1/2. Then s' = s * r' / r, the slots that
///              give this rate without waiting (Little's law): the knee.
///   resting    measures r again, then probes s' = s +- max(1, s/4), up and
///              down in turn, up only with a CPU pressure below 50 %.
///   probing    up is kept if gain >= 1/2, down if gain <= 1/4, since then the
///              slots were of no use; else back to s, and the rest before
///              the next probe is twice as long, up to 32 measurements: a probe
///              costs throughput. A success, or a rate that changes by half
///              while resting, makes it short again.
///
/// Pressure (PSI, where the kernel has it) is faster than completions:
///
///   memory     some >= 20 % or full >= 5 %: s' = 3s/4, at most each 2 s; and
///              no raise while some >= 10 %.
///   CPU        below 5 %, all slots in use and too few completions for a
///              verdict: s' = 2s each 2 s, on trust. At 25 % such trust is
///              withdrawn: back to the last setting that was measured (or the
///              first), and no more of it.
class AdaptiveParallelism {
 public:
  AdaptiveParallelism(const ParallelismConfig& config, TimePoint now);

  /// How many commands should run; 1 to max. Running ones above it go on, but
  /// are not replaced.
  [[nodiscard]] std::size_t slots() const { return slots_; }

  /// A command ended; `running` of them did until then, itself included.
  void on_completed(std::size_t running, TimePoint now);

  /// A new look at the machine, about once a second, with so many `running`.
  void observe(const MachineSample& sample, std::size_t running, TimePoint now);

 private:
  enum class Phase : std::uint8_t {
    doubling,
    resting,
    probing_up,
    probing_down
  };

  void measure_at(std::size_t slots, TimePoint now);
  void start_measuring(TimePoint now);
  void judge(double rate, TimePoint now);
  void judge_doubling(double rate, TimePoint now);
  void probe(TimePoint now);
  [[nodiscard]] double gain(double rate) const;
  [[nodiscard]] std::size_t completions_wanted() const;
  [[nodiscard]] std::size_t bounded(std::size_t slots) const;

  ParallelismConfig config_;
  std::size_t slots_;
  Phase phase_ = Phase::doubling;
  bool next_probe_is_up_ = true;
  std::size_t rests_ = 1;       ///< Measurements between two probes.
  std::size_t rests_left_ = 0;  ///< Before the next one.

  /// The last setting with a verdict. The rate is zero until there is one.
  std::size_t base_slots_;
  double base_rate_ = 0;

  // The measurement under way.
  std::size_t settling_;  ///< Completions still to be ignored.
  std::size_t completed_ = 0;
  TimePoint started_;

  // Pressure.
  TimePoint changed_;  ///< When `slots_` last changed.
  bool memory_tight_ = false;
  bool cpu_busy_ = false;
  bool trust_ = true;      ///< May raise without a verdict.
  bool on_trust_ = false;  ///< The present setting is such a raise.
};

}  // namespace troupe::flow_control
