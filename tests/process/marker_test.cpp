#include "program_image.hpp"

#include <gtest/gtest.h>

namespace troupe::process {
namespace {

TEST(Marker, IsOfTheSessionThatItBeginsWith) {
  EXPECT_TRUE(is_marked_by("s1.7.1", "s1"));
  EXPECT_FALSE(is_marked_by("s1.7.1", "s"));
  EXPECT_FALSE(is_marked_by("xs1.7.1", "s1"));
  EXPECT_FALSE(is_marked_by("s1", "s1"));
  EXPECT_FALSE(is_marked_by("", "s1"));
}

TEST(Marker, OfTroupeInsideOfTroupeIsOfBothSessions) {
  EXPECT_TRUE(is_marked_by("outer.1.1/inner.2.1", "outer"));
  EXPECT_TRUE(is_marked_by("outer.1.1/inner.2.1", "inner"));
  EXPECT_FALSE(is_marked_by("outer.1.1/inner.2.1", "1"));
}

}  // namespace
}  // namespace troupe::process
