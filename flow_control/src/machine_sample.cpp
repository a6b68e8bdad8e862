#include <troupe/flow_control/machine_sample.hpp>

#include <charconv>
#include <limits>
#include <system_error>

namespace troupe::flow_control {
namespace {

/// Takes everything before the next `separator` off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return taken;
}

/// The next word of `rest`, without the spaces around it.
std::string_view take_word(std::string_view& rest) {
  const std::size_t start = rest.find_first_not_of(" \t\n");
  rest.remove_prefix(start == std::string_view::npos ? rest.size() : start);
  const std::string_view word = rest.substr(0, rest.find_first_of(" \t\n"));
  rest.remove_prefix(word.size());
  return word;
}

std::optional<std::uint64_t> whole_number(std::string_view word) {
  std::uint64_t value = 0;
  const char* const end = word.data() + word.size();
  const auto [next, error] = std::from_chars(word.data(), end, value);
  if (error != std::errc{} || next != end)
    return std::nullopt;
  return value;
}

std::optional<double> decimal_number(std::string_view word) {
  double value = 0;
  const char* const end = word.data() + word.size();
  const auto [next, error] =
      std::from_chars(word.data(), end, value, std::chars_format::fixed);
  // Besides digits, from_chars reads "inf", "nan" and a minus sign.
  if (error != std::errc{} || next != end ||
      !(value >= 0 && value <= std::numeric_limits<double>::max()))
    return std::nullopt;
  return value;
}

/// The value of a line such as "MemTotal:       24684092 kB", in bytes.
std::optional<std::uint64_t> kilobytes(std::string_view value) {
  const auto count = whole_number(take_word(value));
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (!count || take_word(value) != "kB" || *count > most / 1024)
    return std::nullopt;
  return *count * 1024;
}

/// The avg10 of a line such as "some avg10=0.71 avg60=0.81 avg300=0.39 total=8"
/// after its first word.
std::optional<double> average10(std::string_view line) {
  constexpr std::string_view key = "avg10=";
  const std::string_view word = take_word(line);
  if (!word.starts_with(key))
    return std::nullopt;
  return decimal_number(word.substr(key.size()));
}

}  // namespace

std::optional<MemoryInfo> parse_meminfo(std::string_view text) {
  std::optional<std::uint64_t> total;
  std::optional<std::uint64_t> available;
  while (!text.empty()) {
    std::string_view value = take_until(text, '\n');
    const std::string_view name = take_until(value, ':');
    if (name == "MemTotal")
      total = kilobytes(value);
    if (name == "MemAvailable")
      available = kilobytes(value);
  }
  if (!total || !available)
    return std::nullopt;
  return MemoryInfo{*total, *available};
}

std::optional<Pressure> parse_pressure(std::string_view text) {
  std::optional<double> some;
  std::optional<double> full = 0;
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    const std::string_view kind = take_word(line);
    if (kind == "some")
      some = average10(line);
    if (kind == "full")
      full = average10(line);
  }
  if (!some || !full)
    return std::nullopt;
  return Pressure{*some, *full};
}

std::optional<LoadAverage> parse_loadavg(std::string_view text) {
  const auto one_minute = decimal_number(take_word(text));
  take_word(text);
  take_word(text);
  std::string_view tasks = take_word(text);
  const auto runnable = whole_number(take_until(tasks, '/'));
  if (!one_minute || !runnable)
    return std::nullopt;
  return LoadAverage{*one_minute, *runnable};
}

}  // namespace troupe::flow_control
