#include <troupe/actors/exit_reason.hpp>

#include <gtest/gtest.h>

namespace troupe::actors {
namespace {

TEST(ExitReason, IsCleanOnlyIfNormalOrShutdown) {
  EXPECT_TRUE(ExitReason{}.clean());
  EXPECT_TRUE((ExitReason{ExitKind::shutdown, {}}.clean()));
  EXPECT_TRUE((ExitReason{ExitKind::shutdown, "gave up"}.clean()));
  EXPECT_FALSE((ExitReason{ExitKind::killed, {}}.clean()));
  EXPECT_FALSE((ExitReason{ExitKind::crashed, {}}.clean()));
  EXPECT_FALSE((ExitReason{ExitKind::custom, {}}.clean()));
}

TEST(ExitReason, IsDescribedByItsKindAndText) {
  EXPECT_EQ(describe(ExitReason{}), "normal");
  EXPECT_EQ(describe(ExitReason{ExitKind::killed, {}}), "killed");
  EXPECT_EQ(describe(ExitReason{ExitKind::crashed, "boom"}), "crashed: boom");
}

}  // namespace
}  // namespace troupe::actors
