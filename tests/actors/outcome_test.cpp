#include <troupe/actors/outcome.hpp>

#include <gtest/gtest.h>

namespace troupe::actors {
namespace {

TEST(Outcome, DescribesItsCausesNearestFirst) {
  EXPECT_EQ(describe(std::vector<Cause>{
                {CauseKind::exit_code, 3, "exited with 3"},
                {CauseKind::gave_up, 3, "gave up after 3 attempts"}}),
            "exited with 3, gave up after 3 attempts");
  EXPECT_EQ(describe(std::vector<Cause>{}), "");
}

TEST(Outcome, NamesItsKindsInLowerCase) {
  EXPECT_EQ(to_string(OutcomeKind::timed_out), "timed_out");
  EXPECT_EQ(to_string(CauseKind::warden_lost), "warden_lost");
}

}  // namespace
}  // namespace troupe::actors
