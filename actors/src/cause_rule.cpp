#include <troupe/actors/cause_rule.hpp>
#include <troupe/base/signal_name.hpp>
#include <troupe/base/text.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <utility>

namespace troupe::actors {
namespace {

constexpr std::array<std::pair<std::string_view, CauseKind>, 10> words{{
    {"exit", CauseKind::exit_code},
    {"signal", CauseKind::signal},
    {"timeout", CauseKind::timeout},
    {"silence", CauseKind::silence},
    {"node-lost", CauseKind::warden_lost},
    {"spawn", CauseKind::spawn_error},
    {"output", CauseKind::output},
    {"duration", CauseKind::duration},
    {"memory", CauseKind::out_of_memory},
    {"crash", CauseKind::actor_crash},
}};

constexpr int largest_exit_code = 255;

std::optional<int> exit_code(std::string_view text) {
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || next != end || value < 0 ||
      value > largest_exit_code)
    return std::nullopt;
  return value;
}

tl::unexpected<Error> refuse(std::string_view text) {
  return failure(
      Errc::invalid_argument,
      fmt::format("expected a cause such as exit:75, exit:1-3, signal:SIGKILL, "
                  "timeout, silence, node-lost, spawn, output, duration, "
                  "memory or crash, got \"{}\"",
                  ellipsize(printable(text), 60)));
}

}  // namespace

Result<CauseRule> parse_cause_rule(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  const auto* const known =
      std::find_if(words.begin(), words.end(),
                   [&](const auto& entry) { return entry.first == word; });
  if (known == words.end())
    return refuse(text);
  CauseRule rule{.kind = known->second};
  if (colon == std::string_view::npos)
    return rule;
  const std::string_view number = text.substr(colon + 1);
  if (rule.kind == CauseKind::signal) {
    const auto signal = parse_signal(number);
    if (!signal)
      return refuse(text);
    rule.least = rule.most = *signal;
    return rule;
  }
  if (rule.kind != CauseKind::exit_code && rule.kind != CauseKind::spawn_error)
    return refuse(text);
  const std::size_t dash = number.find('-');
  const auto least = exit_code(number.substr(0, dash));
  const auto most = dash == std::string_view::npos
                        ? least
                        : exit_code(number.substr(dash + 1));
  if (!least || !most || *least > *most)
    return refuse(text);
  rule.least = *least;
  rule.most = *most;
  return rule;
}

std::string to_text(const CauseRule& rule) {
  const auto* const known = std::find_if(
      words.begin(), words.end(),
      [&](const auto& entry) { return entry.second == rule.kind; });
  std::string text{known == words.end() ? "unknown" : known->first};
  if (rule == CauseRule{.kind = rule.kind})
    return text;
  if (rule.kind == CauseKind::signal)
    return text + ":" + signal_name(rule.least);
  text += fmt::format(":{}", rule.least);
  if (rule.most != rule.least)
    text += fmt::format("-{}", rule.most);
  return text;
}

bool covers(const std::vector<CauseRule>& rules,
            const std::vector<Cause>& causes) {
  return std::any_of(rules.begin(), rules.end(), [&](const CauseRule& rule) {
    return std::any_of(causes.begin(), causes.end(), [&](const Cause& cause) {
      return cause.kind == rule.kind && cause.number >= rule.least &&
             cause.number <= rule.most;
    });
  });
}

}  // namespace troupe::actors
