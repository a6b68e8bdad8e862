// What several nodes do to one PostgreSQL at once, and what is in its tables
// then.
#include "postgres_test.hpp"

#include <troupe/store/postgres_store.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace troupe::store {
namespace {

/// Tasks that the counts of their job do not know, or that are in two places:
/// none, at the moment of any commit (I11).
constexpr const char* not_conserved = R"(
SELECT (SELECT count(*) FROM job j WHERE
    tasks<>n_waiting+n_retrying+n_running+n_success+n_failed+n_timed_out+
      n_cancelled+n_lost+n_skipped
    OR n_running<>(SELECT count(*) FROM running r WHERE r.job=j.id)
    OR again<>(SELECT count(*) FROM again a WHERE a.job=j.id)
    OR n_retrying<>(SELECT count(*) FROM again a WHERE a.job=j.id AND
      a.attempt>0)+(SELECT count(*) FROM timer t WHERE t.job=j.id AND t.idx>=0)
    OR n_success+n_failed+n_lost<>
      (SELECT count(*) FROM result r WHERE r.job=j.id))
  + (SELECT count(*) FROM (SELECT job, idx FROM (
      SELECT job, idx FROM running UNION ALL SELECT job, idx FROM again
      UNION ALL SELECT job, idx FROM timer WHERE idx>=0
      UNION ALL SELECT job, idx FROM result) t
    GROUP BY job, idx HAVING count(*)>1) u)
  + (SELECT count(*) FROM grp g WHERE n_running<>
      (SELECT count(*) FROM running r JOIN job j ON j.id=r.job AND
        j.grp=g.name)))";

/// Notes how many results a session has when its end is committed.
constexpr const char* note_ends = R"(
CREATE TABLE end_of(session bytea PRIMARY KEY, results bigint);
CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO end_of SELECT NEW.id, count(*) FROM result WHERE session=NEW.id;
  RETURN NULL; END$$;
CREATE TRIGGER note_end AFTER UPDATE ON session FOR EACH ROW
  WHEN (OLD.open<>0 AND NEW.open=0) EXECUTE FUNCTION note_end())";

/// Sessions that have completed or hold something after their end (I4).
constexpr const char* not_fenced = R"(
SELECT (SELECT count(*) FROM end_of e WHERE results<>
    (SELECT count(*) FROM result r WHERE r.session=e.session))
  + (SELECT count(*) FROM running r JOIN session s ON s.id=r.session AND
    s.open=0))";

class PostgresClusterTest : public PostgresStoreTest {
 protected:
  void begin(ClusterStore& store, const std::string& session,
             const std::string& node, std::uint64_t incarnation) const {
    EXPECT_EQ(
        *store.register_session(
            {.session = {session}, .node = node, .incarnation = incarnation},
            now),
        Registered::yes);
  }
  /// Until somebody waits for a lock that `holder` has.
  void wait_until_blocked() const {
    const auto late = std::chrono::steady_clock::now() + 30s;
    while (query("SELECT count(*) FROM pg_stat_activity WHERE "
                 "application_name='troupe' AND wait_event_type='Lock'") ==
           "0") {
      ASSERT_LT(std::chrono::steady_clock::now(), late);
      std::this_thread::yield();
    }
  }
};

/// Statements of somebody else, who can stop in the middle.
class OtherClient {
 public:
  OtherClient(const std::string& uri, const std::string& schema)
      : connection_{PQconnectdb(uri.c_str()), PQfinish} {
    run("SET search_path TO " + schema);
  }
  void run(const std::string& sql) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result{
        PQexec(connection_.get(), sql.c_str()), PQclear};
    EXPECT_EQ(PQresultStatus(result.get()), PGRES_COMMAND_OK)
        << PQerrorMessage(connection_.get());
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

TEST_F(PostgresClusterTest, ARenewalWaitsForNobodyWhoWorks) {
  const auto worker = open();
  const auto keeper = open(500ms);
  begin(*worker, "s", "a", 1);
  submit(*worker, "r", 3);
  EXPECT_TRUE(worker->batch([&] {
    // It has the store alone, and something of its own session in hand.
    EXPECT_EQ(worker->claim({"s"}, {"default"}, 2)->size(), 2U);
    const auto renewal = keeper->renew({"s"}, false, now);
    ASSERT_TRUE(renewal) << renewal.error().what;
    EXPECT_EQ(renewal->session, Renewed::live);
    const auto view = keeper->propose({1, "v"});
    ASSERT_TRUE(view) << view.error().what;
    EXPECT_EQ(view->number, 1U);
    EXPECT_EQ(keeper->sessions()->front().counter, 1U);
    // Whoever ends a session has to wait until that is known.
    EXPECT_EQ(keeper->evict({"s"}, 1, now).error().code, Errc::timed_out);
  }));
  EXPECT_EQ(*keeper->evict({"s"}, 1, now), (SessionEnd{2, 0}));
}

TEST_F(PostgresClusterTest, AnEvictionSeesARenewalThatIsOnItsWay) {
  const auto janitor = open();
  begin(*janitor, "s", "a", 1);
  OtherClient other{server().uri(), schema};
  other.run("BEGIN");
  other.run("UPDATE session SET counter=counter+1 WHERE id='s'");
  std::thread thread{
      [&] { EXPECT_EQ(*janitor->evict({"s"}, 0, now), std::nullopt); }};
  wait_until_blocked();
  other.run("COMMIT");
  thread.join();
  EXPECT_EQ(janitor->sessions()->size(), 1U);
}

TEST_F(PostgresClusterTest, ARenewalSeesAnEvictionThatIsOnItsWay) {
  const auto keeper = open();
  begin(*keeper, "s", "a", 1);
  OtherClient other{server().uri(), schema};
  other.run("BEGIN");
  other.run("UPDATE session SET open=0 WHERE id='s' AND counter=0");
  std::thread thread{[&] {
    EXPECT_EQ(keeper->renew({"s"}, false, now)->session, Renewed::ended);
  }};
  wait_until_blocked();
  other.run("COMMIT");
  thread.join();
}

TEST_F(PostgresClusterTest, OfTwoJanitorsOneEvicts) {
  const auto store = open();
  const std::array janitors{open(), open()};
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const std::string session = "s" + std::to_string(i);
    begin(*store, session, "a", i);
    const JobId job = submit(*store, std::to_string(i), 5);
    EXPECT_EQ(store->claim({session}, {"default"}, 5)->size(), 5U);
    std::array<std::optional<SessionEnd>, 2> ends;
    std::vector<std::thread> threads;
    for (std::size_t j = 0; j < janitors.size(); ++j)
      threads.emplace_back(
          [&, j] { ends.at(j) = *janitors.at(j)->evict({session}, 0, now); });
    for (std::thread& thread : threads)
      thread.join();
    EXPECT_NE(ends[0].has_value(), ends[1].has_value());
    EXPECT_EQ(ends[0] ? *ends[0] : *ends[1], (SessionEnd{5, 0}));
    EXPECT_EQ(store->job(job)->counts.retrying, 5U);
    EXPECT_TRUE(store->cancel(job, now));
  }
}

TEST_F(PostgresClusterTest, TheLatestOfANodesSessionsStaysInWhateverOrder) {
  std::mt19937 chance{17};
  const auto store = open();
  std::vector<std::unique_ptr<PostgresStore>> stores;
  for (int i = 0; i < 4; ++i)
    stores.push_back(open());
  for (int round = 0; round < 10; ++round) {
    const std::string node = "n" + std::to_string(round);
    const auto name = [&](std::uint64_t incarnation) {
      return node + "-" + std::to_string(incarnation);
    };
    std::vector<std::uint64_t> order{1, 2, 3, 4, 5, 6, 7, 8};
    std::shuffle(order.begin(), order.end(), chance);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < stores.size(); ++i)
      threads.emplace_back([&, i] {
        for (const std::uint64_t incarnation : {order[2 * i], order[2 * i + 1]})
          EXPECT_TRUE(
              stores[i]->register_session({.session = {name(incarnation)},
                                           .node = node,
                                           .incarnation = incarnation},
                                          now));
      });
    for (std::thread& thread : threads)
      thread.join();
    std::vector<std::string> open;
    const auto all = store->sessions();
    for (const SessionInfo& info : *all)
      if (info.session.node == node)
        open.push_back(info.session.session.value);
    EXPECT_EQ(open, std::vector<std::string>{name(8)});
  }
}

TEST_F(PostgresClusterTest, OfManyThatProposeAViewOneIsTaken) {
  constexpr std::uint64_t views = 20;
  std::mutex mutex;
  std::map<std::uint64_t, std::set<std::string>> seen;
  std::map<std::uint64_t, int> taken;
  std::vector<std::thread> threads;
  for (const char* const name : {"a", "b", "c"})
    threads.emplace_back([&, name] {
      const auto store = open();
      for (std::uint64_t next = 1; next <= views;) {
        const auto newest = store->propose({next, name});
        ASSERT_TRUE(newest) << newest.error().what;
        const std::scoped_lock lock{mutex};
        seen[newest->number].insert(newest->what);
        taken[next] += *newest == AgreedView{next, name} ? 1 : 0;
        next = newest->number + 1;
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(open()->view()->number, views);
  for (std::uint64_t i = 1; i <= views; ++i) {
    EXPECT_LE(seen[i].size(), 1U) << i;
    EXPECT_LE(taken[i], 1) << i;
  }
}

// -- All of it at once --------------------------------------------------------

/// Nodes that work, and janitors that evict them again and again.
class Crowd {
 public:
  Crowd(std::function<std::unique_ptr<PostgresStore>()> open, WallTime now,
        bool is_within_slots = false)
      : open_{std::move(open)}, now_{now}, is_within_slots_{is_within_slots} {}

  void run(int nodes, int janitors) {
    std::vector<std::thread> workers;
    std::vector<std::thread> others;
    for (int i = 0; i < nodes; ++i)
      workers.emplace_back([this, i] { work(i); });
    for (int i = 0; i < janitors; ++i)
      others.emplace_back([this, i] { evict_some(i); });
    for (std::thread& thread : workers)
      thread.join();
    is_over_ = true;
    for (std::thread& thread : others)
      thread.join();
  }
  [[nodiscard]] bool is_over() const { return is_over_; }

  int evictions = 0;
  int fenced = 0;

 private:
  void work(int node) {
    std::mt19937 chance{static_cast<unsigned>(node) + 1};
    const auto store = open_();
    for (std::uint64_t life = 1; !has_ended(*store); ++life) {
      const SessionId session{"n" + std::to_string(node) + "-" +
                              std::to_string(life)};
      const auto registered =
          store->register_session({.session = session,
                                   .node = "n" + std::to_string(node),
                                   .incarnation = life},
                                  now_);
      ASSERT_TRUE(registered) << registered.error().what;
      while (!has_ended(*store) && take_step(*store, session, chance)) {
      }
    }
  }

  static bool has_ended(Store& store) {
    return store.jobs({.set = JobSet::unended}, 1)->empty();
  }

  /// False once the session has been evicted.
  bool take_step(PostgresStore& store, const SessionId& session,
                 std::mt19937& chance) {
    // Of whichever shard; the answer to one in eight is lost.
    const auto shard = static_cast<std::uint32_t>(chance() % 3);
    const auto limit = static_cast<std::uint32_t>(1 + chance() % 20);
    const QueueId queue{.group = "default", .shard = shard};
    auto claims = is_within_slots_
                      ? store.claim_within_slots(session, queue, limit)
                      : store.claim(session, queue, limit);
    if (!claims) {
      EXPECT_EQ(claims.error().code, Errc::permission_denied)
          << claims.error().what;
      return false;
    }
    if (chance() % 8 == 0)
      claims = store.claimed_by(session);
    std::vector<AttemptRef> held;
    for (const Claim& claim : *claims)
      held.push_back(claim.attempt);
    const auto may_start = store.start(session, held);
    EXPECT_TRUE(may_start);
    std::vector<Completion> ended;
    std::vector<AttemptRef> returned;
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (!(*may_start)[i])
        continue;
      const bool may_be_repeated = started(held[i]);
      if (may_be_repeated && chance() % 5 == 0)
        returned.push_back(held[i]);
      else
        ended.push_back({.attempt = held[i]});
    }
    EXPECT_TRUE(store.release(session, returned));
    for (int times = chance() % 8 == 0 ? 2 : 1; times > 0; --times)
      record(ended, *store.complete(session, ended, now_));
    return true;
  }

  /// Whether it may be executed once more.
  bool started(const AttemptRef& attempt) {
    if (attempt.task.job.value % 2 != 0)
      return true;
    const std::scoped_lock lock{mutex_};
    EXPECT_TRUE(executed_.insert(attempt.task).second)
        << "at most once, " << attempt.task.index;
    return false;
  }

  void record(const std::vector<Completion>& ended,
              const std::vector<Recorded>& answers) {
    const std::scoped_lock lock{mutex_};
    for (std::size_t i = 0; i < ended.size(); ++i) {
      if (answers[i] == Recorded::fenced)
        ++fenced;
      if (answers[i] == Recorded::yes) {
        EXPECT_TRUE(recorded_.insert(ended[i].attempt.task).second);
      }
    }
  }

  void evict_some(int janitor) {
    std::mt19937 chance{static_cast<unsigned>(janitor) + 100};
    const auto store = open_();
    while (!is_over_) {
      const auto all = store->sessions();
      if (all->empty())
        continue;
      const SessionInfo& victim = (*all)[chance() % all->size()];
      // A few renewals for each eviction, and some of these come too late.
      if (chance() % 4 != 0)
        (void)store->renew(victim.session.session, false, now_);
      if (chance() % 8 != 0)
        continue;
      const auto end =
          store->evict(victim.session.session, victim.counter, now_);
      const std::scoped_lock lock{mutex_};
      evictions += end && *end ? 1 : 0;
    }
  }

  std::function<std::unique_ptr<PostgresStore>()> open_;
  WallTime now_;
  bool is_within_slots_;
  std::atomic<bool> is_over_{false};
  std::mutex mutex_;
  std::set<TaskRef> executed_;
  std::set<TaskRef> recorded_;
};

TEST_F(PostgresClusterTest, EvictionsAgainstClaimsAndResultsInFlight) {
  const auto store = open();
  query(note_ends);
  // Those with an even number are executed at most once.
  for (int i = 0; i < 10; ++i) {
    const JobId job =
        store
            ->open_job({.request_id = std::to_string(i),
                        .delivery = i % 2 == 0 ? Delivery::at_least_once
                                               : Delivery::at_most_once,
                        .shards = {0, static_cast<std::uint32_t>(1 + i % 2)}},
                       now)
            ->job;
    ASSERT_EQ(job.value, static_cast<std::uint64_t>(i) + 1);
    EXPECT_TRUE(store->append_range(job, 0, 400));
    EXPECT_TRUE(store->seal(job, now));
  }
  Crowd crowd{[this] { return open(); }, now};
  std::thread auditor{[&] {
    while (!crowd.is_over())
      EXPECT_EQ(query(not_conserved), "0");
  }};
  crowd.run(/*nodes=*/4, /*janitors=*/2);
  auditor.join();
  EXPECT_EQ(query(not_conserved), "0");
  EXPECT_EQ(query(not_fenced), "0");
  EXPECT_EQ(query("SELECT count(*) FROM result"), "4000");
  EXPECT_EQ(store->groups()->front().counts, GroupCounts{});
  // It was bad enough.
  EXPECT_GT(crowd.evictions, 20);
  EXPECT_GT(crowd.fenced, 20);
}

/// Groups with more tasks at work than they have slots.
constexpr const char* beyond_slots =
    "SELECT count(*) FROM grp WHERE n_running>slots";

TEST_F(PostgresClusterTest, AllNodesTogetherHaveNoMoreThanAGroupHasSlots) {
  const auto store = open();
  EXPECT_TRUE(store->set_group({.name = "default", .slots = 25}));
  const JobId job =
      store->open_job({.request_id = "r", .shards = {0, 1, 2}}, now)->job;
  EXPECT_TRUE(store->append_range(job, 0, 2000));
  EXPECT_TRUE(store->seal(job, now));
  Crowd crowd{[this] { return open(); }, now, /*is_within_slots=*/true};
  std::string most = "0";
  std::thread auditor{[&] {
    while (!crowd.is_over()) {
      EXPECT_EQ(query(beyond_slots), "0");
      most = std::max(most, query("SELECT lpad(n_running::text, 2, '0') FROM "
                                  "grp WHERE name='default'"));
    }
  }};
  crowd.run(/*nodes=*/4, /*janitors=*/2);
  auditor.join();
  EXPECT_EQ(query("SELECT count(*) FROM result"), "2000");
  EXPECT_EQ(store->groups()->front().counts, GroupCounts{});
  // All of them were in use.
  EXPECT_EQ(most, "25");
}

// -- Answers that get lost ----------------------------------------------------

/// A call, and the change by which it can be spoiled.
struct Repeated {
  const char* name;
  const char* change;
  std::function<bool(PostgresStore&)> call;
};

TEST_F(PostgresClusterTest, EachCallMayBeRepeatedWhenItsAnswerIsLost) {
  const auto store = open();
  const auto claimed = [&] { return *store->claimed_by({"a1"}); };
  const auto last = [&] { return claimed().back().attempt; };
  AttemptRef ended;
  const std::vector<Repeated> calls{
      {"register", "INSERT ON session",
       [&](PostgresStore& s) {
         const auto answer = s.register_session(
             {.session = {"a1"}, .node = "a", .incarnation = 1}, now);
         return answer && *answer == Registered::yes;
       }},
      {"renew", "UPDATE ON session",
       [&](PostgresStore& s) {
         const auto answer = s.renew({"a1"}, false, now);
         return answer && answer->session == Renewed::live;
       }},
      {"propose", "UPDATE ON agreed",
       [&](PostgresStore& s) {
         const auto answer = s.propose({1, "v"});
         return answer && *answer == AgreedView{1, "v"};
       }},
      {"roster", "UPDATE ON roster",
       [&](PostgresStore& s) {
         return s.set_roster({1, "r"}).has_value();
       }},
      {"claim", "INSERT ON running",
       [&](PostgresStore& s) {
         // What it got the first time is told by a list.
         const auto answer = s.claim({"a1"}, {"default"}, 2);
         return answer && answer->size() == 2;
       }},
      {"start", "UPDATE ON running",
       [&](PostgresStore& s) {
         const AttemptRef attempt = last();
         const auto answer = s.start({"a1"}, {&attempt, 1});
         return answer && answer->front();
       }},
      {"complete", "INSERT ON result",
       [&](PostgresStore& s) {
         if (ended == AttemptRef{})
           ended = last();
         const Completion completion{.attempt = ended};
         const auto answer = s.complete({"a1"}, {&completion, 1}, now);
         return answer && answer->front() != Recorded::fenced;
       }},
      {"release", "DELETE ON running",
       [&](PostgresStore& s) {
         std::vector<AttemptRef> all;
         for (const Claim& claim : claimed())
           all.push_back(claim.attempt);
         return s.release({"a1"}, all).has_value();
       }},
      {"evict", "UPDATE ON session",
       [&](PostgresStore& s) {
         const auto all = s.sessions();
         return all->empty() ||
                s.evict({"a1"}, all->front().counter, now).has_value();
       }},
  };
  const JobId job = submit(*store, "r", 100);
  for (const Repeated& each : calls) {
    on_commit(each.change, "PERFORM pg_terminate_backend(pg_backend_pid());");
    EXPECT_FALSE(each.call(*store)) << each.name << " is not spoiled";
    query("DROP TRIGGER spoil ON " +
          std::string{each.change}.substr(std::string{each.change}.find("ON ") +
                                          3) +
          "; DROP FUNCTION spoil");
    // Once to do it, if that did not, and once more, as if that was lost, too.
    EXPECT_TRUE(each.call(*store)) << each.name;
    EXPECT_TRUE(each.call(*store)) << each.name;
    EXPECT_EQ(query(not_conserved), "0") << each.name;
  }
  EXPECT_TRUE(store->sessions()->empty());
  EXPECT_EQ(store->view()->number, 1U);
  const JobCounts counts = store->job(job)->counts;
  EXPECT_EQ(counts.success, 1U);
  EXPECT_EQ(counts.waiting, 99U);
}

// -- Tables of before ---------------------------------------------------------

constexpr const char* as_of_version_1 = R"(
ALTER TABLE session DROP COLUMN node, DROP COLUMN incarnation,
  DROP COLUMN counter, DROP COLUMN draining, DROP COLUMN detail,
  DROP COLUMN seen;
DROP INDEX session_open;
DROP TABLE agreed; DROP TABLE counter; DROP TABLE roster;
ALTER TABLE cluster DROP COLUMN oldest_version;
ALTER TABLE running DROP COLUMN claim;
ALTER TABLE job DROP COLUMN shards;
ALTER TABLE queue DROP CONSTRAINT queue_pkey, DROP COLUMN shard;
ALTER TABLE queue ADD PRIMARY KEY(grp, resources, rank, job);
UPDATE cluster SET schema_version=1)";

TEST_F(PostgresClusterTest, GivesTablesOfVersion1WhatTheyLackOnce) {
  JobId job;
  {
    const auto store = open();
    EXPECT_TRUE(store->open_session({"s"}));
    job = submit(*store, "r", 3);
    EXPECT_EQ(store->claim({"s"}, {"default"}, 1)->size(), 1U);
  }
  query(as_of_version_1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] { EXPECT_FALSE(open()->is_new()); });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(query("SELECT schema_version FROM cluster"), "3");
  const auto store = open();
  const auto held = store->claimed_by({"s"});
  ASSERT_EQ(held->size(), 1U);
  const Completion done{.attempt = held->front().attempt};
  EXPECT_EQ(store->complete({"s"}, {&done, 1}, now)->front(), Recorded::yes);
  EXPECT_EQ(store->claim({"s"}, {"default"}, 9)->size(), 2U);
  begin(*store, "a1", "a", 1);
}

TEST_F(PostgresClusterTest, ANodeBeginsOnTablesOfANewerVersionWithRoomForIt) {
  open();
  query(
      "ALTER TABLE session ADD COLUMN what_is_new bigint DEFAULT 0;"
      "UPDATE cluster SET schema_version=4");
  const auto store = open();
  EXPECT_FALSE(store->is_new());
  begin(*store, "a1", "a", 1);
  submit(*store, "r", 2);
  EXPECT_EQ(store->claim({"a1"}, {"default"}, 9)->size(), 2U);
  // It leaves them as they are.
  EXPECT_EQ(query("SELECT schema_version FROM cluster"), "4");
}

TEST_F(PostgresClusterTest, ANodeOfVersion1GoesOnWithTheTablesOfVersion2) {
  const auto store = open();
  EXPECT_TRUE(store->open_session({"s"}));
  // What it writes, as it writes it.
  query(
      "INSERT INTO job(request_id, name, grp, resources, priority, delivery, "
      "spec, not_before, submitted, tasks, chunks, next, again, needs_left, "
      "sealed, due, held, cancelled, doomed, n_waiting, n_retrying, n_running, "
      "n_success, n_failed, n_timed_out, n_cancelled, n_lost, n_skipped, "
      "rest_from, rest_at, run) VALUES('r', 'n', 'default', '', 2, 1, '', 0, "
      "0, 2, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)");
  query(
      "INSERT INTO queue SELECT * FROM unnest(ARRAY['default'::bytea], "
      "ARRAY[''::bytea], ARRAY[-2::bigint], ARRAY[1::bigint]) ON CONFLICT DO "
      "NOTHING");
  query(
      "INSERT INTO running SELECT *, 0 FROM unnest(ARRAY[1::bigint], "
      "ARRAY[0::bigint], ARRAY[1::bigint], ARRAY['s'::bytea])");
  EXPECT_EQ(store->job(JobId{1})->job.shards, std::vector<std::uint32_t>{});
  EXPECT_EQ(store->claim({"s"}, {"default"}, 9)->size(), 1U);
  EXPECT_EQ(store->claimed_by({"s"})->size(), 2U);
  EXPECT_EQ(query("DELETE FROM running r USING unnest(ARRAY[1::bigint], "
                  "ARRAY[1::bigint], ARRAY[1::bigint]) u(j, i, a) WHERE "
                  "r.job=u.j AND r.idx=u.i AND r.attempt=u.a AND "
                  "r.session='s' RETURNING 1"),
            "1");
}

}  // namespace
}  // namespace troupe::store
