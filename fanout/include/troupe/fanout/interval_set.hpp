#pragma once

#include <troupe/base/error.hpp>

#include <cstddef>
#include <cstdint>
#include <map>

namespace troupe::fanout {

/// A set of numbers kept as intervals: a million jobs that ended about in order
/// take a few entries. A plain value with a limit.
class IntervalSet {
 public:
  /// An interval takes about 48 bytes, so this is about 50 MB.
  static constexpr std::size_t default_most_intervals = 1 << 20;

  explicit IntervalSet(std::size_t most_intervals = default_most_intervals)
      : most_intervals_{most_intervals} {}

  /// Adds `value`, below 2^64-1; no effect if it is there.
  ///
  /// Errors: overloaded, if that would make too many intervals.
  [[nodiscard]] Result<void> insert(std::uint64_t value);

  [[nodiscard]] bool contains(std::uint64_t value) const;

  /// How many numbers there are.
  [[nodiscard]] std::uint64_t size() const { return size_; }

  [[nodiscard]] std::size_t intervals() const { return ends_.size(); }

 private:
  std::size_t most_intervals_;
  std::uint64_t size_ = 0;
  /// First number of an interval to one past its last. Never adjacent.
  std::map<std::uint64_t, std::uint64_t> ends_;
};

}  // namespace troupe::fanout
