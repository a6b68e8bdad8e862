#pragma once

#include <troupe/base/time.hpp>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace troupe::cli {

/// What a process and all that it started use of the machine.
struct ProcessUsage {
  double cpu = 0;  ///< Processors in use since the last look: 1.0 is one.
  std::uint64_t memory_bytes = 0;  ///< Resident.
};

/// Reads /proc. Used by one thread; looks at all processes of the system once
/// per call, which takes a few microseconds for each.
class UsageSampler {
 public:
  /// The usage by leader, for each of `leaders` that still runs. CPU is zero at
  /// the first look at a leader.
  [[nodiscard]] std::map<int, ProcessUsage> sample(std::span<const int> leaders,
                                                   TimePoint now);

 private:
  struct Last {
    double cpu_seconds = 0;
    TimePoint when;
  };
  std::map<int, Last> last_;  ///< By leader.
};

}  // namespace troupe::cli
