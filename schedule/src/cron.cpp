#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/schedule/cron.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <span>
#include <utility>
#include <vector>

namespace troupe::schedule {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t longest_text = 1000;

constexpr std::array<std::string_view, 12> month_names{
    "january", "february", "march",     "april",   "may",      "june",
    "july",    "august",   "september", "october", "november", "december"};
constexpr std::array<std::string_view, 7> weekday_names{
    "sunday",   "monday", "tuesday", "wednesday",
    "thursday", "friday", "saturday"};

/// One of the six.
struct FieldKind {
  std::string_view name;
  unsigned least;
  unsigned most;
  std::span<const std::string_view> names;  ///< From `least` on.
};

constexpr std::array<FieldKind, 6> field_kinds{{
    {"the second", 0, 59, {}},
    {"the minute", 0, 59, {}},
    {"the hour", 0, 23, {}},
    {"the day of the month", 1, 31, {}},
    {"the month", 1, 12, month_names},
    {"the day of the week", 0, 7, weekday_names},
}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> macros{{
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
    {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
}};

/// A stretch of the text.
struct Word {
  std::size_t offset = 0;
  std::string_view text;

  [[nodiscard]] Word part(std::size_t from, std::size_t length) const {
    return {offset + from, text.substr(from, length)};
  }
};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  std::size_t at = 0;
  while (at < text.size()) {
    if (is_blank(text[at])) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < text.size() && !is_blank(text[at]))
      ++at;
    words.push_back({begin, text.substr(begin, at - begin)});
  }
  return words;
}

/// Split at each `separator`; there is at least one, maybe empty.
std::vector<Word> split(Word word, char separator) {
  std::vector<Word> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = word.text.find(separator, begin);
    parts.push_back(
        word.part(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos)
      return parts;
    begin = end + 1;
  }
}

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string shown(std::string_view text) {
  return fmt::format("\"{}\"", ellipsize(printable(text), 40));
}

/// Which bit comes first from `from` on; 64 if none does.
unsigned next_bit(std::uint64_t bits, unsigned from) {
  if (from >= 64)
    return 64;
  return static_cast<unsigned>(std::countr_zero(bits >> from << from));
}

bool has(std::uint64_t bits, unsigned bit) { return (bits >> bit & 1U) != 0; }

}  // namespace

/// Reads one expression; what is wrong first ends it.
class CronParser {
 public:
  tl::expected<Cron, CronProblem> run(std::string_view text) {
    if (text.size() > longest_text)
      return tl::unexpected{CronProblem{
          0, text.size(),
          fmt::format("longer than {} characters", longest_text), ""}};
    std::vector<Word> words = words_of(text);
    if (words.size() == 1 && words[0].text.starts_with('@')) {
      const auto meant = expand(words[0]);
      if (!meant)
        return tl::unexpected{meant.error()};
      words = words_of(*meant);
    }
    if (auto problem = check_count(text, words))
      return tl::unexpected{std::move(*problem)};
    const std::size_t first = field_kinds.size() - words.size();
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (!read_field(words[i], field_kinds[first + i], set_of(first + i)))
        return tl::unexpected{std::move(problem_)};
    }
    // Sunday has two numbers.
    if (has(cron_.weekdays_, 7))
      cron_.weekdays_ = (cron_.weekdays_ | 1U) & 0x7FU;
    cron_.has_any_day_ = words[words.size() - 3].text.starts_with('*');
    cron_.has_any_weekday_ = words.back().text.starts_with('*');
    if (!has_a_day())
      return tl::unexpected{CronProblem{
          words[words.size() - 3].offset, words[words.size() - 3].text.size(),
          "it never fires: no month of it has such a day", ""}};
    return cron_;
  }

 private:
  static tl::expected<std::string_view, CronProblem> expand(Word word) {
    const std::string name = lower(word.text);
    std::vector<std::string_view> known;
    for (const auto& [macro, meaning] : macros) {
      if (name == macro)
        return meaning;
      known.push_back(macro);
    }
    std::string hint = "use one of @yearly, @monthly, @weekly, @daily, @hourly";
    if (name.starts_with("@every"))
      hint = "use a step, such as */15 * * * *";
    else if (const auto meant = suggest(name, known))
      hint = fmt::format("did you mean \"{}\"?", *meant);
    return tl::unexpected{CronProblem{word.offset, word.text.size(),
                                      "unknown schedule " + shown(word.text),
                                      std::move(hint)}};
  }

  static std::optional<CronProblem> check_count(
      std::string_view text, const std::vector<Word>& words) {
    if (words.size() == 5 || words.size() == 6)
      return std::nullopt;
    std::string hint = "such as 15 2 * * * for each day at 2:15";
    if (words.size() == 7)
      hint = "a year cannot be given";
    else if (!words.empty() &&
             words[0].text.find('=') != std::string_view::npos)
      hint = "the zone goes into \"timezone\"";
    return CronProblem{
        0, std::max<std::size_t>(1, text.size()),
        fmt::format("expected 5 fields, or 6 with seconds first, got {}",
                    words.size()),
        std::move(hint)};
  }

  std::uint64_t& set_of(std::size_t field) {
    const std::array<std::uint64_t*, 6> sets{&cron_.seconds_, &cron_.minutes_,
                                             &cron_.hours_,   &cron_.days_,
                                             &cron_.months_,  &cron_.weekdays_};
    return *sets[field];
  }

  bool read_field(Word word, const FieldKind& kind, std::uint64_t& set) {
    set = 0;
    for (const Word& item : split(word, ',')) {
      if (!read_item(item, kind, set))
        return false;
    }
    return true;
  }

  bool read_item(Word item, const FieldKind& kind, std::uint64_t& set) {
    const std::vector<Word> step = split(item, '/');
    if (step.size() > 2)
      return refuse(item, kind, "more than one step");
    unsigned low = kind.least;
    unsigned high = kind.most;
    unsigned by = 1;
    if (step.size() == 2 && !read_step(step[1], kind, by))
      return false;
    if (step[0].text != "*" &&
        !read_range(step[0], kind, step.size() == 2, low, high))
      return false;
    for (unsigned value = low; value <= high; value += by)
      set |= std::uint64_t{1} << value;
    return true;
  }

  bool read_range(Word range, const FieldKind& kind, bool has_step,
                  unsigned& low, unsigned& high) {
    const std::vector<Word> ends = split(range, '-');
    if (ends.size() > 2)
      return refuse(range, kind, "expected one range");
    if (!read_value(ends[0], kind, low))
      return false;
    if (ends.size() == 1) {
      high = has_step ? last_of(kind) : low;
      return true;
    }
    if (!read_value(ends[1], kind, high))
      return false;
    const bool is_sunday_last = kind.most == 7 && high == 0 && low > 0;
    if (is_sunday_last)
      high = 7;
    if (high < low)
      return refuse(range, kind, "the range ends before it begins",
                    fmt::format("write two: {}-{},{}-{}", ends[0].text,
                                last_of(kind), kind.least, ends[1].text));
    return true;
  }

  /// The last value that has no other name.
  static unsigned last_of(const FieldKind& kind) {
    return kind.most == 7 ? 6 : kind.most;
  }

  bool read_value(Word word, const FieldKind& kind, unsigned& value) {
    if (const auto number = number_in(word.text)) {
      if (*number < kind.least || *number > kind.most)
        return refuse(word, kind,
                      fmt::format("expected {} to {}, got {}", kind.least,
                                  kind.most, word.text));
      value = *number;
      return true;
    }
    const std::string name = lower(word.text);
    for (std::size_t i = 0; i < kind.names.size(); ++i) {
      if (name == kind.names[i] || name == kind.names[i].substr(0, 3)) {
        value = kind.least + static_cast<unsigned>(i);
        return true;
      }
    }
    return refuse_value(word, kind, name);
  }

  bool refuse_value(Word word, const FieldKind& kind, const std::string& name) {
    std::string hint;
    std::vector<std::string_view> known;
    for (const std::string_view full : kind.names)
      known.push_back(name.size() > 4 ? full : full.substr(0, 3));
    if (const auto meant = suggest(name, known))
      hint = fmt::format("did you mean \"{}\"?", meant->substr(0, 3));
    else if (name == "?")
      hint = "write *";
    const std::string_view or_name = kind.names.empty() ? "" : " or a name";
    return refuse(word, kind,
                  word.text.empty()
                      ? fmt::format("expected a number{}", or_name)
                      : fmt::format("expected {} to {}{}, got {}", kind.least,
                                    kind.most, or_name, shown(word.text)),
                  std::move(hint));
  }

  bool read_step(Word word, const FieldKind& kind, unsigned& by) {
    const auto number = number_in(word.text);
    if (!number || *number == 0)
      return refuse(word, kind,
                    word.text.empty()
                        ? "expected a step, such as */5"
                        : fmt::format("expected a step such as */5, got {}",
                                      shown(word.text)));
    if (*number > kind.most - kind.least)
      return refuse(
          word, kind,
          fmt::format("a step of {} goes beyond {}", word.text, kind.most),
          "a step counts within its field only");
    by = *number;
    return true;
  }

  /// Up to three digits; more are no value of any field.
  static std::optional<unsigned> number_in(std::string_view text) {
    if (text.empty() || text.size() > 3)
      return std::nullopt;
    unsigned value = 0;
    for (const char c : text) {
      if (c < '0' || c > '9')
        return std::nullopt;
      value = value * 10 + static_cast<unsigned>(c - '0');
    }
    return value;
  }

  bool refuse(Word where, const FieldKind& kind, std::string_view what,
              std::string hint = {}) {
    problem_ = {where.offset, std::max<std::size_t>(1, where.text.size()),
                fmt::format("{}: {}", kind.name, what), std::move(hint)};
    return false;
  }

  /// Whether some month of it has some day of it.
  [[nodiscard]] bool has_a_day() const {
    if (!cron_.has_any_day_ && !cron_.has_any_weekday_)
      return true;
    constexpr std::array<unsigned, 12> lengths{31, 29, 31, 30, 31, 30,
                                               31, 31, 30, 31, 30, 31};
    for (unsigned month = 1; month <= 12; ++month) {
      if (has(cron_.months_, month) &&
          next_bit(cron_.days_, 1) <= lengths[month - 1])
        return true;
    }
    return false;
  }

  Cron cron_{};
  CronProblem problem_;
};

tl::expected<Cron, CronProblem> Cron::parse(std::string_view text) {
  return CronParser{}.run(text);
}

bool Cron::is_in_every_hour() const { return std::popcount(hours_) == 24; }

bool Cron::matches_day(local_days day) const {
  const std::chrono::year_month_day date{day};
  if (!has(months_, static_cast<unsigned>(date.month())))
    return false;
  const bool is_day = has(days_, static_cast<unsigned>(date.day()));
  const bool is_weekday =
      has(weekdays_, std::chrono::weekday{day}.c_encoding());
  return has_any_day_ || has_any_weekday_ ? is_day && is_weekday
                                          : is_day || is_weekday;
}

bool Cron::matches(local_seconds time) const {
  return next(time, time + seconds{1}).has_value();
}

std::optional<seconds> Cron::next_in_day(seconds from) const {
  const std::chrono::hh_mm_ss time{from};
  const auto first_hour = static_cast<unsigned>(time.hours().count());
  for (unsigned h = next_bit(hours_, first_hour); h < 64;
       h = next_bit(hours_, h + 1)) {
    const unsigned first_minute =
        h == first_hour ? static_cast<unsigned>(time.minutes().count()) : 0;
    for (unsigned m = next_bit(minutes_, first_minute); m < 64;
         m = next_bit(minutes_, m + 1)) {
      const bool is_first = h == first_hour && m == first_minute;
      const unsigned s = next_bit(
          seconds_,
          is_first ? static_cast<unsigned>(time.seconds().count()) : 0);
      if (s < 64)
        return hours{h} + minutes{m} + seconds{s};
    }
  }
  return std::nullopt;
}

std::optional<local_seconds> Cron::next(local_seconds from,
                                        local_seconds until) const {
  auto day = std::chrono::floor<days>(from);
  seconds time = from - day;
  while (day < until) {
    const std::chrono::year_month_day date{day};
    if (!has(months_, static_cast<unsigned>(date.month()))) {
      day =
          local_days{(date.year() / date.month() + std::chrono::months{1}) / 1};
      time = seconds{0};
      continue;
    }
    if (matches_day(day)) {
      if (const auto found = next_in_day(time)) {
        const local_seconds at = day + *found;
        return at < until ? std::optional{at} : std::nullopt;
      }
    }
    day += days{1};
    time = seconds{0};
  }
  return std::nullopt;
}

}  // namespace troupe::schedule
