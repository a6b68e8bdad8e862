#include <troupe/fanout/interval_set.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <set>
#include <vector>

namespace troupe::fanout {
namespace {

TEST(IntervalSet, JoinsNeighbours) {
  IntervalSet set;
  for (const std::uint64_t value : {1U, 3U, 2U, 2U, 7U})
    ASSERT_TRUE(set.insert(value).has_value());
  EXPECT_EQ(set.size(), 4U);
  EXPECT_EQ(set.intervals(), 2U);
  EXPECT_FALSE(set.contains(0));
  EXPECT_TRUE(set.contains(3));
  EXPECT_FALSE(set.contains(4));
  EXPECT_TRUE(set.contains(7));
}

TEST(IntervalSet, RefusesTooManyGapsButStillFillsThem) {
  IntervalSet set{2};
  ASSERT_TRUE(set.insert(1).has_value());
  ASSERT_TRUE(set.insert(3).has_value());
  EXPECT_EQ(set.insert(5).error(),
            (Error{Errc::overloaded, "more than 2 gaps between numbers"}));
  EXPECT_TRUE(set.insert(4).has_value());
  EXPECT_TRUE(set.insert(2).has_value());
  EXPECT_EQ(set.intervals(), 1U);
}

TEST(IntervalSet, AgreesWithASet) {
  EXPECT_TRUE(rc::check("contains what was inserted", [] {
    const auto values = *rc::gen::container<std::vector<std::uint64_t>>(
        rc::gen::inRange<std::uint64_t>(0, 40));
    IntervalSet set;
    std::set<std::uint64_t> expected;
    for (const auto value : values) {
      RC_ASSERT(set.insert(value).has_value());
      expected.insert(value);
    }
    RC_ASSERT(set.size() == expected.size());
    std::size_t starts = 0;
    for (std::uint64_t value = 0; value < 42; ++value) {
      RC_ASSERT(set.contains(value) == (expected.count(value) == 1));
      starts += expected.count(value) == 1 &&
                        (value == 0 || expected.count(value - 1) == 0)
                    ? 1U
                    : 0U;
    }
    RC_ASSERT(set.intervals() == starts);
  }));
}

}  // namespace
}  // namespace troupe::fanout
