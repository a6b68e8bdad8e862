#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::flow_control {

/// Kernel pressure (PSI) over the last ten seconds, in percent of the time.
struct Pressure {
  double some_avg10 = 0;  ///< At least one task waited.
  double full_avg10 = 0;  ///< All of them waited, so nothing got done.
  friend bool operator==(const Pressure&, const Pressure&) = default;
};

struct MemoryInfo {
  std::uint64_t total_bytes = 0;
  std::uint64_t available_bytes = 0;  ///< Without swapping, by the kernel.
  friend bool operator==(const MemoryInfo&, const MemoryInfo&) = default;
};

struct LoadAverage {
  double one_minute = 0;
  /// Running or ready to run at this moment, whoever reads the file included.
  std::uint64_t runnable = 0;
  friend bool operator==(const LoadAverage&, const LoadAverage&) = default;
};

/// What is known about the machine at one moment. What a kernel or a container
/// does not tell is absent, and never a reason to hold anything back.
struct MachineSample {
  std::optional<MemoryInfo> memory{};
  std::optional<Pressure> memory_pressure{};
  std::optional<Pressure> cpu_pressure{};
  std::optional<LoadAverage> load{};
};

/// Read the texts of /proc/meminfo, /proc/pressure/memory or cpu, and
/// /proc/loadavg. None if the text is empty (the file is missing, or reading it
/// failed, as it does on a kernel without PSI) or is not understood. `full` is
/// zero where the kernel does not report it, as for the CPU before Linux 5.13.
[[nodiscard]] std::optional<MemoryInfo> parse_meminfo(std::string_view text);
[[nodiscard]] std::optional<Pressure> parse_pressure(std::string_view text);
[[nodiscard]] std::optional<LoadAverage> parse_loadavg(std::string_view text);

}  // namespace troupe::flow_control
