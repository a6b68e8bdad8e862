#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>

namespace troupe {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 7> duration_units{{{"d", 86400e9},
                                              {"h", 3600e9},
                                              {"m", 60e9},
                                              {"s", 1e9},
                                              {"ms", 1e6},
                                              {"us", 1e3},
                                              {"ns", 1}}};

constexpr double KiB = 1024;
constexpr std::array<Unit, 15> size_units{{{"B", 1},
                                           {"KiB", KiB},
                                           {"MiB", KiB* KiB},
                                           {"GiB", KiB* KiB* KiB},
                                           {"TiB", KiB* KiB* KiB* KiB},
                                           {"K", KiB},
                                           {"M", KiB* KiB},
                                           {"G", KiB* KiB* KiB},
                                           {"T", KiB* KiB* KiB* KiB},
                                           {"k", KiB},
                                           {"kB", 1e3},
                                           {"KB", 1e3},
                                           {"MB", 1e6},
                                           {"GB", 1e9},
                                           {"TB", 1e12}}};

constexpr double longest_duration = 100.0 * 365 * 86400e9;
constexpr double largest_size = 9.2e18;

/// Takes `12` or `1.5` off the front of `rest`.
std::optional<double> take_number(std::string_view& rest) {
  double value = 0;
  const char* const end = rest.data() + rest.size();
  const auto [next, error] =
      std::from_chars(rest.data(), end, value, std::chars_format::fixed);
  if (rest.empty() || !is_digit(rest.front()) || error != std::errc{})
    return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(next - rest.data()));
  return value;
}

/// Takes letters off the front of `rest` and finds them in `units`.
template <std::size_t N>
const Unit* take_unit(std::string_view& rest,
                      const std::array<Unit, N>& units) {
  std::size_t length = 0;
  while (length < rest.size() && !is_digit(rest[length]))
    ++length;
  const std::string_view name = rest.substr(0, length);
  rest.remove_prefix(length);
  for (const Unit& unit : units) {
    if (unit.name == name)
      return &unit;
  }
  return nullptr;
}

tl::unexpected<Error> refuse(std::string_view expected, std::string_view got) {
  return failure(Errc::invalid_argument, fmt::format("expected {}, got \"{}\"",
                                                     expected, printable(got)));
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  constexpr std::string_view expected =
      "a duration such as 500ms, 30s, 5m, 2h or 1d";
  if (text == "0")
    return Duration{0};
  double total = 0;
  double last_factor = std::numeric_limits<double>::infinity();
  std::string_view rest = text;
  do {
    const auto number = take_number(rest);
    if (!number)
      return refuse(expected, text);
    const Unit* const unit = take_unit(rest, duration_units);
    if (unit == nullptr || unit->factor >= last_factor)
      return refuse(expected, text);
    total += *number * unit->factor;
    last_factor = unit->factor;
  } while (!rest.empty());
  if (total > longest_duration)
    return refuse("a duration of at most 100 years", text);
  return Duration{std::llround(total)};
}

std::string format_duration(Duration value) {
  if (value < Duration{0})
    return "-" + format_duration(-value);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(value).count();
  if (ms < 1000)
    return ms == 0 ? "0s" : fmt::format("{}ms", ms);
  const auto seconds = ms / 1000;
  std::string out;
  if (seconds >= 86400)
    out += fmt::format("{}d", seconds / 86400);
  if (seconds / 3600 % 24 != 0)
    out += fmt::format("{}h", seconds / 3600 % 24);
  if (seconds / 60 % 60 != 0)
    out += fmt::format("{}m", seconds / 60 % 60);
  const auto rest_ms = ms % 60000;
  if (rest_ms == 0)
    return out;
  if (rest_ms % 1000 == 0)
    return out + fmt::format("{}s", rest_ms / 1000);
  std::string fraction = fmt::format("{:03}", rest_ms % 1000);
  while (fraction.back() == '0')
    fraction.pop_back();
  return out + fmt::format("{}.{}s", rest_ms / 1000, fraction);
}

std::string rough_duration(Duration value) {
  const Duration size = value < Duration{0} ? -value : value;
  Duration unit = 1min;
  if (size < 10s)
    unit = 1ms;
  else if (size < 1min)
    unit = 100ms;
  else if (size < 1h)
    unit = 1s;
  return format_duration((value + (value < Duration{0} ? -unit : unit) / 2) /
                         unit * unit);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view expected = "a size such as 64KiB or 2GiB";
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number)
    return refuse(expected, text);
  double factor = 1;
  if (!rest.empty()) {
    const Unit* const unit = take_unit(rest, size_units);
    if (unit == nullptr || !rest.empty())
      return refuse(expected, text);
    factor = unit->factor;
  }
  const double bytes = *number * factor;
  if (bytes > largest_size)
    return refuse("a size below 8 EiB", text);
  return static_cast<std::uint64_t>(bytes);
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> names{"B", "KiB", "MiB", "GiB",
                                                  "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < names.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0)
    return fmt::format("{} B", bytes);
  const int decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, names[unit]);
}

Result<std::uint64_t> parse_count(std::string_view text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || !is_digit(text.front()) || error != std::errc{} ||
      next != end)
    return refuse("a whole number", text);
  return static_cast<std::uint64_t>(value);
}

}  // namespace troupe
