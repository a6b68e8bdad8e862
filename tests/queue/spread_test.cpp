#include <troupe/queue/spread.hpp>

#include <gtest/gtest.h>

namespace troupe::queue {
namespace {

using flow_control::Resources;

Resources parsed(const char* text) { return *Resources::parse(text); }

TEST(Spread, IsOneOfTheResourcesAndComesBack) {
  const auto task = want_spread(parsed("cpu=2"), 0xabc, 7);
  EXPECT_EQ(task.text(), "cpu=2,spread-0000000000000abc=7");
  const auto split = split_spread(*Resources::parse(task.text()));
  EXPECT_EQ(split.id, 0xabcU);
  EXPECT_EQ(split.share, 7U);
  EXPECT_EQ(split.rest.text(), "cpu=2");
}

TEST(Spread, HasAShareOfOneAtLeast) {
  EXPECT_EQ(split_spread(want_spread({}, UINT64_MAX, 0)).share, 1U);
  EXPECT_EQ(split_spread(want_spread({}, 0, UINT64_MAX)).share, 1'000'000'000U);
}

TEST(Spread, NamesOfPeopleAreNotTakenForIt) {
  for (const char* const text :
       {"cpu=1", "spread-=1", "spread-gpu=1", "spread-0000000000000abg=1"}) {
    const auto split = split_spread(parsed(text));
    EXPECT_FALSE(split.is_spread()) << text;
    EXPECT_EQ(split.rest.text(), text);
  }
}

}  // namespace
}  // namespace troupe::queue
