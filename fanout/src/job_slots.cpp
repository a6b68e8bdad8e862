#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/fanout/job_slots.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <optional>

namespace troupe::fanout {
namespace {

/// `12.5` as in `12.5%`. Not negative.
std::optional<double> parse_decimal(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] =
      std::from_chars(text.data(), end, value, std::chars_format::fixed);
  const bool starts_with_digit =
      !text.empty() && text.front() >= '0' && text.front() <= '9';
  if (!starts_with_digit || error != std::errc{} || next != end)
    return std::nullopt;
  return value;
}

/// The number of slots asked for, which may be anything; 0 is none.
std::optional<double> asked_for(std::string_view text, double cores) {
  if (text == "auto")
    return cores;
  if (text.ends_with('%')) {
    text.remove_suffix(1);
    const auto percent = parse_decimal(text);
    if (!percent)
      return std::nullopt;
    return std::max(1.0, std::ceil(cores * *percent / 100));
  }
  const bool more = text.starts_with('+');
  const bool fewer = text.starts_with('-');
  if (more || fewer)
    text.remove_prefix(1);
  const auto count = parse_count(text);
  if (!count)
    return std::nullopt;
  const auto number = static_cast<double>(*count);
  if (more)
    return cores + number;
  if (fewer)
    return std::max(1.0, cores - number);
  return number == 0 ? double{most_job_slots} : number;
}

}  // namespace

Result<std::uint32_t> parse_job_slots(std::string_view text,
                                      std::uint32_t cores) {
  const auto slots = asked_for(text, cores);
  if (!slots)
    return failure(Errc::invalid_argument,
                   fmt::format("expected a number of jobs such as 8, 50%, +2, "
                               "-1, 0 or auto, got \"{}\"",
                               printable(text)));
  if (*slots > most_job_slots)
    return failure(Errc::invalid_argument,
                   fmt::format("expected at most {} jobs at once, got \"{}\"",
                               most_job_slots, printable(text)));
  return static_cast<std::uint32_t>(*slots);
}

}  // namespace troupe::fanout
