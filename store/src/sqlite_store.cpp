#include "sqlite.hpp"

#include <troupe/base/owned_fd.hpp>
#include <troupe/store/sqlite_store.hpp>

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <iterator>
#include <utility>

namespace troupe::store {
namespace {

constexpr std::int64_t application_id = 0x54727065;  // "Trpe"
constexpr std::int64_t newest_schema = 6;

// What each version has added; a file of an older one gets what it lacks.
constexpr const char* schema_1 = R"(
CREATE TABLE grp(name BLOB PRIMARY KEY, slots INT, held INT, weight INT,
  starts_per_minute INT, break_after INT, break_pause INT,
  n_jobs INT DEFAULT 0, n_waiting INT DEFAULT 0, n_retrying INT DEFAULT 0,
  n_running INT DEFAULT 0) WITHOUT ROWID;
CREATE TABLE session(id BLOB PRIMARY KEY, open INT) WITHOUT ROWID;
CREATE TABLE job(
  id INTEGER PRIMARY KEY AUTOINCREMENT, request_id BLOB UNIQUE, name BLOB,
  grp BLOB, resources BLOB, priority INT, delivery INT, spec BLOB,
  not_before INT, submitted INT, ended INT,
  tasks INT, chunks INT, next INT, again INT, needs_left INT,
  sealed INT, due INT, held INT, cancelled INT, doomed INT,
  n_waiting INT, n_retrying INT, n_running INT, n_success INT, n_failed INT,
  n_timed_out INT, n_cancelled INT, n_lost INT, n_skipped INT,
  rest_outcome INT, rest_from INT, rest_at INT);
CREATE INDEX job_unended ON job(id) WHERE ended IS NULL;
CREATE INDEX job_active ON job(id)
  WHERE ended IS NULL AND n_running+n_retrying>0;
CREATE INDEX job_ended ON job(ended, id) WHERE ended IS NOT NULL;
CREATE INDEX job_failed ON job(id)
  WHERE ended IS NOT NULL AND n_failed+n_timed_out+n_lost>0;
CREATE INDEX job_grp ON job(grp, id);
CREATE TABLE tag(job INT, pos INT, tag BLOB, PRIMARY KEY(job, pos))
  WITHOUT ROWID;
CREATE INDEX tag_job ON tag(tag, job);
CREATE TABLE need(job INT, pos INT, needs INT, "when" INT, open INT,
  PRIMARY KEY(job, pos)) WITHOUT ROWID;
CREATE INDEX need_open ON need(needs, job) WHERE open;
CREATE TABLE argument(job INT, idx INT, argument BLOB, PRIMARY KEY(job, idx))
  WITHOUT ROWID;
CREATE TABLE queue(grp BLOB, resources BLOB, rank INT, job INT,
  PRIMARY KEY(grp, resources, rank, job)) WITHOUT ROWID;
CREATE TABLE again(job INT, idx INT, attempt INT, session BLOB,
  PRIMARY KEY(job, idx)) WITHOUT ROWID;
CREATE TABLE timer(due INT, job INT, idx INT, attempt INT, session BLOB,
  PRIMARY KEY(due, job, idx)) WITHOUT ROWID;
CREATE INDEX timer_job ON timer(job, idx);
CREATE TABLE running(job INT, idx INT, attempt INT, session BLOB, started INT,
  PRIMARY KEY(job, idx)) WITHOUT ROWID;
CREATE INDEX running_session ON running(session, job, idx);
CREATE TABLE result(job INT, idx INT, attempt INT, session BLOB, outcome INT,
  status INT, detail BLOB, at INT, PRIMARY KEY(job, idx)) WITHOUT ROWID;
CREATE TABLE attempt(job INT, idx INT, attempt INT, outcome INT, status INT,
  detail BLOB, at INT, counts INT, PRIMARY KEY(job, idx, attempt))
  WITHOUT ROWID;
CREATE TABLE garbage(job INTEGER PRIMARY KEY);
INSERT INTO grp(name, slots, held, weight, starts_per_minute, break_after,
  break_pause) VALUES(CAST('default' AS BLOB), 1, 0, 1, 0, 0, 30000000000);
)";
constexpr const char* schema_2 = R"(
CREATE TABLE run(
  id INTEGER PRIMARY KEY AUTOINCREMENT, request_id BLOB UNIQUE, name BLOB,
  state INT, n_jobs INT, n_ended INT, n_failed INT, n_events INT,
  submitted INT, ended INT, spec BLOB);
CREATE INDEX run_unended ON run(id) WHERE ended IS NULL;
CREATE INDEX run_ended ON run(ended, id) WHERE ended IS NOT NULL;
CREATE TABLE run_event(run INT, number INT, at INT, what BLOB,
  PRIMARY KEY(run, number)) WITHOUT ROWID;
ALTER TABLE job ADD COLUMN run INT DEFAULT 0;
CREATE INDEX job_run ON job(run, id) WHERE run<>0;
DROP INDEX job_ended;
CREATE INDEX job_ended ON job(ended, id) WHERE ended IS NOT NULL AND run=0;
)";
constexpr const char* schema_3 = "ALTER TABLE attempt ADD COLUMN started INT;";
/// What is running is little: the index cost more than looking at all of it.
constexpr const char* schema_4 = "DROP INDEX running_session;";
constexpr const char* schema_5 = R"(
ALTER TABLE session ADD COLUMN node BLOB DEFAULT x'';
ALTER TABLE session ADD COLUMN incarnation INT DEFAULT 0;
ALTER TABLE session ADD COLUMN counter INT DEFAULT 0;
ALTER TABLE session ADD COLUMN draining INT DEFAULT 0;
ALTER TABLE session ADD COLUMN detail BLOB DEFAULT x'';
ALTER TABLE session ADD COLUMN seen INT DEFAULT 0;
CREATE INDEX session_node ON session(node, incarnation);
CREATE TABLE agreed(one INTEGER PRIMARY KEY CHECK(one=1), number INT,
  what BLOB);
INSERT INTO agreed VALUES(1, 0, x'');
CREATE TABLE counter(one INTEGER PRIMARY KEY CHECK(one=1), claims INT);
INSERT INTO counter VALUES(1, 0);
ALTER TABLE running ADD COLUMN claim INT DEFAULT 0;
ALTER TABLE job ADD COLUMN shards BLOB;
CREATE TABLE in_shards(shard INT, grp BLOB, resources BLOB, rank INT, job INT,
  PRIMARY KEY(shard, grp, resources, rank, job)) WITHOUT ROWID;
INSERT INTO in_shards SELECT 0, grp, resources, rank, job FROM queue;
DROP TABLE queue;
ALTER TABLE in_shards RENAME TO queue;
)";
constexpr const char* schema_6 = R"(
CREATE TABLE roster(one INTEGER PRIMARY KEY CHECK(one=1), number INT,
  what BLOB);
INSERT INTO roster VALUES(1, 0, x'');
)";
constexpr const char* schemas[] = {schema_1, schema_2, schema_3,
                                   schema_4, schema_5, schema_6};
static_assert(std::size(schemas) == newest_schema);

/// Somebody else's file must not be taken for an empty one.
void check_file(SqliteDatabase& database) {
  const auto id = database.number("PRAGMA application_id");
  const bool is_new =
      id == 0 && database.number("SELECT count(*) FROM sqlite_master") == 0;
  if (!is_new && id != application_id)
    throw Error{Errc::corrupt, "it is not a store of troupe"};
  const auto version = database.number("PRAGMA user_version");
  if (version > newest_schema)
    throw Error{
        Errc::unsupported,
        fmt::format("it is of a newer troupe (schema {}; this one knows {})",
                    version, newest_schema)};
  const std::string checked = database.text("PRAGMA quick_check(1)");
  // What is wrong comes last, in a line of its own: a heading may come first.
  if (checked != "ok")
    throw Error{Errc::corrupt,
                fmt::format("it is damaged: {}",
                            checked.substr(checked.rfind('\n') + 1))};
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(
    const std::string& path) {
  // For its owner alone, whatever the umask.
  if (!OwnedFd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)}
           .is_open())
    return tl::unexpected(
        system_error(fmt::format("cannot open the store {}", path), errno));
  try {
    auto owned = std::make_unique<SqliteDatabase>(path);
    SqliteDatabase& database = *owned;
    database.execute("PRAGMA locking_mode=EXCLUSIVE");
    check_file(database);
    if (database.number("PRAGMA page_count") == 0)
      database.execute("PRAGMA auto_vacuum=INCREMENTAL");
    database.execute("PRAGMA journal_mode=WAL");
    database.execute("PRAGMA synchronous=FULL");
    database.execute("PRAGMA temp_store=MEMORY");
    database.execute("BEGIN EXCLUSIVE");
    const auto version = database.number("PRAGMA user_version");
    const bool is_new = version == 0;
    for (auto next = version; next < newest_schema; ++next)
      database.execute(schemas[next]);
    if (is_new)
      database.execute(
          fmt::format("PRAGMA application_id={}", application_id).c_str());
    if (version < newest_schema)
      database.execute(
          fmt::format("PRAGMA user_version={}", newest_schema).c_str());
    database.execute("COMMIT");
    return std::unique_ptr<SqliteStore>{
        new SqliteStore(std::move(owned), is_new)};
  } catch (Error& error) {
    if (error.code == Errc::unavailable)
      error.what += "; is another troupe node using it?";
    return tl::unexpected(
        std::move(error).within(fmt::format("the store {}", path)));
  }
}

}  // namespace troupe::store
