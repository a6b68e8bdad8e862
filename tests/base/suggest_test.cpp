#include <troupe/base/suggest.hpp>

#include <array>
#include <gtest/gtest.h>

namespace troupe {
namespace {

constexpr std::array<std::string_view, 4> keys{"needs", "timeout", "retry",
                                               "max-parallel"};

TEST(Suggest, FindsSwapsOmissionsAndTheOtherDash) {
  EXPECT_EQ(suggest("need", keys), "needs");
  EXPECT_EQ(suggest("tiemout", keys), "timeout");
  EXPECT_EQ(suggest("max_paralel", keys), "max-parallel");
}

TEST(Suggest, StaysSilentWhenNothingIsNear) {
  EXPECT_EQ(suggest("banana", keys), std::nullopt);
  EXPECT_EQ(suggest("", keys), std::nullopt);
  EXPECT_EQ(suggest(std::string(100000, 'x'), keys), std::nullopt);
}

}  // namespace
}  // namespace troupe
