#include "what_if_view.hpp"

#include <troupe/base/quantity.hpp>
#include <troupe/base/text.hpp>
#include <troupe/base/time.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fmt/format.h>
#include <string_view>
#include <vector>

namespace troupe::cli {
namespace {

using Json = nlohmann::ordered_json;
using service::ForeseenStart;
using service::GroupFate;
using service::GroupForecast;
using service::WhatIf;
using supervisor::DurationRange;

constexpr std::size_t most_names = 20;

std::string label(const std::string& group) {
  return group.empty() ? "the stack" : group;
}

std::string describe(const ForeseenStart& start) {
  switch (start.until) {
    case ForeseenStart::Until::started:
      return start.service;
    case ForeseenStart::Until::ready:
      return fmt::format("{} (until it is ready: {})", start.service,
                         start.probe);
    case ForeseenStart::Until::finished:
      return fmt::format("{} (until it has finished)", start.service);
  }
  return start.service;
}

std::string starts_text(const std::vector<ForeseenStart>& starts) {
  std::vector<std::string> texts;
  texts.reserve(starts.size());
  for (const ForeseenStart& start : starts)
    texts.push_back(describe(start));
  return listed(texts, most_names);
}

/// "1st", "2nd", "11th".
std::string ordinal(std::uint64_t number) {
  const std::uint64_t last = number % 10;
  const bool is_teen = number / 10 % 10 == 1;
  if (!is_teen && last >= 1 && last <= 3)
    return fmt::format("{}{}", number,
                       last == 1   ? "st"
                       : last == 2 ? "nd"
                                   : "rd");
  return fmt::format("{}th", number);
}

std::string duration_text(Duration duration) {
  if (duration == Duration::max())
    return "292 years";
  if (duration < 1ms && duration > 0ms)
    return "less than 1ms";
  return format_duration(duration);
}

std::string range_text(const DurationRange& range) {
  const std::string shortest = duration_text(range.shortest);
  const std::string longest = duration_text(range.longest);
  return shortest == longest ? shortest
                             : fmt::format("{} to {}", shortest, longest);
}

bool uses_budget(GroupFate fate) {
  return fate != GroupFate::goes_on && fate != GroupFate::ends &&
         fate != GroupFate::fails_to_start;
}

/// The lines about one supervisor.
class GroupText {
 public:
  /// `is_crash` says whether the child crashes; else it gives up.
  GroupText(const GroupForecast& group, bool is_crash)
      : group_{group}, is_crash_{is_crash} {}

  std::string run() {
    if (group_.fate == GroupFate::fails_to_start)
      add_failed_start();
    else if (uses_budget(group_.fate))
      add_budget();
    else
      add_clean_end();
    return std::move(text_);
  }

 private:
  void line(const std::string& text) { text_ += text + "\n"; }
  void indented(const std::string& text) { line("  " + text); }

  [[nodiscard]] std::string name() const {
    return fmt::format("{} ({})", label(group_.group),
                       to_string(group_.strategy));
  }

  [[nodiscard]] std::string stops_at_end() const {
    return group_.stopped_at_end.empty()
               ? ""
               : fmt::format("stops {}, then ",
                             listed(group_.stopped_at_end, most_names));
  }

  void add_failed_start() {
    line(fmt::format("{} cannot be started without {}:", name(), group_.child));
    indented(stops_at_end() + "ends");
  }

  void add_clean_end() {
    const std::string why =
        group_.restart == supervisor::Restart::temporary
            ? "it is temporary"
            : "it is transient, and giving up is a clean end";
    line(fmt::format("{} is not charged and does not restart {}: {}", name(),
                     group_.child, why));
    if (group_.fate == GroupFate::goes_on) {
      indented(fmt::format("goes on without {}", group_.child));
      return;
    }
    indented(fmt::format("{}ends, since {} is significant (auto-shutdown)",
                         stops_at_end(), group_.child));
  }

  void add_budget() {
    const auto restarts = static_cast<std::uint64_t>(group_.intensity);
    std::string head = fmt::format("{} is charged: {} in {}", name(),
                                   counted(restarts, "restart"),
                                   format_duration(group_.period));
    if (group_.fate != GroupFate::keeps_on)
      head += fmt::format("; the {} {}", ordinal(restarts + 1), end_phrase());
    line(head);
    if (restarts > 0)
      add_restart(restarts);
    add_end(restarts);
  }

  [[nodiscard]] std::string end_phrase() const {
    switch (group_.fate) {
      case GroupFate::holds:
        return "holds it";
      case GroupFate::stops:
        return "stops it";
      case GroupFate::gives_up:
      case GroupFate::keeps_on:
      case GroupFate::goes_on:
      case GroupFate::ends:
      case GroupFate::fails_to_start:
        break;
    }
    return "gives up";
  }

  void add_restart(std::uint64_t restarts) {
    if (group_.last_wait.longest > Duration{0}) {
      std::string waits =
          fmt::format("waits {}", range_text(group_.first_wait));
      if (group_.last_wait != group_.first_wait)
        waits += fmt::format(" before the 1st restart, {} before the {}",
                             range_text(group_.last_wait), ordinal(restarts));
      indented(waits);
    }
    if (!group_.stopped.empty())
      indented(fmt::format("stops {}", listed(group_.stopped, most_names)));
    if (!group_.lost.empty())
      indented(fmt::format("loses {} (temporary: not started again)",
                           listed(group_.lost, most_names)));
    indented(fmt::format("starts {}", starts_text(group_.started)));
  }

  void add_end(std::uint64_t restarts) {
    const std::string often = fmt::format("the {} {}", ordinal(restarts + 1),
                                          is_crash_ ? "crash" : "time");
    std::string when = often;
    if (restarts != 0 && group_.span.longest != Duration{0})
      when += fmt::format(", {} after the 1st", range_text(group_.span));
    if (group_.fate == GroupFate::keeps_on) {
      indented(fmt::format(
          "never gives up: {} comes {} after the 1st, which "
          "is more than {}",
          often, range_text(group_.span), format_duration(group_.period)));
      return;
    }
    if (!group_.is_certain)
      when +=
          fmt::format(", if that is within {}", format_duration(group_.period));
    indented(fmt::format("at {}: {}{}", when, stops_at_end(), last_deed()));
  }

  [[nodiscard]] std::string last_deed() const {
    switch (group_.fate) {
      case GroupFate::holds:
        return fmt::format("starts all again after {}",
                           format_duration(group_.hold_for));
      case GroupFate::stops:
        return "waits until somebody starts it";
      case GroupFate::gives_up:
      case GroupFate::keeps_on:
      case GroupFate::goes_on:
      case GroupFate::ends:
      case GroupFate::fails_to_start:
        break;
    }
    return "ends";
  }

  const GroupForecast& group_;
  bool is_crash_;
  std::string text_;
};

/// "before the stack ends".
std::string end_of(const WhatIf& what) {
  const GroupForecast& last = what.groups.back();
  if (what.ends_stack())
    return "the stack ends";
  switch (last.fate) {
    case GroupFate::goes_on:
      return fmt::format("{} goes on without {}", label(last.group),
                         last.child);
    case GroupFate::holds:
      return fmt::format("{} is held", label(last.group));
    case GroupFate::stops:
    case GroupFate::gives_up:
    case GroupFate::keeps_on:
    case GroupFate::ends:
    case GroupFate::fails_to_start:
      break;
  }
  return fmt::format("{} is stopped", label(last.group));
}

std::string summary(const WhatIf& what) {
  if (!what.starts)
    return fmt::format(
        "In all: {} is started again and again, and nothing gives up.\n",
        what.child);
  const std::string often =
      *what.starts == service::most_counted_starts ? "more than 10^18 times"
      : *what.starts == 1                          ? "once"
                          : fmt::format("{} times", *what.starts);
  std::string when;
  if (*what.starts > 1)
    when = what.span.longest == Duration{0}
               ? " as fast as it dies"
               : fmt::format(" in {}", range_text(what.span));
  return fmt::format("In all: {} is started {}{}, then {}.\n", what.child,
                     often, when, end_of(what));
}

Json json_of(const DurationRange& range) {
  return {{"shortest", in_seconds(range.shortest)},
          {"longest", in_seconds(range.longest)}};
}

Json json_of(const std::vector<ForeseenStart>& starts) {
  Json array = Json::array();
  for (const ForeseenStart& start : starts) {
    Json json{{"service", to_utf8(start.service)}};
    switch (start.until) {
      case ForeseenStart::Until::started:
        json["until"] = "started";
        break;
      case ForeseenStart::Until::ready:
        json["until"] = "ready";
        json["probe"] = start.probe;
        break;
      case ForeseenStart::Until::finished:
        json["until"] = "finished";
        break;
    }
    array.push_back(std::move(json));
  }
  return array;
}

Json json_of(const GroupForecast& group) {
  const bool is_charged = uses_budget(group.fate);
  Json json{{"group", to_utf8(group.group)},
            {"child", to_utf8(group.child)},
            {"strategy", to_string(group.strategy)},
            {"charged", is_charged},
            {"fate", service::to_string(group.fate)}};
  if (is_charged) {
    json["budget"] = {{"intensity", group.intensity},
                      {"period_seconds", in_seconds(group.period)}};
    json["certain"] = group.is_certain;
    json["span_seconds"] = json_of(group.span);
    if (group.intensity > 0)
      json["restart"] = {{"first_wait_seconds", json_of(group.first_wait)},
                         {"last_wait_seconds", json_of(group.last_wait)},
                         {"stops", group.stopped},
                         {"loses", group.lost},
                         {"starts", json_of(group.started)}};
  }
  if (group.fate == GroupFate::holds)
    json["hold_for_seconds"] = in_seconds(group.hold_for);
  json["stops_at_end"] = group.stopped_at_end;
  return json;
}

}  // namespace

std::string describe_what_if(const WhatIf& what) {
  const bool is_preparation =
      what.groups.front().fate == GroupFate::fails_to_start;
  std::string text =
      is_preparation
          ? fmt::format("If {} fails at its first start:\n", what.child)
      : what.is_group
          ? fmt::format("If {} gives up each time it has started:\n",
                        what.child)
          : fmt::format("If {} crashes each time it has started:\n",
                        what.child);
  if (!what.contents.empty())
    text += fmt::format("\n{} stops {}, then ends\n", what.child,
                        listed(what.contents, most_names));
  for (std::size_t i = 0; i < what.groups.size(); ++i)
    text += "\n" + GroupText{what.groups[i], i == 0 && !what.is_group}.run();
  return text + "\n" + summary(what);
}

Json to_json(const WhatIf& what) {
  Json groups = Json::array();
  for (const GroupForecast& group : what.groups)
    groups.push_back(json_of(group));
  Json json{{"child", to_utf8(what.child)},
            {"kind", what.is_group ? "group" : "service"}};
  if (what.is_group)
    json["contents"] = what.contents;
  json["groups"] = std::move(groups);
  json["starts"] = what.starts ? Json(*what.starts) : Json(nullptr);
  json["span_seconds"] = what.starts ? json_of(what.span) : Json(nullptr);
  json["ends_stack"] = what.ends_stack();
  return json;
}

}  // namespace troupe::cli
