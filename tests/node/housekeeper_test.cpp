#include "housekeeper.hpp"

#include "own_resources.hpp"
#include "temp_dir.hpp"

#include <troupe/content/artifact_store.hpp>
#include <troupe/store/sqlite_store.hpp>

#include <filesystem>
#include <future>
#include <gtest/gtest.h>
#include <thread>

namespace troupe::node {
namespace {

namespace fs = std::filesystem;
using store::JobId;
using testing::wait_until;

constexpr Duration interval = 10ms;

class HousekeeperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::SqliteStore::open(dir.path("store.db"));
    ASSERT_TRUE(opened) << opened.error().what;
    store = std::make_unique<StoreWriter>(std::move(*opened));
  }

  void start(bool shares_store,
             HousekeeperPace pace = {.look = interval,
                                     .look_for_forgotten = interval}) {
    NodeConfig config;
    if (shares_store)
      config.store = "postgresql://db/troupe";

    housekeeper =
        std::make_unique<Housekeeper>(*store, output, dir.path("content"),
                                      dir.path("services"), config, pace);
  }

  /// What the store says to it.
  void tell(const std::function<void(store::Store&)>& work) {
    std::promise<void> done;
    store->post(work, [&](const Result<void>& r) {
      EXPECT_TRUE(r) << r.error().what;
      done.set_value();
    });
    done.get_future().wait();
  }

  /// Jobs 1 to `count`.
  void submit(int count) {
    tell([count](store::Store& s) {
      for (int i = 0; i < count; ++i)
        EXPECT_TRUE(s.open_job({.request_id = std::to_string(i)}, {}));
    });
  }

  void forget(std::initializer_list<std::uint64_t> jobs) {
    for (const std::uint64_t job : jobs)
      tell([id = JobId{job}](store::Store& s) {
        EXPECT_TRUE(s.seal(id, {}));
        EXPECT_TRUE(s.forget(id));
      });
  }

  /// As another node that had it done by itself would.
  void make_output(std::uint64_t job) {
    fs::create_directories(folder_of(job));
  }

  [[nodiscard]] std::string folder_of(std::uint64_t job) const {
    return queue::record_folder(output, JobId{job});
  }
  [[nodiscard]] bool has_output(std::uint64_t job) const {
    return fs::exists(folder_of(job));
  }

  /// Until several looks were made, and what they found was done.
  void await_looks() {
    for (int i = 0; i < 5; ++i) {
      std::this_thread::sleep_for(interval);
      tell([](store::Store&) {});
      std::promise<void> done;
      housekeeper->find_texts("", {}, [&](const auto&) { done.set_value(); });
      done.get_future().wait();
    }
  }

  testing::TempDir dir;
  std::string output = dir.path("output");
  std::unique_ptr<StoreWriter> store;
  std::unique_ptr<Housekeeper> housekeeper;
};

TEST_F(HousekeeperTest, WhatIsThereOfJobsThatWereForgottenElsewhereGoes) {
  submit(3);
  // The newest may have come after the answer.
  for (const std::uint64_t job : {1U, 2U, 3U, 4U, 2001U})
    make_output(job);
  fs::create_directories(output + "/0/2002");
  fs::create_directories(output + "/0/none");
  forget({1});
  start(/*shares_store=*/true);
  EXPECT_TRUE(wait_until([&] { return !has_output(1); }));
  await_looks();
  for (const std::uint64_t job : {2U, 3U, 4U, 2001U})
    EXPECT_TRUE(has_output(job)) << job;
  EXPECT_TRUE(fs::exists(output + "/0/2002"));
  EXPECT_TRUE(fs::exists(output + "/0/none"));
  forget({2});
  EXPECT_TRUE(wait_until([&] { return !has_output(2); }));
}

TEST_F(HousekeeperTest, WhatIsThereOfRunsThatWereForgottenElsewhereGoes) {
  tell([](store::Store& s) {
    for (const char* const name : {"a", "b", "c"})
      EXPECT_TRUE(s.open_run({.request_id = name}, {}));
    EXPECT_TRUE(s.add_event({1}, {.number = 0}, store::RunState::failed, {}));
    EXPECT_TRUE(s.forget_run({1}));
  });
  // The newest may have come after the answer; others are not ours.
  const auto logs = [&](const char* run) {
    return dir.path(std::string{"services/"} + run);
  };
  for (const char* const run : {"r1", "r2", "r4", "1", "r01", "rest"})
    fs::create_directories(logs(run));
  auto blobs = content::BlobStore::open(dir.path("content"));
  ASSERT_TRUE(blobs);
  const content::ArtifactStore artifacts{std::move(*blobs)};
  for (const char* const run : {"r1", "r2", "r4"})
    fs::create_directories(dir.path(std::string{"content/artifacts/"} + run));
  start(/*shares_store=*/true);
  EXPECT_TRUE(wait_until([&] {
    return !fs::exists(logs("r1")) &&
           artifacts.runs() == std::vector<std::string>{"r2", "r4"};
  }));
  await_looks();
  for (const char* const run : {"r2", "r4", "1", "r01", "rest"})
    EXPECT_TRUE(fs::exists(logs(run))) << run;
  EXPECT_EQ(artifacts.runs(), (std::vector<std::string>{"r2", "r4"}));
}

TEST_F(HousekeeperTest, TheStoreIsNotAskedForThemAtEachLook) {
  submit(3);
  make_output(1);
  make_output(2);
  forget({1});
  start(/*shares_store=*/true, {.look = interval, .look_for_forgotten = 1h});
  EXPECT_TRUE(wait_until([&] { return !has_output(1); }));
  forget({2});
  await_looks();
  EXPECT_TRUE(has_output(2));
}

TEST_F(HousekeeperTest, ANodeByItselfDoesNotLookForThem) {
  submit(3);
  make_output(1);
  forget({1});
  start(/*shares_store=*/false);
  await_looks();
  EXPECT_TRUE(has_output(1));
}

TEST_F(HousekeeperTest, NothingGoesWhileTheStoreCannotBeAsked) {
  submit(3);
  make_output(1);
  forget({1});
  std::promise<void> go;
  store->post([&](store::Store&) { go.get_future().wait(); },
              [](const Result<void>&) {});
  // So that whoever asks is refused.
  for (std::size_t i = 0; i < StoreWriter::most_waiting; ++i)
    store->post([](store::Store&) {}, [](const Result<void>&) {});
  start(/*shares_store=*/true);
  std::this_thread::sleep_for(5 * interval);
  EXPECT_TRUE(has_output(1));
  go.set_value();
  EXPECT_TRUE(wait_until([&] { return !has_output(1); }));
}

}  // namespace
}  // namespace troupe::node
