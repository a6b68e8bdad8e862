#include "run_admission.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <rapidcheck.h>
#include <string>
#include <vector>

namespace troupe::node {
namespace {

using store::RunId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using workflow::OnConflict;
using What = RunAdmission::What;
using Decision = RunAdmission::Decision;

class Admission : public ::testing::Test {
 protected:
  Admission() { core.see({}); }

  std::vector<Decision> ask(std::uint64_t run) {
    core.know(RunId{run}, {.group = "g", .limits = limits});
    return core.decide();
  }
  std::vector<Decision> leave(std::uint64_t run) {
    core.forget(RunId{run});
    return core.decide();
  }
  static Decision decision(std::uint64_t run, What what = What::enter) {
    return {RunId{run}, what};
  }

  RunAdmission core;
  RunAdmission::Limits limits;
};

TEST_F(Admission, LetsTheNextOneInWhenOneHasEnded) {
  EXPECT_THAT(ask(1), ElementsAre(decision(1)));
  EXPECT_THAT(ask(2), IsEmpty());
  EXPECT_THAT(ask(3), IsEmpty());
  EXPECT_EQ(core.what_awaits(RunId{1}), "");
  EXPECT_EQ(core.what_awaits(RunId{3}),
            "waits for concurrency group \"g\", which r1 is in");
  // One that was cancelled meanwhile.
  EXPECT_THAT(leave(2), IsEmpty());
  EXPECT_THAT(leave(1), ElementsAre(decision(3)));
  EXPECT_EQ(core.what_awaits(RunId{3}), "");
  EXPECT_THAT(leave(1), IsEmpty());
}

TEST_F(Admission, RefusesWhoDoesNotWait) {
  limits.queue = 1;
  EXPECT_THAT(ask(1), ElementsAre(decision(1)));
  EXPECT_THAT(ask(2), IsEmpty());
  EXPECT_THAT(ask(3), ElementsAre(decision(3, What::queue_full)));
  limits.on_conflict = OnConflict::skip;
  EXPECT_THAT(ask(4), ElementsAre(decision(4, What::skip)));
  limits.on_conflict = OnConflict::fail;
  EXPECT_THAT(ask(5), ElementsAre(decision(5, What::fail)));
  EXPECT_THAT(core.decide(), IsEmpty());
  EXPECT_THAT(leave(1), ElementsAre(decision(2)));
}

TEST_F(Admission, DecidesInOrderOnceAllOfTheStartAreKnown) {
  core = {};
  EXPECT_THAT(ask(9), IsEmpty());
  core.see({{RunId{4}, false}, {RunId{2}, false}, {RunId{3}, false}});
  EXPECT_THAT(ask(4), IsEmpty());
  core.know(RunId{2}, {.group = "g", .has_begun = true});
  EXPECT_THAT(core.decide(), IsEmpty());
  EXPECT_EQ(core.what_awaits(RunId{4}), "");
  // The third is of a workflow that nobody understands any more.
  core.know(RunId{3}, {.is_ours = false});
  EXPECT_THAT(core.decide(), IsEmpty());
  EXPECT_NE(core.what_awaits(RunId{4}), "");
  EXPECT_THAT(leave(2), ElementsAre(decision(4)));
}

TEST_F(Admission, ARunThatHasEndedComesInAgainIfThereIsRoom) {
  EXPECT_TRUE(core.enter_again(RunId{1}, "g", limits));
  EXPECT_TRUE(core.enter_again(RunId{1}, "g", limits));
  EXPECT_FALSE(core.enter_again(RunId{2}, "g", limits));
  EXPECT_TRUE(core.enter_again(RunId{2}, "other", limits));
  EXPECT_THAT(leave(1), IsEmpty());
  EXPECT_THAT(ask(3), ElementsAre(decision(3)));
}

TEST_F(Admission, NamesWhoIsToMakeRoom) {
  limits.limit = 2;
  limits.on_conflict = OnConflict::cancel_running;
  (void)ask(1);
  (void)ask(2);
  EXPECT_THAT(ask(3), ElementsAre(decision(1, What::cancel)));
  EXPECT_THAT(core.decide(), IsEmpty());
  EXPECT_EQ(core.what_awaits(RunId{3}),
            "waits for concurrency group \"g\", which r1, r2 are in");
  EXPECT_THAT(ask(4), ElementsAre(decision(2, What::cancel)));
}

TEST_F(Admission, RunsOfOtherNodesStandInTheSameLine) {
  const auto know_other = [&](std::uint64_t run, bool has_begun) {
    core.know(RunId{run}, {.group = "g",
                           .limits = limits,
                           .is_ours = false,
                           .has_begun = has_begun});
  };
  know_other(1, true);
  know_other(3, false);
  EXPECT_THAT(ask(2), IsEmpty());
  EXPECT_THAT(ask(4), IsEmpty());
  EXPECT_EQ(core.what_awaits(RunId{4}),
            "waits for concurrency group \"g\", which r1 is in");
  core.see({{RunId{2}, false}, {RunId{3}, false}, {RunId{4}, false}});
  EXPECT_THAT(core.decide(), ElementsAre(decision(2)));
  // The other node lets its one in.
  EXPECT_THAT(leave(2), IsEmpty());
  EXPECT_THAT(core.decide(), IsEmpty());
  core.see({{RunId{3}, true}, {RunId{4}, false}, {RunId{5}, false}});
  EXPECT_THAT(core.unknown(), ElementsAre(RunId{5}));
  EXPECT_THAT(leave(4), IsEmpty());
  // One that another node drives wants the place of the one that it has, and
  // ours is not concerned.
  limits.on_conflict = OnConflict::cancel_running;
  know_other(5, false);
  EXPECT_THAT(core.decide(), IsEmpty());
}

TEST_F(Admission, OurRunMakesRoomForOneOfAnotherNode) {
  EXPECT_THAT(ask(1), ElementsAre(decision(1)));
  limits.on_conflict = OnConflict::cancel_running;
  core.know(RunId{2}, {.group = "g", .limits = limits, .is_ours = false});
  EXPECT_THAT(core.decide(), ElementsAre(decision(1, What::cancel)));
  EXPECT_THAT(core.decide(), IsEmpty());
}

TEST_F(Admission, OneThatWasNotLetInByTheStoreWaitsAsBefore) {
  EXPECT_THAT(ask(2), ElementsAre(decision(2)));
  core.forget(RunId{2});
  core.know(RunId{1}, {.group = "g", .is_ours = false, .has_begun = true});
  EXPECT_THAT(ask(2), IsEmpty());
  EXPECT_EQ(core.what_awaits(RunId{2}),
            "waits for concurrency group \"g\", which r1 is in");
}

/// Nodes that see what the store has now and then, and a store that lets nobody
/// in for whom there is no place.
TEST(AdmissionProperty, NeverMoreThanTheLimitAndNobodyWaitsForEver) {
  EXPECT_TRUE(rc::check([] {
    const auto below = [](std::uint64_t n) {
      return *rc::gen::resize(rc::kNominalSize,
                              rc::gen::inRange<std::uint64_t>(0, n));
    };
    struct InStore {
      RunAdmission::Run run;
      std::size_t node = 0;
      bool is_cancelled = false;
    };
    const std::uint32_t limit = 1 + static_cast<std::uint32_t>(below(3));
    std::vector<RunAdmission> nodes(3);
    std::map<RunId, InStore> open;
    std::uint64_t last = 0;
    std::map<RunId, What> refused;
    const auto in = [&] {
      return static_cast<std::uint32_t>(std::count_if(
          open.begin(), open.end(),
          [](const auto& one) { return one.second.run.has_begun; }));
    };
    const auto know = [&](std::size_t node, RunId run) {
      RunAdmission::Run what = open.at(run).run;
      what.is_ours = open.at(run).node == node;
      nodes[node].know(run, what);
    };
    const auto perform = [&](std::size_t node) {
      for (const Decision& decision : nodes[node].decide()) {
        InStore& one = open.at(decision.run);
        RC_ASSERT(one.node == node);
        switch (decision.what) {
          case What::enter:
            RC_ASSERT(!one.run.has_begun);
            if (in() < limit) {
              one.run.has_begun = true;
            } else {
              nodes[node].forget(decision.run);
              know(node, decision.run);
            }
            break;
          case What::cancel:
            RC_ASSERT(one.run.has_begun && !one.is_cancelled);
            one.is_cancelled = true;
            break;
          case What::skip:
          case What::fail:
          case What::queue_full:
            refused.emplace(decision.run, decision.what);
            open.erase(decision.run);
            nodes[node].forget(decision.run);
        }
      }
      RC_ASSERT(in() <= limit);
    };
    const auto see = [&](std::size_t node) {
      std::map<RunId, bool> all;
      for (const auto& [run, one] : open)
        all.emplace(run, one.run.has_begun);
      nodes[node].see(all);
      const auto unknown = nodes[node].unknown();
      for (const RunId run : unknown)
        know(node, run);
    };
    const auto end = [&](RunId run) {
      const std::size_t node = open.at(run).node;
      open.erase(run);
      nodes[node].forget(run);
      perform(node);
    };
    for (std::size_t node = 0; node < nodes.size(); ++node)
      see(node);
    for (std::uint64_t i = below(80); i > 0; --i) {
      const std::size_t node = below(nodes.size());
      switch (below(4)) {
        case 0: {
          const RunId run{++last};
          open[run] = {
              {.group = "g",
               .limits = {.limit = limit,
                          .queue = 4,
                          .on_conflict = static_cast<OnConflict>(below(4))}},
              node};
          know(node, run);
          // Most look at once, as a node does.
          if (below(4) != 0)
            see(node);
          perform(node);
          break;
        }
        case 1: {
          if (open.empty())
            break;
          auto some = open.begin();
          std::advance(some, below(open.size()));
          end(some->first);
          break;
        }
        default:
          see(node);
          perform(node);
      }
    }
    // From now on they look, and runs end: all have their turn.
    for (int i = 0; i < 400 && !open.empty(); ++i) {
      for (std::size_t node = 0; node < nodes.size(); ++node) {
        see(node);
        perform(node);
      }
      for (auto it = open.begin(); it != open.end(); ++it) {
        if (!it->second.run.has_begun)
          continue;
        end(it->first);
        break;
      }
    }
    RC_ASSERT(open.empty());
  }));
}

}  // namespace
}  // namespace troupe::node
