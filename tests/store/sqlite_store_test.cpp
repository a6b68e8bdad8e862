#include "cluster_store_test.hpp"
#include "store_property_test.hpp"
#include "store_test.hpp"
#include "temp_dir.hpp"

#include <troupe/store/model_store.hpp>
#include <troupe/store/sqlite_store.hpp>

#include <chrono>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sqlite3.h>
#include <sys/stat.h>

namespace troupe::store {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::unique_ptr<SqlStore> open_in(const testing::TempDir& folder) {
  auto store = SqliteStore::open(folder.path("store.db"));
  EXPECT_TRUE(store) << store.error().what;
  return std::move(*store);
}

constexpr StoreKind model{
    "Model", [](const testing::TempDir&) -> std::unique_ptr<Store> {
      return std::make_unique<ModelStore>();
    }};
constexpr StoreKind sqlite{
    "Sqlite", [](const testing::TempDir& folder) -> std::unique_ptr<Store> {
      return open_in(folder);
    }};

INSTANTIATE_TEST_SUITE_P(, StoreTest, ::testing::Values(model, sqlite),
                         name_of_kind);
INSTANTIATE_TEST_SUITE_P(, ClusterStoreTest, ::testing::Values(model, sqlite),
                         name_of_kind);

TEST(StoreProperty, SqliteDoesWhatTheModelDoes) {
  EXPECT_TRUE(rc::check([] {
    do_as_the_model_does(
        [](const testing::TempDir& folder, bool) { return open_in(folder); },
        /*steps_per_look=*/1);
  }));
}

TEST(StoreProperty, SqliteDoesWhatTheModelDoesWithManySessions) {
  EXPECT_TRUE(rc::check([] {
    do_as_the_model_does(
        [](const testing::TempDir& folder, bool) { return open_in(folder); },
        /*steps_per_look=*/4, Histories::of_clusters);
  }));
}

class SqliteStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open() {
    auto store = SqliteStore::open(path);
    EXPECT_TRUE(store) << store.error().what;
    return std::move(*store);
  }
  Error error_of_opening() {
    auto store = SqliteStore::open(path);
    EXPECT_FALSE(store);
    return store ? Error{} : store.error();
  }

  testing::TempDir folder;
  std::string path = folder.path("store.db");
  WallTime now{std::chrono::hours{1000}};
};

TEST_F(SqliteStoreTest, KeepsWhatWasAcknowledged) {
  const JobId job =
      open()->open_job({.request_id = "r", .name = "n"}, now)->job;
  const auto store = open();
  EXPECT_EQ(store->job(job)->job.name, "n");
}

TEST_F(SqliteStoreTest, BelongsToItsOwner) {
  open();
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(SqliteStoreTest, IsForOneProcess) {
  const auto store = open();
  const Error error = error_of_opening();
  EXPECT_EQ(error.code, Errc::unavailable);
  EXPECT_THAT(error.what, HasSubstr("another troupe node"));
}

TEST_F(SqliteStoreTest, LeavesAFileOfSomethingElseAlone) {
  const std::string text(4096, 'x');
  folder.write("store.db", text);
  EXPECT_EQ(error_of_opening().code, Errc::corrupt);
  EXPECT_EQ(folder.read("store.db"), text);
}

TEST_F(SqliteStoreTest, LeavesADatabaseOfSomebodyElseAlone) {
  // The header of an empty SQLite database with an application id, at byte 68.
  open();
  std::string bytes = folder.read("store.db");
  ASSERT_GT(bytes.size(), 72U);
  bytes[68] = 'X';
  folder.write("store.db", bytes);
  const Error error = error_of_opening();
  EXPECT_EQ(error.code, Errc::corrupt);
  EXPECT_THAT(error.what, HasSubstr("is not a store of troupe"));
  EXPECT_EQ(folder.read("store.db"), bytes);
}

TEST_F(SqliteStoreTest, RefusesTheSchemaOfANewerVersion) {
  open();
  std::string bytes = folder.read("store.db");
  bytes[63] = 99;  // The last byte of user_version.
  folder.write("store.db", bytes);
  const Error error = error_of_opening();
  EXPECT_EQ(error.code, Errc::unsupported);
  EXPECT_EQ(folder.read("store.db"), bytes);
}

TEST_F(SqliteStoreTest, GivesAnOlderFileWhatItLacks) {
  JobId job;
  {
    const auto store = open();
    job = store->open_job({.request_id = "r", .name = "n"}, now)->job;
    EXPECT_TRUE(store->append_range(job, 0, 2));
    EXPECT_TRUE(store->seal(job, now));
    EXPECT_TRUE(store->open_session({"s"}));
    EXPECT_TRUE(store->claim({"s"}, {"default"}, 1));
  }
  sqlite3* file = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &file), SQLITE_OK);
  // As it was before there were runs, and times in attempts, and with an index
  // that is not there any more.
  EXPECT_EQ(sqlite3_exec(file,
                         "DROP INDEX job_ended; DROP INDEX job_run;"
                         "ALTER TABLE job DROP COLUMN run;"
                         "CREATE INDEX job_ended ON job(ended, id) WHERE ended "
                         "IS NOT NULL;"
                         "DROP TABLE run; DROP TABLE run_event;"
                         "ALTER TABLE attempt DROP COLUMN started;"
                         "CREATE INDEX running_session ON running(session, "
                         "job, idx);"
                         "ALTER TABLE running DROP COLUMN claim;"
                         "ALTER TABLE job DROP COLUMN shards;"
                         "DROP TABLE agreed; DROP TABLE counter;"
                         "DROP TABLE roster;"
                         "DROP INDEX session_node;"
                         "ALTER TABLE session DROP COLUMN node;"
                         "ALTER TABLE session DROP COLUMN incarnation;"
                         "ALTER TABLE session DROP COLUMN counter;"
                         "ALTER TABLE session DROP COLUMN draining;"
                         "ALTER TABLE session DROP COLUMN detail;"
                         "ALTER TABLE session DROP COLUMN seen;"
                         "CREATE TABLE old(grp BLOB, resources BLOB, rank "
                         "INT, job INT, PRIMARY KEY(grp, resources, rank, "
                         "job)) WITHOUT ROWID;"
                         "INSERT INTO old SELECT grp, resources, rank, job "
                         "FROM queue;"
                         "DROP TABLE queue; ALTER TABLE old RENAME TO queue;"
                         "PRAGMA user_version=1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(file);
  sqlite3_close(file);
  const auto store = open();
  ASSERT_TRUE(store);
  EXPECT_FALSE(store->is_new());
  EXPECT_EQ(store->job(job)->job.name, "n");
  EXPECT_EQ(store->job(job)->job.run, RunId{});
  EXPECT_TRUE(store->open_run({.request_id = "a"}, now));
  EXPECT_EQ(store->jobs({.run = RunId{}}, 9)->size(), 1U);
  // What was claimed before is still the session's, and the rest waits.
  const auto held = store->claimed_by({"s"});
  ASSERT_EQ(held->size(), 1U);
  const Completion done{.attempt = held->front().attempt};
  EXPECT_EQ(store->complete({"s"}, {&done, 1}, now)->front(), Recorded::yes);
  EXPECT_EQ(store->claim({"s"}, {"default"}, 9)->size(), 1U);
}

TEST_F(SqliteStoreTest, RefusesADamagedFile) {
  {
    const auto store = open();
    for (int i = 0; i < 200; ++i)
      ASSERT_TRUE(store->open_job(
          {.request_id = std::to_string(i), .spec = std::string(500, 's')},
          now));
  }
  std::string bytes = folder.read("store.db");
  ASSERT_GT(bytes.size(), 40'000U);
  for (std::size_t i = 20'000; i < 30'000; ++i)
    bytes[i] = '\x55';
  folder.write("store.db", bytes);
  const Error error = error_of_opening();
  EXPECT_EQ(error.code, Errc::corrupt);
  EXPECT_THAT(error.what,
              StartsWith("the store " + path + ": it is damaged: "));
  EXPECT_THAT(error.what, Not(HasSubstr("\n")));
}

TEST_F(SqliteStoreTest, TellsOfAFolderThatIsNotThere) {
  path = folder.path("no/store.db");
  EXPECT_EQ(error_of_opening().code, Errc::not_found);
}

TEST_F(SqliteStoreTest, ABatchHappensAsAWholeAndItsCallsByThemselves) {
  const auto store = open();
  EXPECT_TRUE(store->batch([&] {
    EXPECT_TRUE(store->open_job({.request_id = "a"}, now));
    EXPECT_FALSE(store->open_job({.request_id = "b", .group = "none"}, now));
    EXPECT_TRUE(store->open_job({.request_id = "c"}, now));
  }));
  EXPECT_EQ(store->jobs({}, 9)->size(), 2U);
}

TEST_F(SqliteStoreTest, AMillionTasksAreOneRow) {
  const auto store = open();
  const auto begin = std::chrono::steady_clock::now();
  const JobId job = store->open_job({.request_id = "r"}, now)->job;
  EXPECT_TRUE(store->append_range(job, 0, 1'000'000));
  EXPECT_TRUE(store->seal(job, now));
  EXPECT_TRUE(store->open_session({"s"}));
  EXPECT_EQ(store->claim({"s"}, {"default"}, 10)->size(), 10U);
  EXPECT_EQ(store->cancel(job, now)->size(), 10U);
  EXPECT_EQ(store->job(job)->counts.cancelled, 999'990U);
  EXPECT_LT(std::filesystem::file_size(path), 1U << 20);
  // Not a measurement: a row per task would take several seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

}  // namespace
}  // namespace troupe::store
