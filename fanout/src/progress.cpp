#include <troupe/base/assert.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/fanout/progress.hpp>

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <vector>

namespace troupe::fanout {
namespace {

double seconds_between(TimePoint from, TimePoint to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

std::string format_rate(double per_second) {
  if (per_second >= 100)
    return fmt::format("{:.0f}/s", per_second);
  if (per_second >= 0.1)
    return fmt::format("{:.1f}/s", per_second);
  return fmt::format("{:.1f}/min", per_second * 60);
}

/// `[===>   ]` of `columns` in all.
std::string format_bar(double fraction, std::size_t columns) {
  const std::size_t inside = columns - 2;
  const auto full =
      static_cast<std::size_t>(fraction * static_cast<double>(inside));
  std::string bar = "[" + std::string(full, '=');
  if (full < inside)
    bar += '>' + std::string(inside - full - 1, ' ');
  return bar + "]";
}

}  // namespace

void Progress::on_started() {
  ++running_;
  most_running_ = std::max(most_running_, running_);
}

void Progress::on_finished(bool ok, TimePoint now) {
  TROUPE_ASSERT(running_ > 0);
  --running_;
  ++finished_;
  failed_ += ok ? 0 : 1;
  constexpr std::uint64_t fewest = 32;
  constexpr std::uint64_t rounds = 4;
  const auto span = static_cast<double>(
      std::min(finished_, std::max(fewest, rounds * most_running_)));
  mean_gap_seconds_ +=
      (seconds_between(last_end_, now) - mean_gap_seconds_) / span;
  last_end_ = std::max(last_end_, now);
}

std::optional<double> Progress::per_second(TimePoint now) const {
  if (finished_ == 0)
    return std::nullopt;
  // A clock that stands still would make this infinite.
  constexpr double shortest = 1e-9;
  return 1 / std::max({mean_gap_seconds_, seconds_between(last_end_, now),
                       shortest});
}

std::optional<Duration> Progress::eta(TimePoint now) const {
  const auto speed = per_second(now);
  if (!total_ || !speed)
    return std::nullopt;
  const auto left = static_cast<double>(*total_ - std::min(*total_, done()));
  constexpr double longest_seconds = 1e9;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(left / *speed, longest_seconds)));
}

double Progress::done_fraction() const {
  if (*total_ == 0)
    return 1;
  return std::min(1.0,
                  static_cast<double>(done()) / static_cast<double>(*total_));
}

std::string Progress::describe(std::size_t columns, TimePoint now) const {
  std::vector<std::string> parts;
  if (total_)
    parts.push_back(fmt::format(
        "{:3.0f}% {}/{}", std::floor(done_fraction() * 100), done(), *total_));
  else
    parts.push_back(fmt::format("{} done", done()));
  parts.push_back(fmt::format("{} running", running_));
  if (failed_ > 0)
    parts.push_back(fmt::format("{} failed", failed_));
  if (const auto speed = per_second(now))
    parts.push_back(format_rate(*speed));
  if (const auto left = eta(now))
    parts.push_back(
        "eta " +
        format_duration(std::chrono::ceil<std::chrono::seconds>(*left)));
  std::string line;
  for (const std::string& part : parts) {
    const std::string separator = line.empty() ? "" : ", ";
    if (line.size() + separator.size() + part.size() > columns)
      break;
    line += separator + part;
  }
  return line;
}

std::string Progress::render(std::size_t columns, TimePoint now) const {
  std::string line = describe(columns, now);
  constexpr std::size_t shortest_bar = 10;
  constexpr std::size_t longest_bar = 32;
  const std::size_t left = columns - line.size();
  if (!total_ || left < shortest_bar + 1)
    return line;
  return format_bar(done_fraction(), std::min(left - 1, longest_bar)) + " " +
         line;
}

}  // namespace troupe::fanout
