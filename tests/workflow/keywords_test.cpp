#include "load_text.hpp"

#include <troupe/workflow/keywords.hpp>
#include <troupe/workflow/load.hpp>
#include <troupe/workflow/services.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <set>
#include <string>

namespace troupe::workflow {
namespace {

TEST(Keywords, AreUniqueSpelledWithDashesAndDocumented) {
  for (const config::Section& section : sections()) {
    std::set<std::string_view> names;
    for (const config::Keyword& keyword : section.keywords) {
      EXPECT_TRUE(names.insert(keyword.name).second) << keyword.name;
      EXPECT_EQ(keyword.name.find('_'), std::string_view::npos);
      EXPECT_TRUE(keyword.doc.ends_with('.')) << keyword.name;
    }
  }
}

TEST(Keywords, NameOnlySectionsThatExist) {
  const auto exists = [](std::string_view name) {
    return std::any_of(
        sections().begin(), sections().end(),
        [&](const config::Section& other) { return other.name == name; });
  };
  for (const config::Section& section : sections()) {
    for (const config::Keyword& keyword : section.keywords) {
      EXPECT_TRUE(keyword.section.empty() || exists(keyword.section))
          << keyword.name;
      EXPECT_TRUE(keyword.other_section.empty() ||
                  exists(keyword.other_section))
          << keyword.name;
    }
  }
}

TEST(Keywords, SayWhichFormsTheyHaveIfTheyHaveNoSingleType) {
  for (const config::Section& section : sections()) {
    for (const config::Keyword& keyword : section.keywords) {
      const bool is_custom = keyword.type == config::Type::custom;
      EXPECT_EQ(keyword.forms != 0, is_custom && keyword.supported)
          << section.name << "." << keyword.name;
      EXPECT_EQ(
          (keyword.forms & config::form::map) != 0 && keyword.section.empty(),
          false)
          << keyword.name;
    }
  }
}

/// A map with each keyword of the section that has a default, set to it.
std::string defaults_of(std::string_view name) {
  std::string out = "{";
  for (const config::Keyword& keyword : section(name).keywords) {
    if (!keyword.fallback.empty())
      out += fmt::format("{}: {}, ", keyword.name, keyword.fallback);
  }
  return out + "}";
}

TEST(Keywords, TellTheDefaultsThatTheDecoderHas) {
  const auto bare = load("jobs: {a: {run: x, group: g}}\ngroups: {g: {}}");
  const auto spelled = load(fmt::format(
      "defaults: {}\njobs: {{a: {{run: x, group: g, retry: {}, strategy: "
      "{}}}}}\ngroups: {{g: {}}}",
      defaults_of("defaults"), defaults_of("retry"), defaults_of("strategy"),
      defaults_of("groups")));
  const Step& a = bare->jobs[0].steps[0];
  const Step& b = spelled->jobs[0].steps[0];
  EXPECT_EQ(a.shell, b.shell);
  EXPECT_EQ(a.grace, b.grace);
  EXPECT_EQ(a.retry, b.retry);
  EXPECT_EQ(bare->jobs[0].fail_fast, spelled->jobs[0].fail_fast);
  EXPECT_EQ(bare->groups[0].strategy, spelled->groups[0].strategy);
  EXPECT_EQ(bare->groups[0].intensity, spelled->groups[0].intensity);
  EXPECT_EQ(bare->groups[0].period, spelled->groups[0].period);
}

TEST(Keywords, TellTheDefaultsOfServices) {
  const std::string root = defaults_of("services");
  const auto bare = load("services: {children: {a: {run: x}}}");
  const auto spelled = load(fmt::format(
      "services: {}backoff: {}, children: {{a: {{run: x, shutdown: {}, log: "
      "{}}}}}}}",
      root.substr(0, root.size() - 1 - std::string{"replicas: 1, "}.size()),
      defaults_of("backoff"), defaults_of("shutdown"), defaults_of("log")));
  const ServiceGroup& a = *bare->services;
  const ServiceGroup& b = *spelled->services;
  EXPECT_EQ(a.strategy, b.strategy);
  EXPECT_EQ(a.intensity, b.intensity);
  EXPECT_EQ(a.period, b.period);
  EXPECT_EQ(a.on_give_up, b.on_give_up);
  EXPECT_EQ(a.hold_for, b.hold_for);
  EXPECT_EQ(a.auto_shutdown, b.auto_shutdown);
  const supervisor::Backoff usual;
  const supervisor::Backoff backoff = b.children[0].backoff.value();
  EXPECT_EQ(backoff.min, usual.min);
  EXPECT_EQ(backoff.max, usual.max);
  EXPECT_EQ(backoff.factor, usual.factor);
  EXPECT_EQ(backoff.jitter, usual.jitter);
  EXPECT_EQ(backoff.reset_after, usual.reset_after);
  EXPECT_EQ(a.children[0].service->stop_signal,
            b.children[0].service->stop_signal);
  EXPECT_EQ(a.children[0].service->stop_limit,
            b.children[0].service->stop_limit);
  EXPECT_EQ(a.children[0].service->log, b.children[0].service->log);
}

}  // namespace
}  // namespace troupe::workflow
