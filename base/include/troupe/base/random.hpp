#pragma once

#include <cstdint>

namespace troupe {

/// SplitMix64 (Steele, Lea, Flood 2014): eight bytes of state, good enough for
/// jitter and sampling, never for secrets. Owned by the core that uses it and
/// seeded by its shell, so that a test replays any history from a number.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed} {}

  /// The next 64 bits.
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  /// A number in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace troupe
