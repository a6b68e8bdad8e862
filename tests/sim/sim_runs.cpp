/// Runs as many seeds as one likes, or one of them with all that happens:
///
///   sim_runs --seeds 100000 [--from 1]
///   sim_runs --seed 17 [--verbose] [--shrink] [--faults 5]
///   sim_runs --defect no_self_fencing [--seeds 200]
///
/// --faults takes the number that a report prints. The exit status is 1 if an
/// invariant was violated.
#include "sim_world.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe::sim {
namespace {

struct Options {
  std::uint64_t first = 1;
  std::uint64_t seeds = 1000;
  bool is_shrunk = false;
  SimConfig config{};
};

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<Options> parse(const std::vector<std::string_view>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--verbose") {
      options.config.is_verbose = true;
      continue;
    }
    if (name == "--shrink") {
      options.is_shrunk = true;
      continue;
    }
    if (++i == arguments.size())
      return std::nullopt;
    if (name == "--defect") {
      const auto defect = parse_defect(arguments[i]);
      if (!defect)
        return std::nullopt;
      options.config.defect = *defect;
      continue;
    }
    const auto value = number(arguments[i]);
    if (!value)
      return std::nullopt;
    if (name == "--seeds") {
      options.seeds = *value;
    } else if (name == "--from") {
      options.first = *value;
    } else if (name == "--faults") {
      options.config.allowed = static_cast<FaultSet>(*value) & all_faults;
    } else if (name == "--seed") {
      options.first = *value;
      options.seeds = 1;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

int run(const Options& options) {
  SimResult all;
  std::uint64_t violations = 0;
  for (std::uint64_t i = 0; i < options.seeds; ++i) {
    SimConfig config = options.config;
    config.seed = options.first + i;
    SimResult result = SimWorld{config}.run();
    if (result.violation) {
      ++violations;
      if (options.is_shrunk) {
        config = shrink(config);
        result = SimWorld{config}.run();
      }
      std::fputs(report(config, result).c_str(), stdout);
    }
    all.virtual_time += result.virtual_time;
    all.settled_after = std::max(all.settled_after, result.settled_after);
    all.tasks += result.tasks;
    all.counts.commands += result.counts.commands;
    all.counts.evictions += result.counts.evictions;
    all.counts.takeovers += result.counts.takeovers;
    all.counts.ambushes += result.counts.ambushes;
    all.counts.results += result.counts.results;
    all.counts.fenced += result.counts.fenced;
    all.counts.frozen_overlaps += result.counts.frozen_overlaps;
    all.counts.kept_overlaps += result.counts.kept_overlaps;
    all.counts.events += result.counts.events;
    all.counts.moves += result.counts.moves;
    all.counts.runs_ended += result.counts.runs_ended;
    all.counts.lost_steps += result.counts.lost_steps;
    all.trace_hash ^= result.trace_hash;
  }
  const Checkers::Counts& counts = all.counts;
  std::fputs(
      fmt::format(
          "{} seeds, {:.1f} h simulated, {} tasks, {} commands, {} ambushes, "
          "{} evictions, {} takeovers, {} results, {} fenced, {} overlaps on "
          "frozen hosts, {} of kept commands; {} ends of runs, {} events, {} "
          "moves, {} steps lost with their node; all done {:.0f} s after the "
          "last fault, {} violations, hash {:016x}\n",
          options.seeds, in_seconds(all.virtual_time) / 3600, all.tasks,
          counts.commands, counts.ambushes, counts.evictions, counts.takeovers,
          counts.results, counts.fenced, counts.frozen_overlaps,
          counts.kept_overlaps, counts.runs_ended, counts.events, counts.moves,
          counts.lost_steps, in_seconds(all.settled_after), violations,
          all.trace_hash)
          .c_str(),
      stdout);
  return violations == 0 ? 0 : 1;
}

}  // namespace
}  // namespace troupe::sim

int main(int count, char** values) {
  const auto options =
      troupe::sim::parse({values + std::min(count, 1), values + count});
  if (!options) {
    std::fputs("sim_runs: see the top of sim_runs.cpp\n", stderr);
    return 2;
  }
  return troupe::sim::run(*options);
}
