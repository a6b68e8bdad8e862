#include "sim_world.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

namespace troupe::sim {
namespace {

/// More than twice what any of them needs.
constexpr std::uint64_t most_seeds = 1500;

class SeededDefect : public testing::TestWithParam<Defect> {};

TEST_P(SeededDefect, IsFound) {
  for (std::uint64_t seed = 1; seed <= most_seeds; ++seed) {
    const SimConfig config{.seed = seed, .defect = GetParam()};
    const SimResult result = SimWorld{config}.run();
    if (!result.violation)
      continue;
    std::puts(fmt::format("{}: {} at seed {}: {}", to_string(GetParam()),
                          result.violation->invariant, seed,
                          result.violation->what)
                  .c_str());
    return;
  }
  FAIL() << to_string(GetParam()) << " is not found in " << most_seeds
         << " seeds";
}

TEST(Shrinking, LeavesOutFaultsThatDoNotMatter) {
  const SimConfig config{.seed = 1, .defect = Defect::ring_by_own_seed};
  const SimConfig smallest = shrink(config);
  EXPECT_EQ(smallest.allowed, 0U);
  const SimResult result = SimWorld{smallest}.run();
  ASSERT_TRUE(result.violation);
  EXPECT_EQ(result.violation->invariant, "I8");
}

INSTANTIATE_TEST_SUITE_P(Each, SeededDefect, testing::ValuesIn(all_defects()),
                         [](const auto& test) {
                           return std::string{to_string(test.param)};
                         });

}  // namespace
}  // namespace troupe::sim
