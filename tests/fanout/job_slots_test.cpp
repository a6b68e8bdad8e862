#include <troupe/fanout/job_slots.hpp>

#include <gtest/gtest.h>

namespace troupe::fanout {
namespace {

TEST(ParseJobSlots, CountsAbsolutelyAndRelativeToTheCores) {
  EXPECT_EQ(parse_job_slots("7", 4), 7U);
  EXPECT_EQ(parse_job_slots("auto", 4), 4U);
  EXPECT_EQ(parse_job_slots("100%", 4), 4U);
  EXPECT_EQ(parse_job_slots("150%", 4), 6U);
  EXPECT_EQ(parse_job_slots("12.5%", 4), 1U);
  EXPECT_EQ(parse_job_slots("30%", 4), 2U);
  EXPECT_EQ(parse_job_slots("+2", 4), 6U);
  EXPECT_EQ(parse_job_slots("-1", 4), 3U);
  EXPECT_EQ(parse_job_slots("0", 4), most_job_slots);
}

TEST(ParseJobSlots, GivesAtLeastOne) {
  EXPECT_EQ(parse_job_slots("-9", 4), 1U);
  EXPECT_EQ(parse_job_slots("-4", 4), 1U);
  EXPECT_EQ(parse_job_slots("0%", 4), 1U);
}

TEST(ParseJobSlots, RefusesNonsense) {
  EXPECT_EQ(parse_job_slots("many", 4).error().what,
            "expected a number of jobs such as 8, 50%, +2, -1, 0 or auto, got "
            "\"many\"");
  EXPECT_EQ(parse_job_slots("20001", 4).error().what,
            "expected at most 20000 jobs at once, got \"20001\"");
  for (const char* bad :
       {"", "+", "-", "%", "1.5", "-5%", "+5%", "1 ", "++1", "nan%", "0x2",
        "+20000", "1e9%", "999999999999999999"})
    EXPECT_FALSE(parse_job_slots(bad, 4).has_value()) << bad;
}

}  // namespace
}  // namespace troupe::fanout
