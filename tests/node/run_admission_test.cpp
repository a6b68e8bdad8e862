#include "run_admission.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace troupe::node {
namespace {

using store::RunId;
using What = workflow::ConcurrencyGroups::Decision;
using Runs = std::vector<RunId>;

class Admission : public ::testing::Test {
 protected:
  std::vector<RunAdmission::Decision> ask(std::uint64_t run) {
    return core.ask(RunId{run}, "g", limits);
  }
  /// The decision about the one run that has one.
  What decision(std::uint64_t run) {
    const auto decisions = ask(run);
    EXPECT_EQ(decisions.size(), 1U);
    return decisions.at(0).what;
  }

  RunAdmission core;
  RunAdmission::Limits limits;
};

TEST_F(Admission, LetsTheNextOneInWhenOneHasEnded) {
  EXPECT_TRUE(core.expect({}).empty());
  EXPECT_EQ(decision(1), What::enter);
  EXPECT_EQ(decision(2), What::wait);
  EXPECT_EQ(decision(3), What::wait);
  EXPECT_EQ(core.what_awaits(RunId{1}), "");
  EXPECT_EQ(core.what_awaits(RunId{3}),
            "waits for concurrency group \"g\", which r1 is in");
  // One that was cancelled meanwhile.
  EXPECT_EQ(core.leave(RunId{2}), Runs{});
  EXPECT_EQ(core.leave(RunId{1}), Runs{RunId{3}});
  EXPECT_EQ(core.what_awaits(RunId{3}), "");
  EXPECT_EQ(core.leave(RunId{1}), Runs{});
}

TEST_F(Admission, DecidesInOrderOnceAllOfTheStartAreKnown) {
  EXPECT_TRUE(ask(9).empty());
  EXPECT_TRUE(core.expect({RunId{4}, RunId{2}, RunId{3}}).empty());
  EXPECT_TRUE(ask(4).empty());
  EXPECT_TRUE(core.on_known(RunId{4}).empty());
  core.restore(RunId{2}, "g");
  core.restore(RunId{2}, "g");
  EXPECT_TRUE(core.on_known(RunId{2}).empty());
  EXPECT_TRUE(core.on_known(RunId{2}).empty());
  // The third is of a workflow that nobody understands any more.
  const auto decisions = core.on_known(RunId{3});
  ASSERT_EQ(decisions.size(), 2U);
  EXPECT_EQ(decisions[0].run, RunId{4});
  EXPECT_EQ(decisions[0].what, What::wait);
  EXPECT_EQ(decisions[1].run, RunId{9});
  EXPECT_EQ(core.leave(RunId{2}), Runs{RunId{4}});
}

TEST_F(Admission, ARunThatHasEndedComesInAgainIfThereIsRoom) {
  (void)core.expect({});
  EXPECT_TRUE(core.enter_again(RunId{1}, "g", limits));
  EXPECT_TRUE(core.enter_again(RunId{1}, "g", limits));
  EXPECT_FALSE(core.enter_again(RunId{2}, "g", limits));
  EXPECT_TRUE(core.enter_again(RunId{2}, "other", limits));
  EXPECT_EQ(core.leave(RunId{1}), Runs{});
  EXPECT_EQ(decision(3), What::enter);
}

TEST_F(Admission, NamesWhoIsToMakeRoom) {
  (void)core.expect({});
  limits.limit = 2;
  limits.on_conflict = workflow::OnConflict::cancel_running;
  (void)ask(1);
  (void)ask(2);
  const auto decisions = ask(3);
  ASSERT_EQ(decisions.size(), 1U);
  EXPECT_EQ(decisions[0].what, What::wait);
  EXPECT_EQ(decisions[0].cancel, Runs{RunId{1}});
  EXPECT_EQ(core.what_awaits(RunId{3}),
            "waits for concurrency group \"g\", which r1, r2 are in");
}

}  // namespace
}  // namespace troupe::node
