#include "job_json.hpp"

#include <gmock/gmock.h>
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

TEST(JobJson, AnEndThatNobodyHasSeenSaysWhoseNodeWasGone) {
  store::TaskResult result{.task = {JobId{5}, 0},
                           .attempt = 1,
                           .outcome = store::Outcome::lost,
                           .exit_status = store::unknown_exit_status,
                           .detail = R"({"name":"n3","listen":"n3:7000"})"};
  Json json = to_json(result);
  EXPECT_EQ(json["cause"], "was lost with node n3");
  EXPECT_EQ(json["node"], "n3");
  EXPECT_EQ(json["is_end_unknown"], true);
  EXPECT_EQ(json["exit_status"], 125);
  EXPECT_FALSE(json.contains("wall_ms"));
  EXPECT_FALSE(json.contains("listen"));
  result.detail = R"({"late":{"outcome":"success"},"exit_status":125})";
  EXPECT_EQ(to_json(result)["exit_status"], 125);
  EXPECT_FALSE(to_json(result).contains("is_end_unknown"));
  result.outcome = store::Outcome::cancelled;
  result.detail = "";
  json = to_json(result);
  EXPECT_EQ(json["cause"],
            "its node was gone before it could say how it ended");
  EXPECT_EQ(json["exit_status"], 125);
  // One that never ran.
  result.exit_status = 0;
  EXPECT_EQ(to_json(result)["cause"], nullptr);
  EXPECT_FALSE(to_json(result).contains("is_end_unknown"));
}

TEST(Why, AJobWhoseEndWasAskedForSaysSoAndWhoDoesNotAnswer) {
  Circumstances seen{.job = job_with({.tasks = 1, .running = 1}),
                     .runs = Ran{.node = "n3", .from = {}, .tasks = 1},
                     .silent_for = 42900ms};
  seen.job.state = JobState::running;
  seen.job.is_cancelled = true;
  const Json reasons = explain(seen, {}, {})["reasons"];
  EXPECT_EQ(reasons[0]["kind"], "cancelling");
  EXPECT_EQ(reasons[1]["kind"], "silent");
  EXPECT_EQ(reasons[1]["what"],
            "n3, which has it, has not been heard of for 42s");
}

/// What `why` says of a job that waits in a cluster.
std::vector<std::string> why_waiting(const std::string& resources,
                                     Placement places,
                                     const std::string& lacking = {}) {
  Circumstances seen{.job = job_with({.tasks = 1, .waiting = 1})};
  seen.job.state = JobState::queued;
  seen.job.job.resources = resources;
  seen.group.group.name = "default";
  if (!lacking.empty())
    seen.obstacle = {queue::Hindrance::never_fits, lacking};
  seen.places = std::move(places);
  std::vector<std::string> texts;
  const Json told = explain(seen, {}, {});
  for (const Json& reason : told["reasons"])
    texts.push_back(reason["what"]);
  return texts;
}

TEST(Why, AJobOfAClusterSaysWhoLooksWhereItWaits) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(
      why_waiting("", {.shards = 12, .owners = {"n1", "n2", "n3"}}),
      (Texts{"starts as soon as it is its turn",
             "it waits in 12 shards, at which n1, n2 and n3 look first"}));
  EXPECT_EQ(
      why_waiting(
          "",
          {.key = "west", .shards = 1, .first_shard = 812, .owners = {"n3"}}),
      (Texts{"starts as soon as it is its turn",
             "with the key west it waits in shard 812, at which n3 looks "
             "first"}));
  EXPECT_EQ(why_waiting("", {.shards = 1, .first_shard = 5}).back(),
            "it waits in shard 5, which no node owns yet");
}

TEST(Why, AJobThatWaitsSaysHowTheOwnerOfItsShardStands) {
  using Standing = Placement::Standing;
  const auto why = [](std::map<std::string, Standing> standings) {
    std::vector<std::string> owners;
    for (const auto& [name, standing] : standings)
      owners.push_back(name);
    return why_waiting("", {.shards = owners.size(),
                            .first_shard = 812,
                            .owners = owners,
                            .standings = standings})
        .back();
  };
  EXPECT_EQ(why({{"n3", Standing::unsaid}}),
            "it waits in shard 812, at which n3 looks first");
  EXPECT_EQ(why({{"n3", Standing::full}}),
            "it waits in shard 812, at which n3 looks first; n3 has no room "
            "for more now");
  EXPECT_EQ(why({{"n3", Standing::held}}),
            "it waits in shard 812, at which n3 looks first; n3 is held");
  EXPECT_EQ(why({{"n3", Standing::unfit}}),
            "it waits in shard 812, at which n3 looks first; n3 does not have "
            "what each task takes");
  EXPECT_EQ(why({{"n3", Standing::unlinked}}),
            "it waits in shard 812, at which n3 looks first; how n3 stands is "
            "not known here, without a link");
  EXPECT_EQ(why({{"n1", Standing::unsaid},
                 {"n2", Standing::full},
                 {"n3", Standing::full},
                 {"n4", Standing::held}}),
            "it waits in 4 shards, at which n1, n2, n3 and n4 look first; n2 "
            "and n3 have no room for more now; n4 is held");
  EXPECT_EQ(
      why_waiting("", {.shards = 1, .first_shard = 0, .owners = {"n2"}}).back(),
      "it waits in shard 0, at which all nodes look");
}

/// What `why` says of where tasks have run.
std::string why_there(std::uint64_t tasks, std::vector<Ran> ran,
                      Placement places, bool has_ended = true,
                      std::uint64_t succeeded = 0) {
  Circumstances seen{.job = job_with({.tasks = tasks, .success = succeeded})};
  seen.job.state = has_ended ? JobState::succeeded : JobState::running;
  seen.places = std::move(places);
  if (has_ended)
    seen.ran = std::move(ran);
  else
    seen.runs = ran.front();
  return explain(seen, {}, {})["reasons"].back()["what"];
}

TEST(Why, ATaskThatRanSaysWhyItWasThere) {
  using queue::Found;
  using queue::FromAbroad;
  const Placement west{
      .key = "west", .shards = 1, .first_shard = 812, .owners = {"n3"}};
  EXPECT_EQ(why_there(1, {{"n3", {}, 1}}, west),
            "n3 ran it; with the key west it was in shard 812, at which n3 "
            "looks first");
  // Nobody has noted how that came.
  EXPECT_EQ(why_there(1, {{"n5", {}, 1}}, west),
            "n5 ran it; with the key west it was in shard 812, at which n3 "
            "looks first now");
  EXPECT_EQ(why_there(1, {{"n5", FromAbroad{812, Found::offered, "n4"}, 1}},
                      west, /*has_ended=*/false),
            "n5 runs it; it waited in shard 812, at which n4 looked first; n4 "
            "could not start what waited there, and n5 had nothing to do");
  EXPECT_EQ(why_there(1, {{"n5", FromAbroad{812, Found::abroad, ""}, 1}}, west),
            "n5 ran it; it waited in shard 812; n5 had nothing to do and saw "
            "work there twice, a second or more apart");
  EXPECT_EQ(
      why_there(1, {{"n5", FromAbroad{812, Found::submitted, "n3"}, 1}}, west),
      "n5 ran it; it waited in shard 812, at which n3 looked first; n5 looked "
      "there, too, as something was submitted to it, and had room");
  EXPECT_EQ(why_there(1, {{"n2", {}, 1}}, {.shards = 1, .owners = {"n3"}}),
            "n2 ran it; it was in shard 0, at which all nodes look");
  EXPECT_EQ(why_there(1, {{"n2", {}, 1}}, {}),
            "n2 ran it; it was in shard 0, at which all nodes look");
}

TEST(Why, TasksOfAnArraySayWhoRanThem) {
  using queue::Found;
  using queue::FromAbroad;
  std::vector<Ran> ran;
  for (const char* const detail :
       {R"({"node":"n1"})", R"({"node":"n1"})",
        R"({"node":"n2","from":{"shard":7,"found":"offered","owner":"n1"}})",
        R"({"node":"n2","from":{"shard":7,"found":"offered","owner":"n1"}})",
        R"({"node":"n3","from":{"shard":9,"found":"abroad","owner":"n1"}})",
        R"({})"})
    add_to(ran, detail);
  EXPECT_EQ(ran,
            (std::vector<Ran>{{"n1", {}, 2},
                              {"n2", FromAbroad{7, Found::offered, "n1"}, 2},
                              {"n3", FromAbroad{9, Found::abroad, "n1"}, 1}}));
  EXPECT_EQ(why_there(5, ran, {.shards = 2, .owners = {"n1"}}),
            "n1 ran 2, n2 2 and n3 1 of its tasks; n2 took 2 that others could "
            "not start; n3 took 1 that had waited at others for a second or "
            "more");
  EXPECT_EQ(why_there(9, ran, {.shards = 2}).substr(0, 36),
            "of 5 tasks that have ended n1 ran 2,");
  EXPECT_EQ(why_there(9, ran, {.shards = 2}, true, 5).substr(0, 36),
            "of 5 tasks that have ended n1 ran 2,");
}

TEST(Why, TasksThatWereNotLookedAtAreNotLeftOutWithoutAWord) {
  const std::vector<Ran> ran{{"n1", {}, 120}, {"n2", {}, 80}};
  EXPECT_EQ(why_there(1000, ran, {.shards = 2}, true, 1000),
            "of 200 of the 1000 tasks that have ended n1 ran 120 and n2 80");
}

TEST(Why, AJobThatIsSpreadSaysOverWhat) {
  const std::string spread = "cpu=1,spread-0000000000000abc=1";
  Placement places{.shards = 3, .owners = {"n1", "n2", "n3"}};
  EXPECT_EQ(why_waiting(spread, places).back(),
            "spread over 3 nodes: it waits in 3 shards, at which n1, n2 and n3 "
            "look first");
  places.zones = {"a"};
  EXPECT_THAT(why_waiting(spread, places).back(),
              ::testing::StartsWith("spread over 3 nodes in one zone: it "));
  places.zones = {"a", "b"};
  EXPECT_THAT(why_waiting(spread, places).back(),
              ::testing::StartsWith("spread over 3 nodes in 2 zones: it "));
  EXPECT_EQ(
      why_waiting(spread, {.shards = 1, .first_shard = 8, .owners = {"n1"}})
          .back(),
      "to be spread, it waits in shard 8, at which n1 looks first");
}

TEST(Why, AJobThatFitsElsewhereSaysWhere) {
  EXPECT_EQ(why_waiting("gpu=2", {.fitting = {"n2", "n3"}}, "gpu").front(),
            "each task takes 2 gpu, which n2 and n3 have");
  EXPECT_EQ(why_waiting("on-ssd=0.001", {.fitting = {"n2"}}, "on-ssd").front(),
            "each task takes the label ssd, which n2 has");
  EXPECT_EQ(why_waiting("on-ssd=0.001", {}, "on-ssd").front(),
            "each task takes the label ssd, which no node of the cluster has; "
            "`troupe edit` can change that");
}

TEST(Why, SlotsOfAllNodesAreTakenByThoseThatHaveThem) {
  Circumstances seen{.job = job_with({.tasks = 1, .waiting = 1})};
  seen.job.state = JobState::queued;
  seen.group.group = {.name = "licence", .slots = 4};
  seen.obstacle = {queue::Hindrance::slots};
  seen.places = Placement{.slot_holders = {"n2", "n3"}};
  const Json told = explain(seen, {}, {});
  EXPECT_EQ(told["reasons"],
            Json::array({{{"kind", "slots"},
                          {"what",
                           "all 4 slots of group licence are taken, on "
                           "n2 and n3"},
                          {"until", nullptr}}}));
}

// -- Labels ------------------------------------------------------------------

Result<Submission> submitted(const std::string& more) {
  return submission_from_json(
      Json::parse(R"({"request_id": "r", "command": {"words": ["true"]})" +
                  more + "}"),
      {});
}

std::string edited(const std::string& json, const std::string& before) {
  const auto edit = edit_from_json(Json::parse(json), {}, before);
  return edit && edit->resources ? *edit->resources : "";
}

TEST(Labels, AreAmongWhatATaskTakes) {
  EXPECT_EQ(submitted(R"(, "runs_on": ["ssd", "gpu"])")->job.resources,
            "on-gpu=0.001,on-ssd=0.001");
  EXPECT_EQ(submitted(R"(, "resources": {"cpu": 2}, "runs_on": ["gpu"])")
                ->job.resources,
            "cpu=2,on-gpu=0.001");
  EXPECT_EQ(submitted(R"(, "runs_on": ["a b"])").error().what,
            "runs_on: expected a label of up to 29 letters, digits, _ and -, "
            "such as gpu or zone-2, got \"a b\"");
}

TEST(Spread, IsSaidWithTheJobAndNotWithAKey) {
  EXPECT_TRUE(submitted(R"(, "spread": true)")->spread);
  EXPECT_FALSE(submitted("")->spread);
  EXPECT_EQ(submitted(R"(, "spread": true, "key": "k")").error().what,
            "spread: what has a key stays together");
}

TEST(Spread, IsNotAmongTheResourcesThatPeopleSeeOrEdit) {
  store::JobInfo info = job_with({.tasks = 1, .waiting = 1});
  info.job.resources = "cpu=2,on-gpu=0.001,spread-0000000000000abc=4";
  const Json json = to_json(SeenJob{info}, false);
  EXPECT_EQ(json["resources"], (Json{{"cpu", 2}}));
  EXPECT_EQ(json["runs_on"], Json::array({"gpu"}));
  EXPECT_EQ(json["spread"], true);
  EXPECT_EQ(edited(R"({"resources": {"cpu": 1}})", info.job.resources),
            "cpu=1,on-gpu=0.001,spread-0000000000000abc=4");
  info.job.resources = "cpu=2";
  EXPECT_EQ(to_json(SeenJob{info}, false)["spread"], false);
}

TEST(Labels, AndResourcesAreEditedApart) {
  const std::string before = "cpu=2,on-gpu=0.001";
  EXPECT_EQ(edited(R"({"resources": {"cpu": 1}})", before),
            "cpu=1,on-gpu=0.001");
  EXPECT_EQ(edited(R"({"runs_on": ["ssd"]})", before), "cpu=2,on-ssd=0.001");
  EXPECT_EQ(edited(R"({"runs_on": []})", before), "cpu=2");
  EXPECT_EQ(edited(R"({"name": "x"})", before), "");
}

}  // namespace
}  // namespace troupe::node
