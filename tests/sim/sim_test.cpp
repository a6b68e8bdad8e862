#include "sim_world.hpp"

#include <gtest/gtest.h>

namespace troupe::sim {
namespace {

SimResult run(const SimConfig& config) { return SimWorld{config}.run(); }

TEST(Simulation, EndsWithoutFaults) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const SimConfig config{.seed = seed, .allowed = 0};
    const SimResult result = run(config);
    EXPECT_FALSE(result.violation) << report(config, result);
    EXPECT_EQ(result.counts.evictions, 0U);
    EXPECT_EQ(result.counts.fenced, 0U);
  }
}

TEST(Simulation, IsTheSameEachTime) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    EXPECT_EQ(run({.seed = seed}).trace_hash, run({.seed = seed}).trace_hash);
  EXPECT_NE(run({.seed = 1}).trace_hash, run({.seed = 2}).trace_hash);
}

TEST(Simulation, HoldsAllInvariants) {
  Checkers::Counts counts;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const SimConfig config{.seed = seed};
    const SimResult result = run(config);
    ASSERT_FALSE(result.violation) << report(config, result);
    counts.evictions += result.counts.evictions;
    counts.takeovers += result.counts.takeovers;
    counts.ambushes += result.counts.ambushes;
    counts.fenced += result.counts.fenced;
    counts.frozen_overlaps += result.counts.frozen_overlaps;
    counts.runs_ended += result.counts.runs_ended;
    counts.moves += result.counts.moves;
  }
  // It was bad enough.
  EXPECT_GT(counts.evictions, 500U);
  EXPECT_GT(counts.takeovers, 500U);
  EXPECT_GT(counts.ambushes, 5000U);
  EXPECT_GT(counts.fenced, 500U);
  EXPECT_GT(counts.frozen_overlaps, 10U);
  EXPECT_GT(counts.runs_ended, 2000U);
  EXPECT_GT(counts.moves, 100U);
}

}  // namespace
}  // namespace troupe::sim
