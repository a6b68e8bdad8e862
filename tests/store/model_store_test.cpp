// What Store means, by examples.
#include <troupe/store/model_store.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ModelStoreTest : public ::testing::Test {
 protected:
  ModelStoreTest() { EXPECT_TRUE(store.open_session(mine)); }

  JobId submit(std::uint64_t tasks, NewJob job = {}) {
    if (job.request_id.empty())
      job.request_id = "request " + std::to_string(++requests);
    const JobId id = store.open_job(job, now)->job;
    EXPECT_TRUE(store.append_range(id, 0, tasks));
    EXPECT_TRUE(store.seal(id, now));
    return id;
  }
  std::vector<AttemptRef> claim(std::uint32_t limit = 100) {
    std::vector<AttemptRef> attempts;
    const auto claims = store.claim(mine, "default", limit);
    for (const Claim& claim : *claims)
      attempts.push_back(claim.attempt);
    return attempts;
  }
  Recorded complete(const AttemptRef& attempt, Outcome outcome,
                    std::optional<WallTime> retry_at = {}) {
    const Completion completion{
        .attempt = attempt, .outcome = outcome, .retry_at = retry_at};
    return store.complete(mine, {&completion, 1}, now)->front();
  }
  JobState state(JobId job) { return store.job(job)->state; }

  ModelStore store;
  SessionId mine{"mine"};
  WallTime now{std::chrono::hours{1000}};
  int requests = 0;
};

TEST_F(ModelStoreTest, TheSameRequestIsTheSameJob) {
  const auto first = store.open_job({.request_id = "r"}, now);
  EXPECT_EQ(store.open_job({.request_id = "r", .name = "other"}, now),
            (Submitted{first->job, false, false}));
}

TEST_F(ModelStoreTest, AChunkThatComesTwiceIsAddedOnce) {
  const JobId job = store.open_job({.request_id = "r"}, now)->job;
  const std::vector<std::string> arguments{"a", "b"};
  EXPECT_TRUE(store.append(job, 0, arguments));
  EXPECT_TRUE(store.append(job, 0, arguments));
  EXPECT_FALSE(store.append(job, 2, arguments));
  EXPECT_EQ(store.job(job)->counts.tasks, 2U);
}

TEST_F(ModelStoreTest, NothingIsClaimedBeforeTheJobIsSealed) {
  const JobId job = store.open_job({.request_id = "r"}, now)->job;
  EXPECT_TRUE(store.append_range(job, 0, 3));
  EXPECT_THAT(claim(), IsEmpty());
  EXPECT_TRUE(store.seal(job, now));
  EXPECT_THAT(claim(), SizeIs(3));
}

TEST_F(ModelStoreTest, HigherPrioritiesAndThenOlderJobsComeFirst) {
  const JobId low = submit(1, {.priority = Priority::low});
  const JobId first = submit(1);
  const JobId second = submit(1);
  const JobId high = submit(1, {.priority = Priority::high});
  EXPECT_THAT(claim(),
              ElementsAre(AttemptRef{{high, 0}, 1}, AttemptRef{{first, 0}, 1},
                          AttemptRef{{second, 0}, 1}, AttemptRef{{low, 0}, 1}));
}

TEST_F(ModelStoreTest, AResultIsRecordedOnce) {
  submit(1);
  const AttemptRef attempt = claim()[0];
  EXPECT_EQ(complete(attempt, Outcome::success), Recorded::yes);
  EXPECT_EQ(complete(attempt, Outcome::failed), Recorded::already);
  EXPECT_EQ(store.results(attempt.task.job, 0, 9)->front().outcome,
            Outcome::success);
}

TEST_F(ModelStoreTest, WhatAnEndedSessionSaysDoesNotCount) {
  const JobId job = submit(2);
  const auto attempts = claim();
  EXPECT_EQ(complete(attempts[0], Outcome::success), Recorded::yes);
  EXPECT_EQ(store.end_session(mine, now), (SessionEnd{1, 0}));
  EXPECT_EQ(complete(attempts[1], Outcome::success), Recorded::fenced);
  EXPECT_FALSE(store.claim(mine, "default", 1));
  EXPECT_FALSE(store.open_session(mine));
  EXPECT_TRUE(store.open_session({"next"}));
  EXPECT_THAT(store.claim({"next"}, "default", 9).value(),
              ElementsAre(Claim{{{job, 1}, 2}, ""}));
}

TEST_F(ModelStoreTest, WhatMayHaveStartedAtMostOnceIsLostWithItsSession) {
  const JobId job = submit(2, {.delivery = Delivery::at_most_once});
  const auto attempts = claim();
  EXPECT_THAT(*store.start(mine, {attempts.data(), 1}), ElementsAre(true));
  EXPECT_EQ(store.end_session(mine, now), (SessionEnd{1, 1}));
  EXPECT_EQ(store.job(job)->counts.lost, 1U);
}

TEST_F(ModelStoreTest, ARetryWaitsForItsTimeAndComesFirstInItsJob) {
  const JobId job = submit(3);
  const AttemptRef first = claim(1)[0];
  EXPECT_EQ(complete(first, Outcome::failed, now + 1min), Recorded::yes);
  EXPECT_EQ(complete(first, Outcome::failed, now + 1min), Recorded::already);
  EXPECT_EQ(claim(1)[0], (AttemptRef{{job, 1}, 1}));
  EXPECT_EQ(store.next_wake().value(), now + 1min);
  EXPECT_EQ(store.wake(now + 59s, 9), 0U);
  EXPECT_EQ(store.wake(now + 1min, 9), 1U);
  EXPECT_EQ(claim(1)[0], (AttemptRef{{job, 0}, 2}));
}

TEST_F(ModelStoreTest, AJobWaitsForThoseThatItNeeds) {
  const JobId first = submit(1);
  const JobId second = submit(1, {.needs = {{first, When::succeeded}}});
  const JobId third = submit(1, {.needs = {{second, When::succeeded}}});
  const JobId last = submit(1, {.needs = {{third, When::finished}}});
  EXPECT_EQ(state(second), JobState::blocked);
  const auto attempts = claim();
  EXPECT_THAT(attempts, SizeIs(1));
  complete(attempts[0], Outcome::failed);
  EXPECT_EQ(state(first), JobState::failed);
  EXPECT_EQ(state(second), JobState::skipped);
  EXPECT_EQ(state(third), JobState::skipped);
  EXPECT_EQ(state(last), JobState::queued);
}

TEST_F(ModelStoreTest, CancellingEndsWhatWaitsAndNamesWhatRuns) {
  const JobId job = submit(3);
  const AttemptRef running = claim(1)[0];
  EXPECT_THAT(*store.cancel(job, now), ElementsAre(running));
  EXPECT_EQ(store.job(job)->counts.cancelled, 2U);
  EXPECT_EQ(state(job), JobState::running);
  // It would have been tried again.
  complete(running, Outcome::failed, now + 1min);
  EXPECT_EQ(state(job), JobState::cancelled);
  EXPECT_EQ(store.job(job)->counts.cancelled, 3U);
}

TEST_F(ModelStoreTest, RetryingAJobTakesUpWhatDidNotSucceed) {
  const JobId job = submit(4);
  const auto attempts = claim(2);
  complete(attempts[0], Outcome::success);
  complete(attempts[1], Outcome::failed);
  EXPECT_TRUE(store.cancel(job, now));
  EXPECT_EQ(state(job), JobState::failed);
  EXPECT_EQ(store.retry(job), 3U);
  EXPECT_THAT(claim(),
              ElementsAre(AttemptRef{{job, 1}, 2}, AttemptRef{{job, 2}, 1},
                          AttemptRef{{job, 3}, 1}));
}

TEST_F(ModelStoreTest, HoldingKeepsFromBeingClaimed) {
  const JobId job = submit(1);
  EXPECT_TRUE(store.hold(job, true));
  EXPECT_EQ(state(job), JobState::held);
  EXPECT_THAT(claim(), IsEmpty());
  EXPECT_TRUE(store.hold(job, false));
  EXPECT_TRUE(store.set_group({"default", 1, true}));
  EXPECT_THAT(claim(), IsEmpty());
  EXPECT_THAT(*store.groups_with_work(), IsEmpty());
}

}  // namespace
}  // namespace troupe::store
