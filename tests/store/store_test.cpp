// What Store means, by examples.
#include "store_test.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_P(StoreTest, TheSameRequestIsTheSameJob) {
  const auto first = store->open_job({.request_id = "r"}, now);
  EXPECT_EQ(store->open_job({.request_id = "r", .name = "other"}, now),
            (Submitted{first->job, false, false}));
}

TEST_P(StoreTest, AChunkThatComesTwiceIsAddedOnce) {
  const JobId job = store->open_job({.request_id = "r"}, now)->job;
  const std::vector<std::string> arguments{"a", "b"};
  EXPECT_TRUE(store->append(job, 0, arguments));
  EXPECT_TRUE(store->append(job, 0, arguments));
  EXPECT_FALSE(store->append(job, 2, arguments));
  EXPECT_EQ(store->job(job)->counts.tasks, 2U);
}

TEST_P(StoreTest, NothingIsClaimedBeforeTheJobIsSealed) {
  const JobId job = store->open_job({.request_id = "r"}, now)->job;
  EXPECT_TRUE(store->append_range(job, 0, 3));
  EXPECT_THAT(claim(), IsEmpty());
  EXPECT_TRUE(store->seal(job, now));
  EXPECT_THAT(claim(), SizeIs(3));
}

TEST_P(StoreTest, ARunIsItsEventsInOrder) {
  const RunId run = store->open_run({.request_id = "a", .spec = "x"}, now)->run;
  EXPECT_EQ(store->open_run({.request_id = "a"}, now),
            (SubmittedRun{run, false}));
  const RunEvent first{.number = 0, .what = "begun", .at = now};
  const RunEvent last{.number = 1, .what = "over", .at = now + 1s};
  EXPECT_EQ(store->add_event(run, first, RunState::running, {3, 0, 0}), true);
  EXPECT_FALSE(store->add_event(run, {.number = 2}, RunState::running, {}));
  EXPECT_EQ(store->add_event(run, last, RunState::failed, {3, 3, 1}), true);
  EXPECT_THAT(*store->events(run, 0, 9), ElementsAre(first, last));
  EXPECT_EQ(store->run(run)->ended, now + 1s);
  EXPECT_EQ(store->run(run)->counts, (RunCounts{3, 3, 1}));
}

TEST_P(StoreTest, AnEventThatComesTwiceIsRecordedOnce) {
  const RunId run = store->open_run({.request_id = "a"}, now)->run;
  const RunEvent event{.number = 0, .what = "begun", .at = now};
  EXPECT_EQ(store->add_event(run, event, RunState::running, {}), true);
  EXPECT_EQ(store->add_event(run, {.number = 0, .what = "other"},
                             RunState::failed, {}),
            false);
  EXPECT_THAT(*store->events(run, 0, 9), ElementsAre(event));
  EXPECT_EQ(store->run(run)->state, RunState::running);
}

TEST_P(StoreTest, TheNameOfARunMayHaveItsNumber) {
  (void)store->open_run({.request_id = "r-1", .name = "one"}, now);
  const std::string mark{run_number_mark};
  const auto run = store->open_run(
      {.request_id = "r-2", .name = "n" + mark + " or " + mark}, now);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->run, RunId{2});
  EXPECT_EQ(store->run(run->run)->run.name, "n2 or 2");
}

TEST_P(StoreTest, ARunThatHasEndedCanGoOn) {
  const RunId run = store->open_run({.request_id = "a"}, now)->run;
  EXPECT_TRUE(
      store->add_event(run, {.number = 0, .at = now}, RunState::failed, {}));
  EXPECT_THAT(*store->runs({.set = RunSet::unended}, 9), IsEmpty());
  EXPECT_TRUE(
      store->add_event(run, {.number = 1, .at = now}, RunState::running, {}));
  EXPECT_THAT(*store->runs({.set = RunSet::unended}, 9), SizeIs(1));
  EXPECT_EQ(store->run(run)->ended, std::nullopt);
  EXPECT_EQ(store->count_ended_runs(), 0U);
}

TEST_P(StoreTest, JobsOfARunAreForgottenWithIt) {
  const RunId run = store->open_run({.request_id = "a"}, now)->run;
  const JobId other = submit(1);
  const JobId job = submit(1, {.run = run});
  for (const AttemptRef& attempt : claim())
    complete(attempt, Outcome::failed);
  EXPECT_FALSE(store->forget(job));
  EXPECT_FALSE(store->retry(job, Retry::failed));
  EXPECT_EQ(store->count_ended(), 1U);
  EXPECT_THAT(*store->oldest_ended(JobSet::all, 9), ElementsAre(other));
  EXPECT_EQ(store->forget_run(run).error().what, "it has not ended");
  EXPECT_TRUE(store->add_event(run, {.number = 0}, RunState::failed, {}));
  EXPECT_THAT(*store->forget_run(run), ElementsAre(job));
  EXPECT_FALSE(store->job(job));
  EXPECT_FALSE(store->run(run));
  EXPECT_THAT(*store->jobs({}, 9), SizeIs(1));
}

TEST_P(StoreTest, ForgottenAreThoseThatAreNotThereAlthoughANewerOneIs) {
  const std::vector<JobId> all{JobId{1}, JobId{2}, JobId{3}, JobId{4},
                               JobId{5}};
  EXPECT_THAT(*store->forgotten(all), IsEmpty());
  for (int i = 0; i < 4; ++i)
    submit(1);
  EXPECT_THAT(*store->forgotten(all), IsEmpty());
  for (const JobId job : {JobId{1}, JobId{3}, JobId{4}}) {
    EXPECT_TRUE(store->cancel(job, now));
    EXPECT_TRUE(store->forget(job));
  }
  EXPECT_THAT(*store->forgotten(all), ElementsAre(JobId{1}));
  submit(1);
  EXPECT_THAT(*store->forgotten(all),
              ElementsAre(JobId{1}, JobId{3}, JobId{4}));
  EXPECT_THAT(*store->forgotten({}), IsEmpty());
}

TEST_P(StoreTest, ForgottenRunsAreToldLikeJobs) {
  const std::vector<RunId> all{RunId{1}, RunId{2}, RunId{3}, RunId{4}};
  EXPECT_THAT(*store->forgotten_runs(all), IsEmpty());
  for (const char* const name : {"a", "b", "c"})
    EXPECT_TRUE(store->open_run({.request_id = name}, now));
  EXPECT_THAT(*store->forgotten_runs(all), IsEmpty());
  for (const RunId run : {RunId{1}, RunId{3}}) {
    EXPECT_TRUE(store->add_event(run, {.number = 0}, RunState::failed, {}));
    EXPECT_TRUE(store->forget_run(run));
  }
  EXPECT_THAT(*store->forgotten_runs(all), ElementsAre(RunId{1}));
  EXPECT_TRUE(store->open_run({.request_id = "d"}, now));
  EXPECT_THAT(*store->forgotten_runs(all), ElementsAre(RunId{1}, RunId{3}));
}

TEST_P(StoreTest, JobsAreListedByRun) {
  const RunId run = store->open_run({.request_id = "a"}, now)->run;
  const JobId other = submit(1);
  const JobId job = submit(1, {.run = run});
  EXPECT_EQ(store->jobs({.run = RunId{}}, 9)->front().id, other);
  EXPECT_EQ(store->jobs({.run = run}, 9)->front().id, job);
  EXPECT_THAT(*store->jobs({}, 9), SizeIs(2));
  EXPECT_FALSE(store->open_job({.request_id = "r", .run = RunId{9}}, now));
}

TEST_P(StoreTest, HigherPrioritiesAndThenOlderJobsComeFirst) {
  const JobId low = submit(1, {.priority = Priority::low});
  const JobId first = submit(1);
  const JobId second = submit(1);
  const JobId high = submit(1, {.priority = Priority::high});
  EXPECT_THAT(claim_names(),
              ElementsAre(AttemptRef{{high, 0}, 1}, AttemptRef{{first, 0}, 1},
                          AttemptRef{{second, 0}, 1}, AttemptRef{{low, 0}, 1}));
}

TEST_P(StoreTest, AResultIsRecordedOnce) {
  submit(1);
  const AttemptRef attempt = claim()[0];
  EXPECT_EQ(complete(attempt, Outcome::success), Recorded::yes);
  EXPECT_EQ(complete(attempt, Outcome::failed), Recorded::already);
  EXPECT_EQ(store->results(attempt.task.job, 0, 9)->front().outcome,
            Outcome::success);
}

TEST_P(StoreTest, WhatAnEndedSessionSaysDoesNotCount) {
  const JobId job = submit(2);
  const auto attempts = claim();
  EXPECT_EQ(complete(attempts[0], Outcome::success), Recorded::yes);
  EXPECT_EQ(store->end_session(mine, now), (SessionEnd{1, 0}));
  EXPECT_EQ(complete(attempts[1], Outcome::success), Recorded::fenced);
  EXPECT_FALSE(store->claim(mine, {"default"}, 1));
  EXPECT_FALSE(store->open_session(mine));
  EXPECT_TRUE(store->open_session({"next"}));
  EXPECT_THAT(store->claim({"next"}, {"default"}, 9).value(),
              ElementsAre(Claim{.attempt = {{job, 1}, 2, 2}, .losses = 1}));
}

TEST_P(StoreTest, WhatMayHaveStartedAtMostOnceIsLostWithItsSession) {
  const JobId job = submit(2, {.delivery = Delivery::at_most_once});
  const auto attempts = claim();
  EXPECT_THAT(*store->start(mine, {attempts.data(), 1}), ElementsAre(true));
  EXPECT_EQ(store->end_session(mine, now), (SessionEnd{1, 1}));
  EXPECT_EQ(store->job(job)->counts.lost, 1U);
}

TEST_P(StoreTest, ARetryWaitsForItsTimeAndComesFirstInItsJob) {
  const JobId job = submit(3);
  const AttemptRef first = claim(1)[0];
  EXPECT_EQ(complete(first, Outcome::failed, now + 1min), Recorded::yes);
  EXPECT_EQ(complete(first, Outcome::failed, now + 1min), Recorded::already);
  EXPECT_EQ(claim_names(1)[0], (AttemptRef{{job, 1}, 1}));
  EXPECT_EQ(store->next_wake().value(), now + 1min);
  EXPECT_EQ(store->wake(now + 59s, 9), 0U);
  EXPECT_EQ(store->wake(now + 1min, 9), 1U);
  EXPECT_EQ(claim_names(1)[0], (AttemptRef{{job, 0}, 2}));
}

TEST_P(StoreTest, AJobWaitsForThoseThatItNeeds) {
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

TEST_P(StoreTest, CancellingEndsWhatWaitsAndNamesWhatRuns) {
  const JobId job = submit(3);
  const AttemptRef running = claim(1)[0];
  EXPECT_THAT(*store->cancel(job, now), ElementsAre(running));
  EXPECT_EQ(store->job(job)->counts.cancelled, 2U);
  EXPECT_EQ(state(job), JobState::running);
  // It would have been tried again.
  complete(running, Outcome::failed, now + 1min);
  EXPECT_EQ(state(job), JobState::cancelled);
  EXPECT_EQ(store->job(job)->counts.cancelled, 3U);
}

TEST_P(StoreTest, RetryingAJobTakesUpWhatDidNotSucceed) {
  const JobId job = submit(4);
  const auto attempts = claim(2);
  complete(attempts[0], Outcome::success);
  complete(attempts[1], Outcome::failed);
  EXPECT_TRUE(store->cancel(job, now));
  EXPECT_EQ(state(job), JobState::failed);
  EXPECT_EQ(store->retry(job, Retry::not_succeeded), 3U);
  EXPECT_THAT(claim_names(),
              ElementsAre(AttemptRef{{job, 1}, 2}, AttemptRef{{job, 2}, 1},
                          AttemptRef{{job, 3}, 1}));
}

TEST_P(StoreTest, HoldingKeepsFromBeingClaimed) {
  const JobId job = submit(1);
  EXPECT_TRUE(store->hold(job, true));
  EXPECT_EQ(state(job), JobState::held);
  EXPECT_THAT(claim(), IsEmpty());
  EXPECT_TRUE(store->hold(job, false));
  EXPECT_TRUE(store->set_group({.name = "default", .is_held = true}));
  EXPECT_THAT(claim(), IsEmpty());
  EXPECT_THAT(*store->queues(), IsEmpty());
}

TEST_P(StoreTest, TasksThatTakeTheSameStandInOneQueue) {
  const JobId small = submit(1);
  const JobId large =
      submit(1, {.resources = "gpu=1", .priority = Priority::high});
  EXPECT_THAT(
      store->queues().value(),
      ElementsAre(QueueHead{{"default"}, Priority::normal, small},
                  QueueHead{{"default", "gpu=1"}, Priority::high, large}));
  EXPECT_THAT(claim_names(), ElementsAre(AttemptRef{{small, 0}, 1}));
  EXPECT_EQ(
      store->claim(mine, {"default", "gpu=1"}, 9)->front().attempt.task.job,
      large);
}

TEST_P(StoreTest, AGroupCountsWhatHasNotEnded) {
  submit(3);
  const auto attempts = claim(2);
  complete(attempts[0], Outcome::failed, now + 1h);
  EXPECT_EQ(store->groups()->front().counts, (GroupCounts{1, 1, 1, 1}));
  complete(attempts[1], Outcome::success);
  EXPECT_EQ(store->groups()->front().counts, (GroupCounts{1, 1, 1, 0}));
  EXPECT_TRUE(store->cancel(attempts[0].task.job, now));
  EXPECT_EQ(store->groups()->front().counts, GroupCounts{});
}

TEST_P(StoreTest, AJobThatIsEditedMovesToItsNewQueueAndTime) {
  EXPECT_TRUE(store->set_group({.name = "g"}));
  const JobId job = submit(2);
  EXPECT_TRUE(store->edit(job, {.group = "g", .priority = Priority::low}, now));
  EXPECT_THAT(store->queues().value(),
              ElementsAre(QueueHead{{"g"}, Priority::low, job}));
  EXPECT_TRUE(store->edit(job, {.not_before = now + 1h}, now));
  EXPECT_EQ(state(job), JobState::delayed);
  EXPECT_THAT(store->queues().value(), IsEmpty());
  EXPECT_EQ(store->wake(now + 1h, 9), 1U);
  EXPECT_EQ(state(job), JobState::queued);
  EXPECT_FALSE(store->edit(job, {.group = "none"}, now));
  EXPECT_TRUE(store->cancel(job, now));
  EXPECT_FALSE(store->edit(job, {.name = "late"}, now));
}

TEST_P(StoreTest, TheEndOfEachAttemptIsKept) {
  const JobId job = submit(1);
  complete(claim()[0], Outcome::failed, now);
  EXPECT_EQ(store->wake(now, 9), 1U);
  EXPECT_THAT(claim(), SizeIs(1));
  EXPECT_TRUE(store->end_session(mine, now));
  EXPECT_TRUE(store->open_session({"next"}));
  const AttemptRef last =
      store->claim({"next"}, {"default"}, 1)->front().attempt;
  const Completion done{.attempt = last, .outcome = Outcome::timed_out};
  EXPECT_TRUE(store->complete({"next"}, {&done, 1}, now));
  EXPECT_EQ(store->retry(job, Retry::not_succeeded), 1U);
  std::vector<Outcome> outcomes;
  const auto attempts = store->attempts({job, 0});
  for (const TaskResult& attempt : *attempts)
    outcomes.push_back(attempt.outcome);
  EXPECT_THAT(outcomes,
              ElementsAre(Outcome::failed, Outcome::lost, Outcome::timed_out));
}

TEST_P(StoreTest, AnAttemptHasEndedWhenItDidHoweverLateThatIsRecorded) {
  const JobId job = submit(1);
  const auto say = [&](Outcome outcome, std::optional<WallTime> retry_at,
                       WallTime ended) {
    const Completion completion{.attempt = claim()[0],
                                .outcome = outcome,
                                .retry_at = retry_at,
                                .ended = ended};
    EXPECT_TRUE(store->complete(mine, {&completion, 1}, now));
  };
  say(Outcome::failed, now, now - 12s);
  EXPECT_EQ(store->wake(now, 9), 1U);
  say(Outcome::success, {}, now - 5s);
  const auto attempts = store->attempts({job, 0});
  ASSERT_THAT(*attempts, SizeIs(2));
  EXPECT_EQ((*attempts)[0].at, now - 12s);
  EXPECT_EQ((*attempts)[1].at, now - 5s);
  EXPECT_EQ(store->job(job)->ended, now - 5s);
}

TEST_P(StoreTest, NothingEndsAfterItIsRecorded) {
  const JobId job = submit(1);
  const Completion early{.attempt = claim()[0], .ended = now + 1h};
  EXPECT_TRUE(store->complete(mine, {&early, 1}, now));
  EXPECT_EQ(store->task({job, 0})->result->at, now);
}

TEST_P(StoreTest, AJobOfSeveralTasksEndsWithTheLastThatIsRecorded) {
  const JobId job = submit(2);
  const auto attempts = claim(2);
  const std::vector<Completion> done{
      {.attempt = attempts[0], .ended = now - 1s},
      {.attempt = attempts[1], .ended = now - 9s}};
  EXPECT_TRUE(store->complete(mine, done, now));
  EXPECT_EQ(store->job(job)->ended, now);
}

TEST_P(StoreTest, ATaskTellsWhereItStands) {
  const JobId job = submit(4);
  const auto attempts = claim(3);
  EXPECT_TRUE(store->start(mine, {attempts.data(), 1}));
  complete(attempts[1], Outcome::failed, now + 1min);
  complete(attempts[2], Outcome::success);
  const auto seen = [&](std::uint64_t i) { return *store->task({job, i}); };
  EXPECT_EQ(seen(0).state, TaskState::started);
  EXPECT_EQ(seen(1).state, TaskState::backing_off);
  EXPECT_EQ(seen(1).due, now + 1min);
  EXPECT_EQ(seen(2).result->outcome, Outcome::success);
  EXPECT_EQ(seen(3).state, TaskState::waiting);
  EXPECT_FALSE(store->task({job, 4}));
}

TEST_P(StoreTest, AGroupWithJobsStays) {
  EXPECT_TRUE(store->set_group({.name = "g"}));
  const JobId job = submit(1, {.group = "g"});
  EXPECT_FALSE(store->remove_group("g"));
  EXPECT_FALSE(store->remove_group("default"));
  EXPECT_TRUE(store->cancel(job, now));
  EXPECT_TRUE(store->remove_group("g"));
  EXPECT_FALSE(store->retry(job, Retry::not_succeeded));
}

TEST_P(StoreTest, AClaimTellsHowOftenItsTaskHasFailedSinceSomebodyForgaveIt) {
  const JobId job = submit(1);
  complete(claim()[0], Outcome::failed, now);
  EXPECT_EQ(store->wake(now, 9), 1U);
  EXPECT_EQ(complete(claim()[0], Outcome::lost, now), Recorded::yes);
  EXPECT_EQ(store->wake(now, 9), 1U);
  const auto third = store->claim(mine, {"default"}, 1);
  EXPECT_EQ(third->front().failures, 1U);
  EXPECT_EQ(third->front().losses, 1U);
  complete(third->front().attempt, Outcome::failed);
  EXPECT_EQ(store->retry(job, Retry::not_succeeded), 1U);
  const auto fourth = store->claim(mine, {"default"}, 1);
  EXPECT_EQ(fourth->front().failures + fourth->front().losses, 0U);
}

TEST_P(StoreTest, OnlyWhatFailedIsRetriedIfThatIsWanted) {
  const JobId job = submit(4);
  const auto attempts = claim(3);
  complete(attempts[0], Outcome::failed);
  complete(attempts[1], Outcome::success);
  EXPECT_TRUE(store->cancel(job, now));
  complete(attempts[2], Outcome::cancelled);
  EXPECT_EQ(state(job), JobState::failed);
  EXPECT_EQ(store->count_ended(), 1U);
  EXPECT_EQ(store->retry(job, Retry::failed), 1U);
  EXPECT_THAT(claim_names(), ElementsAre(AttemptRef{{job, 0}, 2}));
  EXPECT_EQ(store->job(job)->counts.cancelled, 2U);
}

}  // namespace
}  // namespace troupe::store
