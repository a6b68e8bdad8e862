#include "tree_log.hpp"

#include <gtest/gtest.h>

namespace troupe::node {
namespace {

using supervisor::ReportKind;

TEST(TreeLog, TellsWhichActorHasEndedAndWhy) {
  EXPECT_EQ(log_text({.kind = ReportKind::child_terminated,
                      .supervisor = "node",
                      .child = "runs",
                      .reason = {actors::ExitKind::crashed, "out of range"},
                      .restarts = 1}),
            "actor_ended actor=runs restarts=1 reason='crashed: out of range'");
}

TEST(TreeLog, TellsThatASupervisorHasGivenUp) {
  EXPECT_EQ(log_text({.kind = ReportKind::gave_up, .supervisor = "node"}),
            "supervisor_gave_up supervisor=node");
}

TEST(TreeLog, SaysNothingOfWhatGoesAsItShould) {
  EXPECT_EQ(log_text({.kind = ReportKind::started, .supervisor = "node"}),
            std::nullopt);
}

}  // namespace
}  // namespace troupe::node
