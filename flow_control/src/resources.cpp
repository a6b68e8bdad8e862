#include <troupe/base/assert.hpp>
#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/flow_control/resources.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace troupe::flow_control {
namespace {

constexpr std::uint64_t most_units = 1'000'000'000'000;
constexpr std::size_t longest_name = 32;
constexpr std::size_t most_digits = 3;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= longest_name &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

/// "1.25" as 1250.
std::optional<std::uint64_t> parse_thousandths(std::string_view text) {
  const std::size_t point = text.find('.');
  const auto whole = parse_count(text.substr(0, point));
  if (!whole || *whole >= most_units)
    return std::nullopt;
  std::uint64_t thousandths = *whole * Resources::unit;
  if (point == std::string_view::npos)
    return thousandths;
  std::string digits{text.substr(point + 1)};
  if (digits.empty() || digits.size() > most_digits)
    return std::nullopt;
  digits.resize(most_digits, '0');
  const auto part = parse_count(digits);
  if (!part)
    return std::nullopt;
  return thousandths + *part;
}

std::optional<std::uint64_t> parse_amount(std::string_view name,
                                          std::string_view text) {
  if (name != "mem")
    return parse_thousandths(text);
  const auto bytes = parse_size(text);
  if (!bytes || *bytes >= most_units * Resources::unit)
    return std::nullopt;
  return *bytes * Resources::unit;
}

}  // namespace

std::string format_amount(const std::string& name, std::uint64_t thousandths) {
  const std::uint64_t whole = thousandths / Resources::unit;
  const std::uint64_t rest = thousandths % Resources::unit;
  if (name == "mem" || rest == 0)
    return fmt::format("{}", whole);
  std::string text = fmt::format("{}.{:03}", whole, rest);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

Result<Resources> Resources::parse(std::string_view text) {
  Resources resources;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    const auto amount = equals == std::string_view::npos
                            ? std::nullopt
                            : parse_amount(name, part.substr(equals + 1));
    if (!is_name(name) || !amount)
      return failure(Errc::invalid_argument,
                     fmt::format("expected resources such as "
                                 "cpu=2,mem=1GiB,gpu=0.5, got \"{}\"",
                                 printable(part)));
    if (resources.amounts_.contains(std::string{name}))
      return failure(Errc::invalid_argument,
                     fmt::format("the resource {} stands there twice", name));
    resources.set(std::string{name}, *amount);
    if (comma == std::string_view::npos)
      break;
    text.remove_prefix(comma + 1);
    if (text.empty())
      return failure(Errc::invalid_argument, "resources end with a comma");
  }
  return resources;
}

std::string Resources::text() const {
  std::string text;
  for (const auto& [name, amount] : amounts_)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", name,
                        format_amount(name, amount));
  return text;
}

void Resources::set(const std::string& name, std::uint64_t thousandths) {
  if (thousandths == 0)
    amounts_.erase(name);
  else
    amounts_[name] = thousandths;
}

std::uint64_t Resources::amount(const std::string& name) const {
  const auto found = amounts_.find(name);
  return found == amounts_.end() ? 0 : found->second;
}

std::optional<std::uint64_t> Resources::times(const Resources& part) const {
  std::optional<std::uint64_t> least;
  for (const auto& [name, needed] : part.amounts_) {
    const std::uint64_t count = amount(name) / needed;
    least = std::min(least.value_or(count), count);
  }
  return least;
}

std::optional<std::string> Resources::lacks(const Resources& part) const {
  for (const auto& [name, needed] : part.amounts_) {
    if (amount(name) < needed)
      return name;
  }
  return std::nullopt;
}

void Resources::take(const Resources& part) {
  for (const auto& [name, needed] : part.amounts_) {
    TROUPE_ASSERT(amount(name) >= needed);
    set(name, amount(name) - needed);
  }
}

void Resources::give_back(const Resources& part) {
  for (const auto& [name, given] : part.amounts_)
    set(name, amount(name) + given);
}

}  // namespace troupe::flow_control
