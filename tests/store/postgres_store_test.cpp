#include "cluster_store_test.hpp"
#include "postgres_test.hpp"
#include "store_property_test.hpp"
#include "store_test.hpp"

#include <troupe/store/postgres_store.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <set>
#include <sys/stat.h>
#include <thread>

namespace troupe::store {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

[[maybe_unused]] const auto* const servers =
    ::testing::AddGlobalTestEnvironment(new Servers);

/// The store of one example; the tables are made for the first one.
std::unique_ptr<Store> open_empty() {
  if (Servers::server() == nullptr)
    return nullptr;
  static const std::string schema = new_schema();
  auto store = open_in(schema);
  empty(schema);
  return store;
}

constexpr StoreKind postgres{
    "Postgres", [](const testing::TempDir&) { return open_empty(); }};

INSTANTIATE_TEST_SUITE_P(, StoreTest, ::testing::Values(postgres),
                         name_of_kind);
INSTANTIATE_TEST_SUITE_P(, ClusterStoreTest, ::testing::Values(postgres),
                         name_of_kind);

void check_histories(Histories histories) {
  // A history takes a hundred times as long as in a file; RC_PARAMS asks for
  // more of them.
  ::setenv("RC_PARAMS", "max_success=25", /*overwrite=*/0);
  const std::string schema = new_schema();
  EXPECT_TRUE(open_in(schema));
  EXPECT_TRUE(rc::check([&] {
    do_as_the_model_does(
        [&](const testing::TempDir&, bool is_first) {
          if (is_first)
            empty(schema);
          return open_in(schema);
        },
        /*steps_per_look=*/30, histories);
  }));
}

TEST(StoreProperty, PostgresDoesWhatTheModelDoes) {
  if (Servers::server() == nullptr)
    GTEST_SKIP() << "PostgreSQL is not installed";
  check_histories(Histories::of_all);
}

TEST(StoreProperty, PostgresDoesWhatTheModelDoesWithManySessions) {
  if (Servers::server() == nullptr)
    GTEST_SKIP() << "PostgreSQL is not installed";
  check_histories(Histories::of_clusters);
}

TEST_F(PostgresStoreTest, MakesItsTablesOnce) {
  EXPECT_TRUE(open()->is_new());
  EXPECT_FALSE(open()->is_new());
}

TEST_F(PostgresStoreTest, OfManyThatMakeTheTablesAtOnceOneHas) {
  std::atomic<int> made{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&] { made += open()->is_new() ? 1 : 0; });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(made, 1);
}

TEST_F(PostgresStoreTest, LeavesTablesOfSomebodyElseAlone) {
  server().query("CREATE SCHEMA " + schema + "; CREATE TABLE " + schema +
                 ".other(a int)");
  const Error error = error_of_opening(server().uri());
  EXPECT_EQ(error.code, Errc::corrupt);
  EXPECT_EQ(error.what, "postgresql://troupe@" + server().folder() +
                            "/postgres: the schema " + schema +
                            " is not a store of troupe; choose another name or "
                            "an empty database");
  EXPECT_EQ(server().query("SELECT count(*) FROM pg_tables WHERE schemaname='" +
                           schema + "'"),
            "1");
}

TEST_F(PostgresStoreTest, RefusesTheSchemaOfANewerVersion) {
  open();
  query("UPDATE cluster SET schema_version=99, oldest_version=98");
  const Error error = error_of_opening(server().uri());
  EXPECT_EQ(error.code, Errc::unsupported);
  EXPECT_THAT(error.what, HasSubstr("schema 99; this one knows 3"));
}

TEST_F(PostgresStoreTest, RefusesADatabaseThatIsNotInUtf8) {
  server().query("CREATE DATABASE " + schema +
                 " ENCODING 'LATIN1' TEMPLATE template0");
  const Error error = error_of_opening(server().uri(schema));
  EXPECT_EQ(error.code, Errc::unsupported);
  EXPECT_THAT(error.what, HasSubstr("the database is in LATIN1"));
}

TEST_F(PostgresStoreTest, TellsWhyItCannotConnect) {
  EXPECT_EQ(error_of_opening("mysql://x").code, Errc::invalid_argument);
  EXPECT_EQ(error_of_opening(server().uri("none")).code, Errc::not_found);
  const Error refused = error_of_opening(server().uri("postgres", "nobody"));
  EXPECT_EQ(refused.code, Errc::permission_denied);
  EXPECT_THAT(refused.what,
              HasSubstr("cannot connect: role \"nobody\" does not exist"));
  const Error none = error_of_opening("postgresql://u@/d?host=/nonexistent");
  EXPECT_EQ(none.code, Errc::unavailable);
  EXPECT_THAT(none.what, HasSubstr("postgresql://u@/nonexistent/d: cannot "
                                   "connect: "));
}

TEST_F(PostgresStoreTest, RefusesAPasswordInItsPlaceAndDoesNotRepeatIt) {
  const Error error =
      error_of_opening("postgresql://u:secret@/d?host=" + server().folder());
  EXPECT_EQ(error.code, Errc::invalid_argument);
  EXPECT_THAT(error.what, HasSubstr("store-password-file"));
  EXPECT_THAT(error.what, Not(HasSubstr("secret")));
}

TEST_F(PostgresStoreTest, SaysWhatIsWrongWithAPasswordFile) {
  const testing::TempDir folder;
  const std::string path = folder.path("password");
  const auto error = [&] {
    auto store = PostgresStore::open(server().uri(),
                                     {.schema = schema, .password_file = path});
    return store ? Error{} : store.error();
  };
  EXPECT_EQ(error().code, Errc::not_found);
  std::ofstream{path} << "secret\n";
  ::chmod(path.c_str(), 0644);
  EXPECT_EQ(error(), (Error{Errc::permission_denied,
                            "the password file " + path +
                                ": everybody on this machine may read it; "
                                "chmod o= it"}));
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(error(), Error{});
  std::ofstream{path} << std::string(5000, 'x');
  EXPECT_EQ(error().code, Errc::invalid_argument);
  std::ofstream{path} << "\n";
  EXPECT_EQ(error().code, Errc::invalid_argument);
}

TEST_F(PostgresStoreTest, GivesTheServerThePasswordFromItsFile) {
  server().query("CREATE ROLE " + schema + " LOGIN PASSWORD 'right'; GRANT " +
                 "CREATE ON DATABASE postgres TO " + schema);
  server().require_password_of(schema);
  const testing::TempDir folder;
  const std::string path = folder.path("password");
  const auto open_with = [&](const char* password) {
    std::ofstream{path} << password;
    ::chmod(path.c_str(), 0600);
    return PostgresStore::open(server().uri("postgres", schema),
                               {.schema = schema, .password_file = path});
  };
  EXPECT_THAT(error_of_opening(server().uri("postgres", schema)).what,
              HasSubstr("store-password-file"));
  const auto refused = open_with("wrong");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::permission_denied);
  EXPECT_THAT(refused.error().what, Not(HasSubstr("wrong")));
  const auto opened = open_with("right\n");
  EXPECT_TRUE(opened) << opened.error().what;
}

TEST_F(PostgresStoreTest, OfTwoThatWantToBeAloneOneIs) {
  const PostgresOptions options{
      .schema = schema, .deadline = 300ms, .presence = Presence::alone};
  auto first = PostgresStore::open(server().uri(), options);
  ASSERT_TRUE(first) << first.error().what;
  const auto second = PostgresStore::open(server().uri(), options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::unavailable);
  EXPECT_THAT(second.error().what, HasSubstr("another node uses this store"));
  EXPECT_TRUE(open()->open_sessions());
  first->reset();
  EXPECT_TRUE(PostgresStore::open(
      server().uri(),
      {.schema = schema, .deadline = 10s, .presence = Presence::alone}));
}

TEST_F(PostgresStoreTest, MembersAreThereTogetherAndNobodyIsAloneBesideThem) {
  const auto open_as = [&](Presence presence) {
    return PostgresStore::open(
        server().uri(),
        {.schema = schema, .deadline = 300ms, .presence = presence});
  };
  auto first = open_as(Presence::member);
  auto second = open_as(Presence::member);
  ASSERT_TRUE(first) << first.error().what;
  ASSERT_TRUE(second) << second.error().what;
  EXPECT_FALSE(open_as(Presence::alone));
  first->reset();
  EXPECT_FALSE(open_as(Presence::alone));
  second->reset();
  auto alone = PostgresStore::open(
      server().uri(),
      {.schema = schema, .deadline = 10s, .presence = Presence::alone});
  ASSERT_TRUE(alone) << alone.error().what;
  const auto late = open_as(Presence::member);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::unavailable);
  EXPECT_THAT(late.error().what, HasSubstr("no member of the cluster"));
}

TEST_F(PostgresStoreTest, OneThatWasCutOffIsAloneAgain) {
  auto store = PostgresStore::open(
      server().uri(),
      {.schema = schema, .deadline = 10s, .presence = Presence::alone});
  ASSERT_TRUE(store) << store.error().what;
  server().query("SELECT pg_terminate_backend(" + std::to_string(backend()) +
                 ")");
  EXPECT_TRUE((*store)->open_session({"s"}));
  EXPECT_FALSE(PostgresStore::open(
      server().uri(),
      {.schema = schema, .deadline = 300ms, .presence = Presence::alone}));
}

TEST_F(PostgresStoreTest, KnowsHowDurableItsServerIs) {
  EXPECT_EQ(open()->facts().durability, Durability::buffered);
  EXPECT_THAT(open()->facts().settings,
              ::testing::StartsWith("fsync=off synchronous_commit="));
  EXPECT_THAT(open()->facts().software, ::testing::StartsWith("PostgreSQL 1"));
  EXPECT_EQ(open()->facts().id.size(), 36U);
}

TEST_F(PostgresStoreTest, TakesNoLongerThanItsPatience) {
  const auto store = open();
  const pid_t stopped = backend();
  store->set_patience(100ms, 3s);
  ::kill(stopped, SIGSTOP);
  const auto begun = std::chrono::steady_clock::now();
  const Error error = store->open_session({"s"}).error();
  EXPECT_EQ(error.code, Errc::timed_out);
  // Those that somebody has waited for this call, and not what was left.
  EXPECT_THAT(error.what, ::testing::HasSubstr("no answer within 3s; is the "));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  ::kill(stopped, SIGCONT);
}

TEST_F(PostgresStoreTest, NeedsTheRightToMakeItsSchema) {
  server().query("CREATE ROLE " + schema + " LOGIN");
  const Error error = error_of_opening(server().uri("postgres", schema));
  EXPECT_EQ(error.code, Errc::permission_denied);
}

TEST_F(PostgresStoreTest, ABatchHappensAsAWholeAndItsCallsByThemselves) {
  const auto store = open();
  EXPECT_TRUE(store->batch([&] {
    EXPECT_TRUE(store->open_job({.request_id = "a"}, now));
    EXPECT_FALSE(store->open_job({.request_id = "b", .group = "none"}, now));
    EXPECT_TRUE(store->open_job({.request_id = "c"}, now));
    EXPECT_EQ(store->jobs({}, 9)->size(), 2U);
    EXPECT_EQ(open()->jobs({}, 9)->size(), 0U);
  }));
  EXPECT_EQ(open()->jobs({}, 9)->size(), 2U);
}

TEST_F(PostgresStoreTest, ABatchCountsInItsGroupsAsItGoes) {
  const auto store = open();
  EXPECT_TRUE(store->set_group({.name = "g"}));
  const JobId old =
      store->open_job({.request_id = "a", .group = "g"}, now)->job;
  EXPECT_TRUE(store->append_range(old, 0, 1));
  const auto counts = [&] { return store->groups()->back().counts; };
  EXPECT_TRUE(store->batch([&] {
    const auto more = store->open_job({.request_id = "b", .group = "g"}, now);
    EXPECT_TRUE(store->append_range(more->job, 0, 2));
    EXPECT_EQ(counts(), (GroupCounts{2, 3, 0, 0}));
    EXPECT_TRUE(store->cancel(old, now));
    EXPECT_TRUE(store->seal(old, now));
    EXPECT_EQ(counts(), (GroupCounts{1, 2, 0, 0}));
    EXPECT_FALSE(store->remove_group("g"));
    EXPECT_TRUE(store->seal(more->job, now));
    EXPECT_TRUE(store->cancel(more->job, now));
    EXPECT_TRUE(store->remove_group("g"));
    EXPECT_TRUE(store->set_group({.name = "g"}));
    EXPECT_TRUE(store->open_job({.request_id = "c", .group = "g"}, now));
  }));
  EXPECT_EQ(counts(), (GroupCounts{1, 0, 0, 0}));
}

TEST_F(PostgresStoreTest, ABatchThatCannotBeWrittenIsNotThere) {
  const auto store = open();
  on_commit_of_a_job("RAISE 'full' USING ERRCODE='53100';");
  const auto written = store->batch([&] {
    EXPECT_TRUE(store->open_session({"s"}));
    EXPECT_TRUE(store->open_job({.request_id = "a"}, now));
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::overloaded);
  EXPECT_THAT(written.error().what,
              HasSubstr("full (53100); make space on the disk of the server"));
  EXPECT_TRUE(store->open_sessions()->empty());
  EXPECT_TRUE(store->open_session({"s"}));
}

TEST_F(PostgresStoreTest, WhatNeverReachedTheServerIsPreparedAgain) {
  const auto store = open();
  // The first statement fails, and so those behind it are not looked at.
  query("ALTER TABLE cluster RENAME TO gone");
  EXPECT_EQ(store->open_session({"s"}).error().code, Errc::corrupt);
  query("ALTER TABLE gone RENAME TO cluster");
  const auto opened = store->open_session({"s"});
  EXPECT_TRUE(opened) << opened.error().what;
}

TEST_F(PostgresStoreTest, ABatchKeepsWithinTheSlotsOfAGroup) {
  const auto store = open();
  EXPECT_TRUE(store->set_group({.name = "default", .slots = 3}));
  submit(*store, "r", 10);
  EXPECT_TRUE(store->open_session({"s"}));
  const auto claim = [&] {
    return *store->claim_within_slots({"s"}, {"default"}, 2);
  };
  EXPECT_TRUE(store->batch([&] {
    // What it has changed of the counts is not in the tables yet.
    const auto first = claim();
    EXPECT_EQ(first.size(), 2U);
    EXPECT_EQ(claim().size(), 1U);
    EXPECT_TRUE(claim().empty());
    const Completion done{.attempt = first.front().attempt};
    EXPECT_TRUE(store->complete({"s"}, {&done, 1}, now));
    EXPECT_EQ(claim().size(), 1U);
    EXPECT_EQ(store->claims_in("default")->at({"s"}), 3U);
  }));
  EXPECT_TRUE(claim().empty());
}

TEST_F(PostgresStoreTest, AMillionTasksAreOneRow) {
  const auto store = open();
  const JobId job = submit(*store, "r", 1'000'000);
  EXPECT_TRUE(store->open_session({"s"}));
  EXPECT_EQ(store->claim({"s"}, {"default"}, 10)->size(), 10U);
  EXPECT_EQ(store->cancel(job, now)->size(), 10U);
  EXPECT_EQ(store->job(job)->counts.cancelled, 999'990U);
}

TEST_F(PostgresStoreTest, TwoThatClaimAtOnceGetNoTaskTwice) {
  constexpr std::uint64_t tasks = 600;
  const auto store = open();
  submit(*store, "array", tasks);
  for (std::uint64_t i = 0; i < tasks / 3; ++i)
    submit(*store, std::to_string(i), 1);
  std::vector<std::vector<AttemptRef>> got(3);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < got.size(); ++i)
    threads.emplace_back([&, i] {
      const SessionId session{"s" + std::to_string(i)};
      const auto mine = open();
      EXPECT_TRUE(mine->open_session(session));
      for (std::uint32_t limit = 1;; limit = limit % 9 + 1) {
        const auto claims = mine->claim(session, {"default"}, limit);
        ASSERT_TRUE(claims) << claims.error().what;
        if (claims->empty())
          return;
        std::vector<Completion> completions;
        for (const Claim& claim : *claims) {
          got[i].push_back(claim.attempt);
          completions.push_back({.attempt = claim.attempt});
        }
        const auto recorded = mine->complete(session, completions, now);
        ASSERT_TRUE(recorded) << recorded.error().what;
        for (const Recorded each : *recorded)
          EXPECT_EQ(each, Recorded::yes);
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  std::set<AttemptRef> all;
  std::size_t count = 0;
  for (const auto& each : got) {
    all.insert(each.begin(), each.end());
    count += each.size();
  }
  EXPECT_EQ(count, tasks + tasks / 3);
  EXPECT_EQ(all.size(), count);
  EXPECT_EQ(store->groups()->front().counts, GroupCounts{});
}

TEST_F(PostgresStoreTest, ASessionThatOneEndsIsFencedForTheOtherAtOnce) {
  const auto one = open();
  const auto other = open();
  submit(*one, "r", 2);
  EXPECT_TRUE(one->open_session({"s"}));
  const auto claims = one->claim({"s"}, {"default"}, 1);
  EXPECT_EQ(other->end_session({"s"}, now), (SessionEnd{1, 0}));
  const Completion done{.attempt = claims->front().attempt};
  EXPECT_EQ(one->complete({"s"}, {&done, 1}, now)->front(), Recorded::fenced);
  EXPECT_EQ(one->start({"s"}, {&done.attempt, 1})->front(), false);
  EXPECT_EQ(one->claim({"s"}, {"default"}, 1).error().code,
            Errc::permission_denied);
}

TEST_F(PostgresStoreTest, WhoReadsWaitsForNobodyAndWhoWritesUntilItsDeadline) {
  const auto one = open();
  const auto other = open(500ms);
  EXPECT_TRUE(one->batch([&] {
    EXPECT_TRUE(one->open_session({"s"}));
    EXPECT_TRUE(other->open_sessions()->empty());
    EXPECT_EQ(other->open_session({"t"}).error().code, Errc::timed_out);
  }));
  const auto opened = other->open_session({"t"});
  EXPECT_TRUE(opened) << opened.error().what;
  EXPECT_EQ(other->open_sessions()->size(), 2U);
}

TEST_F(PostgresStoreTest, AConnectionThatIsLostIsMadeAgain) {
  const auto store = open();
  const auto cut = [&] {
    server().query("SELECT pg_terminate_backend(" + std::to_string(backend()) +
                   ", 5000)");
  };
  cut();
  EXPECT_TRUE(store->open_session({"s"}));
  cut();
  EXPECT_EQ(store->open_sessions()->size(), 1U);
  cut();
  EXPECT_TRUE(store->batch([&] { EXPECT_TRUE(store->open_session({"t"})); }));
  // What it has done before in a batch is lost with it.
  const auto written = store->batch([&] {
    EXPECT_TRUE(store->open_session({"u"}));
    cut();
    EXPECT_FALSE(store->known("r"));
  });
  EXPECT_EQ(written.error().code, Errc::unavailable);
  EXPECT_EQ(store->open_sessions()->size(), 2U);
}

TEST_F(PostgresStoreTest, ACommitWhoseAnswerIsLostMayBeRepeated) {
  const auto store = open();
  on_commit_of_a_job("PERFORM pg_terminate_backend(pg_backend_pid());");
  const auto lost = store->open_job({.request_id = "r"}, now);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, Errc::unavailable);
  EXPECT_THAT(lost.error().what,
              HasSubstr("whether the call was recorded is not known"));
  query("DROP TRIGGER spoil ON job");
  EXPECT_TRUE(store->open_job({.request_id = "r"}, now));
  EXPECT_EQ(store->jobs({}, 9)->size(), 1U);
}

TEST_F(PostgresStoreTest, WhatFailsByChanceIsTriedAgain) {
  const auto store = open();
  query("CREATE SEQUENCE tries");
  on_commit_of_a_job(
      "IF nextval('tries')<3 THEN RAISE 'no' USING ERRCODE='40001'; END IF;");
  EXPECT_TRUE(store->open_job({.request_id = "r"}, now));
  EXPECT_EQ(store->jobs({}, 9)->size(), 1U);
}

TEST_F(PostgresStoreTest, AServerThatIsStoppedCostsTheDeadlineAndNoMore) {
  const auto store = open(300ms);
  const auto time = [](auto call) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    return std::chrono::steady_clock::now() - begin;
  };
  const pid_t idle = backend();
  ASSERT_EQ(::kill(idle, SIGSTOP), 0);
  EXPECT_LT(time([&] {
              EXPECT_EQ(store->open_session({"s"}).error().code,
                        Errc::timed_out);
            }),
            1s);
  // On another connection; the one that is stopped has not got the lock.
  EXPECT_TRUE(store->open_session({"s"}));
  ASSERT_EQ(::kill(idle, SIGCONT), 0);
  // One that has got the lock.
  pid_t holder = 0;
  EXPECT_LT(time([&] {
              EXPECT_FALSE(store->batch([&] {
                EXPECT_TRUE(store->open_session({"t"}));
                holder = backend();
                ASSERT_EQ(::kill(holder, SIGSTOP), 0);
                EXPECT_EQ(store->known("r").error().code, Errc::timed_out);
              }));
            }),
            1s);
  EXPECT_EQ(store->open_session({"u"}).error().code, Errc::timed_out);
  EXPECT_EQ(store->open_sessions()->size(), 1U);
  ASSERT_EQ(::kill(holder, SIGCONT), 0);
  EXPECT_TRUE(open()->open_session({"u"}));
  EXPECT_EQ(store->open_sessions()->size(), 2U);
}

TEST_F(PostgresStoreTest, WhatWasAcknowledgedSurvivesTheDeathOfTheServer) {
  testing::PostgresServer mortal{/*is_durable=*/true};
  auto store = std::move(*PostgresStore::open(mortal.uri()));
  std::atomic<int> acknowledged{0};
  std::atomic<bool> is_over{false};
  std::thread writer{[&] {
    for (int i = 0; !is_over; ++i) {
      // Repeated as long as it takes, as everybody does.
      while (!store->open_job({.request_id = std::to_string(i)}, now))
        continue;
      acknowledged = i + 1;
    }
  }};
  const auto wait_for = [&](int count) {
    while (acknowledged < count)
      std::this_thread::yield();
  };
  wait_for(20);
  mortal.kill();
  const int before = acknowledged;
  mortal.start();
  wait_for(before + 20);
  is_over = true;
  writer.join();
  for (int i = 0; i < acknowledged; ++i)
    EXPECT_TRUE(store->known(std::to_string(i))->has_value()) << i;
  EXPECT_EQ(store->jobs({}, 100'000)->size(),
            static_cast<std::size_t>(acknowledged));
}

/// No commit there ends until the end of the test, as on a disk that stands
/// still: it waits for a standby that there is not.
class PostgresStoreOnASlowDisk : public PostgresStoreTest {
 protected:
  void SetUp() override {
    PostgresStoreTest::SetUp();
    if (IsSkipped())
      return;
    server_.emplace(/*is_durable=*/true);
    calm_ = open(10s);
    hasty_ = open(500ms);
  }

  [[nodiscard]] std::unique_ptr<PostgresStore> open(Duration deadline) const {
    auto store = PostgresStore::open(server_->uri(), {.deadline = deadline});
    EXPECT_TRUE(store) << store.error().what;
    return store ? std::move(*store) : nullptr;
  }
  void let_disk_stand_still(bool stands_still) const {
    server_->query(std::string{"ALTER SYSTEM SET synchronous_standby_names='"} +
                   (stands_still ? "nobody'" : "'"));
    server_->query("SELECT pg_reload_conf()");
    const std::string hopeful = stands_still ? "nobody" : "";
    while (server_->query("SHOW synchronous_standby_names") != hopeful)
      std::this_thread::yield();
  }
  /// Whether a bare connection gets the lock of the store at once.
  [[nodiscard]] bool is_lock_free() const {
    return server_->query(
               "SET search_path TO troupe; SET synchronous_commit=off; "
               "SELECT count(*) FROM (SELECT 1 FROM cluster WHERE one FOR "
               "UPDATE SKIP LOCKED) free") == "1";
  }

  std::optional<testing::PostgresServer> server_;
  std::unique_ptr<PostgresStore> calm_;
  std::unique_ptr<PostgresStore> hasty_;  ///< It gives up after 500 ms.
};

TEST_F(PostgresStoreOnASlowDisk, WhoWaitsForItKeepsNobodyElseWaiting) {
  let_disk_stand_still(true);
  auto answer = std::async(std::launch::async,
                           [&] { return calm_->set_group({.name = "g"}); });
  while (hasty_->groups()->size() < 2 &&
         answer.wait_for(0s) != std::future_status::ready)
    std::this_thread::yield();
  EXPECT_TRUE(is_lock_free());
  let_disk_stand_still(false);
  EXPECT_TRUE(answer.get());
}

TEST_F(PostgresStoreOnASlowDisk, WhatIsNotThereYetIsNotAcknowledged) {
  let_disk_stand_still(true);
  const auto opened = hasty_->open_job({.request_id = "r"}, now);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::timed_out);
  EXPECT_TRUE(hasty_->may_have_happened());
  // It is there for all, and nobody is told of it.
  ASSERT_EQ(hasty_->groups()->front().counts.jobs, 1U);
  EXPECT_EQ(hasty_->known("r").error().code, Errc::timed_out);
  EXPECT_EQ(hasty_->jobs({}, 9).error().code, Errc::timed_out);
  EXPECT_EQ(hasty_->open_job({.request_id = "r"}, now).error().code,
            Errc::timed_out);
  let_disk_stand_still(false);
  EXPECT_TRUE((*calm_->known("r")).has_value());
}

}  // namespace
}  // namespace troupe::store
