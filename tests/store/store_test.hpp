#pragma once

#include "temp_dir.hpp"

#include <troupe/store/store.hpp>

#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace troupe::store {

/// A kind of store, and how a new one is made.
struct StoreKind {
  const char* name;
  /// Null if it cannot be had on this machine.
  std::unique_ptr<Store> (*make)(const testing::TempDir& folder);
};

inline std::string name_of_kind(
    const ::testing::TestParamInfo<StoreKind>& info) {
  return info.param.name;
}

/// Each kind of store is to pass; who instantiates it says which.
class StoreTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  void SetUp() override {
    if (!store)
      GTEST_SKIP() << "what it needs is not installed";
    EXPECT_TRUE(store->open_session(mine));
  }

  JobId submit(std::uint64_t tasks, NewJob job = {}) {
    if (job.request_id.empty())
      job.request_id = "request " + std::to_string(++requests);
    const JobId id = store->open_job(job, now)->job;
    EXPECT_TRUE(store->append_range(id, 0, tasks));
    EXPECT_TRUE(store->seal(id, now));
    return id;
  }
  std::vector<AttemptRef> claim(std::uint32_t limit = 100) {
    std::vector<AttemptRef> attempts;
    const auto claims = store->claim(mine, {"default"}, limit);
    for (const Claim& claim : *claims)
      attempts.push_back(claim.attempt);
    return attempts;
  }
  /// The same without the numbers of their claims.
  std::vector<AttemptRef> claim_names(std::uint32_t limit = 100) {
    auto attempts = claim(limit);
    for (AttemptRef& attempt : attempts)
      attempt.claim = 0;
    return attempts;
  }
  Recorded complete(const AttemptRef& attempt, Outcome outcome,
                    std::optional<WallTime> retry_at = {}) {
    const Completion completion{
        .attempt = attempt, .outcome = outcome, .retry_at = retry_at};
    return store->complete(mine, {&completion, 1}, now)->front();
  }
  JobState state(JobId job) { return store->job(job)->state; }

  testing::TempDir folder;
  std::unique_ptr<Store> store = GetParam().make(folder);
  SessionId mine{"mine"};
  WallTime now{std::chrono::hours{1000}};
  int requests = 0;
};

}  // namespace troupe::store
