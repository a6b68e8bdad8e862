// What ClusterStore means, by examples.
#include "cluster_store_test.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <string>
#include <vector>

namespace troupe::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// -- Sessions -----------------------------------------------------------------

TEST_P(ClusterStoreTest, ARegistrationThatIsRepeatedChangesNothing) {
  submit(1);
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  EXPECT_EQ(renew("a1"), Renewed::live);
  const auto held = claim_as("a1");
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  EXPECT_EQ(cluster().sessions()->front().counter, 1U);
  EXPECT_EQ(complete_as("a1", held.at(0)), Recorded::yes);
}

TEST_P(ClusterStoreTest, WhatASessionTellsOfItselfIsWhatItHasToldLast) {
  NewSession session{.session = {"a1"}, .node = "a", .detail = "here"};
  EXPECT_EQ(*cluster().register_session(session, now), Registered::yes);
  session.detail = "there";
  EXPECT_EQ(*cluster().register_session(session, now), Registered::yes);
  EXPECT_EQ(cluster().sessions()->front().session.detail, "there");
  EXPECT_TRUE(store->end_session({"a1"}, now));
  EXPECT_EQ(*cluster().register_session(session, now), Registered::ended);
}

TEST_P(ClusterStoreTest, EndedSessionsOfANodeAreForgottenAfterADay) {
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  EXPECT_EQ(begin("b1", "b", 1), Registered::yes);
  EXPECT_EQ(begin("a2", "a", 2), Registered::yes);
  now += session_memory;
  EXPECT_EQ(begin("a3", "a", 3), Registered::yes);
  EXPECT_EQ(begin("a1", "a", 1), Registered::ended);
  now += 1s;
  EXPECT_EQ(begin("a4", "a", 4), Registered::yes);
  // Nobody knows it any more, and there is a later one.
  EXPECT_EQ(begin("a1", "a", 1), Registered::late);
  EXPECT_THAT(sessions(), ElementsAre("a4", "b1"));
}

TEST_P(ClusterStoreTest, ALaterSessionOfANodeEndsTheOnesBefore) {
  const JobId job = submit(2);
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  EXPECT_EQ(begin("b1", "b", 1), Registered::yes);
  const auto held = claim_as("a1");
  EXPECT_EQ(begin("a2", "a", 2), Registered::yes);
  EXPECT_THAT(sessions(), ElementsAre("a2", "b1"));
  EXPECT_EQ(renew("a1"), Renewed::ended);
  EXPECT_EQ(complete_as("a1", held.at(0)), Recorded::fenced);
  EXPECT_EQ(store->claim({"a1"}, {"default"}, 1).error().code,
            Errc::permission_denied);
  EXPECT_EQ(store->job(job)->counts.retrying, 2U);
  EXPECT_EQ(begin("a1", "a", 1), Registered::ended);
}

TEST_P(ClusterStoreTest, WhatCameTooLateIsKeptWithTheAttemptThatWasLost) {
  const JobId job = submit(1);
  const JobId once = submit(1, {.delivery = Delivery::at_most_once});
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  const auto held = claim_as("a1");
  ASSERT_EQ(held.size(), 2U);
  EXPECT_TRUE(store->start({"a1"}, held)->at(1));
  const std::vector<LateResult> early{{held[0], "too early"}};
  EXPECT_TRUE(store->keep_late({"a1"}, early));
  EXPECT_TRUE(store->end_session({"a1"}, now));
  std::vector<TaskResult> before{store->attempts({job, 0})->at(0),
                                 store->attempts({once, 0})->at(0)};
  std::vector<LateResult> late{{held[0], "first"}, {held[1], "first"}};
  EXPECT_TRUE(store->keep_late({"a1"}, late));
  for (LateResult& one : late)
    one.detail = "second";
  EXPECT_TRUE(store->keep_late({"a1"}, late)) << "may be repeated";
  for (TaskResult& one : before) {
    EXPECT_EQ(one.outcome, Outcome::lost);
    EXPECT_EQ(one.exit_status, unknown_exit_status);
    one.detail = "first";
  }
  EXPECT_EQ(store->attempts({job, 0})->at(0), before[0]);
  EXPECT_EQ(store->attempts({once, 0})->at(0), before[1]);
  EXPECT_EQ(store->job(once)->counts.lost, 1U);
  EXPECT_EQ(store->task({job, 0})->state, TaskState::waiting);
}

TEST_P(ClusterStoreTest, ARegistrationThatComesLateEndsNobody) {
  EXPECT_EQ(begin("a2", "a", 2), Registered::yes);
  EXPECT_EQ(begin("a1", "a", 1), Registered::late);
  EXPECT_EQ(begin("copy", "a", 2), Registered::late);
  EXPECT_EQ(renew("a2"), Renewed::live);
  // Also when that one has ended.
  EXPECT_TRUE(store->end_session({"a2"}, now));
  EXPECT_EQ(begin("a1", "a", 1), Registered::late);
  EXPECT_EQ(begin("a3", "a", 3), Registered::yes);
}

TEST_P(ClusterStoreTest, ASessionThatHasLeftBeforeItCameDoesNotBegin) {
  EXPECT_TRUE(store->end_session({"a1"}, now));
  EXPECT_EQ(begin("a1", "a", 1), Registered::ended);
  EXPECT_THAT(sessions(), IsEmpty());
}

TEST_P(ClusterStoreTest, ARenewalCountsUpAndDrainingIsForGood) {
  const NewSession begun{
      .session = {"a1"}, .node = "a", .detail = std::string("x\0y", 3)};
  EXPECT_TRUE(cluster().register_session(begun, now));
  EXPECT_EQ(renew("a1"), Renewed::live);
  now += 7s;
  EXPECT_EQ(renew("a1", /*is_draining=*/true), Renewed::draining);
  EXPECT_EQ(renew("a1"), Renewed::draining);
  const SessionInfo seen{
      .session = begun, .counter = 3, .is_draining = true, .seen = now};
  EXPECT_THAT(*cluster().sessions(), ElementsAre(seen));
  EXPECT_EQ(renew("unknown"), Renewed::ended);
}

TEST_P(ClusterStoreTest, AnEvictionIsRefusedOnceTheCounterHasMoved) {
  const JobId job = submit(1);
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  claim_as("a1");
  EXPECT_EQ(renew("a1"), Renewed::live);
  EXPECT_EQ(*cluster().evict({"a1"}, 0, now), std::nullopt);
  EXPECT_EQ(store->job(job)->counts.running, 1U);
  EXPECT_EQ(*cluster().evict({"a1"}, 1, now), (SessionEnd{1, 0}));
  EXPECT_EQ(renew("a1"), Renewed::ended);
  // Another janitor, or the same once more.
  EXPECT_EQ(*cluster().evict({"a1"}, 1, now), std::nullopt);
  EXPECT_EQ(*cluster().evict({"unknown"}, 0, now), std::nullopt);
  EXPECT_EQ(store->job(job)->counts.retrying, 1U);
}

TEST_P(ClusterStoreTest, WhatAnEvictedSessionHasStartedAtMostOnceIsLost) {
  const JobId job = submit(3, {.delivery = Delivery::at_most_once});
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  const auto held = claim_as("a1");
  EXPECT_TRUE(store->start({"a1"}, {&held[1], 1})->front());
  EXPECT_EQ(*cluster().evict({"a1"}, 0, now), (SessionEnd{2, 1}));
  // How it ended comes too late, and changes nothing.
  EXPECT_EQ(complete_as("a1", held[1]), Recorded::fenced);
  EXPECT_EQ(store->task(held[1].task)->result->outcome, Outcome::lost);
  EXPECT_EQ(begin("b1", "b", 1), Registered::yes);
  EXPECT_THAT(claim_as("b1"), SizeIs(2));
  EXPECT_EQ(store->job(job)->counts.lost, 1U);
}

TEST_P(ClusterStoreTest, WhatEndsWithASessionHasAnUnknownStatusAndSaysWhose) {
  const JobId once = submit(1, {.delivery = Delivery::at_most_once});
  const JobId unwanted = submit(1);
  const JobId again = submit(1);
  EXPECT_TRUE(cluster().register_session(
      {.session = {"a1"}, .node = "a", .incarnation = 1, .detail = "whose"},
      now));
  const auto held = claim_as("a1");
  ASSERT_THAT(held, SizeIs(3));
  EXPECT_TRUE(store->start({"a1"}, {held.data(), 1})->front());
  EXPECT_TRUE(store->cancel(unwanted, now));
  EXPECT_TRUE(*cluster().evict({"a1"}, 0, now));
  const auto check_end = [&](JobId job, Outcome outcome) {
    const auto attempts = store->attempts({job, 0});
    ASSERT_THAT(*attempts, SizeIs(1));
    EXPECT_EQ(attempts->front().outcome, outcome);
    EXPECT_EQ(attempts->front().exit_status, unknown_exit_status);
    EXPECT_EQ(attempts->front().detail, "whose");
  };
  check_end(once, Outcome::lost);
  check_end(unwanted, Outcome::cancelled);
  check_end(again, Outcome::lost);
}

TEST_P(ClusterStoreTest, ASessionOfNoNodeIsNotEvicted) {
  EXPECT_THAT(sessions(), IsEmpty());
  EXPECT_EQ(*cluster().evict(mine, 0, now), std::nullopt);
  EXPECT_THAT(*store->open_sessions(), ElementsAre(mine));
}

TEST_P(ClusterStoreTest, ASessionKeepsItsBounds) {
  const auto code = [&](const NewSession& session) {
    return cluster().register_session(session, now).error().code;
  };
  const std::string long_id(longest_id + 1, 'x');
  EXPECT_EQ(code({.session = {""}, .node = "a"}), Errc::invalid_argument);
  EXPECT_EQ(code({.session = {"s"}, .node = ""}), Errc::invalid_argument);
  EXPECT_EQ(code({.session = {"s"}, .node = long_id}), Errc::invalid_argument);
  EXPECT_EQ(code({.session = {"s"}, .node = "a", .incarnation = 0}),
            Errc::invalid_argument);
  EXPECT_EQ(code({.session = {"s"},
                  .node = "a",
                  .detail = std::string(largest_session_detail + 1, 'x')}),
            Errc::invalid_argument);
  EXPECT_THAT(sessions(), IsEmpty());
}

// -- Claims -------------------------------------------------------------------

TEST_P(ClusterStoreTest, WhatIsSaidOfAnEarlierClaimDoesNotTouchALaterOne) {
  const JobId job = submit(1);
  const AttemptRef first = claim().at(0);
  EXPECT_TRUE(store->release(mine, {&first, 1}));
  const AttemptRef second = claim().at(0);
  EXPECT_EQ(second.attempt, first.attempt);
  EXPECT_GT(second.claim, first.claim);
  // The first release comes a second time, and so on.
  EXPECT_TRUE(store->release(mine, {&first, 1}));
  EXPECT_FALSE(store->start(mine, {&first, 1})->front());
  EXPECT_EQ(complete(first, Outcome::failed), Recorded::fenced);
  const auto held = store->claimed_by(mine);
  ASSERT_THAT(*held, SizeIs(1));
  EXPECT_EQ(held->front().attempt, second);
  EXPECT_THAT(*store->cancel(job, now), ElementsAre(second));
  EXPECT_EQ(complete(second, Outcome::success), Recorded::yes);
  EXPECT_EQ(complete(second, Outcome::success), Recorded::already);
}

TEST_P(ClusterStoreTest, AJobIsFoundInEachOfItsShardsAndItsTasksOnce) {
  const JobId both = submit(4, {.shards = {7, 3}});
  const JobId one = submit(1, {.shards = {3}});
  EXPECT_EQ(store->job(both)->job.shards, (std::vector<std::uint32_t>{7, 3}));
  EXPECT_THAT(claim_as("mine"), IsEmpty());
  const QueueHead in_3{
      {.group = "default", .shard = 3}, Priority::normal, both};
  const QueueHead in_7{
      {.group = "default", .shard = 7}, Priority::normal, both};
  EXPECT_THAT(*store->queues(), ElementsAre(in_3, in_7));
  const auto some = store->claim(mine, in_7.queue, 3);
  EXPECT_THAT(*some, SizeIs(3));
  const auto rest = claim_as("mine", 3);
  ASSERT_THAT(rest, SizeIs(2));
  EXPECT_EQ(rest[0].task, (TaskRef{both, 3}));
  EXPECT_EQ(rest[1].task.job, one);
  EXPECT_THAT(*store->queues(), IsEmpty());
  // What is given back is found in all of them again.
  EXPECT_TRUE(store->release(mine, {rest.data(), 1}));
  EXPECT_THAT(*store->queues(), ElementsAre(in_3, in_7));
  EXPECT_TRUE(store->hold(both, true));
  EXPECT_THAT(*store->queues(), IsEmpty());
}

TEST_P(ClusterStoreTest, SlotsOfAGroupCanHoldOverAllSessions) {
  EXPECT_TRUE(store->set_group({.name = "g", .slots = 3}));
  const JobId job = submit(6, {.group = "g", .shards = {0, 7}});
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  EXPECT_EQ(begin("b1", "b", 1), Registered::yes);
  const auto claim = [&](const char* session, std::uint32_t shard) {
    return store->claim_within_slots({session}, {.group = "g", .shard = shard},
                                     2);
  };
  const auto first = claim("a1", 0);
  EXPECT_THAT(*first, SizeIs(2));
  EXPECT_THAT(*claim("b1", 7), SizeIs(1));
  EXPECT_THAT(*claim("a1", 0), IsEmpty());
  EXPECT_THAT(*store->claims_in("g"),
              ElementsAre(std::pair{SessionId{"a1"}, std::uint64_t{2}},
                          std::pair{SessionId{"b1"}, std::uint64_t{1}}));
  EXPECT_EQ(complete_as("a1", first->at(0).attempt), Recorded::yes);
  EXPECT_THAT(*claim("b1", 0), SizeIs(1));
  // With fewer slots what has begun goes on, and nothing follows.
  EXPECT_TRUE(store->set_group({.name = "g", .slots = 2}));
  EXPECT_EQ(complete_as("a1", first->at(1).attempt), Recorded::yes);
  EXPECT_THAT(*claim("a1", 0), IsEmpty());
  // An eviction frees what the session had.
  EXPECT_TRUE(*cluster().evict({"b1"}, 0, now));
  EXPECT_THAT(*store->claims_in("g"), IsEmpty());
  EXPECT_THAT(*claim("a1", 7), SizeIs(2));
  EXPECT_EQ(store->job(job)->counts.running, 2U);
  // Whoever counts for itself is not bounded, and is counted.
  EXPECT_THAT(*store->claim({"a1"}, {"g"}, 1), SizeIs(1));
  EXPECT_EQ(store->claim_within_slots({"a1"}, {"none"}, 1).error().code,
            Errc::not_found);
  EXPECT_EQ(store->claim_within_slots({"none"}, {"g"}, 1).error().code,
            Errc::permission_denied);
}

TEST_P(ClusterStoreTest, QueuesCanBeListedByTheirShards) {
  submit(1);
  EXPECT_TRUE(store->set_group({.name = "g"}));
  EXPECT_TRUE(store->set_group({.name = "held", .is_held = true}));
  submit(1, {.group = "held", .shards = {1}});
  submit(1, {.group = "g", .resources = "gpu=1", .shards = {4}});
  submit(1, {.group = "g", .shards = {4}});
  submit(1, {.priority = Priority::high, .shards = {4, 9}});
  const auto names = [](const Result<std::vector<QueueHead>>& heads) {
    std::vector<std::string> all;
    for (const QueueHead& head : *heads)
      all.push_back(std::to_string(head.queue.shard) + " " + head.queue.group +
                    " " + head.queue.resources);
    return all;
  };
  const std::vector<std::uint32_t> shards{4, 1, 5};
  EXPECT_THAT(names(store->queues_of(shards)),
              ElementsAre("4 default ", "4 g ", "4 g gpu=1"));
  EXPECT_THAT(names(store->queues_of({})), IsEmpty());
  EXPECT_THAT(names(store->queues_from(1, 9)),
              ElementsAre("4 default ", "4 g ", "4 g gpu=1", "9 default "));
  EXPECT_THAT(names(store->queues_from(0, 2)),
              ElementsAre("0 default ", "4 default "));
  EXPECT_THAT(names(store->queues_from(10, 2)), IsEmpty());
}

TEST_P(ClusterStoreTest, ShardsKeepTheirBounds) {
  std::vector<std::uint32_t> many(most_shards + 1);
  std::iota(many.begin(), many.end(), 0);
  EXPECT_EQ(
      store->open_job({.request_id = "r", .shards = many}, now).error().code,
      Errc::invalid_argument);
  const auto twice =
      store->open_job({.request_id = "r", .shards = {2, 5, 2}}, now);
  EXPECT_EQ(twice.error().what, "shard 2 is named twice");
  many.pop_back();
  EXPECT_TRUE(store->open_job({.request_id = "r", .shards = many}, now));
}

// -- Views --------------------------------------------------------------------

TEST_P(ClusterStoreTest, OfTwoViewsWithOneNumberTheFirstIsTaken) {
  EXPECT_EQ(*cluster().view(), AgreedView{});
  const AgreedView first{1, std::string("a\0b", 3)};
  EXPECT_EQ(*cluster().propose(first), first);
  EXPECT_EQ(*cluster().propose({1, "other"}), first);
  EXPECT_EQ(*cluster().propose({3, "too early"}), first);
  EXPECT_EQ(*cluster().propose({0, "too late"}), first);
  EXPECT_EQ(*cluster().propose({2, "next"}), (AgreedView{2, "next"}));
  EXPECT_EQ(cluster().view()->what, "next");
  EXPECT_EQ(cluster().renew(mine, false, now)->view, 2U);
  EXPECT_EQ(
      cluster().propose({3, std::string(largest_view + 1, 'x')}).error().code,
      Errc::invalid_argument);
}

// -- The roster ---------------------------------------------------------------

TEST_P(ClusterStoreTest, TheRosterWithTheGreatestNumberIsKept) {
  EXPECT_EQ(*cluster().roster_after(0), std::nullopt);
  const KnownRoster second{20, std::string("a\0b", 3)};
  EXPECT_TRUE(cluster().set_roster(second));
  EXPECT_EQ(*cluster().roster_after(0), second);
  EXPECT_EQ(*cluster().roster_after(20), std::nullopt);
  EXPECT_TRUE(cluster().set_roster({10, "of before"}));
  EXPECT_TRUE(cluster().set_roster({20, "another one"}));
  EXPECT_EQ(*cluster().roster_after(19), second);
  EXPECT_TRUE(cluster().set_roster({21, "next"}));
  EXPECT_EQ(*cluster().roster_after(20), (KnownRoster{21, "next"}));
  EXPECT_EQ(cluster()
                .set_roster({22, std::string(largest_roster + 1, 'x')})
                .error()
                .code,
            Errc::invalid_argument);
}

// -- Tasks --------------------------------------------------------------------

TEST_P(ClusterStoreTest, NobodyHadATaskOfAJobThatWasForgotten) {
  const JobId job = submit(1);
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  const auto held = claim_as("a1");
  EXPECT_EQ(complete_as("a1", held.at(0)), Recorded::yes);
  EXPECT_EQ(complete_as("a1", held.at(0)), Recorded::already);
  EXPECT_TRUE(store->forget(job));
  EXPECT_EQ(complete_as("a1", held.at(0)), Recorded::fenced);
}

TEST_P(ClusterStoreTest, ATaskSaysWhichSessionHasIt) {
  const JobId job = submit(1);
  EXPECT_EQ(begin("a1", "a", 1), Registered::yes);
  EXPECT_EQ(store->task({job, 0})->session, SessionId{});
  const auto held = claim_as("a1");
  EXPECT_EQ(store->task({job, 0})->session, SessionId{"a1"});
  EXPECT_EQ(complete_as("a1", held.at(0)), Recorded::yes);
  EXPECT_EQ(store->task({job, 0})->session, SessionId{});
}

}  // namespace
}  // namespace troupe::store
