#include "job_json.hpp"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace troupe::node {
namespace {

using store::JobId;
using store::JobState;

store::JobInfo job_with(store::JobCounts counts) {
  store::JobInfo job;
  job.id = JobId{7};
  job.state = JobState::running;
  job.counts = counts;
  return job;
}

TEST(Jobs, OfWhichAllIsOnlyClaimedAreQueued) {
  const auto [job, paused] =
      as_it_looks(job_with({.tasks = 3, .waiting = 1, .running = 2}),
                  {{JobId{7}, {.waiting = 2}}});
  EXPECT_EQ(job.state, JobState::queued);
  EXPECT_EQ(job.counts.waiting, 3U);
  EXPECT_EQ(job.counts.running, 0U);
}

TEST(Jobs, OfWhichARetryIsOnlyClaimedWaitForIt) {
  const auto [job, paused] = as_it_looks(job_with({.tasks = 1, .running = 1}),
                                         {{JobId{7}, {.retrying = 1}}});
  EXPECT_EQ(job.state, JobState::running);
  EXPECT_EQ(job.counts.retrying, 1U);
}

TEST(Jobs, OfWhichNothingIsAtHandAreAsTheyAre) {
  const auto [job, paused] =
      as_it_looks(job_with({.tasks = 3, .running = 1, .success = 1}),
                  {{JobId{6}, {.waiting = 9, .paused = 9}}});
  EXPECT_EQ(job.state, JobState::running);
  EXPECT_EQ(job.counts.running, 1U);
  EXPECT_EQ(paused, 0U);
}

TEST(Jobs, WaitForNoMoreThanWasClaimed) {
  const auto [job, paused] =
      as_it_looks(job_with({.tasks = 3, .running = 1, .success = 2}),
                  {{JobId{7}, {.waiting = 2, .retrying = 1}}});
  EXPECT_EQ(job.counts.waiting, 1U);
  EXPECT_EQ(job.counts.retrying, 0U);
  EXPECT_EQ(job.counts.running, 0U);
}

TEST(Jobs, ThatStandStillRun) {
  const auto seen = as_it_looks(job_with({.tasks = 2, .running = 2}),
                                {{JobId{7}, {.waiting = 1, .paused = 1}}});
  const Json json = to_json(seen, false);
  EXPECT_EQ(json["state"], "running");
  EXPECT_EQ(json["counts"]["running"], 1);
  EXPECT_EQ(json["paused"], 1);
}

/// What `why` says of a job that was skipped although `needs` had the states.
std::vector<std::string> why_skipped(std::vector<Circumstances::Needed> needs) {
  Circumstances seen{.job = job_with({.tasks = 1, .skipped = 1}),
                     .needs = std::move(needs)};
  seen.job.state = JobState::skipped;
  std::vector<std::string> texts;
  const Json told = explain(seen, {}, {});
  for (const Json& reason : told["reasons"])
    texts.push_back(reason["what"]);
  return texts;
}

TEST(Why, ASkippedJobNamesWhatItNeededInVain) {
  using store::Need;
  using store::When;
  using Texts = std::vector<std::string>;
  EXPECT_EQ(
      why_skipped({{{JobId{3}, When::succeeded}, JobState::failed},
                   {{JobId{4}, When::succeeded}, JobState::succeeded},
                   {{JobId{5}, When::failed}, JobState::succeeded},
                   {{JobId{6}, When::finished}, JobState::cancelled},
                   {{JobId{8}, When::finished}, std::nullopt},
                   {{JobId{9}, When::succeeded}, JobState::running}}),
      (Texts{"it has ended as skipped", "job 3 had to succeed; it is failed",
             "job 5 had to fail; it is succeeded",
             "job 8 had to end; it is forgotten"}));
}

}  // namespace
}  // namespace troupe::node
