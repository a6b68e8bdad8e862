// What the store costs: the embedded one on the disk of the folder that is
// given, or the one in a PostgreSQL database.
//
//   store_bench FOLDER [JOBS]
//   store_bench postgresql://USER@HOST:PORT/DATABASE [TASKS [NODES]]
//
// JOBS (100000) single jobs are submitted, claimed and completed, in batches of
// different sizes; then the same few calls are timed on an empty store and
// behind all those jobs. Prints a line per number.
//
// In PostgreSQL, TASKS (50000) tasks are claimed and completed by NODES (1) at
// once, 100 at a time: of one array, and of single jobs; through the store, and
// by two bare statements on tables that have a row for each task, of which
// nodes skip what others have locked. Single jobs are compared also with two
// that keep what became of each job in a row of its own, as the store has to.
// The schemas troupe_bench and troupe_bare are dropped.
#include <troupe/store/postgres_store.hpp>
#include <troupe/store/sqlite_store.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <libpq-fe.h>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace troupe;         // NOLINT(google-build-using-namespace)
using namespace troupe::store;  // NOLINT(google-build-using-namespace)

using Clock = std::chrono::steady_clock;

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().what.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>)
    return std::move(*result);
}

template <class F>
double seconds(F work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

class Bench {
 public:
  explicit Bench(const std::string& folder)
      : store_{must(SqliteStore::open(folder + "/bench.db"))} {
    must(store_->open_session(session_));
  }

  JobId submit() {
    const JobId job =
        must(store_->open_job({.request_id = "r" + std::to_string(++last_),
                               .spec = R"({"argv":["true"]})"},
                              now_))
            .job;
    must(store_->append_range(job, 0, 1));
    must(store_->seal(job, now_));
    return job;
  }

  void submit_many(std::uint64_t count, std::uint64_t batch) {
    const double took = seconds([&] {
      for (std::uint64_t done = 0; done < count; done += batch)
        must(store_->batch([&] {
          for (std::uint64_t i = 0; i < batch; ++i)
            submit();
        }));
    });
    std::printf("submit, %4llu in a batch      %9.0f jobs/s\n",
                static_cast<unsigned long long>(batch),
                static_cast<double>(count) / took);
  }

  void work_off(std::uint64_t count, std::uint32_t batch) {
    std::uint64_t done = 0;
    const double took = seconds([&] {
      while (done < count) {
        const auto claims = must(store_->claim(session_, {"default"}, batch));
        std::vector<Completion> completions;
        for (const Claim& claim : claims)
          completions.push_back({.attempt = claim.attempt});
        must(store_->complete(session_, completions, now_));
        done += claims.size();
      }
    });
    std::printf("claim and complete, %4u each %9.0f jobs/s\n", batch,
                static_cast<double>(done) / took);
  }

  /// The slowest but one of 100.
  template <class F>
  void time(const char* what, F work) {
    std::vector<double> times;
    for (int i = 0; i < 100; ++i)
      times.push_back(seconds(work) * 1000);
    std::sort(times.begin(), times.end());
    std::printf("  %-24s p50 %7.2f ms  p99 %7.2f ms\n", what, times[50],
                times[98]);
  }

  void time_calls(const char* where) {
    std::printf("%s\n", where);
    time("500 more jobs", [&] {
      must(store_->batch([&] {
        for (int i = 0; i < 500; ++i)
          submit();
      }));
    });
    time("list 50", [&] { must(store_->jobs({.set = JobSet::unended}, 50)); });
    time("status", [&] { must(store_->job(JobId{1})); });
    time("submit and cancel", [&] { must(store_->cancel(submit(), now_)); });
    time("claim 10, release", [&] {
      std::vector<AttemptRef> attempts;
      for (const Claim& claim : must(store_->claim(session_, {"default"}, 10)))
        attempts.push_back(claim.attempt);
      must(store_->release(session_, attempts));
    });
  }

  void array(std::uint64_t tasks) {
    JobId job;
    const double submitted = seconds([&] {
      job = must(store_->open_job({.request_id = "array"}, now_)).job;
      must(store_->append_range(job, 0, tasks));
      must(store_->seal(job, now_));
    });
    const double cancelled = seconds([&] { must(store_->cancel(job, now_)); });
    std::printf("array of %llu: submit %.2f ms, cancel %.2f ms\n",
                static_cast<unsigned long long>(tasks), submitted * 1000,
                cancelled * 1000);
  }

 private:
  std::unique_ptr<SqliteStore> store_;
  SessionId session_{"bench"};
  WallTime now_{std::chrono::hours{500'000}};
  std::uint64_t last_ = 0;
};

constexpr std::uint32_t at_once = 100;

/// A connection that waits as libpq does.
class Bare {
 public:
  explicit Bare(const std::string& uri)
      : connection_{PQconnectdb(uri.c_str()), PQfinish} {
    if (PQstatus(connection_.get()) != CONNECTION_OK)
      give_up();
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
  }

  /// Answers the rows that were changed.
  int run(const std::string& sql) {
    return rows_of(PQexec(connection_.get(), sql.c_str()));
  }
  void prepare(const char* name, const std::string& sql) {
    rows_of(PQprepare(connection_.get(), name, sql.c_str(), 0, nullptr));
  }
  /// Answers the rows that come back: numbers.
  std::vector<std::string> run(const char* name,
                               const std::vector<std::string>& values) {
    std::vector<const char*> all;
    for (const std::string& value : values)
      all.push_back(value.c_str());
    const std::unique_ptr<PGresult, decltype(&PQclear)> result{
        PQexecPrepared(connection_.get(), name, static_cast<int>(all.size()),
                       all.data(), nullptr, nullptr, 0),
        PQclear};
    if (PQresultStatus(result.get()) != PGRES_TUPLES_OK)
      give_up();
    std::vector<std::string> rows;
    for (int i = 0; i < PQntuples(result.get()); ++i)
      rows.emplace_back(PQgetvalue(result.get(), i, 0));
    return rows;
  }

 private:
  [[noreturn]] void give_up() {
    std::fprintf(stderr, "%s\n", PQerrorMessage(connection_.get()));
    std::exit(1);
  }
  int rows_of(PGresult* raw) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result{raw, PQclear};
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
      give_up();
    return std::atoi(PQcmdTuples(result.get()));
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

class PostgresBench {
 public:
  PostgresBench(std::string uri, std::uint64_t tasks, int nodes)
      : uri_{std::move(uri)}, tasks_{tasks}, nodes_{nodes} {}

  void run() {
    const double bare = rate_of_bare(/*has_jobs=*/false);
    compare("an array", rate_of_store(/*is_array=*/true), bare);
    const double single = rate_of_store(/*is_array=*/false);
    compare("single jobs", single, bare);
    compare("single jobs, bare ones with rows of jobs", single,
            rate_of_bare(/*has_jobs=*/true));
  }

 private:
  void compare(const char* what, double store, double bare) const {
    std::printf(
        "claim and complete, %s, %d at once: %9.0f tasks/s, bare %9.0f: "
        "%.2f\n",
        what, nodes_, store, bare, store / bare);
    std::fflush(stdout);
  }

  double rate(const std::function<void(int)>& work_off) const {
    return static_cast<double>(tasks_) / seconds([&] {
             std::vector<std::thread> threads;
             for (int i = 0; i < nodes_; ++i)
               threads.emplace_back([&, i] { work_off(i); });
             for (std::thread& thread : threads)
               thread.join();
           });
  }

  double rate_of_bare(bool has_jobs) const {
    Bare first{uri_};
    first.run(
        "DROP SCHEMA IF EXISTS troupe_bare CASCADE; CREATE SCHEMA troupe_bare;"
        "SET search_path TO troupe_bare;"
        "CREATE TABLE session(session bigint PRIMARY KEY, state int);"
        "CREATE TABLE ready(shard int, prio int, task_id bigint, attempt int, "
        "PRIMARY KEY(shard, prio, task_id));"
        "CREATE TABLE running(task_id bigint PRIMARY KEY, shard int, "
        "attempt int, session bigint);"
        "CREATE TABLE result(task_id bigint PRIMARY KEY, attempt int, "
        "session bigint, outcome int, at timestamptz)");
    first.run("INSERT INTO session SELECT i, 1 FROM generate_series(0, 99) i");
    first.run("INSERT INTO ready SELECT 0, 0, i, 0 FROM generate_series(1, " +
              std::to_string(tasks_) + ") i");
    if (has_jobs)
      first.run(
          "CREATE TABLE job(id bigint PRIMARY KEY, request_id text UNIQUE, "
          "spec text, state int, ended timestamptz); "
          "CREATE INDEX job_open ON job(id) WHERE ended IS NULL; "
          "INSERT INTO job SELECT task_id, task_id::text, "
          "'{\"argv\":[\"true\"]}', 0 FROM ready; ANALYZE job");
    first.run("ANALYZE ready");
    // How both statements end: what is left of the ones that went before is the
    // rows `d`, and the last rows name the tasks.
    const std::string claims =
        "INSERT INTO running SELECT task_id, shard, attempt+1, $1 FROM d "
        "RETURNING task_id";
    const std::string results =
        "INSERT INTO result SELECT task_id, attempt, $1, 1, now() FROM d "
        "RETURNING task_id";
    const auto ending = [&](const std::string& insert, const char* change) {
      return has_jobs ? ", m AS (" + insert + ") UPDATE job j SET " + change +
                            " FROM m WHERE j.id=m.task_id RETURNING j.id"
                      : " " + insert;
    };
    return rate([&](int node) {
      Bare mine{uri_};
      mine.run("SET search_path TO troupe_bare");
      mine.prepare(
          "claim",
          "WITH f AS (SELECT 1 FROM session WHERE session=$1 AND state=1 FOR "
          "KEY SHARE), k AS (SELECT shard, prio, task_id FROM ready WHERE "
          "shard=0 AND (prio, task_id)>(0, $3::bigint) ORDER BY prio, task_id "
          "LIMIT $2 FOR UPDATE SKIP LOCKED), d AS (DELETE FROM ready r USING k "
          "WHERE (r.shard, r.prio, r.task_id)=(k.shard, k.prio, k.task_id) AND "
          "EXISTS(SELECT 1 FROM f) RETURNING r.*)" +
              ending(claims, "state=1"));
      mine.prepare(
          "complete",
          "WITH d AS (DELETE FROM running r USING unnest($2::bigint[]) u(t) "
          "WHERE r.task_id=u.t AND r.attempt=1 AND r.session=$1 RETURNING "
          "r.task_id, r.attempt)" +
              ending(results, "state=2, ended=now()"));
      const std::string session = std::to_string(node);
      std::string last = "0";
      for (;;) {
        const auto claimed =
            mine.run("claim", {session, std::to_string(at_once), last});
        if (claimed.empty())
          return;
        std::string all = "{";
        for (const std::string& task : claimed) {
          all += all.size() > 1 ? "," + task : task;
          last = std::stoll(task) > std::stoll(last) ? task : last;
        }
        if (mine.run("complete", {session, all + "}"}).size() != claimed.size())
          std::exit(1);
      }
    });
  }

  [[nodiscard]] std::unique_ptr<PostgresStore> open() const {
    return must(
        PostgresStore::open(uri_, {.schema = "troupe_bench", .deadline = 60s}));
  }

  double rate_of_store(bool is_array) const {
    Bare{uri_}.run("DROP SCHEMA IF EXISTS troupe_bench CASCADE");
    const auto store = open();
    const WallTime now{std::chrono::hours{500'000}};
    const std::uint64_t each = is_array ? tasks_ : 1;
    for (std::uint64_t done = 0; done < tasks_;)
      must(store->batch([&] {
        for (int i = 0; i < 500 && done < tasks_; ++i, done += each) {
          const JobId job =
              must(store->open_job({.request_id = std::to_string(done),
                                    .spec = R"({"argv":["true"]})"},
                                   now))
                  .job;
          must(store->append_range(job, 0, each));
          must(store->seal(job, now));
        }
      }));
    return rate([&](int node) {
      const auto mine = open();
      const SessionId session{std::to_string(node)};
      must(mine->open_session(session));
      for (;;) {
        const auto claims = must(mine->claim(session, {"default"}, at_once));
        if (claims.empty())
          return;
        std::vector<Completion> completions;
        for (const Claim& claim : claims)
          completions.push_back({.attempt = claim.attempt});
        must(mine->complete(session, completions, now));
      }
    });
  }

  std::string uri_;
  std::uint64_t tasks_;
  int nodes_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: store_bench FOLDER|URI [JOBS [NODES]]\n", stderr);
    return 2;
  }
  if (std::string_view{argv[1]}.starts_with("postgresql://")) {
    PostgresBench{argv[1],
                  argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 50'000,
                  argc > 3 ? std::atoi(argv[3]) : 1}
        .run();
    return 0;
  }
  const std::uint64_t jobs =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  Bench bench{argv[1]};
  bench.time_calls("empty:");
  bench.array(1'000'000);
  bench.submit_many(1'000, 1);
  bench.submit_many(10'000, 10);
  bench.submit_many(jobs, 1'000);
  bench.time_calls("with all those jobs:");
  bench.work_off(jobs / 2, 100);
}
