#include <troupe/fanout/interval_set.hpp>

#include <fmt/format.h>
#include <iterator>

namespace troupe::fanout {

Result<void> IntervalSet::insert(std::uint64_t value) {
  const auto after = ends_.upper_bound(value);
  const auto before = after == ends_.begin() ? ends_.end() : std::prev(after);
  if (before != ends_.end() && value < before->second)
    return {};
  const bool joins_before = before != ends_.end() && before->second == value;
  const bool joins_after = after != ends_.end() && after->first == value + 1;
  if (!joins_before && !joins_after && ends_.size() == most_intervals_)
    return failure(
        Errc::overloaded,
        fmt::format("more than {} gaps between numbers", most_intervals_));
  const std::uint64_t end = joins_after ? after->second : value + 1;
  if (joins_after)
    ends_.erase(after);
  if (joins_before)
    before->second = end;
  else
    ends_.emplace(value, end);
  ++size_;
  return {};
}

bool IntervalSet::contains(std::uint64_t value) const {
  const auto after = ends_.upper_bound(value);
  return after != ends_.begin() && value < std::prev(after)->second;
}

}  // namespace troupe::fanout
