#include <troupe/fanout/runtime_median.hpp>

#include <algorithm>
#include <bit>

namespace troupe::fanout {

void RuntimeMedian::add(Duration value) {
  const auto ns =
      static_cast<std::uint64_t>(std::max<Duration::rep>(value.count(), 0));
  std::size_t bucket = ns;
  if (ns >= (1U << sub_bits)) {
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - sub_bits;
    // The top six bits, of which the first is always set.
    bucket = (std::size_t{shift} << sub_bits) + (ns >> shift);
  }
  ++counts_[bucket];
  ++count_;
}

std::optional<Duration> RuntimeMedian::median() const {
  if (count_ == 0)
    return std::nullopt;
  std::uint64_t before = (count_ - 1) / 2;
  std::size_t bucket = 0;
  while (before >= counts_[bucket])
    before -= counts_[bucket++];
  if (bucket < (2U << sub_bits))
    return Duration{bucket};
  const auto shift = (bucket >> sub_bits) - 1;
  const std::uint64_t top_bits = bucket - (shift << sub_bits);
  const std::uint64_t low = top_bits << shift;
  return Duration{low + (std::uint64_t{1} << shift) / 2};
}

}  // namespace troupe::fanout
