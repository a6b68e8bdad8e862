#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <optional>

namespace troupe {
namespace {

/// Takes what it reads from the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_{text} {}

  std::optional<int> number(std::size_t digits) {
    if (text_.size() < digits)
      return std::nullopt;
    int value = 0;
    for (const char c : text_.substr(0, digits)) {
      if (c < '0' || c > '9')
        return std::nullopt;
      value = value * 10 + (c - '0');
    }
    text_.remove_prefix(digits);
    return value;
  }
  bool one_of(std::string_view characters) {
    if (text_.empty() || characters.find(text_.front()) == std::string::npos)
      return false;
    last_ = text_.front();
    text_.remove_prefix(1);
    return true;
  }
  [[nodiscard]] char last() const { return last_; }
  [[nodiscard]] bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
  char last_ = '\0';
};

std::optional<std::chrono::sys_days> read_date(Reader& reader) {
  const auto year = reader.number(4);
  if (!year || !reader.one_of("-"))
    return std::nullopt;
  const auto month = reader.number(2);
  if (!month || !reader.one_of("-"))
    return std::nullopt;
  const auto day = reader.number(2);
  if (!day)
    return std::nullopt;
  const std::chrono::year_month_day date{
      std::chrono::year{*year},
      std::chrono::month{static_cast<unsigned>(*month)},
      std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok() || *year < 1970 || *year > 2200)
    return std::nullopt;
  return std::chrono::sys_days{date};
}

std::optional<std::chrono::nanoseconds> read_fraction(Reader& reader) {
  std::int64_t value = 0;
  std::int64_t unit = 1'000'000'000;
  while (const auto digit = reader.number(1)) {
    unit /= 10;
    if (unit == 0)
      return std::nullopt;
    value += *digit * unit;
  }
  if (unit == 1'000'000'000)
    return std::nullopt;
  return std::chrono::nanoseconds{value};
}

std::optional<std::chrono::nanoseconds> read_clock(Reader& reader) {
  const auto hour = reader.number(2);
  if (!hour || !reader.one_of(":"))
    return std::nullopt;
  const auto minute = reader.number(2);
  if (!minute || !reader.one_of(":"))
    return std::nullopt;
  const auto second = reader.number(2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60)
    return std::nullopt;
  std::chrono::nanoseconds time = std::chrono::hours{*hour} +
                                  std::chrono::minutes{*minute} +
                                  std::chrono::seconds{*second};
  if (!reader.one_of("."))
    return time;
  const auto fraction = read_fraction(reader);
  if (!fraction)
    return std::nullopt;
  return time + *fraction;
}

std::optional<std::chrono::minutes> read_offset(Reader& reader) {
  if (reader.one_of("Zz"))
    return std::chrono::minutes{0};
  if (!reader.one_of("+-"))
    return std::nullopt;
  const bool is_east = reader.last() == '+';
  const auto hour = reader.number(2);
  if (!hour || !reader.one_of(":"))
    return std::nullopt;
  const auto minute = reader.number(2);
  if (!minute || *hour > 23 || *minute > 59)
    return std::nullopt;
  const auto offset = std::chrono::minutes{*minute} + std::chrono::hours{*hour};
  return is_east ? offset : -offset;
}

std::optional<WallTime> read(std::string_view text) {
  Reader reader{text};
  const auto date = read_date(reader);
  if (!date || !reader.one_of("Tt "))
    return std::nullopt;
  const auto clock = read_clock(reader);
  if (!clock)
    return std::nullopt;
  const auto offset = read_offset(reader);
  if (!offset || !reader.at_end())
    return std::nullopt;
  return WallTime{*date} + *clock - *offset;
}

}  // namespace

std::string format_wall_time(WallTime time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto ms =
      std::chrono::floor<std::chrono::milliseconds>(time - whole).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                     ms);
}

Result<WallTime> parse_wall_time(std::string_view text) {
  if (const auto time = read(text))
    return *time;
  return failure(Errc::invalid_argument,
                 fmt::format("expected a time such as 2026-01-31T12:00:00Z, "
                             "got \"{}\"",
                             printable(text)));
}

}  // namespace troupe
