#pragma once

#include "postgres_server.hpp"

#include <troupe/store/postgres_store.hpp>

#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <utility>

namespace troupe::store {

/// One server for all tests, which goes before the program does.
class Servers : public ::testing::Environment {
 public:
  static testing::PostgresServer* server() { return server_.get(); }

  void SetUp() override {
    if (!testing::PostgresServer::binaries().empty())
      server_ = std::make_unique<testing::PostgresServer>(/*is_durable=*/false);
  }
  void TearDown() override { server_.reset(); }

 private:
  static inline std::unique_ptr<testing::PostgresServer> server_;
};

inline std::string new_schema() {
  static int last = 0;
  return "s" + std::to_string(++last);
}

inline std::unique_ptr<PostgresStore> open_in(const std::string& schema,
                                              Duration deadline = 10s) {
  auto store = PostgresStore::open(Servers::server()->uri(),
                                   {.schema = schema, .deadline = deadline});
  EXPECT_TRUE(store) << store.error().what;
  return store ? std::move(*store) : nullptr;
}

/// As if it was new: to make the tables takes longer than the history.
inline void empty(const std::string& schema) {
  std::string sql = "SET search_path TO " + schema;
  for (const char* const table :
       {"session", "job", "tag", "need", "argument", "queue", "again", "timer",
        "running", "result", "attempt", "garbage", "run", "run_event"})
    sql += std::string{"; DELETE FROM "} + table;
  Servers::server()->query(
      sql +
      "; UPDATE counter SET claims=0; UPDATE agreed SET number=0, what=''"
      "; UPDATE roster SET number=0, what=''"
      "; DELETE FROM grp WHERE name<>'default'; UPDATE grp SET slots=1, held=0,"
      " weight=1, n_jobs=0, n_waiting=0, n_retrying=0, n_running=0"
      "; ALTER SEQUENCE job_id_seq RESTART; ALTER SEQUENCE run_id_seq RESTART");
}

class PostgresStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Servers::server() == nullptr)
      GTEST_SKIP() << "PostgreSQL is not installed";
  }

  static testing::PostgresServer& server() { return *Servers::server(); }
  /// Another one on the same tables.
  std::unique_ptr<PostgresStore> open(Duration deadline = 10s) const {
    return open_in(schema, deadline);
  }
  [[nodiscard]] Error error_of_opening(const std::string& uri) const {
    auto store =
        PostgresStore::open(uri, {.schema = schema, .deadline = 300ms});
    EXPECT_FALSE(store);
    return store ? Error{} : store.error();
  }
  /// In the schema; answers the first field.
  std::string query(const std::string& sql) const {
    return server().query("SET search_path TO " + schema + "; " + sql);
  }
  /// Whoever commits such a change ("INSERT ON job") gets that.
  void on_commit(const std::string& change, const std::string& body) const {
    query(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN " +
        body + " RETURN NULL; END$$; CREATE CONSTRAINT TRIGGER spoil AFTER " +
        change +
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spoil()");
  }
  void on_commit_of_a_job(const std::string& body) const {
    on_commit("INSERT ON job", body);
  }
  /// The process that serves the store that has connected last.
  static pid_t backend() {
    return std::stoi(server().query(
        "SELECT pid FROM pg_stat_activity WHERE application_name='troupe' "
        "ORDER BY backend_start DESC LIMIT 1"));
  }
  JobId submit(Store& store, const std::string& request, std::uint64_t tasks) {
    const JobId job = store.open_job({.request_id = request}, now)->job;
    EXPECT_TRUE(store.append_range(job, 0, tasks));
    EXPECT_TRUE(store.seal(job, now));
    return job;
  }

  std::string schema = new_schema();
  WallTime now{std::chrono::hours{1000}};
};

}  // namespace troupe::store
