#include "job_words.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/suggest.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/wall_time.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <fmt/format.h>
#include <span>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t most_task_number = 1ULL << 53;  // What JSON can carry.

tl::unexpected<Error> refuse(std::string what) {
  return failure(Errc::invalid_argument, std::move(what));
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  const auto count = parse_count(text);
  if (!count || *count > most_task_number)
    return std::nullopt;
  return *count;
}

/// The parts of `text` between commas.
std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos)
      return parts;
    text.remove_prefix(comma + 1);
  }
}

/// `word`, if it is one of `known`; `what` is what it should be.
Result<std::string> one_of(std::string_view word, std::string_view what,
                           std::span<const std::string_view> known) {
  if (std::find(known.begin(), known.end(), word) != known.end())
    return std::string{word};
  const auto meant = suggest(word, known);
  return refuse(
      fmt::format("expected {}, got \"{}\"{}", what, printable(word),
                  meant ? fmt::format("; did you mean \"{}\"?", *meant) : ""));
}

/// An amount of a resource, or nothing if it is not one.
Json amount_in(std::string_view name, std::string_view text) {
  if (name == "mem") {
    const auto size = parse_size(text);
    return size && *size > 0 ? Json(*size) : Json();
  }
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] =
      std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc{} || next != end || !(number > 0) || number > 1e9 ||
      std::abs(std::round(number * 1000) - number * 1000) > 1e-6)
    return {};
  if (number == std::floor(number))
    return static_cast<std::uint64_t>(number);
  return number;
}

/// Takes two digits from the front of `text`.
std::optional<int> take_digits(std::string_view& text) {
  constexpr std::size_t count = 2;
  if (text.size() < count)
    return std::nullopt;
  int value = 0;
  for (const char digit : text.substr(0, count)) {
    if (digit < '0' || digit > '9')
      return std::nullopt;
    value = 10 * value + (digit - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take_colon(std::string_view& text) {
  if (!text.starts_with(':'))
    return false;
  text.remove_prefix(1);
  return true;
}

/// "03:30" or "03:30:15" at the front of `text`, as the time since midnight.
std::optional<std::chrono::seconds> take_clock(std::string_view& text) {
  const auto hour = take_digits(text);
  if (!hour || *hour > 23 || !take_colon(text))
    return std::nullopt;
  const auto minute = take_digits(text);
  if (!minute || *minute > 59)
    return std::nullopt;
  std::chrono::seconds time = *hour * 1h + *minute * 1min;
  if (!take_colon(text))
    return time;
  const auto second = take_digits(text);
  if (!second || *second > 60)  // A leap second.
    return std::nullopt;
  return time + *second * 1s;
}

/// The next moment after `now` at which clocks here show `clock`.
WallTime next_local(std::chrono::seconds clock, WallTime now) {
  const std::time_t moment = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  ::localtime_r(&moment, &local);
  local.tm_hour = 0;
  local.tm_min = 0;
  local.tm_sec = static_cast<int>(clock.count());
  local.tm_isdst = -1;
  std::tm tomorrow = local;
  ++tomorrow.tm_mday;
  const WallTime today = std::chrono::system_clock::from_time_t(mktime(&local));
  return today > now
             ? today
             : std::chrono::system_clock::from_time_t(mktime(&tomorrow));
}

}  // namespace

Result<TaskName> parse_task_name(std::string_view text) {
  const std::size_t dot = text.find('.');
  const auto job = number_in(text.substr(0, dot));
  const auto wrong = [&] {
    return refuse(
        fmt::format("expected a job such as 17 or a task such as 17.3, got "
                    "\"{}\"",
                    printable(text)));
  };
  if (!job || *job == 0)
    return wrong();
  if (dot == std::string_view::npos)
    return TaskName{*job, std::nullopt};
  const auto task = number_in(text.substr(dot + 1));
  if (!task)
    return wrong();
  return TaskName{*job, task};
}

Result<std::uint64_t> parse_job(std::string_view text) {
  const auto job = number_in(text);
  if (!job || *job == 0)
    return refuse(
        fmt::format("expected a job such as 17, got \"{}\"", printable(text)));
  return *job;
}

Result<std::vector<std::uint64_t>> parse_jobs(
    const std::vector<std::string>& texts) {
  if (texts.empty())
    return refuse("no job given");
  std::vector<std::uint64_t> jobs;
  for (const std::string& text : texts) {
    const auto job = parse_job(text);
    if (!job)
      return tl::unexpected{job.error()};
    if (std::find(jobs.begin(), jobs.end(), *job) == jobs.end())
      jobs.push_back(*job);
  }
  return jobs;
}

Result<std::vector<JobNeed>> parse_needs(std::string_view text) {
  constexpr std::array<std::string_view, 3> known{"succeeded", "finished",
                                                  "failed"};
  std::vector<JobNeed> needs;
  for (const std::string_view part : split_at_commas(text)) {
    const std::size_t colon = part.find(':');
    const auto job = parse_job(part.substr(0, colon));
    if (!job)
      return tl::unexpected{job.error()};
    if (colon == std::string_view::npos) {
      needs.push_back({*job, "succeeded"});
      continue;
    }
    auto when =
        one_of(part.substr(colon + 1), "succeeded, finished or failed", known);
    if (!when)
      return tl::unexpected{std::move(when.error())};
    needs.push_back({*job, std::move(*when)});
  }
  return needs;
}

Result<std::string> parse_priority(std::string_view text) {
  constexpr std::array<std::string_view, 4> known{"low", "normal", "high",
                                                  "critical"};
  return one_of(text, "low, normal, high or critical", known);
}

Result<std::string> parse_lease_loss(std::string_view text) {
  constexpr std::array<std::string_view, 2> known{"end", "keep"};
  return one_of(text, "end or keep", known);
}

Result<NumberRange> parse_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  const std::size_t colon = text.find(':');
  const auto wrong = [&] {
    return refuse(
        fmt::format("expected numbers such as 1-1000 or 0-100:10, got \"{}\"",
                    printable(text)));
  };
  if (dash == std::string_view::npos)
    return wrong();
  const auto from = number_in(text.substr(0, dash));
  const auto to = number_in(text.substr(
      dash + 1, colon == std::string_view::npos ? colon : colon - dash - 1));
  const auto step = colon == std::string_view::npos
                        ? std::optional<std::uint64_t>{1}
                        : number_in(text.substr(colon + 1));
  if (!from || !to || !step || *step == 0 || *from > *to)
    return wrong();
  return NumberRange{*from, *to, *step};
}

Result<Json> parse_resources(std::string_view text) {
  Json resources = Json::object();
  for (const std::string_view part : split_at_commas(text)) {
    const std::size_t equals = part.find('=');
    const std::string name{part.substr(0, equals)};
    Json amount = equals == std::string_view::npos || equals == 0
                      ? Json()
                      : amount_in(name, part.substr(equals + 1));
    if (amount.is_null())
      return refuse(
          fmt::format("expected amounts such as cpu=2,mem=1GiB,gpu=1, got "
                      "\"{}\"",
                      printable(part)));
    resources[to_utf8(name)] = std::move(amount);
  }
  return resources;
}

Result<Json> parse_labels(std::string_view text) {
  Json labels = Json::array();
  for (const std::string_view part : split_at_commas(text)) {
    if (part.empty())
      return refuse(fmt::format("expected labels such as gpu,ssd, got \"{}\"",
                                printable(text)));
    labels.push_back(to_utf8(std::string{part}));
  }
  return labels;
}

Result<std::vector<int>> parse_exit_codes(std::string_view text) {
  std::vector<int> codes;
  for (const std::string_view part : split_at_commas(text)) {
    const auto code = parse_count(part);
    if (!code || *code > 255)
      return refuse(fmt::format("expected exit codes such as 0,3, got \"{}\"",
                                printable(part)));
    codes.push_back(static_cast<int>(*code));
  }
  return codes;
}

Result<WallTime> parse_start_time(std::string_view text, WallTime now) {
  if (auto moment = parse_wall_time(text))
    return moment;
  std::string_view rest = text;
  const auto clock = take_clock(rest);
  if (!clock || !rest.empty())
    return refuse(
        fmt::format("expected a time such as 03:30 or 2026-05-01T03:30:00Z, "
                    "got \"{}\"",
                    printable(text)));
  return next_local(*clock, now);
}

}  // namespace troupe::cli
