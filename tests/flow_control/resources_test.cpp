#include <troupe/flow_control/resources.hpp>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace troupe::flow_control {
namespace {

Resources parsed(std::string_view text) { return *Resources::parse(text); }

TEST(Resources, AreReadAndWrittenByName) {
  EXPECT_EQ(parsed("gpu=0.5,mem=1GiB,cpu=2").text(),
            "cpu=2,gpu=0.5,mem=1073741824");
  EXPECT_EQ(parsed("").text(), "");
  EXPECT_EQ(parsed("cpu=0").text(), "");
}

TEST(Resources, WhatIsNoAmountIsRefused) {
  for (const char* const text :
       {"cpu", "cpu=", "=1", "cpu=x", "cpu=1.2345", "cpu=1,", "cpu=1,cpu=2",
        "c pu=1", "cpu=-1", "mem=1.5.2", "cpu=1000000000000000"})
    EXPECT_FALSE(Resources::parse(text)) << text;
}

TEST(Resources, TellHowOftenAndWhatIsMissing) {
  const Resources free = parsed("cpu=2,gpu=1");
  EXPECT_EQ(free.times(parsed("cpu=0.5")), 4U);
  EXPECT_EQ(free.times(parsed("cpu=0.5,gpu=1")), 1U);
  EXPECT_EQ(free.times(parsed("tpu=1")), 0U);
  EXPECT_EQ(free.times({}), std::nullopt);
  EXPECT_EQ(free.lacks(parsed("cpu=2,gpu=1.5")), "gpu");
  EXPECT_EQ(free.lacks(parsed("cpu=2")), std::nullopt);
}

TEST(Resources, WhatIsTakenAndGivenBackIsAsBefore) {
  EXPECT_TRUE(rc::check([] {
    Resources all;
    all.set("cpu", *rc::gen::inRange<std::uint64_t>(1000, 100'000));
    Resources part;
    part.set("cpu", *rc::gen::inRange<std::uint64_t>(1, 1000));
    Resources changed = all;
    changed.take(part);
    RC_ASSERT(changed.amount("cpu") + part.amount("cpu") == all.amount("cpu"));
    changed.give_back(part);
    RC_ASSERT(changed == all);
    RC_ASSERT(Resources::parse(all.text()) == all);
  }));
}

}  // namespace
}  // namespace troupe::flow_control
