#pragma once

#include <troupe/base/time.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace troupe::fanout {

/// The median of any number of durations in 15 KiB: a histogram with 32 equal
/// buckets for each power of two of nanoseconds. The answer is the middle of a
/// bucket, so it is at most 1/64 (1.6%) off the true lower median; durations
/// below 64 ns are exact. A plain value.
class RuntimeMedian {
 public:
  /// Adds one; a negative duration counts as zero.
  void add(Duration value);

  [[nodiscard]] std::uint64_t count() const { return count_; }

  /// None before the first. Takes about a microsecond.
  [[nodiscard]] std::optional<Duration> median() const;

 private:
  static constexpr unsigned sub_bits = 5;
  /// 32 exact ones, then 32 for each of the powers 2^5 to 2^62.
  static constexpr std::size_t buckets =
      (std::size_t{1} << sub_bits) * (63 - sub_bits + 1);

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t count_ = 0;
};

}  // namespace troupe::fanout
