#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/timeout_policy.hpp>

#include <fmt/format.h>
#include <limits>

namespace troupe::fanout {
namespace {

constexpr std::uint64_t largest_percent = 100'000;
constexpr std::uint64_t fewest_runtimes = 3;

}  // namespace

Result<TimeoutPolicy> TimeoutPolicy::parse(std::string_view text) {
  TimeoutPolicy policy;
  if (text.ends_with('%')) {
    const auto percent = parse_count(text.substr(0, text.size() - 1));
    if (!percent || *percent <= 100 || *percent > largest_percent)
      return failure(
          Errc::invalid_argument,
          fmt::format("expected a time limit of more than 100% and at most "
                      "{}% of the median runtime, got \"{}\"",
                      largest_percent, printable(text)));
    policy.percent_ = *percent;
    return policy;
  }
  const auto limit = parse_duration(text);
  if (!limit)
    return failure(
        Errc::invalid_argument,
        fmt::format("expected a time limit such as 30s, or 300% of the median "
                    "runtime, got \"{}\"",
                    printable(text)));
  if (*limit > Duration{0})
    policy.limit_ = *limit;
  return policy;
}

bool TimeoutPolicy::on_success(Duration runtime) {
  if (percent_ == 0)
    return false;
  runtimes_.add(runtime);
  if (runtimes_.count() < fewest_runtimes)
    return false;
  const double ns = static_cast<double>(runtimes_.median()->count()) *
                    static_cast<double>(percent_) / 100;
  constexpr auto longest = std::numeric_limits<Duration::rep>::max() / 2;
  const Duration limit{ns < static_cast<double>(longest)
                           ? static_cast<Duration::rep>(ns)
                           : longest};
  const bool changed = limit_ != limit;
  limit_ = limit;
  return changed;
}

}  // namespace troupe::fanout
